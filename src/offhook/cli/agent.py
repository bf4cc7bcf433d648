"""offhook agent: the ElevenLabs agents of an organisation."""

import time
from typing import Annotated

from cyclopts import Parameter

from offhook.cli.group import group
from offhook.cli.installation import installation
from offhook.cli.org import Org
from offhook.cli.terminal import Json, clock, iso, print_json, print_table
from offhook.cli.typed import a_name, an_agent_id
from offhook.store import organizations

app = group("agent")

AgentId = Annotated[str, Parameter(name="AGENT_ID", help="As ElevenLabs shows it.")]


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
    agent_id: AgentId,
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


@app.command(help_epilogue="Example:\n  offhook agent remove Acme agent_01jz...\n")
async def remove(org: Org, agent_id: AgentId, /, *, json: Json = False) -> None:
    """Forget an agent and its variables. Its calls stay, and its next event makes it known again."""
    known_id = an_agent_id(agent_id)
    async with installation() as here:
        found = await here.database.read(organizations.find, org)
        await here.database.write(organizations.remove_agent, found.id, known_id)
    if json:
        print_json({"org_id": found.id, "agent_id": known_id, "removed": True})
    else:
        print(f"{known_id} is no agent of {found.name} any more.")


@app.command(name="list", help_epilogue="Example:\n  offhook agent list Acme --json\n")
async def list_(org: Org, /, *, json: Json = False) -> None:
    """List the agents; those that nobody registered were learnt from their events."""
    async with installation() as here:
        found = await here.database.read(organizations.find, org)
        rows = await here.database.read(organizations.agents_of, found.id)
    if json:
        print_json(
            [
                {
                    "agent_id": row.agent_id,
                    "name": row.name,
                    "is_learnt": row.is_learnt,
                    "created_at": iso(row.created_at),
                }
                for row in rows
            ]
        )
    else:
        columns = ("agent", "name", "since", "known by")
        known_by = {True: "an event", False: "you"}
        print_table(
            columns, ((row.agent_id, row.name or "", clock(row.created_at), known_by[row.is_learnt]) for row in rows)
        )
