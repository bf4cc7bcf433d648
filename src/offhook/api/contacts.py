"""Contacts: the people who ring and are rung."""

import re
from collections.abc import Sequence
from typing import Annotated

import msgspec
from fastapi import Query, Request
from msgspec import UNSET, Meta, UnsetType
from pydantic import BaseModel, Field
from starlette.responses import Response

from offhook import phone
from offhook.api import shapes
from offhook.api.access import Here, Reader, Writer
from offhook.api.bodies import read_body
from offhook.api.queries import MAX_LIMIT, ContactId, Nothing, OneOrMore, Words
from offhook.api.shapes import Json
from offhook.deps import Deps
from offhook.errors import BadInput, NotFound
from offhook.store import contacts, merging
from offhook.store.contacts import Changes

_Number = Annotated[str, Meta(description="In any spelling; kept in E.164.", examples=["+14165550100"])]
_Numbers = Annotated[list[_Number], Meta(max_length=50)]
_Name = Annotated[str, Meta(max_length=200)] | None
_Emails = Annotated[list[Annotated[str, Meta(max_length=320)]], Meta(max_length=50)] | str | None
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")


class NewContact(msgspec.Struct, rename="camel", kw_only=True):
    """Who is added, with a number at least, or an external id. Numbers are read in any spelling."""

    phone_number: _Number | UnsetType = UNSET
    phone_numbers: _Numbers | UnsetType = UNSET
    first_name: _Name = None
    last_name: _Name = None
    email: _Emails = None
    external_id: _Name = None


class ContactChanges(msgspec.Struct, rename="camel", kw_only=True):
    """What is changed: a field that is absent stays, null takes it away. `phoneNumbers` are all that it has afterwards."""

    phone_number: _Number | UnsetType = UNSET
    phone_numbers: _Numbers | UnsetType = UNSET
    first_name: _Name | UnsetType = UNSET
    last_name: _Name | UnsetType = UNSET
    email: _Emails | UnsetType = UNSET
    external_id: _Name | UnsetType = UNSET
    opted_out: Annotated[bool, Meta(description="Whether its numbers want no texts.")] | UnsetType = UNSET


class OtherContact(msgspec.Struct, rename="camel", kw_only=True):
    """The contact that becomes another; its id leads nowhere afterwards."""

    contact_id: Annotated[str, Meta(pattern="^[0-9a-f]{24}$")]


class ContactsOf(BaseModel):
    search: Words | Nothing = Field(None, description="Words in a name, a number or an email.")
    page: OneOrMore = Field(1, description="The first is 1.")
    size: OneOrMore = Field(10, description=f"How many on a page; more than {MAX_LIMIT} gives {MAX_LIMIT}.")


async def list_contacts(deps: Here, key: Reader, asked: Annotated[ContactsOf, Query()]) -> Json:
    """The organisation's contacts, newest first."""
    people, total = await deps.database.read(
        contacts.page, key.org_id, search=asked.search, page=asked.page, size=min(asked.size, MAX_LIMIT)
    )
    return Json(shapes.ContactList(data=[shapes.contact(person) for person in people], total=total))


async def one_contact(deps: Here, key: Reader, contact_id: ContactId) -> Json:
    """One contact."""
    person = await deps.database.read(contacts.get, key.org_id, contact_id)
    return _answer(person)


async def add_contact(deps: Here, key: Writer, request: Request) -> Json:
    """Add a contact; 409 when its number is another's."""
    new = await read_body(request, NewContact)
    numbers = _numbers(deps, key.org_id, new.phone_number, new.phone_numbers, ())
    if not numbers and new.external_id is None:
        raise BadInput("phoneNumber is required.", details={"field": "phoneNumber"})
    person = await deps.database.write(
        contacts.create,
        key.org_id,
        first_name=new.first_name,
        last_name=new.last_name,
        numbers=numbers or (),
        emails=_emails(new.email),
        external_id=new.external_id,
        source="api",
        now=deps.now(),
    )
    return _answer(person, 201)


async def change_contact(deps: Here, key: Writer, contact_id: ContactId, request: Request) -> Json:
    """Change a contact; 409 when its new number is another's."""
    asked = await read_body(request, ContactChanges)
    found = await deps.database.read(contacts.get, key.org_id, contact_id)
    if found is None:
        raise NotFound("There is no contact with that id.")
    changes = Changes(
        first_name=asked.first_name,
        last_name=asked.last_name,
        numbers=_numbers(deps, key.org_id, asked.phone_number, asked.phone_numbers, found.numbers[1:]),
        emails=_emails(asked.email) if asked.email is not UNSET else UNSET,
        external_id=asked.external_id,
        is_opted_out=asked.opted_out,
    )
    _refuse_to_lose(found, changes)
    return _answer(await deps.database.write(contacts.update, key.org_id, contact_id, changes, now=deps.now()))


async def merge_contact(deps: Here, key: Writer, contact_id: ContactId, request: Request) -> Json:
    """Make another contact and this one the same person: all that is the other's becomes this one's."""
    asked = await read_body(request, OtherContact)
    return _answer(await deps.database.write(merging.merge, key.org_id, contact_id, asked.contact_id, now=deps.now()))


async def delete_contact(deps: Here, key: Writer, contact_id: ContactId) -> Response:
    """Forget a contact. Its calls stay and are nobody's."""
    if not await deps.database.write(contacts.delete, key.org_id, contact_id):
        raise NotFound("There is no contact with that id.")
    return Response(status_code=204)


def _answer(person: contacts.Contact | None, status: int = 200) -> Json:
    if person is None:
        raise NotFound("There is no contact with that id.")
    return Json(shapes.ContactAnswer(data=shapes.contact(person)), status)


def _numbers(
    deps: Deps, org_id: str, first: str | UnsetType, listed: list[str] | UnsetType, others: Sequence[str]
) -> Sequence[str] | UnsetType:
    """The numbers of a contact afterwards: *first* before all that are *listed*, or before *others* where none are."""
    if first is UNSET and listed is UNSET:
        return UNSET
    all_listed = others if listed is UNSET else [_number(deps, org_id, one, "phoneNumbers") for one in listed]
    return tuple(all_listed) if first is UNSET else (_number(deps, org_id, first, "phoneNumber"), *all_listed)


def _refuse_to_lose(found: contacts.Contact, changes: Changes) -> None:
    """A contact without a number and without an external id would be found by nothing any more."""
    numbers = found.numbers if changes.numbers is UNSET else changes.numbers
    external_id = found.external_id if changes.external_id is UNSET else changes.external_id
    if not numbers and not external_id and (found.numbers or found.external_id):
        field = "externalId" if changes.numbers is UNSET else "phoneNumbers"
        raise BadInput(f"{field} cannot be taken away: nothing else says who this is.", details={"field": field})


def _number(deps: Deps, org_id: str, spelling: str, field: str) -> str:
    number = phone.e164(spelling, deps.directory.country_of(org_id))
    if number is None:
        raise BadInput(
            f"{field} cannot be used: {spelling[:40]!r} is no telephone number; write it like +14165550100.",
            details={"field": field},
        )
    return number


def _emails(sent: list[str] | str | None) -> list[str]:
    emails = [email.strip() for email in ([sent] if isinstance(sent, str) else sent or []) if email.strip()]
    for email in emails:
        if not _EMAIL.fullmatch(email):
            raise BadInput(f"email cannot be used: {email[:80]!r} is no address.", details={"field": "email"})
    return emails
