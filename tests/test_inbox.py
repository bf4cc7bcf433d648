"""The inbox keeps every event once, in the database or in the spool, whatever happens to either."""

import asyncio
import hashlib
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from offhook import events
from offhook.drafts import open_draft
from offhook.errors import ComeBackLater, Damaged, Unavailable
from offhook.events import Event, Filed
from offhook.inbox import Inbox
from offhook.sealing import KeyRing, new_key_text
from offhook.settings import Settings
from offhook.spool import Spool
from offhook.store import events as event_rows
from offhook.store import migrations
from offhook.store.database import Database
from offhook.store.engine import open_database
from tests.services import Postgresql

ORG = "a" * 24
BUDGET_S = 0.3
PATIENT_S = 30.0  #: where nothing is to go to the spool, however busy the machine is


def an_event(
    text: str = "hello",
    *,
    conversation_id: str = "conv_1",
    event_timestamp: float | None = 1_747_580_641,
    **facts: object,
) -> Event:
    body = text.encode()
    sha256 = hashlib.sha256(body).hexdigest()
    event = Event(
        id=events.event_id(ORG, sha256),
        org_id=ORG,
        type="post_call_transcription",
        source="webhook",
        proof="hmac",
        sha256=sha256,
        size_bytes=len(body),
        received_at=1_747_580_650.25,
        body=body,
        conversation_id=conversation_id,
        call_id=events.call_id(ORG, conversation_id),
        agent_id="agent_1",
        event_timestamp=event_timestamp,
    )
    return msgspec.structs.replace(event, **facts)


@pytest.fixture
def keys() -> KeyRing:
    return KeyRing.from_text(new_key_text())


@pytest.fixture
def spool(tmp_path: Path, keys: KeyRing) -> Spool:
    return Spool([tmp_path / "spool"], keys)


@pytest.fixture
async def inbox(database: Database, spool: Spool, keys: KeyRing) -> AsyncIterator[Inbox]:
    inbox = Inbox(database, spool, keys, budget_s=PATIENT_S)
    await inbox.open()
    yield inbox
    await inbox.close()


async def rows(database: Database) -> list[Event]:
    page, _ = await database.read(event_rows.page, ORG, limit=500)
    found = [await database.read(event_rows.get, ORG, row.id) for row in page]
    return [event_rows.event_of(row) for row in found if row is not None]


async def until(holds: Callable[[], object], within_s: float = 10) -> None:
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end, "it did not come true in time"
        await asyncio.sleep(0.02)


async def test_a_filed_event_comes_back_as_it_was_and_its_body_lies_sealed(
    inbox: Inbox, database: Database, keys: KeyRing
) -> None:
    event = an_event("a body that nobody should read on disk")
    assert Filed(event.id, False) == await inbox.file(event)
    (row,) = await rows(database)
    assert event == msgspec.structs.replace(row, body=keys.open(row.body, row.id))
    assert b"nobody should read" not in row.body


async def test_parts_and_audio_come_back_with_the_event(inbox: Inbox, database: Database, keys: KeyRing) -> None:
    part = events.Part(offset=7, encoding="base64", file="f.mp3", size_bytes=3, sha256="0" * 64)
    audio = events.Audio(file="f.mp3", size_bytes=3, sha256="0" * 64, duration_s=1.5)
    event = an_event(parts=(part,), audio=audio)
    await inbox.file(event)
    (row,) = await rows(database)
    assert ((part,), audio) == (row.parts, row.audio)


async def test_the_same_bytes_again_are_one_row_that_came_twice(inbox: Inbox, database: Database) -> None:
    assert [False, True] == [(await inbox.file(an_event())).deduplicated for _ in range(2)]
    ((fact,), total) = await database.read(event_rows.page, ORG)
    assert (1, 2) == (total, fact.deliveries)


async def test_the_same_event_in_other_bytes_is_kept_and_called_deduplicated(inbox: Inbox, database: Database) -> None:
    first, second = an_event("one spelling"), an_event("another spelling")
    assert (False, True) == ((await inbox.file(first)).deduplicated, (await inbox.file(second)).deduplicated)
    assert 2 == len(await rows(database))


async def test_without_a_timestamp_only_the_same_bytes_are_the_same_event(inbox: Inbox) -> None:
    one, other = (an_event(text, event_timestamp=None) for text in ("one", "other"))
    answers = [(await inbox.file(event)).deduplicated for event in (one, other, one)]
    assert [False, False, True] == answers


async def test_a_stale_copy_does_not_make_the_fresh_event_a_repetition(inbox: Inbox) -> None:
    await inbox.file(an_event("x", id=events.event_id(ORG, "x", "stale"), status="stale"))
    assert (await inbox.file(an_event("x"))).deduplicated is False


async def test_a_thousand_at_once_of_which_half_are_repetitions_are_five_hundred_rows(
    inbox: Inbox, database: Database
) -> None:
    wanted = [an_event(f"body {n % 500}", conversation_id=f"conv_{n % 500}") for n in range(1000)]
    answers = await asyncio.gather(*map(inbox.file, wanted))
    assert 500 == sum(answer.deduplicated is True for answer in answers)
    assert 500 == (await database.read(event_rows.page, ORG))[1]


async def test_the_doorbell_rings_for_each_durable_event(inbox: Inbox) -> None:
    heard: list[Event] = []
    inbox.on_filed.append(heard.append)
    await inbox.file(event := an_event())
    assert [event] == heard


async def test_a_locked_database_sends_events_to_the_spool_and_gets_them_when_it_is_free(
    tmp_path: Path, data_dir: Path, sqlite_url: str, keys: KeyRing, spool: Spool
) -> None:
    settings = Settings(data_dir=data_dir, database_url=sqlite_url)
    database = open_database(settings, is_server=True)
    await database.open()
    inbox = Inbox(database, spool, keys, budget_s=BUDGET_S)
    await inbox.open()
    other = sqlite3.connect(settings.sqlite_path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    begun = time.monotonic()
    answers = await asyncio.gather(*(inbox.file(an_event(f"{n}", conversation_id=f"c{n}")) for n in range(50)))
    took_s = time.monotonic() - begun
    other.execute("ROLLBACK")
    assert [None] * 50 == [answer.deduplicated for answer in answers]
    assert took_s < 1
    await until(lambda: not spool.waiting())
    filed = await rows(database)
    assert 50 == len(filed)
    assert {"spool"} == {event.source for event in filed} or {"spool", "webhook"} == {event.source for event in filed}
    await inbox.close()
    await database.close()


@pytest.fixture
async def mortal_database(durable_postgresql: Postgresql, tmp_path: Path, secret_key: str) -> AsyncIterator[Database]:
    """On `durable_postgresql`, which may be frozen and killed."""
    url = durable_postgresql.url(durable_postgresql.create_database())
    settings = Settings(data_dir=tmp_path, database_url=url, secret_key=secret_key)
    await migrations.upgrade(settings)
    database = open_database(settings, is_server=True)
    await database.open()
    yield database
    await database.close()


async def test_a_postgresql_that_hangs_or_stops_costs_no_event_and_no_patience(
    durable_postgresql: Postgresql, mortal_database: Database, keys: KeyRing, spool: Spool
) -> None:
    inbox = Inbox(mortal_database, spool, keys, budget_s=BUDGET_S)
    await inbox.open()
    slowest_s = 0.0
    filed = 0
    for trouble, cure in (
        (durable_postgresql.freeze, durable_postgresql.thaw),
        (durable_postgresql.kill, durable_postgresql.start),
    ):
        await asyncio.to_thread(trouble)
        for _ in range(20):
            begun = time.monotonic()
            await inbox.file(an_event(f"{filed}", conversation_id=f"c{filed}"))
            slowest_s = max(slowest_s, time.monotonic() - begun)
            filed += 1
            await asyncio.sleep(0.05)
        await asyncio.to_thread(cure)
        await until(lambda: not spool.waiting(), within_s=20)
    assert slowest_s < 1
    assert filed == (await mortal_database.read(event_rows.page, ORG))[1]
    await inbox.close()


async def test_in_an_outage_one_event_a_second_finds_out_whether_it_is_over(
    durable_postgresql: Postgresql, mortal_database: Database, keys: KeyRing, tmp_path: Path
) -> None:
    inbox = Inbox(mortal_database, Spool([tmp_path / "spool"], keys), keys, budget_s=5)
    (tmp_path / "spool").mkdir()  # it is not opened, so that no drain finds out either
    await asyncio.to_thread(durable_postgresql.freeze)
    await inbox.file(an_event("the first"))
    await asyncio.sleep(1.1)

    waits = [asyncio.create_task(inbox.file(an_event(f"{n}"))) for n in range(20)]
    done, waiting = await asyncio.wait(waits, timeout=1)

    assert (19, 1) == (len(done), len(waiting))
    await asyncio.to_thread(durable_postgresql.thaw)
    await asyncio.wait(waiting, timeout=10)


async def test_what_an_earlier_process_spooled_is_filed_at_the_start(
    database: Database, spool: Spool, keys: KeyRing
) -> None:
    spool.open()
    await spool.keep(an_event())
    inbox = Inbox(database, spool, keys, budget_s=BUDGET_S)
    await inbox.open()
    await until(lambda: not spool.waiting())
    assert ["spool"] == [event.source for event in await rows(database)]
    await inbox.close()


async def test_an_event_that_is_both_committed_and_spooled_is_one_row(
    inbox: Inbox, database: Database, spool: Spool
) -> None:
    await inbox.file(an_event())
    await spool.keep(an_event())
    while await inbox.drain_some():
        pass
    assert 1 == len(await rows(database))


async def test_a_damaged_spool_file_is_set_aside_and_holds_up_nothing(
    inbox: Inbox, database: Database, spool: Spool, tmp_path: Path
) -> None:
    await spool.keep(an_event("to be damaged", conversation_id="conv_2"))
    (path,) = spool.waiting()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(Damaged):
        spool.load(path)
    await spool.keep(an_event("whole"))
    while await inbox.drain_some():
        pass
    assert 1 == len(await rows(database))
    assert [".damaged"] == [left.suffix for left in (tmp_path / "spool").iterdir()]


async def test_a_database_in_doubt_is_asked_all_the_same_when_the_spool_refuses(
    data_dir: Path, sqlite_url: str, keys: KeyRing, tmp_path: Path
) -> None:
    settings = Settings(data_dir=data_dir, database_url=sqlite_url)
    database = open_database(settings, is_server=True)
    await database.open()
    inbox = Inbox(database, Spool([tmp_path / "no" / "such"], keys), keys, budget_s=BUDGET_S)
    other = sqlite3.connect(settings.sqlite_path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(ComeBackLater):
        await inbox.file(an_event())
    other.execute("ROLLBACK")
    assert not inbox.is_database_trusted
    assert Filed(an_event().id, False) == await inbox.file(an_event())
    await database.close()


async def test_when_neither_database_nor_spool_can_keep_it_the_sender_is_asked_to_come_back(
    tmp_path: Path, keys: KeyRing
) -> None:
    spool = Spool([tmp_path / "no" / "such"], keys)
    with pytest.raises(ComeBackLater):
        await spool.keep(an_event())


async def test_the_second_spool_folder_takes_over_from_a_sick_first(tmp_path: Path, keys: KeyRing) -> None:
    sick, well = tmp_path / "sick", tmp_path / "well"
    spool = Spool([sick, well], keys)
    spool.open()
    sick.rmdir()
    sick.write_text("a file where a folder should be")
    await spool.keep(an_event())
    assert 1 == len(list(well.iterdir()))


async def test_half_written_spool_files_are_swept_at_the_start(tmp_path: Path, spool: Spool) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "1.draft").write_text("half")
    spool.open()
    assert [] == list((tmp_path / "spool").iterdir())


async def test_what_another_process_is_spooling_is_not_swept(tmp_path: Path, spool: Spool) -> None:
    (tmp_path / "spool").mkdir()
    with open_draft(tmp_path / "spool" / "1.draft"):
        spool.open()
        assert ["1.draft"] == [left.name for left in (tmp_path / "spool").iterdir()]


async def test_an_event_that_cannot_be_stored_spoils_no_other(database: Database) -> None:
    filed = [database.file(an_event(f"{n}", agent_id="\ud800" if n == 1 else "agent_1")) for n in range(3)]
    first, odd, last = await asyncio.gather(*filed, return_exceptions=True)
    assert isinstance(odd, Unavailable)
    assert [True, True] == [isinstance(answer, Filed) for answer in (first, last)]
    assert (await database.file(an_event("the next"))).is_new
