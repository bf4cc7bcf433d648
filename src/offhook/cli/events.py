"""offhook events: what came in, as it came, and how far it got."""

import asyncio
import re
import sys
import time
from collections.abc import Sequence
from typing import Annotated, Any

import sqlalchemy as sa
from cyclopts import Parameter, validators

from offhook.cli.group import group
from offhook.cli.installation import Installation, installation
from offhook.cli.terminal import Json, clock, iso, print_facts, print_json, print_table
from offhook.errors import Mistake
from offhook.events import ASIDES, Status
from offhook.store import events, organizations
from offhook.store.database import Database
from offhook.voice.parts import Folders, rebuild

_BATCH = 500  #: events sent back in one transaction, so that a running server waits for none of them long
_LOOK_EVERY_S = 0.1
_EVENT_ID = re.compile(r"[0-9a-f]{24}", re.ASCII)

app = group("events")

OptionalOrg = Annotated[str | None, Parameter(name="ORG", help="An id or a unique name. [default: all organisations]")]
OfStatus = Annotated[Status | None, Parameter(name="--status", help="Only those.")]
OfType = Annotated[str | None, Parameter(name="--type", help="Only those, such as post_call_audio.")]


@app.command(
    name="list",
    help_epilogue="""\
Examples:
  offhook events list
  offhook events list Acme --status quarantined --json
""",
)
async def list_(
    org: OptionalOrg = None,
    /,
    *,
    status: OfStatus = None,
    type: OfType = None,
    limit: Annotated[int, Parameter(help="At most so many.", validator=validators.Number(gte=1, lte=10_000))] = 50,
    json: Json = False,
) -> None:
    """List events, the newest first."""
    async with installation() as here:
        org_id = await _org_id(here.database, org)
        rows, total = await here.database.read(events.page, org_id, status=status, type=type, limit=limit)
    if json:
        print_json([_facts(row) for row in rows])
        return
    print_table(
        ("event", "received", "type", "status", "call", "came", "reason"),
        (
            (row.id, clock(row.received_at), row.type, row.status, row.call_id, f"{row.deliveries}x", row.reason)
            for row in rows
        ),
    )
    print(f"{len(rows)} of {total}")


@app.command(
    help_epilogue="""\
Examples:
  offhook events show 5e0a...
  offhook events show 5e0a... --body > body.json

The body is what was signed, byte for byte. It may hold secrets that the
agent's tools were given.
"""
)
async def show(
    event: Annotated[str, Parameter(name="EVENT", help="Its id.")],
    /,
    *,
    body: Annotated[bool, Parameter(negative="", show_default=False, help="Write the body as it came.")] = False,
    json: Json = False,
) -> None:
    """Show what is known of an event, or with --body what it said."""
    async with installation() as here:
        row = await here.database.read(events.find, event)
        if row is None:
            raise Mistake(f"There is no event {event!r}: `offhook events list` shows them.")
        if body:
            _write_body(here, row)
        elif json:
            print_json(_facts(row))
        else:
            print_facts(_facts(row).items())


@app.command(
    help_epilogue="""\
Examples:
  offhook events replay 5e0a...                     one, by its id
  offhook events replay Acme --status quarantined   an organisation's
  offhook events replay --status quarantined        everybody's

The running server, or a worker, takes them up within a second. Exit code 1
when one of them is quarantined again.
"""
)
async def replay(
    *which: Annotated[str, Parameter(name="WHICH", help="Ids of events, or an organisation together with --status.")],
    status: OfStatus = None,
    type: OfType = None,
    wait: Annotated[float, Parameter(help="Seconds to wait for the outcome.", validator=validators.Number(gte=0))] = 10,
    json: Json = False,
) -> int:
    """Understand events again, as today's offhook does; the calls that they tell of are made anew from all their events."""
    async with installation() as here:
        ids = await _chosen(here.database, which, status, type)
        for begin in range(0, len(ids), _BATCH):
            await here.database.write(events.send_back, ids[begin : begin + _BATCH])
        outcomes = await _outcomes(here.database, ids, wait)
    if json:
        print_json([{"id": one, "status": outcomes[one][0], "reason": outcomes[one][1]} for one in ids])
    else:
        _print_outcomes(outcomes)
    return int(any(status == "quarantined" for status, _ in outcomes.values()))


# Which events


async def _org_id(database: Database, org: str | None) -> str | None:
    return None if org is None else (await database.read(organizations.find, org)).id


async def _chosen(database: Database, which: Sequence[str], status: Status | None, type: str | None) -> Sequence[str]:
    """The ids of the events meant; Mistake when it is not said which, or when one of them cannot be replayed."""
    if status == "unassigned":
        raise Mistake("Unassigned events belong to no organisation yet, so there is nothing to make of them.")
    rows = [await database.read(events.find, word) for word in which if _EVENT_ID.fullmatch(word)]
    named = [row for row in rows if row is not None]
    if named:
        return _named(named, which)
    if which and status is None and type is None:
        raise Mistake(
            f"There is no event {which[0]!r}: `offhook events list` shows them, and an organisation wants --status."
        )
    if status is None and type is None:
        raise Mistake("Say which: ids of events, or --status, such as `offhook events replay --status quarantined`.")
    if len(which) > 1:
        raise Mistake("Name one organisation, or none for all of them.")
    org_id = await _org_id(database, which[0] if which else None)
    return await database.read(events.replayable, org_id, status=status, type=type)


def _named(rows: Sequence[sa.Row[Any]], which: Sequence[str]) -> Sequence[str]:
    found = {row.id: row for row in rows}
    for word in which:
        if word not in found:
            raise Mistake(f"There is no event {word!r}: `offhook events list` shows them.")
        if found[word].status == "unassigned":
            raise Mistake(f"The event {word} belongs to no organisation yet, so there is nothing to make of it.")
        if found[word].call_id is None and found[word].source not in ASIDES:
            raise Mistake(f"The event {word} belongs to no conversation, so there is nothing to make of it.")
    return list(found)


async def _outcomes(database: Database, ids: Sequence[str], wait_s: float) -> dict[str, tuple[Status, str | None]]:
    """How the events stand when none is pending any more, or after *wait_s*."""
    until = time.monotonic() + wait_s
    while True:
        standing: dict[str, tuple[Status, str | None]] = {}
        for begin in range(0, len(ids), _BATCH):
            standing |= await database.read(events.standing, ids[begin : begin + _BATCH])
        if time.monotonic() >= until or all(status != "pending" for status, _ in standing.values()):
            return standing
        await asyncio.sleep(_LOOK_EVERY_S)


# What is shown


def _print_outcomes(outcomes: dict[str, tuple[Status, str | None]]) -> None:
    if not outcomes:
        print("There is no such event.")
    for event_id, (status, reason) in outcomes.items():
        if status == "quarantined":
            print_facts([(event_id, f"quarantined again: {reason}")])
    counts: dict[str, int] = {}
    for status, _ in outcomes.values():
        counts[status] = counts.get(status, 0) + 1
    print_facts(counts.items())
    if "pending" in counts:
        print("What is pending is taken up as soon as `offhook serve` or a worker runs.")


def _facts(row: sa.Row[Any]) -> dict[str, Any]:
    return {
        "id": row.id,
        "org_id": row.org_id,
        "type": row.type,
        "source": row.source,
        "proof": row.proof,
        "status": row.status,
        "reason": row.reason,
        "conversation_id": row.conversation_id,
        "agent_id": row.agent_id,
        "call_id": row.call_id,
        "event_timestamp": iso(row.event_timestamp),
        "received_at": iso(row.received_at),
        "projected_at": iso(row.projected_at),
        "bytes": row.size_bytes,
        "sha256": row.sha256,
        "deliveries": row.deliveries,
        "attempts": row.attempts,
    }


def _write_body(here: Installation, row: sa.Row[Any]) -> None:
    folders = Folders(here.settings.recordings_dir, here.settings.bodies_dir, here.keys)
    event = events.event_of(row)
    for piece in rebuild(here.keys.open(event.body, bound_to=event.id), event.parts, folders):
        sys.stdout.buffer.write(piece)
