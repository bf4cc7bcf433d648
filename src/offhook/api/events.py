"""The inbox: what was said about calls, as it came, and how far it got."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
import sqlalchemy as sa
from fastapi import Query
from pydantic import Field

from offhook.api import shapes
from offhook.api.access import Here, Reader, Writer
from offhook.api.queries import EventId, FilterId, Nothing, Page, Words
from offhook.api.shapes import Json
from offhook.deps import Deps
from offhook.errors import Damaged, NotFound
from offhook.events import Part, Status
from offhook.sealing import KeyRing
from offhook.store import effects as effect_rows
from offhook.store import events
from offhook.voice import json_text
from offhook.voice.elevenlabs.scrub import scrubbed
from offhook.voice.json_text import Unreadable

_SHOWN_BYTES = 4 << 20  #: reading more would keep other requests waiting; a transcript has a hundredth of it
_anything = msgspec.json.Decoder()


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
    try:
        event = events.opened(events.event_of(row), keys)
        payload, answer, note = (
            _shown(_with_marks(event.body, event.parts)),
            event.answer and _shown(event.answer),
            None,
        )
    except (Damaged, Unreadable) as error:
        payload, answer, note = None, None, error.message
    return shapes.event_detail(row, effects, payload=payload, payload_note=note, answer=answer)


def _shown(body: bytes) -> Any:
    """What *body* says, scrubbed. Unreadable when it is no JSON: secrets are known by their names, and it names nothing."""
    if len(body) > _SHOWN_BYTES:
        raise Unreadable(f"The body is longer than the {_SHOWN_BYTES >> 20} MiB that are shown.")
    return scrubbed(json_text.decode(body, _anything))


def _with_marks(body: bytes, parts: Sequence[Part]) -> bytes:
    """*body* with a mark at each place where a part was cut out into a file."""
    pieces, end = [], 0
    for part in parts:
        what = "audio" if part.encoding == "base64" else "text"
        pieces += [body[end : part.offset], f"[{part.size_bytes} bytes of {what}]".encode()]
        end = part.offset
    return b"".join([*pieces, body[end:]])
