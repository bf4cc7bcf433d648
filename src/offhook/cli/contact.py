"""offhook contact: the people who ring."""

import time
from typing import Annotated

import sqlalchemy as sa
from cyclopts import Parameter

from offhook.cli.group import group
from offhook.cli.installation import installation
from offhook.cli.org import Org
from offhook.cli.terminal import Json, iso, print_json
from offhook.cli.typed import a_name, a_number, an_email
from offhook.errors import Mistake
from offhook.store import contacts, organizations
from offhook.store.contacts import Changes, Contact

app = group("contact")


@app.command(
    help_epilogue="""\
Examples:
  offhook contact add Acme --phone +14165550100 --first-name Alex --last-name Morgan
  offhook contact add Acme --phone "(416) 555-0100" --email alex@example.com --json

From the next call on, the agent is told who is ringing.
"""
)
async def add(
    org: Org,
    /,
    *,
    phone: Annotated[str, Parameter(help="In E.164, or as dialled in the organisation's country.")],
    first_name: Annotated[str | None, Parameter(help="How the agent greets them.")] = None,
    last_name: Annotated[str | None, Parameter(help="Their family name.")] = None,
    email: Annotated[str | None, Parameter(help="Where they get mail.")] = None,
    json: Json = False,
) -> None:
    """Add a person. One who rang before and has no name yet gets this one."""
    first = a_name(first_name, "the contact") if first_name is not None else None
    last = a_name(last_name, "the contact") if last_name is not None else None
    emails = (an_email(email),) if email is not None else ()
    async with installation() as here:
        found = await here.database.read(organizations.find, org)
        number = a_number(phone, found.country)
        contact = await here.database.write(_add, found.id, number, first, last, emails, time.time())
    if json:
        print_json(_facts(contact))
    else:
        print(f"{contact.name or 'A person'} with {number} is a contact of {found.name}.")


def _add(
    tx: sa.Connection,
    org_id: str,
    number: str,
    first_name: str | None,
    last_name: str | None,
    emails: tuple[str, ...],
    now: float,
) -> Contact:
    known = contacts.find_by_number(tx, org_id, number)
    if known is None:
        return contacts.create(
            tx,
            org_id,
            first_name=first_name,
            last_name=last_name,
            numbers=(number,),
            emails=emails,
            source="cli",
            now=now,
        )
    if known.name is not None:
        raise Mistake(f"{number} is {known.name}'s already (contact {known.id}).")
    named = contacts.update(
        tx,
        org_id,
        known.id,
        Changes(first_name=first_name, last_name=last_name, emails=emails or known.emails),
        now=now,
    )
    assert named is not None  # it was found in this transaction
    return named


def _facts(contact: Contact) -> dict[str, object]:
    return {
        "id": contact.id,
        "org_id": contact.org_id,
        "first_name": contact.first_name,
        "last_name": contact.last_name,
        "phone": contact.numbers[0] if contact.numbers else None,
        "email": contact.emails[0] if contact.emails else None,
        "source": contact.source,
        "created_at": iso(contact.created_at),
    }
