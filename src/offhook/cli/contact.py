"""offhook contact: the people who ring."""

import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import sqlalchemy as sa
from cyclopts import Parameter
from msgspec import UNSET, UnsetType

from offhook.cli import contact_files
from offhook.cli.group import group
from offhook.cli.installation import installation
from offhook.cli.org import Org
from offhook.cli.terminal import Json, clock, iso, print_facts, print_json, print_table
from offhook.errors import Mistake
from offhook.phone import e164
from offhook.store import contacts, merging, organizations
from offhook.store.contacts import Changes, Contact
from offhook.store.organizations import Organization
from offhook.typed import a_name, a_number, an_email

_ID = re.compile(r"[0-9a-f]{24}", re.ASCII)

Who = Annotated[str, Parameter(name="CONTACT", help="An id, or a number of theirs.")]

app = group("contact")


@app.command(
    help_epilogue="""\
Examples:
  offhook contact add Acme --phone +14165550100 --first-name Alex --last-name Morgan
  offhook contact add Acme --phone "(416) 555-0100" --phone +14165550101 \\
      --email alex@example.com --json

From the next call on, the agent is told who is ringing.
"""
)
async def add(
    org: Org,
    /,
    *,
    phone: Annotated[
        list[str],
        Parameter(negative="", help="In E.164, or as dialled in the organisation's country; may be repeated."),
    ],
    first_name: Annotated[str | None, Parameter(help="How the agent greets them.")] = None,
    last_name: Annotated[str | None, Parameter(help="Their family name.")] = None,
    email: Annotated[list[str] | None, Parameter(negative="", help="Where they get mail; may be repeated.")] = None,
    external_id: Annotated[str | None, Parameter(help="Their id in another system; ElevenLabs' user_id.")] = None,
    json: Json = False,
) -> None:
    """Add a person. One who rang before and has no name yet gets this one."""
    named = Changes(
        first_name=_a_name(first_name),
        last_name=_a_name(last_name),
        emails=tuple(map(an_email, email)) if email else UNSET,
        external_id=_a_name(external_id),
    )
    async with installation() as here:
        found = await here.database.read(organizations.find, org)
        numbers = [a_number(one, found.country) for one in phone]
        contact = await here.database.write(_add, found.id, numbers, named, time.time())
    if json:
        print_json(facts(contact))
    else:
        print(f"{contact.name or 'A person'} with {contact.numbers[0]} is a contact of {found.name}.")


@app.command(
    name="list",
    help_epilogue="Examples:\n  offhook contact list Acme --search morgan\n  offhook contact list Acme --json\n",
)
async def list_(
    org: Org,
    /,
    *,
    search: Annotated[str | None, Parameter(help="Words in a name, a number or an email.")] = None,
    page: Annotated[int, Parameter(help="The first is 1.")] = 1,
    size: Annotated[int, Parameter(help="How many on a page, at most 500.")] = 50,
    json: Json = False,
) -> None:
    """List contacts, newest first."""
    if page < 1 or not 1 <= size <= 500:
        raise Mistake("--page begins with 1, and --size is 1 to 500.")
    async with installation() as here:
        found = await here.database.read(organizations.find, org)
        people, total = await here.database.read(contacts.page, found.id, search=search, page=page, size=size)
    if json:
        print_json([facts(person) for person in people])
        return
    rows = ((one.id, one.name, ", ".join(one.numbers), ", ".join(one.emails), clock(one.created_at)) for one in people)
    print_table(("id", "name", "numbers", "emails", "made"), rows)
    print(f"{len(people)} of {total}")


@app.command(help_epilogue="Examples:\n  offhook contact show Acme +14165550100\n")
async def show(org: Org, who: Who, /, *, json: Json = False) -> None:
    """Show one contact."""
    async with installation() as here:
        found = await here.database.read(organizations.find, org)
        contact = await here.database.read(find_contact, found, who)
    _show(contact, json=json)


@app.command(
    help_epilogue="""\
Examples:
  offhook contact change Acme +14165550100 --last-name Morgan --add-phone +14165550101
  offhook contact change Acme +14165550100 --remove-email old@example.com --opted-out
"""
)
async def change(
    org: Org,
    who: Who,
    /,
    *,
    first_name: Annotated[str | None, Parameter(help="Empty: none.")] = None,
    last_name: Annotated[str | None, Parameter(help="Empty: none.")] = None,
    external_id: Annotated[str | None, Parameter(help="Empty: none.")] = None,
    add_phone: Annotated[list[str] | None, Parameter(negative="", help="One more number; may be repeated.")] = None,
    remove_phone: Annotated[list[str] | None, Parameter(negative="", help="A number less.")] = None,
    add_email: Annotated[list[str] | None, Parameter(negative="", help="One more email; may be repeated.")] = None,
    remove_email: Annotated[list[str] | None, Parameter(negative="", help="An email less.")] = None,
    opted_out: Annotated[
        bool | None, Parameter(negative="--no-opted-out", help="Whether their numbers want no texts.")
    ] = None,
    json: Json = False,
) -> None:
    """Change a contact: its names, numbers, emails, and whether it wants texts."""
    texts = {"first_name": first_name, "last_name": last_name, "external_id": external_id}
    named = {field: a_name(text, "the contact") if text else text for field, text in texts.items() if text is not None}
    async with installation() as here:
        found = await here.database.read(organizations.find, org)
        more, fewer = ([a_number(one, found.country) for one in typed or ()] for typed in (add_phone, remove_phone))
        contact = await here.database.read(find_contact, found, who)
        if not named and opted_out is None and not (add_phone or remove_phone or add_email or remove_email):
            raise Mistake("Say what to change: `offhook contact change --help` lists the options.")
        numbers = _with(contact.numbers, more, fewer)
        if numbers is not UNSET and not numbers and not contact.external_id:
            raise Mistake("The last number of a contact cannot be removed: nothing else says who it is.")
        changes = Changes(
            **named,
            numbers=numbers,
            emails=_with(contact.emails, [an_email(one) for one in add_email or ()], remove_email or ()),
            is_opted_out=UNSET if opted_out is None else opted_out,
        )
        changed = await here.database.write(contacts.update, found.id, contact.id, changes, now=time.time(), by="cli")
    _show(changed or contact, json=json)


@app.command(help_epilogue="Example:\n  offhook contact delete Acme +14165550100\n")
async def delete(org: Org, who: Who, /, *, json: Json = False) -> None:
    """Forget a contact. Its calls stay and are nobody's."""
    async with installation() as here:
        found = await here.database.read(organizations.find, org)
        contact = await here.database.read(find_contact, found, who)
        await here.database.write(contacts.delete, found.id, contact.id)
    if json:
        print_json(facts(contact))
    else:
        print(f"{contact.name or who} is no contact of {found.name} any more.")


@app.command(
    help_epilogue="""\
Example:
  offhook contact merge Acme +14165550100 +14165550101

All that is the second one's becomes the first one's: numbers, emails, notes,
calls, messages. Later calls of either arrive at the first one.
"""
)
async def merge(
    org: Org,
    keep: Annotated[str, Parameter(name="KEEP", help="Who stays: an id, or a number of theirs.")],
    other: Annotated[str, Parameter(name="OTHER", help="Who becomes that one.")],
    /,
    *,
    json: Json = False,
) -> None:
    """Make two contacts one."""
    async with installation() as here:
        found = await here.database.read(organizations.find, org)
        kept = await here.database.read(find_contact, found, keep)
        gone = await here.database.read(find_contact, found, other)
        merged = await here.database.write(merging.merge, found.id, kept.id, gone.id, now=time.time())
    _show(merged, json=json)


@app.command(
    name="import",
    help_epilogue="""\
Examples:
  offhook contact import Acme people.csv
  offhook contact import Acme people.csv --skip-bad

The first row names the columns: phone, and any of first_name, last_name,
email, external_id. Several numbers or emails in a cell are set apart by a
semicolon. A number that is known updates its contact; empty cells change
nothing. Nothing is written while a row is wrong, unless --skip-bad is given.
""",
)
async def import_(
    org: Org,
    file: Annotated[Path, Parameter(name="FILE", help="CSV in UTF-8.")],
    /,
    *,
    skip_bad: Annotated[bool, Parameter(negative="", help="Leave out the rows that are wrong, and say which.")] = False,
    json: Json = False,
) -> None:
    """Add and update people from a CSV file."""
    async with installation() as here:
        found = await here.database.read(organizations.find, org)
        done = await contact_files.import_file(here.database, found, file, skip_bad=skip_bad)
    if json:
        print_json({"org_id": found.id, **done})
    else:
        print("{added} added, {updated} updated, {unchanged} unchanged, {skipped} skipped.".format(**done))


@app.command(
    help_epilogue="""\
Examples:
  offhook contact export Acme people.csv
  offhook contact export Acme > people.csv

`offhook contact import` takes the file back. A cell that a spreadsheet would
take for a formula has an apostrophe before it.
"""
)
async def export(
    org: Org,
    file: Annotated[Path | None, Parameter(name="FILE", help="Where to. [default: standard output]")] = None,
    /,
) -> None:
    """Write all contacts as CSV, oldest first."""
    async with installation() as here:
        found = await here.database.read(organizations.find, org)
        await contact_files.export_file(here.database, found, file)


def find_contact(tx: sa.Connection, organization: Organization, who: str) -> Contact:
    """The contact of that id or number; Mistake when there is none."""
    contact = contacts.get(tx, organization.id, who) if _ID.fullmatch(who) else None
    number = e164(who, organization.country)
    if contact is None and number is not None:
        contact = contacts.find_by_number(tx, organization.id, number)
    if contact is None:
        raise Mistake(f"There is no contact {who!r}: `offhook contact list` shows who there is.")
    return contact


def facts(contact: Contact) -> dict[str, object]:
    return {
        "id": contact.id,
        "org_id": contact.org_id,
        "first_name": contact.first_name,
        "last_name": contact.last_name,
        "phone": contact.numbers[0] if contact.numbers else None,
        "phones": contact.numbers,
        "email": contact.emails[0] if contact.emails else None,
        "emails": contact.emails,
        "external_id": contact.external_id,
        "opted_out": contact.is_opted_out,
        "source": contact.source,
        "created_at": iso(contact.created_at),
    }


def _show(contact: Contact, *, json: bool) -> None:
    known = facts(contact)
    if json:
        print_json(known)
        return
    shown: dict[str, object] = {"phones": ", ".join(contact.numbers), "emails": ", ".join(contact.emails)}
    told: dict[str, object] = {
        "opted_out": "yes" if contact.is_opted_out else None,
        "created_at": clock(contact.created_at),
    }
    known |= shown | told
    print_facts([(name, value) for name, value in known.items() if name not in ("phone", "email") and value != ""])


def _add(tx: sa.Connection, org_id: str, numbers: Sequence[str], named: Changes, now: float) -> Contact:
    known = contacts.find_by_number(tx, org_id, numbers[0])
    if known is not None and known.name is not None:
        raise Mistake(f"{numbers[0]} is {known.name}'s already (contact {known.id}).")
    if known is None:
        known = contacts.create(tx, org_id, numbers=numbers[:1], source="cli", now=now)
    changes = {name: getattr(named, name) for name in ("first_name", "last_name", "emails", "external_id")}
    changes["numbers"] = (*known.numbers, *numbers)
    contact = contacts.update(tx, org_id, known.id, Changes(**changes), now=now, by="cli")
    assert contact is not None  # it was found in this transaction
    return contact


def _a_name(typed: str | None) -> str | UnsetType:
    return UNSET if typed is None else a_name(typed, "the contact")


def _with(known: Sequence[str], more: Sequence[str], fewer: Sequence[str]) -> Sequence[str] | UnsetType:
    """*known* without *fewer* and with *more*; UNSET when that is what it was."""
    left = [one for one in known if one not in fewer]
    wanted = [*left, *(one for one in more if one not in left)]
    return UNSET if wanted == list(known) else wanted
