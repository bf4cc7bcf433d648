"""What a page says of a time, a length, a number or a person, for a reader in the organisation's zone. All of it is pure."""

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

import phonenumbers
from phonenumbers import PhoneNumberFormat

Style = Literal["relative", "clock", "seconds", "day", "date"]

_MINUTE, _HOUR, _DAY, _WEEK = 60, 3600, 86_400, 604_800
_UNITS = (_DAY, "d"), (_HOUR, "h")
UNKNOWN_CALLER = "Unknown Caller"  #: a contact without a name
WITHHELD = "Withheld number"
_NOBODY = frozenset({"anonymous", "restricted", "blocked", "unknown", "unavailable", "private", "withheld"})


class Moment(NamedTuple):
    """An instant, ready to be shown."""

    iso: str
    exact: str  #: with seconds and zone, for the tooltip and for paper
    text: str


@lru_cache(maxsize=256)
def zone_named(name: str) -> ZoneInfo:
    """The IANA zone; UTC for a name that this machine does not know."""
    try:
        return ZoneInfo(name)
    except (OSError, ValueError):
        return ZoneInfo("UTC")


def moment(at: float, zone: ZoneInfo, now: float, style: Style = "relative") -> Moment:
    """*at* (unix) as somebody in *zone* reads it at *now*."""
    local = datetime.fromtimestamp(at, zone)
    exact = f"{local:%a} {local.day} {local:%b %Y, %H:%M:%S} {local.tzname()}"
    return Moment(local.isoformat(timespec="seconds"), exact, _STYLES[style](local, at - now))


def ago(delta_s: float) -> str | None:
    """How far *delta_s* lies from now, "13m ago" or "in 2h"; None beyond a week. time.js says the same while it ticks."""
    distance = abs(delta_s)
    if distance < 45:
        return "just now"
    if distance >= _WEEK:
        return None
    unit, name = next(((unit, name) for unit, name in _UNITS if distance >= unit * 0.99), (_MINUTE, "m"))
    count = max(1, round(distance / unit))
    return f"{count}{name} ago" if delta_s < 0 else f"in {count}{name}"


def _relative(local: datetime, delta_s: float) -> str:
    return ago(delta_s) or _day_and_clock(local, delta_s)


def _day_and_clock(local: datetime, _: float) -> str:
    return f"{local.day} {local:%b, %H:%M}"


_STYLES: Mapping[Style, Callable[[datetime, float], str]] = {
    "relative": _relative,
    "clock": lambda local, _: f"{local:%H:%M}",
    "seconds": lambda local, _: f"{local:%H:%M:%S}",
    "day": _day_and_clock,
    "date": lambda local, _: f"{local.day} {local:%b %Y}",
}


def local_day(at: float, zone: ZoneInfo) -> date:
    return datetime.fromtimestamp(at, zone).date()


def midnight(day: date, zone: ZoneInfo) -> float:
    """When *day* begins in *zone*, unix; a day on which clocks change has 23 or 25 hours."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()


def day_name(day: date, today: date) -> str:
    """ "Today", "Yesterday", "Thursday 12 November", with the year when it is another."""
    if day == today:
        return "Today"
    if day == today - timedelta(days=1):
        return "Yesterday"
    return f"{day:%A} {day.day} {day:%B}" + (f" {day.year}" if day.year != today.year else "")


def place_of(zone: ZoneInfo) -> str:
    """ "Toronto" of America/Toronto."""
    return zone.key.rpartition("/")[2].replace("_", " ")


def clock(seconds: float) -> str:
    """A position or length in a call: 1:23, 1:02:03."""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, _HOUR)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


def duration(seconds: float) -> str:
    """A length in words: "1 min 23 s", "2 h 5 min"."""
    whole = max(0, round(seconds))
    hours, minutes, rest = whole // _HOUR, whole % _HOUR // 60, whole % 60
    if hours:
        return f"{hours} h {minutes} min"
    return " ".join(filter(None, (f"{minutes} min" if minutes else "", f"{rest} s" if rest or not minutes else "")))


def span(seconds: float) -> str:
    """How long something has lasted or will, roughly: "6 days 2 h", "22 h", "5 min", "40 s"."""
    hours = int(seconds // _HOUR)
    if hours >= 24:
        days = count(hours // 24, "day")
        return f"{days} {hours % 24} h" if hours % 24 else days
    if hours:
        return f"{hours} h"
    return f"{int(seconds // 60)} min" if seconds >= _MINUTE else f"{int(seconds)} s"


@lru_cache(maxsize=32_768)
def phone(number: str | None) -> str:
    """An E.164 number with its groups apart; what is none stays as it came."""
    if not number or number.strip().lower() in _NOBODY:
        return WITHHELD
    try:
        parsed = phonenumbers.parse(number, None)
    except phonenumbers.NumberParseException:
        return number
    return str(phonenumbers.format_number(parsed, PhoneNumberFormat.INTERNATIONAL)).replace("-", " ")


def full_name(first: str | None, last: str | None) -> str:
    return " ".join(filter(None, (first, last)))


def initials(name: str) -> str:
    """Two letters of a name, "#" where there is none."""
    words = [word for word in name.split() if word[:1].isalnum()]
    return "".join(word[0] for word in words[:2]).upper() or "#"


def count(number: int, one: str, many: str | None = None) -> str:
    """ "1 call", "2 calls"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def size(count_bytes: float) -> str:
    """ "512 bytes", "3.2 kB", "1.5 MB"."""
    if count_bytes < 1000:
        return f"{count_bytes:.0f} bytes"
    for unit in ("kB", "MB", "GB"):
        count_bytes /= 1000
        if count_bytes < 1000 or unit == "GB":
            break
    return f"{count_bytes:.1f} {unit}" if count_bytes < 10 else f"{count_bytes:.0f} {unit}"


def sentence(name: str) -> str:
    """A key that programs gave, as words: "reason_for_call" or "reasonForCall" is "Reason for call"."""
    apart = "".join(f" {char.lower()}" if char.isupper() else char for char in name)
    words = " ".join(apart.replace("_", " ").replace("-", " ").split())
    return words[:1].upper() + words[1:]


FILTERS: Mapping[str, object] = {
    "clock": clock, "duration": duration, "phone": phone, "initials": initials, "count": count, "size": size,
    "sentence": sentence,
}  # fmt: skip
