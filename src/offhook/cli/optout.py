"""offhook optout: numbers that want no texts."""

import time
from typing import Annotated

from cyclopts import Parameter

from offhook.cli.group import group
from offhook.cli.installation import installation
from offhook.cli.org import Org
from offhook.cli.terminal import Json, clock, iso, print_json, print_table
from offhook.store import opt_outs, organizations
from offhook.typed import a_number

app = group("optout")

Number = Annotated[str, Parameter(name="NUMBER", help="In E.164, or as dialled in the organisation's country.")]


@app.command(
    help_epilogue="""\
Example:
  offhook optout add Acme +14165550100

Who sends STOP is on the list without you. What you write down stays until you
remove it, also when the person sends START.
"""
)
async def add(org: Org, number: Number, /, *, json: Json = False) -> None:
    """Text that number no more."""
    async with installation() as here:
        found = await here.database.read(organizations.find, org)
        e164 = a_number(number, found.country)
        await here.database.write(opt_outs.add, found.id, [e164], "cli", time.time())
    if json:
        print_json({"org_id": found.id, "number": e164, "is_opted_out": True})
    else:
        print(f"{found.name} does not text {e164} any more.")


@app.command(help_epilogue="Example:\n  offhook optout remove Acme +14165550100\n")
async def remove(org: Org, number: Number, /, *, json: Json = False) -> None:
    """Text that number again; only with the person's consent."""
    async with installation() as here:
        found = await here.database.read(organizations.find, org)
        e164 = a_number(number, found.country)
        await here.database.write(opt_outs.remove, found.id, [e164])
    if json:
        print_json({"org_id": found.id, "number": e164, "is_opted_out": False})
    else:
        print(f"{found.name} may text {e164} again.")


@app.command(name="list", help_epilogue="Example:\n  offhook optout list Acme --json\n")
async def list_(org: Org, /, *, json: Json = False) -> None:
    """List the numbers that are not texted, the newest first."""
    async with installation() as here:
        found = await here.database.read(organizations.find, org)
        rows = await here.database.read(opt_outs.list_all, found.id)
    if json:
        print_json([{"number": row.number, "source": row.source, "created_at": iso(row.created_at)} for row in rows])
    else:
        print_table(("number", "since", "by"), ((row.number, clock(row.created_at), row.source) for row in rows))
