"""People who want to be rung back."""

from collections.abc import Sequence
from typing import Any, Literal

import sqlalchemy as sa

from offhook.store.database import insert_new
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
    """Somebody wants to be rung back at *number* (E.164; None: withheld). The same id again changes nothing."""
    row = {
        "id": id,
        "org_id": org_id,
        "call_id": call_id,
        "contact_id": contact_id,
        "number": number,
        "reason": reason,
        "status": "open",
        "created_at": now,
        "updated_at": now,
    }
    insert_new(tx, callbacks, [row])


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
    tx.execute(callbacks.update().where(*this, callbacks.c.status != status).values(status=status, updated_at=now))
    return tx.execute(sa.select(callbacks).where(*this)).one_or_none()
