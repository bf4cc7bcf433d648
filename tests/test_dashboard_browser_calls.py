"""Calls in a browser: their list and its filters, one call and its player, also a very long one."""

import csv
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from playwright.sync_api import Page, Position, expect

from offhook.events import call_id
from offhook.simulator.speech import silence
from offhook.store.tables import recording_peaks, recordings
from tests.api import recording_row
from tests.beside import beside
from tests.browser import CALLS, Visitor, a_heard_call, heard_s, keys_are_heard, violations
from tests.payloads import BOOKING, payload
from tests.services import Server, eventually

_HOURS_S, _TURNS = 7200, 2000


def test_filters_change_the_address_and_the_rows_without_a_reload(visit: Visitor) -> None:
    page = visit("/calls")
    all_rows = page.locator(".row").count()
    assert all_rows >= CALLS
    page.evaluate("window.same = 1")
    page.select_option("#f-outcome", "answered")
    page.wait_for_url("**/calls?outcome=answered")
    expect(page.locator(".row .bad")).to_have_count(0)
    assert 0 < page.locator(".row").count() < all_rows
    page.select_option("#f-direction", "outbound")
    page.wait_for_url("**/calls?outcome=answered&direction=outbound")
    assert 1 == page.evaluate("window.same")
    page.go_back()
    page.wait_for_url("**/calls?outcome=answered")
    expect(page.locator("#f-outcome")).to_have_value("answered")
    expect(page.locator("#f-direction")).to_have_value("")
    page.go_back()
    expect(page.locator(".row")).to_have_count(all_rows)


def test_slash_searches_while_one_types_and_what_nobody_said_leads_back(visit: Visitor) -> None:
    page = visit("/calls")
    keys_are_heard(page)
    page.keyboard.press("/")
    page.keyboard.type("zzzz")
    expect(page.get_by_text("No calls match")).to_be_visible()
    assert page.url.endswith("?q=zzzz")
    page.get_by_role("link", name="clear the filters").click()
    expect(page.locator(".row").first).to_be_visible()


def test_the_list_is_saved_as_csv_that_a_spreadsheet_opens(visit: Visitor, tmp_path: Path) -> None:
    page = visit("/calls?outcome=answered")
    with page.expect_download() as saving:
        page.get_by_role("link", name="CSV").click()
    saving.value.save_as(tmp_path / "calls.csv")
    with (tmp_path / "calls.csv").open(encoding="utf-8-sig", newline="") as file:
        saved = list(csv.DictReader(file))
    assert page.locator(".row").count() == len(saved)
    assert {"completed"} == {one["status"] for one in saved}
    assert not [cell for one in saved for cell in one.values() if cell.startswith(("=", "+", "-", "@"))]


def test_the_recording_plays_and_the_transcript_goes_with_it(visit: Visitor) -> None:
    page = visit(_call(visit))
    expect(page.locator("[data-play]")).to_be_enabled()
    heard_s(page)
    line = page.locator(".turn:not(.tool)").nth(2)
    start = float(line.get_attribute("data-start") or 0)
    line.locator("p").click()
    eventually(lambda: abs(heard_s(page) - start) < 0.5)
    expect(line).to_have_attribute("data-on", "")
    page.keyboard.press("Space")
    expect(page.locator("[data-play]")).to_have_attribute("aria-label", "Pause")
    begun = heard_s(page)
    eventually(lambda: heard_s(page) > begun + 0.2)
    page.keyboard.press("Space")
    expect(page.locator("[data-play]")).to_have_attribute("aria-label", "Play")


def test_a_recording_is_asked_for_in_parts(visit: Visitor) -> None:
    call = _call(visit)
    with visit.another_window() as open_page:  # one that has nothing of it yet
        page = open_page("/account")
        with page.expect_response("**/media/*.mp3") as answer:
            open_page(call)
        assert 206 == answer.value.status
        assert (answer.value.header_value("content-range") or "").startswith("bytes 0-")
        assert "private" in (answer.value.header_value("cache-control") or "")


def test_the_waveform_says_what_is_spoken_there_and_a_click_goes_there(visit: Visitor) -> None:
    page = visit(_call(visit))
    heard_s(page)
    line = page.locator(".turn.user").first
    start, end = (float(line.get_attribute(name) or 0) for name in ("data-start", "data-end"))
    slider = page.locator(".wave input")
    box = slider.bounding_box()
    assert box is not None
    duration = float(page.locator("call-player").get_attribute("data-duration") or 0)
    place = Position(x=box["width"] * (start + end) / 2 / duration, y=box["height"] / 2)
    slider.hover(position=place)
    words = line.locator("p").text_content() or ""
    expect(page.locator(".wave .tip")).to_contain_text(words[:20])
    slider.click(position=place)
    eventually(lambda: start - 1 < heard_s(page) < end + 1)
    expect(slider).to_have_attribute("aria-valuetext", re.compile(r"\d:\d\d of \d:\d\d, caller talking"))


def test_a_link_to_a_moment_is_copied_and_begins_there(visit: Visitor) -> None:
    page = visit(_call(visit))
    heard_s(page)
    page.evaluate("document.querySelector('call-player').seek(9.2)")
    page.click("[data-copy-here]")
    expect(page.locator(".toast")).to_have_text("Copied")
    link = str(page.evaluate("navigator.clipboard.readText()"))
    assert link == f"{visit.server.base_url}{_path(page)}#t=9"
    visit("/account")
    page.goto(link)
    eventually(lambda: 8.5 < heard_s(page) < 10.5)
    expect(page.locator(".wave input")).to_have_attribute("aria-valuetext", re.compile(r"0:09 of .*"))


def test_words_are_found_in_the_transcript(visit: Visitor) -> None:
    page = visit(_call(visit))
    lines = page.locator(".turn:not(.tool)")
    all_lines = lines.count()
    words = (page.locator(".turn.user p").first.text_content() or "")[:12]
    page.fill("[data-find]", words)
    expect(page.locator(".turn mark").first).to_have_text(words, ignore_case=True)
    assert page.locator(".turn:not(.tool):visible").count() < all_lines
    page.fill("[data-find]", "")
    expect(page.locator(".turn:not(.tool):visible")).to_have_count(all_lines)


def test_a_summary_is_rewritten_and_put_back(visit: Visitor) -> None:
    page = visit("/calls?outcome=answered")
    page.locator(".row a").first.click()
    told = page.locator(".lead").inner_text().removesuffix("AI summary").strip()
    page.get_by_text("Edit the summary").click()
    page.get_by_label("Summary").fill("Rewritten by hand.")
    assert [] == violations(page)
    page.get_by_role("button", name="Save summary").click()
    expect(page.locator(".lead")).to_have_text("Rewritten by hand. Edited by Ines Duarte")
    page.get_by_text("The agent's own summary").click()
    expect(page.locator("#lead .told")).to_contain_text(told)
    assert [] == violations(page)
    page.get_by_text("Edit the summary").click()
    page.get_by_role("button", name="Put the agent's back").click()
    expect(page.locator(".lead")).to_contain_text(f"{told} AI summary")


def test_without_javascript_it_still_filters_and_reads(visit: Visitor) -> None:
    with visit.another_window(java_script_enabled=False) as open_page:
        missed = open_page("/calls?view=missed")
        assert 0 < missed.locator(".row").count() < CALLS
        call = open_page(_call(visit))
        assert (call.locator(".wave path.agent").first.get_attribute("d") or "").startswith("M")
        assert call.locator(".turn").count() > 3


def test_paper_shows_the_words_and_not_the_chrome(visit: Visitor) -> None:
    page = visit(_call(visit))
    page.emulate_media(media="print")
    expect(page.locator(".side")).not_to_be_visible()
    expect(page.locator(".turn").first).to_be_visible()
    page.emulate_media(media="screen")


def test_a_call_of_two_hours_and_two_thousand_turns_answers_at_once(
    visit: Visitor, figure: Callable[..., None]
) -> None:
    _a_long_call(visit.server)
    page = visit(f"/calls/{call_id(visit.server.org_id, 'conv_long')}")
    loaded_ms = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
    expect(page.locator(".turn")).to_have_count(_TURNS)
    heard_s(page)
    seek_ms = page.evaluate(_TIMED_SEEKS)
    expect(page.locator(".turn[data-on]")).to_have_count(1)
    find_ms = page.evaluate(_TIMED_FINDS)
    expect(page.locator(".turn mark")).to_have_count(1)
    figure("2 h, 2,000 turns", loaded_ms=round(loaded_ms), seek_ms=round(seek_ms, 1), find_ms=round(find_ms))
    assert loaded_ms < 3000
    assert seek_ms < 50
    assert find_ms < 500


#: The mean of fifty moves through the recording, each with what the browser must lay out anew.
_TIMED_SEEKS = """() => {
  const player = document.querySelector("call-player"), begun = performance.now();
  for (let step = 1; step <= 50; step++) { player.seek(step * 140); document.body.offsetHeight; }
  return (performance.now() - begun) / 50;
}"""
_TIMED_FINDS = """() => {
  const begun = performance.now();
  for (const words of ["line", "line 1", "line 1999."]) {
    document.querySelector("[data-find]").value = words;
    document.querySelector("[data-find]").dispatchEvent(new Event("input", {bubbles: true}));
    document.body.offsetHeight;
  }
  return (performance.now() - begun) / 3;
}"""


def _a_long_call(server: Server) -> None:
    """Told by its webhook; the recording, which would take a minute to be made and sent, is laid down beside."""
    content = payload(BOOKING, ("data.conversation_id", "conv_long"), ("event_timestamp", int(time.time())))
    data = content["data"]
    data["metadata"] |= {"call_duration_secs": _HOURS_S, "start_time_unix_secs": int(time.time()) - 40 * 86_400}
    spoken = next(turn for turn in data["transcript"] if turn["role"] == "user")
    data["transcript"] = [
        {**spoken, "role": ("agent", "user")[n % 2], "message": f"This is line {n}.", "time_in_call_secs": n * 3.6}
        for n in range(_TURNS)
    ]
    assert 200 == server.deliver(json.dumps(content).encode()).status_code
    id = call_id(server.org_id, "conv_long")
    eventually(lambda: server.get(f"/api/calls/{id}").status_code == 200)
    row = recording_row(server.org_id, id, silence(20), duration_s=float(_HOURS_S))
    (server.data_dir / "recordings").mkdir(exist_ok=True)
    (server.data_dir / "recordings" / row["file"]).write_bytes(silence(20))
    beside(server, _keep, row)


def _keep(tx: sa.Connection, row: dict[str, Any]) -> None:
    peaks = bytes(range(72)) * 10
    drawn = {
        "recording_id": row["id"],
        "version": 1,
        "peaks": peaks,
        "duration_s": row["duration_s"],
        "created_at": 0.0,
    }
    tx.execute(recordings.insert(), row)
    tx.execute(recording_peaks.insert(), drawn)


def _call(visit: Visitor) -> str:
    return a_heard_call(visit.server)


def _path(page: Page) -> str:
    return str(page.evaluate("location.pathname"))
