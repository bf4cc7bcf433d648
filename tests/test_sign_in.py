"""Signing in and out: who gets in, for how long, and that nobody can try for ever."""

import asyncio
from types import SimpleNamespace

import httpx
import pytest

from offhook import app
from offhook.accounts.sign_ins import MOST_BY_ACCOUNT, MOST_BY_ADDRESS, WINDOW_S, Client
from offhook.dashboard.visitors import cookie_name, way_back
from offhook.errors import Conflict
from offhook.passwords import Passwords
from offhook.settings import Settings
from offhook.store import audit, sessions, users
from offhook.store.audit import Wanted
from tests.api import NOW, Api
from tests.people import PASSWORD, add_user, sign_in, signed_in, stranger


async def test_who_signs_in_gets_a_session_which_is_worth_nothing_after_signing_out(api: Api) -> None:
    await add_user(api, "ann@acme.example", "agent")
    browser = stranger(api)
    answer = await sign_in(browser, " Ann@ACME.example ", next="/calls?view=missed")
    assert (303, "/calls?view=missed") == (answer.status_code, answer.headers["location"])
    cookie = answer.headers["set-cookie"].lower()
    assert cookie.startswith("offhook=")
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert "secure" not in cookie
    stolen = dict(browser.cookies)
    assert 200 == (await browser.get("/calls")).status_code
    assert "/login" == (await browser.post("/logout")).headers["location"]
    thief = stranger(api)
    thief.cookies.update(stolen)
    assert 303 == (await thief.get("/calls")).status_code
    rows = await api.deps.database.read(audit.page, api.org.id, Wanted(), limit=9)
    assert [("signed_in", "ann@acme.example")] == [(row.action, row.who) for row in rows]


async def test_wrong_passwords_are_answered_alike_and_not_for_ever(now: list[float], api: Api) -> None:
    await add_user(api, "ann@acme.example", "agent")
    browser = stranger(api)
    nobody = await sign_in(browser, "nobody@acme.example", "wrong")
    wrong = await sign_in(browser, "ann@acme.example", "wrong")
    assert 401 == nobody.status_code == wrong.status_code
    assert nobody.text.replace("nobody@", "ann@") == wrong.text
    for _ in range(MOST_BY_ACCOUNT - 1):
        await sign_in(browser, "ann@acme.example", "wrong")
    right = await sign_in(browser, "ann@acme.example")
    assert 429 == right.status_code
    assert 0 < int(right.headers["retry-after"]) <= WINDOW_S
    now[0] += WINDOW_S
    assert 303 == (await sign_in(browser, "ann@acme.example")).status_code
    for place in range(MOST_BY_ADDRESS + 1):
        answer = await sign_in(browser, f"{place}@acme.example", "wrong")
    assert 429 == answer.status_code


async def test_a_session_ends_when_it_was_idle_or_is_old(now: list[float], api: Api) -> None:
    settings = api.deps.settings
    idle_s, absolute_s = settings.session_idle_hours * 3600, settings.session_days * 86_400
    await add_user(api, "ann@acme.example", "agent")
    browser = stranger(api)
    await sign_in(browser, "ann@acme.example")
    began = now[0]
    while now[0] + idle_s / 2 < began + absolute_s:
        now[0] += idle_s / 2
        assert 200 == (await browser.get("/calls")).status_code
    now[0] = began + absolute_s
    assert 303 == (await browser.get("/calls")).status_code
    await sign_in(browser, "ann@acme.example")
    now[0] += idle_s
    assert 303 == (await browser.get("/calls")).status_code


async def test_a_new_password_ends_every_other_session(api: Api) -> None:
    await add_user(api, "ann@acme.example", "agent")
    here, elsewhere = stranger(api), stranger(api)
    await sign_in(here, "ann@acme.example")
    await sign_in(elsewhere, "ann@acme.example")
    for old, new, says in (
        ("wrong", "three other words", "not your present password"),
        (PASSWORD, "short", "at least 10"),
        (PASSWORD, "ann@acme.example", "first that anybody would try"),
    ):
        refused = await here.post("/account/password", data={"old": old, "new": new})
        assert 400 == refused.status_code
        assert says in refused.text
    assert 303 == (await here.post("/account/password", data={"old": PASSWORD, "new": "three other words"})).status_code
    assert 200 == (await here.get("/account?password=changed")).status_code
    assert 303 == (await elsewhere.get("/account")).status_code
    assert 401 == (await sign_in(elsewhere, "ann@acme.example")).status_code
    assert 303 == (await sign_in(elsewhere, "ann@acme.example", "three other words")).status_code
    await here.post("/account/sessions/end")
    assert 303 == (await elsewhere.get("/account")).status_code


async def test_a_new_password_that_is_sent_twice_at_once_signs_nobody_out_who_has_just_chosen_it(api: Api) -> None:
    await add_user(api, "ann@acme.example", "agent")
    browser = stranger(api)
    await sign_in(browser, "ann@acme.example")
    sent = {"old": PASSWORD, "new": "three other words"}
    answers = await asyncio.gather(*(browser.post("/account/password", data=sent) for _ in range(2)))
    assert 303 == min(answer.status_code for answer in answers)
    assert 1 == sum("offhook=" in answer.headers.get("set-cookie", "") for answer in answers)
    assert 200 == (await browser.get("/account")).status_code


async def test_a_session_that_is_no_more_changes_no_password(api: Api) -> None:
    user_id = await add_user(api, "ann@acme.example", "agent")
    await sign_in(stranger(api), "ann@acme.example")
    with pytest.raises(Conflict):
        await api.deps.sign_ins.change_password(
            user_id, PASSWORD, "three other words", Client("192.0.2.1"), stay="of a session that was renewed"
        )
    assert 1 == len(await api.deps.database.read(sessions.of_user, user_id, api.deps.now()))
    assert 303 == (await sign_in(stranger(api), "ann@acme.example")).status_code


async def test_a_role_that_is_taken_away_is_gone_at_once(api: Api) -> None:
    browser = await signed_in(api, "auditor", "kim@acme.example")
    assert 200 == (await browser.get("/settings/audit")).status_code
    user = await api.deps.database.read(users.find, "kim@acme.example")
    await api.deps.database.write(users.set_role, user.id, api.org.id, "agent", api.deps.now())
    assert 403 == (await browser.get("/settings/audit")).status_code


async def test_who_belongs_to_several_organisations_looks_at_one_at_a_time(api: Api) -> None:
    other, third = await api.add_organization(name="Globex"), await api.add_organization(name="Initech")
    browser = await signed_in(api, "agent", "kim@acme.example")
    user = await api.deps.database.read(users.find, "kim@acme.example")
    await api.deps.database.write(users.set_role, user.id, other.id, "auditor", api.deps.now())
    await api.deps.directory.refresh()
    assert 403 == (await browser.get("/settings/audit")).status_code
    assert 404 == (await browser.post("/organization", data={"org": third.id})).status_code
    assert 303 == (await browser.post("/organization", data={"org": other.id})).status_code
    assert 200 == (await browser.get("/settings/audit")).status_code
    await api.deps.database.write(users.remove, user.id, other.id)
    assert 403 == (await browser.get("/settings/audit")).status_code  # back in the first


def test_the_way_back_leads_to_a_page_of_ours_or_to_the_first() -> None:
    assert "/calls?q=a%20b&view=missed" == way_back("/calls?q=a%20b&view=missed")
    astray = [
        "",
        "calls",
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "/\t/evil.example",
        "/login?next=/x",
    ]
    assert {"/calls"} == {
        way_back(wanted) for wanted in [*astray, "/a\r\nSet-Cookie: b=c", "/" + "a" * 5000, "/", "\\\\e"]
    }


def test_over_https_no_neighbour_can_plant_a_session() -> None:
    assert "__Host-offhook" == cookie_name(Settings(public_url="https://calls.example.com"))
    assert "offhook" == cookie_name(Settings(public_url="http://calls.example.com"))


async def test_a_password_is_the_same_however_a_keyboard_composes_it() -> None:
    passwords = Passwords(memory_kib=8, rounds=1)
    stored = await passwords.hashed("cafe\N{COMBINING ACUTE ACCENT} au lait")
    assert await passwords.is_right("caf\N{LATIN SMALL LETTER E WITH ACUTE} au lait", stored)
    assert not await passwords.is_right("cafe au lait", stored)
    assert not await passwords.is_right("cafe au lait", "no hash at all")
    assert not await passwords.is_right("nobody has this password", None)
    assert Passwords(memory_kib=16, rounds=1).is_outdated(stored)


async def test_a_form_that_is_none_of_ours_is_refused(api: Api) -> None:
    browser = stranger(api)
    assert 400 == (await browser.post("/login", json={"email": "a"})).status_code
    assert 413 == (await browser.post("/login", data={"email": "a" * 70_000})).status_code
    assert 400 == (await browser.post("/login", data={str(place): "" for place in range(600)})).status_code
    assert 403 == (await _without_origin(browser)).status_code


async def _without_origin(browser: httpx.AsyncClient) -> httpx.Response:
    del browser.headers["Origin"]
    return await sign_in(browser, "ann@acme.example")


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock of an application that is made after it, which goes when it is told to."""
    clock = [NOW]
    monkeypatch.setenv("OFFHOOK_SESSION_DAYS", "1")
    monkeypatch.setattr(app, "time", SimpleNamespace(time=lambda: clock[0]))
    return clock
