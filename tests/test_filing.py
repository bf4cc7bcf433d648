"""What is filed: ids that never change, rows that hold every fact, and the same event twice as one row."""

import asyncio
import hashlib
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from offhook import events
from offhook.errors import Damaged, Unavailable
from offhook.events import Audio, Filed, Part
from offhook.sealing import KeyRing
from offhook.settings import Settings
from offhook.store import events as event_rows
from offhook.store.database import MAX_BATCH, Database
from offhook.store.engine import open_database
from tests.test_inbox import ORG, an_event

OTHER_ORG = "b" * 24
KEYS = KeyRing([b"k" * 32])
WHOLE = an_event(
    "whole",
    answer=b"what was said back",
    parts=(Part(offset=7, encoding="raw", file="part", size_bytes=3, sha256="0" * 64),),
    audio=Audio(file="audio", size_bytes=4, sha256="1" * 64, is_decoded=False, duration_s=1.5),
    status="quarantined",
    reason="It cannot be read.",
)


@pytest.fixture
async def sqlite(data_dir: Path, sqlite_url: str) -> AsyncIterator[Database]:
    database = open_database(Settings(data_dir=data_dir, database_url=sqlite_url), is_server=True)
    await database.open()
    yield database
    await database.close()


# Ids


def hexed(*words: str) -> str:
    return hashlib.sha256("\0".join(words).encode()).hexdigest()[:24]


def test_ids_are_what_they_were_when_the_first_row_was_written() -> None:
    """Whoever changes one makes every event that comes again a new one."""
    assert "59b271ae1bbcb1d31d419298" == events.derived_id("a", "b")
    assert hexed("call", ORG, "elevenlabs", "conv_1") == events.call_id(ORG, "conv_1")
    assert hexed("call", ORG, "vapi", "conv_1") == events.call_id(ORG, "conv_1", "vapi")
    assert hexed("event", ORG, "0" * 64, "") == events.event_id(ORG, "0" * 64)
    assert hexed("event", ORG, "0" * 64, "stale") == events.event_id(ORG, "0" * 64, "stale")
    assert hexed("contact", ORG, "+14165550100") == events.contact_id(ORG, "+14165550100")
    assert hexed("note", "call", "ai_summary") == events.note_id("call", "ai_summary")
    assert hexed("recording", "call", "0" * 64) == events.recording_id("call", "0" * 64)


def test_an_id_follows_from_any_text_and_from_where_its_parts_end() -> None:
    assert 24 == len(events.derived_id("\ud800"))
    assert 3 == len({events.derived_id("ab"), events.derived_id("a", "b"), events.derived_id("b", "a")})


# Rows


def test_what_the_store_keeps_is_sealed_and_opens_as_it_was() -> None:
    sealed = event_rows.sealed(WHOLE, KEYS)
    assert WHOLE == event_rows.opened(sealed, KEYS)
    assert sealed.answer is not None
    assert (b"whole", WHOLE.answer) == (
        KEYS.open(sealed.body, WHOLE.id),
        KEYS.open(sealed.answer, f"{WHOLE.id}:answer"),
    )
    assert WHOLE == msgspec.structs.replace(sealed, body=WHOLE.body, answer=WHOLE.answer)


def test_an_event_without_an_answer_has_none() -> None:
    assert event_rows.sealed(an_event(), KEYS).answer is None
    assert an_event() == event_rows.opened(event_rows.sealed(an_event(), KEYS), KEYS)


def test_an_answer_is_never_taken_for_a_body_nor_for_anothers_answer() -> None:
    sealed = event_rows.sealed(WHOLE, KEYS)
    swapped = msgspec.structs.replace(sealed, body=sealed.answer, answer=sealed.body)
    for odd in (swapped, msgspec.structs.replace(sealed, id="0" * 24)):
        with pytest.raises(Damaged):
            event_rows.opened(odd, KEYS)


async def test_every_fact_of_an_event_is_in_its_row(sqlite: Database) -> None:
    await sqlite.file(WHOLE)
    await sqlite.write(event_rows.add, bare := an_event("bare", event_timestamp=None))
    for event in (WHOLE, bare):
        row = await sqlite.read(event_rows.get, ORG, event.id)
        assert row is not None
        assert event == event_rows.event_of(row)
        assert (0, 1) == (row.attempts, row.deliveries)
    assert row is not None
    assert (None, None) == (row.parts, row.audio)


async def test_an_event_is_only_there_for_its_organisation(sqlite: Database) -> None:
    await sqlite.file(WHOLE)
    assert await sqlite.read(event_rows.get, OTHER_ORG, WHOLE.id) is None
    assert await sqlite.read(event_rows.get, ORG, "0" * 24) is None


async def test_an_event_that_is_on_file_stays_as_it_is_when_it_is_added_again(sqlite: Database) -> None:
    await sqlite.file(WHOLE)
    await sqlite.write(event_rows.add, msgspec.structs.replace(WHOLE, status="pending"))
    row = await sqlite.read(event_rows.get, ORG, WHOLE.id)
    assert row is not None
    assert "quarantined" == row.status


async def test_an_unassigned_event_moves_to_its_organisation_and_only_such_a_one(sqlite: Database) -> None:
    lost, kept = (an_event(text, org_id=OTHER_ORG, status="unassigned") for text in ("lost", "kept"))
    filed = msgspec.structs.replace(an_event("filed"), org_id=OTHER_ORG)
    for event in (lost, kept, filed):
        await sqlite.file(event)
    found = [an_event(f"found {n}") for n in range(2)]
    await sqlite.write(event_rows.assign, lost.id, found[0])
    await sqlite.write(event_rows.assign, filed.id, found[1])
    rows, _ = await sqlite.read(event_rows.page, None)
    assert {kept.id, filed.id, *(event.id for event in found)} == {row.id for row in rows}


# The same event twice


@pytest.mark.parametrize(
    ("facts", "is_same"),
    [
        ({}, True),
        ({"status": "stale"}, False),
        ({"event_timestamp": 1.0}, False),
        ({"event_timestamp": None}, False),
        ({"call_id": None}, False),
        ({"type": "post_call_audio"}, False),
        ({"conversation_id": "conv_2", "call_id": "0" * 24}, False),
        ({"agent_id": "another", "received_at": 1.0, "source": "reconciled"}, True),
    ],
)
async def test_other_bytes_are_the_same_event_where_type_call_and_time_are(
    sqlite: Database, facts: dict[str, object], is_same: bool
) -> None:
    await sqlite.file(an_event("first"))
    second = an_event("second", **facts)  # type: ignore[arg-type]
    assert Filed(second.id, is_same, is_new=True) == await sqlite.file(second)
    assert Filed(second.id, True, is_new=False) == await sqlite.file(second)


async def test_two_unknown_times_or_calls_are_not_the_same(sqlite: Database) -> None:
    for facts in ({"event_timestamp": None}, {"call_id": None}):
        for text in ("one", "two"):
            event = an_event(f"{text} {facts}", **facts)  # type: ignore[arg-type]
            assert Filed(event.id, False) == await sqlite.file(event)


async def test_each_time_it_comes_is_counted(sqlite: Database) -> None:
    answers = [await sqlite.file(an_event()) for _ in range(3)]
    assert [False, True, True] == [answer.deduplicated for answer in answers]
    assert [True, False, False] == [answer.is_new for answer in answers]
    row = await sqlite.read(event_rows.get, ORG, an_event().id)
    assert row is not None
    assert 3 == row.deliveries


# Batches


async def test_what_comes_in_one_turn_is_one_commit_and_each_sender_has_its_own_answer(sqlite: Database) -> None:
    wanted = [an_event(f"{n}", conversation_id=f"conv_{n}") for n in range(MAX_BATCH + 3)]
    answers = await asyncio.gather(*map(sqlite.file, [*wanted, wanted[0]]))
    assert [*(Filed(event.id, False) for event in wanted), Filed(wanted[0].id, True, is_new=False)] == answers


@pytest.mark.parametrize("others", [1, 2, 5])
async def test_one_event_that_cannot_be_written_spoils_no_other_of_its_batch(sqlite: Database, others: int) -> None:
    odd = an_event("odd", agent_id="\ud800")
    good = [an_event(f"{n}", conversation_id=f"conv_{n}") for n in range(others)]
    *answers, refused = await asyncio.gather(*map(sqlite.file, [*good, odd]), return_exceptions=True)
    assert [Filed(event.id, False) for event in good] == answers
    assert isinstance(refused, Unavailable)
    assert str(refused).startswith("The database did not take the event: ")
    assert isinstance(await sqlite.file(an_event("later")), Filed)


async def test_a_locked_database_is_asked_once_for_the_whole_batch(sqlite: Database, data_dir: Path) -> None:
    other = sqlite3.connect(data_dir / "offhook.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    loop = asyncio.get_running_loop()
    began = loop.time()
    wanted = [an_event(f"{n}", conversation_id=f"conv_{n}") for n in range(8)]
    answers = await asyncio.gather(*map(sqlite.file, wanted), return_exceptions=True)
    assert loop.time() - began < 1
    assert {"The database did not take the event: database is locked."} == set(map(str, answers))
    other.execute("ROLLBACK")
    assert Filed(wanted[0].id, False) == await sqlite.file(wanted[0])


async def test_whoever_stopped_waiting_spoils_no_other_answer(sqlite: Database) -> None:
    waits = [sqlite.file(an_event(f"{n}", conversation_id=f"conv_{n}")) for n in range(3)]
    waits[0].cancel()
    assert [False, False] == [answer.deduplicated for answer in await asyncio.gather(*waits[1:])]
    assert 3 == (await sqlite.read(event_rows.page, ORG))[1]


async def test_how_long_the_oldest_event_has_waited_is_known_until_it_is_filed(
    sqlite: Database, data_dir: Path
) -> None:
    other = sqlite3.connect(data_dir / "offhook.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    wait = sqlite.file(an_event())
    await asyncio.sleep(0.1)
    assert 0.1 <= sqlite.oldest_wait_s < 10
    other.execute("ROLLBACK")
    await wait
    assert 0 == sqlite.oldest_wait_s
