"""What the address of a list asks for; what cannot be read there is as if it were not there."""

from collections.abc import Container
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from starlette.datastructures import QueryParams

from offhook.dashboard import phrases


def one_of(query: QueryParams, name: str, among: Container[str]) -> str:
    value = query.get(name, "")
    return value if value in among else ""


def day(query: QueryParams, name: str) -> str:
    """A date as a form has it, such as 2026-11-22."""
    text = query.get(name, "")
    return text if _date(text) else ""


def span(since: str, until: str, zone: ZoneInfo) -> tuple[float | None, float | None]:
    """From the beginning of the one day to the end of the other in *zone*, unix; None where there is no day."""
    first, last = _date(since), _date(until)
    return (
        phrases.midnight(first, zone) if first else None,
        phrases.midnight(last + timedelta(days=1), zone) if last else None,
    )


def _date(text: str) -> date | None:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return None
    return found if 1970 < found.year < 3000 else None
