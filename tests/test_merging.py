"""Contacts that are merged, against calls that are folded: in any order, again, and at the same time."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from offhook.errors import NotFound
from offhook.events import derived_id
from offhook.store import contacts, memories, merging, people
from offhook.store.contacts import Changes, Contact
from offhook.store.database import Database
from offhook.store.people import Person
from offhook.store.tables import callbacks, calls, contact_numbers, messages, notes
from offhook.store.tables import contacts as contact_table

ORG = "a" * 24
ALEX, SAM, KIM = "+14165550100", "+14165550101", "+447911123456"
NOW = 1_790_000_000.0


async def made(database: Database, org_id: str = ORG, **facts: Any) -> Contact:
    return await database.write(contacts.create, org_id, **{"source": "api", "now": NOW, **facts})


async def merged(database: Database, kept: Contact, other: Contact) -> Contact:
    return await database.write(merging.merge, kept.org_id, kept.id, other.id, now=NOW + 1)


async def folded(database: Database, **facts: Any) -> str | None:
    (id,) = await database.write(people.resolve_people, [Person(org_id=ORG, seen_at=NOW, **facts)])
    return id


async def test_everything_of_the_other_is_the_kept_ones(database: Database) -> None:
    alex = await made(database, numbers=(ALEX,), first_name="Alex")
    other = await made(database, numbers=(SAM,), first_name="Al", external_id="user-7")
    tables = (calls, notes, messages, callbacks)
    for n, table in enumerate(tables):
        await database.write(_belonging, table, f"{n:024x}", other.id)
    one = await merged(database, alex, other)
    assert ("Alex", (ALEX, SAM), "user-7") == (one.first_name, one.numbers, one.external_id)
    for table in tables:
        assert [(alex.id,)] == await database.read(_owners, table)
    assert await database.read(contacts.get, ORG, other.id) is None
    assert alex.id == (await database.read(contacts.find_by_number, ORG, SAM) or other).id


def _belonging(tx: sa.Connection, table: sa.Table, id: str, contact_id: str) -> None:
    facts: dict[str, Any] = {
        "provider": "elevenlabs", "channel": "phone", "happened_at": NOW, "transcript": "[]", "status": "open",
        "type": "note", "note": "…", "kind": "tool", "body": "…", "created_at": NOW, "updated_at": NOW,
    }  # fmt: skip
    row = {name: value for name, value in facts.items() if name in table.c}
    tx.execute(table.insert(), {**row, "id": id, "org_id": ORG, "contact_id": contact_id})


def _owners(tx: sa.Connection, table: sa.Table) -> list[Any]:
    return [tuple(row) for row in tx.execute(sa.select(table.c.contact_id))]


async def test_later_calls_of_the_other_arrive_at_the_kept_one(database: Database) -> None:
    alex = await made(database, numbers=(ALEX,), external_id="user-1")
    other = await made(database, numbers=(SAM,))
    web_id = await folded(database, external_id="user-2")
    assert web_id is not None
    web = await database.read(contacts.get, ORG, web_id)
    assert web is not None
    await merged(database, other, web)
    await merged(database, alex, other)
    assert alex.id == await folded(database, number=SAM)
    assert alex.id == await folded(database, external_id="user-2")
    assert alex.id == await folded(database, external_id="user-1")
    assert 1 == (await database.read(contacts.page, ORG))[1]
    found = await database.read(contacts.find_by_external_id, ORG, "user-2")
    assert found is not None
    assert alex.id == found.id


async def test_the_id_of_the_other_is_given_to_nobody_new(database: Database) -> None:
    other = await made(database, numbers=(SAM,))
    await database.write(contacts.update, ORG, other.id, Changes(numbers=(KIM,)), now=NOW)
    alex = await made(database, numbers=(ALEX,))
    await merged(database, alex, other)
    stranger = await folded(database, number=SAM)
    assert stranger not in (other.id, alex.id, None)
    assert (await made(database, numbers=("+14165550177",))).id not in (other.id, alex.id)


async def test_a_merge_again_is_the_same_and_one_of_nobody_is_refused(database: Database) -> None:
    alex, other = await made(database, numbers=(ALEX,)), await made(database, numbers=(SAM,))
    assert await merged(database, alex, other) == await merged(database, alex, other)
    for kept, gone in ((other, alex), (alex, await made(database, "b" * 24, numbers=(SAM,)))):
        with pytest.raises(NotFound):
            await database.write(merging.merge, ORG, kept.id, gone.id, now=NOW)


async def test_what_either_had_forgotten_stays_forgotten(database: Database) -> None:
    alex, other = await made(database, numbers=(ALEX,)), await made(database, numbers=(SAM,))
    await database.write(memories.edit, ORG, alex.id, {"open_items": "The keys"}, NOW)
    await database.write(memories.edit, ORG, other.id, {"open_items": "The car", "previous_topics": "Rent"}, NOW)
    await database.write(memories.forget, ORG, alex.id, NOW - 5)
    await database.write(memories.edit, ORG, alex.id, {"open_items": "The keys"}, NOW)
    await merged(database, alex, other)
    kept = await database.read(memories.recall, ORG, alex.id)
    assert kept.open_items is not None
    assert kept.previous_topics is not None
    assert ("The keys", "Rent", NOW - 5) == (kept.open_items.text, kept.previous_topics.text, kept.forgotten_before)


async def test_folds_and_merges_at_once_leave_no_call_with_somebody_who_is_gone(database: Database) -> None:
    everybody = [await made(database, numbers=(f"+1416555{n:04}",), external_id=f"user-{n}") for n in range(12)]

    async def calls_of(n: int) -> None:
        for again in range(6):
            await database.write(_a_call, f"{n:012x}{again:012x}", f"+1416555{n:04}", f"user-{n}")
            await asyncio.sleep(0)

    async def merge_of(n: int) -> None:
        await asyncio.sleep(0.005 * (n % 4))
        await merged(database, everybody[n - 1], everybody[n])

    rest = [n for n in range(12) if n % 3]
    await asyncio.gather(*map(calls_of, range(12)), *(merge_of(n) for n in rest if n % 3 == 2))
    await asyncio.gather(*map(calls_of, range(12)), *(merge_of(n) for n in rest if n % 3 == 1))
    here = {row[0] for row in await database.read(_ids)}
    assert {everybody[n].id for n in range(0, 12, 3)} == here
    owners = await database.read(_owners, calls)
    assert 72 == len(owners)
    assert here == {owner for (owner,) in owners}


def _a_call(tx: sa.Connection, id: str, number: str, user_id: str) -> None:
    """As the projection does it: whose it is, and then the call."""
    (owner,) = people.resolve_people(tx, [Person(org_id=ORG, number=number, external_id=user_id, seen_at=NOW)])
    tx.execute(calls.delete().where(calls.c.id == id))
    assert owner is not None
    _belonging(tx, calls, id, owner)


def _ids(tx: sa.Connection) -> list[Any]:
    return [tuple(row) for row in tx.execute(sa.select(contact_table.c.id))]


PERSONS = [(ALEX, None), (SAM, None), (KIM, None), (None, "u1"), (None, "u2"), (ALEX, "u1"), (SAM, "u2"), (KIM, "u3")]
STEPS = st.lists(
    st.tuples(st.just("fold"), st.integers(0, len(PERSONS) - 1), st.just(0))
    | st.tuples(st.just("merge"), st.integers(0, 7), st.integers(0, 7)),
    min_size=1,
    max_size=14,
)


async def test_whatever_is_merged_when_a_replay_brings_nobody_back(database: Database) -> None:
    loop = asyncio.get_running_loop()

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(STEPS, st.permutations(range(len(PERSONS))), st.uuids())
    def check(steps: list[tuple[str, int, int]], order: Sequence[int], run: Any) -> None:
        org_id = derived_id("run", str(run))
        asyncio.run_coroutine_threadsafe(database.write(_stepped, org_id, steps, order), loop).result(30)

    await asyncio.to_thread(check)


def _stepped(tx: sa.Connection, org_id: str, steps: list[tuple[str, int, int]], order: Sequence[int]) -> None:
    """Fold and merge; then fold all of it again in another order: everybody is where they were, and nobody is new."""
    seen: set[int] = set()
    gone: dict[str, str] = {}

    def fold(n: int) -> str:
        number, user_id = PERSONS[n]
        person = Person(org_id=org_id, number=number, external_id=user_id, seen_at=NOW)
        (id,) = people.resolve_people(tx, [person])
        assert id is not None
        seen.add(n)
        return id

    for what, one, other in steps:
        here = [row[0] for row in tx.execute(_in_order(org_id))]
        if what == "fold":
            assert fold(one) not in gone
        elif here and one % len(here) != other % len(here):
            kept, merged_away = here[one % len(here)], here[other % len(here)]
            numbers = contacts.get(tx, org_id, merged_away)
            merging.merge(tx, org_id, kept, merged_away, now=NOW)
            gone[merged_away] = kept
            assert numbers is not None
            for number in numbers.numbers:
                assert kept == fold_number(tx, org_id, number)
    settled = {n: fold(n) for n in sorted(seen)}
    before = {row[0] for row in tx.execute(_in_order(org_id))}
    again = {n: fold(n) for n in order if n in seen}
    assert settled == again
    assert before == {row[0] for row in tx.execute(_in_order(org_id))}
    assert not before & gone.keys()
    dangling = sa.select(contact_numbers.c.number).where(
        contact_numbers.c.org_id == org_id, contact_numbers.c.contact_id.not_in(before)
    )
    assert [] == tx.execute(dangling).all()


def fold_number(tx: sa.Connection, org_id: str, number: str) -> str | None:
    return people.resolve_people(tx, [Person(org_id=org_id, number=number, seen_at=NOW)])[0]


def _in_order(org_id: str) -> Any:
    return sa.select(contact_table.c.id).where(contact_table.c.org_id == org_id).order_by(contact_table.c.id)
