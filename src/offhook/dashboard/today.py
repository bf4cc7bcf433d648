"""The strip above the calls: how today goes, beside what is usual on such a weekday."""

from datetime import date, datetime, timedelta
from statistics import median
from typing import NamedTuple
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from offhook.dashboard import charts
from offhook.dashboard.charts import Bar
from offhook.dashboard.phrases import local_day, midnight
from offhook.store import call_lists

_WEEKS = 4  #: of the same weekday make what is usual
_FIRST_HOUR, _LAST_HOUR = 6, 20  #: shown in any case; more when there were calls


class Today(NamedTuple):
    calls: int
    usual: int | None  #: by the end of such a day; None while too little is known
    typical_s: float | None  #: the median length of a conversation, today or else in the last days
    bars: list[Bar]
    axis: tuple[str, str, str]  #: the hours at its left, middle and right
    sentence: str  #: what the chart says


def look(tx: sa.Connection, org_id: str, zone: ZoneInfo, now: float) -> Today:
    today = local_day(now, zone)
    hours = _hours(tx, org_id, zone, today)
    past = [_hours(tx, org_id, zone, today - timedelta(weeks=week)) for week in range(1, _WEEKS + 1)]
    known = [day for day in past if day]
    usual = {hour: sum(day.get(hour, 0) for day in known) / len(known) for hour in range(24)} if known else {}
    busy = [hour for hour in range(24) if hours.get(hour) or usual.get(hour)]
    first, last = min([*busy, _FIRST_HOUR]), max([*busy, _LAST_HOUR])
    span = range(first, last + 1)
    this_hour = datetime.fromtimestamp(now, zone).hour
    total = sum(hours.values())
    bars = charts.so_far([hours.get(h, 0) for h in span], [usual.get(h, 0) for h in span], max(0, this_hour - first))
    by_day_end = round(sum(usual.values())) if known else None
    return Today(
        calls=total,
        usual=by_day_end,
        typical_s=_typical(tx, org_id, zone, today, now),
        bars=bars,
        axis=(_clock(first), _clock((first + last + 1) // 2), _clock(last)),
        sentence=f"Calls per hour today: {total}"
        + (f"; usual on a {today:%A}: {by_day_end}." if by_day_end is not None else "."),
    )


def _hours(tx: sa.Connection, org_id: str, zone: ZoneInfo, day: date) -> dict[int, int]:
    """Calls by the hour that clocks showed; one that comes twice, when they are set back, counts both."""
    begin, end = midnight(day, zone), midnight(day + timedelta(days=1), zone)
    hours: dict[int, int] = {}
    for since_begin, count in call_lists.by_hour(tx, org_id, begin, end).items():
        hour = datetime.fromtimestamp(begin + since_begin * 3600, zone).hour
        hours[hour] = hours.get(hour, 0) + count
    return hours


def _typical(tx: sa.Connection, org_id: str, zone: ZoneInfo, today: date, now: float) -> float | None:
    for days in (0, 7):
        lengths = call_lists.lengths(tx, org_id, midnight(today - timedelta(days=days), zone), now + 1)
        if lengths:
            return float(median(lengths))
    return None


def _clock(hour: int) -> str:
    return f"{hour:02}:00"
