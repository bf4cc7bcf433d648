"""What stands around every page: its frame, its headers, its files, and what it says of times and numbers."""

import re
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from offhook import dashboard
from offhook.dashboard import charts, phrases
from offhook.dashboard.charts import Stretch
from offhook.voice.contract import Turn
from tests.api import Api
from tests.people import signed_in, stranger

_STATIC = Path(dashboard.__file__).parent / "static"
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  #: what no query decides
_TORONTO = ZoneInfo("America/Toronto")


async def test_the_sidebar_shows_the_pages_that_a_role_may_open(api: Api) -> None:
    manager, agent = await signed_in(api, "manager"), await signed_in(api, "agent")
    assert ["/calls", "/follow-ups", "/contacts", "/events", "/health", "/settings"] == _nav(
        (await manager.get("/calls")).text
    )
    assert ["/calls", "/follow-ups", "/contacts"] == _nav((await agent.get("/calls")).text)


async def test_every_answer_forbids_inline_code_and_other_hosts(api: Api) -> None:
    browser = await signed_in(api, "owner")
    for path in ("/calls", "/login", "/nowhere"):
        policy = (await browser.get(path)).headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy


async def test_no_page_has_inline_code_or_style(api: Api) -> None:
    html = (await (await signed_in(api, "owner")).get("/calls")).text
    assert [] == re.findall(r'<style|style="|\son\w+="|<script(?![^>]*\ssrc=)', html)


async def test_files_are_kept_for_ever_under_the_address_of_their_content(api: Api) -> None:
    browser = stranger(api)
    (address,) = re.findall(r'href="(/static/[^"]+\.css)"', (await browser.get("/login")).text)
    answer = await browser.get(address)
    assert (200, "text/css; charset=utf-8") == (answer.status_code, answer.headers["content-type"])
    assert "immutable" in answer.headers["cache-control"]
    old = await browser.get("/static/000000000000/app.css")
    assert (200, "no-cache") == (old.status_code, old.headers["cache-control"])


async def test_nothing_but_static_files_is_served_there(api: Api) -> None:
    browser = stranger(api)
    for path in ("../shell.py", "%2e%2e/shell.py", "js", "", "app.css/"):
        assert 404 == (await browser.get(f"/static/000000000000/{path}")).status_code, path


async def test_what_is_not_there_is_said_within_the_frame(api: Api) -> None:
    browser = await signed_in(api, "agent")
    answer = await browser.get("/calls/nowhere/at/all")
    assert 404 == answer.status_code
    assert "That page is not here" in answer.text
    assert ["/calls", "/follow-ups", "/contacts"] == _nav(answer.text)


@on_sqlite
async def test_a_program_at_a_mistyped_address_is_told_so_as_programs_are(api: Api) -> None:
    told = {"error": "There is no such page.", "success": False, "code": "not_found"}
    for path in ("/webhook/elevenlabs", "/apis/calls", "/calls/nowhere/at/all"):
        for accept in ("application/json", "*/*", ""):
            answer = await stranger(api).post(path, content=b"{}", headers={"Accept": accept})
            assert (404, told) == (answer.status_code, answer.json()), (path, accept)
            assert "default-src 'none'" in answer.headers["content-security-policy"]
    wrong = await stranger(api).post("/calls", headers={"Accept": "application/json"})
    assert (405, "method_not_allowed", "GET, HEAD") == (
        wrong.status_code,
        wrong.json()["code"],
        ", ".join(sorted(wrong.headers["allow"].split(", "))),
    )


async def test_the_theme_is_the_servers_to_draw_and_no_other_word_gets_in(api: Api) -> None:
    browser = await signed_in(api, "agent")
    for cookie, drawn in (("dark", "dark"), ("light", "light"), ('"><script>', "auto")):
        browser.cookies.set("theme", cookie)
        assert f'data-theme="{drawn}"' in (await browser.get("/calls")).text
        browser.cookies.delete("theme")


def test_every_icon_that_a_page_names_is_in_the_sprite() -> None:
    known = set(re.findall(r'<symbol id="(\w+)"', (_STATIC / "icons.svg").read_text()))
    sources = [*_STATIC.parent.rglob("*.html"), *_STATIC.parent.rglob("*.py")]
    text = "\n".join(path.read_text() for path in sources)
    named = set(re.findall(r'icon\("(\w+)"', text))
    assert set() == named - known


def test_no_template_trusts_what_it_shows() -> None:
    for path in _STATIC.parent.rglob("*.html"):
        assert not re.search(r"\|\s*safe\b|autoescape|Markup", path.read_text()), path


def test_every_text_can_be_read_on_its_ground_in_both_themes() -> None:
    tokens = dict(re.findall(r"--([\w-]+): light-dark\((#\w{6}, #\w{6})\)", (_STATIC / "app.css").read_text()))
    on_ground = [(ink, ground) for ink in ("ink", "ink-2", "ink-3") for ground in ("bg", "surface", "sunken")]
    toned = [(tone, ground) for tone in ("ok", "warn", "bad", "info") for ground in (f"{tone}-soft", "surface")]
    others = [
        ("accent", "bg"), ("accent", "surface"), ("accent", "accent-soft"), ("user-ink", "surface"),
        ("on-accent", "accent"), ("bg", "user-ink"), ("bg", "ink"), ("ink", "accent-soft"), ("ink-2", "accent-soft"),
        ("ink", "user-soft"), ("user-ink", "user-soft"), ("ink", "mark"), ("surface", "bad"), ("ink-2", "hover"),
        ("code-key", "surface"), ("code-str", "surface"), ("code-num", "surface"),
    ]  # fmt: skip
    drawn = [(line, ground) for line in ("agent", "user") for ground in ("bg", "surface")] + [
        ("agent-rest", "surface"), ("user-rest", "surface"), ("edge", "surface"), ("line-2", "surface"),
    ]  # fmt: skip
    for pairs, least in ((on_ground + toned + others, 4.5), (drawn, 3.0)):
        for ink, ground in pairs:
            for theme in (0, 1):
                contrast = _contrast(tokens[ink].split(", ")[theme], tokens[ground].split(", ")[theme])
                assert contrast >= least, (ink, ground, ("light", "dark")[theme], round(contrast, 2))


def test_times_are_told_in_the_organisations_zone_with_the_exact_one_beside() -> None:
    at = 1_747_580_641.25
    moment = phrases.moment(at, _TORONTO, at + 13 * 60)
    assert ("13m ago", "Sun 18 May 2025, 11:04:01 EDT") == (moment.text, moment.exact)
    assert "18 May, 11:04" == phrases.moment(at, _TORONTO, at + 9 * 86_400).text
    assert "11:04" == phrases.moment(at, _TORONTO, at, "clock").text


@pytest.mark.parametrize(
    ("delta_s", "words"),
    [(-3, "just now"), (-44, "just now"), (-45, "1m ago"), (-2600, "43m ago"), (-2700, "45m ago"),
     (-3570, "1h ago"), (-80_000, "22h ago"), (-86_000, "1d ago"),
     (-604_799, "7d ago"), (-604_800, None), (3600, "in 1h"), (120, "in 2m")],
)  # fmt: skip
def test_how_long_ago_something_was(delta_s: float, words: str | None) -> None:
    assert words == phrases.ago(delta_s)


def test_numbers_are_spelled_with_gaps_and_what_is_none_as_it_came() -> None:
    assert "+1 416 555 0100" == phrases.phone("+14165550100")
    assert "+44 20 7946 0178" == phrases.phone("+442079460178")
    assert "sip:desk" == phrases.phone("sip:desk")
    assert "Withheld number" == phrases.phone(None) == phrases.phone("anonymous")


def test_a_turn_lasts_as_long_as_its_words_and_no_longer_than_until_the_next() -> None:
    turns = [
        Turn(role="agent", message="x" * 14, timestamp=0.0),
        Turn(role="user", message="x" * 1400, timestamp=10.0),
        Turn(role="agent", message=None, timestamp=12.0),
        Turn(role="agent", message="Bye", timestamp=20.0),
        Turn(role="agent", message="Late", timestamp=999.0),
    ]
    assert [(0, 1), (10, 20), (20, 20.6), (30, 30)] == [(s.begin, round(s.end, 1)) for s in charts.stretches(turns, 30)]


def test_each_lane_is_as_tall_as_its_own_loudest_moment() -> None:
    spoken = [Stretch("agent", 0, 5, "a"), Stretch("user", 5, 10, "b")]
    lanes = charts.lanes(spoken, 10, bytes([200] * 50 + [20] * 50), bars=10)
    tallest = [max(float(length) for length in re.findall(r"v-?([\d.]+)", path)) for path in (lanes.agent, lanes.user)]
    assert [43.0, 43.0] == tallest
    assert not lanes.is_blocks


def test_without_a_recording_the_lanes_are_blocks() -> None:
    lanes = charts.lanes([Stretch("agent", 0, 5, "a"), Stretch("user", 5, 10, "b")], 10)
    assert ("M0.0 14H500.0V38H0.0Z", "M500.0 58H1000.0V82H500.0Z") == (lanes.agent, lanes.user)
    assert lanes.is_blocks


def _nav(html: str) -> list[str]:
    nav = html.partition('<nav class="nav"')[2].partition("</nav>")[0]
    return re.findall(r'<a href="([^"]+)"', nav)


def _contrast(one: str, other: str) -> float:
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    r, g, b = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
