"""People who want to be rung back."""

from collections.abc import Sequence
from typing import Any, Literal

import sqlalchemy as sa

from offhook.store import follow_ups
from offhook.store.database import insert_new
from offhook.store.follow_ups import Waiting
from offhook.store.tables import callbacks

Status = Literal["open", "done"]


def add(
    tx: sa.Connection,
    id: str,
    org_id: str,
    *,
    call_id: str | None,
    contact_id: str | None,
    number: str | None,
    reason: str | None,
    now: float,
) -> None:
    """Somebody wants to be rung back at *number* (E.164; None: withheld), and is in the queue of those who wait. The same id
    again changes nothing."""
    waits = Waiting(
        org_id=org_id, kind="callback", origin=id, number=number, at=now, call_id=call_id, callback_id=id, reason=reason
    )
    # Made again by a replay it stands as people left its follow-up.
    done_at = follow_ups.done_at(tx, waits.id)
    row = {
        "id": id,
        "org_id": org_id,
        "call_id": call_id,
        "contact_id": contact_id,
        "number": number,
        "reason": reason,
        "status": "open" if done_at is None else "done",
        "created_at": now,
        "updated_at": now if done_at is None else done_at,
    }
    insert_new(tx, callbacks, [row])
    status = tx.execute(sa.select(callbacks.c.status).where(callbacks.c.id == id)).scalar()
    follow_ups.keep(tx, [(waits, contact_id)], is_done=status == "done")


def page(
    tx: sa.Connection, org_id: str, *, status: Status | None, limit: int, offset: int
) -> tuple[Sequence[sa.Row[Any]], int]:
    """The newest first, and how many there are in all."""
    equal = {callbacks.c.org_id: org_id, callbacks.c.status: status}
    wanted = sa.select(callbacks).where(*(column == value for column, value in equal.items() if value is not None))
    newest_first = callbacks.c.created_at.desc(), callbacks.c.id.desc()
    total = tx.execute(sa.select(sa.func.count()).select_from(wanted.subquery())).scalar_one()
    return tx.execute(wanted.order_by(*newest_first).limit(limit).offset(offset)).all(), total


def settle(tx: sa.Connection, org_id: str, id: str, status: Status, now: float) -> sa.Row[Any] | None:
    """The request as it stands after it; None when there is none."""
    this = callbacks.c.id == id, callbacks.c.org_id == org_id
    changed = {"status": status, "updated_at": now}
    if tx.execute(callbacks.update().where(*this, callbacks.c.status != status).values(changed)).rowcount:
        follow_ups.settle_of_callback(tx, id, status, now)
    return tx.execute(sa.select(callbacks).where(*this)).one_or_none()
