"""Conversations read again by today's code, beside whatever else goes on: to see what would change, and to rebuild.

No attempt is counted and nothing is set aside here: that is the live projection's (projector.py), which goes on meanwhile. A
conversation that gets a new event in between is left to it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from offhook.contexts import Contexts
from offhook.directory import Directory
from offhook.errors import Damaged
from offhook.events import ASIDES, Event
from offhook.projection.conversations import Conversation, Conversations
from offhook.projection.gathering import Gathered
from offhook.projection.reader import Failed, question, reader_command
from offhook.projection.sandbox import Sandbox, reading
from offhook.sealing import KeyRing
from offhook.store import events as event_rows
from offhook.store import refolds
from offhook.store.database import Database
from offhook.store.events import Chosen
from offhook.store.projections import Aside, Projection
from offhook.store.refolds import Change, Outcome, Refold
from offhook.voice.parts import Folders

AnyRow = sa.Row[*tuple[Any, ...]]

_PAGE_ROWS = 500
_AT_ONCE = 24  #: read and written together: some ms of the one writer that SQLite has
_LIMIT_S = 5.0
_LIMIT_PER_MIB_S = 1.0
_NICENESS = "10"  #: callers come first


class Unread(NamedTuple):
    """A conversation, or an event beside one, that today's code cannot read."""

    id: str
    reason: str


class Step(NamedTuple):
    """What came of some of the events."""

    events: int  #: read; of a call only the first is counted
    changes: Sequence[Change]
    unread: Sequence[Unread]


class Refolding:
    """Understands events again, the oldest first, in the order in which they came."""

    def __init__(
        self,
        database: Database,
        keys: KeyRing,
        directory: Directory,
        folders: Folders,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._keys = keys
        self._now = now
        self._conversations = Conversations(database, keys, directory, Contexts(database), now)
        self._sandbox = Sandbox((*reader_command(folders.recordings), _NICENESS))

    async def close(self) -> None:
        await self._sandbox.close()

    async def differences(self, chosen: Chosen) -> AsyncIterator[Step]:
        """What would change if these events were replayed. Nothing is written."""
        async for rows in self._runs(chosen):
            ids = {row.call_id for row in rows}
            set_aside = await self._database.read(event_rows.replayable_of_calls, chosen, ids)
            asides = [row.id for row in rows if _is_aside(row)]
            step, _ = await self._step(rows, refolds.changes, set_aside=asides or set_aside)
            yield step

    async def rebuild(self, org_id: str | None, *, is_only_checked: bool = False) -> AsyncIterator[Step]:
        """Make anew what follows from an organisation's events, or everybody's; or only tell what that would change."""
        chosen = Chosen(org_id=org_id, statuses=("pending", "projected"))
        statement = refolds.changes if is_only_checked else refolds.keep
        async for rows in self._runs(chosen):
            begun_at = time.monotonic()
            step, late = await self._step(rows, statement, is_rebuilt=True)
            yield step
            if late:
                yield await self._with_context(late)
            await asyncio.sleep(time.monotonic() - begun_at)  # a server beside us wants to write, too

    async def _runs(self, chosen: Chosen) -> AsyncIterator[Sequence[AnyRow]]:
        """The events that there are now, in runs of the same kind, so that whoever was heard of first is so again.

        Of the events that tell of one call only the first is there: with it all of them are read.
        """
        done: set[str] = set()
        _, last_seq = await self._database.read(event_rows.count_replayable, chosen)
        after_seq = 0
        while after_seq < last_seq:
            rows = await self._database.read(event_rows.replayable, chosen, after_seq, _PAGE_ROWS)
            if not rows:
                return
            after_seq = rows[-1].seq
            new = [row for row in rows if row.seq <= last_seq and (_is_aside(row) or row.call_id not in done)]
            done |= {row.call_id for row in new if not _is_aside(row)}
            for _, run in groupby(new, _is_aside):
                same = list(run)
                for begin in range(0, len(same), _AT_ONCE):
                    yield same[begin : begin + _AT_ONCE]

    async def _step(
        self,
        rows: Sequence[AnyRow],
        statement: Callable[[sa.Connection, Refold, float], Outcome],
        *,
        set_aside: Collection[str] = (),
        is_rebuilt: bool = False,
    ) -> tuple[Step, Collection[str]]:
        """And the ids of calls that were folded before their context was there."""
        is_aside = rows[0].source in ASIDES
        call_ids = {row.call_id for row in rows}
        heard = await (self._heard_asides(rows) if is_aside else self._folded(call_ids, set_aside))
        refold = Refold(
            said=heard.said, folded=list(map(_of_the_past, heard.folded)) if is_rebuilt else heard.folded,
            due=set_aside, is_pruned=is_rebuilt,
        )  # fmt: skip
        changes, late = await self._database.write(statement, refold, self._now())
        return Step(len(rows), changes, heard.unread), late

    async def _with_context(self, call_ids: Collection[str]) -> Step:
        """Calls that came before what was asked of them, folded once more; what could not be read was told before."""
        heard = await self._folded(call_ids, ())
        refold = Refold(folded=list(map(_of_the_past, heard.folded)))
        changes, _ = await self._database.write(refolds.keep, refold, self._now())
        return Step(0, changes, ())

    async def _heard_asides(self, rows: Sequence[AnyRow]) -> "_Heard":
        heard = _Heard([], [], [])
        for event in self._opened(await self._database.read(event_rows.whole, [row.id for row in rows]), heard.unread):
            try:
                heard.said.append(self._conversations.aside(event))
            except msgspec.DecodeError:
                heard.unread.append(Unread(event.id, "What was answered to it cannot be read."))
        return heard

    async def _folded(self, call_ids: Collection[str], set_aside: Collection[str]) -> "_Heard":
        heard = _Heard([], [], [])
        conversations = await self._load(call_ids, set_aside, heard.unread)
        read: list[tuple[Conversation, Gathered | None]] = []
        for conversation, gathered in await self._read(conversations):
            if isinstance(gathered, Failed):
                heard.unread.append(Unread(conversation.call_id, gathered.reason))
            else:
                read.append((conversation, gathered))
        heard.folded.extend(await self._conversations.settled(read))
        return heard

    async def _load(
        self, call_ids: Collection[str], set_aside: Collection[str], unread: list[Unread]
    ) -> list[Conversation]:
        rows = await self._database.read(event_rows.of_calls, call_ids, set_aside)
        found: dict[str, list[Event]] = {}
        for event in self._opened(rows, unread):
            found.setdefault(event.call_id or "", []).append(event)
        spoilt = {one.id for one in unread}
        return [Conversation(id, all[0].org_id, tuple(all)) for id, all in found.items() if id not in spoilt]

    def _opened(self, rows: Sequence[AnyRow], unread: list[Unread]) -> list[Event]:
        """A conversation of which one event is damaged is left as it stands."""
        opened = []
        for row in rows:
            try:
                opened.append(event_rows.opened(event_rows.event_of(row), self._keys))
            except Damaged as damage:
                unread.append(Unread(row.id if _is_aside(row) else row.call_id, damage.message))
        return opened

    async def _read(self, conversations: Sequence[Conversation]) -> list[tuple[Conversation, Gathered | Failed | None]]:
        """Each with what was read of it; one that takes the reader with it costs the others a new reader."""
        read: list[tuple[Conversation, Gathered | Failed | None]] = []
        while len(read) < len(conversations):
            rest = conversations[len(read) :]
            mib = sum(len(event.body) for one in rest for event in one.events) / (1 << 20)
            limit_s = _LIMIT_S + mib * _LIMIT_PER_MIB_S
            answers = await self._sandbox.ask(question([one.events for one in rest]), len(rest), limit_s)
            for conversation, answer in zip(rest, map(reading, answers), strict=False):
                read.append((conversation, answer if isinstance(answer, Failed) else answer.gathered))
        return read


class _Heard(NamedTuple):
    said: list[Aside]
    folded: list[Projection]
    unread: list[Unread]


def _is_aside(row: AnyRow) -> bool:
    return row.source in ASIDES


def _of_the_past(one: Projection) -> Projection:
    """What follows from a call was wished for when its events were projected first, and is no row to be rebuilt."""
    return one if one.due else msgspec.structs.replace(one, wishes=())
