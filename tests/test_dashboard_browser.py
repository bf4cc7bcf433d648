"""The dashboard in a browser: one Chromium and one server for the whole module, with simulated calls.

A page that is added belongs into PAGES; what a page can do has a test of its own here.
"""

import base64
import json
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from playwright.sync_api import expect

from offhook.credentials import hash_of
from offhook.events import call_id
from offhook.simulator.speech import clips, index
from offhook.store import sessions, users
from tests.beside import an_organization, beside
from tests.browser import PHONE, WIDE, Visitor, a_browser, chromium, sideways_px, violations
from tests.conftest import _absent
from tests.payloads import BOOKING, payload
from tests.services import Server, eventually

_TOKEN = "a token that only this module knows"
_CALLS = 9
PAGES = (
    "/calls", "/calls?q=nowhere", "{call}", "{missed}", "/follow-ups", "{waits}", "/contacts", "{contact}", "/account",
    "/nowhere", "/settings", "/settings/secrets", "/settings/users",
)  # fmt: skip


@pytest.fixture(scope="module")
def visit(standing_server: Callable[[str], Server]) -> Iterator[Visitor]:
    executable = chromium()
    if executable is None:
        _absent("Chromium is not installed (apt-get install chromium): the tests in a browser do not run.")
    server = standing_server("sqlite")
    server.organization = an_organization(server, name="Harbour Dental", timezone="America/Toronto")
    beside(server, _sign_in, server.org_id)
    secrets = ("--webhook-secret", server.webhook_secret, "--tool-secret", server.tool_secret)
    server.offhook("simulate", "--url", server.base_url, *secrets, "--calls", str(_CALLS), "--rate", "0", "--seed", "7")
    eventually(lambda: server.get("/api/calls/history").json()["total"] == _CALLS, within_s=20)
    eventually(lambda: server.get("/api/events", status="pending").json()["total"] == 0, within_s=20)
    with a_browser(executable) as browser:
        visitor = Visitor(browser, server.base_url, _TOKEN)
        visitor.server = server
        yield visitor


@pytest.fixture(autouse=True)
def _nothing_is_complained_of(visit: Visitor) -> Iterator[None]:
    """No error in the console, which is where a breach of the content policy shows, and no request to another host."""
    visit.complaints.clear()
    yield
    assert [] == [one for one in visit.complaints if "/nowhere" not in one]


def test_filters_change_the_address_and_the_rows_without_a_reload(visit: Visitor) -> None:
    page = visit("/calls")
    expect(page.locator(".row")).to_have_count(_CALLS)
    page.evaluate("window.same = 1")
    page.select_option("#f-outcome", "answered")
    page.wait_for_url("**/calls?outcome=answered")
    expect(page.locator(".row .bad")).to_have_count(0)
    assert 1 == page.evaluate("window.same")
    page.go_back()
    expect(page.locator(".row")).to_have_count(_CALLS)


def test_slash_searches_while_one_types(visit: Visitor) -> None:
    page = visit("/calls")
    page.keyboard.press("/")
    page.keyboard.type("zzzz")
    expect(page.get_by_text("No calls match")).to_be_visible()
    assert page.url.endswith("?q=zzzz")


def test_j_k_and_enter_open_a_call(visit: Visitor) -> None:
    page = visit("/calls?direction=inbound")  # a list with a filter: nothing slides in while keys are pressed
    rows = page.locator("[data-keys-list] > *")
    expect(page.locator("#keys .keys > *").first).to_be_attached()  # drawn when keys are heard
    for key, number in (("j", 0), ("j", 1), ("j", 2), ("k", 1)):
        page.keyboard.press(key)
        expect(rows.nth(number)).to_have_attribute(
            "data-cur", ""
        )  # although rows that are news take the place of others
    address = rows.nth(1).locator("a").first.get_attribute("href")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{address}")


def test_the_recording_plays_and_the_transcript_goes_with_it(visit: Visitor) -> None:
    page = visit(_call(visit))

    def at() -> float:
        return float(page.evaluate("document.querySelector('call-player').at"))

    eventually(lambda: page.evaluate("document.querySelector('call-player').audio.readyState") > 0)
    line = page.locator(".turn:not(.tool)").nth(2)
    start = float(line.get_attribute("data-start") or 0)
    line.locator("p").click()
    eventually(lambda: abs(at() - start) < 0.5)
    expect(line).to_have_attribute("data-on", "")
    page.keyboard.press("ArrowLeft")
    eventually(lambda: abs(at() - max(0, start - 5)) < 0.5)
    page.keyboard.press("Space")
    expect(page.locator("[data-play]")).to_have_attribute("aria-label", "Pause")
    begun = at()
    eventually(lambda: at() > begun + 0.2)
    page.keyboard.press("Space")
    page.keyboard.press(">")
    expect(page.locator("[data-speed]")).to_have_text("1.25×")
    page.click("[data-copy-here]")
    assert re.search(r"/calls/[0-9a-f]{24}(#t=\d+)?$", str(page.evaluate("navigator.clipboard.readText()")))


def test_a_link_to_a_moment_begins_there_and_words_are_found(visit: Visitor) -> None:
    address = _call(visit)
    page = visit(f"{address}#t=9")
    page.reload()
    eventually(lambda: 8.5 < float(page.evaluate("document.querySelector('call-player').at")) < 10.5)
    expect(page.locator(".wave input")).to_have_attribute("aria-valuetext", re.compile(r"0:09 of .*"))
    words = (page.locator(".turn.user p").first.text_content() or "").split()[0]
    page.fill("[data-find]", words)
    expect(page.locator(".turn mark").first).to_be_visible()
    page.fill("[data-find]", "")


def test_ctrl_k_finds_pages_and_calls(visit: Visitor) -> None:
    page = visit("/calls")
    page.keyboard.press("Control+k")
    page.keyboard.type("heal")
    expect(page.locator("#palette [role=option][aria-selected=true]")).to_contain_text("Health")
    page.keyboard.press("Escape")


def test_the_sheet_of_keys_switches_single_keys_off(visit: Visitor) -> None:
    page = visit("/calls")
    page.keyboard.press("?")
    assert page.locator("#keys[open] li").count() > 15
    page.locator("#single-keys").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.locator("#keys")).not_to_be_visible()
    page.locator("[data-open=keys]").click()
    page.locator("#single-keys").check()


def test_the_theme_is_kept_and_comes_from_the_server(visit: Visitor) -> None:
    page = visit("/calls")
    page.click(".side [data-theme-switch]")
    page.reload()
    assert 'data-theme="dark"' in page.content()
    page.click(".side [data-theme-switch]")


def test_done_hides_at_once_and_undo_restores(visit: Visitor) -> None:
    page = visit("/follow-ups")
    row = page.locator(".fu.cur")
    waiting = page.locator(".fu").count()
    page.keyboard.press("e")
    expect(row).not_to_be_visible()
    page.locator(".toast button").click()
    expect(row).to_be_visible()
    page.reload()
    assert waiting == page.locator(".fu").count()


def test_done_is_kept_when_the_page_is_left_and_s_opens_the_choice_of_times(visit: Visitor) -> None:
    page = visit("/follow-ups")
    waiting = page.locator(".fu").count()
    page.keyboard.press("s")
    expect(page.get_by_role("button", name="For an hour")).to_be_visible()
    page.keyboard.press("Escape")
    page.locator("[data-key=e]").click()
    visit("/calls")
    eventually(lambda: visit("/follow-ups").locator(".fu").count() == waiting - 1)
    visit("/follow-ups?view=done").get_by_role("button", name="Open again").click()
    assert waiting == visit("/follow-ups").locator(".fu").count()


def test_without_javascript_it_still_filters_and_reads(visit: Visitor) -> None:
    with visit.another_window(java_script_enabled=False) as open_page:
        missed = open_page("/calls?view=missed")
        assert 0 < missed.locator(".row").count() < _CALLS
        call = open_page(_call(visit))
        assert (call.locator(".wave path.agent").first.get_attribute("d") or "").startswith("M")
        assert call.locator(".turn").count() > 3


def test_paper_shows_the_words_and_not_the_chrome(visit: Visitor) -> None:
    page = visit(_call(visit))
    page.emulate_media(media="print")
    expect(page.locator(".side")).not_to_be_visible()
    expect(page.locator(".turn").first).to_be_visible()
    page.emulate_media(media="screen")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_axe_finds_nothing_and_nothing_scrolls_sideways(visit: Visitor, scheme: str, size: dict[str, int]) -> None:
    places = {"call": _call(visit), "missed": _call(visit, view="missed"), "waits": _first(visit, "/follow-ups", ".fu a"),
              "contact": _first(visit, "/contacts", ".pc a")}  # fmt: skip
    wishes = {"viewport": size, "color_scheme": scheme, "is_mobile": size is PHONE, "reduced_motion": "reduce"}
    with visit.another_window(**wishes) as open_page:
        for path in PAGES:
            page = open_page(path.format(**places))
            assert (path, []) == (path, violations(page, only_colours=scheme == "dark"))
            assert sideways_px(page) <= 0, path


def test_a_call_appears_on_an_open_page_within_two_seconds_of_its_webhook(visit: Visitor) -> None:
    page = visit("/calls")
    expect(page.locator("[data-lamp]")).to_have_text("Live")
    page.evaluate("window.same = 1")
    begun = time.monotonic()
    _deliver(visit.server, BOOKING, ("data.metadata.start_time_unix_secs", int(time.time()) - 60))
    expect(page.locator(f"#call-{call_id(visit.server.org_id, 'conv_live')}")).to_be_visible()
    assert time.monotonic() - begun < 2
    assert 1 == page.evaluate("window.same")


def test_blocks_become_a_waveform_when_the_recording_comes(visit: Visitor) -> None:
    page = visit(f"/calls/{call_id(visit.server.org_id, 'conv_live')}")
    expect(page.locator("[data-lamp]")).to_have_text("Live")
    expect(page.locator(".player [data-play]")).to_have_count(0)
    page.evaluate("window.same = 1")
    mp3 = b"".join(clips(min(index())))
    _deliver(visit.server, "post_call_audio", ("data.full_audio", base64.b64encode(mp3).decode()))
    expect(page.locator("call-player[data-peaks]:not([data-peaks=''])")).to_have_count(1, timeout=8000)
    expect(page.locator(".player [data-play]")).to_be_visible()
    assert 1 == page.evaluate("window.same")


def _deliver(server: Server, fixture: str, *changes: tuple[str, Any]) -> None:
    content = payload(fixture, ("data.conversation_id", "conv_live"), ("event_timestamp", int(time.time())), *changes)
    assert 200 == server.deliver(json.dumps(content).encode()).status_code


def _call(visit: Visitor, view: str = "") -> str:
    page = visit(f"/calls?view={view}" if view else "/calls?outcome=answered")
    return page.locator(".row a").first.get_attribute("href") or ""


def _first(visit: Visitor, path: str, link: str) -> str:
    return visit(path).locator(link).first.get_attribute("href") or ""


def _sign_in(tx: sa.Connection, org_id: str) -> None:
    now = time.time()
    user = users.create(tx, email="ines@harbour.example", name="Ines Duarte", password_hash="-", now=now)
    users.set_role(tx, user.id, org_id, "owner", now)
    sessions.start(
        tx, hash_of(_TOKEN), user.id, org_id=org_id, address="192.0.2.1", browser="a test",
        now=now, idle_s=3600, absolute_s=86_400,
    )  # fmt: skip
