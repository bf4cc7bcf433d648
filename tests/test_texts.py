"""Whom texts may go to, when, and what is in them: rules that hold whatever is asked."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.rules import Hours, TextRules
from offhook.texts import MAX_CHARS, TOKENS, Counts, decide, filled, zones_of

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


FILLED = [
    ("Hi {{contactName}}, this is {{agentName}} of {{orgName}}.", "Hi, this is of Acme."),
    ("{{contactName}}, we missed you", "we missed you"),
    ("Sorry {{ contactName }} !", "Sorry!"),
    ("{{nobody}}{{", ""),
    ("One\n\n\n\nTwo  three", "One\n\nTwo three"),
]


@pytest.mark.parametrize(("template", "text"), FILLED)
def test_what_is_unknown_is_left_out_and_tidied(template: str, text: str) -> None:
    assert text == filled(template, {"orgName": "Acme"})


PIECES = st.lists(st.sampled_from(["{{", "}}", "{", "}", " ", ",", "\n", "Hi", "{{orgName}}", "{{ contactName }}"]))


@given(PIECES.map("".join), st.dictionaries(st.sampled_from(TOKENS), st.none() | st.text()))
def test_no_text_has_braces_left(template: str, words: dict[str, str | None]) -> None:
    text = filled(template[:MAX_CHARS], words)
    assert "{{" not in text
    assert "}}" not in text
    assert text == text.strip()
