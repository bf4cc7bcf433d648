"""All events that a filter shows, understood again from the page; on both databases."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from offhook import replaying
from offhook.ledger import Kind, Ledger
from offhook.projection.projector import Projector
from offhook.replaying import Replays
from offhook.store import event_lists, replays
from offhook.store import events as event_rows
from offhook.store.database import Database, prepared
from offhook.store.event_lists import Wanted
from offhook.store.tables import audit, calls, effects
from offhook.store.tables import events as inbox
from tests.api import NOW, Api, hex_id
from tests.pages import Page
from tests.payloads import BOOKING, event, payload
from tests.people import signed_in

ASKED = "/events/replay?status=quarantined&type=post_call_transcription"


async def test_what_a_filter_shows_is_replayed_in_the_background_and_a_report_says_what_came_of_it(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replaying, "BATCH", 2)
    other = await api.add_organization()
    for number in range(3):
        await _file(api, f"conv_{number}")
    await _file(api, "conv_3", status="projected")
    await _file(api, "conv_4", org_id=other.id)
    await _file(api, "conv_5", received_at=api.deps.now() + 60)  # it comes later than it is asked
    await _file(api, "")  # of no conversation
    await _file(api, "conv_6", body=b"[")
    browser = await signed_in(api, "manager", "omar@acme.example")
    listed = Page((await browser.get(ASKED.replace("/replay", ""))).text)
    assert ASKED in [address.replace("&amp;", "&") for address in listed.values("a", "href", class_="lnk")]
    page = Page((await browser.get(ASKED)).text)
    assert ["Replay 4 events"] == page.all("button", class_="primary")
    assert [ASKED] == page.values("form", "action", class_="acts")
    answer = await browser.post(ASKED)
    assert (303, "/events/replays?done=begun") == (answer.status_code, answer.headers["location"])
    assert "Waiting" in await _text(browser, answer.headers["location"])
    assert 409 == (await browser.post(ASKED)).status_code
    await _worked(api)
    assert "4 events" in (text := await _text(browser, "/events/replays"))
    assert "4 replayed: 3 understood, 1 set aside again." in text
    made = await api.deps.database.read(lambda tx: tx.execute(sa.select(calls.c.provider_call_id)).scalars().all())
    assert ["conv_0", "conv_1", "conv_2"] == sorted(map(str, made))
    done = sa.select(audit.c.who, audit.c.details).where(audit.c.action == "events_replayed")
    ((who, details),) = await api.deps.database.read(lambda tx: tx.execute(done).all())
    assert "omar@acme.example" == who
    assert '{"events":4,"filters":"status=quarantined&type=post_call_transcription"}' == details


async def test_nothing_and_too_much_are_not_replayed_but_said(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = await signed_in(api, "owner")
    assert "There is nothing to replay" in await _text(browser, ASKED)
    assert 400 == (await browser.post(ASKED)).status_code
    monkeypatch.setattr(replaying, "MOST", 1)
    await _file(api, "conv_1")
    assert "1 event will be read again" in await _text(browser, ASKED)
    await _file(api, "conv_2")
    page = Page((await browser.get(ASKED)).text)
    assert "More than 1 events." in page.text
    assert [f"offhook events replay --all {api.org.id}"] == page.all("code", class_="mono")
    assert 400 == (await browser.post(ASKED)).status_code
    assert [] == await api.deps.database.read(lambda tx: tx.execute(sa.select(effects)).all())


async def test_two_who_ask_at_once_begin_one(api: Api) -> None:
    await _file(api, "conv_1")
    browsers = [await signed_in(api, "owner", f"owner{number}@acme.example") for number in range(3)]
    answers = await asyncio.gather(*(browser.post(ASKED) for browser in browsers))
    assert [303, 409, 409] == sorted(answer.status_code for answer in answers)
    other = await api.add_organization()
    await _file(api, "conv_2", org_id=other.id)
    elsewhere = await signed_in(api, "owner", "owner@globex.example", org_id=other.id)
    assert 303 == (await elsewhere.post(ASKED)).status_code
    assert 2 == len(await api.deps.database.read(lambda tx: tx.execute(sa.select(effects.c.id)).all()))


async def test_what_was_refused_because_of_the_clock_is_replayed_only_where_it_is_asked_for(api: Api) -> None:
    await _file(api, "conv_1")
    await _file(api, "conv_2", status="stale", id=hex_id(2))
    browser = await signed_in(api, "owner")
    said = {query: await _text(browser, f"/events/replay{query}") for query in ("", "?status=stale")}
    assert ["1 event will be read again" in text for text in said.values()] == [True, True]
    assert ["events of a wrong time" in text for text in said.values()] == [True, False]
    database, org_id = api.deps.database, api.org.id
    assert [hex_id(2)] == await database.read(event_lists.replayable, org_id, Wanted(status="stale"), 9)
    assert hex_id(2) not in await database.read(event_lists.replayable, org_id, Wanted(), 9)
    assert "Events of a wrong time" in await _text(browser, f"/events/replay?q={hex_id(2)}")


async def test_what_comes_from_the_api_is_replayed_too_though_it_is_no_conversations(api: Api) -> None:
    await _file(api, "", source="tool", type="tool", id=hex_id(3))
    await _file(api, "")
    text = await _text(await signed_in(api, "owner"), "/events/replay")
    assert "1 event will be read again" in text
    assert "Events of which nothing can be made are left out" in text


async def test_a_replay_is_found_among_very_many_effects_without_a_look_at_each(api: Api) -> None:
    rows = [_effect(api, number, kind="text", status="due") for number in range(3_000)]
    await api.insert(effects, *rows, _effect(api, 3_000, kind=replaying.KIND, status="done"))
    await api.settle()
    org_id = api.org.id
    for statement in (prepared(replays.latest, org_id, 9), prepared(replays.is_under_way, org_id)):
        plan = await _plan(api.deps.database, statement)
        assert "ix_effects_replays" in plan or "ix_effects_status" in plan, plan
        assert "ix_effects_org_id_created_at" not in plan
    (last,) = await api.deps.database.read(replays.latest, org_id, 9)
    assert (hex_id(3_000), False) == (last.id, await api.deps.database.read(replays.is_under_way, org_id))


async def test_an_auditor_reads_what_was_replayed_and_is_offered_nothing(api: Api) -> None:
    await _file(api, "conv_1")
    auditor = await signed_in(api, "auditor")
    text = (await auditor.get("/events")).text
    assert ("/events/replays" in text, "/events/replay?" in text) == (True, False)
    assert "Nothing was replayed yet" in await _text(auditor, "/events/replays")


async def _file(api: Api, conversation_id: str, *, body: bytes | None = None, **facts: Any) -> None:
    said = body or payload(BOOKING, ("data.conversation_id", conversation_id))
    given = {"org_id": api.org.id, "status": "quarantined", "reason": "A fault of ours.", **facts}
    filed = event(said, **({"conversation_id": conversation_id} | given))
    await api.deps.database.file(event_rows.sealed(filed, api.deps.keys))


def _effect(api: Api, number: int, **facts: Any) -> dict[str, Any]:
    row = {column.name: None for column in effects.c} | {"id": hex_id(number), "org_id": api.org.id, "key": str(number)}
    return {**row, "payload": "{}", "attempts": 1, "due_at": NOW, "created_at": NOW, "updated_at": NOW, **facts}


async def _plan(database: Database, statement: Callable[[sa.Connection], object]) -> str:
    """How the database goes about it, with nothing in its text that the statement only binds."""

    def explained(tx: sa.Connection) -> str:
        sent: list[tuple[str, Any]] = []
        sa.event.listen(tx, "before_cursor_execute", lambda _tx, _cursor, text, given, *_: sent.append((text, given)))
        statement(tx)
        text, given = sent[0]
        explain = "EXPLAIN" if tx.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
        return "\n".join(str(row[-1]) for row in tx.exec_driver_sql(f"{explain} {text}", given))

    return await database.read(explained)


async def _worked(api: Api) -> None:
    deps = api.deps
    projector = Projector(deps.database, deps.keys, deps.directory, deps.contexts, deps.folders, deps.now)
    ledger = Ledger(deps.database, {replaying.KIND: Kind(Replays(deps.database).replay)}, deps.now)
    await projector.start()
    await ledger.start()
    async with asyncio.timeout(30):
        await ledger.drain()
    await ledger.stop()
    await projector.stop()
    waiting = sa.select(inbox.c.id).where(inbox.c.status == "pending")
    assert [] == await deps.database.read(lambda tx: tx.execute(waiting).all())


async def _text(browser: Any, address: str) -> str:
    return Page((await browser.get(address)).text).text
