"""The agents: their names, the variables that they are told, and whether they are told of earlier calls."""

from typing import Any
from urllib.parse import urlencode

import sqlalchemy as sa
from starlette.responses import Response

from offhook import declared, memory
from offhook.dashboard.pages.settings.filled import UNUSABLE, Filled, optional, plain, read_filled
from offhook.dashboard.pages.settings.section import changed, differences, done, noted, show
from offhook.dashboard.visitors import Visit
from offhook.errors import Conflict, NotFound
from offhook.rules import Variable
from offhook.store import declarations, organizations
from offhook.store.organizations import Agent
from offhook.typed import a_name, an_agent_id

_URL = "/settings/agents"
_NEW_AGENT = {"agent_id": "", "agent_name": ""}
_NEW_VARIABLE = {"agent": "", "variable": "", "type": "string", "default": ""}


async def agents(visit: Visit) -> Response:
    return await _show(visit)


async def agent(visit: Visit) -> Response:
    """One agent, by `?id=`: whatever signs its id has."""
    return await _show_one(visit, visit.request.query_params.get("id", ""))


async def add_agent(visit: Visit) -> Response:
    """Register one, or give it another name."""
    readers = {"agent_id": an_agent_id, "agent_name": optional(lambda text: a_name(text, "the agent"))}
    filled = read_filled(await visit.form(), readers)
    if filled.is_usable:
        entry = changed(visit, "agents", {"agent": filled.values["agent_id"], "name": filled.values["agent_name"]})
        try:
            await noted(visit, entry, _register, visit.org_id, *filled.values.values(), visit.deps.now())
        except Conflict as error:
            filled.why["agent_id"] = error.message
    return done(_URL, "added") if filled.is_usable else await _show(visit, agent=filled, status=400)


async def forget_agent(visit: Visit) -> Response:
    agent_id = (await visit.form())["agent_id"]
    known = await _known(visit, agent_id)
    entry = changed(visit, "agents", {"forgotten": known.agent_id})
    await noted(visit, entry, organizations.forget_agent, visit.org_id, known.agent_id)
    return done(_URL, "removed")


async def switch_memory(visit: Visit) -> Response:
    form = await visit.form()
    wanted = {"memory": bool(form["memory"]), "free_text": bool(form["free_text"])}
    rules = (await visit.deps.database.read(organizations.get, visit.org_id)).rules
    details = differences({"memory": rules.memory, "free_text": rules.free_text}, wanted)
    if details:
        await noted(visit, changed(visit, "agents", details), organizations.decide, visit.org_id, wanted)
    return done(_URL, "saved")


async def declare_variable(visit: Visit) -> Response:
    """Declare one for all agents, or for the one that the form names; one of that name gets the new type and default."""
    filled = _variable(Filled({}), await visit.form())
    agent_id = filled.typed["agent"] or None
    if agent_id is not None:
        await _known(visit, agent_id)
    if filled.is_usable:
        variable: Variable = filled.values["declared"]
        entry = changed(visit, "agents", {"variable": variable.name, "default": variable.default, "agent": agent_id})
        try:
            await noted(visit, entry, declarations.declare_one, visit.org_id, agent_id, variable, visit.deps.now())
        except UNUSABLE as error:
            filled.why["variable"] = error.message
    if filled.is_usable:
        return done(_address(agent_id), "saved")
    if agent_id is not None:
        return await _show_one(visit, agent_id, variable=filled, status=400)
    return await _show(visit, variable=filled, status=400)


async def remove_variable(visit: Visit) -> Response:
    form = await visit.form()
    agent_id, name = form["agent"] or None, form["variable"]
    if agent_id is not None:
        await _known(visit, agent_id)
    entry = changed(visit, "agents", {"variable removed": name[:80], "agent": agent_id})
    await noted(visit, entry, _take_back, visit.org_id, agent_id, name, visit.deps.now())
    return done(_address(agent_id), "removed")


def _variable(filled: Filled, form: Any) -> Filled:
    """What is declared is in `values["declared"]`."""
    readers = {"agent": plain, "variable": lambda text: declared.declare(text).name,
               "type": lambda text: declared.declare("any", text).type, "default": plain}  # fmt: skip
    filled = read_filled(form, readers)
    if filled.is_usable:
        name, kind, default = (filled.values[field] for field in ("variable", "type", "default"))
        try:
            value = declared.typed_default(kind, default) if default else None
            filled.values["declared"] = declared.declare(name, kind, value)
        except UNUSABLE as error:
            filled.why["default"] = error.message
    return filled


def _register(tx: sa.Connection, org_id: str, agent_id: str, name: str | None, now: float) -> None:
    """An agent tells whose a call is: nobody takes another's from here."""
    if set(organizations.registered_by(tx, agent_id)) - {org_id}:
        raise Conflict("Another organisation here registered that agent: whoever runs offhook can let you share it.")
    organizations.add_agent(tx, org_id, agent_id, name, now)


def _take_back(tx: sa.Connection, org_id: str, agent_id: str | None, name: str, now: float) -> None:
    if declarations.take_back(tx, org_id, agent_id, name, now) is None:
        raise NotFound("That variable is not declared.")


def _address(agent_id: str | None) -> str:
    return _URL if agent_id is None else f"/settings/agent?{urlencode({'id': agent_id})}"


async def _known(visit: Visit, agent_id: str) -> Agent:
    known = await visit.deps.database.read(organizations.agents_of, visit.org_id)
    for one in known:
        if one.agent_id == agent_id:
            return one
    raise NotFound("There is no agent with that id.")


async def _show(
    visit: Visit, *, agent: Filled | None = None, variable: Filled | None = None, status: int = 200
) -> Response:
    read = visit.deps.database.read
    known = await read(organizations.agents_of, visit.org_id)
    rules = (await read(organizations.get, visit.org_id)).rules
    return await show(
        visit, _URL, "agents.html", status=status, agents=known, rules=rules, remembered=memory.DECLARED,
        agent=agent or Filled(_NEW_AGENT), variable=variable or Filled(_NEW_VARIABLE),
    )  # fmt: skip


async def _show_one(visit: Visit, agent_id: str, *, variable: Filled | None = None, status: int = 200) -> Response:
    known = await _known(visit, agent_id)
    common = (await visit.deps.database.read(organizations.get, visit.org_id)).rules.variables
    return await show(
        visit, _URL, "agent.html", status=status, known=known, common=common,
        address=_address(known.agent_id), variable=variable or Filled({**_NEW_VARIABLE, "agent": known.agent_id}),
    )  # fmt: skip
