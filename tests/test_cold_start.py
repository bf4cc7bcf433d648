"""A server that starts while PostgreSQL is away: what it knew is in its snapshot, what comes is in its spool."""

import asyncio
import json
import stat
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from offhook import app
from offhook.errors import Unavailable
from offhook.events import Event
from offhook.sealing import KeyRing, new_key_text
from offhook.settings import Settings
from offhook.snapshot import Snapshot
from offhook.store import organizations
from offhook.store.database import Database
from offhook.store.engine import open_database
from offhook.store.organizations import Contents, NewOrganization
from tests.beside import beside
from tests.services import Postgresql, Server, eventually
from tests.test_inbox import an_event
from tests.traffic import AUDIO, TRANSCRIPTION, body_of, filed, settle

URL = "postgresql://offhook:secret@db.internal/offhook"


@pytest.fixture
def keys() -> KeyRing:
    return KeyRing.from_text(new_key_text())


@pytest.fixture
async def contents(database: Database, keys: KeyRing) -> Contents:
    new = NewOrganization(name="Acme")
    await database.write(organizations.create, keys, new, 1.0)
    await database.write(organizations.decide, new.id, {"memory": True, "texts.per_call": 7})
    await database.write(organizations.add_agent, new.id, "agent_1", "Front desk", 1.0)
    await database.write(organizations.add_number, new.id, "+14165550100", None, 1.0)
    return await database.read(organizations.contents)


# The snapshot


def test_a_snapshot_comes_back_as_it_was_for_nobody_elses_eyes(
    tmp_path: Path, keys: KeyRing, contents: Contents
) -> None:
    snapshot = Snapshot(tmp_path / "directory.sealed", keys, URL)
    snapshot.write(Contents(1, [], [], [], []))
    snapshot.write(contents)
    assert contents == snapshot.read()
    assert 0o600 == stat.S_IMODE(snapshot.path.stat().st_mode)
    assert b"Front desk" not in snapshot.path.read_bytes()
    assert [snapshot.path] == list(tmp_path.glob("*.*ed*"))


def test_what_is_damaged_or_sealed_with_another_key_or_of_another_database_is_no_snapshot(
    tmp_path: Path, keys: KeyRing, contents: Contents
) -> None:
    path = tmp_path / "directory.sealed"
    assert Snapshot(path, keys, URL).read() is None
    Snapshot(path, keys, URL).write(contents)
    other = KeyRing.from_text(new_key_text())
    assert Snapshot(path, other, URL).read() is None
    assert Snapshot(path, keys, URL.replace("/offhook", "/another")).read() is None
    assert contents == Snapshot(path, keys, URL.replace(":secret", ":changed")).read()
    whole = path.read_bytes()
    for at in (0, 10, 40, len(whole) - 1):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert Snapshot(path, keys, URL).read() is None
    path.write_bytes(whole[:-1])
    assert Snapshot(path, keys, URL).read() is None


# Servers


@pytest.fixture
def shared(postgresql_url: str, data_dir: Path, secret_key: str) -> Settings:
    """An installation on PostgreSQL."""
    return Settings(data_dir=data_dir, database_url=postgresql_url, secret_key=secret_key)


async def test_the_snapshot_follows_the_directory_within_seconds(shared: Settings, postgresql_url: str) -> None:
    async with app.house(shared, is_server=True, with_worker=False) as deps:
        new = NewOrganization(name="Acme")
        await deps.database.write(organizations.create, deps.keys, new, 1.0)
        snapshot = Snapshot(shared.data_dir / "directory.sealed", deps.keys, postgresql_url)

        def names() -> list[str]:
            found = snapshot.read()
            return [one.name for one in found.organizations] if found else []

        async with asyncio.timeout(5):
            while names() != ["Acme"]:
                await asyncio.sleep(0.05)


async def test_without_a_snapshot_a_server_says_that_the_database_is_away(data_dir: Path, secret_key: str) -> None:
    url = "postgresql://offhook@127.0.0.1:1/offhook"
    settings = Settings(data_dir=data_dir, database_url=url, secret_key=secret_key)
    with pytest.raises(Unavailable, match="cannot be reached"):
        async with app.house(settings, is_server=True):
            pass


async def test_nobody_is_let_into_the_database_before_its_tables_are_this_versions(
    shared: Settings, keys: KeyRing
) -> None:
    is_back = asyncio.Event()

    async def upgrade() -> None:
        if not is_back.is_set():
            raise Unavailable

    database = open_database(shared)
    database.open_later(upgrade)
    for _ in range(2):
        with pytest.raises(Unavailable, match="has not come back yet"):
            await database.read(organizations.version)
        with pytest.raises(Unavailable, match="has not come back yet"):
            await database.find_caller("org", "+14165550100")
        with pytest.raises(Unavailable, match="has not come back yet"):
            await asyncio.gather(database.file(an_event("1")), database.file(an_event("2")))
    is_back.set()
    async with asyncio.timeout(5):
        while not await taken(database, an_event("3")):
            await asyncio.sleep(0.05)
    await database.close()


async def taken(database: Database, event: Event) -> bool:
    try:
        return (await database.file(event)).is_new
    except Unavailable:
        return False


@pytest.mark.parametrize("how", ["stopped", pytest.param("hung", marks=pytest.mark.torture)])
def test_a_server_that_starts_without_postgresql_takes_events_and_goes_on_by_itself_when_it_is_back(
    durable_postgresql: Postgresql, start_server: Callable[..., Server], how: str
) -> None:
    cluster = durable_postgresql
    server = start_server(database_url=cluster.url(cluster.create_database()))
    declared = {"variables": [{"name": "visits", "type": "number", "default": 3}]}
    beside(server, organizations.decide, server.org_id, declared)  # type: ignore[arg-type]
    told = {"visits": 3}
    eventually(lambda: told.items() <= greeted(server).items())
    eventually(lambda: not (server.data_dir / "directory.draft").exists())
    server.stop()
    leave, come_back = (cluster.stop, cluster.start) if how == "stopped" else (cluster.freeze, cluster.thaw)
    leave()
    server.start()

    events = [(TRANSCRIPTION, "conv_1"), (AUDIO, "conv_1"), (TRANSCRIPTION, "conv_2")]
    assert [200, 200, 200] == [server.deliver(body_of(event)).status_code for event in events]
    assert told.items() <= greeted(server).items()
    assert 503 == server.deliver(body_of(events[0]), secret="a secret made meanwhile").status_code
    assert 503 == stranger(server)
    health = server.get("/api/health").json()
    assert ("spooling", False) == (health["status"], health["secretsAreCurrent"])
    assert health["spooled"] >= 3
    assert 200 == server.get("/api/health/ready").status_code

    if how == "hung":
        assert 0 == server.stop()
        server.start()
    come_back()
    eventually(lambda: server.get("/api/health").json()["status"] == "ok", within_s=30)
    settle(server)
    assert dict.fromkeys(events, 1) == filed(server)
    eventually(lambda: server.get("/api/calls/history").json()["total"] == 2)
    eventually(lambda: 401 == stranger(server))
    assert server.get("/api/health").json()["secretsAreCurrent"]


def greeted(server: Server) -> dict[str, object]:
    answer = server.ask({"caller_id": "+14165550100"})
    assert 200 == answer.status_code
    return dict(json.loads(answer.text).get("dynamic_variables", {}))


def stranger(server: Server) -> int:
    url = f"{server.base_url}/api/webhook/elevenlabs/personalization"
    headers = {"Authorization": "Bearer oht_nobodys"}
    return httpx.post(url, json={"caller_id": "+14165550100"}, headers=headers, timeout=10).status_code
