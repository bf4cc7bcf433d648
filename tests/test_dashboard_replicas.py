"""Two servers on one PostgreSQL: whoever looks at the one sees what the other took, and is let in and out by both."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from offhook import app
from offhook.events import call_id
from offhook.settings import Settings
from offhook.store import organizations, users
from tests.api import NOW, Api
from tests.calls import DOOR
from tests.pages import Page
from tests.payloads import BOOKING, payload
from tests.people import add_user, sign_in, signed_in, stranger
from tests.services import signature
from tests.streams import opened

_AT_ONCE_S = 2.0
_EMAIL = "ann@acme.example"


@pytest.fixture
async def replicas(postgresql_url: str, secret_key: str, tmp_path: Path) -> AsyncIterator[tuple[Api, Api]]:
    """Two servers that share nothing but the database and the recordings; each understands events."""
    settings = [
        Settings(data_dir=tmp_path / name, database_url=postgresql_url, secret_key=secret_key,
                 storage_url=f"file://{tmp_path}/recordings")
        for name in ("one", "two")
    ]  # fmt: skip
    async with app.house(settings[0], is_server=True) as one, app.house(settings[1], is_server=True) as two:
        first, second = Api(one), Api(two)
        second.org = first.org
        await one.database.write(organizations.create, one.keys, first.org, NOW)
        await asyncio.gather(one.directory.refresh(), two.directory.refresh())
        yield first, second


async def test_a_call_that_one_takes_is_on_a_page_of_the_other_at_once(replicas: tuple[Api, Api]) -> None:
    one, two = replicas
    browser = await signed_in(two, "agent")
    for taker, giver, conversation in ((one, two, "conv_a"), (two, one, "conv_b")):
        async with opened(browser, giver.app, "/live") as page:
            await page.until("count")
            begun = time.monotonic()
            id = await _deliver(taker, conversation)
            told = await page.until("call", id=id, status="completed")
            took_s = time.monotonic() - begun
        assert took_s < _AT_ONCE_S
        assert told.data["news"]
        for server in replicas:
            listed = Page((await _browser_of(server, browser).get("/calls")).text)
            assert f"call-{id}" in listed.values("li", "id", class_="row")
            assert 200 == (await _browser_of(server, browser).get(f"/calls/{id}")).status_code


async def test_a_page_that_comes_back_to_the_other_server_catches_up(replicas: tuple[Api, Api]) -> None:
    one, two = replicas
    browser = await signed_in(one, "agent")
    async with opened(browser, one.app, "/live") as page:
        await page.until("count")
        first = await _deliver(one, "conv_a")
        seen = (await page.until("call", id=first, status="completed")).id
    missed = await _deliver(one, "conv_b")
    await _until_listed(_browser_of(one, browser), missed)
    async with opened(browser, two.app, "/live", **{"Last-Event-ID": seen}) as page:
        assert (await page.until("call", id=missed)).data["news"]


async def test_a_session_is_everywhere_and_so_is_its_end(replicas: tuple[Api, Api]) -> None:
    one, two = replicas
    await add_user(one, _EMAIL, "owner")
    browser = stranger(one)
    assert 303 == (await sign_in(browser, _EMAIL)).status_code
    there = _browser_of(two, browser)
    assert 200 == (await there.get("/calls")).status_code
    elsewhere = stranger(two)
    await sign_in(elsewhere, _EMAIL)
    assert 303 == (await there.post("/account/sessions/end")).status_code
    assert 303 == (await elsewhere.get("/account")).status_code
    assert 200 == (await browser.get("/account")).status_code
    async with opened(browser, one.app, "/live") as page:
        await page.until("count")
        assert 303 == (await there.post("/logout")).status_code
        await page.until("over")
    assert [303, 303] == [(await _browser_of(server, browser).get("/calls")).status_code for server in replicas]


async def test_a_form_of_one_may_be_sent_to_the_other_and_of_another_site_to_neither(replicas: tuple[Api, Api]) -> None:
    one, two = replicas
    browser = _browser_of(two, await signed_in(one, "owner"))
    answer = await browser.post("/contacts", data={"first_name": "Maya", "numbers": "+14165550100"})
    assert (303, True) == (answer.status_code, answer.headers["location"].startswith("/contacts/"))
    refused = await browser.post(
        "/contacts", data={"numbers": "+14165550101"}, headers={"Origin": "https://evil.example"}
    )
    assert 403 == refused.status_code


async def test_a_role_and_a_person_that_are_taken_away_are_so_on_both(replicas: tuple[Api, Api]) -> None:
    one, two = replicas
    owner = await signed_in(one, "owner")
    there = _browser_of(two, await signed_in(two, "manager", _EMAIL))
    user = await one.deps.database.read(users.find, _EMAIL)
    assert 200 == (await there.get("/settings")).status_code
    assert 303 == (await owner.post(f"/settings/users/{user.id}/role", data={"role": "agent"})).status_code
    assert 403 == (await there.get("/settings")).status_code
    assert 303 == (await owner.post(f"/settings/users/{user.id}/remove")).status_code
    assert 303 == (await there.get("/calls")).status_code


async def test_attempts_to_sign_in_are_counted_together(replicas: tuple[Api, Api]) -> None:
    await add_user(replicas[0], _EMAIL, "owner")
    browsers = [stranger(server) for server in replicas]
    statuses = [(await sign_in(browsers[number % 2], _EMAIL, "wrong")).status_code for number in range(11)]
    assert [401] * 10 + [429] == statuses


async def test_what_one_changes_in_the_settings_holds_at_the_other(replicas: tuple[Api, Api]) -> None:
    one, two = replicas
    owner = await signed_in(one, "owner")
    form = {"name": "Acme", "timezone": "Europe/Berlin", "country": "DE"}
    assert 303 == (await owner.post("/settings", data=form)).status_code
    async with asyncio.timeout(_AT_ONCE_S):
        while "Europe/Berlin" not in (await _browser_of(two, owner).get("/settings/hours")).text:
            await asyncio.sleep(0.05)


async def _deliver(server: Api, conversation: str) -> str:
    content = payload(
        BOOKING, ("data.conversation_id", conversation), ("event_timestamp", int(time.time())),
        ("data.metadata.start_time_unix_secs", int(time.time()) - 60),
    )  # fmt: skip
    body = json.dumps(content).encode()
    headers = {"ElevenLabs-Signature": signature(server.org.webhook_secret, body)}
    answer = await server.client_with(None).post(f"{DOOR}?org={server.org.id}", content=body, headers=headers)
    assert 200 == answer.status_code, answer.text
    return call_id(server.org.id, conversation)


async def _until_listed(browser: httpx.AsyncClient, id: str) -> None:
    async with asyncio.timeout(5):
        while f"call-{id}" not in (await browser.get("/calls")).text:
            await asyncio.sleep(0.05)


def _browser_of(server: Api, other: httpx.AsyncClient) -> httpx.AsyncClient:
    """The same browser, led to that server."""
    browser = stranger(server)
    browser.cookies.update(other.cookies)
    return browser
