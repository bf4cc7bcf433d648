"""offhook variable: dynamic variables that agents use, and that every answer therefore fills."""

import time
from typing import Annotated

from cyclopts import Parameter

from offhook import declared
from offhook.cli.group import group
from offhook.cli.installation import installation
from offhook.cli.org import Org
from offhook.cli.terminal import Json, print_json, print_table
from offhook.errors import Mistake
from offhook.rules import Variable
from offhook.store import declarations, organizations
from offhook.typed import an_agent_id

app = group("variable")

Name = Annotated[str, Parameter(name="NAME", help="Letters, digits and _; as the prompt has it between {{ and }}.")]
OfAgent = Annotated[
    str | None, Parameter(name="--agent", help="For this agent alone. [default: all of the organisation's]")
]


@app.command(
    name="set",
    help_epilogue="""\
Examples:
  offhook variable set Acme caller_name --default there
  offhook variable set Acme visits --type number --default 0
  offhook variable set Acme offer --default "ten percent" --agent agent_01jz...

ElevenLabs ends a call whose agent misses a variable: declare each one that
your prompts use.
""",
)
async def set_(
    org: Org,
    name: Name,
    /,
    *,
    type: Annotated[str, Parameter(help="string, number or boolean.")] = "string",
    default: Annotated[
        str | None, Parameter(help="What is told when nothing is known. [default: empty, 0 or false]")
    ] = None,
    agent: OfAgent = None,
    json: Json = False,
) -> None:
    """Declare a variable, or change its type and default."""
    value = None if default is None else declared.typed_default(type, default)
    variable = declared.declare(name, type, value)
    agent_id = None if agent is None else an_agent_id(agent)
    async with installation() as here:
        found = await here.database.read(organizations.find, org)
        await here.database.write(declarations.declare_one, found.id, agent_id, variable, time.time())
    if json:
        print_json(_facts(variable, agent_id))
    else:
        print(f"{agent_id or f'Every agent of {found.name}'} is told {name}, by default {variable.default!r}.")


@app.command(name="list", help_epilogue="Example:\n  offhook variable list Acme --json\n")
async def list_(org: Org, /, *, json: Json = False) -> None:
    """List the declared variables: the organisation's, then those of its agents."""
    async with installation() as here:
        found = await here.database.read(organizations.find, org)
        agents = await here.database.read(organizations.agents_of, found.id)
    all_: list[tuple[Variable, str | None]] = [(one, None) for one in found.rules.variables]
    all_ += [(one, agent.agent_id) for agent in agents for one in agent.variables]
    if json:
        print_json([_facts(variable, agent_id) for variable, agent_id in all_])
    else:
        rows = ((one.name, one.type, repr(one.default), agent_id or "all") for one, agent_id in all_)
        print_table(("name", "type", "default", "agent"), rows)


@app.command(help_epilogue="Example:\n  offhook variable remove Acme visits\n")
async def remove(org: Org, name: Name, /, *, agent: OfAgent = None, json: Json = False) -> None:
    """Fill a variable no more. An agent that still uses it loses its calls: change the agent first."""
    agent_id = None if agent is None else an_agent_id(agent)
    async with installation() as here:
        found = await here.database.read(organizations.find, org)
        gone = await here.database.write(declarations.take_back, found.id, agent_id, name, time.time())
    if gone is None:
        raise Mistake(f"{name!r} is not declared: `offhook variable list` shows what is.")
    if json:
        print_json(_facts(gone, agent_id))
    else:
        print(f"{name} is filled no more.")


def _facts(variable: Variable, agent_id: str | None) -> dict[str, object]:
    return {"name": variable.name, "type": variable.type, "default": variable.default, "agent_id": agent_id}
