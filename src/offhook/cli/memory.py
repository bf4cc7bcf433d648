"""offhook memory: what agents are told of somebody's earlier calls."""

import time
from typing import Annotated, Any

import sqlalchemy as sa
from cyclopts import Parameter

from offhook import memory
from offhook.cli.contact import Who, find_contact
from offhook.cli.group import group
from offhook.cli.installation import installation
from offhook.cli.org import Org
from offhook.cli.terminal import Json, clock, iso, print_facts, print_json
from offhook.errors import Mistake
from offhook.store import memories, organizations
from offhook.store.contacts import Contact
from offhook.store.organizations import Organization

app = group("memory")

_Text = Annotated[str | None, Parameter(help="In place of what the calls say until now; empty: nothing.")]


@app.command(
    help_epilogue="Examples:\n  offhook memory show Acme +14165550100\n  offhook memory show Acme 5e0a... --json\n"
)
async def show(org: Org, who: Who, /, *, json: Json = False) -> None:
    """Show what an agent would be told of a contact's earlier calls."""
    async with installation() as here:
        found = await here.database.read(organizations.find, org)
        contact = await here.database.read(find_contact, found, who)
        remembered = await here.database.read(memories.recall, found.id, contact.id)
    _show(found, contact, remembered, json=json)


@app.command(
    name="set",
    help_epilogue="""\
Examples:
  offhook memory set Acme +14165550100 --topics "A move to Berlin"
  offhook memory set Acme +14165550100 --open-items "" --reset topics

What happens later is told before it.
""",
)
async def set_(
    org: Org,
    who: Who,
    /,
    *,
    topics: _Text = None,
    summary: _Text = None,
    open_items: _Text = None,
    reset: Annotated[
        list[str] | None, Parameter(negative="", help="topics, summary or open-items: as the calls say again.")
    ] = None,
    json: Json = False,
) -> None:
    """Correct what agents are told of a contact's earlier calls."""
    fields = {"topics": "previous_topics", "summary": "last_call_summary", "open-items": "open_items"}
    texts: dict[str, str | None] = {}
    for name, text in (("topics", topics), ("summary", summary), ("open-items", open_items)):
        if text is not None:
            texts[fields[name]] = text
    for name in reset or ():
        if name not in fields:
            raise Mistake(f"{name!r} cannot be reset: it is topics, summary or open-items.")
        texts[fields[name]] = None
    if not texts:
        raise Mistake("Say what to change with --topics, --summary, --open-items or --reset.")
    async with installation() as here:
        found = await here.database.read(organizations.find, org)
        contact = await here.database.read(find_contact, found, who)
        remembered = await here.database.write(_edited, found.id, contact.id, texts, time.time())
    _show(found, contact, remembered, json=json)


@app.command(help_epilogue="Example:\n  offhook memory forget Acme +14165550100\n")
async def forget(org: Org, who: Who, /, *, json: Json = False) -> None:
    """Tell agents nothing more of what was until now. The calls stay on record."""
    async with installation() as here:
        found = await here.database.read(organizations.find, org)
        contact = await here.database.read(find_contact, found, who)
        remembered = await here.database.write(_forgotten, found.id, contact.id, time.time())
    if json:
        _show(found, contact, remembered, json=True)
    else:
        print(f"No agent is told of earlier calls of {contact.name or who} any more.")


def _edited(
    tx: sa.Connection, org_id: str, contact_id: str, texts: dict[str, str | None], now: float
) -> memory.Remembered:
    memories.edit(tx, org_id, contact_id, texts, now)
    return memories.recall(tx, org_id, contact_id)


def _forgotten(tx: sa.Connection, org_id: str, contact_id: str, now: float) -> memory.Remembered:
    memories.forget(tx, org_id, contact_id, now)
    return memories.recall(tx, org_id, contact_id)


def _show(organization: Organization, contact: Contact, remembered: memory.Remembered, *, json: bool) -> None:
    rules = organization.rules
    told: dict[str, Any] = dict(memory.variables(remembered, organization.timezone, free_text=rules.free_text))
    edited = [name for name in memories.EDITABLE if getattr(remembered, name) is not None]
    if json:
        facts = {"contact_id": contact.id, "enabled": rules.memory, **told, "edited": edited}
        print_json(facts | {"forgotten_before": iso(remembered.forgotten_before)})
        return
    print_facts([("contact", contact.name or contact.id), *told.items(), ("edited", ", ".join(edited) or None)])
    print_facts([("forgotten before", clock(remembered.forgotten_before))])
    if not rules.memory:
        print(f"Memory is off: `offhook org set {organization.id} memory=on` has agents told of it.")
