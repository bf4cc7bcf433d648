"""What an organisation decides: one row per key says how what a person types for it is read, and what it is for.

A key is a fact of the organisation's row (its name), or a rule (rules.py); the word that a rule has there is in its row here.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from offhook.errors import Mistake
from offhook.hours import typed_holidays, typed_hours
from offhook.phone import e164
from offhook.places import typed_country, typed_timezone
from offhook.texts import MAX_CHARS
from offhook.typed import a_count, a_name, hours_of_a_day, typed_switch


class Key(NamedTuple):
    read: Callable[[str], Any]
    about: str
    rule: str | None = None  #: as organizations.decide takes it; None: a fact of its row


def _a_message(text: str) -> str:
    if len(text) > MAX_CHARS:
        raise Mistake(f"The message has {len(text)} characters: {MAX_CHARS} at most.")
    return text.strip()


def _countries(text: str) -> list[str]:
    return [typed_country(code) for code in text.split(",")]


def _a_sender(text: str) -> str:
    """A number, a messaging service's id, or a name where the provider allows one."""
    if not text.strip():
        raise Mistake("Texts must come from somewhere: write text-sender=+12362320246, or text-sender=default.")
    return (e164(text) if text.startswith("+") else None) or text.strip()


KEYS: dict[str, Key] = {
    "name": Key(lambda text: a_name(text, "the organisation"), "What it is called; told to agents as org_name."),
    "timezone": Key(typed_timezone, "Its IANA time zone; bare dates are read in it."),
    "country": Key(typed_country, "Where its national numbers are dialled (ISO 3166)."),
    "memory": Key(typed_switch, "Whether agents are told of earlier calls (on, off).", "memory"),
    "free-text": Key(typed_switch, "Whether they may be told more than a topic (on, off).", "free_text"),
    "business-hours": Key(
        typed_hours, 'When somebody is there: "mon-fri 09:00-17:00; sat 10-14", or closed.', "business_hours"
    ),
    "holidays": Key(typed_holidays, 'Days when nobody is: "12-25, 2027-04-02".', "holidays"),
    "missed-call-text": Key(typed_switch, "Whether callers who were missed are texted (on, off).", "missed_call_text"),
    "missed-call-message": Key(
        _a_message, "What they are texted, with {{contactName}}, {{agentName}}, {{orgName}}.", "missed_call_message"
    ),
    "text-countries": Key(_countries, "Where texts may go, such as CA,US.", "texts.countries"),
    "text-mobile-only": Key(typed_switch, "Whether only mobile numbers are texted (on, off).", "texts.mobile_only"),
    "text-sender": Key(_a_sender, "The number that texts come from.", "texts.sender"),
    "texts-per-number": Key(a_count, "Texts to one number in 24 hours, at most.", "texts.per_number_a_day"),
    "texts-per-call": Key(a_count, "Texts for one call, at most.", "texts.per_call"),
    "texts-per-day": Key(a_count, "Texts in 24 hours, at most.", "texts.a_day"),
    "texts-to-others": Key(typed_switch, "Whether agents may text not only the caller (on, off).", "texts.to_others"),
    "quiet-hours": Key(hours_of_a_day, "When texts wait where the person is: 21:00-08:00.", "texts.quiet_hours"),
}
