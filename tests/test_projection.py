"""What was filed becomes calls, contacts, notes and recordings, on both databases, whatever events do to their reader."""

import asyncio
import itertools
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from offhook import events
from offhook.contexts import Contexts
from offhook.directory import Directory
from offhook.errors import Unavailable
from offhook.events import Audio, Event
from offhook.projection.projector import Projector
from offhook.projection.reader import question, reader_command
from offhook.projection.sandbox import Lost, Sandbox
from offhook.sealing import KeyRing, new_key_text
from offhook.settings import Settings
from offhook.store import contacts, migrations, organizations, projections
from offhook.store import events as event_rows
from offhook.store.database import Database
from offhook.store.engine import open_database
from offhook.store.organizations import NewOrganization
from offhook.store.projections import Projection
from offhook.store.tables import agents, calls, contact_numbers, directory_version, metadata, notes, recordings
from offhook.store.tables import events as inbox
from offhook.voice.parts import Folders
from tests.payloads import BOOKING, ORG, RECEIVED_AT, event, payload
from tests.services import Postgresql

POISONOUS = (sys.executable, str(Path(__file__).parent / "poisonous_reader.py"))
OLDER = "post_call_transcription__older"
CONVERSATION = "conv_8f3d1b9c2e7a4f0b9a4d2c1e6e2f8c01"
CALL = events.call_id(ORG, CONVERSATION)


class House:
    """The rooms around the projection, and what lies in the database."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.keys = KeyRing.from_text(new_key_text())
        self.directory = Directory(database, self.keys)
        self.contexts = Contexts(database)
        self.folders = Folders(recordings=folder / "recordings", bodies=folder / "bodies", keys=self.keys)
        self.now = RECEIVED_AT + 100
        self._projectors: list[Projector] = []

    async def open(self) -> None:
        self.folders.recordings.mkdir()
        new = NewOrganization(id=ORG, name="Acme Corp", timezone="America/Toronto", country="CA")
        await self.database.write(organizations.create, self.keys, new, 1.0)
        await self.directory.open()

    async def close(self) -> None:
        for projector in self._projectors:
            await projector.stop()
        await self.directory.close()

    async def projector(self, reader: Sequence[str] = ()) -> Projector:
        """A projector that is at work; *reader*: what reads in its stead, see poisonous_reader.py."""
        command = (*reader, str(self.folders.recordings)) if reader else ()
        made = Projector(
            self.database, self.keys, self.directory, self.contexts, self.folders, lambda: self.now, reader=command
        )
        await made.start()
        self._projectors.append(made)
        return made

    async def file(self, *filed: Event) -> None:
        await asyncio.gather(*(self.database.file(event_rows.sealed(one, self.keys)) for one in filed))

    async def project(self, *filed: Event, reader: Sequence[str] = ()) -> Projector:
        """File events, and let a new projector do all that is to be done."""
        await self.file(*filed)
        projector = await self.projector(reader)
        await projector.drain()
        return projector

    async def rows(self, table: sa.Table, *apart: str) -> list[dict[str, Any]]:
        """All rows, without the columns *apart*."""
        found = await self.database.read(_all_rows, table)
        return [{name: value for name, value in row.items() if name not in apart} for row in found]

    async def row(self, table: sa.Table) -> dict[str, Any]:
        (row,) = await self.rows(table)
        return row

    async def everything(self, *apart: str) -> dict[str, list[dict[str, Any]]]:
        return {table.name: await self.rows(table, *apart) for table in metadata.sorted_tables}

    async def standing(self, filed: Event) -> tuple[str, str | None, int]:
        """Status, reason and attempts of an event."""
        row = await self.database.read(event_rows.get, filed.org_id, filed.id)
        assert row is not None
        return row.status, row.reason, row.attempts


def _all_rows(tx: sa.Connection, table: sa.Table) -> list[dict[str, Any]]:
    return [dict(row) for row in tx.execute(sa.select(table).order_by(*table.primary_key)).mappings()]


def _set_attempts(tx: sa.Connection, filed: Event, attempts: int) -> None:
    tx.execute(inbox.update().where(inbox.c.id == filed.id).values(attempts=attempts))


def _rename(tx: sa.Connection, table: str, name: str) -> None:
    tx.execute(sa.text(f"ALTER TABLE {table} RENAME TO {name}"))


@pytest.fixture
async def house(database: Database, tmp_path: Path) -> AsyncIterator[House]:
    made = House(database, tmp_path)
    await made.open()
    yield made
    await made.close()


def told(name: str, *changes: tuple[str, Any], **facts: Any) -> Event:
    return event(payload(name, *changes), **facts)


def booking(*changes: tuple[str, Any], **facts: Any) -> Event:
    return told(BOOKING, *changes, **facts)


def other(number: int, *changes: tuple[str, Any]) -> Event:
    """The transcription of some other conversation."""
    return told(OLDER, ("data.conversation_id", f"conv_{number}"), *changes)


def failure(*changes: tuple[str, Any]) -> Event:
    """A failed attempt at the very call of `booking`."""
    person = ("data.metadata.body.To", "+14165550100")
    return told("call_initiation_failure__twilio_busy", ("data.conversation_id", CONVERSATION), person, *changes)


def audio(house: House, speech: Path) -> Event:
    """The recording's event, its file where it belongs."""
    file = "f" * 32
    shutil.copy(speech, house.folders.recordings / file)
    return told("post_call_audio", audio=Audio(file=file, size_bytes=speech.stat().st_size, sha256="e" * 64))


@pytest.fixture
def speech(corpora: Path) -> Path:
    return corpora / "mp3" / "speech_64k.mp3"


# The way of an event


async def test_a_transcription_becomes_a_call_a_contact_and_a_note(house: House) -> None:
    filed = booking()
    await house.project(filed)
    call, note = await house.row(calls), await house.row(notes)
    contact = await house.database.read(contacts.find_by_number, ORG, "+14165550100")
    assert contact is not None
    assert (CALL, ORG, "completed", contact.id) == (call["id"], call["org_id"], call["status"], call["contact_id"])
    assert (events.contact_id(ORG, "+14165550100"), None) == (contact.id, contact.name)
    assert ("ai_summary", CALL, contact.id) == (note["type"], note["call_id"], note["contact_id"])
    assert call["summary"] == note["note"]
    assert ("projected", None, 1) == await house.standing(filed)


async def test_a_ring_is_answered_at_once(house: House) -> None:
    projector = await house.projector()
    await projector.drain()
    filed = booking()
    await house.file(filed)
    begun = time.monotonic()
    projector.ring(filed)
    while not await house.rows(calls):
        await asyncio.sleep(0.002)
    assert time.monotonic() - begun < 5  # some ms on an idle machine; the look that comes anyway takes seconds
    assert ("projected", None, 1) == await house.standing(filed)


async def test_what_was_filed_elsewhere_is_found_without_a_ring(house: House) -> None:
    await house.projector()
    await house.file(booking(received_at=house.now - 60))
    await _until(lambda: house.rows(calls))


async def test_a_recording_is_measured_and_kept_beside_its_call(house: House, speech: Path) -> None:
    await house.project(booking(), audio(house, speech))
    kept = await house.row(recordings)
    assert (CALL, "ready", speech.stat().st_size) == (kept["call_id"], kept["state"], kept["size_bytes"])
    assert kept["duration_s"] > 1


async def test_what_is_no_mp3_is_kept_as_not_playable(house: House) -> None:
    (house.folders.recordings / "f").write_bytes(b"no audio at all")
    await house.project(told("post_call_audio", audio=Audio(file="f", size_bytes=15, sha256="e" * 64)))
    assert ("not_playable", None) == (
        (await house.row(recordings))["state"],
        (await house.row(recordings))["duration_s"],
    )
    assert "in-progress" == (await house.row(calls))["status"]


async def test_a_recording_that_is_not_there_is_set_aside_and_the_call_kept(house: House) -> None:
    lost = told("post_call_audio", audio=Audio(file="nowhere", size_bytes=1, sha256="e" * 64))
    await house.project(booking(), lost)
    assert "completed" == (await house.row(calls))["status"]
    reason = "The recording's file nowhere cannot be read: No such file or directory."
    assert ("quarantined", reason) == (await house.standing(lost))[:2]


async def test_every_order_of_arrival_gives_the_same_rows(house: House, speech: Path) -> None:
    """One event at a time, each projected before the next comes, as on a slow day; each order for another organisation."""
    corrected = booking(("event_timestamp", 1763741999), ("data.analysis.transcript_summary", "Corrected."))
    said = [booking(), failure(), corrected, audio(house, speech)]
    projector = await house.projector()
    orders = {f"{number:024}": order for number, order in enumerate(itertools.permutations(said))}
    for step in range(len(said)):
        for org_id, order in orders.items():
            theirs = _of(order[step], org_id)
            await house.file(theirs)
            projector.ring(theirs)
        await projector.drain()
    seen = [await _rows_of(house, org_id) for org_id in orders]
    assert [] == [rows for rows in seen if rows != seen[0]]
    assert ["Corrected."] == [note["note"] for note in seen[0]["notes"]]
    assert [1, 1, 1, 1] == [len(seen[0][name]) for name in ("calls", "recordings", "contact_numbers", "agents")]


def _of(filed: Event, org_id: str) -> Event:
    """The same event of another organisation."""
    assert filed.conversation_id is not None
    ids = {"id": events.event_id(org_id, filed.sha256), "call_id": events.call_id(org_id, filed.conversation_id)}
    return msgspec.structs.replace(filed, org_id=org_id, **ids)


async def _rows_of(house: House, org_id: str) -> dict[str, Any]:
    """What the projection made for one organisation; ids are derived from it, so they are left out."""
    ids = ("id", "org_id", "call_id", "contact_id", "event_id", "updated_at")
    found = {}
    for table in (calls, notes, recordings, contact_numbers, agents):
        rows = [row for row in await house.rows(table) if row["org_id"] == org_id]
        found[table.name] = [{name: value for name, value in row.items() if name not in ids} for row in rows]
    return found


async def test_projecting_again_changes_nothing_to_the_byte(house: House, speech: Path) -> None:
    filed = booking()
    projector = await house.project(filed, audio(house, speech), failure(), other(1))
    before = await house.everything("attempts", "projected_at")
    house.now += 1000
    await projector.replay(ORG, filed.id)
    await projector.drain()
    assert before == await house.everything("attempts", "projected_at")


async def test_a_correction_changes_the_rows_it_is_about_and_their_time(house: House) -> None:
    await house.project(booking(), other(1))
    before = {row["id"]: row for row in await house.rows(calls)}
    house.now += 1000
    await house.project(booking(("event_timestamp", 1763741999), ("data.analysis.call_summary_title", "New title")))
    after = {row["id"]: row for row in await house.rows(calls)}
    assert ("New title", house.now) == (after[CALL]["title"], after[CALL]["updated_at"])
    assert before[CALL]["created_at"] == after[CALL]["created_at"]
    assert {id: row for id, row in before.items() if id != CALL} == {id: row for id, row in after.items() if id != CALL}


async def test_a_fold_that_a_newer_event_has_overtaken_is_not_written(house: House) -> None:
    await house.project(booking())
    before = await house.rows(calls)
    await house.file(failure())
    stale = Projection(call_id=CALL, event_count=1, due=[failure().id], call={**before[0], "title": "stale"})
    assert {CALL} == await house.database.write(projections.write, [stale], 5.0)
    assert before == await house.rows(calls)
    assert "pending" == (await house.standing(failure()))[0]


async def test_many_conversations_at_once_are_all_projected(house: House) -> None:
    filed = [other(number) for number in range(300)]
    projector = await house.projector()
    await house.file(*filed)
    for one in filed:
        projector.ring(one)
    await projector.drain()
    assert 300 == len(await house.rows(calls))
    assert {"projected": 300} == await house.database.read(event_rows.count_by_status)


async def test_a_very_long_conversation_is_projected_too(house: House) -> None:
    turns = [{"role": "user", "message": "word " * 20, "time_in_call_secs": n} for n in range(20_000)]
    await house.project(booking(("data.transcript", turns)), other(1))
    assert 2 == len(await house.rows(calls))


async def test_two_projectors_on_one_database_do_nothing_twice(house: House) -> None:
    filed = [other(number) for number in range(50)] + [booking(), failure()]
    one, two = await house.projector(), await house.projector()
    await house.file(*filed)
    for event_ in filed:
        one.ring(event_)
        two.ring(event_)
    await asyncio.gather(one.drain(), two.drain())
    assert 51 == len(await house.rows(calls))
    assert 1 == len([row for row in await house.rows(agents) if row["agent_id"] == booking().agent_id])


async def test_stopping_and_starting_loses_nothing(house: House) -> None:
    filed = [other(number) for number in range(100)]
    await house.file(*filed)
    projector = await house.projector()
    for one in filed:
        projector.ring(one)
    await asyncio.sleep(0.05)
    await projector.stop()
    await (await house.projector()).drain()
    assert 100 == len(await house.rows(calls))


async def test_an_event_that_belongs_to_no_conversation_is_said_to(house: House) -> None:
    homeless = booking(call_id=None, conversation_id=None)
    await house.project(homeless)
    assert ("skipped", "It belongs to no conversation.", 0) == await house.standing(homeless)


# People, agents, contexts


async def test_somebody_known_is_recognised_and_what_people_edit_is_left_alone(house: House) -> None:
    alex = await house.database.write(
        contacts.create, ORG, first_name="Alex", numbers=["+14165550100"], source="cli", now=1.0
    )
    await house.project(booking(), failure())
    assert alex.id == (await house.row(calls))["contact_id"]
    assert alex == await house.database.read(contacts.get, ORG, alex.id)


async def test_a_visitor_of_the_widget_is_known_by_user_id(house: House) -> None:
    await house.project(told("post_call_transcription__widget"))
    contact = await house.database.read(contacts.find_by_external_id, ORG, "customer-4711")
    assert contact is not None
    assert contact.id == (await house.row(calls))["contact_id"]


async def test_an_agent_is_learnt_once_and_the_directory_told(house: House) -> None:
    before = await house.row(directory_version)
    await house.project(booking())
    learnt = await house.row(agents)
    assert ("Harbour Dental front desk", True) == (learnt["name"], learnt["is_learnt"])
    after = await house.row(directory_version)
    assert before["version"] + 1 == after["version"]
    await house.project(failure(), other(1, ("data.agent_id", booking().agent_id)))
    assert after == await house.row(directory_version)


def announcement(**asked: str) -> Event:
    """A personalization request and what was answered."""
    answer = b'{"type":"conversation_initiation_client_data","dynamic_variables":{"caller_name":"Alex"}}'
    conversation_id = asked.get("conversation_id")
    return event(
        {**asked, "caller_id": "+14165550199", "called_number": "+12362320246", "agent_id": "agent_1"},
        type="personalization",
        source="personalization",
        proof="bearer",
        answer=answer,
        conversation_id=conversation_id,
        call_id=events.call_id(ORG, conversation_id) if conversation_id else None,
        received_at=RECEIVED_AT - 60,
    )


NO_NUMBERS = ("data.metadata", {"phone_call": {"call_sid": "CA77"}})


@pytest.mark.parametrize(
    "asked", [{"call_sid": "CA77"}, {"conversation_id": CONVERSATION}], ids=["sid", "conversation"]
)
@pytest.mark.parametrize("is_late", [False, True], ids=["before", "late"])
async def test_what_was_asked_while_it_rang_is_found_again(house: House, asked: dict[str, str], is_late: bool) -> None:
    requested = announcement(**asked)
    filed = told(OLDER, NO_NUMBERS)
    for one in (filed, requested) if is_late else (requested, filed):
        await house.project(one)
    call = await house.row(calls)
    assert ("+14165550199", "+12362320246", "inbound") == (call["from_number"], call["to_number"], call["direction"])
    assert '"told":{"caller_name":"Alex"}' in call["context"]
    assert "projected" == (await house.standing(requested))[0]


async def test_a_call_that_only_rang_is_none_yet(house: House) -> None:
    await house.project(announcement(conversation_id=CONVERSATION))
    assert [] == await house.rows(calls)


# Poison


POISONS = ["raise", "hang", "sleep", "eat", "die", "leave", "shout"]
REASONS = {
    "raise": "KeyError at poisonous_reader.py, line ",  # and not a word of what it says
    "hang": "It could not be read within 5 s.",
    "sleep": "It could not be read within 5 s.",
    # Which limit it meets first is the machine's affair: on a busy one it has not eaten enough when its time is over.
    "eat": "It could not be read ",
    "die": "The process that read it was ended by SIGSEGV.",
    "leave": "The process that read it ended with exit code 3.",
    "shout": "What was read of it is larger than 256 MiB.",
}


def poison(kind: str, number: int = 0) -> Event:
    return other(number, ("data.agent_name", f"poison: {kind}"))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # it is the reader that fails
@pytest.mark.parametrize("kind", POISONS)
async def test_poison_is_tried_three_times_and_set_aside_with_its_reason(house: House, kind: str) -> None:
    bad, good = poison(kind), [other(number) for number in range(1, 9)]
    await house.project(good[0], bad, *good[1:], reader=POISONOUS)
    status, reason, attempts = await house.standing(bad)
    assert ("quarantined", 3) == (status, attempts)
    assert reason is not None
    assert reason.startswith(REASONS[kind])
    assert 8 == len(await house.rows(calls))
    assert {"projected": 8, "quarantined": 1} == await house.database.read(event_rows.count_by_status)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_others_do_not_wait_for_poison(house: House) -> None:
    projector = await house.projector(POISONOUS)
    bad = [poison(kind, number) for number, kind in enumerate(["hang", "die", "sleep", "raise"])]
    good = [other(number) for number in range(10, 30)]
    await house.file(*bad, *good)
    for one in [*bad, *good]:
        projector.ring(one)
    begun = time.monotonic()
    await _until(lambda: _is_projected(house, good))
    took_s = time.monotonic() - begun
    assert "pending" == (await house.standing(bad[0]))[0]
    assert took_s < 9  # what hangs alone takes longer than that


@pytest.mark.parametrize("kind", ["raise", "die"])
async def test_of_a_conversation_only_the_event_that_spoils_it_is_set_aside(house: House, kind: str) -> None:
    bad = booking(("event_timestamp", 1763741999), ("data.agent_name", f"poison: {kind}"))
    await house.project(booking(), failure(), reader=POISONOUS)
    await house.project(bad, told(OLDER), reader=POISONOUS)
    assert "quarantined" == (await house.standing(bad))[0]
    for good in (booking(), failure(), told(OLDER)):
        assert "projected" == (await house.standing(good))[0]
    assert "Harbour Dental front desk" == (await house.row(calls))["agent_name"]


async def test_two_events_that_spoil_a_conversation_are_both_found(house: House) -> None:
    first, second = (
        booking(("event_timestamp", n), ("data.agent_name", "poison: raise")) for n in (1763741998, 1763741999)
    )
    await house.project(first, booking(), second, reader=POISONOUS)
    assert ["quarantined", "quarantined"] == [(await house.standing(bad))[0] for bad in (first, second)]
    assert "projected" == (await house.standing(booking()))[0]


async def test_what_was_set_aside_is_projected_again_once_the_fault_is_mended(house: House) -> None:
    bad = booking(("data.agent_name", "poison: raise"))
    await (await house.project(bad, reader=POISONOUS)).stop()
    assert [] == await house.rows(calls)
    await (await house.projector()).replay(ORG, bad.id)
    assert ("projected", None) == (await house.standing(bad))[:2]
    assert "poison: raise" == (await house.row(calls))["agent_name"]


async def test_replaying_what_is_still_poison_sets_it_aside_again(house: House) -> None:
    bad = poison("raise")
    projector = await house.project(bad, reader=POISONOUS)
    await projector.replay(ORG, bad.id)
    await projector.drain()
    assert ("quarantined", 3) == (await house.standing(bad))[::2]


async def test_a_slow_reader_is_no_poison(house: House) -> None:
    slow = poison("dawdle")
    await house.project(slow, reader=POISONOUS)
    status, _, attempts = await house.standing(slow)
    assert "projected" == status
    assert attempts <= 2  # one, where the machine is so busy that starting the reader took as long


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # it is the reader that is slow
async def test_where_the_reader_is_slow_to_start_it_may_be_slow_to_read(house: House) -> None:
    """On a machine without a processor to spare each call would else cost a reader, and nothing would get on."""
    start_late = (
        "import runpy, sys, time; time.sleep(1); sys.argv.pop(0); runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    slow = [poison("dawdle"), poison("dawdle", 1)]
    await house.project(*slow, reader=(sys.executable, "-c", start_late, POISONOUS[1]))
    assert [("projected", None, 1)] * 2 == [await house.standing(one) for one in slow]


async def test_what_was_begun_before_a_crash_is_tried_again_alone(house: House) -> None:
    filed = booking()
    await house.file(filed)
    await house.database.write(_set_attempts, filed, 2)
    await house.project()
    assert ("projected", None, 3) == await house.standing(filed)


@pytest.mark.parametrize("attempts", [0, 2], ids=["among others", "alone"])
async def test_a_database_that_takes_no_calls_for_a_while_wears_no_event_out(house: House, attempts: int) -> None:
    filed = booking()
    await house.file(filed)
    await house.database.write(_set_attempts, filed, attempts)
    await house.database.write(_rename, "calls", "calls_elsewhere")
    await house.projector()
    await asyncio.sleep(3)
    assert ("pending", None, attempts + 1) == await house.standing(filed)
    await house.database.write(_rename, "calls_elsewhere", "calls")
    await _until(lambda: _is_projected(house, [filed]))
    assert ("projected", None, attempts + 1) == await house.standing(filed)


async def test_what_never_came_to_an_end_is_not_begun_for_ever(house: House) -> None:
    filed = booking()
    await house.file(filed)
    await house.database.write(_set_attempts, filed, 6)
    await house.project(other(1))
    status, reason, _ = await house.standing(filed)
    assert ("quarantined", "6 attempts to read it were begun, and none came to an end.") == (status, reason)
    assert 1 == len(await house.rows(calls))


@pytest.mark.parametrize(
    ("body", "reason"),
    [(b"{", "The body ends in the middle of its JSON."), (b"[]", "The body is not a JSON object.")],
)
async def test_a_body_that_is_no_json_is_set_aside_and_says_why(house: House, body: bytes, reason: str) -> None:
    bad = event(body)
    await house.project(bad)
    assert ("quarantined", reason, 3) == await house.standing(bad)


async def test_what_was_sealed_with_a_lost_key_is_set_aside_and_says_why(house: House) -> None:
    bad, lost = booking(), KeyRing.from_text(new_key_text())
    await house.database.file(event_rows.sealed(bad, lost))
    await house.project(failure())
    status, reason, _ = await house.standing(bad)
    assert "quarantined" == status
    assert reason is not None
    assert "OFFHOOK_SECRET_KEY" in reason
    assert "busy" == (await house.row(calls))["status"]


async def test_ids_that_fit_no_index_cost_their_own_field(house: House) -> None:
    endless = "a" * 100_000
    call_sid = ("data.metadata.phone_call.call_sid", endless)
    await house.project(booking(("data.agent_id", endless), call_sid, ("data.user_id", endless)))
    call = await house.row(calls)
    assert ("completed", None, None) == (call["status"], call["agent_id"], call["call_sid"])


async def test_text_that_no_database_takes_is_stored_all_the_same(house: House) -> None:
    summary = b'"analysis":{"transcript_summary":"\\u0000 \\ud800"}'
    await house.project(event(b'{"agent_id":"a\\u0000\\ud800","user_id":"\\udfff",%b}' % summary, agent_id=None))
    call = await house.row(calls)
    assert ("a\ufffd", "\ufffd") == (call["agent_id"], call["summary"])


async def test_an_outage_of_the_database_loses_nothing(
    durable_postgresql: Postgresql, tmp_path: Path, secret_key: str
) -> None:
    url = durable_postgresql.url(durable_postgresql.create_database())
    settings = Settings(data_dir=tmp_path, database_url=url, secret_key=secret_key)
    await migrations.upgrade(settings)
    database = open_database(settings)
    await database.open()
    house = House(database, tmp_path)
    await house.open()
    filed = [other(number) for number in range(200)]
    await house.file(*filed)
    projector = await house.projector()
    for one in filed:
        projector.ring(one)
    await asyncio.sleep(0.3)
    await asyncio.to_thread(durable_postgresql.stop)
    await asyncio.sleep(1)
    await asyncio.to_thread(durable_postgresql.start)
    await _until(lambda: _is_projected(house, filed))
    assert 200 == len(await house.rows(calls))
    await house.close()
    await database.close()


# The reader


async def test_the_reader_knows_no_secret(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFHOOK_SECRET_KEY", "the key")
    sandbox = Sandbox(reader_command(house.folders.recordings))
    await sandbox.ready()
    assert sandbox._process is not None
    environment = Path(f"/proc/{sandbox._process.pid}/environ").read_bytes()
    await sandbox.close()
    assert b"the key" not in environment
    assert b"OFFHOOK" not in environment


async def test_the_reader_ends_with_whoever_asks(house: House) -> None:
    sandbox = Sandbox(reader_command(house.folders.recordings))
    await sandbox.ready()
    process = sandbox._process
    assert process is not None
    assert process.stdin is not None
    process.stdin.close()
    assert 0 == await asyncio.wait_for(process.wait(), 10)


def test_the_reader_leaves_without_a_word_when_whoever_asks_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(
        reader_command(tmp_path), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as reader:
        assert reader.stdout is not None
        assert reader.stderr is not None
        reader.stdout.close()
        assert (b"", 0) == (reader.stderr.read(), reader.wait())


async def test_a_reader_that_was_lost_is_followed_by_another(house: House) -> None:
    sandbox = Sandbox((*POISONOUS, str(house.folders.recordings)))
    asked = question([(other(1),), (poison("die"),), (other(2),)])
    first, lost = await sandbox.ask(asked, 3, 5.0)
    assert isinstance(first, bytes)
    assert isinstance(lost, Lost)
    (again,) = await sandbox.ask(question([(other(2),)]), 1, 5.0)
    assert isinstance(again, bytes)
    await sandbox.close()


async def test_a_reader_that_cannot_be_started_blames_nobody(house: House) -> None:
    projector = await house.projector(["/nonexistent"])
    filed = booking()
    await house.file(filed)
    projector.ring(filed)
    await asyncio.sleep(1.2)
    await projector.stop()
    assert ("pending", None, 0) == await house.standing(filed)


def test_the_reader_loads_no_database_and_no_server() -> None:
    """It is started anew each time that it was killed, and what it does not have cannot be taken from it."""
    heavy = "{'sqlalchemy', 'asyncio', 'fastapi', 'cryptography', 'redis'}"
    code = f"import sys, offhook.projection.reader; print(*{heavy} & set(sys.modules))"
    assert "" == subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


async def _until(holds: Callable[[], Any]) -> None:
    while not await _is_true(holds):
        await asyncio.sleep(0.01)


async def _is_true(holds: Callable[[], Any]) -> Any:
    """What *holds* says; a database that is down says no."""
    try:
        return await holds()
    except Unavailable:
        return False


async def _is_projected(house: House, filed: Sequence[Event]) -> bool:
    standing = await house.database.read(event_rows.standing, [one.id for one in filed])
    return {"projected"} == {status for status, _ in standing.values()}
