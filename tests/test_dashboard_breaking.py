"""Values that break, and things that two do at once, on PostgreSQL: it is the stricter, and lets two write."""

import asyncio
import random
import re
from typing import Any
from urllib.parse import quote

import pytest

from offhook.accounts import members
from offhook.accounts.sign_ins import MOST_BY_ACCOUNT, new_token
from offhook.dashboard import PAGES
from offhook.dashboard.visitors import Page
from offhook.store import users
from offhook.store.audit import Entry
from tests.api import Api
from tests.people import PASSWORD, add_user, sign_in, signed_in, stranger
from tests.test_dashboard_attacks import _filled, _from
from tests.test_dashboard_naughty import _FORM, _fields
from tests.world import World, furnished

_EMAIL = "ann@acme.example"


@pytest.fixture
def database_url(postgresql_url: str) -> str:
    return postgresql_url


@pytest.mark.parametrize("times", [3, pytest.param(40, marks=pytest.mark.torture)])
async def test_nothing_that_an_address_can_say_is_a_fault_of_ours(api: Api, times: int, seed: int) -> None:
    world = await furnished(api, api.org.id, ["Maya"])
    browser, chance = await signed_in(api, "owner"), random.Random(seed)
    names = [*_fields(), "after", "before", "q", "view", "undo", "said", "done", "again", "id", "org", "save", "object"]
    for page in PAGES:
        if page.method == "GET":
            for _ in range(times):
                said = "&".join(f"{name}={chance.choice(_ASKED)}" for name in names)
                place = f"{_filled(page.path, world.ids)}?{said}"
                answer = await (browser.head(place) if page.path == "/live" else browser.get(place))
                assert answer.status_code < 500, (seed, place)
            for value in ("%00", "%ff", "%ed%a0%80", "x" * 5000, "%2f"):
                if "{" in page.path:
                    answer = await browser.get(re.sub(r"{\w+}", value, page.path))
                    assert answer.status_code in (400, 404), (page, value)


_ASKED = (
    "%00", "a%00b", "%ff%fe", "%ed%a0%80", "x" * 300, "nan-" + "0" * 24, "inf-" + "0" * 24, "1e308-" + "0" * 24,
    "-1e11-" + "0" * 24, "1-" + "%00" * 24, "9" * 400, "1" * 18, "-" * 30, "999999999999-99999999999999999999",
    "1.5-9223372036854775808", "0-4611686018427387903", "%F0%9F%92%A9", "9999-12-31", "0001-01-01", "2999-12-31",
    "2026-W47-1", "1e11", "1e-320", "%22%27%3Ch1%3E", "", "audit", "done", "mine", "refused", "missed",
)  # fmt: skip


@pytest.mark.parametrize("times", [3, pytest.param(40, marks=pytest.mark.torture)])
async def test_nothing_that_a_form_can_say_is_a_fault_of_ours(api: Api, times: int, seed: int) -> None:
    world = await furnished(api, api.org.id, ["Maya"])
    browser, anybody, chance = await signed_in(api, "owner"), stranger(api), random.Random(seed)
    fields = [*_fields(), *world.forms, "back", "nonce", "remove", "preview", "only", "next", "org"]
    pages = sorted((page for page in PAGES if page.method == "POST"), key=_does_away)
    for page in pages:
        visitor = anybody if page.right == "anyone" else browser
        for _ in range(times):
            form = {name: chance.choice(_BREAKING) if chance.random() < 0.4 else _usual(name, world) for name in fields}
            body = "&".join(f"{name}={value}" for name, value in form.items())
            answer = await visitor.post(_filled(page.path, world.ids), content=body.encode(), headers=_FORM)
            assert answer.status_code < 500, (seed, page, form)
        for path in ("%00", "%ff", "x" * 5000):
            if "{" in page.path:
                body = "&".join(f"{name}={_usual(name, world)}" for name in fields)
                answer = await visitor.post(re.sub(r"{\w+}", path, page.path), content=body, headers=_FORM)
                assert answer.status_code < 500, (page, path)


_BREAKING = ("%00", "a%00b", "%ed%a0%80", "%f0%9f%92%a9", "x" * 1200, "", "-1", "9" * 60, "1e999", "%0d%0a", "%E2%80%AE",
             "nan", "..%2f..%2fetc%2fpasswd", "%D9%A3", "2026-13-45", "{{x}}", "%22")  # fmt: skip


def _usual(name: str, world: World) -> str:
    usual = {
        "email": f"{random.Random(name).random()}@acme.example", "password": quote(PASSWORD), "timezone": "Europe/Berlin",
        "country": "DE", "name": "Maya", "numbers": "%2B14165550199", "overlap": "day", "value": "x" * 30, "scope": "read",
        "label": "", "until": "hour", "mon": "09:00-17:00", "holidays": "12-25", "type": "string", "user": "",
    }  # fmt: skip
    return usual.get(name) or quote(world.forms.get(name, "Maya"))


def _does_away(page: Page) -> bool:
    return any(word in page.path for word in ("erase", "remove", "withdraw", "revoke", "merge", "logout", "password"))


async def test_a_call_of_the_api_with_a_nul_is_no_fault_of_ours(api: Api) -> None:
    for path in ("/api/calls/%00", "/api/contacts/%00", "/api/contacts/%00/memory", "/api/events/%00", "/api/staff/%00",
                 "/api/calls/%00/audio", "/api/calls/%00/recording", "/api/contact-notes?contactId=%00",
                 "/api/organizations/%00/variables", f"/api/organizations/{api.org.id}/agents/%00/variables",
                 "/api/calls/history?search=%00", "/api/contacts?search=%00", "/api/events?callId=%00"):  # fmt: skip
        assert (await api.client.get(path)).status_code < 500, path
    for method, path in (("DELETE", "/api/contacts/%00"), ("DELETE", "/api/staff/%00"), ("DELETE", "/api/contact-notes/%00"),
                         ("POST", "/api/events/%00/replay"), ("PATCH", "/api/callbacks/%00")):  # fmt: skip
        assert (await api.client.request(method, path, json={"status": "done"})).status_code < 500, path


# Two at once


async def test_guesses_that_come_at_once_are_counted_one_by_one(api: Api) -> None:
    await add_user(api, _EMAIL, "owner")
    guesses = [sign_in(_from(api, f"198.51.100.{place}"), _EMAIL, "wrong") for place in range(24)]
    statuses = [answer.status_code for answer in await asyncio.gather(*guesses)]
    assert MOST_BY_ACCOUNT == statuses.count(401)
    assert 24 - MOST_BY_ACCOUNT == statuses.count(429)


async def test_an_invitation_that_two_follow_at_once_lets_one_in(api: Api) -> None:
    token = new_token()
    by = Entry(at=api.deps.now(), org_id=api.org.id, user_id=None, who="a test", action="user_invited")
    facts: dict[str, Any] = {"email": "sam@acme.example", "role": "agent"}
    await api.deps.database.write(members.invite, by, api.org.id, token, **facts)
    form = {"name": "Sam", "password": PASSWORD}
    follow = [stranger(api).post(f"/invitation/{token}", data=form) for _ in range(6)]
    statuses = sorted(answer.status_code for answer in await asyncio.gather(*follow))
    assert 303 == statuses[0]
    assert {400, 404} >= set(statuses[1:])


async def test_of_the_last_two_owners_who_leave_at_once_one_stays(api: Api) -> None:
    one, other = await signed_in(api, "owner", _EMAIL), await signed_in(api, "owner", "bob@acme.example")
    ann, bob = [await api.deps.database.read(users.find, email) for email in (_EMAIL, "bob@acme.example")]
    left = await asyncio.gather(
        one.post(f"/settings/users/{ann.id}/remove"),
        other.post(f"/settings/users/{bob.id}/role", data={"role": "agent"}),
    )
    assert [303, 409] == sorted(answer.status_code for answer in left)
    members_left = await api.deps.database.read(users.members, api.org.id)
    assert 1 == [row.role for row in members_left].count("owner")
