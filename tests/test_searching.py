"""Calls are found by what was said in them, alike on both databases, whatever a person types."""

import json
from pathlib import Path

import sqlalchemy as sa

from offhook.indexing import index_the_rest
from offhook.searching import asked_for, fts5, tsquery, words_of
from offhook.store import call_search
from offhook.store.call_search import Found
from offhook.store.database import Database
from offhook.store.tables import calls, contacts
from tests.api import NOW, Api, call_row, hex_id

ORG = hex_id(99)

SAID = {
    1: "Hello, this is Zoë from the Café Brûlé on Großstraße.",
    2: "I'd like to move my appointment - the 3:30 one - to Tuesday.",
    3: "My number is 416-555-0100, and the order is A17/4.",
    4: "東京タワーの近くです。",
    5: "नमस्ते, मुझे एक अपॉइंटमेंट चाहिए",
    6: "Call Jean-Luc O'Brien about the leaking pipe, please.",
}


FOUND: list[tuple[str, set[int]]] = [
    ("zoe cafe brule", {1}),
    ("GROSSSTRASSE", {1}),
    ("groß", {1}),
    ("appoint", {2}),
    ("tuesday appointment", {2}),
    ("appointment wednesday", set()),
    ("appoint tuesday", set()),  # only the last word may be the beginning of one
    ("416-555", {3}),
    ("555 416", {3}),
    ("555-416", set()),
    ("a17/4", {3}),
    ("東京", {4}),
    ("京東", set()),
    ("अपॉइंटमेंट", {5}),
    ("jean-luc", {6}),
    ("luc-jean", set()),
    ("O’Brien", {6}),
    ('"leaking pipe"', {6}),
    ('"pipe leaking"', set()),
    ("“leaking pipe", {6}),
    ("-pipe", {6}),
    ("pipe*", {6}),
    ("the OR please", set()),
    ("NEAR(leaking pipe)", set()),
    ("words:pipe", set()),
    ("pipe' & !'leaking", {6}),
]


async def test_a_call_is_found_by_what_was_said(database: Database) -> None:
    await _add(database, SAID)
    assert FOUND == [(typed, await _found(database, typed)) for typed, _ in FOUND]


async def test_signs_alone_ask_for_nothing(database: Database) -> None:
    for typed in ("", "   ", '"', "—", "*", '""" - \'', "\0", "( ) : ^ $", "\ud800"):
        assert await database.read(call_search.condition, ORG, typed) is None


async def test_whatever_is_typed_is_only_ever_looked_for(database: Database, corpora: Path) -> None:
    await _add(database, SAID)
    naughty = json.loads((corpora / "strings" / "blns.json").read_text("utf-8"))
    for text in naughty[::5]:
        await _found(database, text)


async def test_what_is_said_otherwise_later_is_found_as_it_is_said_now(database: Database) -> None:
    await _add(database, SAID)
    await database.write(call_search.index, [Found(hex_id(6), ORG, NOW, words_of("about the gas bill"))])
    assert set() == await _found(database, "pipe")
    assert {6} == await _found(database, "gas bill")


async def test_another_organisation_finds_nothing_of_it(database: Database) -> None:
    await _add(database, SAID)
    assert set() == await _found(database, "pipe", org_id=hex_id(98))


async def test_a_call_is_found_by_who_it_was(api: Api) -> None:
    await api.insert(
        contacts,
        {
            "id": hex_id(7), "org_id": api.org.id, "first_name": "Renée", "emails": "[]", "source": "api",
            "created_at": NOW, "updated_at": NOW, "search_text": "renée dupont\n+14165550199",
        },
    )  # fmt: skip
    await api.add_calls({"id": hex_id(1), "contact_id": hex_id(7)}, {"id": hex_id(2)})
    for typed in ("dupont", "Renée", "416 555-0199"):
        assert {1} == await _found(api.deps.database, typed, org_id=api.org.id)


async def test_calls_of_an_older_offhook_are_indexed_by_and_by(api: Api) -> None:
    turns = '[{"role":"user","message":"My boiler is cold"},{"role":"agent"}]'
    await api.add_calls(
        *({"id": hex_id(place), "transcript": turns, "title": "Boiler"} for place in range(1, 250)),
        {"id": hex_id(300), "transcript": "no list", "summary": "A cold boiler"},
    )
    assert 250 == await index_the_rest(api.deps.database)
    assert 0 == await index_the_rest(api.deps.database)
    assert 250 == len(await _found(api.deps.database, "cold boiler", org_id=api.org.id))


def test_a_word_has_no_sign_that_means_anything_to_a_database() -> None:
    asked = asked_for("""it's "a 'b" ) & | ! : * <-> \\ _ ^ % --""")
    assert asked is not None
    assert '"it s" AND "a b"*' == fts5(asked)
    assert "'it' <-> 's' & 'a' <-> 'b':*" == tsquery(asked)


def test_a_long_call_is_found_by_its_beginning() -> None:
    assert 50_000 == len(words_of("word " * 60_000).split())
    assert 60 == len(words_of("x" * 5_000))


async def _add(database: Database, said: dict[int, str]) -> None:
    rows = [call_row(ORG, id=hex_id(place)) for place in said]
    await database.write(lambda tx: tx.execute(sa.insert(calls), rows) and None)
    await database.write(
        call_search.index, [Found(hex_id(place), ORG, NOW, words_of(text)) for place, text in said.items()]
    )


async def _found(database: Database, typed: str, *, org_id: str = ORG) -> set[int]:
    return await database.read(_ids, org_id, typed)


def _ids(tx: sa.Connection, org_id: str, typed: str) -> set[int]:
    condition = call_search.condition(tx, org_id, typed)
    if condition is None:
        return set()
    found = tx.execute(sa.select(calls.c.id).where(calls.c.org_id == org_id, condition)).scalars()
    return {int(id, 16) for id in found}
