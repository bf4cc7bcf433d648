"""The projection: what was filed becomes calls, contacts, notes and recordings, off the request's way.

    ring, look  ->  begin: the attempt is counted  ->  load  ->  the sandbox reads  ->  keep
                                                                      |
                                                    what cannot be read, or is very long, goes
                                                                      v
                                                                  isolation

An event rings when it is filed. A look at the database each second finds what was filed elsewhere, or left behind by a
process that ended. Whatever an event does to its reader, other conversations hardly wait for it.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

import msgspec
import sqlalchemy as sa
from prometheus_client import Counter

from offhook.contexts import Contexts
from offhook.directory import Directory
from offhook.errors import Fault, NotFound, Unavailable
from offhook.events import ASIDES, Event
from offhook.logs import log
from offhook.projection.conversations import Conversation, Conversations
from offhook.projection.gathering import Gathered
from offhook.projection.isolation import Isolation, within
from offhook.projection.reader import Done, Failed, question, reader_command
from offhook.projection.sandbox import Sandbox, reading
from offhook.sealing import KeyRing
from offhook.store import events as event_rows
from offhook.store import projections
from offhook.store.database import Database
from offhook.store.projections import Begun
from offhook.voice.parts import Folders

_LOOK_EVERY_S = 1.0
_LEAVE_TO_OTHERS_S = 2.0  #: what is younger than this is left to the process that filed it
_LOOK_ROWS = 1000
_FEW_CALLS, _MANY_CALLS = 12, 48  #: read and written together: some ms of the one writer that SQLite has
_SLICE_BYTES = 4 << 20
_BATCH_SLICES = 4  #: whose attempts are counted together
_REST_S = 0.002  #: for each event that was filed meanwhile: filing goes first
_SHORTEST_REST, _LONGEST_REST = 0.5, 20  #: times as long as the work took; a hundred calls a second leave no backlog
_LONGEST_REST_S = 0.5  #: work may have taken very long, and not because there was much of it: the database was away
_ODD_ATTEMPTS = 3  #: the first may have ended with the server, and most of what was begun with it is innocent
_LONG_BYTES = 1 << 20  #: a conversation with more would keep the others waiting
_WITHIN_S = 0.15  #: a hundred times what one takes
_RETRY_S = 0.5
_REPLAY_S = 5.0
_NICENESS = "10"  #: of what is read alone: it may well run for seconds
_STOP_S = 10.0

_projected = Counter("offhook_conversations_projected_total", "Conversations that were folded")
_failed = Counter("offhook_projection_failures_total", "Attempts to read a conversation among others that failed")


class Projector:
    """Projects what is filed, as long as it is started."""

    def __init__(
        self,
        database: Database,
        keys: KeyRing,
        directory: Directory,
        contexts: Contexts,
        folders: Folders,
        now: Callable[[], float],
        reader: Sequence[str] = (),
    ) -> None:
        """*reader*: the command that reads events, see reader.py; it is given only to be made to fail."""
        start = reader or reader_command(folders.recordings)
        self._database = database
        self._now = now
        self._conversations = Conversations(database, keys, directory, contexts, now)
        self.on_kept: list[Callable[[], None]] = []  #: called when calls were written, and wishes with them
        self._sandbox = Sandbox(start)
        self._isolation = Isolation(self._conversations, Sandbox((*start, _NICENESS)), self._ring_again)
        self._rung: dict[str, None] = {}  # call ids, in the order they rang
        self._asides: dict[str, None] = {}  # ids of events that are said beside calls
        self._again: set[str] = set()  # call ids that are folded even when nothing waits
        self._begun: dict[str, Begun] = {}  # calls whose attempt is counted and yet to be made, or to be finished
        self._wake = asyncio.Event()
        self._arrived = 0  # rings since the last rest
        self._slice_calls = _FEW_CALLS
        self._keeping: asyncio.Task[None] | None = None
        self._look_due_at = 0.0
        self._looks_at_all = True
        self._is_busy = False
        self._is_waiting = False
        self._is_stopping = False
        self._lanes: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin with what was left behind."""
        self._lanes = [
            asyncio.create_task(self._run(), name="projection"),
            asyncio.create_task(self._isolation.run(), name="isolation"),
        ]

    async def stop(self) -> None:
        """Finish what is in hand; the rest waits in the database."""
        if not self._lanes:
            return
        self._is_stopping = True
        self._wake.set()
        await asyncio.wait(self._lanes[:1], timeout=_STOP_S)
        for lane in self._lanes:
            lane.cancel()
        await asyncio.gather(*self._lanes, *filter(None, [self._keeping]), return_exceptions=True)
        await self._sandbox.close()
        await self._isolation.close()

    def ring(self, event: Event) -> None:
        """Project *event* soon; it is durable."""
        if event.status != "pending":
            return
        if event.source in ASIDES:
            self._asides[event.id] = None
        elif event.call_id is not None:
            self._rung[event.call_id] = None
        self._arrived += 1
        self._wake.set()

    async def drain(self) -> None:
        """Return when nothing is pending: all is projected, or set aside."""
        while True:
            self._looks_at_all, self._look_due_at = True, 0.0
            self._wake.set()
            await self._quiet()
            if not await self._database.read(projections.waiting, 0, 1):
                return

    async def replay(self, org_id: str, event_id: str) -> None:
        """Project the event's conversation again, also when the event was set aside; NotFound when there is none.

        Returns once that is done, or will be done some time later. An event of no conversation keeps its standing: there
        is nothing to make of it, and why it was set aside is worth more.
        """
        row = await self._database.read(event_rows.get, org_id, event_id)
        if row is None:
            raise NotFound
        if row.call_id is None and row.source not in ASIDES:
            return
        await self._database.write(event_rows.send_back, [event_id])
        if not self._lanes:
            return
        self.ring(msgspec.structs.replace(event_rows.event_of(row), status="pending"))
        until = time.monotonic() + _REPLAY_S
        while time.monotonic() < until:
            standing = await self._database.read(event_rows.standing, [event_id])
            if standing[event_id][0] != "pending":
                return
            await asyncio.sleep(0.02)

    async def _quiet(self) -> None:
        while not self._is_quiet:  # noqa: ASYNC110 - it is several lanes that fall quiet, not one
            await asyncio.sleep(0.01)

    @property
    def _is_quiet(self) -> bool:
        is_idle = not (self._is_busy or self._looks_at_all or self._rung or self._asides)
        return is_idle and self._isolation.is_empty

    def _ring_again(self, call_id: str) -> None:
        self._rung[call_id] = None
        self._wake.set()

    # The lane of the many

    async def _run(self) -> None:
        while not self._is_stopping:
            try:
                await self._turn()
            except (Unavailable, Fault) as error:
                self._say_waiting(error.message)
                await asyncio.sleep(_RETRY_S)
            except Exception:
                # A lane that ended would leave every call unseen until the next start, and say nothing.
                log.exception("projection.fault")
                await asyncio.sleep(_RETRY_S)
            else:
                self._say_waiting(None)
            finally:
                self._is_busy = False

    def _say_waiting(self, reason: str | None) -> None:
        """Once when it begins and once when it is over; an outage is no reason to fill a disk."""
        if reason and not self._is_waiting:
            log.warning("projection.waits", reason=reason)
        elif self._is_waiting and not reason:
            log.info("projection.goes_on")
        self._is_waiting = bool(reason)

    async def _turn(self) -> None:
        """Project some of what rang, or wait for the next ring or look."""
        self._wake.clear()
        await self._sandbox.ready()  # before it is needed: starting takes as long as a hundred calls
        if time.monotonic() >= self._look_due_at:
            await self._look()
        batch = _BATCH_SLICES * self._slice_calls
        asides, rung = _taken(self._asides, batch), _taken(self._rung, batch)
        if not asides and not rung:
            await within(self._look_due_at - time.monotonic(), self._wake)
            return
        self._is_busy = True
        try:
            await self._hear_asides(asides)
            await self._project(rung)
        except BaseException:
            self._asides |= dict.fromkeys(asides)
            self._rung |= dict.fromkeys(rung)
            raise

    async def _look(self) -> None:
        """Ring for what waits in the database and did not ring here."""
        rows = await self._database.read(projections.waiting, 0, _LOOK_ROWS)
        while rows:
            await self._send_home([row.id for row in rows if row.call_id is None and row.source not in ASIDES])
            for row in rows:
                self._notice(row)
            if len(self._rung) > _LOOK_ROWS:
                break
            rows = await self._database.read(projections.waiting, rows[-1].seq, _LOOK_ROWS)
        self._looks_at_all = False
        self._look_due_at = time.monotonic() + _LOOK_EVERY_S

    def _notice(self, row: sa.Row[Any]) -> None:
        if row.received_at > self._now() - _LEAVE_TO_OTHERS_S and not self._looks_at_all:
            return
        if row.source in ASIDES:
            self._asides[row.id] = None
        elif row.call_id is not None and row.attempts < _ODD_ATTEMPTS - 1:
            self._rung[row.call_id] = None
        elif row.call_id is not None and row.call_id not in self._isolation:
            self._isolation.add(row.call_id, attempts=row.attempts)

    async def _send_home(self, event_ids: Sequence[str]) -> None:
        if event_ids:
            await self._database.write(event_rows.set_status, event_ids, "skipped", "It belongs to no conversation.")

    async def _hear_asides(self, event_ids: Sequence[str]) -> None:
        if event_ids:
            begun_at = time.monotonic()
            late_for = await self._conversations.hear_asides(event_ids)
            self._again |= late_for
            self._rung |= dict.fromkeys(late_for)
            await self._give_way(begun_at)

    async def _project(self, call_ids: Sequence[str]) -> None:
        # Those in isolation ring again when they are through.
        begun = await self._begin([id for id in call_ids if id not in self._isolation])
        wanted = {id: one for id, one in begun.items() if one.attempts or id in self._again}
        for call_id in [id for id, one in wanted.items() if _is_odd(one)]:
            self._isolation.add(call_id, attempts=wanted.pop(call_id).attempts, is_begun=True)
        while wanted:
            begun_at = time.monotonic()
            read = await self._read_together(_slice(wanted, self._slice_calls))
            await self._kept()
            self._keeping = asyncio.create_task(self._keep(read))  # the next are read meanwhile
            await self._give_way(begun_at)
        await self._kept()
        self._again.difference_update(call_ids)
        for call_id in call_ids:
            self._begun.pop(call_id, None)

    async def _begin(self, call_ids: Sequence[str]) -> dict[str, Begun]:
        """Count an attempt of each; not once more where the database went away before the last one had come to its end."""
        new = [call_id for call_id in call_ids if call_id not in self._begun]
        self._begun |= await self._conversations.begin(new)
        return {call_id: self._begun[call_id] for call_id in call_ids if call_id in self._begun}

    async def _read_together(self, call_ids: Sequence[str]) -> list[tuple[Conversation, Gathered | None]]:
        read: list[tuple[Conversation, Gathered | None]] = []
        for conversation, answer in await self._read(await self._conversations.load(call_ids)):
            if isinstance(answer, Done):
                read.append((conversation, answer.gathered))
            else:
                _failed.inc()
                log.warning("projection.failed", call=conversation.call_id, reason=answer.reason)
                # One that nothing waits for is read again for a late context; no count in the database speaks for it.
                self._isolation.add(conversation.call_id, attempts=1, is_begun=not conversation.due)
        return read

    async def _keep(self, read: Sequence[tuple[Conversation, Gathered | None]]) -> None:
        overtaken = await self._conversations.keep(read)
        self._rung |= dict.fromkeys(overtaken)
        _projected.inc(len(read))
        for ring in self.on_kept:
            ring()

    async def _kept(self) -> None:
        """What was read last is written."""
        keeping, self._keeping = self._keeping, None
        if keeping is not None:
            await keeping

    async def _give_way(self, begun_at: float) -> None:
        """Filing goes first: in a rush it has nearly all of the machine, and the projection catches up afterwards."""
        rest_s = took_s = 0.0
        if self._arrived and not self._is_stopping:
            await self._kept()
            took_s = time.monotonic() - begun_at
            rest_s = min(max(self._arrived * _REST_S, _SHORTEST_REST * took_s), _LONGEST_REST * took_s, _LONGEST_REST_S)
            self._arrived = 0
            await asyncio.sleep(rest_s)
        self._slice_calls = _FEW_CALLS if rest_s else min(2 * self._slice_calls, _MANY_CALLS)

    async def _read(self, conversations: Sequence[Conversation]) -> list[tuple[Conversation, Done | Failed]]:
        """Each with what was read of it; one that takes the reader with it costs the others a new reader."""
        read: list[tuple[Conversation, Done | Failed]] = []
        while len(read) < len(conversations):
            rest = conversations[len(read) :]
            within_s = max(_WITHIN_S, self._sandbox.patience_s)
            answers = await self._sandbox.ask(question([one.events for one in rest]), len(rest), within_s)
            read += zip(rest, map(reading, answers), strict=False)  # a reader that was lost leaves the last without
        return read


def _taken(waiting: dict[str, None], limit: int) -> list[str]:
    """The first of them, taken out."""
    taken = list(islice(waiting, limit))
    for key in taken:
        del waiting[key]
    return taken


def _is_odd(begun: Begun) -> bool:
    """Not to be read among others: it has not come to an end twice, or is very long."""
    return begun.attempts >= _ODD_ATTEMPTS or begun.body_bytes > _LONG_BYTES


def _slice(wanted: dict[str, Begun], calls: int) -> list[str]:
    """As many, taken out of *wanted*, as one transaction should write and memory hold: *calls* at most, and at least one."""
    some: list[str] = []
    size_bytes = 0
    while wanted and len(some) < calls and size_bytes < _SLICE_BYTES:
        call_id = next(iter(wanted))
        some.append(call_id)
        size_bytes += wanted.pop(call_id).body_bytes
    return some
