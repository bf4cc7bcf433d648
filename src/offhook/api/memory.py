"""What an agent would be told of a contact's earlier calls: read, corrected and forgotten by the organisation."""

from typing import Annotated

import msgspec
from fastapi import Request
from msgspec import UNSET, Meta, UnsetType
from starlette.responses import Response

from offhook.api import shapes
from offhook.api.access import Here, Reader, Writer
from offhook.api.bodies import read_body
from offhook.api.queries import ContactId
from offhook.api.shapes import Json
from offhook.deps import Deps
from offhook.errors import NotFound
from offhook.memory import MAX_CHARS
from offhook.store import contacts, memories

_Text = Annotated[str, Meta(max_length=MAX_CHARS)] | None


class MemoryChanges(msgspec.Struct, rename="camel", kw_only=True):
    """What is remembered otherwise; null takes a field back to what the calls say."""

    previous_topics: _Text | UnsetType = UNSET
    last_call_summary: _Text | UnsetType = UNSET
    open_items: _Text | UnsetType = UNSET


async def one_memory(deps: Here, key: Reader, contact_id: ContactId) -> Json:
    """What is remembered of a contact, as an agent would be told it."""
    return await _answer(deps, key.org_id, contact_id)


async def change_memory(deps: Here, key: Writer, contact_id: ContactId, request: Request) -> Json:
    """Correct what is remembered; what happens later is told beside it."""
    asked = await read_body(request, MemoryChanges)
    texts = {name: text for name in memories.EDITABLE if (text := getattr(asked, name)) is not UNSET}
    if not await deps.database.write(memories.edit, key.org_id, contact_id, texts, deps.now()):
        raise NotFound("There is no contact with that id.")
    return await _answer(deps, key.org_id, contact_id)


async def forget_memory(deps: Here, key: Writer, contact_id: ContactId) -> Response:
    """Forget what was until now: calls stay on record, but no agent is told of them."""
    if not await deps.database.write(memories.forget, key.org_id, contact_id, deps.now()):
        raise NotFound("There is no contact with that id.")
    return Response(status_code=204)


async def _answer(deps: Deps, org_id: str, contact_id: str) -> Json:
    if await deps.database.read(contacts.get, org_id, contact_id) is None:
        raise NotFound("There is no contact with that id.")
    remembered = await deps.database.read(memories.recall, org_id, contact_id)
    organization = deps.directory.organization(org_id)
    assert organization is not None  # its key opened the door
    return Json(shapes.MemoryAnswer(data=shapes.memory(contact_id, remembered, organization)))
