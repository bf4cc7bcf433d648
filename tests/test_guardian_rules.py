"""What the guardian takes for wrong: pure rules."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.guardian import verdict
from offhook.guardian.addresses import WEBHOOK, leads_to, org_in
from offhook.guardian.silence import HOUR_S, Silence, unusual_silence
from offhook.guardian.verdict import UNREACHED_S, Expected, of_workspace
from offhook.guardian.workspace import Agent, Hook, Route, Workspace
from offhook.streaks import Streak

WEEK = 168
MONDAY_9 = 2_912 * WEEK + 96 + 9  #: an hour (unix time / 3600) that is nine o'clock on a Monday, UTC
NOW = 1_747_580_641.0


def office(calls_an_hour: int, until: int, weeks: int = 8) -> dict[int, int]:
    """Calls by hour: Monday to Friday from nine to five, in the weeks before the hour *until*."""
    days = [MONDAY_9 - week * WEEK + day * 24 for week in range(-1, weeks + 1) for day in range(5)]
    hours = [day + hour for day in days for hour in range(8)]
    return {hour: calls_an_hour for hour in hours if hour < until}


def test_a_line_that_falls_silent_at_work_is_noticed_once_eight_calls_are_missing() -> None:
    noticed = [
        hours for hours in range(1, 8) if unusual_silence(office(4, MONDAY_9 + 1), (MONDAY_9 + 1 + hours) * 3600)
    ]
    assert [2, 3, 4, 5, 6, 7] == noticed
    assert Silence(2, 8.0) == unusual_silence(office(4, MONDAY_9 + 1), (MONDAY_9 + 3) * HOUR_S + 1800)


def test_nights_and_weekends_are_no_silence() -> None:
    quiet = range(MONDAY_9 + 8, MONDAY_9 + 24)
    assert [] == [hour for hour in quiet if unusual_silence(office(50, MONDAY_9 + 8), hour * HOUR_S)]
    friday_5 = MONDAY_9 + 4 * 24 + 8
    weekend = range(friday_5, friday_5 + 64)
    assert [] == [hour for hour in weekend if unusual_silence(office(50, friday_5), hour * HOUR_S)]


def test_the_hour_that_is_not_over_yet_does_not_count() -> None:
    assert None is unusual_silence(office(50, MONDAY_9 + 1), (MONDAY_9 + 2) * HOUR_S - 1)
    assert Silence(1, 50.0) == unusual_silence(office(50, MONDAY_9 + 1), (MONDAY_9 + 2) * HOUR_S)


def test_what_has_been_as_silent_before_is_not_unusual() -> None:
    """A holiday, a week of leave: one of the last four weeks knows it."""
    by_hour = office(10, MONDAY_9)
    for hour in range(MONDAY_9 - 2 * WEEK, MONDAY_9 - 2 * WEEK + 24):
        by_hour.pop(hour, None)
    assert None is unusual_silence(by_hour, (MONDAY_9 + 8) * HOUR_S)


def test_a_young_line_has_no_habits_yet() -> None:
    assert None is unusual_silence(office(10, MONDAY_9, weeks=2), (MONDAY_9 + 4) * HOUR_S)
    assert None is not unusual_silence(office(10, MONDAY_9, weeks=3), (MONDAY_9 + 4) * HOUR_S)
    assert None is unusual_silence({}, NOW)


def test_a_long_silence_is_said_for_four_weeks_and_then_is_the_custom() -> None:
    by_hour = office(4, MONDAY_9)
    said = [day for day in range(60) if unusual_silence(by_hour, (MONDAY_9 + 8 + day * 24) * HOUR_S)]
    assert [*range(26)] == said[:26]
    assert 28 > said[-1]


@given(st.dictionaries(st.integers(0, 2000), st.integers(1, 9), max_size=300), st.floats(0, 2000 * HOUR_S))
def test_whatever_the_traffic_was_only_eight_expected_calls_or_more_are_a_silence(
    by_hour: dict[int, int], now: float
) -> None:
    found = unusual_silence(by_hour, now)
    assert found is None or (8 <= found.expected and max(by_hour) + found.hours < now / HOUR_S)


@pytest.mark.parametrize(
    ("url", "public_url", "leads_here"),
    [
        (f"https://calls.example.com{WEBHOOK}?org=1", "https://calls.example.com", True),
        (f"HTTPS://Calls.Example.com:443{WEBHOOK}/?org=1", "https://calls.example.com", True),
        (f"https://example.com/calls{WEBHOOK}", "https://example.com/calls", True),
        (f"https://calls.example.com{WEBHOOK}", "https://example.com/calls", False),
        (f"http://calls.example.com{WEBHOOK}", "https://calls.example.com", False),
        (f"https://old.example.com{WEBHOOK}", "https://calls.example.com", False),
        (f"https://calls.example.com{WEBHOOK}/personalization", "https://calls.example.com", False),
        (f"https://anywhere.example{WEBHOOK}", "", True),
        ("https://calls.example.com/", "", False),
        ("https://calls.example.com:port/", "https://calls.example.com", False),
        ("", "", False),
    ],
)
def test_an_address_leads_here_or_elsewhere(url: str, public_url: str, leads_here: bool) -> None:
    assert leads_here == leads_to(url, WEBHOOK, public_url)


def test_an_address_says_whose_events_come_by_it() -> None:
    assert ["a", None, None] == [org_in(f"https://x.example/{query}") for query in ("?org=a&x=1", "?x=1", "")]


# A workspace

ORG = "a" * 24
EXPECTED = Expected(org_id=ORG, public_url="https://calls.example.com")
HOOK = Hook(webhook_id="wh", webhook_url=f"https://calls.example.com{WEBHOOK}?org={ORG}", retry_enabled=True)
PERSONALIZATION = f"https://calls.example.com{WEBHOOK}/personalization"
ROUTE = Route(post_call_webhook_id="wh", events=("transcript", "audio", "call_initiation_failure"))


def agent(agent_id: str = "agent_1", **facts: object) -> Agent:
    well = {"own_route": None, "own_personalization_url": None, "is_personalized": True}
    return Agent(**{"agent_id": agent_id, "name": agent_id.title(), **well, **facts})  # type: ignore[arg-type]


def there(*agents: Agent, hooks: tuple[Hook, ...] = (HOOK,), route: Route = ROUTE) -> Workspace:
    by_id = {hook.webhook_id: hook for hook in hooks}
    return Workspace(hooks=by_id, route=route, personalization_url=PERSONALIZATION, agents=agents or (agent(),))


def codes(seen: Workspace, expected: Expected = EXPECTED) -> dict[str, str]:
    return {finding.code: finding.severity for finding in of_workspace(seen, expected, NOW)}


def test_retries_are_not_missed_where_there_are_none_to_be_had() -> None:
    off = there(hooks=(Hook(webhook_id="wh", webhook_url=HOOK.webhook_url, retry_enabled=False),))
    unsaid = there(hooks=(Hook(webhook_id="wh", webhook_url=HOOK.webhook_url),))
    hipaa = Expected(org_id=ORG, public_url=EXPECTED.public_url, is_hipaa=True)
    unset = Expected(org_id=ORG, public_url=EXPECTED.public_url, has_retries=False)
    assert [{"retries_off": "warning"}, {}, {}] == [codes(off), codes(off, hipaa), codes(unsaid)]
    assert {"retries_off": "warning"} == codes(unsaid, unset)


def test_an_agent_whose_events_go_elsewhere_is_named_and_the_workspaces_own_way_matters_only_to_the_others() -> None:
    elsewhere = Hook(webhook_id="other", webhook_url="https://other.example/hook", retry_enabled=True)
    wanderer = agent("agent_2", own_route=Route(post_call_webhook_id="other", events=ROUTE.events))
    (finding,) = of_workspace(there(agent(), wanderer, hooks=(HOOK, elsewhere)), EXPECTED, NOW)
    assert ("webhook_url_wrong", ["Agent_2 (agent_2)"]) == (finding.code, finding.details["agents"])
    own = agent(own_route=ROUTE)
    assert {} == codes(there(own, route=Route()))
    assert {"webhook_missing": "error"} == codes(there(own, agent("agent_2"), route=Route()))


def test_an_agents_own_personalization_counts_for_it() -> None:
    stray = agent(own_personalization_url="https://other.example/ask")
    assert {"personalization_url_wrong": "warning"} == codes(there(stray))
    (finding,) = of_workspace(there(agent(), agent("agent_2", is_personalized=False)), EXPECTED, NOW)
    assert "Before a call, 1 of 2 agents does not ask who is ringing." == finding.message


def test_what_strangers_may_read_names_nobody() -> None:
    wrong = there(
        agent(is_personalized=False),
        hooks=(Hook(webhook_id="wh", webhook_url=f"https://calls.example.com{WEBHOOK}?org={'b' * 24}"),),
    )
    for finding in of_workspace(wrong, EXPECTED, NOW):
        assert [] == [
            word for word in (ORG, "b" * 24, "agent_1", "example.com") if word in finding.message + finding.remedy
        ]


def test_a_streak_is_a_warning_and_then_an_error() -> None:
    assert ["warning", "warning", "error"] == [verdict.of_streak(Streak(count, 401)).severity for count in (3, 5, 6)]


def test_elevenlabs_is_watched_for_six_hours_before_its_silence_is_said() -> None:
    said = [verdict.of_no_answer("Down.", silent_s).severity for silent_s in (0, UNREACHED_S - 1, UNREACHED_S)]
    assert ["watched", "watched", "warning"] == said


@pytest.mark.parametrize(
    ("fetched", "theirs", "is_said"), [(0, 0, False), (2, 4, False), (3, 15, True), (3, 16, False)]
)
def test_calls_that_had_to_be_fetched_are_said_when_they_are_no_accident(
    fetched: int, theirs: int, is_said: bool
) -> None:
    assert is_said == bool(verdict.of_undelivered(fetched, theirs))
