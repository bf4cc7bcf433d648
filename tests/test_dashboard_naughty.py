"""The naughty strings as whatever callers and colleagues can write, on every page that shows it: text is text.

Two organisations are the same but for their words: the one has the strings, the other has as many letters. Their pages must
be made of the same elements.
"""

import json
import re
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import httpx
import pytest

from offhook import dashboard
from offhook.dashboard import PAGES
from offhook.refusals import Refusal
from tests.api import Api
from tests.pages import Page
from tests.people import signed_in, stranger
from tests.streams import opened
from tests.test_dashboard_calls import HOSTILE
from tests.world import World, furnished

#: Signs of Unicode that turn the direction of what follows, until the line ends.
TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_TEMPLATES = Path(dashboard.__file__).parent / "templates"
_IN_A_ROW = 6  #: strings that are one name, one summary; as many rows as strings would take as many pages
_NAMED = 26  #: letters of a string by which it is known again where it is cut


def naughty(corpora: Path) -> list[str]:
    """Each string that says anything, as it is kept (no NUL, one blank between words), and one of our own."""
    strings = json.loads((corpora / "strings" / "blns.json").read_text("utf-8"))
    return [*dict.fromkeys(plain for one in strings if (plain := " ".join(one.split()))), HOSTILE]


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """Pages are the same on both engines."""
    return sqlite_url


@pytest.fixture
def strings(corpora: Path) -> list[str]:
    return naughty(corpora)


async def test_no_page_is_made_of_what_people_wrote_and_all_of_it_is_there(api: Api, strings: list[str]) -> None:
    rows = [" ".join(strings[at : at + _IN_A_ROW]) for at in range(0, len(strings), _IN_A_ROW)]
    theirs = await _pages_of(api, rows, "a@acme.example")
    plain = await _pages_of(api, ["x" * len(row) for row in rows], "b@acme.example")
    assert [*theirs] == [*plain]
    for place, page in theirs.items():
        assert _shape(plain[place]) == _shape(page), place
    turning = [(place, text[:60]) for place, page in theirs.items() for text in page.texts_that_turn(TURNING)]
    assert not turning, "\n".join(map(str, turning))
    for place, whole in _EVERYTHING.items():
        said = " ".join(_said(page) for name, page in theirs.items() if name.startswith(place))
        assert [] == [
            one for one in (strings if whole else rows) if one[: None if whole else _NAMED].strip() not in said
        ]


async def test_what_was_typed_into_a_form_and_refused_comes_back_as_text(api: Api) -> None:
    world = await furnished(api, api.org.id, ["Maya"])
    browser, anybody = await signed_in(api, "owner"), stranger(api)
    known = _tags()
    form = dict.fromkeys(_fields(), HOSTILE)
    shown = []
    for page in PAGES:
        if page.method == "POST" and page.path not in ("/logout", "/account/sessions/end"):
            visitor = anybody if page.right == "anyone" else browser
            answer = await visitor.post(_filled(page.path, world), content=_encoded(form), headers=_FORM)
            assert answer.status_code < 500, page
            if HOSTILE[:30] in _said(_harmless(answer, known)):
                shown.append(page.path)
    assert len(shown) > 10, shown


async def test_what_an_address_asks_for_comes_back_as_text(api: Api) -> None:
    world = await furnished(api, api.org.id, ["Maya"])
    browser, known = await signed_in(api, "owner"), _tags()
    asked = dict.fromkeys([*_fields(), "q", "next", "after", "before", "view", "undo", "said", "done", "id"], HOSTILE)
    for page in PAGES:
        if page.method == "GET" and page.path != "/live":
            answer = await browser.get(_filled(page.path, world), params=asked)
            assert answer.status_code < 500, page
            if "html" in answer.headers.get("content-type", ""):
                _harmless(answer, known)


async def test_what_an_open_page_is_told_and_what_is_searched_is_text(api: Api, strings: list[str]) -> None:
    await furnished(api, api.org.id, strings[-40:])
    browser, known = await signed_in(api, "owner"), _tags()
    async with opened(browser, api.app, "/live?after=0") as stream:
        rows = [(await stream.until("call")).data["html"] for _ in range(40)]
        pulse = (await stream.until("pulse")).data["html"]
    for html in (*rows, pulse):
        page = Page(html)
        assert [] == page.texts_that_turn(TURNING)
        _must_be_ours(page, known)
    found = await browser.get("/search.json", params={"q": "alert"})
    assert "application/json" == found.headers["content-type"]
    assert HOSTILE[:20] in json.dumps(found.json(), ensure_ascii=False).replace('\\"', '"')


# The pages of an organisation

#: Which pages together show every string, and whether they show it whole.
_EVERYTHING = {
    "/calls?": True, "/calls/": True, "/contacts?": True, "/contacts/": True, "/follow-ups?": True, "/follow-ups/": True,
    "/events?": False, "/events/": True, "/settings/numbers": True, "/settings/agents": True,
    "/settings/people": True, "/settings/users": True, "/settings/audit": True, "/health?": True,
    "/health/dead-letters": True,
}  # fmt: skip
_LISTS = ("/calls", "/contacts", "/follow-ups", "/events")
_ONCE = (
    "/settings", "/settings/hours", "/settings/people", "/settings/numbers", "/settings/agents", "/settings/texts",
    "/settings/secrets", "/settings/users", "/settings/keys", "/settings/audit", "/health?", "/health/dead-letters",
    "/events?view=refused", "/account", "/calls/{call_id}", "/contacts/{contact_id}", "/contacts/{contact_id}/merge",
    "/follow-ups/{follow_up_id}", "/events/{event_id}", "/settings/people/{staff_id}", "/nowhere",
)  # fmt: skip
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


async def _pages_of(api: Api, words: Sequence[str], email: str) -> dict[str, Page]:
    """Every page of an organisation with these words, by its address, with numbers in place of ids."""
    new = await api.add_organization(name=words[-1], timezone="America/Toronto")
    world = await furnished(api, new.id, [*words, " ".join(words)])
    _refused(api, words[-1], new.id)
    browser = await signed_in(api, "owner", email, org_id=new.id)
    found = {}
    for address in _ONCE:
        answer = await browser.get(_filled(address, world))
        assert answer.status_code == (404 if address == "/nowhere" else 200), address
        found[address] = Page(answer.text)
    for address in _LISTS:
        async for place, page in _list(browser, f"{address}?"):
            found[place] = page
    return found


async def _list(browser: httpx.AsyncClient, address: str) -> AsyncIterator[tuple[str, Page]]:
    """Its pages, one after the other."""
    number, following = 0, address
    while following:
        page = Page((await browser.get(following)).text)
        yield f"{address}{number}", page
        following = next(iter(page.values("a", "href", rel="next")), "")
        number += 1


def _refused(api: Api, word: str, org_id: str) -> None:
    api.deps.refusals._ring.clear()
    api.deps.refusals.add(Refusal(api.deps.now(), f"/api/{word}", word, 7, "signature", org_id))
    api.deps.refusals.add(Refusal(api.deps.now(), "/api", "192.0.2.1", 7, "signature", f"x{word}"))


def _filled(path: str, world: World) -> str:
    given = {**world.ids, "token": world.links["invitation"]}
    return re.sub(r"{(\w+)}", lambda found: given[found[1]], path)


# What a page is made of


def _shape(page: Page) -> list[tuple[str, tuple[str, ...]]]:
    """Its elements with the names of their attributes, but for where a line may break: that follows from what is said."""
    return [(tag, tuple(sorted(attributes))) for tag, attributes in page.elements if tag != "wbr"]


def _said(page: Page) -> str:
    """All texts and all values of attributes."""
    values = (value for _, attributes in page.elements for value in attributes.values())
    return " ".join([page.text, *(" ".join(value.split()) for value in values)])


def _harmless(answer: httpx.Response, known: frozenset[str]) -> Page:
    page = Page(answer.text)
    _must_be_ours(page, known)
    return page


def _must_be_ours(page: Page, known: frozenset[str]) -> None:
    """Of elements that our templates know, none of which runs or loads anything that is not ours."""
    for tag, attributes in page.elements:
        assert tag in known, tag
        assert not [name for name in attributes if name.startswith("on") or name in ("style", "srcdoc")], attributes
        for name in ("href", "src", "action", "formaction", "data-src"):
            assert attributes.get(name, "/").startswith(("/", "#", "tel:+")) or attributes[name] == "", attributes
            assert not attributes.get(name, "").startswith("//"), attributes


def _tags() -> frozenset[str]:
    texts = [path.read_text() for path in _TEMPLATES.rglob("*.html")]
    return frozenset(name for text in texts for name in re.findall(r"<([a-z][a-z0-9-]*)", text.lower())) | {"a", "div"}


def _fields() -> list[str]:
    """The names of all fields of all forms."""
    texts = [path.read_text() for path in _TEMPLATES.rglob("*.html")]
    named = (found for text in texts for found in re.findall(r'name="([a-z_-]+)"|m\.\w+\("([a-z_-]+)"', text))
    return sorted({one or other for one, other in named})


def _encoded(form: dict[str, str]) -> bytes:
    return str(httpx.QueryParams(form)).encode()
