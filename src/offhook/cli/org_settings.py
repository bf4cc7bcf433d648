"""What `offhook org set` may set: one row per key says how its value is read, and what it is for."""

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from offhook.cli.typed import a_name
from offhook.errors import Mistake
from offhook.places import typed_country, typed_timezone

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}", re.ASCII)
_RESERVED = ("system__", "secret__")


class Key(NamedTuple):
    read: Callable[[str], Any]
    about: str


def _variables(text: str) -> dict[str, Any]:
    try:
        declared = msgspec.json.decode(text, type=dict[str, str | int | float | bool])
    except msgspec.DecodeError as error:
        raise Mistake(f'variables must be JSON such as {{"plan": "basic", "visits": 0}}: {error}.') from None
    for name in declared:
        if not _VARIABLE.fullmatch(name) or name.startswith(_RESERVED):
            raise Mistake(
                f"{name!r} cannot name a variable: use letters, digits and _, and leave system__ and secret__ to ElevenLabs."
            )
    return declared


COLUMNS: dict[str, Key] = {
    "name": Key(lambda text: a_name(text, "the organisation"), "What it is called; told to agents as org_name."),
    "timezone": Key(typed_timezone, "Its IANA time zone; bare dates are read in it."),
    "country": Key(typed_country, "Where its national numbers are dialled (ISO 3166, two letters)."),
}
SETTINGS: dict[str, Key] = {
    "variables": Key(_variables, "What every greeting fills, with defaults, as JSON."),
}

_WIDTH = max(map(len, (*COLUMNS, *SETTINGS)))

HELP = "\n".join(
    [
        "Keys:",
        *(f"  {name:<{_WIDTH}}  {key.about}" for name, key in (COLUMNS | SETTINGS).items()),
        "",
        "KEY= without a value takes a setting back to its default.",
        "",
        "Examples:",
        '  offhook org set Acme name="Acme Corporation" country=CA',
        "  offhook org set Acme timezone=America/Toronto",
        """  offhook org set Acme variables='{"plan": "basic"}'""",
        "",
    ]
)


def read_assignments(assignments: Sequence[str]) -> tuple[dict[str, str], dict[str, Any]]:
    """The columns and the settings that KEY=VALUE words change; a setting of None goes back to its default."""
    if not assignments:
        raise Mistake("Say what to change as KEY=VALUE; `offhook org set --help` lists the keys.")
    columns: dict[str, str] = {}
    settings: dict[str, Any] = {}
    for assignment in assignments:
        name, sign, value = assignment.partition("=")
        if not sign or name not in COLUMNS | SETTINGS:
            raise Mistake(f"{assignment!r} sets nothing: write KEY=VALUE with one of {', '.join(COLUMNS | SETTINGS)}.")
        if name in COLUMNS:
            columns[name] = COLUMNS[name].read(value)
        else:
            settings[name] = SETTINGS[name].read(value) if value else None
    return columns, settings
