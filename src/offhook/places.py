"""Time zones and countries, by the IANA time zone database (the tzdata package, so that every machine agrees)."""

import difflib
from functools import cache
from importlib import resources

from offhook.errors import Mistake

_DATABASE = resources.files("tzdata") / "zoneinfo"


def typed_timezone(name: str) -> str:
    """*name* as the IANA database spells it; Mistake, with the nearest name, when it knows none like it."""
    known = {zone.casefold(): zone for zone in _timezones()}
    wanted = name.strip().replace(" ", "_").casefold()
    if wanted in known:
        return known[wanted]
    near = difflib.get_close_matches(wanted, known, n=1, cutoff=0.5)
    hint = f"did you mean {known[near[0]]}?" if near else "write it like America/Toronto or Europe/Berlin."
    raise Mistake(f"There is no time zone {name!r}: {hint}")


def typed_country(code: str) -> str:
    """*code* in capitals, when ISO 3166 has it; else Mistake."""
    wanted = code.strip().upper()
    if wanted in _countries():
        return wanted
    raise Mistake(f"There is no country {code!r}: write its two letters of ISO 3166, such as CA, GB or DE.")


def country_of_timezone(name: str) -> str | None:
    """The country of a time zone, the first one where several share it; None for UTC and its like."""
    return _country_by_zone().get(name) or _country_by_zone().get(_links().get(name, ""))


@cache
def _timezones() -> frozenset[str]:
    return frozenset((resources.files("tzdata") / "zones").read_text("ascii").split())


@cache
def _countries() -> frozenset[str]:
    return frozenset(row[0] for row in _rows("iso3166.tab"))


@cache
def _country_by_zone() -> dict[str, str]:
    return {row[2]: row[0] for row in _rows("zone.tab")}


@cache
def _links() -> dict[str, str]:
    """Older spelling -> the zone that it stands for, as in US/Eastern -> America/New_York."""
    lines = (_DATABASE / "tzdata.zi").read_text("ascii").splitlines()
    return {words[2]: words[1] for words in map(str.split, lines) if words[:1] == ["L"]}


def _rows(table: str) -> list[list[str]]:
    lines = (_DATABASE / table).read_text("utf-8").splitlines()
    return [line.split("\t") for line in lines if line and not line.startswith("#")]
