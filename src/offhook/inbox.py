"""The inbox: an event is durable here before its sender hears 200.

    file -> the database's next group commit        (a few ms)
         -> else, when that is late, refused or in doubt, the spool  (an fsync'd file; drained when the database is back)
         -> else ComeBackLater: 503, and ElevenLabs sends it again where retries are enabled

A database that failed once is in doubt: the circuit is open, and events go to the spool at once. Each second one event asks
it, waiting for no longer than its budget, and the first that is taken closes the circuit.

The commit may still succeed after the event went to the spool. Both copies have one id, so they are one row.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import msgspec
import sqlalchemy as sa

from offhook.errors import ComeBackLater, Damaged, Unavailable
from offhook.events import Event, Filed
from offhook.logs import log
from offhook.sealing import KeyRing
from offhook.spool import Spool
from offhook.store import events as event_rows
from offhook.store.database import Database

_ASK_AGAIN_S = 1.0  #: how long a database that failed is not asked
_LOOK_AGAIN_S = 1.0  #: how old the standing may be
_DRAIN_EVERY_S = 0.5
_DRAIN_PATIENCE_S = 5.0
_DRAIN_BATCH = 128
_DRAIN_BYTES = 32 << 20


class Standing(msgspec.Struct, frozen=True):
    """How far the filed events have got, over all organisations."""

    by_status: dict[str, int]
    oldest_pending_at: float | None  #: unix; when the event came that has waited longest; None when none waits


class Inbox:
    """Files events and drains the spool."""

    def __init__(self, database: Database, spool: Spool, keys: KeyRing, *, budget_s: float) -> None:
        self._database = database
        self._spool = spool
        self._keys = keys
        self._budget_s = budget_s
        self._patience = _Patience(budget_s)
        self._is_database_doubted = False
        self._ask_database_at = 0.0  #: monotonic
        self._spooled = asyncio.Event()
        self._look: asyncio.Task[Standing] | None = None
        self._look_again_at = 0.0  #: monotonic
        self.on_filed: list[Callable[[Event], None]] = []  #: called with each event that is durable in the database

    async def open(self) -> None:
        self._spool.open()
        self._spooled.set()  # an earlier process may have left some
        self._drainer = asyncio.create_task(self._drain_on(), name="spool-drain")

    async def close(self) -> None:
        self._drainer.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._drainer

    async def file(self, event: Event) -> Filed:
        """Keep *event* for ever; when this returns, no crash loses it. ComeBackLater when nothing can keep it."""
        is_asked = self._may_ask_database()
        if is_asked and (filed := await self._file_in_database(event)):
            return filed
        try:
            await self._spool.keep(event)
        except ComeBackLater:  # doubt is no reason to refuse what nothing else can keep
            if not is_asked and (filed := await self._file_in_database(event)):
                return filed
            raise
        self._spooled.set()
        return Filed(event.id, None)

    def sealed(self, event: Event) -> Event:
        """*event* as the database keeps it; for who files it in a transaction of their own, and announces it then."""
        return event_rows.sealed(event, self._keys)

    def announce(self, event: Event) -> None:
        """*event* is durable in the database: whoever waits for events is told."""
        for ring in self.on_filed:
            ring(event)

    @property
    def is_database_trusted(self) -> bool:
        """Whether the next event is offered to the database first."""
        return time.monotonic() >= self._ask_database_at and self._database.oldest_wait_s < self._budget_s

    @property
    def spooled(self) -> int:
        """How many events wait in the spool."""
        return len(self._spool.waiting())

    def _may_ask_database(self) -> bool:
        """As long as it is trusted; in doubt one event a second asks, so that not every one waits for it."""
        if not self.is_database_trusted:
            return False
        if self._is_database_doubted:
            self._ask_database_at = time.monotonic() + _ASK_AGAIN_S
        return True

    async def standing(self) -> Standing:
        """As of a second ago at most. Unavailable when the database does not answer, which is not waited for here.

        A look goes through every event there is. So however many ask, and however long it takes, there is one at a time.
        """
        if self._look is None or (self._look.done() and time.monotonic() >= self._look_again_at):
            self._look_again_at = time.monotonic() + _LOOK_AGAIN_S
            self._look = asyncio.create_task(self._database.read(_standing), name="inbox-standing")
            self._look.add_done_callback(_overhear)  # whoever asked may have gone
        return await asyncio.shield(self._look)

    async def _file_in_database(self, event: Event) -> Filed | None:
        """None when it did not take *event* in time, which is a reason for doubt."""
        try:
            filed = await self._patience.within_limit(self._database.file(self.sealed(event)))
        except (Unavailable, TimeoutError) as error:
            self._doubt_database(str(error) or "It did not take an event in time.")
            return None
        self._trust_database()
        self.announce(event)
        return filed

    def _doubt_database(self, reason: str) -> None:
        self._ask_database_at = time.monotonic() + _ASK_AGAIN_S
        if not self._is_database_doubted:  # said once: an outage is no reason to fill a disk
            log.warning("inbox.spools", reason=reason)
        self._is_database_doubted = True

    def _trust_database(self) -> None:
        if self._is_database_doubted:
            log.info("inbox.spools_no_more")
        self._is_database_doubted = False

    # Draining

    async def _drain_on(self) -> None:
        while True:
            await self._spooled.wait()
            self._spooled.clear()
            try:
                while await self.drain_some():
                    pass
            except (Unavailable, OSError) as error:
                log.warning("spool.waits", error=str(error))
                self._spooled.set()
            await asyncio.sleep(_DRAIN_EVERY_S)

    async def drain_some(self) -> int:
        """File the oldest spooled events; how many there were. Unavailable while the database still cannot take them."""
        paths = await asyncio.to_thread(self._next_to_drain)
        await asyncio.gather(*map(self._drain, paths))
        if paths:
            log.info("spool.drained", files=len(paths))
        return len(paths)

    def _next_to_drain(self) -> list[Path]:
        """The oldest files, bounded in number and bytes: each is held in memory on its way."""
        batch: list[Path] = []
        size = 0
        for path in self._spool.waiting()[:_DRAIN_BATCH]:
            size += _size_of(path)
            if batch and size > _DRAIN_BYTES:
                break
            batch.append(path)
        return batch

    async def _drain(self, path: Path) -> None:
        try:
            event = from_spool(await asyncio.to_thread(self._spool.load, path))
        except Damaged as error:
            log.error("spool.damaged", file=str(path), error=str(error))
            await asyncio.to_thread(self._spool.set_aside, path)
            return
        except FileNotFoundError:  # another process drained it just now
            return
        except OSError as error:
            self._spool.pass_over(path, error)
            return
        try:
            async with asyncio.timeout(_DRAIN_PATIENCE_S):
                await self._database.file(self.sealed(event))
        except TimeoutError:
            raise Unavailable from None
        await asyncio.to_thread(self._spool.remove, path)
        self.announce(event)


class _Patience:
    """Ends waits that last too long; one timer looks after all of them, because one for each costs as much as a proof."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._waits: deque[tuple[float, asyncio.Future[Filed]]] = deque()  # until when, soonest first
        self._timer: asyncio.TimerHandle | None = None

    def within_limit(self, wait: "asyncio.Future[Filed]") -> "asyncio.Future[Filed]":
        """*wait*, which fails with TimeoutError when it is not done in time."""
        loop = asyncio.get_running_loop()
        self._waits.append((loop.time() + self._limit_s, wait))
        if self._timer is None:
            self._timer = loop.call_at(self._waits[0][0], self._look)
        return wait

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._waits and (self._waits[0][1].done() or self._waits[0][0] <= now):
            _, wait = self._waits.popleft()
            if not wait.done():
                wait.set_exception(TimeoutError())
        self._timer = loop.call_at(self._waits[0][0], self._look) if self._waits else None


def _standing(tx: sa.Connection) -> Standing:
    return Standing(event_rows.count_by_status(tx), event_rows.oldest_pending(tx))


def _overhear(look: "asyncio.Task[Standing]") -> None:
    if not look.cancelled():
        look.exception()


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # what is wrong is said when it is read
        return 0


def from_spool(event: Event) -> Event:
    """*event* as it is filed after it waited there."""
    return msgspec.structs.replace(event, source="spool") if event.source == "webhook" else event
