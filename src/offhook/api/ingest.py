"""POST /api/calls/ingest: a program tells us of a call that was held elsewhere. It is filed as it came, like any event."""

import asyncio

import msgspec
from fastapi import Request

from offhook import events, outgoing
from offhook.api import shapes
from offhook.api.access import Here, Writer
from offhook.api.bodies import unusable
from offhook.api.shapes import Json
from offhook.deps import Deps
from offhook.errors import BadInput, ComeBackLater, GiveUp, TooLarge, Unavailable
from offhook.events import INGEST, Event, Filed
from offhook.logs import log
from offhook.store import events as event_rows
from offhook.voice import external
from offhook.voice.body import Body, Intake
from offhook.voice.external import IngestedCall
from offhook.voice.json_text import Unreadable

_PIECE_BYTES = 256 * 1024
_LONGER_IN_BASE64 = 1.5  #: white space and escapes included


async def ingest(deps: Here, key: Writer, request: Request) -> Json:
    """Tell of a call that is over, from whatever voice system; the same `externalCallId` again is the same call."""
    intake = Intake(deps.folders, deps.settings.body_limit_mib << 20, external.RECORDING)
    try:
        await _take_in(intake, request, deps)
        body = await asyncio.to_thread(intake.finish)
        call = await asyncio.to_thread(_read, body)
        _check_recording(call, body, deps)
        event = _event(deps, key.org_id, call, body)
        is_known = await _is_known(deps, event)
        filed = await _file(deps, intake, event)
    except OSError as error:
        log.error("ingest.unstorable", error=str(error))
        raise ComeBackLater from error
    finally:
        await asyncio.to_thread(intake.discard)
    is_repeated = is_known or bool(filed.deduplicated)
    answer = shapes.IngestAnswer(call_id=event.call_id or "", deduplicated=is_repeated or msgspec.UNSET)
    return Json(answer, 200 if is_repeated else 201)


async def _take_in(intake: Intake, request: Request, deps: Deps) -> None:
    """The body, through a thread: the disk may keep us waiting."""
    settings = deps.settings
    limit_bytes = (settings.body_limit_mib << 20) + int(settings.recording_limit_mib * _LONGER_IN_BASE64) * (1 << 20)
    held, size_bytes = bytearray(), 0
    async for piece in request.stream():
        held += piece
        size_bytes += len(piece)
        if size_bytes > limit_bytes:
            raise TooLarge
        if len(held) >= _PIECE_BYTES:
            await asyncio.to_thread(intake.feed, bytes(held))
            held.clear()
    await asyncio.to_thread(intake.feed, bytes(held))


def _read(body: Body) -> IngestedCall:
    """The call; BadInput names the field that cannot be."""
    if body.is_over_limit:
        raise TooLarge
    try:
        return external.read_ingested(body.inline)
    except msgspec.ValidationError as error:
        raise unusable(str(error)) from None
    except Unreadable as error:
        raise BadInput(error.message, details={"field": "body"}) from None


def _check_recording(call: IngestedCall, body: Body, deps: Deps) -> None:
    if call.call_start_time is not None and call.started_at is None:
        raise _cannot_be_used("callStartTime", "It is no moment that a calendar knows.")
    if body.audio is not None:
        if not body.audio.is_decoded:
            raise _cannot_be_used("recording", "It is neither base64, nor a data: URI, nor an https address.")
        if body.audio.size_bytes > deps.settings.recording_limit_mib << 20:
            raise TooLarge
    if (url := external.recording_url(call)) is not None:
        try:
            outgoing.target(url, deps.settings.reach)
        except GiveUp as error:
            raise _cannot_be_used("recording", error.message) from None


def _cannot_be_used(field: str, why: str) -> BadInput:
    return BadInput(f"{field} cannot be used. {why}", details={"field": field})


def _event(deps: Deps, org_id: str, call: IngestedCall, body: Body) -> Event:
    """Without an id of the caller's own, the very same body is the same call."""
    known_as = call.external_call_id or f"sha256:{body.sha256}"
    now = deps.now()
    return Event(
        id=events.event_id(org_id, body.sha256, INGEST),
        org_id=org_id,
        type=INGEST,
        source=INGEST,
        proof="bearer",
        sha256=body.sha256,
        size_bytes=body.size_bytes,
        received_at=now,
        event_timestamp=now,  # told later, it is a correction, and overwrites what it has
        body=body.inline,
        parts=body.parts,
        audio=body.audio,
        conversation_id=call.external_call_id,
        call_id=events.call_id(org_id, known_as, "external"),
    )


async def _is_known(deps: Deps, event: Event) -> bool:
    """Whether the call is on file; while the database is silent nobody can tell, and the call is kept all the same."""
    try:
        return bool(await deps.database.read(event_rows.known_calls, [event.call_id or ""]))
    except Unavailable:
        return False


async def _file(deps: Deps, intake: Intake, event: Event) -> Filed:
    await asyncio.to_thread(intake.keep)
    filed = await deps.inbox.file(event)
    if not filed.is_new:
        await asyncio.to_thread(intake.take_back)
    return filed
