"""Telephone numbers in E.164, whatever their spelling."""

import re
from functools import lru_cache

import phonenumbers

_E164 = re.compile(r"\+[1-9][0-9]{6,14}\Z", re.ASCII)
_NOBODY = frozenset({"", "anonymous", "restricted", "unknown", "unavailable", "private", "withheld", "blocked"})
#: Twilio's spelling of a withheld caller: the keypad letters of ANONYMOUS.
_KEYPAD_ANONYMOUS = "266696687"


@lru_cache(maxsize=65_536)
def e164(spelling: str, country: str = "US") -> str | None:
    """*spelling* in E.164, or None for what is no number (withheld, anonymous, a SIP name).

    *country* (ISO 3166 alpha-2) is where a national spelling is dialled. SIP addresses give their user part.
    """
    if _E164.match(spelling) and not spelling.endswith(_KEYPAD_ANONYMOUS):
        return spelling
    words = _user_part(spelling)
    if words.casefold() in _NOBODY or words.lstrip("+") == _KEYPAD_ANONYMOUS:
        return None
    if words.startswith("00"):
        words = "+" + words[2:]
    try:
        number = phonenumbers.parse(words[:64], country)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def country_of(number: str) -> str | None:
    """The country (ISO 3166 alpha-2) of an E.164 number; None when its prefix names none or several."""
    try:
        region = phonenumbers.region_code_for_number(phonenumbers.parse(number))
    except phonenumbers.NumberParseException:
        return None
    return region if region and region != "001" else None


def masked(number: str | None) -> str:
    """For logs: the last two digits only."""
    return f"…{number[-2:]}" if number else "-"


def _user_part(spelling: str) -> str:
    words = spelling.strip()
    for scheme in ("sips:", "sip:", "tel:", "whatsapp:"):
        if words.lower().startswith(scheme):
            words = words[len(scheme) :]
    return words.split("@", 1)[0].split(";", 1)[0].strip()
