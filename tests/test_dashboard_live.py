"""Open pages are told what happens: at once, again after a reconnect, and nothing that is not theirs."""

import asyncio
import signal
import socket
import time
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from offhook.credentials import hash_of
from offhook.dashboard import live
from offhook.dashboard.visitors import cookie_name
from offhook.store import sessions, users
from offhook.store.tables import calls, follow_ups, memberships, recording_peaks
from tests.api import Api, call_row, hex_id
from tests.beside import beside
from tests.people import signed_in
from tests.services import Server
from tests.streams import opened

_CALL = hex_id(7)


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "LOOK_EVERY_S", 0.05)


async def _a_call(api: Api, id: str = _CALL, **facts: object) -> None:
    now = api.deps.now()
    await api.add_calls({"id": id, "happened_at": now - 42, "created_at": now, "updated_at": now, **facts})


async def test_a_call_its_recording_and_who_waits_reach_an_open_page(api: Api) -> None:
    browser = await signed_in(api, "agent")
    async with opened(browser, api.app, "/live") as page:
        assert 200 == page.status
        assert {"follow_ups": 0} == (await page.until("count")).data
        await _a_call(api, summary="<script>alert(1)</script>")
        told = await page.until("call", id=_CALL)
        assert told.data["news"]
        assert f'id="call-{_CALL}"' in told.data["html"]
        assert "<script>" not in told.data["html"]
        now = api.deps.now()
        await api.add_recording(_CALL, b"audio", created_at=now)
        await page.until("recording", id=_CALL)
        row = {"recording_id": await _recording(api), "version": 1, "peaks": b"\1", "created_at": now + 1}
        await api.insert(recording_peaks, row)
        await page.until("recording", id=_CALL)
        await api.insert(follow_ups, {"id": hex_id(1), "org_id": api.org.id, "call_id": _CALL, "kind": "missed",
                                      "status": "open", "due_at": now, "created_at": now, "updated_at": now})  # fmt: skip
        await page.until("call", id=_CALL)
        assert {"follow_ups": 1} == (await page.until("count")).data


async def test_a_page_that_comes_back_is_told_what_it_missed_by_any_server(api: Api) -> None:
    browser = await signed_in(api, "agent")
    async with opened(browser, api.app, "/live") as page:
        await page.until("count")
        await _a_call(api)
        seen = (await page.until("call")).id
    later = api.deps.now() + 1
    await _a_call(api, hex_id(8), updated_at=later)
    await _a_call(api, hex_id(9), updated_at=later - 86_400)
    another = Api(api.deps)  # a server that knows nothing of the first
    async with opened(browser, another.app, "/live", **{"Last-Event-ID": seen}) as page:
        again = await page.until("call")
        assert (_CALL, False) == (again.data["id"], again.data["news"])
        missed = await page.until("call")
        assert (hex_id(8), True) == (missed.data["id"], missed.data["news"])
        assert "count" == (await page.next() or again).event


async def test_a_change_that_is_committed_late_is_told_all_the_same(api: Api) -> None:
    """Its transaction began, and set the time, before others that were seen."""
    async with opened(await signed_in(api, "agent"), api.app, "/live") as page:
        await page.until("count")
        await _a_call(api)
        await page.until("call", id=_CALL)
        await _a_call(api, hex_id(8), updated_at=api.deps.now() - 5)
        await page.until("call", id=hex_id(8))


async def test_nobody_is_told_of_another_organisation(api: Api) -> None:
    globex = await api.add_organization()
    async with opened(await signed_in(api, "owner"), api.app, "/live") as page:
        await page.until("count")
        now = api.deps.now()
        row = call_row(globex.id, id=hex_id(1), updated_at=now, created_at=now)
        await api.insert(calls, row)
        await _a_call(api)
        assert _CALL == (await page.until("call")).data["id"]
    owner = await signed_in(api, "owner", "o@acme.example")
    assert 409 == (await owner.get("/live", params={"org": globex.id})).status_code


@pytest.mark.parametrize("what", ["signed out", "another role", "another organisation"])
async def test_the_stream_ends_with_what_it_was_opened_for(api: Api, what: str) -> None:
    browser = await signed_in(api, "manager")
    globex = await api.add_organization()
    async with opened(browser, api.app, "/live") as page:
        await page.until("count")
        token = hash_of(browser.cookies[cookie_name(api.deps.settings)])
        await api.deps.database.write(_change, what, token, globex.id)
        assert "over" == (await page.until("over")).event
        assert await page.next() is None


async def test_streams_are_bounded_for_a_session_and_for_all(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MOST_OF_A_SESSION", 1)
    monkeypatch.setattr(live, "MOST_STREAMS", 2)
    one, other = await signed_in(api, "agent"), await signed_in(api, "manager")
    async with opened(one, api.app, "/live") as first:
        assert 200 == first.status
        refused = await one.get("/live")
        assert (429, "30") == (refused.status_code, refused.headers["retry-after"])
        assert "Close one of them" in refused.text
        async with opened(other, api.app, "/live"):
            assert 503 == (await other.get("/live")).status_code
    async with opened(one, api.app, "/live") as again:
        assert 200 == again.status


async def test_a_page_that_does_not_read_is_left_behind_and_holds_nothing(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_MOST_WAITING", 2)
    async with opened(await signed_in(api, "agent"), api.app, "/live") as page:
        await page.until("count")
        page.reads.clear()
        for number in range(1, 6):
            await _a_call(api, hex_id(number))
            await asyncio.sleep(0.08)
        page.reads.set()
        while (told := await page.next()) is not None:
            assert "over" != told.event


async def test_a_silent_stream_has_a_heartbeat_and_ends_when_the_server_stops(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "HEARTBEAT_S", 0.05)
    async with opened(await signed_in(api, "agent"), api.app, "/live") as page:
        await page.until("count")
        while b": still" not in (await page.sent.get() or b""):
            pass
        api.deps.stopping.set()
        assert await page.next() is None


async def test_an_open_page_does_not_keep_its_session_awake(api: Api) -> None:
    browser = await signed_in(api, "agent")
    token = hash_of(browser.cookies[cookie_name(api.deps.settings)])
    await api.deps.database.write(_idle_since, token, api.deps.now() - 300)
    async with opened(browser, api.app, "/live") as page:
        await page.until("count")
    found = await api.deps.database.read(sessions.find, token, api.deps.now())
    assert found is not None
    assert found.seen_at < api.deps.now() - 200


@pytest.fixture
def listening(server: Server) -> Iterator[tuple[Server, socket.socket]]:
    """A server, and a page of it that listens."""
    beside(server, _sign_in, server.org_id)
    host = ("127.0.0.1", int(server.base_url.rpartition(":")[2]))
    with socket.create_connection(host, timeout=5) as page:
        page.sendall(b"GET /live HTTP/1.1\r\nHost: x\r\nCookie: offhook=a token\r\n\r\n")
        heard = b""
        while b"event: count" not in heard:
            heard += page.recv(4096)
        yield server, page


def test_a_server_that_is_told_to_stop_does_not_wait_for_open_pages(
    listening: tuple[Server, socket.socket],
) -> None:
    server, page = listening
    begun = time.monotonic()
    assert server._popen is not None
    server._popen.send_signal(signal.SIGTERM)
    heard = b""
    while piece := page.recv(4096):
        heard += piece
    assert heard.endswith(b"0\r\n\r\n")
    assert 0 == server._popen.wait(5)
    assert time.monotonic() - begun < 3


async def _recording(api: Api) -> str:
    return str(await api.deps.database.read(lambda tx: tx.execute(sa.text("SELECT id FROM recordings")).scalar()))


def _change(tx: sa.Connection, what: str, token: str, org_id: str) -> None:
    if what == "signed out":
        sessions.end(tx, token)
    elif what == "another role":
        tx.execute(memberships.update().values(role="agent"))
    else:
        user = tx.execute(sa.text("SELECT user_id FROM sessions")).scalar()
        tx.execute(memberships.insert(), {"user_id": user, "org_id": org_id, "role": "owner", "created_at": 0})
        sessions.switch(tx, token, org_id)


def _idle_since(tx: sa.Connection, token: str, at: float) -> None:
    tx.execute(sa.text("UPDATE sessions SET seen_at = :at"), {"at": at})


def _sign_in(tx: sa.Connection, org_id: str) -> None:
    now = time.time()
    user = users.create(tx, email="a@acme.example", name="A", password_hash="-", now=now)
    users.set_role(tx, user.id, org_id, "owner", now)
    sessions.start(
        tx, hash_of("a token"), user.id, org_id=org_id, address="192.0.2.1", browser="", now=now,
        idle_s=3600, absolute_s=86_400,
    )  # fmt: skip
