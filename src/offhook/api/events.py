"""The inbox: what was said about calls, as it came, and how far it got."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import Query
from pydantic import Field

from offhook import payloads
from offhook.api import shapes
from offhook.api.access import Here, Reader, Writer
from offhook.api.queries import EventId, FilterId, Nothing, Page, Words
from offhook.api.shapes import Json
from offhook.deps import Deps
from offhook.errors import NotFound
from offhook.events import Status
from offhook.sealing import KeyRing
from offhook.store import effects as effect_rows
from offhook.store import events


class EventsOf(Page):
    type: Words | Nothing = Field(None, description="Of this type only, such as post_call_audio.")
    status: Status | Nothing = Field(None, description="In this state only.")
    call_id: FilterId | Nothing = Field(None, alias="callId", description="Of this call only.")


async def list_events(deps: Here, key: Reader, asked: Annotated[EventsOf, Query()]) -> Json:
    """The organisation's events, newest first."""
    rows, total = await deps.database.read(
        events.page, key.org_id, type=asked.type, status=asked.status, call_id=asked.call_id, **asked.bounds
    )
    effects = await _effects(deps, rows)
    return Json(shapes.EventList(data=[shapes.event(row, effects) for row in rows], total=total))


async def one_event(deps: Here, key: Reader, event_id: EventId) -> Json:
    """One event with what it said, and what we said back to it: secrets scrubbed, audio left out."""
    row = await _row(deps, key.org_id, event_id)
    effects = await _effects(deps, [row])
    return Json(shapes.EventAnswer(data=await asyncio.to_thread(_detail, deps.keys, row, effects)))


async def replay(deps: Here, key: Writer, event_id: EventId) -> Json:
    """Understand the event's conversation again, also after it was quarantined."""
    await _row(deps, key.org_id, event_id)
    await deps.projector.replay(key.org_id, event_id)
    row = await _row(deps, key.org_id, event_id)
    return Json(shapes.EventReplayed(data=shapes.event(row, await _effects(deps, [row]))), 201)


async def _row(deps: Deps, org_id: str, event_id: str) -> sa.Row[Any]:
    row = await deps.database.read(events.get, org_id, event_id)
    if row is None:
        raise NotFound("There is no event with that id.")
    return row


async def _effects(deps: Deps, rows: Sequence[sa.Row[Any]]) -> Sequence[sa.Row[Any]]:
    """What followed from the calls of these events."""
    call_ids = {row.call_id for row in rows if row.call_id is not None}
    return await deps.database.read(effect_rows.of_calls, call_ids) if call_ids else []


def _detail(keys: KeyRing, row: sa.Row[Any], effects: Sequence[sa.Row[Any]]) -> shapes.EventDetail:
    shown = payloads.shown(keys, row)
    return shapes.event_detail(row, effects, payload=shown.payload, payload_note=shown.note, answer=shown.answer)
