"""offhook effects: what offhook does outside, what waits for it, and what was given up."""

import re
import time
from collections.abc import Sequence
from typing import Annotated, Any

import sqlalchemy as sa
from cyclopts import Parameter, validators

from offhook.cli.events import OptionalOrg
from offhook.cli.group import group
from offhook.cli.installation import installation
from offhook.cli.terminal import Json, clock, iso, print_json, print_table
from offhook.errors import Mistake
from offhook.store import effects, organizations
from offhook.store.database import Database
from offhook.store.effects import Status

_BATCH = 500  #: made due in one transaction, so that a running server waits for none of them long
_EFFECT_ID = re.compile(r"[0-9a-f]{24}", re.ASCII)

app = group("effects")

OfStatus = Annotated[Status | None, Parameter(name="--status", help="Only those.")]
OfKind = Annotated[str | None, Parameter(name="--kind", help="Only those, such as missed_call_text.")]


@app.command(
    name="list",
    help_epilogue="""\
Examples:
  offhook effects list
  offhook effects list Acme --status dead --json
  offhook effects list --kind missed_call_text --status suppressed
""",
)
async def list_(
    org: OptionalOrg = None,
    /,
    *,
    status: OfStatus = None,
    kind: OfKind = None,
    limit: Annotated[int, Parameter(help="At most so many.", validator=validators.Number(gte=1, lte=10_000))] = 50,
    json: Json = False,
) -> None:
    """List effects, the newest first."""
    async with installation() as here:
        org_id = await _org_id(here.database, org)
        rows, total = await here.database.read(effects.page, org_id, status=status, kind=kind, limit=limit)
    if json:
        print_json([_facts(row) for row in rows])
        return
    print_table(
        ("effect", "made", "kind", "status", "tries", "due", "call", "outcome"),
        (
            (
                row.id,
                clock(row.created_at),
                row.kind,
                row.status,
                row.attempts,
                clock(_due_at(row)),
                row.call_id,
                row.outcome,
            )
            for row in rows
        ),
    )
    print(f"{len(rows)} of {total}")


@app.command(
    help_epilogue="""\
Examples:
  offhook effects retry 5e0a...             one, by its id
  offhook effects retry Acme --status dead  an organisation's
  offhook effects retry --status dead       everybody's

The running server, or a worker, takes them up within a second. What is done is
not done again.
"""
)
async def retry(
    *which: Annotated[str, Parameter(name="WHICH", help="Ids of effects, or an organisation together with --status.")],
    status: OfStatus = None,
    kind: OfKind = None,
    json: Json = False,
) -> None:
    """Try again what was given up or suppressed."""
    async with installation() as here:
        ids = await _chosen(here.database, which, status, kind)
        again: list[str] = []
        for begin in range(0, len(ids), _BATCH):
            again += await here.database.write(effects.retry, None, ids[begin : begin + _BATCH], time.time())
    if json:
        print_json([{"id": one} for one in again])
    else:
        print(f"{len(again)} due again." if again else "There is nothing to try again.")


async def _org_id(database: Database, org: str | None) -> str | None:
    return None if org is None else (await database.read(organizations.find, org)).id


async def _chosen(database: Database, which: Sequence[str], status: Status | None, kind: str | None) -> Sequence[str]:
    """The ids of the effects meant; Mistake when it is not said which, or when one of them cannot be tried again."""
    named = await database.read(effects.find, [word for word in which if _EFFECT_ID.fullmatch(word)])
    if named:
        return _named(named, which)
    if which and status is None:
        raise Mistake(
            f"There is no effect {which[0]!r}: `offhook effects list` shows them, and an organisation wants --status."
        )
    if status not in ("dead", "suppressed"):
        raise Mistake("Say which: ids of effects, or --status dead or suppressed.")
    if len(which) > 1:
        raise Mistake("Name one organisation, or none for all of them.")
    org_id = await _org_id(database, which[0] if which else None)
    return await database.read(effects.ids_of, org_id, status=status, kind=kind)


def _named(rows: Sequence[sa.Row[Any]], which: Sequence[str]) -> Sequence[str]:
    found = {row.id: row for row in rows}
    for word in which:
        if word not in found:
            raise Mistake(f"There is no effect {word!r}: `offhook effects list` shows them.")
        if found[word].status in ("due", "done"):
            raise Mistake(f"The effect {word} is {found[word].status}: only what is dead or suppressed is tried again.")
    return list(found)


def _due_at(row: sa.Row[Any]) -> float | None:
    return float(row.due_at) if row.status == "due" else None


def _facts(row: sa.Row[Any]) -> dict[str, Any]:
    return {
        "id": row.id,
        "org_id": row.org_id,
        "kind": row.kind,
        "key": row.key,
        "call_id": row.call_id,
        "status": row.status,
        "outcome": row.outcome,
        "attempts": row.attempts,
        "due_at": iso(_due_at(row)),
        "leased_until": iso(row.leased_until),
        "created_at": iso(row.created_at),
        "updated_at": iso(row.updated_at),
    }
