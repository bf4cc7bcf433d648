"""The people on calls: whom a number or a user id belongs to, made where they are new.

Contact ids are derived from what made them, so that two processes that meet somebody new at once make one contact. Rows
are written in the order of their keys, so that those two do not wait for each other in a circle.
"""

from collections.abc import Collection, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from offhook import events
from offhook.logs import log
from offhook.store import contact_locks
from offhook.store import contacts as contact_rows
from offhook.store.database import insert_new
from offhook.store.tables import contact_numbers, contacts, user_aliases

_MAX_ID_CHARS = 256
_Key = tuple[str, str]  #: organisation, and a number or user id


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody on a call, as far as the call tells."""

    org_id: str
    number: str | None = None  #: E.164
    external_id: str | None = None  #: the provider's user id
    name: str | None = None  #: for a contact that has none yet
    seen_at: float  #: unix; when a person who is new came

    @property
    def number_key(self) -> _Key | None:
        return (self.org_id, self.number) if self.number else None

    @property
    def user_key(self) -> _Key | None:
        """A user id that is only the number again says nothing new, and a very long one is no id."""
        id = self.external_id
        return (self.org_id, id) if id and id != self.number and len(id) <= _MAX_ID_CHARS else None


def resolve_people(tx: sa.Connection, people: Sequence[Person]) -> list[str | None]:
    """The contact id of each of *people*, made where they are new; None for one of whom nothing is known.

    A number says more than a user id: a site may send one id for all its visitors, and nobody must be greeted by the
    name of another. So a user id finds somebody with a number only while that contact has none. What people edit is not
    touched; a number or a user id is only added where there was none.
    """
    contact_locks.hold_off_merges(tx, {person.org_id for person in people})
    known = _Known(tx, people)
    ids = [known.contact_of(person) for person in people]
    replaced = known.write_news()
    return [replaced.get(id, id) if id else None for id in ids]


def name_stranger(tx: sa.Connection, contact_id: str, name: str, heard_at: float) -> None:
    """Call a contact *name*, if nobody has said yet what it is called.

    Dated by when the name was heard and not by the clock: what an agent heard later counts more, in a replay too.
    """
    first, _, last = name.replace("\0", "").strip().partition(" ")
    is_stranger = contacts.c.id == contact_id, contacts.c.first_name.is_(None), contacts.c.last_name.is_(None)
    changed_at = sa.case((contacts.c.updated_at > heard_at, contacts.c.updated_at), else_=heard_at)
    called = {"first_name": first or None, "last_name": last.strip() or None, "updated_at": changed_at}
    if first and tx.execute(contacts.update().where(*is_stranger).values(called)).rowcount:
        contact_rows.stamp_search_text(tx, contact_id)


class _Known:
    """What is on file about a batch of people, and what the batch adds to it."""

    def __init__(self, tx: sa.Connection, people: Sequence[Person]) -> None:
        self._tx = tx
        self._owners: dict[_Key, str] = {}
        self._users: dict[_Key, str] = {}
        self._with_number: set[str] = set()
        self._with_user_id: set[str] = set()
        self._new: dict[str, Person] = {}
        self._new_numbers: dict[_Key, str] = {}
        self._new_user_ids: dict[str, str] = {}
        self._read_owners({person.number_key for person in people if person.number_key})
        self._read_users({person.user_key for person in people if person.user_key})
        strangers = [person for person in people if self._find(person) is None]
        self._taken_ids = contact_rows.taken_ids(tx, {events.contact_id(*_known_by(person)) for person in strangers})

    def contact_of(self, person: Person) -> str | None:
        if person.number_key is None and person.user_key is None:
            return None
        id = self._find(person) or self._add(person)
        if person.number_key is not None and person.number_key not in self._owners:
            self._own(person.number_key, id)
            self._new_numbers[person.number_key] = id
        if person.user_key is not None and person.user_key not in self._users and id not in self._with_user_id:
            self._use(person.user_key, id)
            self._new_user_ids[id] = person.user_key[1]
        return id

    def write_news(self) -> dict[str, str]:
        """Write what is new; by id, who takes the place of a new contact where another process was faster."""
        insert_new(self._tx, contacts, [_nameless(id, self._new[id]) for id in sorted(self._new)])
        insert_new(self._tx, contact_numbers, [_first_number(key, id) for key, id in sorted(self._new_numbers.items())])
        for key, id in self._new_numbers.items():
            if id not in self._new or self._new[id].number_key != key:
                contact_rows.stamp_search_text(self._tx, id)
        _add_user_ids(self._tx, self._new_user_ids)
        return self._give_way()

    def _read_owners(self, keys: Collection[_Key]) -> None:
        for org_id, numbers in by_org(keys):
            has_number = contact_numbers.c.org_id == org_id, contact_numbers.c.number.in_(numbers)
            joined = sa.outerjoin(contact_numbers, contacts, contact_numbers.c.contact_id == contacts.c.id)
            columns = contact_numbers.c.number, contact_numbers.c.contact_id, contacts.c.external_id
            for row in self._tx.execute(sa.select(*columns).select_from(joined).where(*has_number)):
                self._own((org_id, row.number), row.contact_id)
                if row.external_id is not None:
                    self._with_user_id.add(row.contact_id)

    def _read_users(self, keys: set[_Key]) -> None:
        """First whose they are, then whose they were before that contact was merged into another."""
        self._read_user_ids(keys, contacts, contacts.c.external_id)
        joined = sa.join(user_aliases, contacts, contacts.c.id == user_aliases.c.contact_id)
        self._read_user_ids(keys - self._users.keys(), joined, user_aliases.c.external_id)

    def _read_user_ids(self, keys: Collection[_Key], place: sa.FromClause, user_id: sa.Column[Any]) -> None:
        has_number = sa.exists().where(contact_numbers.c.contact_id == contacts.c.id).label("has_number")
        query = sa.select(contacts.c.id, user_id, has_number).select_from(place)
        for org_id, user_ids in by_org(keys):
            for id, known_as, with_number in self._tx.execute(
                query.where(user_id.table.c.org_id == org_id, user_id.in_(user_ids))
            ):
                self._use((org_id, known_as), id)
                if with_number:
                    self._with_number.add(id)

    def _own(self, number_key: _Key, id: str) -> None:
        self._owners[number_key] = id
        self._with_number.add(id)

    def _use(self, user_key: _Key, id: str) -> None:
        self._users[user_key] = id
        self._with_user_id.add(id)

    def _find(self, person: Person) -> str | None:
        user = self._users.get(person.user_key) if person.user_key else None
        if person.number_key is None:
            return user
        return self._owners.get(person.number_key) or (user if user not in self._with_number else None)

    def _add(self, person: Person) -> str:
        id = events.contact_id(*_known_by(person))
        if id in self._taken_ids:  # by a contact whose number was changed since
            id = contact_rows.free_id(self._tx, *_known_by(person))
        self._new[id] = person
        return id

    def _give_way(self) -> dict[str, str]:
        mine = dict(self._new_numbers)
        if not mine:
            return {}
        self._read_owners(mine)
        replaced = {id: self._owners[key] for key, id in mine.items() if self._owners[key] != id}
        too_late = set(replaced) & set(self._new)
        if too_late:
            self._tx.execute(contacts.delete().where(contacts.c.id.in_(too_late)))
        return replaced


def by_org(keys: Collection[_Key]) -> list[tuple[str, list[str]]]:
    """The numbers or ids of each organisation: an index that begins with the organisation serves no other question."""
    words: dict[str, list[str]] = {}
    for org_id, word in keys:
        words.setdefault(org_id, []).append(word)
    return list(words.items())


def _known_by(person: Person) -> _Key:
    """What the id of a contact is made from."""
    return person.org_id, person.number or f"user:{person.external_id}"


def _add_user_ids(tx: sa.Connection, user_ids: dict[str, str]) -> None:
    """By contact id. They are a convenience: where another process gave one away meanwhile, none is added this time."""
    if not user_ids:
        return
    added = contacts.update().where(contacts.c.id == sa.bindparam("contact"), contacts.c.external_id.is_(None))
    rows = [{"contact": id, "user_id": user_id} for id, user_id in sorted(user_ids.items())]
    try:
        with tx.begin_nested():
            tx.execute(added.values(external_id=sa.bindparam("user_id")), rows)
    except sa.exc.IntegrityError:
        log.info("people.user_ids_taken", contacts=len(rows))


def _first_number(key: _Key, contact_id: str) -> dict[str, Any]:
    org_id, number = key
    return {"org_id": org_id, "number": number, "contact_id": contact_id, "position": 0}


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
