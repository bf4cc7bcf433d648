"""People who wait: made by calls, closed by later ones, never against what a person decided; on both databases."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import sqlalchemy as sa

from offhook.cli import replays
from offhook.projection.refolding import Refolding
from offhook.store import callbacks, follow_ups, pulse
from offhook.store import events as event_rows
from offhook.store.tables import callbacks as callback_table
from offhook.store.tables import follow_ups as table
from tests.api import NOW, Api, hex_id
from tests.calls import Day
from tests.payloads import BOOKING, RECEIVED_AT, event, payload

FAILURE = "call_initiation_failure__twilio_busy"
PERSON = "+14165550155"
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  #: what no query decides


@pytest.fixture
async def refolding(api: Api) -> AsyncIterator[Refolding]:
    deps = api.deps
    made = Refolding(deps.database, deps.keys, deps.directory, deps.folders)
    yield made
    await made.close()


async def test_a_missed_call_waits_until_a_later_one_answers_it_and_stays_as_people_leave_it(
    api: Api, refolding: Refolding
) -> None:
    by, day = hex_id(5), Day(api)
    await _file(api, FAILURE)
    await day.project()
    (waits,) = await _rows(api)
    assert ("failed", "open", PERSON, RECEIVED_AT + 4 * 3600) == (waits.kind, waits.status, waits.number, waits.due_at)
    assert 1 == await _open(api)
    answered = (
        ("data.metadata.phone_call.external_number", PERSON),
        ("data.metadata.start_time_unix_secs", int(RECEIVED_AT) + 500),
    )
    await _file(api, BOOKING, *answered, received_at=RECEIVED_AT + 600)
    await day.project()
    (closed,) = await _rows(api)
    assert (waits.id, "done", None) == (closed.id, closed.status, closed.done_by)
    await api.deps.database.write(follow_ups.reopen, api.org.id, waits.id, api.deps.now())
    await _rebuilt(api, refolding)
    assert ["open"] == [row.status for row in await _rows(api)]
    await api.deps.database.write(follow_ups.finish, api.org.id, waits.id, by, api.deps.now())
    await _rebuilt(api, refolding)
    assert [("done", by)] == [(row.status, row.done_by) for row in await _rows(api)]
    await api.deps.database.write(lambda tx: tx.execute(table.delete()))
    await _rebuilt(api, refolding)
    assert [(waits.id, "done", None)] == [(row.id, row.status, row.done_by) for row in await _rows(api)]


async def test_a_call_that_nobody_speaks_in_answers_nobody(api: Api) -> None:
    await api.add_calls(
        _call(1, NOW, "no-answer"),
        _call(2, NOW + 60, "completed", transcript='[{"role":"agent","message":"Hello?"}]'),
        _call(3, NOW + 90, "busy"),
    )
    await _wait(api, 1)
    await _close(api)
    assert ["open"] == [row.status for row in await _rows(api)]
    said = '[{"role":"user","message":"It is me"}]'
    await api.add_calls(_call(4, NOW - 60, "completed", transcript=said))
    await _close(api)
    assert ["open"] == [row.status for row in await _rows(api)]
    await api.add_calls(_call(5, NOW + 120, "completed", transcript=said))
    await _close(api)
    assert ["done"] == [row.status for row in await _rows(api)]


async def test_a_call_that_was_answered_after_all_is_not_waited_for(api: Api) -> None:
    await api.add_calls(_call(1, NOW, "completed"))
    await _wait(api, 1)
    await _close(api)
    assert ["done"] == [row.status for row in await _rows(api)]


@on_sqlite
async def test_what_somebody_wrote_down_is_closed_by_no_call(api: Api) -> None:
    write = api.deps.database.write
    await write(follow_ups.add, api.org.id, contact_id=hex_id(7), number=PERSON, reason="Invoice", by="x", now=NOW)
    await api.add_calls(_call(1, NOW + 60, "completed"))
    await _close(api)
    assert ["open"] == [row.status for row in await _rows(api)]


async def test_a_call_back_request_and_its_follow_up_are_open_and_done_together(api: Api) -> None:
    write = api.deps.database.write
    asked: dict[str, Any] = {"call_id": None, "contact_id": None, "number": PERSON, "reason": "A leak", "now": NOW}
    await write(callbacks.add, hex_id(1), api.org.id, **asked)
    (row,) = await _rows(api)
    assert ("callback", "A leak", "open", "open") == (row.kind, row.reason, row.status, await _callback(api))
    await write(follow_ups.finish, api.org.id, row.id, hex_id(5), NOW + 10)
    assert "done" == await _callback(api)
    await write(follow_ups.reopen, api.org.id, row.id, NOW + 20)
    assert "open" == await _callback(api)
    await write(callbacks.settle, api.org.id, hex_id(1), "done", NOW + 30)
    assert ["done"] == [row.status for row in await _rows(api)]
    await write(callbacks.settle, api.org.id, hex_id(1), "open", NOW + 40)
    assert ["open"] == [row.status for row in await _rows(api)]
    await write(follow_ups.finish, api.org.id, row.id, hex_id(5), NOW + 50)
    await write(lambda tx: tx.execute(callback_table.delete()))
    await write(callbacks.add, hex_id(1), api.org.id, **asked)
    assert ("done", ["done"]) == (await _callback(api), [row.status for row in await _rows(api)])


async def test_what_is_snoozed_counts_again_when_its_time_has_come(api: Api) -> None:
    await _wait(api, 1)
    (row,) = await _rows(api)
    await api.deps.database.write(follow_ups.snooze, api.org.id, row.id, NOW + 3600, NOW)
    counted = [await api.deps.database.read(pulse.open_follow_ups, api.org.id, at) for at in (NOW, NOW + 3600)]
    assert [0, 1] == counted


async def _file(api: Api, name: str, *changes: tuple[str, Any], **facts: Any) -> None:
    one = event(payload(name, *changes), org_id=api.org.id, **facts)
    await api.deps.database.file(event_rows.sealed(one, api.deps.keys))


async def _rebuilt(api: Api, refolding: Refolding) -> None:
    await replays.tried(refolding.rebuild(api.org.id), "Rebuilding", 0)


async def _rows(api: Api) -> list[Any]:
    return list(await api.deps.database.read(lambda tx: tx.execute(sa.select(table).order_by(table.c.id)).all()))


async def _open(api: Api) -> int:
    return await api.deps.database.read(pulse.open_follow_ups, api.org.id, api.deps.now())


async def _callback(api: Api) -> str:
    return str(await api.deps.database.read(lambda tx: tx.execute(sa.select(callback_table.c.status)).scalar()))


def _call(number: int, at: float, status: str, **facts: Any) -> dict[str, Any]:
    return {"id": hex_id(number), "status": status, "happened_at": at, "created_at": at, "from_number": PERSON,
            "contact_id": hex_id(7), **facts}  # fmt: skip


async def _wait(api: Api, call: int) -> None:
    waits = follow_ups.Waiting(
        org_id=api.org.id, kind="missed", origin=hex_id(call), number=PERSON, at=NOW, call_id=hex_id(call)
    )
    await api.deps.database.write(follow_ups.keep, [(waits, hex_id(7))])


async def _close(api: Api) -> None:
    await api.deps.database.write(follow_ups.close_answered, {(api.org.id, PERSON)}, NOW + 999)
