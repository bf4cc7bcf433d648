"""Notes on calls and contacts: the agent's summaries and what people wrote."""

from typing import Annotated

from fastapi import Query
from pydantic import Field

from offhook.api import shapes
from offhook.api.access import Here, Reader
from offhook.api.queries import FilterId, Nothing, Page
from offhook.api.shapes import Json
from offhook.store import notes


class NotesOf(Page):
    contact_id: FilterId | Nothing = Field(None, alias="contactId", description="On this contact only.")
    call_id: FilterId | Nothing = Field(None, alias="callId", description="On this call only.")


async def contact_notes(deps: Here, key: Reader, asked: Annotated[NotesOf, Query()]) -> Json:
    """The notes of a contact or of a call, newest first; of the whole organisation when neither is named."""
    rows, total = await deps.database.read(
        notes.page, key.org_id, contact_id=asked.contact_id, call_id=asked.call_id, **asked.bounds
    )
    return Json(shapes.NoteList(data=[shapes.note(row) for row in rows], total=total))
