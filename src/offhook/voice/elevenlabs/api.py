"""ElevenLabs' API as offhook asks it: one request at a time, patient with its limits, and one word for each kind of no.

https://elevenlabs.io/docs/api-reference, read 2026-10. What is asked is a dozen plain requests, so httpx makes them; the
official SDK takes a second to load and is the tests' oracle.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import quote

import httpx
import msgspec

from offhook.errors import GiveUp, TryLater
from offhook.voice.json_text import Unreadable
from offhook.voice.plain import decoded

_TIMEOUT = httpx.Timeout(30.0, connect=10.0)
_WAITS_S = (0.5, 1.0, 2.0)  #: between the tries of one request
_LONGEST_WAIT_S = 30.0  #: longer than that whoever asked comes back another time
_PAGE = 100
_MOST_PAGES = 10_000
_MOST_BYTES = 128 << 20  #: of an answer that is read whole: the longest conversation has a few
_IDEMPOTENT = frozenset({"GET", "PATCH", "DELETE"})
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class NotThere(GiveUp):
    """ElevenLabs does not know it (any more)."""


class WrongKey(GiveUp):
    """ElevenLabs does not accept the API key, or the key lacks a permission."""


class ElevenLabs:
    """One workspace. Everything it is asked raises TryLater when ElevenLabs cannot be reached, is out of order or wants
    patience; WrongKey, NotThere, or GiveUp with its own words, when asking again would change nothing."""

    def __init__(self, api_key: str, *, base_url: str) -> None:
        self._client = httpx.AsyncClient(base_url=base_url, headers={"xi-api-key": api_key}, timeout=_TIMEOUT)

    async def __aenter__(self) -> "ElevenLabs":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def get(self, path: str, **query: str | float) -> Any:
        """The JSON at *path*, "/v1/..."."""
        return _json(await self._asked("GET", path, params=query))

    async def read(self, path: str) -> bytes:
        """What is at *path*, as it came."""
        return await self._asked("GET", path)

    async def post(self, path: str, body: Any) -> Any:
        return _json(await self._asked("POST", path, json=body))

    async def patch(self, path: str, body: Any) -> Any:
        return _json(await self._asked("PATCH", path, json=body))

    async def delete(self, path: str) -> None:
        """NotThere counts as done."""
        try:
            await self._asked("DELETE", path)
        except NotThere:
            return

    async def each(self, path: str, name: str, **query: str | float) -> AsyncIterator[dict[str, Any]]:
        """Every item of a list that comes in pages (`cursor`, `has_more`); *name* is the list's own."""
        asked: dict[str, str | float] = {"page_size": _PAGE, **query}
        seen: set[str] = set()
        while True:
            page = await self.get(path, **asked)
            for item in _items(page, name):
                yield item
            if not page.get("has_more") or not page.get("next_cursor"):
                return
            asked["cursor"] = cursor = str(page["next_cursor"])
            if cursor in seen or len(seen) >= _MOST_PAGES:
                raise GiveUp(f"ElevenLabs' list of {name} does not end.")
            seen.add(cursor)

    async def stream(self, path: str) -> AsyncIterator[bytes]:
        """The bytes at *path*, piece by piece. What breaks off in the middle is TryLater."""
        for wait_s in (*_WAITS_S, None):
            has_begun = False
            try:
                async for piece in self._streamed_once(path):
                    has_begun = True
                    yield piece
                return
            except TryLater as error:
                wait_s = _patience(error, wait_s)
                if has_begun or wait_s is None:
                    raise
                await asyncio.sleep(wait_s)

    async def _streamed_once(self, path: str) -> AsyncIterator[bytes]:
        try:
            async with self._client.stream("GET", path) as answer:
                if not answer.is_success:
                    _refuse(answer, await _whole(answer))
                async for piece in answer.aiter_bytes():
                    yield piece
        except httpx.RequestError as error:
            raise _unreached(error) from error

    async def _asked(self, method: str, path: str, **content: Any) -> bytes:
        for wait_s in (*_WAITS_S, None):
            try:
                return await self._asked_once(method, path, **content)
            except TryLater as error:
                wait_s = _patience(error, wait_s)
                if wait_s is None or not (method in _IDEMPOTENT or _was_not_taken(error)):
                    raise
                await asyncio.sleep(wait_s)
        raise AssertionError  # the last try raises

    async def _asked_once(self, method: str, path: str, **content: Any) -> bytes:
        try:
            async with self._client.stream(method, path, **content) as answer:
                body = await _whole(answer)
        except httpx.RequestError as error:
            raise _unreached(error) from error
        if not answer.is_success:
            _refuse(answer, body)
        return body


def at(path: str, id: str) -> str:
    """Where the thing of that id is below *path*, whatever signs the id has."""
    return f"{path}/{quote(id, safe='')}"


async def _whole(answer: httpx.Response) -> bytes:
    """Its body; GiveUp when that is longer than any should be."""
    body = bytearray()
    async for piece in answer.aiter_bytes():
        body += piece
        if len(body) > _MOST_BYTES:
            raise GiveUp(f"An answer of ElevenLabs is longer than {_MOST_BYTES >> 20} MiB.")
    return bytes(body)


def _json(body: bytes) -> Any:
    try:
        return decoded(body)
    except Unreadable as error:
        raise TryLater("ElevenLabs answers with something that is no JSON.") from error


def _items(page: Any, name: str) -> list[dict[str, Any]]:
    items = page.get(name) if isinstance(page, dict) else None
    if not isinstance(items, list):
        raise TryLater(f"ElevenLabs answers with something that is no list of {name}.")
    return items


def _unreached(error: httpx.RequestError) -> TryLater:
    return TryLater(f"ElevenLabs cannot be reached: {error or type(error).__name__}.")


def _refuse(answer: httpx.Response, body: bytes) -> None:
    """Raise what an answer without success means."""
    said = f"ElevenLabs answers {answer.status_code}: {_words(body) or answer.reason_phrase}"
    if answer.status_code == 429 or answer.status_code == 408 or answer.status_code >= 500:
        raise TryLater(said, after_s=_seconds(answer.headers.get("retry-after", "")))
    if answer.status_code in (401, 403):
        raise WrongKey(said)
    raise (NotThere if answer.status_code == 404 else GiveUp)(said)


def _words(body: bytes) -> str:
    """ElevenLabs' own sentence, which stands in one of several places; "" where there is none."""
    try:
        said = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return ""
    detail = said.get("detail", said) if isinstance(said, Mapping) else said
    message = detail.get("message") if isinstance(detail, Mapping) else detail
    return str(message)[:300]


def _seconds(header: str) -> float | None:
    return float(header) if header.isascii() and header.isdigit() else None


def _patience(error: TryLater, wait_s: float | None) -> float | None:
    """How long to wait before the next try; None: there is none."""
    if wait_s is None or (error.after_s or 0.0) > _LONGEST_WAIT_S:
        return None
    return max(wait_s, error.after_s or 0.0)


def _was_not_taken(error: TryLater) -> bool:
    """Whether ElevenLabs has surely done nothing: it could not be reached, or said that it is too busy."""
    return isinstance(error.__cause__, _NOT_SENT) or " 429:" in error.message
