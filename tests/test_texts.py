"""Whom texts may go to, when, and what is in them: rules that hold whatever is asked."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook import texts
from offhook.rules import Hours, TextRules
from offhook.texts import ALLOW, MAX_CHARS, TOKENS, Counts, Decision, block_of, countries_of, decide, filled, zones_of

NUMBERS = st.sampled_from(
    ["+14165550100", "+16045550100", "+12125550100", "+491701234567", "+4930123456", "+18005550100", "+19005550100", "12", ""]
) | st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True)  # fmt: skip
COUNTS = st.builds(
    Counts, to_number=st.integers(0, 5), to_block=st.integers(0, 25), of_call=st.integers(0, 3),
    of_organization=st.integers(0, 600), is_opted_out=st.booleans(),
)  # fmt: skip
CLOCK = st.builds("{:02d}:{:02d}".format, st.integers(0, 23), st.integers(0, 59))
QUIET = st.none() | st.builds(Hours, CLOCK, CLOCK | st.just("24:00"))
RULES = st.builds(TextRules, quiet_hours=QUIET, mobile_only=st.booleans(), per_number_a_day=st.integers(0, 5))
TIMES = st.floats(1_700_000_000, 1_900_000_000)


@given(NUMBERS, RULES, COUNTS, TIMES)
def test_what_is_allowed_is_within_every_rule(to: str, rules: TextRules, counts: Counts, now: float) -> None:
    decision = decide(to, rules, {"CA", "DE"}, counts, "America/Toronto", now)
    if decision.verdict != "suppress":
        assert to.startswith(("+1", "+49"))
        assert not to.startswith(("+1800", "+1900", "+1212"))
        assert not counts.is_opted_out
        assert counts.to_number < rules.per_number_a_day
        assert counts.to_block < rules.per_block_a_day
        assert counts.of_call < rules.per_call
        assert counts.of_organization < rules.a_day
        at = now if decision.until is None else decision.until
        assert not any(_is_quiet(rules.quiet_hours, zone, at) for zone in zones_of(to, "America/Toronto"))
    assert (decision.verdict == "wait") == (decision.until is not None)
    assert decision.until is None or decision.until > now
    assert (decision.verdict == "allow") == (decision.sentence == "")


def _is_quiet(quiet: Hours | None, zone: ZoneInfo, at: float) -> bool:
    """By the clock on the wall, to the minute."""
    if quiet is None:
        return False
    wall = datetime.fromtimestamp(at, zone).strftime("%H:%M")
    if quiet.begin < quiet.end:
        return quiet.begin <= wall < quiet.end
    return wall >= quiet.begin or wall < quiet.end


@pytest.mark.parametrize(
    ("at", "until"),
    [
        ("2026-03-07T23:30-05:00", "2026-03-08T08:00-04:00"),  # the clocks go forward
        ("2026-10-31T23:30-04:00", "2026-11-01T08:00-05:00"),  # and back
        ("2026-06-01T07:59-04:00", "2026-06-01T08:00-04:00"),
        ("2026-06-01T08:00-04:00", None),
        ("2026-06-01T20:59-04:00", None),
    ],
)
def test_a_text_waits_until_the_persons_morning(at: str, until: str | None) -> None:
    rules = TextRules(quiet_hours=Hours("21:00", "08:00"))
    decision = decide("+14165550100", rules, {"CA"}, Counts(), "UTC", datetime.fromisoformat(at).timestamp())
    assert (None if until is None else datetime.fromisoformat(until).timestamp()) == decision.until


CALLER, LANDLINE, PREMIUM, NONSENSE = "+491701234567", "+4930123456", "+449098790000", "+447700900123"
NOON = datetime.fromisoformat("2026-06-01T12:00+02:00").timestamp()


def decided(to: str | None = CALLER, now: float = NOON, zone: str = "Europe/Berlin", **facts: Any) -> Decision:
    """In Germany and Britain; *facts*: fields of the rules, and of the counts."""
    counts = Counts(**{name: facts.pop(name) for name in Counts.__struct_fields__ if name in facts})
    return decide(to, TextRules(**facts), {"DE", "GB"}, counts, zone, now)


NO_NUMBER = ("no_number", "There is no number that a text could be sent to.")
NUMBER_TYPE = ("number_type", "That number cannot receive texts.")
COUNTRY = ("country", "Texts are not sent to numbers in that country.")
OPTED_OUT = ("opted_out", "That number has asked not to be texted.")
CAP_NUMBER = ("cap_number", "That number has had as many texts today as it may.")
CAP_BLOCK = ("cap_block", "Numbers like that one have had as many texts today as they may.")
CAP_CALL = ("cap_call", "As many texts as a call may bring were sent for this one.")
CAP_DAY = ("cap_day", "No more texts can be sent today.")
NO_HOUR = ("quiet_hours", "There is no hour at which that number may be texted.")

SUPPRESSED: list[tuple[tuple[str, str], dict[str, Any]]] = [
    (NO_NUMBER, {"to": None}),
    (NO_NUMBER, {"to": ""}),
    (NO_NUMBER, {"to": "12"}),
    (NUMBER_TYPE, {"to": LANDLINE}),
    (NUMBER_TYPE, {"to": PREMIUM}),
    (NUMBER_TYPE, {"to": PREMIUM, "mobile_only": False}),
    (NUMBER_TYPE, {"to": NONSENSE, "mobile_only": False}),
    (COUNTRY, {"to": "+33612345678"}),
    (OPTED_OUT, {"is_opted_out": True}),
    (OPTED_OUT, {"is_opted_out": True, "to_number": 3}),
    (CAP_NUMBER, {"to_number": 3}),
    (CAP_NUMBER, {"to_number": 1, "per_number_a_day": 1}),
    (CAP_NUMBER, {"to_number": 4, "to_block": 20}),
    (CAP_BLOCK, {"to_block": 20}),
    (CAP_BLOCK, {"to_block": 7, "per_block_a_day": 7, "of_call": 2}),
    (CAP_CALL, {"of_call": 2}),
    (CAP_CALL, {"of_call": 5, "per_call": 5, "of_organization": 500}),
    (CAP_DAY, {"of_organization": 500}),
    (CAP_DAY, {"of_organization": 9, "a_day": 9}),
    (NO_HOUR, {"quiet_hours": Hours("00:00", "24:00")}),
    (NO_HOUR, {"quiet_hours": Hours("08:00", "08:00")}),
]


@pytest.mark.parametrize(("why", "facts"), SUPPRESSED)
def test_what_may_not_be_sent_has_a_word_for_programs_and_a_sentence_for_people(
    why: tuple[str, str], facts: dict[str, Any]
) -> None:
    word, sentence = why
    assert {"verdict": "suppress", "word": word, "sentence": sentence, "until": None} == _as_dict(decided(**facts))


def _as_dict(decision: Decision) -> dict[str, Any]:
    return {name: getattr(decision, name) for name in decision.__struct_fields__}


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"to_number": 2, "to_block": 19, "of_call": 1, "of_organization": 499},
        {"to": LANDLINE, "mobile_only": False},
        {"to": "+447012345678", "mobile_only": False},  # a personal number
        {"quiet_hours": Hours("21:00", "08:00")},
        {"quiet_hours": Hours("12:01", "12:02")},
        {"quiet_hours": Hours("11:00", "12:00")},
    ],
)
def test_the_last_text_below_every_cap_may_go(facts: dict[str, Any]) -> None:
    assert decided(**facts) == ALLOW


QUIET_TEXT = "It is too late, or too early, to text that number now; the text waits."


@pytest.mark.parametrize(
    ("quiet", "now", "until"),
    [
        (Hours("12:00", "13:00"), "2026-06-01T12:00+02:00", "2026-06-01T13:00+02:00"),
        (Hours("12:00", "13:00"), "2026-06-01T12:59:59+02:00", "2026-06-01T13:00+02:00"),
        (Hours("21:00", "24:00"), "2026-06-01T23:00+02:00", "2026-06-02T00:00+02:00"),
        (Hours("21:00", "08:00"), "2026-06-01T21:00+02:00", "2026-06-02T08:00+02:00"),
        (Hours("21:00", "08:00"), "2026-06-02T00:30+02:00", "2026-06-02T08:00+02:00"),
        (Hours("08:01", "08:00"), "2026-06-01T12:00+02:00", "2026-06-02T08:00+02:00"),
        (Hours("21:00", "08:00"), "2026-05-31T22:00+00:00", "2026-06-01T06:00+00:00"),  # in the person's zone, not ours
    ],
)
def test_a_text_in_quiet_hours_waits_for_their_end_and_says_so(quiet: Hours, now: str, until: str) -> None:
    decision = decided(now=datetime.fromisoformat(now).timestamp(), quiet_hours=quiet)
    at = datetime.fromisoformat(until).timestamp()
    assert {"verdict": "wait", "word": "quiet_hours", "sentence": QUIET_TEXT, "until": at} == _as_dict(decision)


def test_whoever_may_be_in_several_zones_is_texted_when_it_is_day_in_each() -> None:
    lisbon_or_azores = "+351912345678"
    rules, now = TextRules(quiet_hours=Hours("21:00", "08:00")), datetime.fromisoformat("2026-06-01T07:30+01:00")
    decision = decide(lisbon_or_azores, rules, {"PT"}, Counts(), "UTC", now.timestamp())
    assert datetime.fromisoformat("2026-06-01T09:00+01:00").timestamp() == decision.until
    night = TextRules(quiet_hours=Hours("08:30", "07:30"))
    assert "suppress" == decide(lisbon_or_azores, night, {"PT"}, Counts(), "UTC", now.timestamp()).verdict


def test_where_a_number_tells_no_zone_the_organisations_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (ZoneInfo("Asia/Tokyo"),) == zones_of(NONSENSE, "Asia/Tokyo")
    assert (ZoneInfo("Europe/Berlin"),) == zones_of(CALLER, "Asia/Tokyo")
    quiet = Hours("21:00", "08:00")
    satellite = decide("+881612345678", TextRules(quiet_hours=quiet), {None}, Counts(), "Asia/Tokyo", NOON + 3600 * 3)  # type: ignore[arg-type]
    assert "wait" == satellite.verdict
    monkeypatch.setattr(texts, "time_zones_for_number", lambda _: ("No/Where", "Europe/Paris", "Etc/Unknown", "/etc"))
    assert (ZoneInfo("Europe/Paris"),) == zones_of("+33612345679", "Asia/Tokyo")


def test_texts_go_where_the_rules_say_else_where_the_numbers_are_else_where_the_organisation_is() -> None:
    own = ["+14165550100", CALLER, "+881612345678"]
    assert {"FR"} == countries_of(TextRules(countries=("FR",)), own, "US")
    assert {"CA", "DE"} == countries_of(TextRules(), own, "US")
    assert {"US"} == countries_of(TextRules(), ["+881612345678"], "US")


def test_a_block_is_a_thousand_numbers() -> None:
    assert "+14165550" == block_of("+14165550100")


FILLED = [
    ("Hi {{contactName}}, this is {{agentName}} of {{orgName}}.", "Hi, this is of Acme."),
    ("{{contactName}}, we missed you", "we missed you"),
    ("Sorry {{ contactName }} !", "Sorry!"),
    ("{{nobody}}{{", ""),
    ("One\n\n\n\nTwo  three", "One\n\nTwo three"),
    ("One\r\nTwo\r\n\r\n\r\nThree", "One\nTwo\n\nThree"),
    (" One \n Two\u00a0\t three ", "One\nTwo three"),
    ("So, {{contactName}}, hello ; {{contactName}}: {{orgName}} !", "So, hello; Acme!"),
    ("Hello\n , Acme", "Hello\nAcme"),
    ("a{b}c {{{orgName}}}", "a{b}c {Acme}"),
]


@pytest.mark.parametrize(("template", "text"), FILLED)
def test_what_is_unknown_is_left_out_and_tidied(template: str, text: str) -> None:
    assert text == filled(template, {"orgName": "Acme"})


def test_names_bring_no_tokens_and_make_no_text_too_long() -> None:
    assert "Hi Acme {x}" == filled("Hi {{orgName}}", {"orgName": "{{Ac}}me {x}", "Ac": "?"})
    assert "a" * 1600 == filled("{{orgName}}", {"orgName": "a" * 1601})
    assert "a" * 1599 == filled("{{orgName}}", {"orgName": "a" * 1599 + " b"})


PIECES = st.lists(st.sampled_from(["{{", "}}", "{", "}", " ", ",", "\n", "Hi", "{{orgName}}", "{{ contactName }}"]))


@given(PIECES.map("".join), st.dictionaries(st.sampled_from(TOKENS), st.none() | st.text()))
def test_no_text_has_braces_left(template: str, words: dict[str, str | None]) -> None:
    text = filled(template[:MAX_CHARS], words)
    assert "{{" not in text
    assert "}}" not in text
    assert text == text.strip()
