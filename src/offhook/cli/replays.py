"""Events understood again: chosen, sent back a few at a time, or only tried to see what would change."""

import re
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, get_args

import msgspec
import sqlalchemy as sa

from offhook.cli.installation import Installation
from offhook.cli.progress import bar
from offhook.cli.terminal import plain, print_facts
from offhook.directory import Directory
from offhook.errors import Mistake
from offhook.events import ASIDES, Event, Status, call_id, event_id
from offhook.projection.refolding import Refolding, Step
from offhook.replaying import BATCH, Standing, sent_back
from offhook.store import events, organizations
from offhook.store.database import Database
from offhook.store.events import Chosen
from offhook.store.refolds import Change
from offhook.typed import a_duration
from offhook.voice.parts import Folders

MOST_SHOWN = 200  #: rows of a difference; the rest is counted

_CLAIMED_TOGETHER = 50
_LONGEST_VALUE, _LONGEST_JSON_VALUE = 60, 2_000
_EVENT_ID = re.compile(r"[0-9a-f]{24}", re.ASCII)


# Which events


async def chosen(
    database: Database, which: Sequence[str], *, is_all: bool, statuses: str | None, type: str | None, since: str | None
) -> Chosen:
    """What was typed, as a choice; Mistake when it is not said which, or when one of them cannot be replayed."""
    wanted = _statuses(statuses)
    rows = [await database.read(events.find, word) for word in which if _EVENT_ID.fullmatch(word)]
    named = [row for row in rows if row is not None]
    if named:
        return Chosen(ids=_named(named, which))
    if not is_all and not wanted and type is None and since is None:
        raise Mistake(_not_said(which))
    if len(which) > 1:
        raise Mistake("Name one organisation, or none for all of them.")
    org_id = (await database.read(organizations.find, which[0])).id if which else None
    came_at = None if since is None else time.time() - a_duration(since)
    return Chosen(org_id=org_id, type=type, statuses=wanted, since=came_at)


def _statuses(words: str | None) -> tuple[Status, ...]:
    typed = tuple(word.strip() for word in (words or "").split(",") if word.strip())
    known: tuple[Status, ...] = get_args(Status)
    for word in typed:
        if word not in known:
            raise Mistake(f"{word!r} is no status: there are {', '.join(known)}.")
    return tuple(status for status in known if status in typed)


def _not_said(which: Sequence[str]) -> str:
    if which:
        return (
            f"There is no event {which[0]!r}: `offhook events list` shows them, and an organisation wants --all, "
            "--status, --type or --since."
        )
    return "Say which: ids of events, --all, --type, --since, or --status, such as --status quarantined."


def _named(rows: Sequence[sa.Row[Any]], which: Sequence[str]) -> tuple[str, ...]:
    found = {row.id: row for row in rows}
    for word in which:
        if word not in found:
            raise Mistake(f"There is no event {word!r}: `offhook events list` shows them.")
        if found[word].status == "unassigned":
            raise Mistake(f"The event {word} belongs to no organisation yet, so there is nothing to make of it.")
        if found[word].call_id is None and found[word].source not in ASIDES:
            raise Mistake(f"The event {word} belongs to no conversation, so there is nothing to make of it.")
    return tuple(found)


# Whose they are

_NOBODYS = (
    "Unassigned events belong to no organisation yet, and none of them names an agent that exactly one organisation has "
    "registered: `offhook agent add ORG AGENT_ID` registers one."
)


async def claimed(here: Installation, chosen: Chosen) -> list[str]:
    """Give unassigned events to the one organisation that has registered their agent since; their new ids.

    Of *chosen* organisation, type and time count: where an organisation is named, only what is its own.
    """
    ids: list[str] = []
    after_seq = 0
    while rows := await here.database.read(events.unassigned, after_seq, _CLAIMED_TOGETHER):
        for row in rows:
            owners = await here.database.read(organizations.registered_by, row.agent_id or "")
            if len(owners) == 1 and _is_meant(chosen, row, owners[0]):
                event = _given(events.opened(events.event_of(row), here.keys), owners[0])
                await here.database.write(events.assign, row.id, events.sealed(event, here.keys))
                ids.append(event.id)
        after_seq = rows[-1].seq
    return ids


def _is_meant(chosen: Chosen, row: sa.Row[Any], owner: str) -> bool:
    is_in_time = chosen.since is None or row.received_at >= chosen.since
    return chosen.org_id in (None, owner) and chosen.type in (None, row.type) and is_in_time


def _given(event: Event, org_id: str) -> Event:
    return msgspec.structs.replace(
        event,
        id=event_id(org_id, event.sha256),
        org_id=org_id,
        call_id=call_id(org_id, event.conversation_id or ""),
        status="pending",
        reason=None,
    )


# Replaying


async def replayed_all(here: Installation, chosen: Chosen, wait_s: float) -> dict[str, Standing]:
    """The same as `replayed`, and of those that are unassigned what has found its organisation. Mistake when that is all that
    was asked for, and nothing has."""
    if "unassigned" not in chosen.statuses:
        return await replayed(here.database, chosen, wait_s)
    others = tuple(status for status in chosen.statuses if status != "unassigned")
    ids = await claimed(here, chosen)
    if not ids and not others:
        raise Mistake(_NOBODYS)
    outcomes: dict[str, Standing] = {}
    for begin in range(0, len(ids), BATCH):
        outcomes |= await replayed(here.database, Chosen(ids=tuple(ids[begin : begin + BATCH])), wait_s)
    if others:
        outcomes |= await replayed(here.database, msgspec.structs.replace(chosen, statuses=others), wait_s)
    return outcomes


async def replayed(database: Database, chosen: Chosen, wait_s: float) -> dict[str, Standing]:
    """Send them back, a few at a time as long as somebody takes them up, and all at once when nobody has for *wait_s*."""
    total, last_seq = await database.read(events.count_replayable, chosen)
    with bar("Replaying", total) as advance:
        return await sent_back(database, _batches(database, chosen, last_seq), wait_s, advance)


async def _batches(database: Database, chosen: Chosen, last_seq: int) -> AsyncIterator[Sequence[str]]:
    """The ids of the events that there are now; what comes meanwhile is understood anyway."""
    after_seq = 0
    while rows := await database.read(events.replayable, chosen, after_seq, BATCH):
        if ids := [row.id for row in rows if row.seq <= last_seq]:
            yield ids
        after_seq = rows[-1].seq
        if after_seq >= last_seq:
            return


def print_outcomes(outcomes: dict[str, Standing]) -> None:
    if not outcomes:
        print("There is no such event.")
    again = [(id, reason) for id, (status, reason) in outcomes.items() if status == "quarantined"]
    print_facts([(id, f"quarantined again: {reason}") for id, reason in again[:MOST_SHOWN]])
    counts: dict[str, int] = {}
    for status, _ in outcomes.values():
        counts[status] = counts.get(status, 0) + 1
    print_facts(counts.items())
    if "pending" in counts:
        print("What is pending is taken up as soon as `offhook serve` or a worker runs.")


# Only trying


@asynccontextmanager
async def refolding(here: Installation) -> AsyncIterator[Refolding]:
    """Today's code, on the installation's events."""
    directory = Directory(here.database, here.keys)
    await directory.open()
    folders = Folders(here.settings.recordings_dir, here.settings.bodies_dir, here.keys)
    made = Refolding(here.database, here.keys, directory, folders)
    try:
        yield made
    finally:
        await made.close()
        await directory.close()


class Difference:
    """What steps come to: the first changes, and how many there are."""

    def __init__(self) -> None:
        self.events = 0
        self.shown: list[Change] = []
        self.counts: dict[str, int] = {}  #: by table and what becomes of its row
        self.unread: list[dict[str, str]] = []

    @property
    def is_empty(self) -> bool:
        return not self.counts and not self.unread

    def add(self, step: Step) -> None:
        self.events += step.events
        for change in step.changes:
            what = f"{change.table} {change.what}"
            self.counts[what] = self.counts.get(what, 0) + 1
        self.shown += step.changes[: MOST_SHOWN - len(self.shown)]
        self.unread += [one._asdict() for one in step.unread]

    def facts(self) -> dict[str, Any]:
        """For programs."""
        return {
            "events": self.events,
            "counts": self.counts,
            "changes": [_facts(change) for change in self.shown],
            "changes_left_out": sum(self.counts.values()) - len(self.shown),
            "unread": self.unread,
        }

    def print(self, *, same: str) -> None:
        for change in self.shown:
            of_call = "" if change.call_id in (None, change.id) else f" of call {change.call_id}"
            print(f"{change.table} {change.id}{of_call}: {change.what}")
            if change.what == "changed":
                values = {name: f"{_cut(old)} -> {_cut(new)}" for name, (old, new) in change.fields.items()}
                print_facts((f"  {name}", value) for name, value in values.items())
        for one in self.unread[:MOST_SHOWN]:
            print(f"{one['id']}: cannot be read: {one['reason']}")
        print_facts(self.counts.items())
        if len(self.shown) < sum(self.counts.values()):
            print(f"The first {len(self.shown)} are shown.")
        if self.is_empty:
            print(same)


async def tried(steps: AsyncIterator[Step], what: str, total: int) -> Difference:
    """All of *steps*, under a bar."""
    difference = Difference()
    with bar(what, total) as advance:
        async for step in steps:
            difference.add(step)
            advance(step.events)
    return difference


def _facts(change: Change) -> dict[str, Any]:
    fields = {name: {"old": _bounded(old), "new": _bounded(new)} for name, (old, new) in change.fields.items()}
    return {"table": change.table, "id": change.id, "call_id": change.call_id, "what": change.what, "fields": fields}


def _bounded(value: Any) -> Any:
    if isinstance(value, str) and len(value) > _LONGEST_JSON_VALUE:
        return value[:_LONGEST_JSON_VALUE] + f"... ({len(value)} characters)"
    return value


def _cut(value: Any) -> str:
    words = plain(value)
    return words if len(words) <= _LONGEST_VALUE else f"{words[:_LONGEST_VALUE]}... ({len(words)} characters)"
