"""What every page has, in a browser: keys, jumps, themes, sign-in; and the queue of people who wait."""

import asyncio
import copy
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from playwright.sync_api import Page, expect

from offhook.passwords import Passwords
from offhook.store import users
from tests.beside import an_organization, beside
from tests.browser import Visitor, a_heard_call, heard_s, keys_are_heard, violations
from tests.people import PASSWORD
from tests.services import eventually

# Keys


@contextmanager
def _leads_to(page: Page, address: str) -> Iterator[None]:
    keys_are_heard(page)
    yield
    page.wait_for_url(f"**{address}")


def _jump(key: str, address: str) -> Callable[[Visitor], None]:
    def check(visit: Visitor) -> None:
        page = visit("/account")
        with _leads_to(page, address):
            page.keyboard.press("g")
            page.keyboard.press(key)

    return check


def _opens_the_palette(visit: Visitor) -> None:
    page = visit("/calls")
    keys_are_heard(page)
    page.keyboard.press("Control+k")
    expect(page.locator("#palette input")).to_be_focused()


def _goes_to_the_search(visit: Visitor) -> None:
    page = visit("/contacts")
    keys_are_heard(page)
    page.keyboard.press("/")
    expect(page.locator("main [data-search]")).to_be_focused()


def _opens_the_sheet(visit: Visitor) -> None:
    page = visit("/calls")
    keys_are_heard(page)
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()


def _plays_and_pauses(visit: Visitor) -> None:
    page = _player(visit)
    for now in ("Pause", "Play"):
        page.keyboard.press("Space")
        expect(page.locator("[data-play]")).to_have_attribute("aria-label", now)


def _skips_five_seconds(visit: Visitor) -> None:
    page = _player(visit)
    for key, at in (("ArrowRight", 5), ("ArrowRight", 10), ("ArrowLeft", 5), ("ArrowLeft", 0), ("ArrowLeft", 0)):
        page.keyboard.press(key)
        eventually(lambda at=at: abs(heard_s(page) - at) < 0.3)  # type: ignore[misc]


def _goes_from_line_to_line(visit: Visitor) -> None:
    page = _player(visit)
    spoken = page.locator(".turn:not(.tool)")
    starts = [float(line.get_attribute("data-start") or 0) for line in spoken.all()]
    for key, line in (("j", 1), ("j", 2), ("k", 1), ("k", 0)):
        page.keyboard.press(key)
        eventually(lambda line=line: abs(heard_s(page) - starts[line]) < 0.3)  # type: ignore[misc]
    expect(spoken.first).to_have_attribute("data-on", "")


def _changes_the_speed(visit: Visitor) -> None:
    page = _player(visit)
    for key, speed in ((">", "1.25×"), (">", "1.5×"), ("<", "1.25×"), ("<", "1×"), ("<", "0.75×"), ("<", "0.75×")):
        page.keyboard.press(key)
        expect(page.locator("[data-speed]")).to_have_text(speed)


def _goes_to_the_neighbours(visit: Visitor) -> None:
    calls = [link.get_attribute("href") or "" for link in visit("/calls").locator(".row a").all()]
    page = visit(calls[1])
    with _leads_to(page, calls[0]):
        page.keyboard.press("[")
    with _leads_to(page, calls[1]):
        page.keyboard.press("]")


def _moves_along_the_rows(visit: Visitor) -> None:
    page = visit("/calls?direction=inbound")  # a list with a filter: nothing slides in while keys are pressed
    keys_are_heard(page)
    rows = page.locator("[data-keys-list] > *")
    for key, number in (("j", 0), ("j", 1), ("j", 2), ("k", 1)):
        page.keyboard.press(key)
        expect(rows.nth(number)).to_have_attribute("data-cur", "")  # although rows that are news take others' place


def _opens_the_row(visit: Visitor) -> None:
    _moves_along_the_rows(visit)
    address = visit.page.locator("[data-cur] a").first.get_attribute("href") or "?"
    with _leads_to(visit.page, address):
        visit.page.keyboard.press("Enter")


def _is_done_and_taken_back(visit: Visitor) -> None:
    page = visit("/follow-ups")
    keys_are_heard(page)
    page.keyboard.press("e")
    expect(page.locator(".fu.cur")).not_to_be_visible()
    page.locator(".toast button").click()
    expect(page.locator(".fu.cur")).to_be_visible()


def _offers_times_to_snooze_until(visit: Visitor) -> None:
    page = visit("/follow-ups")
    keys_are_heard(page)
    page.keyboard.press("s")
    expect(page.get_by_role("button", name="For an hour")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="For an hour")).not_to_be_visible()


def _asks_before_it_replays(visit: Visitor) -> None:
    page = visit(_first(visit, "/events?type=post_call_transcription", "a.main"))
    keys_are_heard(page)
    page.keyboard.press("r")
    expect(page.locator("dialog#replay")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("dialog#replay")).not_to_be_visible()


#: By where it stands in the sheet and how the key is spelled there.
KEYS: dict[tuple[str, str], Callable[[Visitor], None]] = {
    ("Everywhere", "⌘K / Ctrl K"): _opens_the_palette,
    ("Everywhere", "/"): _goes_to_the_search,
    ("Everywhere", "?"): _opens_the_sheet,
    ("Everywhere", "g c"): _jump("c", "/calls"),
    ("Everywhere", "g f"): _jump("f", "/follow-ups"),
    ("Everywhere", "g p"): _jump("p", "/contacts"),
    ("Everywhere", "g e"): _jump("e", "/events"),
    ("Everywhere", "g h"): _jump("h", "/health"),
    ("Everywhere", "g s"): _jump("s", "/settings"),
    ("Call", "space"): _plays_and_pauses,
    ("Call", "← / →"): _skips_five_seconds,
    ("Call", "j / k"): _goes_from_line_to_line,
    ("Call", "< / >"): _changes_the_speed,
    ("Call", "[ / ]"): _goes_to_the_neighbours,
    ("Lists", "j / k"): _moves_along_the_rows,
    ("Lists", "↵"): _opens_the_row,
    ("Follow-up", "e"): _is_done_and_taken_back,
    ("Follow-up", "s"): _offers_times_to_snooze_until,
    ("Event", "r"): _asks_before_it_replays,
}


@pytest.mark.parametrize("where", sorted({where for where, _ in KEYS}))
def test_every_key_of_the_sheet_does_what_it_says(visit: Visitor, where: str) -> None:
    visit("/calls")
    keys_are_heard(visit.page)
    listed = visit.page.evaluate(
        "[...document.querySelectorAll('#keys section')].flatMap(one =>"
        " [...one.querySelectorAll('kbd')].map(key => [one.querySelector('h3').textContent, key.textContent]))"
    )
    assert list(KEYS) == [tuple(one) for one in listed]
    for (place, _), check in KEYS.items():
        if place == where:
            check(visit)


def test_the_sheet_of_keys_switches_single_keys_off(visit: Visitor) -> None:
    page = visit("/calls")
    keys_are_heard(page)
    page.keyboard.press("?")
    page.locator("#single-keys").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.locator("#keys")).not_to_be_visible()
    page.locator("[data-open=keys]").click()
    page.locator("#single-keys").check()


def test_single_keys_are_letters_while_one_types(visit: Visitor) -> None:
    page = visit("/follow-ups")
    keys_are_heard(page)
    page.get_by_text("Add a note").click()
    page.fill("#f-note", "")
    page.locator("#f-note").press_sequentially("e?s/")
    expect(page.locator("#f-note")).to_have_value("e?s/")
    expect(page.locator("#keys")).not_to_be_visible()
    expect(page.locator(".fu.cur")).to_be_visible()


def test_ctrl_k_finds_pages_people_and_calls(visit: Visitor) -> None:
    page = visit("/follow-ups")
    keys_are_heard(page)
    page.keyboard.press("Control+k")
    page.keyboard.type("heal")
    expect(page.locator("#palette [role=option][aria-selected=true]")).to_contain_text("Health")
    page.fill("#palette input", "booked")
    call = page.locator("#palette [role=option]").filter(has_text="Call").first
    expect(call).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    page.wait_for_url("**/calls/*")


# The queue


def test_done_hides_at_once_and_undo_restores(visit: Visitor) -> None:
    waiting = visit("/follow-ups").locator(".fu").count()
    _is_done_and_taken_back(visit)
    visit.page.reload()
    assert waiting == visit.page.locator(".fu").count()


def test_done_is_kept_when_the_page_is_left(visit: Visitor) -> None:
    page = visit("/follow-ups")
    waiting = page.locator(".fu").count()
    page.locator("[data-key=e]").click()
    visit("/calls")
    eventually(lambda: visit("/follow-ups").locator(".fu").count() == waiting - 1)
    visit("/follow-ups?view=done").get_by_role("button", name="Open again").click()
    assert waiting == visit("/follow-ups").locator(".fu").count()


# How it looks


def test_the_theme_is_kept_and_comes_from_the_server(visit: Visitor) -> None:
    page = visit("/calls")
    page.click(".side [data-theme-switch]")
    page.reload()
    assert 'data-theme="dark"' in page.content()
    page.click(".side [data-theme-switch]")


# Who gets in


def test_a_stranger_signs_in_and_is_led_back(visit: Visitor) -> None:
    visit.excuse("/login")
    email = f"sam.{visit.server.org_id}@harbour.example"
    beside(visit.server, _a_person, email, visit.server.org_id, _hashed(PASSWORD))
    with visit.another_window(is_stranger=True) as open_page:
        page = open_page("/follow-ups?view=done")
        expect(page).to_have_url(re.compile(r"/login\?next="))
        assert [] == violations(page)
        for password in ("not this one", PASSWORD):
            page.fill("#f-email", email)
            page.fill("#f-password", password)
            page.get_by_role("button", name="Sign in").click()
            if password != PASSWORD:
                expect(page.get_by_role("alert")).to_be_visible()
        page.wait_for_url("**/follow-ups?view=done")
        page.locator(".side details.menu summary").click()
        page.get_by_role("button", name="Sign out").click()
        expect(page).to_have_url(re.compile(r"/login"))


def test_an_invitation_is_accepted_by_a_stranger(visit: Visitor) -> None:
    email = f"lee.{visit.server.org_id}@harbour.example"
    said = visit.server.offhook("user", "invite", visit.server.org_id, email, "--role", "agent")
    with visit.another_window(is_stranger=True) as open_page:
        page = open_page(re.findall(r"http://\S+/invitation/\S+", said)[0])
        assert [] == violations(page)
        page.fill("#f-name", "Lee Park")
        page.fill("#f-password", PASSWORD)
        page.locator("form button.primary").click()
        page.wait_for_url("**/calls")
        expect(page.locator(".side")).to_contain_text("Lee Park")


def test_a_form_on_another_site_changes_nothing(visit: Visitor) -> None:
    """The session is in the browser, and the form is sent there: the server refuses it by where it comes from."""
    visit.excuse("elsewhere.example")
    visit.excuse("403")
    action = f"{visit.server.base_url}/contacts"
    form = f'<form method="post" action="{action}"><input name="firstName" value="Mallory"><button>Win</button></form>'
    with visit.another_window() as open_page:
        page = open_page("/contacts")
        page.context.route(
            "http://elsewhere.example/", lambda route: route.fulfill(content_type="text/html", body=form)
        )
        open_page("http://elsewhere.example/")
        with page.expect_response("**/contacts") as answer:
            page.get_by_role("button", name="Win").click()
        assert 403 == answer.value.status
        assert 0 == open_page("/contacts?q=Mallory").locator(".pc").count()


def test_before_the_first_call_the_three_steps_are_copied(visit: Visitor) -> None:
    server = copy.copy(visit.server)
    server.organization = an_organization(server, name="Oak & Iron")
    empty = visit.at(server)
    page = empty("/calls")
    assert [] == violations(page)
    page.get_by_role("button", name="Copy webhook address").click()
    expect(page.locator(".toast")).to_have_text("Copied")
    link = str(page.evaluate("navigator.clipboard.readText()"))
    assert f"{server.base_url}/api/webhook/elevenlabs?org={empty.server.org_id}" == link
    expect(empty("/follow-ups").get_by_text("Everyone has been answered")).to_be_visible()
    expect(empty("/events").get_by_text("Nothing received yet")).to_be_visible()


def _player(visit: Visitor) -> Page:
    page = visit(a_heard_call(visit.server))
    keys_are_heard(page)
    heard_s(page)
    return page


def _first(visit: Visitor, path: str, link: str) -> str:
    return visit(path).locator(link).first.get_attribute("href") or ""


def _hashed(password: str) -> str:
    with ThreadPoolExecutor(1) as thread:  # in this one the browser's event loop runs
        return thread.submit(asyncio.run, Passwords(memory_kib=8, rounds=1).hashed(password)).result()


def _a_person(tx: sa.Connection, email: str, org_id: str, password_hash: str) -> None:
    user = users.create(tx, email=email, name="Sam Reyes", password_hash=password_hash, now=time.time())
    users.set_role(tx, user.id, org_id, "agent", time.time())
