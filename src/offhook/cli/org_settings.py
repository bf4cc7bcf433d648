"""What `offhook org set` may set: one row per key says how its value is read, and what it is for."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from offhook.cli.typed import a_name, typed_switch
from offhook.errors import Mistake
from offhook.hours import typed_holidays, typed_hours
from offhook.places import typed_country, typed_timezone


class Key(NamedTuple):
    read: Callable[[str], Any]
    about: str
    is_rule: bool = False  #: one of rules.Rules (where - is _), kept in the organisation's settings


KEYS: dict[str, Key] = {
    "name": Key(lambda text: a_name(text, "the organisation"), "What it is called; told to agents as org_name."),
    "timezone": Key(typed_timezone, "Its IANA time zone; bare dates are read in it."),
    "country": Key(typed_country, "Where its national numbers are dialled (ISO 3166)."),
    "memory": Key(typed_switch, "Whether agents are told of earlier calls (on, off).", is_rule=True),
    "free_text": Key(typed_switch, "Whether they may be told more than a topic (on, off).", is_rule=True),
    "business-hours": Key(
        typed_hours, 'When somebody is there: "mon-fri 09:00-17:00; sat 10-14", or closed.', is_rule=True
    ),
    "holidays": Key(typed_holidays, 'Days when nobody is: "12-25, 2027-04-02".', is_rule=True),
}

_WIDTH = max(map(len, KEYS))

HELP = "\n".join(
    [
        "Keys:",
        *(f"  {name:<{_WIDTH}}  {key.about}" for name, key in KEYS.items()),
        "",
        "All but the first three take `default` for what they were in the beginning.",
        "",
        "Examples:",
        '  offhook org set Acme name="Acme Corporation" country=CA',
        "  offhook org set Acme timezone=America/Toronto",
        "  offhook org set Acme memory=on",
        '  offhook org set Acme business-hours="mon-fri 08:00-18:00; sat 10:00-14:00"',
        "",
    ]
)


def read_assignments(assignments: Sequence[str]) -> dict[str, Any]:
    """What KEY=VALUE words change, by key; None takes a rule back to what it was in the beginning."""
    if not assignments:
        raise Mistake("Say what to change as KEY=VALUE; `offhook org set --help` lists the keys.")
    facts: dict[str, Any] = {}
    for assignment in assignments:
        name, sign, value = assignment.partition("=")
        if not sign or name not in KEYS:
            raise Mistake(f"{assignment!r} sets nothing: write KEY=VALUE with one of {', '.join(KEYS)}.")
        is_taken_back = KEYS[name].is_rule and value == "default"
        facts[name] = None if is_taken_back else KEYS[name].read(value)
    return facts
