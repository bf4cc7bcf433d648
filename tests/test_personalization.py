"""Whoever rings is greeted by name when we know one, and at once in any case."""

import asyncio
import hashlib
import json
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook import events
from offhook.contexts import Contexts, Wanted, asked_in
from offhook.directory import Directory
from offhook.errors import Unavailable
from offhook.personalization import Greeting, Personalization
from offhook.sealing import KeyRing, new_key_text
from offhook.settings import Settings
from offhook.store import contacts, migrations, organizations
from offhook.store import events as event_rows
from offhook.store.database import Database
from offhook.store.engine import open_database
from offhook.store.organizations import NewOrganization, Organization
from tests.services import Postgresql

ALEX, ACME = "+14165550100", "+12362320246"
NOW = 1_790_000_000.25
#: The example of the contract.
REQUEST = {
    "conversation_id": "conv_8f3d1b9c2e7a4f0b9a4d2c1e6e2f8c01",
    "caller_id": ALEX,
    "called_id": ACME,
    "agent_id": "agent_a8d3c4e09b2f4e1ab3c45f6a7b8c9d01",
}
BODY = json.dumps(REQUEST).encode()
TOLD = {"caller_name": "Alex Morgan", "caller_number": ALEX, "org_name": "Acme Corp"}
ENVELOPE = {"type": "conversation_initiation_client_data", "dynamic_variables": TOLD, **TOLD}


class Office:
    """One organisation in Canada, and the room that greets its callers."""

    def __init__(self, database: Database, directory: Directory, org_id: str) -> None:
        self.database = database
        self.directory = directory
        self.org_id = org_id
        self.now = NOW
        self.personalization = self.room(database)

    def room(self, database: Any, contexts: Contexts | None = None, budget_s: float = 1.0) -> Personalization:
        return Personalization(
            database, self.directory, contexts or Contexts(database), budget_s=budget_s, now=lambda: self.now
        )

    async def knows(self, *numbers: str, **facts: Any) -> None:
        await self.database.write(contacts.create, self.org_id, numbers=numbers, source="api", now=NOW, **facts)

    async def greet(self, body: bytes = BODY) -> Greeting:
        return await self.personalization.greet(self.org_id, body)

    async def answer(self, **request: Any) -> Any:
        return json.loads((await self.greet(json.dumps(request).encode())).answer)


@asynccontextmanager
async def opened(database: Database, keys: KeyRing) -> AsyncIterator[Office]:
    """An office that knows Alex."""
    org = NewOrganization(name="Acme Corp", timezone="America/Toronto", country="CA")
    await database.write(organizations.create, keys, org, NOW)
    directory = Directory(database, keys)
    await directory.open()
    office = Office(database, directory, org.id)
    await office.knows(ALEX, first_name="Alex", last_name="Morgan")
    yield office
    await directory.close()


@pytest.fixture
def keys() -> KeyRing:
    return KeyRing.from_text(new_key_text())


@pytest.fixture
async def office(database: Database, keys: KeyRing) -> AsyncIterator[Office]:
    async with opened(database, keys) as office:
        yield office


class Answering:
    """A database with one answer to every question, or with a fault."""

    def __init__(self, answer: tuple[str | None, str | None] | Exception) -> None:
        self._answer = answer

    async def find_caller(self, org_id: str, number: str) -> tuple[str, str | None, str | None]:
        if isinstance(self._answer, Exception):
            raise self._answer
        return ("c" * 24, *self._answer)


class Stuck:
    """A database that holds on to a question even when it is told to give up."""

    async def find_caller(self, org_id: str, number: str) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(10)


class OneOrganization:
    def organization(self, org_id: str) -> Organization:
        return Organization(id=org_id, name="Acme {{Corp}}", timezone="America/Toronto", country="CA")

    def declared(self, org_id: str, agent_id: str | None) -> dict[str, Any]:
        return {}

    def country_of(self, org_id: str) -> str:
        return "CA"


# What is answered


async def test_a_caller_we_know_is_greeted_by_name(office: Office) -> None:
    assert ENVELOPE == await office.answer(**REQUEST)


async def test_a_stranger_is_greeted_as_one(office: Office) -> None:
    assert b"{}" == (await office.greet(json.dumps({**REQUEST, "caller_id": "+14165559999"}).encode())).answer


@pytest.mark.parametrize(
    "spelling", ["4165550100", "(416) 555-0100", "1-416-555-0100", "sip:+14165550100@sip.example.com", 14165550100]
)
@pytest.mark.parametrize("called", ["called_id", "called_number"])
async def test_a_caller_is_known_however_the_number_is_spelled(office: Office, spelling: object, called: str) -> None:
    assert ENVELOPE == await office.answer(caller_id=spelling, **{called: ACME})


async def test_a_national_caller_is_read_in_the_country_that_was_called(office: Office) -> None:
    await office.knows("+447911123456", first_name="Kim")
    assert {} == await office.answer(caller_id="07911 123456")
    answer = await office.answer(caller_id="07911 123456", called_number="+442079460958")
    assert ("Kim", "+447911123456") == (answer["caller_name"], answer["caller_number"])


@pytest.mark.parametrize(
    "caller", ["anonymous", "+266696687", "", "Restricted", None, "sip:anonymous@anonymous.invalid"]
)
async def test_a_withheld_caller_is_nobody(office: Office, caller: str | None) -> None:
    await office.knows("+266696687", first_name="Anonymous")
    assert {} == await office.answer(**{**REQUEST, "caller_id": caller})


async def test_a_contact_without_a_name_is_a_stranger(office: Office) -> None:
    await office.knows("+14165550101")
    await office.knows("+14165550102", first_name="{{system__caller_id}}", last_name="007")
    assert {} == await office.answer(caller_id="+14165550101")
    assert {} == await office.answer(caller_id="+14165550102")


async def test_another_organisations_contact_is_a_stranger(office: Office, keys: KeyRing) -> None:
    other = NewOrganization(name="Other")
    await office.database.write(organizations.create, keys, other, NOW)
    assert b"{}" == (await office.personalization.greet(other.id, BODY)).answer
    assert b"{}" == (await office.personalization.greet("f" * 24, BODY)).answer


async def test_what_is_told_is_a_name_and_no_text(office: Office) -> None:
    await office.knows(
        "+14165550103", first_name="Sam\u202e\n</prompt>", last_name="{{secret__key}} O’Neil " + "x" * 500
    )
    assert "Sam O'Neil" == (await office.answer(caller_id="+14165550103"))["caller_name"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"+14165550100"',
        b"\xff\xfe\x00",
        b"\x1f\x8b\x08\x00",
        b"[" * 100_000,
        b'{"caller_id": NaN}',
        b'{"caller_id": {"a": ["+14165550100"]}}',
        b'{"caller_id": true, "called_id": 1e999, "agent_id": [], "conversation_id": {}}',
        b'{"caller_id": "\\u0000"}',
    ],
)
async def test_a_body_that_says_nothing_is_answered_all_the_same(office: Office, body: bytes) -> None:
    greeting = await office.greet(body)
    assert (b"{}", body, hashlib.sha256(body).hexdigest()) == (
        greeting.answer,
        greeting.filing.body,
        greeting.filing.sha256,
    )


@pytest.mark.parametrize(
    "body",
    [
        b'{"caller_id": "+14165550100", "agent_id": 7, "call_sid": null, "conversation_id": ["x"]}',
        b'{"caller_id": "+14165550100", "called_id": "\\ud800", "more": {"a": [1, 2.5, null]}}',
        b'{"caller_id": "+14165550199", "caller_id": "+14165550100"}',
        b' \r\n{"caller_id": " +1 (416) 555-0100\\u0000 "}',
    ],
)  # fmt: skip
async def test_one_field_that_is_wrong_does_not_spoil_the_others(office: Office, body: bytes) -> None:
    assert ENVELOPE == json.loads((await office.greet(body)).answer)


async def test_every_body_of_the_json_corpus_is_answered(office: Office, corpora: Path) -> None:
    for path in sorted((corpora / "json").glob("*.json")):
        assert b"{}" == (await office.greet(path.read_bytes())).answer, path.name


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([ALEX, "416 555 0100"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_FIELDS = st.sampled_from([*REQUEST, "called_number", "call_sid", "type"]) | st.text(max_size=5)


@given(st.dictionaries(_FIELDS, _VALUES, max_size=8), st.text() | st.none(), st.text() | st.none())
def test_no_request_and_no_name_is_too_odd_to_be_answered(
    request: dict[str, Any], first_name: str | None, last_name: str | None
) -> None:
    database: Any = Answering((first_name, last_name))
    directory: Any = OneOrganization()
    room = Personalization(database, directory, Contexts(database), budget_s=1.0, now=lambda: NOW)
    greeting = asyncio.run(room.greet("a" * 24, json.dumps(request).encode()))
    answer = json.loads(greeting.answer)
    assert answer == {} or answer["dynamic_variables"].items() <= answer.items()
    assert b"{{" not in greeting.answer
    assert greeting.asked == asked_in(greeting.filing, "CA")


# What is kept


async def test_the_request_is_filed_as_it_came_and_with_what_was_answered(office: Office, keys: KeyRing) -> None:
    body = json.dumps(REQUEST, indent=1).encode()
    greeting = await office.greet(body)
    event = greeting.filing
    assert ("personalization", "personalization", "bearer") == (event.type, event.source, event.proof)
    assert (body, greeting.answer, NOW) == (event.body, event.answer, event.received_at)
    assert events.call_id(office.org_id, REQUEST["conversation_id"]) == event.call_id
    await office.database.file(event_rows.sealed(event, keys))
    row = await office.database.read(event_rows.get, office.org_id, event.id)
    assert row is not None
    assert event == event_rows.opened(event_rows.event_of(row), keys)


async def test_what_is_projected_is_what_the_cache_was_given(office: Office) -> None:
    for request in REQUEST, {**REQUEST, "caller_id": "+14165559999", "call_sid": "CA1"}, {}:
        greeting = await office.greet(json.dumps(request).encode())
        assert greeting.asked == asked_in(greeting.filing, "CA")
    assert TOLD == asked_in((await office.greet()).filing, "CA").context.variables


async def test_a_request_that_is_repeated_is_another_request(office: Office) -> None:
    body = BODY
    first = await office.greet(body)
    office.now += 0.001
    again = await office.greet(body)
    assert (first.filing.sha256, first.answer) == (again.filing.sha256, again.answer)
    assert first.filing.id != again.filing.id


async def test_a_request_without_a_conversation_belongs_to_no_call_yet(office: Office) -> None:
    event = (await office.greet(b'{"caller_id": "+14165550100", "call_sid": "CA1"}')).filing
    assert (None, None) == (event.call_id, event.conversation_id)


@pytest.mark.parametrize("database_url", [pytest.param("sqlite", id="sqlite")], indirect=True)
async def test_redis_holds_the_context_once_the_answer_is_sent(
    office: Office, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for patience in ("_ASK_S", "_FILL_S"):  # a busy machine's Redis is slower than anybody waits for
        monkeypatch.setattr(f"offhook.context_cache.{patience}", 5.0)
    held = Contexts(office.database, redis_url)
    await held.open()
    room = office.room(office.database, held)
    greeting = await room.greet(office.org_id, BODY)
    room.remember_soon(greeting)
    await held.close()
    held = Contexts(office.database, redis_url)
    await held.open()
    call = Wanted(org_id=office.org_id, conversation_id=REQUEST["conversation_id"])
    assert [greeting.asked.context] == await held.recall_all([call])
    await held.close()


# The budget


async def test_a_lookup_that_never_ends_is_cut_off(office: Office) -> None:
    begun = time.perf_counter()
    greeting = await office.room(Stuck(), budget_s=0.1).greet(office.org_id, BODY)
    assert time.perf_counter() - begun < 2
    assert (b"{}", BODY, {}) == (greeting.answer, greeting.filing.body, greeting.asked.context.variables)
    assert ALEX == greeting.asked.context.caller


@pytest.mark.parametrize(
    "fault", [Unavailable(), sqlite3.OperationalError("disk I/O error"), RuntimeError(), KeyError("x")]
)
async def test_a_lookup_that_fails_is_a_stranger(office: Office, fault: Exception) -> None:
    greeting = await office.room(Answering(fault)).greet(office.org_id, BODY)
    assert (b"{}", BODY) == (greeting.answer, greeting.filing.body)


async def test_a_postgresql_that_hangs_or_stops_costs_the_name_and_not_the_call(
    durable_postgresql: Postgresql, tmp_path: Path, secret_key: str
) -> None:
    url = durable_postgresql.url(durable_postgresql.create_database())
    settings = Settings(data_dir=tmp_path, database_url=url, secret_key=secret_key)
    await migrations.upgrade(settings)
    database = open_database(settings)
    await database.open()
    async with opened(database, KeyRing.from_text(secret_key)) as office:
        assert ENVELOPE == json.loads((await office.greet()).answer)
        durable_postgresql.freeze()
        assert await within_budget(office)
        durable_postgresql.thaw()
        await asyncio.to_thread(durable_postgresql.stop)
        assert await within_budget(office)
        await asyncio.to_thread(durable_postgresql.start)
        await eventually_known(office)
    await database.close()


async def within_budget(office: Office) -> bool:
    """Whether ten at once are each answered as strangers in a second and a half."""
    begun = time.perf_counter()
    greetings = await asyncio.gather(*(office.greet() for _ in range(10)))
    return {b"{}"} == {greeting.answer for greeting in greetings} and time.perf_counter() - begun < 1.5


async def eventually_known(office: Office) -> None:
    for _ in range(50):
        if (await office.greet()).answer != b"{}":
            return
        await asyncio.sleep(0.1)
    pytest.fail("Alex is still a stranger five seconds after the database is back")


async def test_a_writer_that_holds_sqlite_delays_nobody(sqlite_url: str, data_dir: Path, keys: KeyRing) -> None:
    database = open_database(Settings(data_dir=data_dir))
    await database.open()
    async with opened(database, keys) as office:
        with sqlite3.connect(data_dir / "offhook.db", isolation_level=None) as writer:
            writer.execute("BEGIN IMMEDIATE")
            writer.execute("UPDATE contacts SET first_name = 'Sam'")
            begun = time.perf_counter()
            answers = [(await office.greet()).answer for _ in range(20)]
            assert time.perf_counter() - begun < 0.5
            writer.execute("ROLLBACK")
    assert [ENVELOPE] * 20 == list(map(json.loads, answers))
    await database.close()
