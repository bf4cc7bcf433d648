"""Pages that stay open, in a browser: the server restarts, two tabs, and what is done but may still be taken back."""

import copy
import time
from collections.abc import Callable

import pytest
import sqlalchemy as sa
from playwright.sync_api import Page, expect

from offhook.store.tables import calls, follow_ups
from tests.api import call_row
from tests.beside import an_organization, beside
from tests.browser import Visitor
from tests.services import Server

_LONGEST_WAIT_MS = 8_000  #: a browser tries again after a second, then after ever more


@pytest.fixture
def office(visit: Visitor) -> Visitor:
    """Its owner, with three people who wait for an answer."""
    return visit.at(_with_people(visit.server))


# Live


def test_a_page_is_live_again_after_a_restart_and_is_told_what_it_missed(
    visit: Visitor, start_server: Callable[..., Server]
) -> None:
    visit.excuse("ERR_CONNECTION_REFUSED")
    visit.excuse("ERR_INCOMPLETE_CHUNKED_ENCODING")
    server = start_server()
    beside(server, _add_call, server.org_id, 1, 3600.0)
    page = visit.at(server)("/calls")
    _is_live(page)
    page.evaluate("window.same = 1")
    server.stop()
    expect(page.locator("[data-lamp]")).to_have_text("Reconnecting")
    beside(server, _add_call, server.org_id, 2, 60.0)
    server.start()
    expect(page.locator("[data-lamp]")).to_have_text("Live", timeout=_LONGEST_WAIT_MS)
    expect(page.locator(f"#call-{_id(server.org_id, 2)}")).to_be_visible(timeout=_LONGEST_WAIT_MS)
    beside(server, _add_call, server.org_id, 3, 50.0)
    expect(page.locator(f"#call-{_id(server.org_id, 3)}")).to_be_visible()
    assert 1 == page.evaluate("window.same")


def test_two_tabs_are_told_the_same(office: Visitor) -> None:
    one, other = office("/calls"), office.context.new_page()
    other.goto(f"{office.server.base_url}/follow-ups")
    for tab in (one, other):
        _is_live(tab)
    beside(office.server, _add_call, office.server.org_id, 9, 60.0)
    expect(one.locator(f"#call-{_id(office.server.org_id, 9)}")).to_be_visible()
    expect(other.locator(".toast")).to_contain_text("A call has just ended")
    other.locator("[data-key=e]").click()
    other.goto(f"{office.server.base_url}/contacts")
    expect(one.locator(".side [data-number]")).to_have_text("2")
    expect(other.locator(".side [data-number]")).to_have_text("2")


def test_a_summary_that_comes_is_in_the_field_unless_somebody_writes_in_it_and_nobody_overwrites_it_unseen(
    office: Visitor,
) -> None:
    org_id = office.server.org_id
    page = office(f"/calls/{_id(org_id, 8)}")
    _is_live(page)
    beside(office.server, _sum_up, org_id, "Wants a price.")
    page.get_by_text("Edit the summary").click()
    expect(page.get_by_label("Summary")).to_have_value("Wants a price.")
    page.get_by_label("Summary").fill("Wants a price soon.")
    beside(office.server, _sum_up, org_id, "Wants two prices.")
    expect(page.locator(".lead")).to_contain_text("Wants two prices.")
    office.excuse("409")
    page.get_by_role("button", name="Save summary").click()
    expect(page.locator(".banner.warn")).to_contain_text("has changed since you opened the page")
    expect(page.get_by_label("Summary")).to_have_value("Wants a price soon.")
    page.get_by_label("Summary").fill("Wants two prices soon.")
    page.get_by_role("button", name="Save summary").click()
    expect(page.locator(".lead")).to_contain_text("Wants two prices soon. Edited by")


def test_signing_out_in_one_tab_is_said_in_the_other(office: Visitor) -> None:
    one, other = office("/calls"), office.context.new_page()
    _is_live(one)
    other.goto(f"{office.server.base_url}/account")
    other.locator(".side details.menu summary").click()
    other.locator(".side").get_by_role("button", name="Sign out").click()
    expect(one.locator("[data-lamp]").first).to_have_text("Reload to go on")
    one.reload()
    expect(one).to_have_url(f"{office.server.base_url}/login?next=/calls")


# Done, for now


def test_what_is_done_is_sent_after_five_seconds_and_can_be_undone_even_then(office: Visitor) -> None:
    page = office.page
    page.clock.install()
    office("/follow-ups")
    page.locator("[data-key=e]").click()
    page.clock.run_for(4_900)
    assert page.url.endswith("/follow-ups")
    page.clock.run_for(200)
    page.wait_for_url("**/follow-ups?undo=*")
    expect(page.locator(".fu")).to_have_count(2)
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".fu")).to_have_count(3)


def test_what_is_done_is_sent_when_the_page_is_left_and_the_way_back_shows_it_so(office: Visitor) -> None:
    page = office("/follow-ups")
    page.locator("[data-key=e]").click()
    office("/calls")
    expect(page.locator(".side [data-number]")).to_have_text("2")
    page.go_back()
    expect(page.locator(".fu")).to_have_count(2)
    office("/follow-ups?view=done").get_by_role("button", name="Open again").click()
    expect(page.locator(".side [data-number]")).to_have_text("3")


def test_what_was_taken_back_is_not_sent_when_the_page_is_left(office: Visitor) -> None:
    page = office("/follow-ups")
    page.locator("[data-key=e]").click()
    page.locator(".toast button").click()
    office("/calls")
    expect(office("/follow-ups").locator(".fu")).to_have_count(3)


def _is_live(page: Page) -> None:
    expect(page.locator("[data-lamp]")).to_have_text("Live")


def _with_people(standing: Server) -> Server:
    server = copy.copy(standing)
    server.organization = an_organization(server, name="Oak & Iron")
    beside(server, _add_people, server.org_id)
    beside(server, _add_call, server.org_id, 8, 7200.0)
    return server


def _add_people(tx: sa.Connection, org_id: str) -> None:
    now = time.time()
    for number in range(3):
        tx.execute(follow_ups.insert(), {
            "id": _id(org_id, number), "org_id": org_id, "number": f"+1416555010{number}", "kind": "callback",
            "reason": "About the price", "status": "open", "due_at": now + number, "created_at": now, "updated_at": now,
        })  # fmt: skip


def _add_call(tx: sa.Connection, org_id: str, number: int, ago_s: float) -> None:
    now = time.time()
    row = call_row(
        org_id, id=_id(org_id, number), happened_at=now - ago_s, started_at=now - ago_s, created_at=now, updated_at=now
    )
    tx.execute(calls.insert(), row)


def _sum_up(tx: sa.Connection, org_id: str, summary: str) -> None:
    """A call's event tells another summary."""
    this = calls.update().where(calls.c.id == _id(org_id, 8))
    tx.execute(this.values(summary=summary, updated_at=time.time()))


def _id(org_id: str, number: int) -> str:
    return f"{org_id[:20]}{number:04}"
