"""Declared variables: those of an organisation, which all of its agents have, and those of one agent."""

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from offhook import declared
from offhook.rules import Variable, read_rules
from offhook.store import organizations
from offhook.store.tables import agents
from offhook.store.tables import organizations as organization_table


def declared_by(tx: sa.Connection, org_id: str, agent_id: str | None = None) -> tuple[Variable, ...]:
    """Those of the organisation; with *agent_id*, the agent's own alone."""
    if agent_id is None:
        this = organization_table.c.id == org_id
        settings = tx.execute(sa.select(organization_table.c.settings).where(this)).scalar_one()
        return read_rules(msgspec.json.decode(settings)).variables
    agent = agents.c.org_id == org_id, agents.c.agent_id == agent_id
    return declared.decode(tx.execute(sa.select(agents.c.variables).where(*agent)).scalar())


def declare_all(
    tx: sa.Connection, org_id: str, agent_id: str | None, variables: Sequence[Variable], now: float
) -> Sequence[Variable]:
    """Make *variables* all that there are; an agent that is not known is registered."""
    if agent_id is None:
        organizations.decide(tx, org_id, {"variables": msgspec.to_builtins(variables)})
    else:
        organizations.declare_for_agent(tx, org_id, agent_id, variables, now)
    return variables


def declare_one(
    tx: sa.Connection, org_id: str, agent_id: str | None, variable: Variable, now: float
) -> Sequence[Variable]:
    """Declare *variable* beside the others, in the place of the one of that name; all that there are then."""
    _hold(tx, org_id)
    return declare_all(tx, org_id, agent_id, declared.set_one(declared_by(tx, org_id, agent_id), variable), now)


def take_back(tx: sa.Connection, org_id: str, agent_id: str | None, name: str, now: float) -> Variable | None:
    """Fill *name* no more; the variable as it was, None when it was not declared."""
    _hold(tx, org_id)
    known = declared_by(tx, org_id, agent_id)
    gone = next((one for one in known if one.name == name), None)
    if gone is not None:
        declare_all(tx, org_id, agent_id, [one for one in known if one is not gone], now)
    return gone


def _hold(tx: sa.Connection, org_id: str) -> None:
    """Two who declare at once both succeed."""
    if tx.dialect.name == "postgresql":
        tx.execute(sa.select(organization_table.c.id).where(organization_table.c.id == org_id).with_for_update())
