"""The address of a list: what it asks for, and how it is spelled. What cannot be read there is as if it were not there."""

import re
from collections.abc import Callable, Container, Mapping
from datetime import date, timedelta
from typing import TypeVar
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from starlette.datastructures import QueryParams

from offhook.dashboard import phrases

P = TypeVar("P")

_ID = re.compile(r"[0-9a-f]{24}|[0-9]{1,18}", re.ASCII)  #: of a row, or the number of an event


def address(path: str, chosen: Mapping[str, str]) -> str:
    """The page at *path* with what is chosen; what is empty is left out."""
    query = urlencode({name: value for name, value in chosen.items() if value})
    return f"{path}?{query}" if query else path


def place_of(at: float, id: str | int) -> str:
    """A row's place in a list by time: with it as `after`, an address asks for what comes behind the row."""
    return f"{at!r}-{id}"


def behind(query: QueryParams, place: Callable[[float, str], P]) -> P | None:
    """The *place* behind which a page begins; None: it is the first."""
    at, _, id = query.get("after", "").rpartition("-")
    try:
        moment = float(at)
    except ValueError:
        return None
    return place(moment, id) if abs(moment) < 1e12 and _ID.fullmatch(id) else None


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
