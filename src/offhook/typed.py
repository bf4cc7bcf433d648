"""What a person types, read: each function gives the value or raises Mistake with a sentence that says how to write it."""

import re
import unicodedata

from offhook.errors import Mistake
from offhook.phone import e164

_MAX_NAME = 200
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"([0-9]{1,6})([smhdw])", re.ASCII)
_LONGEST_S = 366 * 86_400
_AGENT_ID = re.compile(r"[!-~]{1,200}", re.ASCII)
_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-(([01]\d|2[0-3]):([0-5]\d)|24:00)", re.ASCII)
_MOST = 1_000_000
_EMAIL = re.compile(r"(?=.{3,254}\Z)[^\s@\x00-\x1f\x7f]+@[^\s@\x00-\x1f\x7f]+")


def a_name(text: str, of: str) -> str:
    """*text* without blanks at its ends; *of* says what it names."""
    name = text.strip()
    if not name:
        raise Mistake(f"The name of {of} is empty: say what it is called.")
    if len(name) > _MAX_NAME or any(unicodedata.category(sign).startswith("C") for sign in name):
        raise Mistake(f"The name of {of} must be at most {_MAX_NAME} characters, without control characters.")
    return name


def a_duration(text: str) -> float:
    """Seconds; at most a year."""
    if text.strip() == "0":
        return 0.0
    match = _DURATION.fullmatch(text.strip().lower())
    if match is None or (seconds := int(match[1]) * _SECONDS[match[2]]) > _LONGEST_S:
        raise Mistake(f"{text!r} is no duration of at most a year: write it like 30m, 24h or 7d, or 0 for at once.")
    return float(seconds)


def a_number(text: str, country: str) -> str:
    """In E.164; national spellings are read as dialled in *country*."""
    number = e164(text, country)
    if number is None:
        raise Mistake(f"{text!r} cannot be read as a telephone number: write it with its country, like +14165550100.")
    return number


def an_agent_id(text: str) -> str:
    if not _AGENT_ID.fullmatch(text):
        raise Mistake(f"{text!r} is no agent id: copy it from ElevenLabs, where it looks like agent_01jz....")
    return text


def an_email(text: str) -> str:
    """As far as it can be told without sending one."""
    if not _EMAIL.fullmatch(text):
        raise Mistake(f"{text!r} is no email address: write it like alex@example.com.")
    return text


def typed_switch(text: str) -> bool:
    """on or off, in the words that people have for them."""
    words = {"on": True, "yes": True, "true": True, "off": False, "no": False, "false": False}
    if text.strip().lower() not in words:
        raise Mistake(f"{text!r} is neither on nor off.")
    return words[text.strip().lower()]


def a_count(text: str) -> int:
    words = text.strip()
    if not (words.isascii() and words.isdigit() and int(words[:10]) <= _MOST):
        raise Mistake(f"{text!r} is no number from 0 to {_MOST:,}.")
    return int(words)


def hours_of_a_day(text: str) -> dict[str, str]:
    """As rules.Hours has them."""
    words = text.replace(" ", "")
    if not _HOURS.fullmatch(words):
        raise Mistake(f"{text!r} are no hours: write them like 21:00-08:00.")
    begin, _, end = words.partition("-")
    return {"begin": begin, "end": end}
