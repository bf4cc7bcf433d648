"""A recording's bytes, for players: whole or in part (RFC 9110, sections 13 and 14)."""

from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import Query, Request
from fastapi.security import HTTPAuthorizationCredentials
from starlette.responses import Response

from offhook import recordings
from offhook.api.access import Here, Presented, key_of, require
from offhook.api.errors import error_answer
from offhook.api.queries import CallId
from offhook.deps import Deps
from offhook.errors import NotFound
from offhook.store import calls
from offhook.store import recordings as stored


async def audio(
    deps: Here,
    presented: Presented,
    call_id: CallId,
    request: Request,
    expires: Annotated[str, Query(description="Of a signed link: unix seconds.")] = "",
    signature: Annotated[str, Query(description="Of a signed link.")] = "",
) -> Response:
    """The recording of the call as an MP3, whole or in part; opens with an API key or as a link that `/recording` gave."""
    if recordings.is_linked(deps.keys, call_id, expires, signature, deps.now()):
        kept = await deps.database.read(stored.playing, call_id)
    else:
        kept = await _owned(deps, presented, call_id)
    if kept is None:
        raise NotFound("There is no recording of this call.")
    try:
        return await recordings.served(request, kept, deps.settings.recordings_dir)
    except recordings.OutOfRange as error:
        sentence = f"The recording has {error.size_bytes} bytes."
        return error_answer(416, sentence, code="range_not_satisfiable", headers=error.headers)


async def _owned(deps: Deps, presented: HTTPAuthorizationCredentials | None, call_id: str) -> sa.Row[Any] | None:
    key = require(await key_of(deps.directory, presented), "read")
    row, kept = await deps.database.read(calls.heard, key.org_id, call_id)
    if row is None:
        raise NotFound("There is no call with that id.")
    return kept
