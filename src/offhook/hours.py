"""When an organisation is open: by the weekday, but for holidays, in its own time zone. Pure.

Hours are compared with what a clock on the wall shows, so that the two nights a year when clocks are changed need no rule.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import get_args

from offhook.errors import Mistake
from offhook.rules import Hours, Weekday

WEEKDAYS: tuple[Weekday, ...] = get_args(Weekday)

Week = Mapping[Weekday, Sequence[Hours]]

_DAY_MIN = 24 * 60
_CLOCK = re.compile(r"([01]?[0-9]|2[0-4])(?::([0-5][0-9]))?", re.ASCII)
_SPAN = re.compile(r"(\S+)\s*(?:-|–|to)\s*(\S+)")
_HOW = "write it like \"mon-fri 09:00-17:00; sat 10:00-14:00\"."  # fmt: skip


def is_open(week: Week, holidays: Sequence[str], at: datetime) -> bool:
    """Whether somebody is there. *at* is local time; *holidays* are "2026-12-25", or "12-25" for every year.

    A night's hours belong to the day on which they begin; on a holiday nobody is there, whichever day they belong to.
    """
    today = at.date()
    if is_holiday(holidays, today):
        return False
    minute = at.hour * 60 + at.minute
    if any(begin <= minute < end for begin, end in _spans(week, today)):
        return True
    yesterday = today - timedelta(days=1)
    is_night = any(minute < end - _DAY_MIN for _, end in _spans(week, yesterday))
    return is_night and not is_holiday(holidays, yesterday)


def is_holiday(holidays: Sequence[str], day: date) -> bool:
    return day.isoformat() in holidays or f"{day:%m-%d}" in holidays


def typed_hours(text: str) -> dict[Weekday, list[dict[str, str]]]:
    """What a person types, "mon-fri 09:00-17:00; sat 10:00-12:00, 13:00-15:00", as settings keep it; days that are not
    named are closed, and so are all of "closed"."""
    if text.strip().lower() == "closed":
        return {}
    week: dict[Weekday, list[dict[str, str]]] = {}
    for part in filter(None, map(str.strip, text.lower().split(";"))):
        days, _, spans = part.partition(" ")
        for day in _days(days):
            week.setdefault(day, []).extend(typed_spans(spans))
    if not week:
        raise Mistake(f"{text!r} says no hours: {_HOW}")
    return week


def typed_holidays(text: str) -> list[str]:
    """Days with commas between, "12-25, 2027-04-02"."""
    return [_typed_day(word) for word in text.replace(",", " ").split()]


def typed_spans(text: str) -> list[dict[str, str]]:
    """The hours of one day, "10:00-12:00, 13:00-15:00", as settings keep them."""
    spans = []
    for word in text.split(","):
        match = _SPAN.fullmatch(word.strip())
        begin, end = (_minute(match[1]), _minute(match[2])) if match else (None, None)
        if begin is None or end is None:
            raise Mistake(f"{word.strip()!r} is no time from and until: {_HOW}")
        spans.append({"begin": _clock(begin), "end": _clock(end)})
    return spans


def _spans(week: Week, day: date) -> list[tuple[int, int]]:
    """The hours that begin on *day*, in minutes since its midnight; the end may lie beyond the next."""
    spans = []
    for hours in week.get(WEEKDAYS[day.weekday()], ()):
        begin, end = _minute(hours.begin), _minute(hours.end)
        if begin is not None and end is not None:
            spans.append((begin, end if end > begin else end + _DAY_MIN))
    return spans


def _minute(clock: str) -> int | None:
    match = _CLOCK.fullmatch(clock)
    minute = int(match[1]) * 60 + int(match[2] or 0) if match else _DAY_MIN + 1
    return minute if minute <= _DAY_MIN else None


def _days(words: str) -> list[Weekday]:
    days: list[Weekday] = []
    for word in words.split(","):
        first, _, last = word.partition("-")
        begin, end = _weekday(first), _weekday(last or first)
        days += [WEEKDAYS[(begin + n) % 7] for n in range((end - begin) % 7 + 1)]
    return days


def _weekday(word: str) -> int:
    for number, day in enumerate(WEEKDAYS):
        if word[:3] == day:
            return number
    raise Mistake(f"{word!r} is no weekday: {_HOW}")


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def _typed_day(word: str) -> str:
    is_yearly = word.count("-") == 1
    try:
        # 2028 has a 29 February.
        day = date.fromisoformat(f"2028-{word}" if is_yearly else word)
    except ValueError:
        raise Mistake(f"{word!r} is no day: write it like 2026-12-25, or 12-25 for every year.") from None
    return f"{day:%m-%d}" if is_yearly else day.isoformat()
