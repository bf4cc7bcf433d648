"""What `offhook org set` may set, as KEY=VALUE."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from offhook.decisions import KEYS
from offhook.errors import Mistake


class Assigned(NamedTuple):
    """What KEY=VALUE words change."""

    facts: dict[str, str]
    rules: dict[str, Any]  #: None: back to the default
    said: dict[str, Any]  #: the rules again, by the name that was typed


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
        "  offhook org set Acme missed-call-text=on quiet-hours=21:00-08:00",
        "",
    ]
)


def decided(settings: dict[str, Any]) -> dict[str, Any]:
    """What an organisation decided, by the names that are typed; variables have a command of their own."""
    found = {name: _at(settings, key.rule.split(".")) for name, key in KEYS.items() if key.rule is not None}
    return {name: value for name, value in found.items() if value is not None}


def _at(settings: Any, path: Sequence[str]) -> Any:
    for part in path:
        settings = settings.get(part) if isinstance(settings, dict) else None
    return settings


def read_assignments(assignments: Sequence[str]) -> Assigned:
    """What KEY=VALUE words change; Mistake names the one that cannot be read."""
    if not assignments:
        raise Mistake("Say what to change as KEY=VALUE; `offhook org set --help` lists the keys.")
    assigned = Assigned({}, {}, {})
    for assignment in assignments:
        name, sign, value = assignment.partition("=")
        if not sign or name not in KEYS:
            raise Mistake(f"{assignment!r} sets nothing: write KEY=VALUE with one of {', '.join(KEYS)}.")
        key = KEYS[name]
        if key.rule is None:
            assigned.facts[name] = key.read(value)
        else:
            read = None if value == "default" else key.read(value)
            assigned.rules[key.rule] = assigned.said[name] = read
    return assigned
