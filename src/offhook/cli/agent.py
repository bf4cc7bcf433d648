"""offhook agent: the ElevenLabs agents of an organisation."""

import time
from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter

from offhook.cli.agent_check import Checked, checked, facts
from offhook.cli.elevenlabs import ApiKey, api_key_of, elevenlabs, shown_progress
from offhook.cli.group import group
from offhook.cli.installation import installation
from offhook.cli.org import Org
from offhook.cli.terminal import Json, clock, iso, print_json, print_table
from offhook.connect import visit, workspace
from offhook.store import organizations
from offhook.typed import a_name, an_agent_id

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
        await here.database.write(organizations.forget_agent, found.id, known_id)
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


@app.command(
    help_epilogue="""\
Examples:
  offhook agent check "Acme Corp"
  offhook agent check "Acme Corp" Reception --json

ElevenLabs ends a call whose agent misses a variable. Exit code 1 when one does.
"""
)
async def check(
    org: Org,
    agent: Annotated[str | None, Parameter(name="AGENT", help="Its id or name. [default: all that are known]")] = None,
    /,
    *,
    api_key: ApiKey = None,
    json: Json = False,
) -> int:
    """Say whether every variable of an agent's prompt, first message and tools is filled."""
    async with installation() as here:
        found, connected = await here.database.read(visit.known, here.keys, org)
        known = await here.database.read(organizations.agents_of, found.id)
        async with elevenlabs(api_key_of(api_key, here.settings, connected), here.settings) as asked:
            with shown_progress("Reading agents") as progress:
                there = await workspace.read(asked)
                registered = [one.agent_id for one in known if one.agent_id in there.agent_names]
                ids = [visit.agent_id_of(agent, there)] if agent else registered or [*there.agent_names]
                await visit.read_in_full(asked, there, ids, progress)
    answers = [checked(id, there, found, known, here.settings) for id in ids if id in there.agents]
    if json:
        print_json([facts(one) for one in answers])
    else:
        _print_answers(answers)
    return 0 if all(one.is_complete for one in answers) else 1


def _print_answers(answers: list[Checked]) -> None:
    rows = ((one, use) for one in answers for use in sorted(one.uses, key=lambda use: use.filled_by is not None))
    print_table(
        ("agent", "variable", "used in", "filled by", "what to do"),
        ((one.name, use.name, _few(use.used_in), use.filled_by or "NOBODY", use.advice) for one, use in rows),
    )
    missing = [one.name for one in answers if not one.is_complete]
    unasked = [one.name for one in answers if not one.is_asked]
    if unasked:
        print(f"\noffhook is not asked before calls of {', '.join(unasked)}: `offhook connect` switches it on.")
    if missing:
        print(f"\nElevenLabs may end calls of {', '.join(missing)}: a variable is filled by nobody.")
    else:
        print("\nEvery variable is filled.")


def _few(places: Sequence[str]) -> str:
    return ", ".join(places) if len(places) <= 3 else f"{', '.join(places[:2])} and {len(places) - 2} more"
