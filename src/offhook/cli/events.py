"""offhook events: what came in, as it came, and how far it got."""

import sys
from typing import Annotated, Any

import sqlalchemy as sa
from cyclopts import Parameter, validators

from offhook.cli import replays
from offhook.cli.group import group
from offhook.cli.installation import Installation, installation
from offhook.cli.terminal import Json, clock, iso, print_facts, print_json, print_table
from offhook.errors import Mistake
from offhook.events import Status
from offhook.store import events, organizations
from offhook.store.database import Database
from offhook.store.events import Chosen
from offhook.voice.parts import Folders, rebuild

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
  offhook events replay --status quarantined,stale  everybody's
  offhook events replay Acme --since 7d --dry-run   what would change
  offhook events replay --all                       after an upgrade

The running server, or a worker, takes them up, a few hundred at a time, so that
live events hardly wait. What followed from a call does not follow again: nobody
gets a second text. With --dry-run nothing is written. Exit code 1 when one of
them is quarantined again, or cannot be read.
"""
)
async def replay(
    *which: Annotated[str, Parameter(name="WHICH", help="Ids of events, or an organisation together with an option.")],
    all: Annotated[bool, Parameter(name="--all", negative="", show_default=False, help="All there are.")] = False,
    status: Annotated[
        str | None, Parameter(name="--status", help="Only those, such as quarantined,stale (comma-separated).")
    ] = None,
    type: OfType = None,
    since: Annotated[str | None, Parameter(name="--since", help="That came within this time, such as 7d.")] = None,
    dry_run: Annotated[
        bool, Parameter(name="--dry-run", negative="", show_default=False, help="Only tell what would change.")
    ] = False,
    wait: Annotated[
        float, Parameter(help="Seconds to wait for somebody to take them up.", validator=validators.Number(gte=0))
    ] = 10,
    json: Json = False,
) -> int:
    """Understand events again, as today's offhook does; the calls that they tell of are made anew from all their events."""
    async with installation() as here:
        chosen = await replays.chosen(here.database, which, is_all=all, statuses=status, type=type, since=since)
        if dry_run:
            return await _show_difference(here, chosen, json=json)
        outcomes = await replays.replayed_all(here, chosen, wait)
    if json:
        print_json([{"id": one, "status": status, "reason": reason} for one, (status, reason) in outcomes.items()])
    else:
        replays.print_outcomes(outcomes)
    return int(any(status == "quarantined" for status, _ in outcomes.values()))


async def _show_difference(here: Installation, chosen: Chosen, *, json: bool) -> int:
    total, _ = await here.database.read(events.count_replayable, chosen)
    async with replays.refolding(here) as refolding:
        difference = await replays.tried(refolding.differences(chosen), "Reading", total)
    if json:
        print_json(difference.facts())
    else:
        difference.print(same=f"{total} events: nothing would change.")
    return int(bool(difference.unread))


async def _org_id(database: Database, org: str | None) -> str | None:
    return None if org is None else (await database.read(organizations.find, org)).id


# What is shown


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
