"""A call as a row of a list: on Calls, on a contact's page, and where a new one slides in."""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import sqlalchemy as sa

from offhook.dashboard import charts, phrases
from offhook.dashboard.charts import Barcode, Said
from offhook.dashboard.outcomes import Outcome, instead_of_summary, outcome_of, waits_for
from offhook.store.call_lists import Aside

_said = msgspec.json.Decoder(list[Said])


class CallRow(NamedTuple):
    id: str
    at: float  #: unix
    name: str  #: of the contact; "" for one without
    number: str | None  #: the person's, E.164
    outcome: Outcome
    waits: tuple[str, str] | None  #: what somebody waits for, and its tone
    topic: str | None
    summary: str
    bars: Barcode
    duration_s: float


class Day(NamedTuple):
    name: str  #: "Today", "Thursday 12 November"
    calls: int | None  #: how many they are; None where a page begins or ends within it
    rows: list[CallRow]


def said_in(transcript: str) -> list[Said]:
    try:
        return _said.decode(transcript)
    except msgspec.DecodeError:  # not of our writing; the row is whole without its drawing
        return []


def call_row(row: sa.Row[Any], aside: Aside, *, bars: int = 120) -> CallRow:
    """A row of `store.call_lists` with what stands beside it; *bars*: how wide it draws who talked when."""
    length = row.duration_s or 0.0
    spoken = charts.stretches(said_in(row.transcript), length)
    return CallRow(
        id=row.id,
        at=row.happened_at,
        name=phrases.full_name(row.first_name, row.last_name),
        number=persons_number(row),
        outcome=outcome_of(row.status, row.direction, row.is_successful, is_handed_over=row.id in aside.handed_over),
        waits=waits_for(aside.waits.get(row.id, ())),
        topic=row.title,
        summary=row.summary or instead_of_summary(row.status, row.direction, row.failure),
        bars=charts.barcode(spoken, length, bars),
        duration_s=length,
    )


def persons_number(row: sa.Row[Any]) -> str | None:
    """The number at the far end."""
    number: str | None = row.to_number if row.direction == "outbound" else row.from_number
    return number


def by_day(
    rows: Iterable[CallRow], zone: ZoneInfo, today: date, *, begins_within: bool = False, ends_within: bool = False
) -> Sequence[Day]:
    """Rows, newest first, under the days of *zone*; *begins_within* and *ends_within* tell that a page cuts its day."""
    days: dict[date, list[CallRow]] = {}
    for row in rows:
        days.setdefault(phrases.local_day(row.at, zone), []).append(row)
    names = list(days)
    cut = ({names[0]} if begins_within and names else set()) | ({names[-1]} if ends_within and names else set())
    return [Day(phrases.day_name(day, today), None if day in cut else len(its), its) for day, its in days.items()]
