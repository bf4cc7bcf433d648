"""Contacts in the store: made, found, changed and forgotten by people; found or made by calls."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa

from offhook import events
from offhook.errors import Conflict
from offhook.settings import Settings
from offhook.store import contacts, people
from offhook.store.contacts import Changes, Contact
from offhook.store.database import Database
from offhook.store.engine import open_database
from offhook.store.people import Person
from offhook.store.tables import calls, contact_numbers, notes
from offhook.store.tables import contacts as contact_table

ORG, OTHER_ORG = "a" * 24, "b" * 24
ALEX, SAM, KIM = "+14165550100", "+14165550101", "+447911123456"
NOW = 1_790_000_000.0


async def made(database: Database, org_id: str = ORG, **facts: Any) -> Contact:
    return await database.write(contacts.create, org_id, **{"source": "api", "now": NOW, **facts})


async def found_by(database: Database, search: str) -> list[str]:
    found, total = await database.read(contacts.page, ORG, search=search, page=1, size=50)
    assert len(found) == total
    return sorted(contact.first_name or "" for contact in found)


async def resolved(database: Database, *persons: Person) -> list[str | None]:
    return await database.write(people.resolve_people, persons)


def ringing(number: str | None = None, user_id: str | None = None, org_id: str = ORG, seen_at: float = NOW) -> Person:
    return Person(org_id=org_id, number=number, external_id=user_id, seen_at=seen_at)


def all_rows(tx: sa.Connection) -> tuple[Sequence[Any], Sequence[Any]]:
    return tx.execute(sa.select(contact_table)).all(), tx.execute(sa.select(contact_numbers)).all()


# What people do


async def test_whoever_changes_a_contact_that_another_changes_waits_and_undoes_nothing(
    postgresql_url: str, data_dir: Path, secret_key: str
) -> None:
    database = open_database(Settings(data_dir=data_dir, database_url=postgresql_url, secret_key=secret_key))
    await database.open()
    contact = await made(database, first_name="Alex", numbers=(ALEX,))
    other = await asyncpg.connect(postgresql_url)
    async with other.transaction():
        await other.execute("UPDATE contacts SET first_name = 'Sam' WHERE id = $1", contact.id)
        changing = asyncio.create_task(
            database.write(contacts.update, ORG, contact.id, Changes(last_name="Morgan"), now=NOW + 1)
        )
        await asyncio.sleep(0.2)
        assert not changing.done()
    changed = await changing
    assert changed is not None
    assert ("Sam", "Morgan") == (changed.first_name, changed.last_name)
    await other.close()
    await database.close()


async def test_a_contact_comes_back_as_it_was_made(database: Database) -> None:
    contact = await made(
        database,
        first_name="Alex",
        last_name="Morgan",
        numbers=(ALEX, KIM),
        emails=("alex@example.com", "morgan@example.com"),
        external_id="customer-7",
    )
    assert contact == await database.read(contacts.get, ORG, contact.id)
    assert contact == await database.read(contacts.find_by_number, ORG, ALEX)
    assert contact == await database.read(contacts.find_by_number, ORG, KIM)
    assert contact == await database.read(contacts.find_by_external_id, ORG, "customer-7")
    assert ("Alex Morgan", (ALEX, KIM)) == (contact.name, contact.numbers)


async def test_a_contact_is_nobody_to_another_organisation(database: Database) -> None:
    contact = await made(database, first_name="Alex", numbers=(ALEX,), external_id="customer-7")
    assert await database.read(contacts.get, OTHER_ORG, contact.id) is None
    assert await database.read(contacts.find_by_number, OTHER_ORG, ALEX) is None
    assert await database.read(contacts.find_by_external_id, OTHER_ORG, "customer-7") is None
    assert await database.write(contacts.update, OTHER_ORG, contact.id, Changes(first_name="Sam"), now=NOW) is None
    assert not await database.write(contacts.delete, OTHER_ORG, contact.id)
    assert ([], 0) == await database.read(contacts.page, OTHER_ORG)
    assert await made(database, OTHER_ORG, numbers=(ALEX,), external_id="customer-7")


async def test_a_number_belongs_to_one_person_of_an_organisation(database: Database) -> None:
    alex = await made(database, first_name="Alex", numbers=(ALEX,))
    sam = await made(database, first_name="Sam", numbers=(SAM,))
    with pytest.raises(Conflict, match=r"\+14165550100") as refused:
        await made(database, first_name="Kim", numbers=(KIM, ALEX))
    assert {"contactId": alex.id} == refused.value.details
    with pytest.raises(Conflict):
        await database.write(contacts.update, ORG, sam.id, Changes(numbers=(SAM, ALEX)), now=NOW)
    assert sam == await database.read(contacts.get, ORG, sam.id)
    assert await database.read(contacts.find_by_number, ORG, KIM) is None


async def test_an_external_id_belongs_to_one_person_of_an_organisation(database: Database) -> None:
    await made(database, external_id="customer-7")
    with pytest.raises(Conflict):
        await made(database, external_id="customer-7")


async def test_of_two_who_claim_a_number_at_once_one_gets_it(database: Database) -> None:
    claims = [made(database, first_name=str(n), numbers=(f"+1416555{n:04}", ALEX)) for n in range(8)]
    outcomes = await asyncio.gather(*claims, return_exceptions=True)
    assert 1 == sum(isinstance(outcome, Contact) for outcome in outcomes)
    assert 7 == sum(isinstance(outcome, Conflict) for outcome in outcomes)
    _, total = await database.read(contacts.page, ORG)
    assert 1 == total


async def test_only_what_is_given_is_changed(database: Database) -> None:
    alex = await made(database, first_name="Alex", last_name="Morgan", numbers=(ALEX,), emails=("alex@example.com",))
    changed = await database.write(
        contacts.update, ORG, alex.id, Changes(last_name=None, numbers=(SAM, ALEX)), now=NOW + 5
    )
    assert changed == await database.read(contacts.get, ORG, alex.id)
    assert changed is not None
    assert ("Alex", None, (SAM, ALEX)) == (changed.first_name, changed.last_name, changed.numbers)
    assert (("alex@example.com",), NOW, NOW + 5) == (changed.emails, changed.created_at, changed.updated_at)
    assert (["Alex"], []) == (await found_by(database, "0101"), await found_by(database, "morgan"))


async def test_a_number_that_was_given_up_is_free(database: Database) -> None:
    alex = await made(database, first_name="Alex", numbers=(ALEX,))
    await database.write(contacts.update, ORG, alex.id, Changes(numbers=(KIM,)), now=NOW)
    sam = await made(database, first_name="Sam", numbers=(ALEX,))
    assert alex.id != sam.id
    assert sam == await database.read(contacts.find_by_number, ORG, ALEX)


async def test_a_contact_that_is_deleted_leaves_its_calls_and_takes_its_own_notes(database: Database) -> None:
    alex = await made(database, first_name="Alex", numbers=(ALEX,))
    await database.write(_a_call_and_two_notes, alex.id)
    assert await database.write(contacts.delete, ORG, alex.id)
    assert await database.read(contacts.get, ORG, alex.id) is None
    assert await database.read(contacts.find_by_number, ORG, ALEX) is None
    assert [(None,)] == await database.read(_all_of, calls.c.contact_id)
    assert [(None,)] == await database.read(_all_of, notes.c.contact_id)
    assert not await database.write(contacts.delete, ORG, alex.id)
    await made(database, numbers=(ALEX,))


def _a_call_and_two_notes(tx: sa.Connection, contact_id: str) -> None:
    times = {"created_at": NOW, "updated_at": NOW}
    call = {"id": "c" * 24, "org_id": ORG, "contact_id": contact_id, "provider": "elevenlabs", "status": "completed"}
    tx.execute(calls.insert(), {**call, **times, "channel": "phone", "happened_at": NOW, "transcript": "[]"})
    note = {"org_id": ORG, "contact_id": contact_id, "note": "…", **times}
    tx.execute(notes.insert(), {"id": "1" * 24, "call_id": "c" * 24, "type": "ai_summary", **note})
    tx.execute(notes.insert(), {"id": "2" * 24, "call_id": None, "type": "note", **note})


def _all_of(tx: sa.Connection, column: sa.Column[Any]) -> list[tuple[Any]]:
    return [tuple(row) for row in tx.execute(sa.select(column))]


async def test_text_that_a_database_cannot_keep_is_kept_without_it(database: Database) -> None:
    contact = await made(database, first_name="Al\0ex", last_name="\ud800", numbers=(ALEX,), emails=("\0", " a@b.ca "))
    assert contact == await database.read(contacts.get, ORG, contact.id)
    assert ("Alex", "\ufffd", ("a@b.ca",)) == (contact.first_name, contact.last_name, contact.emails)


# Finding


@pytest.fixture
async def everybody(database: Database) -> None:
    await made(database, first_name="Alex", last_name="Morgan", numbers=(ALEX,), emails=("alex@example.com",))
    await made(database, first_name="Zoë", last_name="Müller", numbers=(SAM,), emails=("Z.Mueller@EXAMPLE.org",))
    await made(database, first_name="100%", last_name="under_score", numbers=(KIM,))
    await made(database, first_name="Ω", last_name="back\\slash")


@pytest.mark.usefixtures("everybody")
@pytest.mark.parametrize(
    ("expected", "search"),
    [
        (["Alex"], "alex"),
        (["Alex"], "MORG"),
        (["Alex"], "morgan alex"),
        (["Zoë"], "MÜLLER"),
        (["Zoë"], "zoë mül"),
        (["Zoë"], "mueller@example"),
        (["Alex"], "(416) 555-0100"),
        (["Alex"], "+1 416 555 0100"),
        (["Alex", "Zoë"], "416555"),
        (["100%"], "0%"),
        (["100%"], "r_s"),
        (["Ω"], "k\\s"),
        (["Ω"], "ω"),
        ([], "_"  "_"),
        ([], "alex%morgan"),
        ([], "' OR 1=1 --"),
        ([], "x" * 100_000),
        (["100%", "Alex", "Zoë", "Ω"], "  "),
    ],
)  # fmt: skip
async def test_people_are_found_by_what_is_typed(database: Database, expected: list[str], search: str) -> None:
    assert expected == await found_by(database, search)


async def test_pages_show_the_newest_first_and_everybody_once(database: Database) -> None:
    for n in range(23):
        await made(database, first_name=f"Nr {n}", now=NOW + n // 2)
    pages = [await database.read(contacts.page, ORG, page=number, size=5) for number in range(1, 7)]
    names = [contact.first_name for found, _ in pages for contact in found]
    assert [23] * 6 == [total for _, total in pages]
    assert {f"Nr {n}" for n in range(23)} == set(names)
    assert ["Nr 22", 23, 5, 3, 0] == [names[0], len(names), len(pages[0][0]), len(pages[4][0]), len(pages[5][0])]


async def test_the_driver_finds_a_caller_as_the_columns_say(database: Database) -> None:
    alex = await made(database, first_name="Alex", numbers=(KIM, ALEX))
    assert (alex.id, "Alex", None) == tuple(await database.find_caller(ORG, ALEX) or ())
    assert 3 == len(contacts.CALLER_COLUMNS)
    assert await database.find_caller(ORG, SAM) is None
    assert await database.find_caller(OTHER_ORG, ALEX) is None


# What calls do


async def test_a_new_number_becomes_a_contact_without_a_name(database: Database) -> None:
    (id,) = await resolved(database, ringing(ALEX))
    contact = await database.read(contacts.find_by_number, ORG, ALEX)
    assert Contact(id=str(id), org_id=ORG, numbers=(ALEX,), source="call", created_at=NOW, updated_at=NOW) == contact
    assert events.contact_id(ORG, ALEX) == id
    assert [""] == await found_by(database, "416 555")


async def test_whoever_is_known_stays_who_they_are(database: Database) -> None:
    alex = await made(database, first_name="Alex", numbers=(ALEX, SAM), external_id="customer-7")
    assert [alex.id] * 3 == await resolved(database, ringing(ALEX), ringing(SAM), ringing(user_id="customer-7"))
    assert alex == await database.read(contacts.get, ORG, alex.id)


async def test_one_caller_of_two_organisations_is_two_contacts(database: Database) -> None:
    ids = await resolved(database, ringing(ALEX), ringing(ALEX, org_id=OTHER_ORG), ringing(ALEX))
    assert (2, ids[0]) == (len(set(ids)), ids[2])


async def test_nobody_is_nobody(database: Database) -> None:
    assert [None, None] == await resolved(database, ringing(), ringing(user_id=""))
    assert ([], 0) == await database.read(contacts.page, ORG)


async def test_a_user_id_finds_somebody_without_a_number(database: Database) -> None:
    first, second = await resolved(database, ringing(user_id="web-1"), ringing(user_id="web-1"))
    assert first == second == events.contact_id(ORG, "user:web-1")


async def test_a_user_id_and_a_number_are_one_person_whichever_is_heard_first(database: Database) -> None:
    number_first = await resolved(database, ringing(ALEX), ringing(ALEX, "web-1"), ringing(user_id="web-1"))
    user_first = await resolved(database, ringing(user_id="web-2"), ringing(SAM, "web-2"), ringing(SAM))
    assert (1, 1) == (len(set(number_first)), len(set(user_first)))
    assert [""] == await found_by(database, "0101")


async def test_one_user_id_for_all_visitors_does_not_make_them_one_person(database: Database) -> None:
    await resolved(database, ringing(ALEX, "website"))
    alex, sam = await resolved(database, ringing(ALEX, "website"), ringing(SAM, "website"))
    assert alex != sam
    assert sam == events.contact_id(ORG, SAM)


async def test_a_user_id_that_is_the_number_again_is_no_user_id(database: Database) -> None:
    await resolved(database, ringing(ALEX, ALEX))
    contact = await database.read(contacts.find_by_number, ORG, ALEX)
    assert contact is not None
    assert contact.external_id is None


async def test_a_caller_from_a_number_that_another_gave_up_is_somebody_new(database: Database) -> None:
    (alex,) = await resolved(database, ringing(ALEX))
    await database.write(contacts.update, ORG, str(alex), Changes(first_name="Alex", numbers=(KIM,)), now=NOW)
    (somebody,) = await resolved(database, ringing(ALEX))
    assert alex != somebody
    assert [somebody, alex] == await resolved(database, ringing(ALEX), ringing(KIM))


async def test_a_crowd_that_calls_at_once_is_made_once(database: Database) -> None:
    crowd = [ringing(f"+1416555{n:04}", f"user-{n}" if n % 3 == 0 else None) for n in range(60)]
    outcomes = await asyncio.gather(*(resolved(database, *crowd[n : n + 30], *crowd[::-1]) for n in (0, 10, 20, 30)))
    assert 1 == len({tuple(ids[30:]) for ids in outcomes})
    found, numbers = await database.read(all_rows)
    assert (60, 60) == (len(found), len(numbers))
    assert {row.id for row in found} == {row.contact_id for row in numbers}


async def test_a_call_and_a_person_who_add_a_number_at_once_agree(database: Database) -> None:
    for n in range(10):
        number, other = f"+1416555{n:04}", f"+1416556{n:04}"
        await asyncio.gather(
            made(database, numbers=(other, number)), resolved(database, ringing(number)), return_exceptions=True
        )
        owner = await database.read(contacts.find_by_number, ORG, number)
        assert owner is not None
        assert [owner.id] == await resolved(database, ringing(number))
    found, numbers = await database.read(all_rows)
    assert {row.id for row in found} == {row.contact_id for row in numbers}
