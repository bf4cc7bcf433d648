"""When somebody is there: hours by weekday, and holidays."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from starlette.responses import Response

from offhook.dashboard.pages.settings.filled import Filled, Reader, optional, read_filled
from offhook.dashboard.pages.settings.section import changed, differences, done, noted, show
from offhook.dashboard.shell import zone_of
from offhook.dashboard.visitors import Visit
from offhook.hours import WEEKDAYS, is_open, typed_holidays, typed_spans
from offhook.rules import Hours, Rules
from offhook.store import organizations

_URL = "/settings/hours"
_DAYS = dict(zip(WEEKDAYS, ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"), strict=True))
_FIELDS: dict[str, Reader] = {**dict.fromkeys(WEEKDAYS, optional(typed_spans)), "holidays": typed_holidays}


async def hours(visit: Visit) -> Response:
    return await _show(visit, Filled(_spelled(await _rules(visit))))


async def change_hours(visit: Visit) -> Response:
    filled = read_filled(await visit.form(), _FIELDS)
    if not filled.is_usable:
        return await _show(visit, filled, status=400)
    week = {day: spans for day in WEEKDAYS if (spans := filled.values[day])}
    settings = {"business_hours": week, "holidays": filled.values["holidays"]}
    before = _spelled(await _rules(visit))
    details = differences(before, {day: _spans(week.get(day, ())) for day in WEEKDAYS})
    details |= differences(before, {"holidays": "\n".join(filled.values["holidays"])})
    if details:
        await noted(visit, changed(visit, "hours", details), organizations.decide, visit.org_id, settings)
    return done(_URL, "saved")


async def _rules(visit: Visit) -> Rules:
    return (await visit.deps.database.read(organizations.get, visit.org_id)).rules


def _spelled(rules: Rules) -> dict[str, str]:
    """As one would type them."""
    week: dict[str, str] = {day: ", ".join(map(_span, rules.business_hours.get(day, ()))) for day in WEEKDAYS}
    return {**week, "holidays": "\n".join(rules.holidays)}


def _span(hours: Hours) -> str:
    return f"{hours.begin}-{hours.end}"


def _spans(spans: Sequence[dict[str, Any]]) -> str:
    return ", ".join(f"{span['begin']}-{span['end']}" for span in spans)


async def _show(visit: Visit, filled: Filled, *, status: int = 200) -> Response:
    rules, zone = await _rules(visit), zone_of(visit)
    is_open_now = is_open(rules.business_hours, rules.holidays, datetime.fromtimestamp(visit.deps.now(), zone))
    return await show(
        visit, _URL, "hours.html", status=status, filled=filled, days=_DAYS, is_open_now=is_open_now, zone_name=zone.key
    )
