"""Contacts by letters anywhere in their names, emails and numbers: what a look at each would find, on both databases."""

import random
from typing import Any

import pytest
import sqlalchemy as sa

from offhook.store import contact_search, contacts
from offhook.store.contacts import Changes, Contact
from offhook.store.database import Database
from offhook.store.tables import contacts as table

ORG, OTHER_ORG = "a" * 24, "b" * 24
_PIECES = [
    "an",
    "Ann",
    "a",
    "b'",
    'x"y',
    "100%",
    "a_c",
    "é",
    "ﬁx",
    "Straße",
    "李小龍",
    "🎉🎉🎉",
    "AND",
    "NOT",
    "*",
    "(",
    "\\",
]


@pytest.mark.parametrize("few", [1, 2_000])
async def test_the_index_finds_what_a_look_at_each_finds(
    database: Database, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contact_search, "_FEW", few)
    chance = random.Random(7)
    for number in range(60):
        await _made(database, chance, number)
    everybody = await database.read(lambda tx: tx.execute(sa.select(table.c.id, table.c.search_text)).all())
    asked = ["".join(chance.choices(_PIECES, k=2)) for _ in range(40)] + [
        "ann ann",
        "4165550",
        "0 1",
        "@example",
        "-",
        "\\",
    ]
    for typed in [*_PIECES, *asked]:
        words = contacts._words(typed)
        expected = {row.id for row in everybody if all(word in row.search_text for word in words)}
        assert expected == await _found(database, typed), typed


async def test_who_changes_is_found_by_what_they_are_now_and_who_is_gone_by_nothing(database: Database) -> None:
    first = await _made(database, random.Random(1), 1, first_name="Xylander")
    await _made(database, random.Random(1), 2, first_name="Xylander", org_id=OTHER_ORG)
    assert {first.id} == await _found(database, "XYLAND")
    changes = Changes(first_name="Yolanda", numbers=("+442079460000",))
    await database.write(contacts.update, ORG, first.id, changes, now=2.0)
    assert [set(), {first.id}, {first.id}] == [await _found(database, one) for one in ("xyland", "olan", "79460000")]
    await database.write(contacts.delete, ORG, first.id)
    assert set() == await _found(database, "olan")
    await database.write(lambda tx: tx.execute(table.delete()) and None)
    assert set() == await _found(database, "olan")


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_postgresql_has_an_index_of_letters(database: Database) -> None:
    def plan(tx: sa.Connection) -> str:
        tx.execute(sa.text("SET LOCAL enable_seqscan = off"))
        asked = sa.select(table.c.id).where(*contacts.matching(tx, ORG, "xylander")[1:])
        text = str(asked.compile(tx, compile_kwargs={"literal_binds": True}))
        return "\n".join(tx.exec_driver_sql(f"EXPLAIN {text}").scalars())

    assert "ix_contacts_search_text" in await database.read(plan)


async def _made(database: Database, chance: random.Random, number: int, **facts: Any) -> Contact:
    said = {
        "org_id": ORG, "first_name": " ".join(chance.choices(_PIECES, k=2)),
        "last_name": "\\".join(chance.choices(_PIECES, k=2)),
        "numbers": (f"+1416555{number:04d}",), "emails": (f"p{number}@example.com",), "source": "api", "now": 1.0,
    }  # fmt: skip
    if "org_id" in facts:
        said["numbers"] = ()
    return await database.write(lambda tx: contacts.create(tx, **{**said, **facts}))


async def _found(database: Database, typed: str) -> set[str]:
    found, total = await database.read(contacts.page, ORG, search=typed, size=500)
    assert len(found) == total
    return {one.id for one in found}
