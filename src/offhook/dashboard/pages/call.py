"""One call: what it was about, what must be done, the recording, every word, and how it got here."""

from typing import Any, NamedTuple

import sqlalchemy as sa
from starlette.responses import Response

from offhook import followups, recordings
from offhook.dashboard import charts, conversation, phrases
from offhook.dashboard.call_rows import persons_number
from offhook.dashboard.charts import Lanes
from offhook.dashboard.conversation import Line
from offhook.dashboard.forms import LONG_FORM_BYTES, note_in, summary_in
from offhook.dashboard.outcomes import WAITS, instead_of_summary, outcome_of
from offhook.dashboard.shell import Flash, page, redirect
from offhook.dashboard.visitors import Visit
from offhook.errors import Conflict, NotFound
from offhook.store import audit, call_pages, calls, effects, notes, summaries
from offhook.store.call_pages import CallPage
from offhook.voice import loudness

_ONE_LOOK_S = 600.0  #: a page that is read, left and read again is one look
_ONE_HEARING_S = 3600.0  #: a player asks for a recording piece by piece
_STILL_TO_COME_S = 3600.0  #: a recording that is older than that will not come by a webhook

_FLASHES = {
    "noted": Flash("The note is saved."),
    "removed": Flash("The note is removed."),
    "summed": Flash("The summary is saved. It stays as you wrote it, whatever else comes of this call."),
    "restored": Flash("The summary is the agent's again."),
}
_DELIVERIES = {  # by type: how it is told, and its icon
    "personalization": ("Greeting data sent", "bolt"),
    "post_call_transcription": ("Transcript received", "text"),
    "post_call_audio": ("Recording received", "audio"),
    "call_initiation_failure": ("Failure reported", "missed"),
    "tool": ("Tool used", "bolt"),
}
_PROVEN = frozenset({"hmac", "bearer"})
_BROKEN = frozenset({"quarantined", "stale", "unassigned"})


class Player(NamedTuple):
    lanes: Lanes
    duration_s: float
    peaks: str  #: in hex, two letters each
    is_playable: bool
    is_here: bool  #: there are bytes to be saved
    sentence: str  #: why nothing plays, or why it may not


class Delivery(NamedTuple):
    words: str
    icon: str
    event_id: str
    at: float
    is_broken: bool


async def call(visit: Visit) -> Response:
    return await _show(visit, flash=_FLASHES.get(visit.request.query_params.get("done", "")))


async def _show(visit: Visit, *, flash: Flash | None, typed: str | None = None, status: int = 200) -> Response:
    """*typed*: a summary that could not be saved, in its field."""
    call_id = visit.param("call_id")
    found = await visit.deps.database.read(call_pages.get, visit.org_id, call_id)
    if found is None:
        return await _not_understood(visit, call_id)
    await visit.note("call_read", "call", call_id, once_in_s=_ONE_LOOK_S)
    await _draw_later(visit, found)
    facts = _facts(found, visit.deps.now())
    return await page(visit, "call.html", status=status, flash=flash, typed=typed, **facts)


async def _draw_later(visit: Visit, found: CallPage) -> None:
    """A recording of before waveforms were counted as they are now gets its own when somebody comes to hear it."""
    kept = found.playing
    if kept is None or kept.state != "ready" or (found.drawn and found.drawn.version == loudness.VERSION):
        return
    wish = followups.draw_waveform(found.whole.row._mapping, kept.id)
    await visit.deps.database.write(effects.want, [wish], visit.deps.now())
    visit.deps.ledger.ring()


async def _not_understood(visit: Visit, call_id: str) -> Response:
    """Of a call whose events could not be understood there is nothing yet but them."""
    events = await visit.deps.database.read(call_pages.its_events, visit.org_id, call_id)
    if not events:
        raise NotFound("There is no such call.")
    return await page(visit, "call_set_aside.html", deliveries=[_delivery(event) for event in events],
                      reasons=_reasons(events))  # fmt: skip


def _facts(found: CallPage, now: float) -> dict[str, Any]:
    row = found.whole.row
    contact = found.contact
    name = phrases.full_name(contact.first_name, contact.last_name) if contact else ""
    analysis = conversation.stored(row.analysis)
    length = row.duration_s or (found.playing.duration_s if found.playing else None) or 0.0
    lines, spoken = conversation.lines_of(conversation.turns_of(row.transcript), length)
    tasks = {one.kind for one in found.follow_ups}
    return {
        "call": row,
        "name": name,
        "caller": (contact.first_name or name) if name and contact else "Caller",
        "number": persons_number(row),
        "contact": contact,
        "outcome": outcome_of(row.status, row.direction, row.is_successful, is_handed_over="handoff" in tasks),
        "edit": found.edit,
        "version": summaries.version(row.summary),
        "lead": row.summary or instead_of_summary(row.status, row.direction, row.failure),
        "tasks": [(one, *WAITS.get(one.kind, WAITS["manual"])) for one in found.follow_ups],
        "length": length,
        "lines": lines,
        "player": _player(found, lines, spoken, length, now),
        "collected": conversation.collected(analysis),
        "checks": conversation.checks(analysis),
        "told": conversation.told(conversation.stored(row.context)),
        "notes": [note for note in found.whole.notes if note.type == "note"],
        "deliveries": [_delivery(event) for event in found.events],
        "is_verified": bool(found.events) and all(event.proof in _PROVEN for event in found.events),
        "reasons": _reasons(found.events),
        "newer_id": found.newer_id,
        "older_id": found.older_id,
    }


def _player(
    found: CallPage, lines: list[Line], spoken: list[charts.Stretch], length: float, now: float
) -> Player | None:
    """None where there never was a conversation to be heard."""
    kept = found.playing
    if kept is None and not lines:
        return None
    peaks = bytes(found.drawn.peaks or b"") if found.drawn else b""
    is_playable = kept is not None and kept.state == "ready" and length > 0
    return Player(
        lanes=charts.lanes(spoken, length, peaks),
        duration_s=length,
        peaks=peaks.hex(),
        is_playable=is_playable,
        is_here=kept is not None,
        sentence="" if is_playable else _why_silent(found, now),
    )


def _why_silent(found: CallPage, now: float) -> str:
    if found.playing is not None:
        return "What was sent as the recording is no MP3, so it cannot be played here. It can be saved as it came."
    if found.whole.recordings:
        return "The recording came damaged. It is kept as it came, and can be asked for again at the provider."
    if found.audio_absence:
        return f"There is no recording: {found.audio_absence}"
    ended_at = found.whole.row.ended_at or found.whole.row.happened_at
    if now - ended_at < _STILL_TO_COME_S:
        return "The recording has not arrived yet. It will appear here by itself; the transcript is complete."
    return "No recording was sent for this call."


def _delivery(event: sa.Row[Any]) -> Delivery:
    words, icon = _DELIVERIES.get(event.type, (phrases.sentence(event.type), "events"))
    if event.source == "reconciled":
        words = f"{words}, fetched"
    is_broken = event.status in _BROKEN
    return Delivery(words, "alert" if is_broken else icon, event.id, event.received_at, is_broken)


def _reasons(events: Any) -> list[str]:
    """Why events of the call were set aside."""
    return [event.reason or "It could not be understood." for event in events if event.status in _BROKEN]


# What a reader may add


async def change_summary(visit: Visit) -> Response:
    """The form's button says whether a person's words are kept, or the agent's are put back.

    Where the call says something else than it did when the form was opened, both texts are shown: nobody's is lost.
    """
    call_id, form = visit.param("call_id"), await visit.form(limit_bytes=LONG_FORM_BYTES)
    try:
        if "restore" in form:
            await visit.deps.database.write(_restore_summary, visit, call_id, form["seen"])
            return redirect(f"/calls/{call_id}?done=restored")
        await visit.deps.database.write(_write_summary, visit, call_id, summary_in(form), form["seen"])
    except Conflict as error:
        return await _show(visit, flash=_overtaken(error), typed=form["summary"], status=error.status)
    return redirect(f"/calls/{call_id}?done=summed")


def _overtaken(error: Conflict) -> Flash:
    more = "It stands here as it is now; what was in your field is still there. Save again to replace it."
    return Flash(f"{error.message} {more}", "warn")


def _write_summary(tx: sa.Connection, visit: Visit, call_id: str, text: str, seen: str) -> None:
    user_id, now = visit.viewer.user_id, visit.deps.now()
    if summaries.write(tx, visit.org_id, call_id, text, user_id=user_id, now=now, seen=seen):
        audit.add(tx, visit.entry("summary_edited", "call", call_id))


def _restore_summary(tx: sa.Connection, visit: Visit, call_id: str, seen: str) -> None:
    if summaries.restore(tx, visit.org_id, call_id, now=visit.deps.now(), seen=seen):
        audit.add(tx, visit.entry("summary_restored", "call", call_id))


async def add_note(visit: Visit) -> Response:
    call_id = visit.param("call_id")
    text = note_in(await visit.form(limit_bytes=LONG_FORM_BYTES))
    await visit.deps.database.write(
        notes.add, visit.org_id, contact_id=None, call_id=call_id, note=text, now=visit.deps.now()
    )
    return redirect(f"/calls/{call_id}?done=noted#notes")


async def change_note(visit: Visit) -> Response:
    """The form's button says whether the note is kept or removed."""
    call_id, note_id = visit.param("call_id"), visit.param("note_id")
    form = await visit.form(limit_bytes=LONG_FORM_BYTES)
    if "remove" in form:
        await visit.deps.database.write(notes.remove, visit.org_id, note_id)
        return redirect(f"/calls/{call_id}?done=removed#notes")
    await visit.deps.database.write(notes.change, visit.org_id, note_id, note_in(form), visit.deps.now())
    return redirect(f"/calls/{call_id}?done=noted#notes")


# The recording


async def media(visit: Visit) -> Response:
    """The recording, whole or in part, to who is signed in; `?save` makes a file of it."""
    call_id = visit.param("call_id")
    row, kept = await visit.deps.database.read(calls.heard, visit.org_id, call_id)
    if row is None or kept is None:
        raise NotFound("There is no recording of this call.")
    is_saved = "save" in visit.request.query_params
    await visit.note("recording_saved" if is_saved else "recording_heard", "call", call_id, once_in_s=_ONE_HEARING_S)
    folder = visit.deps.settings.recordings_dir
    try:
        return await recordings.served(visit.request, kept, folder, is_saved=is_saved)
    except recordings.OutOfRange as error:
        return Response(f"The recording has {error.size_bytes} bytes.", 416, error.headers)
