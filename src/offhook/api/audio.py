"""A recording's bytes, for players: whole or in part (RFC 9110, sections 13 and 14)."""

from pathlib import Path
from typing import Annotated, Any

import anyio
import sqlalchemy as sa
from fastapi import Query, Request
from fastapi.security import HTTPAuthorizationCredentials
from starlette.responses import Response, StreamingResponse

from offhook import recordings
from offhook.api.access import Here, Presented, key_of, require
from offhook.api.errors import error_answer
from offhook.api.queries import CallId
from offhook.deps import Deps
from offhook.errors import NotFound
from offhook.logs import log
from offhook.store import calls
from offhook.store import recordings as stored

MEDIA_TYPE = "audio/mpeg"


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
    path = deps.settings.recordings_dir / kept.file
    return _answer(request, kept, path, await _size_bytes(path, kept))


async def _owned(deps: Deps, presented: HTTPAuthorizationCredentials | None, call_id: str) -> sa.Row[Any] | None:
    key = require(await key_of(deps.directory, presented), "read")
    row, kept = await deps.database.read(calls.heard, key.org_id, call_id)
    if row is None:
        raise NotFound("There is no call with that id.")
    return kept


async def _size_bytes(path: Path, kept: sa.Row[Any]) -> int:
    try:
        return (await anyio.Path(path).stat()).st_size
    except FileNotFoundError:
        log.error("recording.missing", recording=kept.id, file=kept.file)
        raise NotFound("The file of this recording is not here.") from None


def _answer(request: Request, kept: sa.Row[Any], path: Path, size_bytes: int) -> Response:
    etag = f'"{kept.sha256}"'
    headers = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",  # may be kept, but asked about each time: an erased person is silent at once
        "Content-Disposition": f'inline; filename="call-{kept.call_id}.mp3"',
        "X-Content-Type-Options": "nosniff",  # not every recording is an MP3, and none is a page
    }
    if _has(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    try:
        span = recordings.asked_span(_range(request, etag), size_bytes)
    except recordings.OutOfRange:
        headers = {"Content-Range": f"bytes */{size_bytes}", "Accept-Ranges": "bytes"}
        return error_answer(
            416, f"The recording has {size_bytes} bytes.", code="range_not_satisfiable", headers=headers
        )
    if span is not None:
        headers["Content-Range"] = span.content_range(size_bytes)
    sent = span or recordings.Span(0, size_bytes)
    headers["Content-Length"] = str(sent.length)
    status = 200 if span is None else 206
    if request.method == "HEAD":
        return Response(None, status, headers, MEDIA_TYPE)
    return StreamingResponse(recordings.pieces(path, sent), status, headers, MEDIA_TYPE)


def _has(if_none_match: str | None, etag: str) -> bool:
    tags = [tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")]
    return etag in tags or "*" in tags


def _range(request: Request, etag: str) -> str | None:
    """The Range header, when it counts: it is defined for GET, and If-Range must name the very bytes that are here."""
    if request.method != "GET" or request.headers.get("if-range", etag) != etag:
        return None
    return request.headers.get("range")
