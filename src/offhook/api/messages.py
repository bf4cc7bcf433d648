"""Texts, and what callers are texted who were missed."""

import contextlib
from typing import Annotated, Any

import msgspec
from fastapi import Query, Request
from msgspec import UNSET, UnsetType
from pydantic import Field

from offhook.api import shapes
from offhook.api.access import Here, Reader, Writer
from offhook.api.bodies import read_body
from offhook.api.queries import FilterId, Nothing, OrganizationId, Page
from offhook.api.shapes import Json
from offhook.directory import ApiKey
from offhook.errors import BadInput, NotFound, Unavailable
from offhook.rules import Rules
from offhook.store import messages, organizations
from offhook.texts import MAX_CHARS


class MessagesOf(Page):
    contact_id: FilterId | Nothing = Field(None, alias="contactId", description="To or from this contact only.")
    call_id: FilterId | Nothing = Field(None, alias="callId", description="On this call only.")


class MissedCallChanges(msgspec.Struct, rename="camel"):
    """What is absent stays; a message that is null or empty is taken away."""

    missed_call_message: str | UnsetType | None = UNSET
    missed_call_auto_message_enabled: bool | UnsetType = UNSET


async def list_messages(deps: Here, key: Reader, asked: Annotated[MessagesOf, Query()]) -> Json:
    """The texts of a contact or of a call, newest first; of the whole organisation when neither is named."""
    rows, total = await deps.database.read(
        messages.page, key.org_id, contact_id=asked.contact_id, call_id=asked.call_id, **asked.bounds
    )
    return Json(shapes.MessageList(data=[shapes.message(row) for row in rows], total=total))


async def missed_call_message(deps: Here, key: Reader, organization_id: OrganizationId) -> Json:
    """What callers are texted who were missed, and whether they are."""
    _must_be_own(key, organization_id)
    organization = await deps.database.read(organizations.find, organization_id)
    return _shown(organization.rules)


async def change_missed_call_message(
    deps: Here, key: Writer, organization_id: OrganizationId, request: Request
) -> Json:
    """Change either or both; what is absent stays."""
    _must_be_own(key, organization_id)
    decided = _decided(await read_body(request, MissedCallChanges))
    organization = await deps.database.write(organizations.decide, organization_id, decided)
    with contextlib.suppress(Unavailable):  # it is kept, and seen a second later
        await deps.directory.refresh()
    return _shown(organization.rules)


def _must_be_own(key: ApiKey, organization_id: str) -> None:
    if organization_id != key.org_id:
        raise NotFound("There is no organization with that id.")


def _decided(changes: MissedCallChanges) -> dict[str, Any]:
    decided: dict[str, Any] = {}
    message, is_enabled = changes.missed_call_message, changes.missed_call_auto_message_enabled
    if message is not UNSET:
        decided["missed_call_message"] = _usable(message) if message else None
    if is_enabled is not UNSET:
        decided["missed_call_text"] = is_enabled
    return decided


def _usable(message: str) -> str | None:
    if len(message) > MAX_CHARS:
        field = "missedCallMessage"
        raise BadInput(f"{field} is longer than {MAX_CHARS} characters.", details={"field": field})
    return message.replace("\0", "").strip() or None


def _shown(rules: Rules) -> Json:
    return Json(
        shapes.MissedCallMessage(
            missed_call_message=rules.missed_call_message, missed_call_auto_message_enabled=rules.missed_call_text
        )
    )
