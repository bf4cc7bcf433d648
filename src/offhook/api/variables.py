"""Declared variables of an organisation and of its agents."""

import contextlib
from collections.abc import Iterable
from typing import Annotated

import msgspec
from fastapi import Request
from msgspec import Meta

from offhook import declared
from offhook.api import shapes
from offhook.api.access import Here, Reader, Writer
from offhook.api.bodies import read_body
from offhook.api.queries import AgentId, OrganizationId
from offhook.api.shapes import Json
from offhook.deps import Deps
from offhook.directory import ApiKey
from offhook.errors import BadInput, Mistake, NotFound, Unavailable
from offhook.rules import Variable, VariableType
from offhook.store import declarations


class NewVariable(msgspec.Struct):
    """A variable; without a default it is empty, 0 or false."""

    name: Annotated[str, Meta(pattern="^[A-Za-z0-9_]{1,64}$", description="Not system__ or secret__.")]
    type: VariableType = "string"
    default: str | int | float | bool | None = None


class Variables(msgspec.Struct):
    """All that there are afterwards."""

    variables: Annotated[list[NewVariable], Meta(max_length=declared.MAX_VARIABLES)]


async def list_variables(deps: Here, key: Reader, organization_id: OrganizationId) -> Json:
    """The variables that every agent of the organisation is told."""
    return await _listed(deps, key, organization_id, None)


async def list_agent_variables(deps: Here, key: Reader, organization_id: OrganizationId, agent_id: AgentId) -> Json:
    """The variables that one agent is told beside them."""
    return await _listed(deps, key, organization_id, agent_id)


async def declare_variables(deps: Here, key: Writer, organization_id: OrganizationId, request: Request) -> Json:
    """Declare the organisation's variables: all that there are afterwards."""
    return await _declared(deps, key, organization_id, None, request)


async def declare_agent_variables(
    deps: Here, key: Writer, organization_id: OrganizationId, agent_id: AgentId, request: Request
) -> Json:
    """Declare one agent's own variables: all that there are afterwards."""
    return await _declared(deps, key, organization_id, agent_id, request)


async def _listed(deps: Deps, key: ApiKey, org_id: str, agent_id: str | None) -> Json:
    _must_be_theirs(key, org_id)
    return _answer(await deps.database.read(declarations.declared_by, org_id, agent_id))


async def _declared(deps: Deps, key: ApiKey, org_id: str, agent_id: str | None, request: Request) -> Json:
    _must_be_theirs(key, org_id)
    sent = await read_body(request, Variables)
    variables = [_variable(n, one) for n, one in enumerate(sent.variables)]
    names = [one.name for one in variables]
    for n, name in enumerate(names):
        if name in names[:n]:
            raise BadInput(f"variables[{n}].name cannot be used: {name} is there twice.", details={"field": "name"})
    await deps.database.write(declarations.declare_all, org_id, agent_id, variables, deps.now())
    with contextlib.suppress(Unavailable):  # it is declared, and known within a second in any case
        await deps.directory.refresh()
    return _answer(variables)


def _variable(n: int, sent: NewVariable) -> Variable:
    try:
        return declared.declare(sent.name, sent.type, sent.default)
    except Mistake as mistake:
        raise BadInput(
            f"variables[{n}] cannot be used: {mistake.message}", details={"field": f"variables[{n}]"}
        ) from None


def _must_be_theirs(key: ApiKey, org_id: str) -> None:
    if key.org_id != org_id:
        raise NotFound


def _answer(variables: Iterable[Variable]) -> Json:
    return Json(shapes.VariableList(variables=[shapes.variable(one) for one in variables]))
