"""What an organisation has decided: texts, hours, memory, variables. Kept as JSON in its row, read with defaults."""

from typing import Any, Literal

import msgspec

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
VariableType = Literal["string", "number", "boolean"]


class Hours(msgspec.Struct, frozen=True):
    """From when until when, in the local time of whoever is meant; an end before the begin lies on the next day."""

    begin: str  #: "09:00"
    end: str  #: "17:00"; "24:00" is midnight


_WORKING_DAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri")
_OFFICE_HOURS: dict[Weekday, tuple[Hours, ...]] = dict.fromkeys(_WORKING_DAYS, (Hours("09:00", "17:00"),))


class TextRules(msgspec.Struct, frozen=True, kw_only=True):
    """Whom offhook may text, and how often."""

    countries: tuple[str, ...] = ()  #: ISO 3166; (): those of the organisation's numbers, else its own
    quiet_hours: Hours | None = None  #: in the person's zone; a text waits until they are over
    per_number_a_day: int = 3
    per_block_a_day: int = 20  #: to the thousand numbers that differ in their last three digits
    per_call: int = 2
    a_day: int = 500  #: to all numbers together
    to_others: bool = False  #: an agent may text another number than the caller's own
    mobile_only: bool = True
    sender: str | None = None  #: the number or name that texts come from; None: the provider's own


class Variable(msgspec.Struct, frozen=True, kw_only=True):
    """A dynamic variable that agents use, and that every answer therefore fills."""

    name: str
    type: VariableType = "string"
    default: str | int | float | bool = ""


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """All of it; a key that is missing has its default."""

    missed_call_message: str | None = None  #: with {{contactName}}, {{agentName}}, {{orgName}}
    missed_call_text: bool = False  #: whether it is sent
    texts: TextRules = TextRules()
    business_hours: dict[Weekday, tuple[Hours, ...]] = msgspec.field(default_factory=lambda: dict(_OFFICE_HOURS))
    holidays: tuple[str, ...] = ()  #: closed all day: "2026-12-25", or "12-25" for every year
    memory: bool = False  #: agents are told what earlier calls were about
    free_text: bool = False  #: variables may hold longer text than a name
    variables: tuple[Variable, ...] = ()


def read_rules(settings: dict[str, Any]) -> Rules:
    """The rules in an organisation's settings; what a later offhook wrote and this one cannot read has its default."""
    try:
        return msgspec.convert(settings, Rules)
    except msgspec.ValidationError:
        readable = {name: value for name, value in settings.items() if _is_readable(name, value)}
        return msgspec.convert(readable, Rules)


def _is_readable(name: str, value: Any) -> bool:
    try:
        msgspec.convert({name: value}, Rules)
    except msgspec.ValidationError:
        return False
    return True
