"""The directory: what it answers, how it keeps up with the database, and what it does without it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
import sqlalchemy as sa

from offhook.credentials import Kind, hash_of, new_secret
from offhook.directory import Directory
from offhook.errors import Damaged, Mistake, Unavailable
from offhook.sealing import KeyRing, new_key_text
from offhook.settings import Settings
from offhook.store import migrations, organizations
from offhook.store.database import Database
from offhook.store.engine import open_database
from offhook.store.organizations import NewOrganization
from tests.services import Postgresql

NOW = 1_790_000_000.0
FAR_AWAY_S = 3_600.0  #: a directory that polls this rarely looks only when it is asked


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


class WatchedDatabase:
    """The real database; counts its reads, and hands their results over only while the gate is open."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.reads = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.has_read = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    async def read(self, statement: Any, *args: Any, **kwargs: Any) -> Any:
        self.reads += 1
        result = await self._database.read(statement, *args, **kwargs)
        self.has_read.set()
        await self.gate.wait()
        return result


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys() -> KeyRing:
    return KeyRing.from_text(new_key_text())


@pytest.fixture
async def directory(database: Database, keys: KeyRing, clock: Clock) -> AsyncIterator[Directory]:
    async with opened(Directory(database, keys, clock, poll_s=FAR_AWAY_S)) as directory:
        yield directory


@pytest.fixture
async def acme(database: Database, keys: KeyRing) -> NewOrganization:
    return await made(database, keys, name="Acme", timezone="America/Toronto", country="CA")


@asynccontextmanager
async def opened(directory: Directory) -> AsyncIterator[Directory]:
    await directory.open()
    try:
        yield directory
    finally:
        await directory.close()


async def made(database: Database, keys: KeyRing, **facts: str) -> NewOrganization:
    new = NewOrganization(**facts)
    await database.write(organizations.create, keys, new, NOW)
    return new


def create_all(tx: sa.Connection, keys: KeyRing, new: Sequence[NewOrganization]) -> None:
    for one in new:
        organizations.create(tx, keys, one, NOW)


# What it answers


async def test_an_organisation_is_known_with_all_its_secrets(acme: NewOrganization, directory: Directory) -> None:
    found = directory.organization(acme.id)
    assert found is not None
    assert ("Acme", "America/Toronto", "CA", {}) == (found.name, found.timezone, found.country, found.settings)
    assert [acme.webhook_secret.encode()] == [secret.secret for secret in directory.webhook_secrets(acme.id)]
    assert acme.id == directory.org_of_tool_token(acme.tool_secret)
    key = directory.api_key(acme.api_key)
    assert key is not None
    assert (acme.id, frozenset({"read", "write", "admin"})) == (key.org_id, key.scopes)


async def test_a_secret_opens_only_its_own_door(acme: NewOrganization, directory: Directory) -> None:
    assert directory.org_of_tool_token(acme.api_key) is None
    assert directory.org_of_tool_token(acme.webhook_secret) is None
    assert directory.api_key(acme.tool_secret) is None


@pytest.mark.parametrize("token", ["", " ", "oht_", "\x00", "ünïcode", "\ud800", "x" * 100_000])
async def test_a_token_that_nobody_has_opens_nothing(acme: NewOrganization, directory: Directory, token: str) -> None:
    assert directory.org_of_tool_token(token) is None
    assert directory.api_key(token) is None


async def test_an_unknown_organisation_has_nothing(directory: Directory) -> None:
    assert directory.organization("f" * 24) is None
    assert [] == directory.webhook_secrets("f" * 24)


async def test_one_webhook_secret_of_several_organisations_is_one(
    database: Database, keys: KeyRing, directory: Directory
) -> None:
    shared = new_secret("webhook")
    first = await made(database, keys, name="First", webhook_secret=shared)
    second = await made(database, keys, name="Second", webhook_secret=shared)
    await directory.refresh()
    (found,) = directory.all_webhook_secrets()
    assert {first.id, second.id} == set(found.org_ids)
    assert len(set(found.ids)) == 2
    assert [found] == directory.webhook_secrets(first.id) == directory.webhook_secrets(second.id)


async def test_a_shared_secret_ends_for_each_organisation_by_itself(
    database: Database, keys: KeyRing, directory: Directory, clock: Clock
) -> None:
    shared = new_secret("webhook")
    leaving = await made(database, keys, name="Leaving", webhook_secret=shared)
    staying = await made(database, keys, name="Staying", webhook_secret=shared)
    fresh = new_secret("webhook")
    await database.write(organizations.rotate, keys, leaving.id, "webhook", fresh, NOW, 60)
    await directory.refresh()
    clock.now = NOW + 60
    assert [fresh.encode()] == [secret.secret for secret in directory.webhook_secrets(leaving.id)]
    assert [(staying.id,)] == [secret.org_ids for secret in directory.webhook_secrets(staying.id)]


async def test_two_organisations_cannot_have_one_tool_secret(
    acme: NewOrganization, database: Database, keys: KeyRing, directory: Directory
) -> None:
    with pytest.raises(Mistake, match="in use already"):
        await made(database, keys, name="Other", tool_secret=acme.tool_secret)
    assert not await directory.refresh(), "the organisation that could not be made left something behind"


async def test_agents_that_were_registered_come_before_those_that_were_learnt(
    acme: NewOrganization, database: Database, keys: KeyRing, directory: Directory
) -> None:
    other = await made(database, keys, name="Other")
    await database.write(organizations.learn_agent, other.id, "agent_1", None, NOW)
    await database.write(organizations.add_agent, acme.id, "agent_1", "Reception", NOW + 1)
    await directory.refresh()
    assert (acme.id, other.id) == directory.orgs_of_agent("agent_1")
    assert () == directory.orgs_of_agent("agent_2")


async def test_an_agent_that_is_known_is_not_learnt_again(
    acme: NewOrganization, database: Database, directory: Directory
) -> None:
    await database.write(organizations.add_agent, acme.id, "agent_1", "Reception", NOW)
    await directory.refresh()
    await database.write(organizations.learn_agent, acme.id, "agent_1", None, NOW)
    assert not await directory.refresh()
    (agent,) = await database.read(organizations.agents_of, acme.id)
    assert ("Reception", False) == (agent.name, agent.is_learnt)


async def test_an_agent_first_met_without_a_name_gets_the_one_it_is_called_by_later(
    acme: NewOrganization, database: Database
) -> None:
    for name in (None, "Reception", "Somebody else"):
        await database.write(organizations.learn_agent, acme.id, "agent_1", name, NOW)
    (agent,) = await database.read(organizations.agents_of, acme.id)
    assert ("Reception", True) == (agent.name, agent.is_learnt)


async def test_registering_an_agent_again_without_a_name_keeps_the_name(
    acme: NewOrganization, database: Database
) -> None:
    await database.write(organizations.add_agent, acme.id, "agent_1", "Reception", NOW)
    await database.write(organizations.add_agent, acme.id, "agent_1", None, NOW + 1)
    (agent,) = await database.read(organizations.agents_of, acme.id)
    assert ("Reception", NOW) == (agent.name, agent.created_at)


async def test_a_number_may_belong_to_several_organisations(
    acme: NewOrganization, database: Database, keys: KeyRing, directory: Directory
) -> None:
    other = await made(database, keys, name="Other")
    await database.write(organizations.add_number, acme.id, "+12362320246", "Desk", NOW)
    await database.write(organizations.add_number, other.id, "+12362320246", None, NOW + 1)
    await directory.refresh()
    assert (acme.id, other.id) == directory.orgs_of_number("+12362320246")
    assert () == directory.orgs_of_number("+12362320247")


# Rotation


async def test_during_the_overlap_old_and_new_secrets_are_valid_and_then_only_the_new(
    acme: NewOrganization, database: Database, keys: KeyRing, directory: Directory, clock: Clock
) -> None:
    fresh = new_secret("tool")
    await database.write(organizations.rotate, keys, acme.id, "tool", fresh, NOW, 60)
    await directory.refresh()
    clock.now = NOW + 59.9
    assert [acme.id, acme.id] == [directory.org_of_tool_token(token) for token in (acme.tool_secret, fresh)]
    clock.now = NOW + 60
    assert [None, acme.id] == [directory.org_of_tool_token(token) for token in (acme.tool_secret, fresh)]


async def test_without_an_overlap_the_old_secret_ends_at_once(
    acme: NewOrganization, database: Database, keys: KeyRing, directory: Directory
) -> None:
    fresh = new_secret("api_key")
    await database.write(organizations.rotate, keys, acme.id, "api_key", fresh, NOW, 0)
    await directory.refresh()
    assert directory.api_key(acme.api_key) is None
    assert directory.api_key(fresh) is not None


async def test_rotating_again_does_not_prolong_what_was_about_to_end(
    acme: NewOrganization, database: Database, keys: KeyRing
) -> None:
    await database.write(organizations.rotate, keys, acme.id, "webhook", new_secret("webhook"), NOW, 60)
    await database.write(organizations.rotate, keys, acme.id, "webhook", new_secret("webhook"), NOW, 3_600)
    webhooks = [s for s in await database.read(organizations.secrets_of, acme.id) if s.kind == "webhook"]
    assert {None, NOW + 60, NOW + 3_600} == {secret.expires_at for secret in webhooks}


@pytest.mark.parametrize("kind", ["webhook", "tool", "api_key"])
async def test_a_secret_that_the_organisation_has_is_no_new_one(
    acme: NewOrganization, database: Database, keys: KeyRing, kind: Kind
) -> None:
    value = {"webhook": acme.webhook_secret, "tool": acme.tool_secret, "api_key": acme.api_key}[kind]
    with pytest.raises(Mistake, match="choose another value"):
        await database.write(organizations.rotate, keys, acme.id, kind, value, NOW, 60)


async def test_a_secret_whose_key_is_lost_can_be_rotated(acme: NewOrganization, database: Database) -> None:
    other_keys, fresh = KeyRing.from_text(new_key_text()), new_secret("webhook")
    await database.write(organizations.rotate, other_keys, acme.id, "webhook", fresh, NOW, 60)
    async with opened(Directory(database, other_keys, lambda: NOW)) as directory:
        assert [fresh.encode()] == [secret.secret for secret in directory.webhook_secrets(acme.id)]


async def test_what_is_stored_is_sealed_or_hashed(acme: NewOrganization, database: Database) -> None:
    stored = await database.read(organizations.secrets_of, acme.id)
    values = (acme.webhook_secret, acme.tool_secret, acme.api_key)
    assert not any(value in repr(secret) for secret in stored for value in values)
    assert {hash_of(acme.tool_secret), hash_of(acme.api_key), None} == {secret.hash for secret in stored}


# Keeping up


async def test_a_secret_made_beside_it_is_known_after_a_refresh(
    database: Database, keys: KeyRing, directory: Directory
) -> None:
    late = await made(database, keys, name="Late")
    assert directory.org_of_tool_token(late.tool_secret) is None
    assert await directory.refresh()
    assert late.id == directory.org_of_tool_token(late.tool_secret)
    assert not await directory.refresh()


async def test_changes_come_by_themselves(database: Database, keys: KeyRing) -> None:
    async with opened(Directory(database, keys, poll_s=0.01)) as directory:
        late = await made(database, keys, name="Late")
        async with asyncio.timeout(10):
            while directory.organization(late.id) is None:
                await asyncio.sleep(0.01)


async def test_a_thousand_strangers_at_once_cost_two_looks(database: Database, keys: KeyRing) -> None:
    counted = WatchedDatabase(database)
    async with opened(Directory(cast(Database, counted), keys, poll_s=FAR_AWAY_S)) as directory:
        counted.reads = 0
        await asyncio.gather(*(directory.refresh() for _ in range(1_000)))
        assert counted.reads <= 2


async def test_whoever_asks_while_a_look_is_under_way_gets_one_that_began_later(
    database: Database, keys: KeyRing
) -> None:
    slow = WatchedDatabase(database)
    async with opened(Directory(cast(Database, slow), keys, poll_s=FAR_AWAY_S)) as directory:
        slow.gate.clear()
        slow.has_read.clear()
        under_way = asyncio.create_task(directory.refresh())
        await asyncio.wait_for(slow.has_read.wait(), 10)
        late = await made(database, keys, name="Late")
        asked_after = asyncio.create_task(directory.refresh())
        await asyncio.sleep(0)
        slow.gate.set()
        assert (False, True) == (await under_way, await asked_after)
        assert directory.organization(late.id) is not None


async def test_what_was_used_is_written_down_when_it_closes(
    acme: NewOrganization, database: Database, keys: KeyRing, clock: Clock
) -> None:
    clock.now = NOW + 5
    async with opened(Directory(database, keys, clock, poll_s=FAR_AWAY_S)) as directory:
        version = await database.read(organizations.version)
        directory.org_of_tool_token(acme.tool_secret)
        (signer,) = directory.webhook_secrets(acme.id)
        directory.note_use(*signer.ids)
    stored = await database.read(organizations.secrets_of, acme.id)
    assert {"webhook": NOW + 5, "tool": NOW + 5, "api_key": None} == {one.kind: one.last_used_at for one in stored}
    assert version == await database.read(organizations.version), "servers would reload for nothing"


async def test_an_earlier_use_does_not_overwrite_a_later_one(acme: NewOrganization, database: Database) -> None:
    secret_id = (await database.read(organizations.secrets_of, acme.id))[0].id
    await database.write(organizations.stamp_used, {secret_id: NOW + 9})
    await database.write(organizations.stamp_used, {secret_id: NOW + 3})
    (used,) = [one for one in await database.read(organizations.secrets_of, acme.id) if one.last_used_at]
    assert NOW + 9 == used.last_used_at


async def test_a_thousand_organisations_are_told_apart(database: Database, keys: KeyRing, directory: Directory) -> None:
    made_here = [NewOrganization(name=f"Client {number}") for number in range(1_000)]
    await database.write(create_all, keys, made_here)
    assert await directory.refresh()
    assert 1_000 == len(directory.all_webhook_secrets())
    assert made_here[-1].id == directory.org_of_tool_token(made_here[-1].tool_secret)


# Faults


async def test_with_the_wrong_key_it_does_not_open(acme: NewOrganization, database: Database) -> None:
    with pytest.raises(Damaged, match="OFFHOOK_SECRET_KEY"):
        await Directory(database, KeyRing.from_text(new_key_text())).open()


async def test_one_secret_that_cannot_be_opened_does_not_close_the_others(
    acme: NewOrganization, database: Database, keys: KeyRing, directory: Directory
) -> None:
    foreign = await made(database, KeyRing.from_text(new_key_text()), name="Foreign")
    await directory.refresh()
    assert [] == directory.webhook_secrets(foreign.id)
    assert foreign.id == directory.org_of_tool_token(foreign.tool_secret)
    assert 1 == len(directory.webhook_secrets(acme.id))


@pytest.mark.parametrize("fault", ["stopped", "hung"])
async def test_while_the_database_is_down_what_is_known_stays_valid(
    durable_postgresql: Postgresql, settings_of: Callable[[str], Settings], keys: KeyRing, fault: str
) -> None:
    settings = settings_of(durable_postgresql.url(durable_postgresql.create_database()))
    await migrations.upgrade(settings)
    database = open_database(settings)
    await database.open()
    acme = await made(database, keys, name="Acme")
    async with opened(Directory(database, keys, poll_s=0.05)) as directory:
        _break(durable_postgresql, fault)
        begun = time.monotonic()
        with pytest.raises(Unavailable):
            await directory.refresh()
        assert time.monotonic() - begun < 5
        assert not directory.is_current
        assert acme.id == directory.org_of_tool_token(acme.tool_secret)
        _mend(durable_postgresql, fault)
        async with asyncio.timeout(20):
            while not directory.is_current:
                await asyncio.sleep(0.05)
    await database.close()


@pytest.fixture
def settings_of(tmp_path_factory: pytest.TempPathFactory, secret_key: str) -> Callable[[str], Settings]:
    data_dir = tmp_path_factory.mktemp("data")
    return lambda url: Settings(data_dir=data_dir, database_url=url, secret_key=secret_key)


def _break(postgresql: Postgresql, fault: str) -> None:
    if fault == "stopped":
        postgresql.stop()
    else:
        postgresql.freeze()


def _mend(postgresql: Postgresql, fault: str) -> None:
    if fault == "stopped":
        postgresql.start()
    else:
        postgresql.thaw()
