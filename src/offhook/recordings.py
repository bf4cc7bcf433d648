"""Recordings on their way out: links that open without a key for an hour, and the stretch of bytes a player asks for
(RFC 9110, sections 13 and 14)."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import msgspec
import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from offhook.errors import NotFound
from offhook.logs import log
from offhook.sealing import KeyRing
from offhook.signing import LinkSigner

LINK_S = 3600
MEDIA_TYPE = "audio/mpeg"
_PIECE_BYTES = 256 * 1024
#: One range of RFC 9110; of several we may serve the whole, and players send one.
_ONE_RANGE = re.compile(r"bytes\s*=\s*([0-9]{0,18})\s*-\s*([0-9]{0,18})\s*", re.ASCII | re.IGNORECASE)


class Span(msgspec.Struct, frozen=True):
    """A stretch of a file."""

    start: int
    length: int

    def content_range(self, size_bytes: int) -> str:
        return f"bytes {self.start}-{self.start + self.length - 1}/{size_bytes}"


class OutOfRange(Exception):
    """No byte of the file is in the range that was asked for."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__(size_bytes)
        self.size_bytes = size_bytes
        self.headers = {"Content-Range": f"bytes */{size_bytes}", "Accept-Ranges": "bytes"}


async def served(request: Request, kept: sa.Row[Any], folder: Path, *, is_saved: bool = False) -> Response:
    """The answer to who may hear it: *kept* (a row of recordings) of *folder*, whole or in part, or that nothing changed.

    NotFound when its file is not there, OutOfRange. *is_saved*: the browser keeps it as a file instead of playing it.
    """
    path = folder / kept.file
    size_bytes = await _size_bytes(path, kept)
    etag = f'"{kept.sha256}"'
    headers = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",  # may be kept, but asked about each time: an erased person is silent at once
        "Content-Disposition": f'{"attachment" if is_saved else "inline"}; filename="call-{kept.call_id}.mp3"',
        "X-Content-Type-Options": "nosniff",  # not every recording is an MP3, and none is a page
    }
    if _has(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    span = asked_span(_range(request, etag), size_bytes)
    if span is not None:
        headers["Content-Range"] = span.content_range(size_bytes)
    sent = span or Span(0, size_bytes)
    headers["Content-Length"] = str(sent.length)
    status = 200 if span is None else 206
    if request.method == "HEAD":
        return Response(None, status, headers, MEDIA_TYPE)
    return StreamingResponse(pieces(path, sent), status, headers, MEDIA_TYPE)


async def _size_bytes(path: Path, kept: sa.Row[Any]) -> int:
    try:
        return (await anyio.Path(path).stat()).st_size
    except FileNotFoundError:
        log.error("recording.missing", recording=kept.id, file=kept.file)
        raise NotFound("The file of this recording is not here.") from None


def _has(if_none_match: str | None, etag: str) -> bool:
    tags = [tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")]
    return etag in tags or "*" in tags


def _range(request: Request, etag: str) -> str | None:
    """The Range header, when it counts: it is defined for GET, and If-Range must name the very bytes that are here."""
    if request.method != "GET" or request.headers.get("if-range", etag) != etag:
        return None
    return request.headers.get("range")


def link_query(keys: KeyRing, call_id: str, now: float) -> dict[str, str]:
    """What makes the address of the call's audio open without a key for LINK_S."""
    expires_at = int(now) + LINK_S
    return {"expires": str(expires_at), "signature": _signer(keys).signature(call_id, expires_at)}


def is_linked(keys: KeyRing, call_id: str, expires: str, signature: str, now: float) -> bool:
    """Whether a link with this query opens the audio of this call now."""
    return _signer(keys).opens(call_id, expires, signature, now)


def _signer(keys: KeyRing) -> LinkSigner:
    return LinkSigner(keys, "call audio")


def asked_span(range_header: str | None, size_bytes: int) -> Span | None:
    """The stretch a Range header asks for; None for the whole file, which is the answer to headers that say nothing usable.

    OutOfRange when it asks for bytes behind the end.
    """
    asked = _ONE_RANGE.fullmatch(range_header) if range_header else None
    if asked is None or not any(asked.groups()):
        return None
    first, last = asked.groups()
    if not first:
        return _last_bytes(int(last), size_bytes)
    if last and int(last) < int(first):
        return None
    if int(first) >= size_bytes:
        raise OutOfRange(size_bytes)
    end = min(int(last) + 1, size_bytes) if last else size_bytes
    return Span(int(first), end - int(first))


def _last_bytes(count: int, size_bytes: int) -> Span:
    if not count or not size_bytes:
        raise OutOfRange(size_bytes)
    length = min(count, size_bytes)
    return Span(size_bytes - length, length)


async def pieces(path: Path, span: Span) -> AsyncIterator[bytes]:
    """The bytes of that stretch, piece by piece, each read off the event loop."""
    async with await anyio.open_file(path, "rb") as file:
        await file.seek(span.start)
        left = span.length
        while left and (piece := await file.read(min(left, _PIECE_BYTES))):
            left -= len(piece)
            yield piece
