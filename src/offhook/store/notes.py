"""Reading notes: what the projection summed up of a call, and what people wrote."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from offhook.store.tables import notes


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
