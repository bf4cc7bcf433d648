"""offhook number: the telephone numbers of an organisation."""

import time
from typing import Annotated

from cyclopts import Parameter

from offhook.cli.group import group
from offhook.cli.installation import installation
from offhook.cli.org import Org
from offhook.cli.terminal import Json, clock, iso, print_json, print_table
from offhook.errors import Mistake
from offhook.store import organizations
from offhook.typed import a_name, a_number

app = group("number")

ItsNumber = Annotated[str, Parameter(name="NUMBER", help="In E.164, or as dialled in the organisation's country.")]


@app.command(
    help_epilogue="""\
Examples:
  offhook number add Acme +12362320246 --label "Front desk"
  offhook number add Acme "(236) 232-0246"

Calls to it are then known to be the organisation's, also where several share
one webhook secret.
"""
)
async def add(
    org: Org,
    number: ItsNumber,
    /,
    *,
    label: Annotated[str | None, Parameter(help="What it is for.")] = None,
    json: Json = False,
) -> None:
    """Register a number that callers ring; one that is known gets the new label."""
    called = a_name(label, "the number") if label is not None else None
    async with installation() as here:
        found = await here.database.read(organizations.find, org)
        e164 = a_number(number, found.country)
        await here.database.write(organizations.add_number, found.id, e164, called, time.time())
    if json:
        print_json({"org_id": found.id, "number": e164, "label": called})
    else:
        print(f"{e164} belongs to {found.name}.")


@app.command(help_epilogue="Example:\n  offhook number remove Acme +12362320246\n")
async def remove(org: Org, number: ItsNumber, /, *, json: Json = False) -> None:
    """Let a number go. Its calls stay."""
    async with installation() as here:
        found = await here.database.read(organizations.find, org)
        e164 = a_number(number, found.country)
        if not await here.database.write(organizations.remove_number, found.id, e164):
            raise Mistake(f"{e164} is no number of {found.name}: `offhook number list` shows those that are.")
    if json:
        print_json({"org_id": found.id, "number": e164, "removed": True})
    else:
        print(f"{e164} is no number of {found.name} any more.")


@app.command(name="list", help_epilogue="Example:\n  offhook number list Acme --json\n")
async def list_(org: Org, /, *, json: Json = False) -> None:
    """List the numbers that callers ring."""
    async with installation() as here:
        found = await here.database.read(organizations.find, org)
        rows = await here.database.read(organizations.numbers_of, found.id)
    if json:
        print_json([{"number": row.number, "label": row.label, "created_at": iso(row.created_at)} for row in rows])
    else:
        print_table(
            ("number", "label", "since"), ((row.number, row.label or "", clock(row.created_at)) for row in rows)
        )
