"""What somebody tries who means harm: forms of other sites, redirects, paths, guesses, headers."""

import random
import re
from collections.abc import Mapping, Sequence

import httpx
import pytest

from offhook.accounts.sign_ins import MOST_BY_ACCOUNT
from offhook.dashboard import PAGES
from offhook.dashboard.visitors import Page, cookie_name
from offhook.store import users
from tests.api import Api
from tests.people import PASSWORD, add_user, sign_in, signed_in, stranger
from tests.world import furnished

_EMAIL = "ann@acme.example"


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """What a door does with a request is the same on both engines; test_dashboard_breaking.py has what is not."""
    return sqlite_url


_CRLF = "x%0d%0aSet-Cookie:%20offhook=planted%0d%0a%0d%0a<script>"
_URLENCODED = {"Content-Type": "application/x-www-form-urlencoded"}


# Forms of another site


_ELSEWHERE: Sequence[Mapping[str, str]] = (
    {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": ""}, {"Origin": "http://calls.example.evil"},
    {"Origin": "http://evil.example/calls.example"}, {"Origin": "http://calls.example@evil.example"},
    {"Origin": "ftp://calls.example"}, {"Origin": "//calls.example"}, {"Origin": "http://calls.example:81"},
    {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": ""},
    {"Origin": "https://evil.example", "Referer": "http://calls.example/", "X-Requested-With": "offhook"},
    {"Origin": "https://evil.example", "X-HTTP-Method-Override": "GET"},
    {"Origin": "https://evil.example", "X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"},
)  # fmt: skip


async def test_no_form_of_another_site_is_taken(api: Api) -> None:
    browser = await signed_in(api, "owner")
    posts = [page for page in PAGES if page.method == "POST"]
    for told in _ELSEWHERE:
        for page in posts if told is _ELSEWHERE[0] else random.Random(str(told)).sample(posts, 6):
            assert 403 == (await browser.post(_nowhere(page), headers=told)).status_code, (page, told)


async def test_a_form_is_only_what_a_form_of_ours_sends(api: Api) -> None:
    browser = await signed_in(api, "owner")
    body = b"first_name=Maya&numbers=%2B14165550100"
    kinds = (
        "text/plain",
        "multipart/form-data; boundary=x",
        "application/json",
        "",
        "application/x-www-form-urlencoded-x",
    )
    for kind in kinds:
        answer = await browser.post("/contacts", content=body, headers={"Content-Type": kind})
        assert 400 == answer.status_code, kind
    for method in ("PUT", "PATCH", "DELETE"):
        assert (await browser.request(method, "/contacts", content=body)).status_code in (403, 405), method
    for page in PAGES:
        if page.method == "POST" and (("GET", page.path) not in {(one.method, one.path) for one in PAGES}):
            answer = await browser.get(_nowhere(page), params={"numbers": "+14165550100", "_method": "POST"})
            assert answer.status_code in (404, 405), page


# Sessions


async def test_a_session_that_somebody_planted_is_never_taken_on(api: Api) -> None:
    await add_user(api, _EMAIL, "owner")
    browser = stranger(api)
    name = cookie_name(api.deps.settings)
    browser.cookies.set(name, "planted")
    answer = await sign_in(browser, _EMAIL)
    (given,) = re.findall(rf"{name}=([^;]+)", answer.headers["set-cookie"])
    assert len(given) > 40
    thief = stranger(api)
    thief.cookies.set(name, "planted")
    assert 303 == (await thief.get("/calls")).status_code


async def test_a_password_that_is_changed_ends_copies_of_the_session_that_changed_it(api: Api) -> None:
    await add_user(api, _EMAIL, "owner")
    browser, thief = stranger(api), stranger(api)
    await sign_in(browser, _EMAIL)
    thief.cookies.update(browser.cookies)
    assert 200 == (await thief.get("/calls")).status_code
    form = {"old": PASSWORD, "new": "three other words"}
    assert 303 == (await browser.post("/account/password", data=form)).status_code
    assert 200 == (await browser.get("/account")).status_code
    assert 303 == (await thief.get("/calls")).status_code


_ASTRAY = (
    "https://evil.example", "//evil.example", "///evil.example", "/\\evil.example", "/\t/evil.example", "\t//evil.example",
    "/%0d%0aLocation: https://evil.example", "javascript:alert(1)", "data:text/html,x", "http:evil.example", "?x", "#x",
    "/..//evil.example", "/.//evil.example", "https:/evil.example", "/login?next=//evil.example",
    "/\u2028/evil.example", "\u00a0//evil.example", "/@evil.example", "/:80/evil", "https://calls.example@evil.example/",
)  # fmt: skip


async def test_nobody_is_led_to_another_site(api: Api) -> None:
    await add_user(api, _EMAIL, "owner")
    browser = stranger(api)
    for wanted in _ASTRAY:
        for answer in (
            await sign_in(browser, _EMAIL, next=wanted),
            await browser.get("/login", params={"next": wanted}),
        ):
            assert 303 == answer.status_code
            place = httpx.URL("http://calls.example/login").join(answer.headers["location"])
            assert ("http", "calls.example") == (place.scheme, place.netloc.decode()), answer.headers["location"]
            assert not answer.headers["location"].startswith(("//", "/\\"))


# Guesses


async def test_a_password_is_not_guessed_from_many_addresses_either(api: Api) -> None:
    await add_user(api, _EMAIL, "owner")
    statuses = []
    for place in range(MOST_BY_ACCOUNT + 2):
        browser = _from(api, f"198.51.100.{place}")
        statuses.append((await sign_in(browser, _EMAIL if place % 2 else f" {_EMAIL.upper()}", "wrong")).status_code)
    assert [401] * MOST_BY_ACCOUNT + [429] * 2 == statuses
    assert 429 == (await sign_in(_from(api, "203.0.113.9"), _EMAIL)).status_code


async def test_whose_account_there_is_cannot_be_told(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    await add_user(api, _EMAIL, "owner")
    tried: list[str | None] = []
    real = api.deps.sign_ins.passwords.is_right

    async def counted(password: str, stored: str | None) -> bool:
        tried.append(stored)
        return await real(password, stored)

    monkeypatch.setattr(api.deps.sign_ins.passwords, "is_right", counted)
    answers = [await sign_in(stranger(api), email, "wrong") for email in (_EMAIL, "nobody@acme.example")]
    assert 2 == len(tried)  # a password is tried for nobody, too: it takes as long
    first, second = ((one.status_code, one.text.replace("nobody@", "ann@")) for one in answers)
    assert first == second
    assert {*answers[0].headers} == {*answers[1].headers}


# Links and roles


async def test_nobody_raises_themselves(api: Api) -> None:
    for role in ("manager", "agent", "auditor"):
        email = f"{role}@acme.example"
        browser = await signed_in(api, role, email)
        me = await api.deps.database.read(users.find, email)
        asked = (
            (f"/settings/users/{me.id}/role", {"role": "owner"}),
            ("/settings/users", {"email": "crony@acme.example", "role": "owner"}),
            ("/settings/keys", {"label": "mine", "scope": "admin"}),
        )
        for path, form in asked:
            assert 403 == (await browser.post(path, data=form)).status_code, (role, path)
        assert role == await api.deps.database.read(users.role_of, me.id, api.org.id)
    owner = await signed_in(api, "owner", "owner@acme.example")
    user = await api.deps.database.read(users.find, "agent@acme.example")
    for role in ("root", "", "OWNER", "none", "owner\0"):
        answer = await owner.post(f"/settings/users/{user.id}/role", data={"role": role})
        assert answer.status_code in (303, 400, 409), role
        assert await api.deps.database.read(users.role_of, user.id, api.org.id) in ("agent", "owner")


# Answers


async def test_no_answer_is_kept_framed_or_guessed_at(api: Api) -> None:
    world = await furnished(api, api.org.id, ["Maya"])
    browser, anybody = await signed_in(api, "owner"), stranger(api)
    for page in PAGES:
        for visitor in (browser, anybody):
            if page.path == "/live":
                answer = await visitor.head("/live")
            else:
                answer = await visitor.request("GET" if page.method == "GET" else "PUT", _filled(page.path, world.ids))
            told = answer.headers
            is_audio = page.path.startswith("/media/") and answer.status_code == 200
            assert ("private, no-cache" if is_audio else "private, no-store") == told["cache-control"], page
            assert "frame-ancestors 'none'" in told["content-security-policy"], page
            assert "nosniff" == told["x-content-type-options"], page
            assert "same-origin" == told["cross-origin-resource-policy"], page
            assert "content-type" in told or not answer.content, page


async def test_no_path_leads_out_of_its_folder(api: Api) -> None:
    world = await furnished(api, api.org.id, ["Maya"])
    browser = await signed_in(api, "owner")
    astray = ("..%2f..%2foffhook.db", "%2e%2e/%2e%2e/offhook.db", "....//offhook.db", "%2fetc%2fpasswd", world.file,
              f"{world.ids['call_id']}.mp3%00", f"..%2f{world.ids['call_id']}", "%5c..%5coffhook")  # fmt: skip
    for path in astray:
        for place in (
            f"/media/{path}.mp3",
            f"/media/{path}",
            f"/static/x/{path}",
            f"/events/{path}/body",
            f"/calls/{path}",
        ):
            assert (await browser.get(place)).status_code in (400, 404), place


async def test_no_address_writes_a_header(api: Api) -> None:
    browser = await signed_in(api, "owner")
    for page in PAGES:
        if page.path in ("/live", "/logout"):
            continue
        is_named = "{" in page.path
        for place in (re.sub(r"{\w+}", _CRLF, page.path) if is_named else f"{page.path}?next={_CRLF}&q={_CRLF}",):
            answer = await browser.request(page.method, place, data={"back": "/x\r\nSet-Cookie: a=b"})
            assert answer.status_code < 500, place
            for name, value in answer.headers.raw:
                assert not re.search(rb"[\r\n\0]", name + value), place
            assert "planted" not in answer.headers.get("set-cookie", "")


# Helpers


def _nowhere(page: Page) -> str:
    return re.sub(r"{\w+}", "0" * 24, page.path)


def _filled(path: str, ids: Mapping[str, str]) -> str:
    return re.sub(r"{(\w+)}", lambda found: ids.get(found[1], "x"), path)


def _from(api: Api, address: str) -> httpx.AsyncClient:
    browser = stranger(api)
    browser._transport = httpx.ASGITransport(api.app, raise_app_exceptions=False, client=(address, 1))
    return browser
