"""One event: what came, why it was believed, what was made of it, and the way to have it understood again."""

import asyncio
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any

import msgspec
import sqlalchemy as sa
from starlette.responses import Response, StreamingResponse

from offhook import payloads
from offhook.dashboard import event_words, phrases
from offhook.dashboard.call_rows import persons_number
from offhook.dashboard.payload_tree import cut_down
from offhook.dashboard.shell import Flash, page, redirect
from offhook.dashboard.visitors import Visit
from offhook.errors import Damaged, NotFound
from offhook.events import ASIDES
from offhook.store import event_pages, events
from offhook.store.event_pages import EventPage
from offhook.voice.parts import rebuild

_ONE_LOOK_S = 600.0  #: a page that is read, left and read again is one look
_MOST_COPIED = 200_000  #: characters that a button holds; more is in the raw body
_EFFECT_TONES = {"due": "warn", "done": "ok", "dead": "bad"}


async def event(visit: Visit) -> Response:
    event_id = visit.param("event_id")
    found = await visit.deps.database.read(event_pages.get, visit.org_id, event_id)
    if found is None:
        raise NotFound("There is no such event.")
    await visit.note("payload_read", "event", event_id, once_in_s=_ONE_LOOK_S)
    payload = await asyncio.to_thread(_payload, visit, found)
    return await page(visit, "event.html", flash=_flash(visit, found.row), **_facts(found), **payload)


def _facts(found: EventPage) -> dict[str, Any]:
    row, call = found.row, found.call
    return {
        "event": row,
        "standing": event_words.standing_of(row.status, row.source),
        "banner": event_words.BANNERS.get(row.status),
        "steps": event_words.steps_of(row),
        "checks": event_words.checks_of(row),
        "source": event_words.SOURCES.get(row.source, row.source),
        "status_code": None if row.source == "reconciled" else event_words.status_code_of(row),
        "call": call,
        "name": phrases.full_name(call.first_name, call.last_name) if call else "",
        "number": persons_number(call) if call else None,
        "recordings": found.recordings,
        "has_summary_note": found.has_summary_note,
        "effects": [(one, _EFFECT_TONES.get(one.status, "")) for one in found.effects],
        "is_replayable": is_replayable(row),
    }


def is_replayable(row: sa.Row[Any]) -> bool:
    """Of an event of no conversation nothing can be made, and neither of one that belongs to nobody."""
    return (row.call_id is not None or row.source in ASIDES) and row.status != "unassigned"


def _payload(visit: Visit, found: EventPage) -> dict[str, Any]:
    shown = payloads.shown(visit.deps.keys, found.row)
    answer = shown.answer if shown.answer is not None else event_words.answer_of(found.row)
    text = msgspec.json.format(msgspec.json.encode(shown.payload)).decode() if shown.note is None else ""
    return {
        "payload": cut_down(shown.payload),
        "payload_note": shown.note,
        "payload_text": text if len(text) <= _MOST_COPIED else "",
        "answer": None if answer is None else msgspec.json.format(msgspec.json.encode(cut_down(answer))).decode(),
    }


# Again


async def replay(visit: Visit) -> Response:
    """Have its conversation understood again; what followed from it does not follow a second time."""
    event_id = visit.param("event_id")
    row = await visit.deps.database.read(events.get, visit.org_id, event_id)
    if row is None:
        raise NotFound("There is no such event.")
    if not is_replayable(row):
        return redirect(f"/events/{event_id}?done=nothing")
    await visit.note("event_replayed", "event", event_id, {"was": row.status})
    await visit.deps.projector.replay(visit.org_id, event_id)
    return redirect(f"/events/{event_id}?done=replayed")


def _flash(visit: Visit, row: sa.Row[Any]) -> Flash | None:
    done = visit.request.query_params.get("done")
    if done == "nothing":
        return Flash("Nothing can be made of this event: it belongs to no conversation.", "info")
    if done != "replayed":
        return None
    if row.status == "projected":
        return Flash("Replayed. Its call is as today's offhook understands it; nobody was texted a second time.")
    if row.status == "pending":
        return Flash("It will be replayed as soon as a server or worker takes it up.", "info")
    return Flash("Replayed, and not understood this time either.", "bad")


# As it came


async def body(visit: Visit) -> Response:
    """The bytes that were signed. They may hold secrets that the agent's tools were given, so not everybody gets them."""
    event_id = visit.param("event_id")
    row = await visit.deps.database.read(events.get, visit.org_id, event_id)
    if row is None:
        raise NotFound("There is no such event.")
    try:
        pieces = await asyncio.to_thread(_begun, visit, row)
    except (Damaged, OSError):
        raise NotFound("Its body is damaged, or its files are not here. `offhook doctor` says more.") from None
    await visit.note("body_saved", "event", event_id)
    headers = {
        "Content-Disposition": f'attachment; filename="event-{event_id}.json"',
        "Content-Length": str(row.size_bytes),
    }
    return StreamingResponse(pieces, headers=headers, media_type="application/octet-stream")


def _begun(visit: Visit, row: sa.Row[Any]) -> Iterator[bytes]:
    """Its beginning, up to the first piece of a file, is read at once: what is missing is said before the answer begins."""
    kept = events.event_of(row)
    pieces = rebuild(visit.deps.keys.open(kept.body, kept.id), kept.parts, visit.deps.folders)
    return chain(list(islice(pieces, 2)), pieces)
