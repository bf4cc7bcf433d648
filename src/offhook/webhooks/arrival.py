"""A body on its way in, and the quota of bytes that nobody has proven yet."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from http import HTTPStatus
from typing import Generic, Protocol, TypeVar

from offhook.voice.elevenlabs.body import Body, Intake
from offhook.voice.elevenlabs.envelope import Envelope, Unreadable, read_envelope
from offhook.voice.elevenlabs.signature import Prover
from offhook.webhooks.requests import TurnedAway

SMALL_BODY_BYTES = 256 * 1024  #: up to here a body waits in memory and is proven once, when it is whole
_PIECE_BYTES = 256 * 1024  #: beyond, pieces of this size go through a thread


class _Trial(Protocol):
    @property
    def prover(self) -> Prover: ...


T = TypeVar("T", bound=_Trial)


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


class Arrival(Generic[T]):
    """One body. A small one waits in memory; a larger one flows through a thread to files that nobody sees.

    `take` each piece, `end`, prove it, and only then `finish`: what nobody has signed is not read.
    """

    def __init__(self, intake: Intake, quota: UnprovenQuota, begin_trial: Callable[[], Awaitable[T | None]]) -> None:
        """*begin_trial* is asked once, when the body turns out to be large."""
        self._intake = intake
        self._quota = quota
        self._begin_trial = begin_trial
        self._pieces: list[bytes] = []
        self._waiting_bytes = 0
        self._reserved_bytes = 0
        self._is_streamed = False
        self._body: Body | None = None
        self.size_bytes = 0
        self.small: bytes | None = None  #: the whole body, when it has ended and is small
        self.trial: T | None = None  #: of a large body whose head told who may have signed

    async def take(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._waiting_bytes += len(piece)
        self.size_bytes += len(piece)
        if self._waiting_bytes < _PIECE_BYTES or self.size_bytes <= SMALL_BODY_BYTES:
            return
        if not self._is_streamed:
            self._is_streamed = True
            self.trial = await self._begin_trial()
        await self._pass_on(self._joined())

    async def end(self) -> None:
        """The last piece was taken."""
        rest = self._joined()
        if self._is_streamed:
            await self._pass_on(rest)
        else:
            self.small = rest

    async def finish(self) -> Body:
        """The body in its parts: what stays, and the files that nobody sees yet."""
        if self._body is not None:
            return self._body
        if self.small is not None:
            self._intake.feed(self.small)
            self._body = self._intake.finish()
        else:
            self._body = await asyncio.to_thread(self._intake.finish)
        return self._body

    async def claims(self) -> Envelope | None:
        """What the body says of itself before anybody proved it; only good for choosing whose secrets to try."""
        try:
            return read_envelope(self.small if self.small is not None else (await self.finish()).inline)
        except Unreadable:
            return None

    def raw_pieces(self) -> Iterator[bytes]:
        """The whole finished body once more, as it came, from disk where it is large."""
        return self._intake.raw_pieces()

    async def keep(self) -> None:
        """Make what lies in files durable and visible: the proof holds."""
        if self._intake.has_files:
            await asyncio.to_thread(self._intake.keep)

    async def take_back(self) -> None:
        """Remove what was kept: the row that was there before has files of its own."""
        await asyncio.to_thread(self._intake.take_back)

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
        if self.trial is not None:
            self.trial.prover.update(piece)
        self._intake.feed(piece)
