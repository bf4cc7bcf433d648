"""Notes on calls and contacts: the agent's summaries and what people wrote."""

from typing import Annotated

import msgspec
from fastapi import Query, Request
from msgspec import Meta
from pydantic import Field
from starlette.responses import Response

from offhook.api import shapes
from offhook.api.access import Here, Reader, Writer
from offhook.api.bodies import read_body
from offhook.api.queries import FilterId, NoteId, Nothing, Page
from offhook.api.shapes import Json
from offhook.errors import BadInput
from offhook.store import notes

_Id = Annotated[str, Meta(pattern="^[0-9a-f]{24}$", description="An id of 24 hex digits.")]
_Words = Annotated[str, Meta(min_length=1, max_length=10_000)]


class NewNote(msgspec.Struct, rename="camel", kw_only=True):
    """What is noted, on a contact, on a call, or on both; of a call alone its contact gets the note, too."""

    note: _Words
    contact_id: _Id | None = None
    call_id: _Id | None = None


class NoteChanges(msgspec.Struct, rename="camel", kw_only=True):
    """How the note reads from now on."""

    note: _Words


class NotesOf(Page):
    contact_id: FilterId | Nothing = Field(None, alias="contactId", description="On this contact only.")
    call_id: FilterId | Nothing = Field(None, alias="callId", description="On this call only.")


async def contact_notes(deps: Here, key: Reader, asked: Annotated[NotesOf, Query()]) -> Json:
    """The notes of a contact or of a call, newest first; of the whole organisation when neither is named."""
    rows, total = await deps.database.read(
        notes.page, key.org_id, contact_id=asked.contact_id, call_id=asked.call_id, **asked.bounds
    )
    return Json(shapes.NoteList(data=[shapes.note(row) for row in rows], total=total))


async def add_note(deps: Here, key: Writer, request: Request) -> Json:
    """Write a note on a contact or a call."""
    new = await read_body(request, NewNote)
    if new.contact_id is None and new.call_id is None:
        raise BadInput("contactId or callId is required.", details={"field": "contactId"})
    row = await deps.database.write(
        notes.add, key.org_id, contact_id=new.contact_id, call_id=new.call_id, note=_text(new.note), now=deps.now()
    )
    return Json(shapes.NoteAnswer(data=shapes.note(row)), 201)


async def change_note(deps: Here, key: Writer, note_id: NoteId, request: Request) -> Json:
    """Change a person's note; 409 for an agent's summary."""
    changes = await read_body(request, NoteChanges)
    row = await deps.database.write(notes.change, key.org_id, note_id, _text(changes.note), deps.now())
    return Json(shapes.NoteAnswer(data=shapes.note(row)))


async def delete_note(deps: Here, key: Writer, note_id: NoteId) -> Response:
    """Delete a person's note; 409 for an agent's summary."""
    await deps.database.write(notes.remove, key.org_id, note_id)
    return Response(status_code=204)


def _text(words: str) -> str:
    """*words* as they can be stored: without U+0000, and not empty."""
    text = words.replace("\0", "").strip()
    if not text:
        raise BadInput("note is empty.", details={"field": "note"})
    return text
