"""Two contacts that are one person become one: what belonged to the other belongs to the one that is kept, for good.

Whatever is folded or replayed later arrives at the kept one too: its numbers are there, user ids that it has no place for
are aliases, and the other's id, which may be derived from a number, is given to nobody new.
"""

import msgspec
import sqlalchemy as sa

from offhook.errors import BadInput, NotFound
from offhook.store import contact_locks, contacts
from offhook.store.contacts import Contact
from offhook.store.database import upsert
from offhook.store.tables import (
    callbacks,
    calls,
    contact_numbers,
    follow_ups,
    memories,
    merged_contacts,
    messages,
    notes,
    user_aliases,
)
from offhook.store.tables import contacts as contact_table

_BELONGINGS = (calls, notes, messages, callbacks, follow_ups)


def merge(tx: sa.Connection, org_id: str, kept_id: str, other_id: str, *, now: float) -> Contact:
    """The kept contact with all that was the other's; merging the same two again changes nothing.

    NotFound when one of them is not there, BadInput when they are the same.
    """
    if kept_id == other_id:
        raise BadInput("A contact cannot be merged with itself.", details={"field": "contactId"})
    contact_locks.merge_alone(tx, org_id)
    kept, other = contacts.get(tx, org_id, kept_id), contacts.get(tx, org_id, other_id)
    if kept is None:
        raise NotFound("There is no contact with that id.")
    if other is None:
        if kept_of(tx, org_id, other_id) == kept_id:
            return kept
        raise NotFound(f"There is no contact with the id {other_id}.", details={"field": "contactId"})
    _move_belongings(tx, kept, other)
    _merge_memories(tx, kept, other, now)
    _become_one(tx, kept, other, now)
    merged = contacts.get(tx, org_id, kept_id)
    assert merged is not None
    return merged


def kept_of(tx: sa.Connection, org_id: str, contact_id: str) -> str | None:
    """The contact that *contact_id* was merged into; None when it was not merged."""
    merged = merged_contacts.c.contact_id == contact_id, merged_contacts.c.org_id == org_id
    return tx.execute(sa.select(merged_contacts.c.kept_id).where(*merged)).scalar()


def _move_belongings(tx: sa.Connection, kept: Contact, other: Contact) -> None:
    for table in _BELONGINGS:
        theirs = table.c.org_id == other.org_id, table.c.contact_id == other.id
        tx.execute(table.update().where(*theirs).values(contact_id=kept.id))


def _become_one(tx: sa.Connection, kept: Contact, other: Contact, now: float) -> None:
    """The other's row goes first: its external id and numbers are only then free for the kept one."""
    named = kept if kept.name is not None else other
    one = msgspec.structs.replace(
        kept,
        first_name=named.first_name,
        last_name=named.last_name,
        numbers=(*kept.numbers, *other.numbers),
        emails=tuple(dict.fromkeys((*kept.emails, *other.emails))),
        external_id=kept.external_id or other.external_id,
        updated_at=now,
    )
    tx.execute(contact_table.delete().where(contact_table.c.id == other.id))
    tx.execute(contact_table.update().where(contact_table.c.id == kept.id).values(**contacts.row_of(one)))
    tx.execute(
        contact_numbers.update()
        .where(contact_numbers.c.contact_id == other.id)
        .values(contact_id=kept.id, position=contact_numbers.c.position + len(kept.numbers))
    )
    _redirect(tx, kept, other, now)


def _redirect(tx: sa.Connection, kept: Contact, other: Contact, now: float) -> None:
    tx.execute(user_aliases.update().where(user_aliases.c.contact_id == other.id).values(contact_id=kept.id))
    if kept.external_id and other.external_id:
        alias = {"org_id": kept.org_id, "external_id": other.external_id, "contact_id": kept.id}
        upsert(tx, user_aliases, [alias])
    tx.execute(merged_contacts.update().where(merged_contacts.c.kept_id == other.id).values(kept_id=kept.id))
    merged = {"contact_id": other.id, "org_id": kept.org_id, "kept_id": kept.id, "merged_at": now}
    upsert(tx, merged_contacts, [merged])


def _merge_memories(tx: sa.Connection, kept: Contact, other: Contact, now: float) -> None:
    """What a person wrote of the kept one counts more. What either had forgotten stays forgotten."""
    wanted = sa.select(memories).where(memories.c.contact_id.in_((kept.id, other.id)))
    found = {row["contact_id"]: dict(row) for row in tx.execute(wanted).mappings()}
    if other.id not in found:
        return
    mine, theirs = found.get(kept.id, {}), found[other.id]
    written = ("previous_topics", "last_call_summary", "open_items")
    row = {name: mine[name] if mine.get(name) is not None else theirs[name] for name in written}
    forgotten = [one["forgotten_before"] for one in (mine, theirs) if one.get("forgotten_before") is not None]
    row |= {"contact_id": kept.id, "org_id": kept.org_id, "updated_at": now}
    upsert(tx, memories, [{**row, "forgotten_before": max(forgotten, default=None)}])
    tx.execute(memories.delete().where(memories.c.contact_id == other.id))
