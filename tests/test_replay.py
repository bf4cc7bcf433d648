"""Events understood again: many at a time, tried without writing, and a whole database from its events alone."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from offhook import events, replaying
from offhook.cli import replays
from offhook.cli.installation import Installation
from offhook.errors import Mistake
from offhook.events import Event
from offhook.ledger import Kind, Ledger
from offhook.projection.projector import Projector
from offhook.projection.refolding import Refolding
from offhook.store import contacts as contact_rows
from offhook.store import events as event_rows
from offhook.store import organizations, refolds
from offhook.store.events import Chosen
from offhook.store.tables import (
    callbacks,
    calls,
    contact_numbers,
    contacts,
    contexts,
    effects,
    follow_ups,
    messages,
    metadata,
    notes,
    recordings,
    tool_uses,
)
from offhook.store.tables import events as inbox
from tests.api import Api
from tests.calls import Day
from tests.payloads import BOOKING, event, payload

FAILURE = "call_initiation_failure__twilio_busy"
#: What a rebuilt row has of its own (docs/operations.md), and what the directory writes down a while later.
APART = {
    "calls": {"updated_at"},
    "follow_ups": {"updated_at", "done_at"},
    "callbacks": {"updated_at"},
    "notes": {"updated_at"},
    "secrets": {"last_used_at"},
}


@pytest.fixture
async def day(api: Api) -> Day:
    return Day(api)


@pytest.fixture
async def refolding(api: Api) -> AsyncIterator[Refolding]:
    deps = api.deps
    made = Refolding(deps.database, deps.keys, deps.directory, deps.folders)
    yield made
    await made.close()


async def file(api: Api, *filed: Event) -> None:
    for one in filed:
        await api.deps.database.file(event_rows.sealed(one, api.deps.keys))


def told(api: Api, name: str, *changes: tuple[str, Any], **facts: Any) -> Event:
    return event(payload(name, *changes), org_id=api.org.id, **facts)


async def rows(api: Api, table: sa.Table) -> list[dict[str, Any]]:
    return await api.deps.database.read(_rows, table)


def _rows(tx: sa.Connection, table: sa.Table) -> list[dict[str, Any]]:
    apart = APART.get(table.name, set())
    found = tx.execute(sa.select(table).order_by(*table.primary_key)).mappings()
    return [{name: value for name, value in row.items() if name not in apart} for row in found]


async def everything(api: Api) -> dict[str, list[dict[str, Any]]]:
    return {table.name: await rows(api, table) for table in metadata.sorted_tables}


async def change(api: Api, statement: sa.Executable) -> None:
    await api.deps.database.write(lambda tx: tx.execute(statement))


# Rebuilding


async def test_a_database_that_is_rebuilt_from_its_events_equals_the_old_one(day: Day, refolding: Refolding) -> None:
    api = day.api
    await day.calls(12, "morning")
    await day.project()
    await people_at_work(day)
    await day.calls(5, "evening")
    await day.calls(4, "morning")  # the same callers in the same calls: every event is a repetition
    await day.project()
    touched = {row["id"] for row in (await rows(api, contacts)) if row["first_name"] in ("Renamed", "Typed")}
    before = await everything(api)
    for table in (calls, notes, recordings, contexts, tool_uses, callbacks, follow_ups, contacts, effects):
        assert before[table.name], table.name
    await empty(api, touched)
    assert not await rows(api, calls)
    difference = await replays.tried(refolding.rebuild(api.org.id), "Rebuilding", 0)
    assert [] == difference.unread
    after = await everything(api)
    assert {} == {name: differing(was, after[name]) for name, was in before.items() if was != after[name]}
    again = await replays.tried(refolding.rebuild(None, is_only_checked=True), "Checking", 0)
    assert (True, {}) == (again.is_empty, again.counts)


def differing(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> list[Any]:
    """What is only in the one, what is only in the other; of a row that is in both, the columns that differ."""
    if len(before) != len(after):
        return [[row for row in before if row not in after], [row for row in after if row not in before]]
    return [
        {name: (was[name], now[name]) for name in was if was[name] != now[name]}
        for was, now in zip(before, after, strict=True)
        if was != now
    ]


async def test_what_was_asked_of_a_call_counts_although_it_was_filed_after_the_call(
    api: Api, refolding: Refolding
) -> None:
    """A request is filed a moment after its answer, and a call can be short."""
    booked = told(api, BOOKING)
    asked = {"conversation_id": booked.conversation_id, "agent_id": booked.agent_id, "caller_id": "+14165550199"}
    answer = b'{"dynamic_variables":{"caller_name":"Jane"}}'
    kind = events.PERSONALIZATION
    greeting = event(asked, org_id=api.org.id, type=kind, source=kind, answer=answer, call_id=booked.call_id)
    await file(api, booked, greeting)
    await Day(api).project()
    before = await rows(api, calls)
    assert {"caller_name": "Jane"} == json.loads(before[0]["context"])["told"]
    await change(api, calls.delete())
    await change(api, contexts.delete())
    await replays.tried(refolding.rebuild(api.org.id), "Rebuilding", 0)
    assert before == await rows(api, calls)


async def people_at_work(day: Day) -> None:
    """Notes, names, a merge, and somebody who was never heard of on the telephone."""
    found = (await day.ask("GET", "/api/contacts?limit=50"))["data"]
    renamed, kept, other = (one["_id"] for one in found[:3])
    await day.ask("PATCH", f"/api/contacts/{renamed}", firstName="Renamed")
    await day.ask("PATCH", f"/api/contacts/{kept}", firstName="Renamed", lastName="Kept")
    await day.ask("POST", f"/api/contacts/{kept}/merge", contactId=other)
    await day.ask("POST", "/api/contacts", firstName="Typed", phoneNumber="+14165550142")
    await day.ask("POST", "/api/contact-notes", contactId=kept, note="Prefers mornings.")
    call = (await rows(day.api, calls))[0]
    await day.ask("POST", "/api/contact-notes", callId=call["id"], note="Ring back.")


async def empty(api: Api, touched: set[str]) -> None:
    """Nothing is left of what the projection and the tools wrote; what people wrote is."""
    for table in (calls, recordings, contexts, tool_uses, callbacks, follow_ups):
        await change(api, table.delete())
    await change(api, notes.delete().where(notes.c.type != "note"))
    await change(api, contact_numbers.delete().where(contact_numbers.c.contact_id.not_in(touched)))
    await change(api, contacts.delete().where(contacts.c.id.not_in(touched)))


async def test_a_rebuild_takes_away_what_no_event_says_and_brings_back_what_one_says(
    api: Api, refolding: Refolding
) -> None:
    await file(api, told(api, BOOKING))
    await Day(api).project()
    (call,) = await rows(api, calls)
    await api.add_recording(call["id"], b"nobody sent this")
    await change(api, calls.update().values(summary="Somebody wrote into the database."))
    await api.add_calls({"id": "f" * 24})
    checked = await replays.tried(refolding.rebuild(api.org.id, is_only_checked=True), "Checking", 0)
    assert {"calls changed": 1, "recordings gone": 1} == checked.counts
    assert "Somebody wrote into the database." in [row["summary"] for row in await rows(api, calls)]
    await replays.tried(refolding.rebuild(api.org.id), "Rebuilding", 0)
    assert [] == await rows(api, recordings)
    assert [call] == [row for row in await rows(api, calls) if row["id"] == call["id"]]
    assert 1 == await api.deps.database.read(refolds.without_events, api.org.id)


async def test_a_rebuild_texts_nobody_even_where_what_was_done_is_forgotten(api: Api, refolding: Refolding) -> None:
    await file(api, told(api, FAILURE))
    await Day(api).project()
    assert ["missed_call_text"] == [row["kind"] for row in await rows(api, effects)]
    await change(api, effects.delete())
    await change(api, calls.delete())
    await replays.tried(refolding.rebuild(api.org.id), "Rebuilding", 0)
    assert ["busy"] == [row["status"] for row in await rows(api, calls)]
    assert [] == await rows(api, effects)


async def test_what_an_agent_heard_after_a_name_was_told_survives_a_rebuild(api: Api, refolding: Refolding) -> None:
    """The name of a stranger is dated by its call: a replay's clock would be later than every tool."""
    await file(api, told(api, BOOKING))
    await Day(api).project()
    (person,) = (await api.get("/api/contacts")).json()["data"]
    found = await api.deps.database.read(contact_rows.get, api.org.id, person["_id"])
    assert found is not None
    assert found.updated_at < api.deps.now() - 60


# Trying


async def test_a_dry_run_shows_calls_and_fields_and_writes_nothing(api: Api, refolding: Refolding) -> None:
    booked, missed = told(api, BOOKING), told(api, FAILURE, status="quarantined", reason="A fault of ours.")
    changed_id = ("data.conversation_id", "conv_stale")
    stale = told(api, "post_call_transcription__older", changed_id, status="stale", reason="The clock.")
    await file(api, booked, missed, stale)
    await Day(api).project()
    await change(api, calls.update().values(summary="Understood by an older offhook."))
    before = await everything(api)
    difference = await replays.tried(refolding.differences(Chosen(org_id=api.org.id)), "Reading", 3)
    assert before == await everything(api)
    shown = {(one["table"], one["call_id"], one["what"]): one for one in difference.facts()["changes"]}
    changed = shown["calls", booked.call_id, "changed"]
    assert {"summary"} == set(changed["fields"])
    assert "Understood by an older offhook." == changed["fields"]["summary"]["old"]
    assert ("calls", missed.call_id, "new") in shown
    assert ("effects", missed.call_id, "new") in shown
    assert ("calls", stale.call_id, "new") in shown
    assert (3, 0, []) == (difference.events, difference.facts()["changes_left_out"], difference.unread)


async def test_a_dry_run_tells_what_still_cannot_be_read(api: Api, refolding: Refolding) -> None:
    await file(api, event(b"[", org_id=api.org.id, status="quarantined", reason="It is no JSON."))
    difference = await replays.tried(refolding.differences(Chosen(statuses=("quarantined",))), "Reading", 1)
    (unread,) = difference.unread
    assert events.call_id(api.org.id, "conv_1") == unread["id"]
    assert ["quarantined"] == [row["status"] for row in await rows(api, inbox)]


# Replaying


async def test_an_unassigned_event_goes_to_the_one_organisation_that_has_registered_its_agent(api: Api) -> None:
    deps = api.deps
    here = Installation(deps.settings, deps.database, deps.keys)
    other = await api.add_organization()
    agent_id = payload(BOOKING)["data"]["agent_id"]
    lost = event(payload(BOOKING), org_id=events.UNASSIGNED, status="unassigned", reason="Nobody can tell.")
    await file(api, msgspec.structs.replace(lost, call_id=None))
    chosen = Chosen(statuses=("unassigned",))
    await deps.database.write(organizations.learn_agent, other.id, agent_id, None, 1.0)
    with pytest.raises(Mistake, match="agent add"):
        await replays.replayed_all(here, chosen, 0)
    await deps.database.write(organizations.add_agent, api.org.id, agent_id, None, 2.0)
    assert ["pending"] == [status for status, _ in (await replays.replayed_all(here, chosen, 0)).values()]
    await Day(api).project()
    assert [api.org.id] == [row["org_id"] for row in await rows(api, calls)]
    assert [told(api, BOOKING).id] == [row["id"] for row in await rows(api, inbox)]


async def test_a_missed_call_that_is_replayed_texts_nobody_again(api: Api) -> None:
    deps = api.deps
    rules = {"missed_call_text": True, "missed_call_message": "Sorry we missed you."}
    await deps.database.write(organizations.decide, api.org.id, rules)
    await deps.directory.refresh()
    now = payload(FAILURE)["event_timestamp"] + 60.0
    ledger = Ledger(deps.database, {"missed_call_text": Kind(deps.messages.text_missed_call)}, deps.now)
    deps.messages._now = lambda: now
    await file(api, told(api, FAILURE, received_at=now))
    await Day(api).project()
    await worked(ledger)
    texted, ended = await rows(api, messages), await rows(api, effects)
    assert [("+14165550155", "sent")] == [(row["to_number"], row["status"]) for row in texted]
    for _ in range(2):
        await replays.replayed(deps.database, Chosen(), 0)
        assert ["pending"] == [row["status"] for row in await rows(api, inbox)]
        await Day(api).project()
        await worked(ledger)
        assert (texted, ended) == (await rows(api, messages), await rows(api, effects))


async def worked(ledger: Ledger) -> None:
    await ledger.start()
    async with asyncio.timeout(20):
        await ledger.drain()
    await ledger.stop()


async def test_many_events_are_replayed_a_few_at_a_time(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replays, "BATCH", 10)
    monkeypatch.setattr(replaying, "_UNDER_WAY", 5)
    deps = api.deps
    filed = [told(api, BOOKING, ("data.conversation_id", f"conv_{n}"), status="quarantined") for n in range(25)]
    await file(api, *filed, event(b"[", org_id=api.org.id, status="stale"))
    most_pending = 0

    def look(tx: sa.Connection, ids: Any) -> None:
        nonlocal most_pending
        send_back(tx, ids)
        pending = sa.select(sa.func.count()).select_from(inbox).where(inbox.c.status == "pending")
        most_pending = max(most_pending, tx.execute(pending).scalar_one())

    send_back = event_rows.send_back
    monkeypatch.setattr(event_rows, "send_back", look)
    projector = Projector(deps.database, deps.keys, deps.directory, deps.contexts, deps.folders, deps.now)
    await projector.start()
    outcomes = await replays.replayed(deps.database, Chosen(statuses=("quarantined", "stale")), 20)
    await projector.stop()
    assert 26 == len(outcomes)
    assert 25 == sum(status == "projected" for status, _ in outcomes.values())
    assert 25 == len(await rows(api, calls))
    assert 15 >= most_pending > 0
