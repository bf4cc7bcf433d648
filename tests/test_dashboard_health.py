"""Health: the verdict in each state, the fuse, the balance, what was given up, and what nobody can know."""

from typing import Any

import httpx
import pytest

from offhook.dashboard import latencies, phrases, verdicts
from offhook.dashboard.frame import pulse_of
from offhook.dashboard.verdicts import Fuse, fuse_of, verdict_of
from offhook.events import call_id
from offhook.store import health as healths
from offhook.store import pulse, workspaces
from offhook.store.health import Health
from offhook.store.pulse import Pulse
from offhook.store.tables import absences, audit, balances, effects, warnings
from offhook.store.warnings import Standing
from offhook.streaks import Streak
from tests.api import NOW, Api, hex_id
from tests.pages import Page
from tests.people import signed_in
from tests.test_api_events import file
from tests.test_dashboard_calls import HOSTILE

_DAY, _HOUR = 86_400.0, 3600.0

# The verdict


def test_ten_failures_and_seven_days_are_two_conditions_and_one_alone_switches_nothing_off() -> None:
    both = Fuse(10, 503, 8 * _DAY)
    assert (True, True) == (both.has_many_failures, both.is_quiet)
    assert "ElevenLabs may switch this webhook off at any moment" == _verdict(both).headline
    assert "ElevenLabs could switch this webhook off in 22 h" == _verdict(Fuse(10, 503, 6 * _DAY + 2 * _HOUR)).headline
    assert "ElevenLabs could switch this webhook off after 3 failures more" == _verdict(Fuse(7, 503, None)).headline
    assert "ok" == _verdict(Fuse(0, None, 30 * _DAY)).state  # a quiet line is no failure
    assert (10, 10) == (Fuse(10, 503, 1.0).cells, Fuse(55, 503, 1.0).cells)


@pytest.mark.parametrize(
    ("failures", "quiet_s", "state"),
    [
        (0, 60.0, "ok"), (2, 60.0, "ok"), (3, 60.0, "warn"), (4, 60.0, "warn"), (5, 60.0, "bad"),
        (1, 5 * _DAY, "ok"), (1, 5 * _DAY + 1, "bad"), (0, None, "unknown"),
    ],
)  # fmt: skip
def test_the_state_grows_with_the_failures(failures: int, quiet_s: float | None, state: str) -> None:
    assert state == _verdict(Fuse(failures, None, quiet_s)).state


def test_what_the_guardian_found_is_said_first() -> None:
    off = _verdict(Fuse(0, None, 60.0), findings=[_finding("retries_off"), _finding("webhook_auto_disabled", "error")])
    assert ("bad", "ElevenLabs has switched this webhook off", ["Do something."]) == (
        off.state,
        off.headline,
        off.remedies,
    )
    assert "bad" == _verdict(Fuse(0, None, 60.0), findings=[_finding("webhook_url_wrong", "error")]).state
    assert "warn" == _verdict(Fuse(0, None, 60.0), findings=[_finding("retries_off")]).state


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        ({"reconcile": "failing", "trouble": "No."}, "warn"), ({"reconcile": "behind"}, "warn"),
        ({"reconcile": "absent"}, "warn"), ({"reconcile": "ok"}, "ok"), ({"quarantined": 1}, "warn"),
        ({"effects": {"dead": 2}}, "warn"), ({"effects": {"due": 2}}, "ok"), ({"connected_at": None}, "unknown"),
    ],
)  # fmt: skip
def test_what_waits_for_a_person_is_amber_and_what_nobody_can_know_is_unknown(
    facts: dict[str, Any], state: str
) -> None:
    assert state == _verdict(Fuse(0, None, 60.0), **facts).state


def test_a_failed_call_that_was_fetched_later_counts_once() -> None:
    health = _health(last_success_at=NOW - 60, fetched_since=4)
    assert Fuse(4, 401, 60.0) == fuse_of(health, Streak(3, 401), NOW)
    assert Fuse(6, 503, 60.0) == fuse_of(health, Streak(6, 503), NOW)
    assert Fuse(3, 401, 60.0) == fuse_of(_health(last_success_at=NOW - 60, reconcile="behind"), Streak(3, 401), NOW)
    elsewhere = _health(findings=[_finding("answers_failing", details={"answers": 8, "status": 500})])
    assert Fuse(8, 500, None) == fuse_of(elsewhere, None, NOW)  # another replica's door


def test_one_failure_after_a_long_silence_is_a_danger_told_of_one_delivery() -> None:
    verdict = _verdict(Fuse(1, None, 6 * _DAY))
    assert ("bad", True) == (verdict.state, verdict.sentence.startswith("The last delivery failed."))


def test_whoever_was_refused_is_a_stranger_while_no_call_is_missing() -> None:
    assert Fuse(0, 401, 60.0) == fuse_of(_health(last_success_at=NOW - 60), Streak(9, 401), NOW)
    missing = _health(last_success_at=NOW - 60, reconcile="absent")
    assert Fuse(9, 401, 60.0) == fuse_of(missing, Streak(9, 401), NOW)  # maybe just those that we refused
    alone = _health(last_success_at=NOW - 60, connected_at=None, reconcile=None)
    assert Fuse(9, 401, 60.0) == fuse_of(alone, Streak(9, 401), NOW)  # nobody can be asked


def test_the_remedy_follows_from_how_it_fails() -> None:
    assert "secret" in _verdict(Fuse(5, 401, 60.0)).remedies[0]
    assert "`offhook doctor`" in _verdict(Fuse(5, 503, 60.0)).remedies[0]
    assert "proxy" in _verdict(Fuse(5, None, 60.0)).remedies[0]


def test_lengths_of_time_are_told_in_two_units_at_most() -> None:
    told = {59.9: "59 s", 60.0: "1 min", 7200.0: "2 h", _DAY: "1 day", 6 * _DAY + 2 * _HOUR + 59: "6 days 2 h"}
    assert told == {seconds: phrases.span(seconds) for seconds in told}


def test_of_waits_the_middle_and_the_worst_are_bounds_of_buckets() -> None:
    buckets = [(0.001, 0), (0.01, 6), (0.1, 9), (1.0, 10), (float("inf"), 10)]
    assert (10, 0.01, 1.0) == latencies.waits(buckets)
    assert None is latencies.waits([(0.1, 0)])
    assert None is latencies.waits([])


# The page


async def test_without_a_connection_the_page_says_what_cannot_be_known(api: Api) -> None:
    page = await _page(api, "owner")
    assert ["Unknown: Nothing has arrived yet"] == page.all("h2", id="verdict-h")
    assert [f"offhook connect {api.org.id}"] == page.all("code")[:1]
    assert "what never reached this server cannot be seen from here" in page.text
    await file(api, received_at=api.deps.now() - 60)
    assert "Deliveries arrive; whether every call does is unknown" in (await _page(api, "manager")).text
    for _ in range(5):
        api.deps.streaks.note(api.org.id, 401)
    page = await _page(api, "auditor")  # what our door answers counts before anything is on file
    assert ["5"] == page.values("div", "aria-valuenow", role="meter")
    assert "Our last answer that was not 200 was 401." in page.text
    assert f"offhook org rotate {api.org.id} webhook-secret --value wsec_..." in page.all("code")


async def test_a_healthy_line_is_green_and_shows_its_balance(api: Api) -> None:
    now = await _connect(api)
    await file(api, received_at=now - 600)
    await file(api, b"2", received_at=now - 300, source="reconciled", proof="none", event_timestamp=now - 900)
    day = {
        "org_id": api.org.id,
        "day": "2025-05-18",
        "theirs": 9,
        "ours": 9,
        "fetched": 2,
        "absent": 0,
        "updated_at": now,
    }
    await api.insert(balances, day)
    await api.add_recording(hex_id(1), b"0" * 2048)
    page = await _page(api, "owner")
    assert ["Well: Every call arrives"] == page.all("h2", id="verdict-h")
    assert ["0 of 10 failures in a row", "Last success 10m ago, within 7 days"] == page.all("b")[2:4]
    for words in ("9 of 9 conversations", "2 arrived only because we asked", "1 file, 2.0 kB", "offhook 0."):
        assert words in page.text, words
    assert ["Of the last 2: 1 accepted, 0 set aside, 1 fetched later"] == page.values(
        "div", "aria-label", class_="strip"
    )
    assert "Agents ask who is ringing" in page.all("li")
    await _findings_stand_with_their_remedies_and_are_text(api)


async def _findings_stand_with_their_remedies_and_are_text(api: Api) -> None:
    row = {"org_id": api.org.id, "since": NOW, "seen_at": NOW, "told_at": None, "severity": "error"}
    words = {
        "message": HOSTILE,
        "remedy": f"`offhook connect ORG --repair` {HOSTILE}",
        "details": '{"found": "<b>x</b>"}',
    }
    await api.insert(warnings, row | words | {"code": "webhook_auto_disabled"})
    absence = {"org_id": api.org.id, "conversation_id": HOSTILE, "what": "audio", "reason": HOSTILE, "is_final": True}
    await api.insert(absences, absence | {"began_at": api.deps.now() - 60, "noticed_at": NOW})
    page = await _page(api, "auditor")
    assert ["Danger: ElevenLabs has switched this webhook off"] == page.all("h2", id="verdict-h")
    assert f"offhook connect {api.org.id} --repair" in page.all("code")
    assert ["module"] == page.values("script", "type")
    assert f"/calls/{call_id(api.org.id, HOSTILE)}" in page.values("a", "href")
    assert "Found: <b>x</b>" in page.text


async def test_calls_that_had_to_be_fetched_burn_the_fuse(api: Api) -> None:
    now = await _connect(api, since_s=20 * _DAY)
    await file(api, received_at=now - 6 * _DAY - 2 * _HOUR)
    for number in range(7):
        facts = {"received_at": now - 60, "event_timestamp": now - 120, "call_id": hex_id(number)}
        await file(api, str(number).encode(), source="reconciled", proof="none", **facts)
    page = await _page(api, "owner")
    assert ["Danger: ElevenLabs could switch this webhook off in 21 h"] == page.all("h2", id="verdict-h")
    assert ["7"] == page.values("div", "aria-valuenow", role="meter")
    assert "Needs attention" in page.all("b")  # at the edge of every page
    assert 7 == page.values("i", "class").count("f")
    assert "What to do." in page.all("b")


# The edge of every page


async def test_the_edge_says_what_health_says_of_deliveries_that_we_refused_and_of_none_at_all(api: Api) -> None:
    page = await _page(api, "owner")
    assert "Not connected yet" in page.text
    now = await _connect(api, since_s=6 * _DAY)
    assert "Nothing has arrived yet The first call will tell" in await _edge(api)
    await _fetch(api, 5, at=now - 60)
    assert "Needs attention" in await _edge(api)
    health = await api.deps.database.read(healths.look, api.org.id, now, "2025-05-18")
    assert "bad" == verdict_of(health, fuse_of(health, None, now), now).state
    await file(api, b"late", received_at=now - 5, status="stale")  # answered with 401: our clock is wrong
    assert "Needs attention" in await _edge(api)
    assert (None, None) == (health.last_success_at, (await _pulse(api)).last_success_at)
    await file(api, b"good", received_at=now - 4)
    assert "Webhook healthy" in await _edge(api)


async def test_the_edge_counts_no_more_fetched_calls_than_switch_a_webhook_off(api: Api) -> None:
    now = await _connect(api)
    await _fetch(api, 24, at=now - 60)
    assert pulse.OFF_AT == (await _pulse(api)).fetched_since
    await api.settle()
    health = await api.deps.database.read(healths.look, api.org.id, now, "2025-05-18")
    assert 24 == health.fetched_since


async def _fetch(api: Api, count: int, *, at: float) -> None:
    for number in range(count):
        facts = {"received_at": at, "event_timestamp": at - 60, "call_id": hex_id(number)}
        await file(api, str(number).encode(), source="reconciled", proof="none", **facts)


async def _pulse(api: Api) -> Pulse:
    return await api.deps.database.read(pulse.take, api.org.id, api.deps.now())


async def _edge(api: Api) -> str:
    said = pulse_of(await _pulse(api), api.deps.now())
    return f"{said.words} {said.detail}"


# Dead letters


async def test_dead_letters_are_tried_again_and_nothing_else(api: Api) -> None:
    other = await api.add_organization()
    await api.insert(
        effects,
        _effect(api, 1, outcome=HOSTILE), _effect(api, 2, status="suppressed"), _effect(api, 3, status="done"),
        _effect(api, 4, org_id=other.id),
    )  # fmt: skip
    manager = await signed_in(api, "manager")
    assert "1 given up" in Page((await manager.get("/health")).text).all("span", class_="bad")
    page = Page((await manager.get("/health/dead-letters")).text)
    assert [hex_id(1)] == page.values("input", "value", name="id")
    assert {"Given up1", "Held back1"} <= set(page.all("a"))
    assert ["module"] == page.values("script", "type")
    ids = [hex_id(number) for number in (1, 2, 3, 4)]
    answer = await manager.post("/health/dead-letters/retry", data={"id": [*ids, "x"]})
    assert "/health/dead-letters?again=2" == answer.headers["location"]
    after = Page((await manager.get(answer.headers["location"])).text)
    assert "2 due again" in after.text
    assert "Nothing was given up" in after.text
    assert {1: "due", 2: "due", 3: "done", 4: "dead"} == await _statuses(api)
    assert ["effect_retried"] == await _audited(api)
    assert 403 == (await (await signed_in(api, "auditor")).post("/health/dead-letters/retry")).status_code
    assert "again=0" in (await manager.post("/health/dead-letters/retry")).headers["location"]


# Helpers


async def _page(api: Api, role: Any) -> Page:
    browser: httpx.AsyncClient = await signed_in(api, role)
    answer = await browser.get("/health")
    assert 200 == answer.status_code, answer.text
    return Page(answer.text)


async def _connect(api: Api, since_s: float = _DAY) -> float:
    """Connected so long ago; now."""
    now = api.deps.now()
    await api.deps.database.write(workspaces.keep, api.deps.keys, api.org.id, "sk_1", {}, now - since_s)
    await api.deps.database.write(workspaces.stamp_reconciled, api.org.id, now, now)
    return now


async def test_who_asks_has_the_schedules_come_round_at_once_and_not_more_often_than_each_minute(api: Api) -> None:
    now = api.deps.now()
    schedule: dict[str, Any] = {"org_id": None, "key": "", "status": "due", "due_at": now + _HOUR}
    rounds: list[dict[str, Any]] = [
        {"kind": "guard"}, {"kind": "reconcile", "updated_at": now - 30}, {"kind": "other"}, {"kind": "guard", "key": "7"},
    ]  # fmt: skip
    await api.insert(effects, *(_effect(api, number, **(schedule | one)) for number, one in enumerate(rounds, start=1)))
    browser = await signed_in(api, "manager")
    answer = await browser.post("/health/check")
    assert (303, "/health?done=asked") == (answer.status_code, answer.headers["location"])
    assert "It is being compared" in (await browser.get("/health?done=asked")).text
    rows = await api.deps.database.read(lambda tx: tx.execute(effects.select().order_by(effects.c.id)).all())
    assert [True, False, False, False] == [row.due_at <= api.deps.now() for row in rows]
    assert ["looked_now"] == await _audited(api)
    assert 303 == (await browser.post("/health/check")).status_code  # nothing is hastened any more
    assert ["looked_now"] == await _audited(api)
    assert "/health/check" not in (await (await signed_in(api, "auditor")).get("/health")).text


def _health(**facts: Any) -> Health:
    known: dict[str, Any] = {
        "connected_at": NOW - 30 * _DAY, "reconciled_at": NOW, "trouble": None, "reconcile": "ok", "last_success_at": None,
        "fetched_since": 0, "findings": [], "days": [], "absences": [], "waiting": 0, "oldest_waiting_at": None,
        "quarantined": 0, "unassigned": 0, "effects": {}, "latest": [], "recordings": 0, "recordings_bytes": 0,
    }  # fmt: skip
    return Health(**{**known, **facts})


def _verdict(fuse: Fuse, **facts: Any) -> verdicts.Verdict:
    return verdict_of(_health(**facts), fuse, NOW)


def _finding(code: str, severity: Any = "warning", details: dict[str, Any] | None = None) -> Standing:
    return Standing(
        code=code, severity=severity, message="Something.", remedy="Do something.", details=details or {}, org_id="0",
        since=NOW, seen_at=NOW, told_at=None,
    )  # fmt: skip


def _effect(api: Api, number: int, **facts: Any) -> dict[str, Any]:
    return {
        "id": hex_id(number), "org_id": api.org.id, "kind": "missed_call_text", "key": str(number), "call_id": None,
        "payload": "{}", "status": "dead", "outcome": "No way.", "attempts": 5, "due_at": NOW, "created_at": NOW,
        "updated_at": NOW, **facts,
    }  # fmt: skip


async def _statuses(api: Api) -> dict[int, str]:
    rows = await api.deps.database.read(lambda tx: tx.execute(effects.select()).all())
    return {int(row.id, 16): row.status for row in rows if len(row.id.lstrip("0")) == 1}


async def _audited(api: Api) -> list[str]:
    rows = await api.deps.database.read(lambda tx: tx.execute(audit.select()).all())
    return [row.action for row in rows]
