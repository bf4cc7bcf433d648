"""Telephone numbers in E.164, whatever their spelling."""

import re
from functools import lru_cache

import phonenumbers
from phonenumbers import PhoneNumber, PhoneNumberFormat, ValidationResult

DEFAULT_COUNTRY = "US"  #: ISO 3166 alpha-2; where national numbers are read when nobody says where they are dialled

_E164 = re.compile(r"\+[1-9][0-9]{6,14}\Z", re.ASCII)
#: North America in E.164: one length, no trunk digit, so nothing is left to be read into it.
_NORTH_AMERICAN = re.compile(r"\+1[2-9][0-9]{9}\Z", re.ASCII)
#: What follows a sign that begins a number; letters may stand for digits (1-800-FLOWERS) but not begin it.
_NUMBER = re.compile(r"[+\uff0b(\[\s]*\d")
_NOT_DIGITS = re.compile(r"\D")
_MAX_NUMBER_CHARS = 64
_MAX_ADDRESS_CHARS = 256  #: of a SIP address around it; longer ones are not held in memory either

#: Twilio's callers without a number: anonymous, restricted, blocked, unknown, unavailable, typed on a keypad.
#: https://help.twilio.com/articles/223179988, read 2026-10.
_TYPED_WORDS = frozenset({"266696687", "7378742833", "2562533", "8656696", "86282452253"})


def e164(spelling: str, country: str = DEFAULT_COUNTRY) -> str | None:
    """*spelling* in E.164, or None for what is no number (withheld, anonymous, a SIP name).

    *country* (ISO 3166 alpha-2) is where a national spelling is dialled. SIP addresses give their user part. Trunks
    often leave out the plus: what is no number in *country* is read as an international one.
    """
    if _NORTH_AMERICAN.match(spelling):
        return spelling
    return _read(spelling, country) if len(spelling) <= _MAX_ADDRESS_CHARS else None


@lru_cache(maxsize=32_768)
def _read(spelling: str, country: str) -> str | None:
    words = _user_part(spelling)
    if not _NUMBER.match(words) or len(words) > _MAX_NUMBER_CHARS or words.lstrip("+") in _TYPED_WORDS:
        return None
    readings = [number for reading in _readings(words, country) if (number := _parsed(*reading))]
    for holds in (_is_likely, _is_possible):
        for number in readings:
            if holds(number):
                return str(phonenumbers.format_number(number, PhoneNumberFormat.E164))
    # The form alone counts where the numbering plan says otherwise: plans change, and a lookup compares, it does not dial.
    compact = "+" + _NOT_DIGITS.sub("", words)
    return compact if words.startswith("+") and _E164.match(compact) else None


def caller_and_called(caller: str | None, called: str | None, country: str) -> tuple[str | None, str | None]:
    """Both ends of a call in E.164: *called* read in *country*, *caller* in the country of the number that was called."""
    ours = e164(called, country) if called else None
    theirs = e164(caller, (country_of(ours) if ours else None) or country) if caller else None
    return theirs, ours


@lru_cache(maxsize=4096)
def country_of(number: str) -> str | None:
    """The country (ISO 3166 alpha-2) of an E.164 number, the main one of those that share its prefix; None for none."""
    parsed = _parsed(number, None)
    if parsed is None:
        return None
    main = phonenumbers.region_code_for_country_code(parsed.country_code or 0)
    region = phonenumbers.region_code_for_number(parsed) or main
    return str(region) if region not in ("001", "ZZ") else None


def masked(number: str | None) -> str:
    """For logs: the last two digits only."""
    return f"…{number[-2:]}" if number else "-"


def _user_part(spelling: str) -> str:
    """The number in a SIP or tel address, with or without a display name; anything else as it is."""
    words = spelling.strip()
    if words.endswith(">"):
        words = words[:-1].rpartition("<")[2]
    for scheme in ("sips:", "sip:", "tel:", "whatsapp:"):
        if words[:9].lower().startswith(scheme):
            words = words[len(scheme) :]
    return words.split("@", 1)[0].split(";", 1)[0].strip()


def _readings(words: str, country: str) -> list[tuple[str, str | None]]:
    """The ways in which *words* may be meant, the likeliest first."""
    if words.startswith("+"):
        return [(words, None)]
    return [(words, country), ("+" + _NOT_DIGITS.sub("", words).lstrip("0"), None)]


def _parsed(words: str, country: str | None) -> PhoneNumber | None:
    try:
        return phonenumbers.parse(words, country)
    except phonenumbers.NumberParseException:
        return None


def _is_likely(number: PhoneNumber) -> bool:
    """Whether its numbering plan has it; in North America any ten digits do, because its area codes are not told apart
    from foreign prefixes by a trunk digit."""
    return phonenumbers.is_valid_number(number) or (number.country_code == 1 and _is_possible(number))


def _is_possible(number: PhoneNumber) -> bool:
    """Whether its length is one of its country's, area code included."""
    return bool(phonenumbers.is_possible_number_with_reason(number) == ValidationResult.IS_POSSIBLE)
