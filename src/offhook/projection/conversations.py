"""Conversations between the inbox and their rows: loaded with every event, settled, written.

What is read of them in between is read elsewhere (sandbox.py); what happens to one that cannot be is decided elsewhere, too
(projector.py).
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from offhook import followups
from offhook.contexts import Context, Contexts, Wanted, asked_in
from offhook.directory import Directory
from offhook.errors import Damaged
from offhook.events import TOOL, Event
from offhook.logs import log
from offhook.projection import settling
from offhook.projection.gathering import Gathered
from offhook.projection.settling import Folded
from offhook.sealing import KeyRing
from offhook.store import events as event_rows
from offhook.store import projections
from offhook.store.database import Database
from offhook.store.effects import Wish
from offhook.store.people import Person
from offhook.store.projections import Aside, Begun, Projection
from offhook.store.tool_uses import used_in
from offhook.voice.contract import CallEnded, CallFailed


class Conversation(NamedTuple):
    """All events that make one call and are understood or wait to be, oldest first; bodies open."""

    call_id: str
    org_id: str
    events: tuple[Event, ...]

    @property
    def due(self) -> list[Event]:
        """Those that wait."""
        return [event for event in self.events if event.status == "pending"]


class Conversations:
    """Everything that the projection asks of the database."""

    def __init__(
        self,
        database: Database,
        keys: KeyRing,
        directory: Directory,
        contexts: Contexts,
        now: Callable[[], float],
    ) -> None:
        self._database = database
        self._keys = keys
        self._directory = directory
        self._contexts = contexts
        self._now = now

    async def begin(self, call_ids: Collection[str]) -> dict[str, Begun]:
        """Count an attempt of these calls before it is made, durably."""
        return await self._database.write(projections.begin, call_ids)

    async def load(self, call_ids: Collection[str]) -> list[Conversation]:
        """Those of the calls that have events; what cannot be opened is in quarantine when this returns."""
        rows = await self._database.read(event_rows.of_calls, call_ids)
        found: dict[str, list[Event]] = {}
        for event in await self._opened(map(event_rows.event_of, rows)):
            assert event.call_id is not None
            found.setdefault(event.call_id, []).append(event)
        return [Conversation(call_id, events[0].org_id, tuple(events)) for call_id, events in found.items()]

    async def keep(self, read: Sequence[tuple[Conversation, Gathered | None]]) -> set[str]:
        """Settle and write them; the ids of those that a newer event has overtaken meanwhile."""
        return await self._database.write(projections.write, await self.settled(read), self._now())

    async def settled(self, read: Sequence[tuple[Conversation, Gathered | None]]) -> list[Projection]:
        """The rows that they come to."""
        wanted = [self._wanted(gathered) for _, gathered in read if gathered is not None]
        contexts = iter(await self._contexts.recall_all(wanted))
        return [
            _projection(conversation, None if gathered is None else self._settled(gathered, next(contexts)))
            for conversation, gathered in read
        ]

    async def hear_asides(self, event_ids: Collection[str]) -> set[str]:
        """Keep what these events say beside calls: contexts, uses of tools; the ids of calls on file that want a context."""
        rows = await self._database.read(projections.asides, event_ids)
        said = []
        for event in await self._opened(map(event_rows.event_of, rows)):
            try:
                said.append(self.aside(event))
            except msgspec.DecodeError:
                await self.set_aside([event], "What was answered to it cannot be read.")
        return await self._database.write(projections.write_asides, said, self._now())

    def aside(self, event: Event) -> Aside:
        """What *event* (open) says beside a call; msgspec.DecodeError when it cannot be read."""
        if event.source == TOOL:
            return Aside(event_id=event.id, use=used_in(event))
        return Aside(event_id=event.id, asked=asked_in(event, self._directory.country_of(event.org_id)))

    async def set_aside(self, events: Collection[Event], reason: str) -> None:
        """Put *events* into quarantine; they are kept, and projected again when somebody asks for it."""
        await self._database.write(event_rows.set_status, [event.id for event in events], "quarantined", reason)
        for event in events:
            log.error("projection.quarantined", event_id=event.id, call=event.call_id, kind=event.type, reason=reason)

    async def _opened(self, events: Iterable[Event]) -> list[Event]:
        opened = []
        for event in events:
            try:
                opened.append(event_rows.opened(event, self._keys))
            except Damaged as damage:
                await self.set_aside([event], damage.message)
        return opened

    def _settled(self, gathered: Gathered, context: Context | None) -> Folded:
        return settling.settle(gathered, context, self._directory.country_of(gathered.org_id))

    def _wanted(self, gathered: Gathered) -> Wanted:
        who = settling.parties(gathered, None, self._directory.country_of(gathered.org_id))
        ended, failed = gathered.ended or CallEnded(), gathered.failed or CallFailed()
        return Wanted(
            org_id=gathered.org_id,
            call_sid=ended.call_sid or failed.call_sid,
            conversation_id=gathered.conversation_id,
            agent_id=gathered.agent_id,
            caller=who.caller,
            called=who.called,
            at=ended.started_at,
            until=gathered.sent_at,
        )


def _projection(conversation: Conversation, folded: Folded | None) -> Projection:
    rows = {} if folded is None else _rows(conversation, folded)
    due = [event.id for event in conversation.due]
    return Projection(call_id=conversation.call_id, event_count=len(conversation.events), due=due, **rows)


def _rows(conversation: Conversation, folded: Folded) -> dict[str, Any]:
    of_call = {"org_id": conversation.org_id, "call_id": conversation.call_id}
    note = folded.note and {**msgspec.structs.asdict(folded.note), **of_call, "type": settling.AI_SUMMARY}
    person = Person(
        org_id=conversation.org_id,
        number=folded.number,
        external_id=folded.user_id,
        name=folded.contact_name,
        seen_at=folded.call["created_at"],
    )
    return {
        "call": folded.call,
        "words": folded.words,
        "note": note,
        "recordings": [{**msgspec.structs.asdict(recording), **of_call} for recording in folded.recordings],
        "person": person,
        "waiting": followups.to_answer(folded.call, folded.number),
        "wishes": [*followups.after_call(folded.call), *_fetches(folded), *_waveforms(folded)],
    }


def _fetches(folded: Folded) -> list[Wish]:
    call = folded.call
    return [followups.fetch_recording(call, event_id=one.event_id, key=one.key) for one in folded.to_fetch]


def _waveforms(folded: Folded) -> list[Wish]:
    ready = [one.id for one in folded.recordings if one.state == "ready"]
    return [followups.draw_waveform(folded.call, recording_id) for recording_id in ready]
