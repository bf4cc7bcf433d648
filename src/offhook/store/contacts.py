"""People: who they are, the numbers and emails they have, and how they are found. One number belongs to one person.

`search_text` holds a contact's names, emails and numbers, folded, a line each: SQLite's own LIKE knows no case beyond
ASCII, and one narrow column is searched faster than four.
"""

import secrets
import unicodedata
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import msgspec
import sqlalchemy as sa
from msgspec import UNSET, UnsetType

from offhook import events
from offhook.errors import Conflict
from offhook.store import contact_locks, contact_search, opt_outs
from offhook.store.opt_outs import OptOutSource
from offhook.store.tables import (
    callbacks,
    calls,
    contact_numbers,
    contacts,
    follow_ups,
    memories,
    merged_contacts,
    messages,
    notes,
    user_aliases,
)
from offhook.store.tables import opt_outs as opt_out_table

#: Who is ringing, for the driver itself: the greeting does not wait for SQLAlchemy. Organisation and number are given.
CALLER_COLUMNS = ("contact_id", "first_name", "last_name")
_CALLER_SQL = (
    "SELECT contacts.id AS contact_id, contacts.first_name, contacts.last_name "
    "FROM contact_numbers JOIN contacts ON contacts.id = contact_numbers.contact_id "
    "WHERE contact_numbers.org_id = {} AND contact_numbers.number = {}"
)
CALLER_SQL_SQLITE = _CALLER_SQL.format("?", "?")
CALLER_SQL_POSTGRESQL = _CALLER_SQL.format("$1", "$2")
#: The same by user id; a contact's own counts before one of a contact that was merged into it.
_USER_SQL = (
    "SELECT id AS contact_id, first_name, last_name FROM contacts WHERE org_id = {0} AND external_id = {1} "
    "UNION ALL SELECT contacts.id, contacts.first_name, contacts.last_name "
    "FROM user_aliases JOIN contacts ON contacts.id = user_aliases.contact_id "
    "WHERE user_aliases.org_id = {0} AND user_aliases.external_id = {1} LIMIT 1"
)
USER_SQL_SQLITE = _USER_SQL.format("?1", "?2")
USER_SQL_POSTGRESQL = _USER_SQL.format("$1", "$2")

_NEWEST_FIRST = (contacts.c.created_at.desc(), contacts.c.id.desc())
_MAX_SEARCH_CHARS = 200
_MAX_SEARCH_WORDS = 8
_MIN_SEARCH_DIGITS = 3
_WRITTEN_BETWEEN_DIGITS = {ord(mark): None for mark in " +()-./"}
_emails = msgspec.json.Decoder(tuple[str, ...])


class Contact(msgspec.Struct, frozen=True, kw_only=True):
    """A person of one organisation."""

    id: str
    org_id: str
    first_name: str | None = None
    last_name: str | None = None
    numbers: tuple[str, ...] = ()  #: E.164; the first is the one shown
    emails: tuple[str, ...] = ()
    external_id: str | None = None  #: the provider's user id, or the customer number of another system
    source: str  #: call, api, import, cli, dashboard
    created_at: float  #: unix
    updated_at: float
    is_opted_out: bool = False  #: one of the numbers at least wants no texts

    @property
    def name(self) -> str | None:
        """First and last name as one; None when nobody has said either."""
        return " ".join(word for word in (self.first_name, self.last_name) if word) or None


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What to change of a contact; UNSET leaves as it is, None or () takes away."""

    first_name: str | UnsetType | None = UNSET
    last_name: str | UnsetType | None = UNSET
    numbers: Sequence[str] | UnsetType = UNSET  #: E.164
    emails: Sequence[str] | UnsetType = UNSET
    external_id: str | UnsetType | None = UNSET
    is_opted_out: bool | UnsetType = UNSET  #: for all of the numbers


# What people do


def create(
    tx: sa.Connection,
    org_id: str,
    *,
    first_name: str | None = None,
    last_name: str | None = None,
    numbers: Sequence[str] = (),
    emails: Sequence[str] = (),
    external_id: str | None = None,
    source: str,
    now: float,
) -> Contact:
    """A new contact with *numbers* in E.164; Conflict when a number or the external id is another's."""
    contact_locks.hold_off_merges(tx, (org_id,))
    written = _unique(numbers)
    contact = Contact(
        id=free_id(tx, org_id, written[0]) if written else secrets.token_hex(12),
        org_id=org_id,
        first_name=_clean(first_name),
        last_name=_clean(last_name),
        numbers=written,
        emails=_unique(emails),
        external_id=_clean(external_id),
        source=source,
        created_at=now,
        updated_at=now,
    )
    _refuse_what_is_taken(tx, contact)
    try:
        tx.execute(contacts.insert(), row_of(contact))
        _write_numbers(tx, contact)
    except sa.exc.IntegrityError as error:  # somebody was faster, between the look and the insert
        raise Conflict("Another contact has that number or external id already.") from error
    return get(tx, org_id, contact.id) or contact  # a number may have been opted out before


def update(
    tx: sa.Connection, org_id: str, contact_id: str, changes: Changes, *, now: float, by: OptOutSource = "api"
) -> Contact | None:
    """The contact as changed; None when there is none; Conflict when a number or the external id is another's."""
    contact_locks.hold_off_merges(tx, (org_id,))
    found = held(tx, org_id, contact_id)
    if found is None:
        return None
    contact = msgspec.structs.replace(found, **_changed(changes), updated_at=now)
    _refuse_what_is_taken(tx, contact)
    try:
        tx.execute(contacts.update().where(contacts.c.id == contact_id).values(**row_of(contact)))
        if contact.numbers != found.numbers:
            tx.execute(contact_numbers.delete().where(contact_numbers.c.contact_id == contact_id))
            _write_numbers(tx, contact)
    except sa.exc.IntegrityError as error:
        raise Conflict("Another contact has that number or external id already.") from error
    if changes.is_opted_out is True:
        opt_outs.add(tx, org_id, contact.numbers, by, now)
    elif changes.is_opted_out is False:
        opt_outs.remove(tx, org_id, contact.numbers)
    return get(tx, org_id, contact_id)


def delete(tx: sa.Connection, org_id: str, contact_id: str) -> bool:
    """Forget a contact and what was only noted about it; its calls stay, nobody's. False when there is none.

    That a number wants no texts stays, too.
    """
    contact_locks.hold_off_merges(tx, (org_id,))
    deleted = tx.execute(contacts.delete().where(contacts.c.id == contact_id, contacts.c.org_id == org_id))
    if not deleted.rowcount:
        return False
    for table in (contact_numbers, memories, user_aliases):
        tx.execute(table.delete().where(table.c.contact_id == contact_id))
    tx.execute(notes.delete().where(notes.c.contact_id == contact_id, notes.c.call_id.is_(None)))
    for table in (notes, calls, messages, callbacks, follow_ups):
        theirs = table.c.org_id == org_id, table.c.contact_id == contact_id
        tx.execute(table.update().where(*theirs).values(contact_id=None))
    return True


# Finding


def get(tx: sa.Connection, org_id: str, contact_id: str) -> Contact | None:
    """The contact; None when there is none, or when it is another organisation's."""
    return _one(tx, sa.select(contacts).where(contacts.c.id == contact_id, contacts.c.org_id == org_id))


def held(tx: sa.Connection, org_id: str, contact_id: str) -> Contact | None:
    """The contact, which nobody else changes before this transaction has ended; SQLite has one writer anyway."""
    theirs = contacts.c.id == contact_id, contacts.c.org_id == org_id
    return _one(tx, sa.select(contacts).where(*theirs).with_for_update())


def find_by_number(tx: sa.Connection, org_id: str, number: str) -> Contact | None:
    """Whose number (E.164) that is."""
    has_number = contact_numbers.c.org_id == org_id, contact_numbers.c.number == number
    return _one(
        tx, sa.select(contacts).join(contact_numbers, contact_numbers.c.contact_id == contacts.c.id).where(*has_number)
    )


def find_by_external_id(tx: sa.Connection, org_id: str, external_id: str) -> Contact | None:
    """Whose external id that is, or was before the contact was merged into another."""
    found = _one(tx, sa.select(contacts).where(contacts.c.org_id == org_id, contacts.c.external_id == external_id))
    if found is not None:
        return found
    is_alias = user_aliases.c.org_id == org_id, user_aliases.c.external_id == external_id
    return _one(tx, sa.select(contacts).join(user_aliases, user_aliases.c.contact_id == contacts.c.id).where(*is_alias))


def last_call_at(tx: sa.Connection, contact: Contact) -> float | None:
    """When the newest call of the contact happened (unix); None when there is none on file."""
    theirs = calls.c.org_id == contact.org_id, calls.c.contact_id == contact.id
    return tx.execute(sa.select(sa.func.max(calls.c.happened_at)).where(*theirs)).scalar()


def page(
    tx: sa.Connection, org_id: str, *, search: str | None = None, page: int = 1, size: int = 10
) -> tuple[list[Contact], int]:
    """Page *page* (the first is 1) of the contacts, newest first, and how many there are in all.

    Every word of *search* must be found in a name, an email or a number, in any case; a written number such as
    "(416) 555-0100" is found by its digits.
    """
    conditions = matching(tx, org_id, search or "")
    total = tx.execute(sa.select(sa.func.count()).select_from(contacts).where(*conditions)).scalar_one()
    # The page is cut out by id, in the index alone; only its own rows are then read from the table.
    offset = (page - 1) * size
    ids = sa.select(contacts.c.id).where(*conditions).order_by(*_NEWEST_FIRST).limit(size).offset(offset).subquery()
    rows = tx.execute(sa.select(contacts).join(ids, ids.c.id == contacts.c.id).order_by(*_NEWEST_FIRST)).all()
    return _with_numbers(tx, rows), total


# What both need


def get_many(tx: sa.Connection, org_id: str, ids: Collection[str]) -> list[Contact]:
    """Those of *ids* that are there."""
    if not ids:
        return []
    # Whose they are is looked at afterwards: asked for both, SQLite reads every contact of the organisation.
    found = tx.execute(sa.select(contacts).where(contacts.c.id.in_(ids))).all()
    return _with_numbers(tx, [row for row in found if row.org_id == org_id])


def oldest_after(tx: sa.Connection, org_id: str, place: tuple[float, str], limit: int) -> list[Contact]:
    """The next contacts behind *place* (when made, id), oldest first."""
    made = sa.tuple_(contacts.c.created_at, contacts.c.id) > sa.tuple_(*map(sa.literal, place))
    oldest = sa.select(contacts).where(contacts.c.org_id == org_id, made)
    return _with_numbers(tx, tx.execute(oldest.order_by(contacts.c.created_at, contacts.c.id).limit(limit)).all())


def write_many(
    tx: sa.Connection, new: Sequence[Contact], changed: Sequence[Contact], before: Mapping[str, Contact]
) -> None:
    """Insert those that are *new*, and write what the others of *changed* have that they had not *before*."""
    if new:
        tx.execute(contacts.insert(), [row_of(contact) for contact in sorted(new, key=lambda one: one.id)])
    _update_many(tx, [contact for contact in changed if contact.id in before])
    rows = [
        {"org_id": one.org_id, "number": number, "contact_id": one.id, "position": position}
        for one in changed
        for position, number in enumerate(one.numbers)
        if one.id not in before or number not in before[one.id].numbers
    ]
    if rows:
        tx.execute(contact_numbers.insert(), sorted(rows, key=itemgetter("number")))


def _update_many(tx: sa.Connection, changed: Sequence[Contact]) -> None:
    rows = [{**row_of(contact), "this": contact.id} for contact in sorted(changed, key=lambda one: one.id)]
    if rows:
        written: dict[str, Any] = {name: sa.bindparam(name) for name in rows[0] if name not in ("this", "id", "org_id")}
        tx.execute(contacts.update().where(contacts.c.id == sa.bindparam("this")).values(written), rows)


def free_id(tx: sa.Connection, org_id: str, known_by: str, besides: Container[str] = ()) -> str:
    """The id that follows from *known_by*, or the next when a contact that lost that number still has it.

    *besides*: ids that are about to be somebody's.
    """
    for again in range(1_000_000):
        id = events.contact_id(org_id, f"{known_by}#{again}" if again else known_by)
        if id not in besides and not taken_ids(tx, (id,)):
            return id
    raise AssertionError("a million contacts were made by one number")


def taken_ids(tx: sa.Connection, ids: Collection[str]) -> set[str]:
    """Those of *ids* that a contact has, or had before it was merged."""
    if not ids:
        return set()
    here = sa.select(contacts.c.id).where(contacts.c.id.in_(ids))
    merged = sa.select(merged_contacts.c.contact_id).where(merged_contacts.c.contact_id.in_(ids))
    return set(tx.execute(here.union_all(merged)).scalars())


def stamp_search_text(tx: sa.Connection, contact_id: str) -> None:
    """Make a contact found by what was just added to it."""
    contact = _one(tx, sa.select(contacts).where(contacts.c.id == contact_id))
    if contact is not None:
        tx.execute(
            contacts.update().where(contacts.c.id == contact_id).values(search_text=row_of(contact)["search_text"])
        )


def search_text(name: str | None, emails: Iterable[str], numbers: Iterable[str]) -> str:
    """What a search looks through, see the top of this file."""
    return "\n".join(map(_folded, filter(None, (name, *emails, *numbers))))


def row_of(contact: Contact) -> dict[str, Any]:
    """Values of store.tables.contacts."""
    return {
        "id": contact.id,
        "org_id": contact.org_id,
        "first_name": contact.first_name,
        "last_name": contact.last_name,
        "emails": msgspec.json.encode(contact.emails).decode(),
        "external_id": contact.external_id,
        "source": contact.source,
        "created_at": contact.created_at,
        "updated_at": contact.updated_at,
        "search_text": search_text(contact.name, contact.emails, contact.numbers),
    }


def _write_numbers(tx: sa.Connection, contact: Contact) -> None:
    rows = [
        {"org_id": contact.org_id, "number": number, "contact_id": contact.id, "position": position}
        for position, number in enumerate(contact.numbers)
    ]
    rows.sort(key=itemgetter("number"))  # as everybody does, so that nobody waits for another in a circle
    if rows:
        tx.execute(contact_numbers.insert(), rows)


def _changed(changes: Changes) -> dict[str, Any]:
    """The fields that are set, in the form in which a contact keeps them."""
    given = {name: getattr(changes, name) for name in changes.__struct_fields__}
    return {
        name: _unique(value) if name in ("numbers", "emails") else _clean(value)
        for name, value in given.items()
        if value is not UNSET and name != "is_opted_out"
    }


def _refuse_what_is_taken(tx: sa.Connection, contact: Contact) -> None:
    has_number = contact_numbers.c.org_id == contact.org_id, contact_numbers.c.number.in_(contact.numbers)
    rows = tx.execute(sa.select(contact_numbers).where(*has_number)).all() if contact.numbers else ()
    for row in rows:
        if row.contact_id != contact.id:
            raise Conflict(
                f"Another contact has the number {row.number} already.", details={"contactId": row.contact_id}
            )
    if contact.external_id is not None:
        other = find_by_external_id(tx, contact.org_id, contact.external_id)
        if other is not None and other.id != contact.id:
            raise Conflict("Another contact has that external id already.", details={"contactId": other.id})


def matching(tx: sa.Connection, org_id: str, search: str) -> list[sa.ColumnElement[bool]]:
    """What must hold of a contact so that it is the organisation's, and *search* finds it."""
    mine = contacts.c.org_id == org_id
    words = _words(search)
    holds = [contacts.c.search_text.contains(word, autoescape=True) for word in words]
    maybe = contact_search.few(tx, words)
    if maybe is None:
        return [mine, *holds]
    # Whose they are is looked at first: asked for both, SQLite reads every contact of the organisation.
    rows = tx.execute(sa.select(contacts.c.id, contacts.c.org_id).where(contacts.c.id.in_(maybe), *holds))
    return [contacts.c.id.in_([row.id for row in rows if row.org_id == org_id])]


def _words(search: str) -> list[str]:
    """What each must be found; the digits of what looks like a number."""
    folded = _folded(search[:_MAX_SEARCH_CHARS])
    digits = digits_of(folded)
    return [digits] if digits else folded.split()[:_MAX_SEARCH_WORDS]


def digits_of(words: str) -> str | None:
    """The digits of what looks like a written number, "(416) 555-0100"; None for other words."""
    digits = words.translate(_WRITTEN_BETWEEN_DIGITS)
    return digits if len(digits) >= _MIN_SEARCH_DIGITS and digits.isascii() and digits.isdigit() else None


def _one(tx: sa.Connection, query: sa.Select[Any]) -> Contact | None:
    found = _with_numbers(tx, tx.execute(query).all())
    return found[0] if found else None


def _with_numbers(tx: sa.Connection, rows: Sequence[sa.Row[Any]]) -> list[Contact]:
    ids = [row.id for row in rows]
    is_out = (opt_out_table.c.org_id == contact_numbers.c.org_id) & (opt_out_table.c.number == contact_numbers.c.number)
    columns = contact_numbers.c.contact_id, contact_numbers.c.number, opt_out_table.c.number
    query = sa.select(*columns).select_from(contact_numbers.outerjoin(opt_out_table, is_out))
    theirs = query.where(contact_numbers.c.contact_id.in_(ids)).order_by(contact_numbers.c.position)
    numbers: dict[str, list[str]] = {id: [] for id in ids}
    opted_out: set[str] = set()
    for id, number, out in tx.execute(theirs) if ids else ():
        numbers[id].append(number)
        if out is not None:
            opted_out.add(id)
    return [_contact(row, numbers[row.id], is_opted_out=row.id in opted_out) for row in rows]


def _contact(row: sa.Row[Any], numbers: Sequence[str], *, is_opted_out: bool) -> Contact:
    return Contact(
        id=row.id,
        org_id=row.org_id,
        first_name=row.first_name,
        last_name=row.last_name,
        numbers=tuple(numbers),
        emails=_emails.decode(row.emails),
        external_id=row.external_id,
        source=row.source,
        created_at=row.created_at,
        updated_at=row.updated_at,
        is_opted_out=is_opted_out,
    )


def _folded(text: str) -> str:
    """*text* as it is searched: without case, without the difference between ﬁ and fi, on one line."""
    return " ".join(unicodedata.normalize("NFKC", _clean(text) or "").casefold().split())


def _unique(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, map(_clean, words))))


def _clean(text: str | None) -> str | None:
    """*text* as PostgreSQL can keep it (no U+0000, no lone surrogate), trimmed; None when nothing is left."""
    if text is None:
        return None
    return text.replace("\0", "").encode("utf-16", "surrogatepass").decode("utf-16", "replace").strip() or None
