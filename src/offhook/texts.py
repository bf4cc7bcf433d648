"""Texts, as rules: what is written in them, and who may be sent one, when, and how often. Pure.

Whoever may be made to send texts will be: a caller talks an agent into it, a script dials numbers that cost their ringers
money. So every text passes the same gate, whatever wants it.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec
import phonenumbers
from phonenumbers import PhoneNumberType
from phonenumbers.timezone import time_zones_for_number

from offhook.phone import country_of
from offhook.rules import Hours, TextRules

MAX_CHARS = 500  #: of a text, or of its template
TOKENS = ("contactName", "agentName", "orgName")
DAY_S = 86_400.0  #: caps "a day" count the last 24 hours

_MAX_FILLED_CHARS = 1_600  #: what Twilio takes at most; names may be longer than their tokens
_TOKEN = re.compile(r"\{\{\s*(\w{1,64})\s*\}\}")
_BRACES = re.compile(r"[{}]{2,}")
_BEFORE_A_MARK = re.compile(r"[ \t]+([,.;:!?])")
_ORPHANED_MARK = re.compile(r"(?m)^[ \t]*[,;:][ \t]*|([,;:])(?:[ \t]*[,;:])+")
_BLANKS = re.compile(r"[ \t\u00a0]+")
_BLANK_LINES = re.compile(r"\n{3,}")
_BLOCK_DIGITS = 3  #: numbers that differ in their last digits only are mostly one owner's

_MOBILE = frozenset({PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE})
#: Never premium or shared-cost numbers, whose owners earn by being texted, nor what no numbering plan knows.
_PERSONAL = _MOBILE | {PhoneNumberType.FIXED_LINE, PhoneNumberType.VOIP, PhoneNumberType.PERSONAL_NUMBER}

Word = Literal[
    "no_number", "number_type", "country", "opted_out", "cap_number", "cap_block", "cap_call", "cap_day", "quiet_hours",
    "not_the_caller",
]  # fmt: skip


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What has been begun already, without the text in question; the last 24 hours where no call bounds it."""

    to_number: int = 0
    to_block: int = 0  #: the thousand numbers around it
    of_call: int = 0
    of_organization: int = 0
    is_opted_out: bool = False


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a text may go."""

    verdict: Literal["allow", "wait", "suppress"]
    until: float | None = None  #: wait: unix
    word: Word | None = None
    sentence: str = ""  #: why not, or not now; an agent may say it


ALLOW = Decision(verdict="allow")


def decide(
    to: str | None, rules: TextRules, countries: Collection[str], counts: Counts, zone: str, now: float
) -> Decision:
    """May *to* (E.164) be texted at *now* (unix)? *countries*: where texts may go; *zone*: for numbers that tell none."""
    refused = _of_number(to, rules, countries) or _of_person(counts) or _of_caps(rules, counts)
    if refused is not None:
        return refused
    assert to is not None
    return _of_hours(to, rules.quiet_hours, zone, now)


def countries_of(rules: TextRules, own_numbers: Collection[str], own_country: str) -> frozenset[str]:
    """Where an organisation's texts may go: where it says, else where its numbers are, else where it is."""
    theirs = frozenset(country for number in own_numbers if (country := country_of(number)))
    return frozenset(rules.countries) or theirs or frozenset({own_country})


def block_of(number: str) -> str:
    """The digits that the numbers around *number* (E.164) share."""
    return number[:-_BLOCK_DIGITS]


def filled(template: str, words: Mapping[str, str | None]) -> str:
    """*template* with its tokens filled; what is unknown is left out, with the blanks and commas around it."""
    text = _TOKEN.sub(lambda token: _BRACES.sub("", words.get(token[1]) or ""), template)
    return _tidy(_BRACES.sub("", text))[:_MAX_FILLED_CHARS].rstrip()


def _tidy(text: str) -> str:
    text = _BLANKS.sub(" ", text)
    text = _BEFORE_A_MARK.sub(r"\1", text)
    text = _ORPHANED_MARK.sub(lambda marks: marks[1] or "", text)
    text = "\n".join(line.strip() for line in text.split("\n"))
    return _BLANK_LINES.sub("\n\n", text).strip()


# Policy


def _no(word: Word, sentence: str) -> Decision:
    return Decision(verdict="suppress", word=word, sentence=sentence)


def _of_number(to: str | None, rules: TextRules, countries: Collection[str]) -> Decision | None:
    kind = _type_of(to) if to else None
    if to is None or kind is None:
        return _no("no_number", "There is no number that a text could be sent to.")
    if kind not in (_MOBILE if rules.mobile_only else _PERSONAL):
        return _no("number_type", "That number cannot receive texts.")
    if country_of(to) not in countries:
        return _no("country", "Texts are not sent to numbers in that country.")
    return None


def _of_person(counts: Counts) -> Decision | None:
    return _no("opted_out", "That number has asked not to be texted.") if counts.is_opted_out else None


def _of_caps(rules: TextRules, counts: Counts) -> Decision | None:
    if counts.to_number >= rules.per_number_a_day:
        return _no("cap_number", "That number has had as many texts today as it may.")
    if counts.to_block >= rules.per_block_a_day:
        return _no("cap_block", "Numbers like that one have had as many texts today as they may.")
    if counts.of_call >= rules.per_call:
        return _no("cap_call", "As many texts as a call may bring were sent for this one.")
    if counts.of_organization >= rules.a_day:
        return _no("cap_day", "No more texts can be sent today.")
    return None


@lru_cache(maxsize=4096)
def _type_of(number: str) -> int | None:
    """A PhoneNumberType; None for what is no telephone number."""
    try:
        return int(phonenumbers.number_type(phonenumbers.parse(number)))
    except phonenumbers.NumberParseException:
        return None


# Quiet hours


def _of_hours(to: str, quiet: Hours | None, zone: str, now: float) -> Decision:
    if quiet is None:
        return ALLOW
    zones = zones_of(to, zone)
    at = now
    for _ in range(4 * len(zones) + 4):
        end = max((end for zone in zones if (end := _end_of_quiet(quiet, zone, at))), default=None)
        if end is None:
            sentence = "It is too late, or too early, to text that number now; the text waits."
            return ALLOW if at == now else Decision(verdict="wait", until=at, word="quiet_hours", sentence=sentence)
        at = end
    return _no("quiet_hours", "There is no hour at which that number may be texted.")


@lru_cache(maxsize=4096)
def zones_of(number: str, otherwise: str) -> tuple[ZoneInfo, ...]:
    """The time zones in which whoever has *number* (E.164) may be, most often one."""
    found = [name for name in time_zones_for_number(phonenumbers.parse(number)) if name != "Etc/Unknown"]
    return tuple(_known_zones(found)) or (ZoneInfo(otherwise),)


def _known_zones(names: Collection[str]) -> Iterator[ZoneInfo]:
    for name in names:
        try:
            yield ZoneInfo(name)
        except (KeyError, ValueError):  # the libraries' years differ
            continue


def _end_of_quiet(quiet: Hours, zone: ZoneInfo, at: float) -> float | None:
    """When the quiet in which *at* (unix) lies ends; None when it lies in none."""
    local = datetime.fromtimestamp(at, zone)
    for days in (-1, 0):
        day = (local + timedelta(days=days)).date()
        begin, end = (_moment(day, hour, zone) for hour in (quiet.begin, quiet.end))
        if end <= begin:
            end = _moment(day + timedelta(days=1), quiet.end, zone)
        if begin <= at < end:
            return end
    return None


def _moment(day: date, hour: str, zone: ZoneInfo) -> float:
    if hour == "24:00":
        return _moment(day + timedelta(days=1), "00:00", zone)
    return datetime.combine(day, time.fromisoformat(hour), zone).timestamp()
