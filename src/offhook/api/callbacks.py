"""Call-backs: who wants to be rung back, because nobody was there."""

from typing import Annotated

import msgspec
from fastapi import Query, Request
from pydantic import Field

from offhook.api import shapes
from offhook.api.access import Here, Reader, Writer
from offhook.api.bodies import read_body
from offhook.api.queries import CallbackId, Nothing, Page
from offhook.api.shapes import Json
from offhook.errors import NotFound
from offhook.store import callbacks
from offhook.store.callbacks import Status


class CallbacksOf(Page):
    status: Status | Nothing = Field(None, description="In this state only.")


class CallbackChanges(msgspec.Struct, rename="camel", kw_only=True):
    """Whether it is still to be done."""

    status: Status


async def list_callbacks(deps: Here, key: Reader, asked: Annotated[CallbacksOf, Query()]) -> Json:
    """Who wants to be rung back, the newest first."""
    rows, total = await deps.database.read(callbacks.page, key.org_id, status=asked.status, **asked.bounds)
    return Json(shapes.CallbackList(data=[shapes.callback(row) for row in rows], total=total))


async def change_callback(deps: Here, key: Writer, callback_id: CallbackId, request: Request) -> Json:
    """Say that somebody was rung back."""
    asked = await read_body(request, CallbackChanges)
    row = await deps.database.write(callbacks.settle, key.org_id, callback_id, asked.status, deps.now())
    if row is None:
        raise NotFound("There is no call-back request with that id.")
    return Json(shapes.CallbackAnswer(data=shapes.callback(row)))
