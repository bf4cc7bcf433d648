"""All that the page of one event shows, read at once."""

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from offhook.store import effects, events
from offhook.store.tables import calls, contacts, notes, recordings


class EventPage(msgspec.Struct, frozen=True, kw_only=True):
    row: sa.Row[Any]  #: whole, sealed
    call: (
        sa.Row[Any] | None
    )  #: `id`, `status`, `summary`, `contact_id`, `first_name`, `last_name`, both numbers, `direction`
    recordings: Sequence[sa.Row[Any]]  #: that this very event brought
    has_summary_note: bool
    effects: Sequence[sa.Row[Any]]  #: of the call


def get(tx: sa.Connection, org_id: str, event_id: str) -> EventPage | None:
    """None when there is no such event, or it is another organisation's."""
    row = events.get(tx, org_id, event_id)
    if row is None:
        return None
    return EventPage(
        row=row,
        call=_call(tx, org_id, row.call_id),
        recordings=_recordings(tx, org_id, event_id),
        has_summary_note=_has_summary_note(tx, org_id, row.call_id),
        effects=effects.of_calls(tx, [row.call_id]) if row.call_id else [],
    )


def _call(tx: sa.Connection, org_id: str, call_id: str | None) -> sa.Row[Any] | None:
    columns: tuple[sa.ColumnElement[Any], ...] = (
        calls.c.id, calls.c.status, calls.c.summary, calls.c.direction, calls.c.from_number, calls.c.to_number,
        calls.c.contact_id, contacts.c.first_name, contacts.c.last_name,
    )  # fmt: skip
    joined = sa.select(*columns).outerjoin_from(calls, contacts, contacts.c.id == calls.c.contact_id)
    return tx.execute(joined.where(calls.c.id == call_id, calls.c.org_id == org_id)).one_or_none()


def _recordings(tx: sa.Connection, org_id: str, event_id: str) -> Sequence[sa.Row[Any]]:
    mine = recordings.c.org_id == org_id, recordings.c.event_id == event_id
    return tx.execute(sa.select(recordings).where(*mine)).all()


def _has_summary_note(tx: sa.Connection, org_id: str, call_id: str | None) -> bool:
    its = notes.c.org_id == org_id, notes.c.call_id == call_id, notes.c.type == "ai_summary"
    return tx.execute(sa.select(notes.c.id).where(*its).limit(1)).first() is not None
