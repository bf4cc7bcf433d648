"""Many contacts at a time, from a list that somebody brings: who of them is known, and what is new about them.

A row is somebody's whose number it has, else whose external id it has. It adds numbers and emails; names and the external id
are those of the row, where it has any. A row that belongs to two contacts at once is refused: they want merging first.
"""

import hashlib
from collections.abc import Iterator, Sequence

import msgspec
import sqlalchemy as sa

from offhook.errors import Conflict
from offhook.events import contact_id
from offhook.store import contact_locks, contacts
from offhook.store.contacts import Contact
from offhook.store.tables import contact_numbers, user_aliases
from offhook.store.tables import contacts as contact_table

Place = tuple[float, str]  #: when a contact was made, and its id


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """What a row says of somebody."""

    numbers: tuple[str, ...] = ()  #: E.164
    first_name: str | None = None
    last_name: str | None = None
    emails: tuple[str, ...] = ()
    external_id: str | None = None

    @property
    def keys(self) -> tuple[tuple[str, str], ...]:
        """What it is known by, the best first, with the column that it stands in."""
        by_id = (("external_id", self.external_id),) if self.external_id is not None else ()
        return (*(("phone", number) for number in self.numbers), *by_id)


Owners = dict[tuple[str, str], str]  #: by key of a person, the contact that has it


class Claims:
    """Whom each number and external id of a list belongs to, so that a row of two people is found before all is written.

    Held as numbers of 8 bytes: a list may have millions.
    """

    def __init__(self) -> None:
        self._claims: dict[int, int] = {}

    def refused(self, people: Sequence[Person], owners: Owners) -> Iterator[tuple[int, str, str]]:
        """The places of those rows that are two people's at once, with column and reason; the others are noted."""
        for n, person in enumerate(people):
            keys = {key: _short(*key) for key in person.keys}
            mine = {key: self._claims.get(short, _of(owners.get(key))) for key, short in keys.items()}
            whose = {owner for owner in mine.values() if owner is not None}
            if len(whose) > 1:
                column, word = next(key for key, owner in mine.items() if owner is not None and owner != _first(mine))
                yield n, column, f"{word[:80]!r} is another person's than what stands before it; merge them first."
                continue
            owner = next(iter(whose), next(iter(keys.values())))
            for short in keys.values():
                self._claims[short] = owner


def owners(tx: sa.Connection, org_id: str, people: Sequence[Person]) -> Owners:
    """Whose the numbers and external ids of *people* are, as far as they are anybody's."""
    numbers = {number for person in people for number in person.numbers}
    ids = {person.external_id for person in people if person.external_id is not None}
    found: Owners = {}
    for table, column, name, words in (
        (user_aliases, user_aliases.c.external_id, "external_id", ids),
        (contact_table, contact_table.c.external_id, "external_id", ids),
        (contact_numbers, contact_numbers.c.number, "phone", numbers),
    ):
        id = table.c.id if table is contact_table else table.c.contact_id
        if words:
            rows = tx.execute(sa.select(column, id).where(table.c.org_id == org_id, column.in_(words)))
            found.update({(name, word): owner for word, owner in rows})
    return found


def write(tx: sa.Connection, org_id: str, people: Sequence[Person], now: float) -> dict[str, int]:
    """Write a batch; how many were added, updated, unchanged. Again changes nothing.

    Conflict when a row became two contacts' since it was checked; nothing of the batch is written then.
    """
    contact_locks.hold_off_merges(tx, (org_id,))
    known = owners(tx, org_id, people)
    held = {one.id: one for one in contacts.get_many(tx, org_id, set(known.values()))}
    before = dict(held)
    batch = _Batch(tx, org_id, known, held, contacts.taken_ids(tx, {_derived(org_id, one) for one in people}), now)
    outcomes = [batch.take(person) for person in people]
    changed = [one for id, one in held.items() if one != before.get(id)]
    try:
        contacts.write_many(tx, [one for one in changed if one.id not in before], changed, before)
    except sa.exc.IntegrityError as error:
        raise Conflict("Somebody changed these contacts just now; import the file again.") from error
    return {word: outcomes.count(word) for word in ("added", "updated", "unchanged")}


def after(tx: sa.Connection, org_id: str, place: Place, limit: int) -> list[Contact]:
    """The next contacts behind *place*, oldest first."""
    return contacts.oldest_after(tx, org_id, place, limit)


class _Batch:
    """Contacts as they are after each row of a batch; nothing is written here."""

    def __init__(
        self, tx: sa.Connection, org_id: str, known: Owners, held: dict[str, Contact], taken: set[str], now: float
    ) -> None:
        self._tx, self._org_id, self._now = tx, org_id, now
        self._known, self._held, self._taken = known, held, taken

    def take(self, person: Person) -> str:
        """added, updated or unchanged."""
        whose = {self._known[key] for key in person.keys if key in self._known}
        if len(whose) > 1:
            keys = f"{person.keys[0][1]} and {person.keys[-1][1]}"
            raise Conflict(f"{keys} became two contacts' meanwhile; import the file again.")
        id = next(iter(whose), None)
        found = self._held[id] if id is not None else self._new(person)
        one = _with(found, person)
        is_changed = one != found
        self._held[one.id] = msgspec.structs.replace(one, updated_at=self._now) if is_changed else one
        self._known.update(dict.fromkeys(person.keys, one.id))
        return "added" if id is None else "updated" if is_changed else "unchanged"

    def _new(self, person: Person) -> Contact:
        id = _derived(self._org_id, person)
        if id in self._taken or id in self._held:
            id = contacts.free_id(self._tx, self._org_id, _known_by(person), besides=self._held)
        return Contact(id=id, org_id=self._org_id, source="import", created_at=self._now, updated_at=self._now)


def _derived(org_id: str, person: Person) -> str:
    return contact_id(org_id, _known_by(person))


def _known_by(person: Person) -> str:
    return person.numbers[0] if person.numbers else f"user:{person.external_id}"


def _with(found: Contact, person: Person) -> Contact:
    return msgspec.structs.replace(
        found,
        first_name=person.first_name or found.first_name,
        last_name=person.last_name or found.last_name,
        numbers=tuple(dict.fromkeys((*found.numbers, *person.numbers))),
        emails=tuple(dict.fromkeys((*found.emails, *person.emails))),
        external_id=person.external_id or found.external_id,
    )


def _first(mine: dict[tuple[str, str], int | None]) -> int | None:
    return next(owner for owner in mine.values() if owner is not None)


def _of(contact_id: str | None) -> int | None:
    return None if contact_id is None else int(contact_id[:16], 16)


def _short(column: str, word: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{column}\0{word}".encode(), digest_size=8).digest(), "big")
