"""offhook number: the telephone numbers of an organisation."""

import time
from typing import Annotated

from cyclopts import Parameter

from offhook.cli.group import group
from offhook.cli.installation import installation
from offhook.cli.org import Org
from offhook.cli.terminal import Json, print_json
from offhook.cli.typed import a_name, a_number
from offhook.store import organizations

app = group("number")


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
    number: Annotated[str, Parameter(name="NUMBER", help="In E.164, or as dialled in the organisation's country.")],
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
