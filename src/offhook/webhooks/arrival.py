"""A body on its way in, and the quota of bytes that nobody has proven yet."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from http import HTTPStatus
from typing import Any

from offhook.voice.elevenlabs.body import Body, Intake
from offhook.voice.elevenlabs.signature import Prover
from offhook.webhooks.requests import TurnedAway

SMALL_BODY_BYTES = 256 * 1024  #: up to here a body is proven in memory, once, when it is whole
_PIECE_BYTES = 256 * 1024  #: beyond, pieces of this size go through a thread


class UnprovenQuota:
    """How many bytes of bodies that nobody has proven yet may lie on disk at once."""

    def __init__(self, limit_bytes: int) -> None:
        self._left = limit_bytes

    def take(self, size_bytes: int) -> None:
        if size_bytes > self._left:
            raise TurnedAway("quota", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        self._left -= size_bytes

    def give_back(self, size_bytes: int) -> None:
        self._left += size_bytes


class Arrival:
    """A body on its way in. Small ones wait in memory; larger ones flow through a thread to files that nobody sees."""

    def __init__(self, intake: Intake, quota: UnprovenQuota, prover: Callable[[], Coroutine[Any, Any, Prover | None]]):
        """*prover* is asked once, when the body turns out to be large."""
        self._intake = intake
        self._quota = quota
        self._find_prover = prover
        self._pieces: list[bytes] = []
        self._waiting_bytes = 0
        self._reserved_bytes = 0
        self.size_bytes = 0
        self.is_streamed = False
        self.prover: Prover | None = None  #: of a large body whose candidates are known

    async def take(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._waiting_bytes += len(piece)
        self.size_bytes += len(piece)
        if self._waiting_bytes < _PIECE_BYTES or self.size_bytes <= SMALL_BODY_BYTES:
            return
        if not self.is_streamed:
            self.is_streamed = True
            self.prover = await self._find_prover()
        await self._pass_on(self._joined())

    async def finish(self) -> tuple[Body, bytes | None]:
        """The whole body, and its bytes when it is small."""
        rest = self._joined()
        if not self.is_streamed:
            self._intake.feed(rest)
            return self._intake.finish(), rest
        await self._pass_on(rest)
        return await asyncio.to_thread(self._intake.finish), None

    def raw_pieces(self) -> Iterator[bytes]:
        """The whole body once more, as it came; from disk where it is large."""
        return self._intake.raw_pieces()

    async def keep(self) -> None:
        """Make what lies in files durable and visible: the proof holds."""
        if self._intake.has_files:
            await asyncio.to_thread(self._intake.keep)

    async def discard(self) -> None:
        """Leave nothing that was not kept, and free the quota."""
        self._quota.give_back(self._reserved_bytes)
        self._reserved_bytes = 0
        if self._intake.has_files:
            await asyncio.to_thread(self._intake.discard)

    def _joined(self) -> bytes:
        joined = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self._waiting_bytes = 0
        return joined

    async def _pass_on(self, piece: bytes) -> None:
        self._quota.take(len(piece))
        self._reserved_bytes += len(piece)
        await asyncio.to_thread(self._swallow, piece)

    def _swallow(self, piece: bytes) -> None:
        if self.prover is not None:
            self.prover.update(piece)
        self._intake.feed(piece)
