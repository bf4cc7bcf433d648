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
from offhook.store import contacts
from offhook.store.contacts import Changes

_Number = Annotated[str, Meta(description="In any spelling; kept in E.164.", examples=["+14165550100"])]
_Name = Annotated[str, Meta(max_length=200)] | None
_Emails = Annotated[list[Annotated[str, Meta(max_length=320)]], Meta(max_length=50)] | str | None
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")


class NewContact(msgspec.Struct, rename="camel", kw_only=True):
    """Who is added. A number is read in any spelling, national ones in the organisation's country."""

    phone_number: _Number
    first_name: _Name = None
    last_name: _Name = None
    email: _Emails = None
    external_id: _Name = None


class ContactChanges(msgspec.Struct, rename="camel", kw_only=True):
    """What is changed: a field that is absent stays, null takes it away."""

    phone_number: _Number | UnsetType = UNSET
    first_name: _Name | UnsetType = UNSET
    last_name: _Name | UnsetType = UNSET
    email: _Emails | UnsetType = UNSET
    external_id: _Name | UnsetType = UNSET


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
    person = await deps.database.write(
        contacts.create,
        key.org_id,
        first_name=new.first_name,
        last_name=new.last_name,
        numbers=(_number(deps, key.org_id, new.phone_number),),
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
        numbers=_numbers(deps, found, asked),
        emails=_emails(asked.email) if asked.email is not UNSET else UNSET,
        external_id=asked.external_id,
    )
    return _answer(await deps.database.write(contacts.update, key.org_id, contact_id, changes, now=deps.now()))


async def delete_contact(deps: Here, key: Writer, contact_id: ContactId) -> Response:
    """Forget a contact. Its calls stay and are nobody's."""
    if not await deps.database.write(contacts.delete, key.org_id, contact_id):
        raise NotFound("There is no contact with that id.")
    return Response(status_code=204)


def _answer(person: contacts.Contact | None, status: int = 200) -> Json:
    if person is None:
        raise NotFound("There is no contact with that id.")
    return Json(shapes.ContactAnswer(data=shapes.contact(person)), status)


def _numbers(deps: Deps, found: contacts.Contact, asked: ContactChanges) -> Sequence[str] | UnsetType:
    """The numbers that *found* has after the change: only the first is shown here, and only it is replaced."""
    if isinstance(asked.phone_number, UnsetType):
        return UNSET
    return (_number(deps, found.org_id, asked.phone_number), *found.numbers[1:])


def _number(deps: Deps, org_id: str, spelling: str) -> str:
    number = phone.e164(spelling, deps.directory.country_of(org_id))
    if number is None:
        raise BadInput(
            "phoneNumber is no telephone number; write it like +14165550100.", details={"field": "phoneNumber"}
        )
    return number


def _emails(sent: list[str] | str | None) -> list[str]:
    emails = [email.strip() for email in ([sent] if isinstance(sent, str) else sent or []) if email.strip()]
    for email in emails:
        if not _EMAIL.fullmatch(email):
            raise BadInput(f"email cannot be used: {email[:80]!r} is no address.", details={"field": "email"})
    return emails
