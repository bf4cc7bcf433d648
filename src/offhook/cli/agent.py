"""offhook agent: the ElevenLabs agents of an organisation."""

import time
from typing import Annotated

from cyclopts import Parameter

from offhook.cli.group import group
from offhook.cli.installation import installation
from offhook.cli.org import Org
from offhook.cli.terminal import Json, print_json
from offhook.cli.typed import a_name, an_agent_id
from offhook.store import organizations

app = group("agent")


@app.command(
    help_epilogue="""\
Example:
  offhook agent add Acme agent_01jz... --name Reception

Needed only where several organisations share one webhook secret and its
address has no ?org=: otherwise agents are learnt from their events.
"""
)
async def add(
    org: Org,
    agent_id: Annotated[str, Parameter(name="AGENT_ID", help="As ElevenLabs shows it.")],
    /,
    *,
    name: Annotated[str | None, Parameter(help="What to call the agent.")] = None,
    json: Json = False,
) -> None:
    """Register an agent; one that is known gets the new name."""
    known_id = an_agent_id(agent_id)
    called = a_name(name, "the agent") if name is not None else None
    async with installation() as here:
        found = await here.database.read(organizations.find, org)
        await here.database.write(organizations.add_agent, found.id, known_id, called, time.time())
    if json:
        print_json({"org_id": found.id, "agent_id": known_id, "name": called})
    else:
        print(f"{known_id} belongs to {found.name}.")
