"""Every page of the dashboard in a browser: axe finds nothing, nothing scrolls sideways, nothing that people wrote runs.

The pages come from the table: a new one is looked at, or said to be no page below.
"""

import copy
import itertools
import json
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from offhook.dashboard import PAGES
from offhook.events import call_id
from offhook.sealing import KeyRing
from offhook.simulator.speech import clips, index
from tests.beside import an_organization, beside
from tests.browser import PHONE, WIDE, Visitor, keys_are_heard, sideways_px, violations
from tests.payloads import BOOKING, payload
from tests.services import Server, eventually
from tests.test_dashboard_calls import HOSTILE
from tests.test_dashboard_naughty import naughty
from tests.world import World, furnish

_NO_PAGES = {  #: what answers with something else than a page of its own
    "/": "leads to the calls", "/live": "a stream", "/search.json": "JSON", "/media/{call_id}.mp3": "sound",
    "/events/{event_id}/body": "a file", "/contacts/{contact_id}/export": "a file",
}  # fmt: skip
_LISTS = re.compile(r"\.(csv|json)$")
_ALSO = (
    "/calls?q=nowhere", "/calls?view=missed&from=2026-01-01", "/follow-ups?view=done", "/follow-ups?view=mine",
    "/events?view=refused", "/health/dead-letters?status=suppressed", "/contacts?q=nowhere", "/nowhere",
    "/contacts/{contact_id}/merge?q=a",
)  # fmt: skip
_FOR_STRANGERS = ("/login", "/setup/{token}", "/invitation/{token}", "/password/{token}")
_LOOKS = (
    (WIDE, "light"),
    (PHONE, "dark"),
    (WIDE, "dark"),
    (PHONE, "light"),
)  #: each page in one of them; in torture in all
_NARROWER = {WIDE["width"]: 768, PHONE["width"]: 320}
_WORDS = ("Maya Okafor", "wants_to_be_rung_back_about_" + "the_price_" * 12, f"Zoë {HOSTILE}")
Offices = dict[tuple[str, ...], tuple[Server, World]]
#: Elements that run or load something, but for those that are ours.
_FOREIGN = """() => [...document.querySelectorAll('*')].filter(one =>
    [...one.attributes].some(({name, value}) => name.startsWith('on') ||
        (['src', 'href', 'action', 'xlink:href'].includes(name) && !/^($|\\/(?!\\/)|#|tel:\\+)/.test(value))) ||
    ['IFRAME', 'OBJECT', 'EMBED', 'STYLE', 'BASE', 'MARQUEE', 'FRAME'].includes(one.tagName) ||
    (one.tagName === 'SCRIPT' && !one.src.startsWith(location.origin + '/static/')) ||
    (one.tagName === 'IMG' && !one.src.startsWith(location.origin + '/static/'))).map(one => one.outerHTML.slice(0, 200))"""


@pytest.fixture(scope="module")
def offices() -> Offices:
    """Organisations that tests of this module have made, by their words."""
    return {}


@pytest.mark.parametrize(
    ("size", "scheme", "part"),
    [
        pytest.param(*look, part, marks=() if nth == part else pytest.mark.torture)
        for (nth, look), part in itertools.product(enumerate(_LOOKS), range(len(_LOOKS)))
    ],
    ids=lambda one: f"{one['width']} px" if isinstance(one, dict) else str(one),
)
def test_axe_finds_nothing_and_nothing_scrolls_sideways(
    visit: Visitor, offices: Offices, size: ViewportSize, scheme: Any, part: int
) -> None:
    office, world = _office(visit, offices, _WORDS)
    visit.excuse("404")
    wishes = {"viewport": size, "color_scheme": scheme, "is_mobile": size is PHONE, "reduced_motion": "reduce"}
    found: list[str] = []
    mine = slice(part, None, len(_LOOKS))
    for is_stranger, paths in ((False, _addresses(world)[mine]), (True, _strangers(world)[mine])):
        with office.another_window(is_stranger=is_stranger, **wishes) as open_page:
            for path in paths:
                page = open_page(path)
                found += [f"{path}: {one}" for one in (*violations(page), *_too_wide(page, size))]
    assert [] == found


def _too_wide(page: Page, size: ViewportSize) -> list[str]:
    """At which widths it scrolls sideways, and how far; what is there in pictures alone has a name there, too."""
    by, found = {}, []
    for width in (_NARROWER[size["width"]], size["width"]):
        page.set_viewport_size({"width": width, "height": size["height"]})
        page.wait_for_function(
            "width => innerWidth >= width && matchMedia(`(width: ${innerWidth}px)`).matches", arg=width
        )
        by[width] = sideways_px(page)
        if width != size["width"]:
            found = violations(page, only=("link-name", "button-name"))
    return [*found, *(f"{px} px too wide at {width}" for width, px in by.items() if px > 0)]


def test_what_is_said_to_be_no_page_is_in_the_table() -> None:
    pages = {page.path for page in PAGES if page.method == "GET"}
    assert set() == {*_NO_PAGES, *_FOR_STRANGERS} - pages


# What people wrote


def test_nothing_that_people_wrote_runs_on_any_page(visit: Visitor, offices: Offices, corpora: Path) -> None:
    strings = naughty(corpora)
    office, world = _office(visit, offices, [" ".join(strings[at : at + 40]) for at in range(0, len(strings), 40)])
    visit.excuse("404")
    page = office.page
    page.on("dialog", lambda dialog: visit.complaints.append(f"dialog: {dialog.message}"))
    for path in (*_addresses(world), *_strangers(world)):
        office(path)
        assert (path, []) == (path, page.evaluate(_FOREIGN))
        assert not [one for one in visit.complaints if "404" not in one], path
    _works_with(office, world)
    assert [] == page.evaluate(_FOREIGN)


def _works_with(office: Visitor, world: World) -> None:
    """What scripts make of what people wrote: finding, copying, the palette, the tip over the waveform."""
    page = office(f"/calls/{world.ids['call_id']}")
    keys_are_heard(page)
    _finds(page, "[data-find]", ".turn mark")
    page.locator(".wave").hover()
    page.click("[data-copy-transcript]")
    expect(page.locator(".toast")).to_have_text("Copied")
    assert "<script>alert" in str(page.evaluate("navigator.clipboard.readText()"))
    page.keyboard.press("Control+k")
    page.keyboard.type("alert")
    expect(page.locator("#palette [role=option]").filter(has_text="Contact").first).to_be_visible()
    assert [] == page.evaluate(_FOREIGN)
    page = office(f"/events/{world.ids['event_id']}")
    _finds(page, "[data-json-find]", ".json mark")


def _finds(page: Page, field: str, mark: str) -> None:
    """Typed again where the part of the page was just brought up to date."""

    def is_marked() -> bool:
        page.fill(field, "")
        page.fill(field, "<script>alert")
        return page.locator(mark).count() > 0

    eventually(is_marked, every_s=0.2)


def test_what_comes_in_while_a_page_is_open_is_text(visit: Visitor, corpora: Path) -> None:
    strings = naughty(corpora)
    page = visit("/calls")
    page.on("dialog", lambda dialog: visit.complaints.append(f"dialog: {dialog.message}"))
    expect(page.locator("[data-lamp]")).to_have_text("Live")
    turn = payload(BOOKING)["data"]["transcript"][0]
    now = int(time.time())
    content = payload(
        BOOKING, ("data.conversation_id", "conv_naughty"), ("event_timestamp", now),
        ("data.metadata.start_time_unix_secs", now - 60), ("data.agent_name", HOSTILE),
        ("data.transcript", [{**turn, "role": role, "message": one} for one in strings for role in ("agent", "user")]),
        ("data.analysis.transcript_summary", f"{HOSTILE} {' '.join(strings[-200:])}"),
        ("data.analysis.call_summary_title", HOSTILE),
    )  # fmt: skip
    assert 200 == visit.server.deliver(json.dumps(content).encode()).status_code
    id = call_id(visit.server.org_id, "conv_naughty")
    expect(page.locator(f"#call-{id}")).to_be_visible()
    expect(page.locator(f"#call-{id}")).to_contain_text("<script>alert(1)</script>")
    assert [] == page.evaluate(_FOREIGN)
    page = visit(f"/calls/{id}")
    said = page.locator(".turn p").all_text_contents()
    assert strings == [" ".join(one.split()) for one in said[::2]]
    assert [] == page.evaluate(_FOREIGN)


# Addresses


def _addresses(world: World) -> list[str]:
    """Of every page that a member sees; each address of the table is there, or is none of a page."""
    paths = [page.path for page in PAGES if page.method == "GET"]
    pages = [path for path in paths if path not in (*_NO_PAGES, *_FOR_STRANGERS) and not _LISTS.search(path)]
    return [_filled(path, world) for path in (*pages, *_ALSO)]


def _strangers(world: World) -> list[str]:
    return [re.sub(r"{token}", world.links.get(path.split("/")[1], "none"), path) for path in _FOR_STRANGERS]


def _filled(path: str, world: World) -> str:
    place = re.sub(r"{(\w+)}", lambda found: world.ids[found[1]], path)
    return f"{place}?id={world.forms['agent']}" if path == "/settings/agent" else place


def _office(visit: Visitor, offices: Offices, words: Sequence[str]) -> tuple[Visitor, World]:
    """Its owner, and what it has."""
    key = tuple(words)
    if key not in offices:
        server = copy.copy(visit.server)
        server.organization = an_organization(server, name="Oak & Iron", timezone="America/Toronto")
        offices[key] = server, _furnished(server, words)
    server, world = offices[key]
    return visit.at(server), world


def _furnished(server: Server, words: Sequence[str]) -> World:
    made: list[World] = []
    keys = KeyRing.from_text(server.env["OFFHOOK_SECRET_KEY"])
    beside(server, lambda tx: made.append(furnish(tx, keys, server.org_id, words, time.time())))
    (server.data_dir / "recordings" / made[0].file).write_bytes(b"".join(clips(min(index()))))
    return made[0]
