"""All that is kept of one person, to be handed to that person: read piece by piece, as there may be very much of it."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from offhook.store import contacts, recordings
from offhook.store.contacts import Contact
from offhook.store.tables import callbacks, calls, follow_ups, memories, messages, notes, summaries

#: By the name of its file, what hangs on a contact.
KINDS: dict[str, sa.Table] = {
    "notes": notes,
    "texts": messages,
    "follow-ups": follow_ups,
    "call-backs": callbacks,
    "memory": memories,
}


def contact(tx: sa.Connection, org_id: str, contact_id: str) -> Contact | None:
    return next(iter(contacts.get_many(tx, org_id, [contact_id])), None)


def calls_behind(tx: sa.Connection, org_id: str, contact_id: str, after_id: str, limit: int) -> Sequence[sa.Row[Any]]:
    """The next of the person's calls, by id, whole; where somebody rewrote a summary, with the agent's, by whom and when."""
    theirs = calls.c.org_id == org_id, calls.c.contact_id == contact_id, calls.c.id > after_id
    edit = (
        summaries.c.told.label("agent_summary"),
        summaries.c.edited_by.label("summary_edited_by"),
        summaries.c.edited_at.label("summary_edited_at"),
    )
    whole = sa.select(calls, *edit).outerjoin_from(calls, summaries, summaries.c.call_id == calls.c.id)
    return tx.execute(whole.where(*theirs).order_by(calls.c.id).limit(limit)).all()


def of(tx: sa.Connection, org_id: str, contact_id: str, kind: str) -> Sequence[sa.Row[Any]]:
    """Rows of a table of KINDS."""
    table = KINDS[kind]
    theirs = table.c.org_id == org_id, table.c.contact_id == contact_id
    return tx.execute(sa.select(table).where(*theirs).order_by(*table.primary_key.columns)).all()


def recordings_of(tx: sa.Connection, call_ids: Sequence[str]) -> list[sa.Row[Any]]:
    """Those that can be played or at least saved."""
    found = recordings.of_calls(tx, call_ids).values()
    return [row for rows in found for row in rows if row.state != recordings.UNDECODABLE]
