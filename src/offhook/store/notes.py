"""Notes: what the projection summed up of a call, and what people wrote. Only theirs are written here."""

import secrets
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from offhook.errors import Conflict, NotFound
from offhook.store.tables import calls, contacts, notes

HUMAN = "note"  #: the type of what a person wrote


def page(
    tx: sa.Connection, org_id: str, *, contact_id: str | None, call_id: str | None, limit: int, offset: int
) -> tuple[Sequence[sa.Row[Any]], int]:
    """The notes of a contact, of a call, or of both together, newest first, and how many there are in all."""
    equal = {notes.c.org_id: org_id, notes.c.contact_id: contact_id, notes.c.call_id: call_id}
    conditions = [column == value for column, value in equal.items() if value is not None]
    total = tx.execute(sa.select(sa.func.count()).select_from(notes).where(*conditions)).scalar_one()
    rows = tx.execute(
        sa.select(notes)
        .where(*conditions)
        .order_by(notes.c.created_at.desc(), notes.c.id.desc())
        .limit(limit)
        .offset(offset)
    ).all()
    return rows, total


def of_call(tx: sa.Connection, org_id: str, call_id: str) -> Sequence[sa.Row[Any]]:
    """Every note of the call, oldest first."""
    return tx.execute(
        sa.select(notes)
        .where(notes.c.org_id == org_id, notes.c.call_id == call_id)
        .order_by(notes.c.created_at, notes.c.id)
    ).all()


def add(
    tx: sa.Connection, org_id: str, *, contact_id: str | None, call_id: str | None, note: str, now: float
) -> sa.Row[Any]:
    """A person's note on a contact, a call (then on its contact, too), or both; NotFound when one of them is not there."""
    if call_id is not None:
        whose = _contact_of(tx, org_id, call_id)
        contact_id = contact_id or whose
    if contact_id is not None:
        _must_exist(tx, org_id, contact_id)
    row = {"id": secrets.token_hex(12), "org_id": org_id, "contact_id": contact_id, "call_id": call_id}
    tx.execute(notes.insert(), {**row, "type": HUMAN, "note": note, "created_at": now, "updated_at": now})
    return _mine(tx, org_id, row["id"] or "")


def change(tx: sa.Connection, org_id: str, note_id: str, note: str, now: float) -> sa.Row[Any]:
    """A person's note as it reads now; NotFound, and Conflict for a summary: that one follows from its call."""
    _mine(tx, org_id, note_id)
    tx.execute(notes.update().where(notes.c.id == note_id).values(note=note, updated_at=now))
    return _mine(tx, org_id, note_id)


def remove(tx: sa.Connection, org_id: str, note_id: str) -> None:
    """Raises as `change` does."""
    _mine(tx, org_id, note_id)
    tx.execute(notes.delete().where(notes.c.id == note_id))


def _mine(tx: sa.Connection, org_id: str, note_id: str) -> sa.Row[Any]:
    found = tx.execute(sa.select(notes).where(notes.c.id == note_id, notes.c.org_id == org_id)).first()
    if found is None:
        raise NotFound("There is no note with that id.")
    if found.type != HUMAN:
        raise Conflict("That note is an agent's summary: it follows from its call, and would be written again.")
    return found


def _contact_of(tx: sa.Connection, org_id: str, call_id: str) -> str | None:
    call = tx.execute(sa.select(calls.c.contact_id).where(calls.c.id == call_id, calls.c.org_id == org_id)).first()
    if call is None:
        raise NotFound("There is no call with that id.", details={"field": "callId"})
    contact_id: str | None = call.contact_id
    return contact_id


def _must_exist(tx: sa.Connection, org_id: str, contact_id: str) -> None:
    is_it = contacts.c.id == contact_id, contacts.c.org_id == org_id
    if tx.execute(sa.select(contacts.c.id).where(*is_it)).first() is None:
        raise NotFound("There is no contact with that id.", details={"field": "contactId"})
