"""What operators see in a browser: what comes in while a page is open, what is refused, replays, and how the line stands."""

import base64
import copy
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from playwright.sync_api import Page, expect

from offhook.events import call_id
from offhook.sealing import KeyRing
from offhook.simulator.speech import clips, index
from offhook.store import workspaces
from offhook.store.tables import calls, warnings
from tests.api import call_row, hex_id
from tests.beside import an_organization, beside
from tests.browser import Visitor, an_office, violations
from tests.fake_twilio import FakeTwilio, fake_twilio
from tests.payloads import BOOKING, payload
from tests.services import Server, eventually, signature

_HOSTILE = "<script>window.pwned = 1</script><img src=x onerror='window.pwned = 1'>\u202egnp.exe"


@pytest.fixture(scope="module")
def _office(standing_server: Callable[[str], Server]) -> Server:
    """One of this module's own: what it sends appears on everybody's pages."""
    return an_office(standing_server("sqlite"))


@pytest.fixture(scope="module")
def twilio() -> Iterator[FakeTwilio]:
    with fake_twilio() as fake:
        yield fake


@pytest.fixture(scope="module")
def _own_server(tmp_path_factory: pytest.TempPathFactory, secret_key: str, twilio: FakeTwilio) -> Iterator[Server]:
    """One that texts, and that may be stopped. The first round of its guardian is over before anything is connected."""
    env = {**twilio.env, "OFFHOOK_ELEVENLABS_URL": "http://127.0.0.1:9"}
    server = Server(tmp_path_factory.mktemp("own"), secret_key=secret_key, env=env)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def own(_own_server: Server) -> Server:
    """That server, as an organisation of the test's own."""
    server = copy.copy(_own_server)
    server.organization = an_organization(server, name="Globex")
    return server


# Live


def test_a_call_appears_on_an_open_page_within_two_seconds_of_its_webhook(visit: Visitor) -> None:
    page = _listening(visit, "/calls")
    begun = time.monotonic()
    _deliver(visit.server, "conv_live")
    expect(page.locator(f"#call-{_id(visit, 'conv_live')}")).to_be_visible()
    assert time.monotonic() - begun < 2
    assert 1 == page.evaluate("window.same")


def test_blocks_become_a_waveform_when_the_recording_comes(visit: Visitor) -> None:
    _deliver(visit.server, "conv_heard")
    eventually(lambda: visit.server.get(f"/api/calls/{_id(visit, 'conv_heard')}").status_code == 200)
    page = _listening(visit, f"/calls/{_id(visit, 'conv_heard')}")
    expect(page.locator(".player [data-play]")).to_have_count(0)
    mp3 = base64.b64encode(b"".join(clips(min(index())))).decode()
    _deliver(visit.server, "conv_heard", ("data.full_audio", mp3), fixture="post_call_audio")
    expect(page.locator("call-player[data-peaks]:not([data-peaks=''])")).to_have_count(1, timeout=8000)
    expect(page.locator(".player [data-play]")).to_be_visible()
    assert 1 == page.evaluate("window.same")


def test_what_a_caller_says_is_text_also_where_it_slides_in(visit: Visitor) -> None:
    page = _listening(visit, "/calls")
    said = ("data.transcript.1.message", _HOSTILE), ("data.agent_name", _HOSTILE)
    _deliver(visit.server, "conv_hostile", *said, ("data.analysis.transcript_summary", _HOSTILE))
    row = page.locator(f"#call-{_id(visit, 'conv_hostile')}")
    expect(row).to_contain_text(_HOSTILE.split("\u202e")[0])
    address = row.locator("a").first.get_attribute("href") or ""
    expect(visit(address).locator(".turn p").nth(1)).to_contain_text("<script>")
    event = visit("/events?q=conv_hostile").locator("a.main").first.get_attribute("href") or ""
    page = visit(event)
    page.fill("[data-json-find]", "pwned")
    expect(page.locator("[data-json] mark").first).to_have_text("pwned")
    page.keyboard.press("Control+k")
    page.keyboard.type("pwned")
    expect(page.locator("#palette [role=option]").first).to_be_visible()
    assert page.evaluate("window.pwned === undefined")


def test_an_open_page_outlives_a_restart_and_catches_up(visit: Visitor, own: Server) -> None:
    server = own
    beside(server, _write_call, call_row(server.org_id, id=hex_id(1), happened_at=time.time() - 60))
    elsewhere = visit.at(server)
    visit.excuse("ERR_")  # the server is away for a while
    page = _listening(elsewhere, "/calls")
    server.stop()
    expect(page.locator("[data-lamp]")).to_have_text("Reconnecting")
    missed = call_row(
        server.org_id, id=hex_id(2), provider_call_id="conv_2", happened_at=time.time(), updated_at=time.time()
    )
    beside(server, _write_call, missed)  # as another replica would meanwhile
    server.start()
    expect(page.locator("[data-lamp]")).to_have_text("Live", timeout=10_000)
    expect(page.locator(f"#call-{hex_id(2)}")).to_be_visible()
    _deliver(server, "conv_after")
    expect(page.locator(f"#call-{call_id(server.org_id, 'conv_after')}")).to_be_visible()
    assert 1 == page.evaluate("window.same")


# Events


def test_find_in_a_payload_opens_what_is_folded_and_marks_it(visit: Visitor) -> None:
    page = visit(_event(visit))
    hidden = page.locator("[data-json] details:not([open]) .leaf").first
    words = hidden.evaluate("leaf => leaf.querySelector('.s, .n').textContent.slice(0, 12)").strip('"')
    expect(hidden).not_to_be_visible()
    page.fill("[data-json-find]", words)
    expect(page.locator("[data-json] mark").first).to_be_visible()
    page.get_by_role("button", name="Expand all").click()
    expect(page.get_by_role("button", name="Collapse")).to_be_visible()


def test_a_replay_asks_first_and_says_how_it_went(visit: Visitor) -> None:
    page = visit(_event(visit))
    page.get_by_role("button", name="Replay").click()
    expect(page.locator("dialog#replay")).to_contain_text("nobody gets a second text")
    page.locator("dialog#replay").get_by_role("button", name="Replay").click()
    page.wait_for_url("**?done=replayed")
    expect(page.get_by_role("status").first).to_contain_text("Replayed")


def test_what_is_filtered_is_replayed_after_a_question_and_reported(visit: Visitor) -> None:
    page = visit("/events?type=post_call_transcription")
    page.get_by_role("link", name="Replay what is filtered").click()
    assert [] == violations(page)
    page.get_by_role("button", name="Replay").click()
    expect(page.get_by_role("status").first).to_contain_text("It is begun")
    eventually(lambda: "Done" in visit("/events/replays").locator("tbody tr").first.inner_text())
    expect(page.locator("tbody tr").first).to_contain_text("understood")
    assert [] == violations(page)


def test_a_wrong_signature_is_refused_shown_and_burns_no_fuse(visit: Visitor, own: Server) -> None:
    owner = visit.at(own)
    _deliver(own, "conv_good")
    beside(own, _connect, KeyRing.from_text(own.env["OFFHOOK_SECRET_KEY"]), own.org_id)
    assert "0" == _cells(owner("/health"))
    body = json.dumps(payload(BOOKING, ("data.conversation_id", "conv_forged"))).encode()
    url = f"{own.base_url}/api/webhook/elevenlabs"
    for secret in ("wsec_" + "0" * 64, "guessed"):
        headers = {"ElevenLabs-Signature": signature(secret, body)}
        answer = httpx.post(url, content=body, headers=headers, params={"org": own.org_id})
        assert 401 == answer.status_code
    page = owner("/events?view=refused")
    expect(page.locator("tbody tr")).to_have_count(2)
    expect(page.locator("tbody .bad").first).to_have_text("Signature")
    assert "conv_forged" not in page.content()
    page = owner("/health")
    assert "0" == _cells(page)
    expect(page.get_by_text("Our last answer that was not 200 was 401.")).to_be_visible()
    expect(owner("/events?q=conv_forged").get_by_text("No events match")).to_be_visible()


def test_replayed_twice_it_is_one_call_and_one_text_and_after_stop_none(
    visit: Visitor, own: Server, twilio: FakeTwilio
) -> None:
    server = own
    decided = {"missed-call-text": "on", "missed-call-message": "Sorry we missed you."}
    server.offhook("org", "set", server.org_id, *(f"{name}={value}" for name, value in decided.items()))
    front_desk = visit.at(server)
    _deliver(server, "conv_missed", fixture="call_initiation_failure__twilio_busy")
    eventually(lambda: twilio.taken, within_s=30)
    page = front_desk("/events")
    event = page.locator("a.main").first.get_attribute("href") or ""
    for _ in range(2):
        page = front_desk(event)
        page.get_by_role("button", name="Replay").click()
        page.locator("dialog#replay").get_by_role("button", name="Replay").click()
        expect(page.get_by_role("status").first).to_contain_text("Replayed")
    assert 1 == front_desk("/calls").locator(".row").count()
    page = front_desk("/follow-ups")
    expect(page.locator(".bubble")).to_have_count(1)
    expect(page.get_by_role("button", name="Send text")).to_be_visible()
    assert 1 == len(twilio.taken)
    server.offhook("optout", "add", server.org_id, twilio.taken[0]["to"])
    page = front_desk("/follow-ups")
    expect(page.get_by_text("This number has asked not to be texted (STOP).")).to_be_visible()
    expect(page.get_by_role("button", name="Send text")).to_have_count(0)


# Health


def test_health_says_unknown_then_well_then_danger(visit: Visitor, own: Server) -> None:
    server = own
    owner = visit.at(server)
    page = owner("/health")
    expect(page.locator("#verdict-h")).to_have_text("Unknown: Nothing has arrived yet")
    assert [] == violations(page)
    _deliver(server, "conv_globex")
    beside(server, _connect, KeyRing.from_text(server.env["OFFHOOK_SECRET_KEY"]), server.org_id)
    expect(owner("/health").locator("#verdict-h")).to_have_text("Well: Every call arrives")
    beside(server, _find_it_switched_off, server.org_id)
    page = owner("/health")
    expect(page.locator("#verdict-h")).to_have_text("Danger: ElevenLabs has switched this webhook off")
    expect(page.get_by_role("group", name="What to do")).to_contain_text("--repair")
    assert [] == violations(page, only=["color-contrast"])
    with owner.another_window(color_scheme="dark") as open_page:
        assert [] == violations(open_page("/health"), only=["color-contrast"])


def _listening(visit: Visitor, path: str) -> Page:
    """The page, told what is new; it knows whether it is loaded again."""
    page = visit(path)
    expect(page.locator("[data-lamp]")).to_have_text("Live")
    page.evaluate("window.same = 1")
    return page


def _deliver(server: Server, conversation_id: str, *changes: tuple[str, Any], fixture: str = BOOKING) -> None:
    just_now = [("data.metadata.start_time_unix_secs", int(time.time()) - 60)] if fixture == BOOKING else []
    named = ("data.conversation_id", conversation_id), ("event_timestamp", int(time.time()))
    content = payload(fixture, *named, *just_now, *changes)
    assert 200 == server.deliver(json.dumps(content).encode()).status_code


def _id(visit: Visitor, conversation_id: str) -> str:
    return call_id(visit.server.org_id, conversation_id)


def _event(visit: Visitor) -> str:
    page = visit("/events?type=post_call_transcription&status=projected")
    return page.locator("a.main").last.get_attribute("href") or ""


def _cells(page: Page) -> str:
    return page.get_by_role("meter").first.get_attribute("aria-valuenow") or ""


def _write_call(tx: sa.Connection, row: dict[str, Any]) -> None:
    tx.execute(calls.insert(), row)


def _connect(tx: sa.Connection, keys: KeyRing, org_id: str) -> None:
    now = time.time()
    workspaces.keep(tx, keys, org_id, "sk_made_up", {}, now - 86_400)
    workspaces.stamp_reconciled(tx, org_id, now, now)


def _find_it_switched_off(tx: sa.Connection, org_id: str) -> None:
    now = time.time()
    tx.execute(warnings.insert(), {
        "org_id": org_id, "code": "webhook_auto_disabled", "severity": "error",
        "message": "ElevenLabs has switched the webhook off after ten failures.",
        "remedy": "`offhook connect ORG --repair` switches it on again.", "details": "{}", "since": now, "seen_at": now,
        "told_at": None,
    })  # fmt: skip
