"""A body on its way in, and the quota of bytes that nobody has proven yet."""

import asyncio
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any, Generic, Protocol, TypeVar

from offhook.voice.body import Body, Intake, plain
from offhook.voice.elevenlabs.envelope import Envelope, read_envelope
from offhook.voice.elevenlabs.signature import Prover
from offhook.voice.json_text import Unreadable
from offhook.webhooks.requests import TurnedAway

SMALL_BODY_BYTES = 256 * 1024  #: up to here a body waits in memory and is proven once, when it is whole
_PIECE_BYTES = (
    128 * 1024
)  #: beyond, pieces of at least this size go through a thread; the HTTP server hands over twice as much
_MOST_PIECES = 64  #: that wait side by side: one that is a byte long takes forty
_UNCOUNTED_BYTES = 16 * 1024  #: a body up to here takes nothing of the quota


class _Trial(Protocol):
    @property
    def prover(self) -> Prover: ...


T = TypeVar("T", bound=_Trial)


class UnprovenQuota:
    """How much of bodies that nobody has proven yet may lie here at once, on disk and in memory.

    When it is too much, the largest of them gives way. So a flood makes room for itself, and whoever sends what honest
    senders send does not notice it.
    """

    def __init__(self, *, disk_bytes: int, memory_bytes: int) -> None:
        self._disk = _Shares(disk_bytes)
        self._memory = _Shares(memory_bytes)

    def hold(self, holder: "Arrival[Any]", *, disk_bytes: int, memory_bytes: int) -> None:
        """*holder* holds so much now; `Arrival.give_way` is called on whoever holds most, where that is too much."""
        self._disk.set(holder, disk_bytes)
        self._memory.set(holder, memory_bytes)
        while largest := self._disk.largest_of_too_many() or self._memory.largest_of_too_many():
            self.release(largest)
            largest.give_way()

    def release(self, holder: "Arrival[Any]") -> None:
        self._disk.set(holder, 0)
        self._memory.set(holder, 0)


class _Shares:
    """Who holds how much of something of which there is so much."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._total_bytes = 0
        self._by_holder: dict[Arrival[Any], int] = {}

    def set(self, holder: "Arrival[Any]", size_bytes: int) -> None:
        self._total_bytes += size_bytes - self._by_holder.pop(holder, 0)
        if size_bytes:
            self._by_holder[holder] = size_bytes

    def largest_of_too_many(self) -> "Arrival[Any] | None":
        if self._total_bytes <= self._limit_bytes:
            return None
        return max(self._by_holder, key=self._by_holder.__getitem__)


class Arrival(Generic[T]):
    """One body. A small one waits in memory; a larger one flows through a thread to files that nobody sees.

    `take` each piece, `end`, prove it, and only then `finish`: what nobody has signed is not read.
    """

    def __init__(
        self,
        begin_intake: Callable[[], Intake],
        limit_bytes: int,
        quota: UnprovenQuota,
        begin_trial: Callable[[], T | None],
    ) -> None:
        """*begin_intake* is asked once, when the body needs files; *begin_trial* once, when it turns out to be large.

        *limit_bytes*: how large it may be without its recording.
        """
        self._begin_intake = begin_intake
        self._intake: Intake | None = None
        self._limit_bytes = limit_bytes
        self._quota = quota
        self._is_held = False  # something of the quota
        self._begin_trial = begin_trial
        self._waiting: list[bytes] = []  # joined once: a piece that waits alone is never copied
        self._waiting_bytes = 0
        self._has_given_way = False
        self._body: Body | None = None
        self._envelope: Envelope | None = None
        self.is_proven = False  #: by its head alone: it takes nothing of the quota
        self.size_bytes = 0
        self.small: bytes | None = None  #: the whole body, when it has ended and is small
        self.trial: T | None = None  #: of a large body whose head told who may have signed

    async def take(self, piece: bytes) -> None:
        """TurnedAway when it had to give way to others."""
        self._waiting.append(piece)
        self._waiting_bytes += len(piece)
        self.size_bytes += len(piece)
        if len(self._waiting) > _MOST_PIECES:
            self._waiting = [b"".join(self._waiting)]
        if self.size_bytes > _UNCOUNTED_BYTES:
            self._hold()
        if self._waiting_bytes < _PIECE_BYTES or self.size_bytes <= SMALL_BODY_BYTES:
            return
        if self._intake is None:
            self._intake = self._begin_intake()
            self.trial = self._begin_trial()
        await self._pass_on()

    async def end(self) -> None:
        """The last piece was taken. TurnedAway when it had to give way to others; from now on it does not."""
        if self._intake is not None:
            await self._pass_on()
        elif self._has_given_way:
            raise _gives_way()
        else:
            self.small = self._joined()
        self._release()

    async def finish(self) -> Body:
        """The body in its parts: what stays, and the files that nobody sees yet."""
        if self._body is None:
            if self.small is not None:
                self._body = self._finished_small(self.small)
            else:
                self._body = await asyncio.to_thread(self._files().finish)
        return self._body

    async def envelope(self) -> Envelope:
        """What is to be known of the body, be it finished or small; Unreadable when it is no JSON object."""
        if self._envelope is None:
            text = self.small if self.small is not None else (await self.finish()).inline
            is_long = len(text) > SMALL_BODY_BYTES
            self._envelope = await asyncio.to_thread(read_envelope, text) if is_long else read_envelope(text)
        return self._envelope

    async def claims(self) -> Envelope | None:
        """What the body says of itself before anybody proved it; only good for choosing whose secrets to try."""
        try:
            return await self.envelope()
        except Unreadable:
            return None

    def raw_pieces(self) -> Iterator[bytes]:
        """The whole finished body once more, as it came, from disk where it is large."""
        return self._files().raw_pieces()

    @property
    def has_files(self) -> bool:
        """Whether something of it lies on disk that was neither kept nor discarded."""
        return self._intake is not None and self._intake.has_files

    async def keep(self) -> None:
        """Make what lies in files durable and visible: the proof holds."""
        await asyncio.to_thread(self._files().keep)

    async def take_back(self) -> None:
        """Remove what was kept: the row that was there before has files of its own."""
        await asyncio.to_thread(self._files().take_back)

    async def discard(self) -> None:
        """Leave nothing that was not kept, and free the quota."""
        self._release()
        if self.has_files:
            await asyncio.to_thread(self._files().discard)

    def give_way(self) -> None:
        """Make room at once, and take nothing more."""
        self._has_given_way = True
        self._joined()
        if self._intake is not None:
            asyncio.get_running_loop().run_in_executor(None, self._intake.discard)

    def _finished_small(self, small: bytes) -> Body:
        if not self._has_audio_text(small):
            return plain(small, self._limit_bytes)
        self._intake = self._begin_intake()
        self._intake.feed(small)
        return self._intake.finish()

    def _has_audio_text(self, small: bytes) -> bool:
        try:
            self._envelope = self._envelope or read_envelope(small)
        except Unreadable:
            return False
        return self._envelope.has_audio_text

    def _files(self) -> Intake:
        assert self._intake is not None, "nothing of it went to a file"
        return self._intake

    async def _pass_on(self) -> None:
        await asyncio.to_thread(self._swallow, self._joined())
        self._hold()

    def _joined(self) -> bytes:
        """What waits, which then waits no more."""
        joined = b"".join(self._waiting)
        self._waiting.clear()
        self._waiting_bytes = 0
        return joined

    def _hold(self) -> None:
        """Say how much of the quota is taken, and stop where others need it more."""
        if not (self.is_proven or self._has_given_way):
            memory_bytes = self._waiting_bytes + (self._intake.memory_bytes if self._intake is not None else 0)
            self._is_held = True
            self._quota.hold(self, disk_bytes=self.size_bytes - memory_bytes, memory_bytes=memory_bytes)
        if self._has_given_way:
            raise _gives_way()

    def _release(self) -> None:
        if self._is_held:
            self._is_held = False
            self._quota.release(self)

    def _swallow(self, piece: bytes) -> None:
        if self.trial is not None:
            self.trial.prover.update(piece)
        self._files().feed(piece)


def _gives_way() -> TurnedAway:
    return TurnedAway("quota", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
