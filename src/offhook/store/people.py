"""The people on calls: whom a number or a user id belongs to, made where they are new.

Contact ids are derived from what made them, so that two processes that meet somebody new at once make one contact.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from offhook import events
from offhook.logs import log
from offhook.store import contacts as contact_rows
from offhook.store.database import insert_new
from offhook.store.tables import contact_numbers, contacts

_MAX_ID_CHARS = 256
_Key = tuple[str, str]  #: organisation, number


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody on a call, as far as the call tells."""

    org_id: str
    number: str | None = None  #: E.164
    external_id: str | None = None  #: the provider's user id
    seen_at: float  #: unix; when a person who is new came

    @property
    def key(self) -> _Key:
        return self.org_id, self.number or ""


def resolve_people(tx: sa.Connection, people: Sequence[Person]) -> list[str | None]:
    """The contact id of each of *people*, made where they are new; None for one of whom nothing is known.

    A number says more than a user id: a site may send one id for all its visitors, and nobody must be greeted by the
    name of another. So a user id finds somebody with a number only while that contact has none. What people edit is not
    touched; a number or a user id is only added where there was none.
    """
    owners = _owners(tx, {person.key for person in people if person.number})
    users = {n: _resolve_user(tx, person, owners) for n, person in enumerate(people) if _has_user_id(person)}
    _add(tx, [person for person in people if person.number and person.key not in owners], owners)
    return [users.get(n) or owners.get(person.key) for n, person in enumerate(people)]


def _has_user_id(person: Person) -> bool:
    """A user id that is only the number again says nothing new, and a very long one is no id."""
    user_id = person.external_id
    return bool(user_id) and user_id != person.number and len(user_id or "") <= _MAX_ID_CHARS


def _owners(tx: sa.Connection, keys: Collection[_Key]) -> dict[_Key, str]:
    """Whose numbers those are, as far as they are anyone's."""
    owners: dict[_Key, str] = {}
    for org_id in {org_id for org_id, _ in keys}:
        numbers = [number for of_org, number in keys if of_org == org_id]
        wanted = contact_numbers.c.org_id == org_id, contact_numbers.c.number.in_(numbers)
        for row in tx.execute(sa.select(contact_numbers.c.number, contact_numbers.c.contact_id).where(*wanted)):
            owners[org_id, row.number] = row.contact_id
    return owners


def _resolve_user(tx: sa.Connection, person: Person, owners: dict[_Key, str]) -> str:
    """The contact of somebody with a user id. *owners* learns of a number that is new."""
    assert person.external_id is not None
    user = contact_rows.find_by_external_id(tx, person.org_id, person.external_id)
    if person.number is None:
        return user.id if user else _add_user(tx, person)
    if person.key not in owners:
        if user and not user.numbers:
            _add_numbers(tx, {person.key: user.id})
            contact_rows.stamp_search_text(tx, user.id)
            owners[person.key] = user.id
        else:
            _add(tx, [person], owners)
    if user is None:
        _add_external_id(tx, owners[person.key], person.external_id)
    return owners[person.key]


def _add(tx: sa.Connection, people: Iterable[Person], owners: dict[_Key, str]) -> None:
    """Make contacts of those numbers. *owners* learns of them, or of who was faster in another process."""
    new = {person.key: person for person in sorted(people, key=lambda person: -person.seen_at)}
    if not new:
        return
    ids = _free_ids(tx, new)
    insert_new(tx, contacts, [_nameless(ids[key], new[key]) for key in sorted(new)])
    _add_numbers(tx, ids)
    owners |= _owners(tx, new)
    too_late = set(ids.values()) - {owners[key] for key in new}
    if too_late:
        tx.execute(contacts.delete().where(contacts.c.id.in_(too_late)))


def _free_ids(tx: sa.Connection, new: Collection[_Key]) -> dict[_Key, str]:
    ids = {(org_id, number): events.contact_id(org_id, number) for org_id, number in new}
    taken = set(tx.execute(sa.select(contacts.c.id).where(contacts.c.id.in_(ids.values()))).scalars())
    return {key: contact_rows.free_id(tx, *key) if id in taken else id for key, id in ids.items()}


def _add_numbers(tx: sa.Connection, ids: dict[_Key, str]) -> None:
    rows = [
        {"org_id": org_id, "number": number, "contact_id": id, "position": 0}
        for (org_id, number), id in sorted(ids.items())
    ]
    insert_new(tx, contact_numbers, rows)


def _add_user(tx: sa.Connection, person: Person) -> str:
    """A contact that has nothing but a user id."""
    assert person.external_id is not None
    id = contact_rows.free_id(tx, person.org_id, f"user:{person.external_id}")
    insert_new(tx, contacts, [_nameless(id, person)])
    _add_external_id(tx, id, person.external_id)
    return id


def _add_external_id(tx: sa.Connection, contact_id: str, external_id: str) -> None:
    has_none = contacts.c.id == contact_id, contacts.c.external_id.is_(None)
    try:
        with tx.begin_nested():
            tx.execute(contacts.update().where(*has_none).values(external_id=external_id))
    except sa.exc.IntegrityError:  # another process gave it to another contact meanwhile: the next call finds that one
        log.info("people.user_id_taken", contact=contact_id)


def _nameless(id: str, person: Person) -> dict[str, Any]:
    return {
        "id": id,
        "org_id": person.org_id,
        "first_name": None,
        "last_name": None,
        "emails": "[]",
        "external_id": None,
        "source": "call",
        "created_at": person.seen_at,
        "updated_at": person.seen_at,
        "search_text": contact_rows.search_text(None, (), filter(None, (person.number,))),
    }
