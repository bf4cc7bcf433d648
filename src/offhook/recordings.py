"""Recordings on their way out: links that open without a key for an hour, and the stretch of bytes a player asks for."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import msgspec

from offhook.sealing import KeyRing
from offhook.signing import LinkSigner

LINK_S = 3600
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
        raise OutOfRange
    end = min(int(last) + 1, size_bytes) if last else size_bytes
    return Span(int(first), end - int(first))


def _last_bytes(count: int, size_bytes: int) -> Span:
    if not count or not size_bytes:
        raise OutOfRange
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
