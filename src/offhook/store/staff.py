"""The organisation's people, to whom an agent may hand a call over."""

import secrets
from collections.abc import Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from offhook.errors import Mistake
from offhook.store.tables import staff


class Presence(NamedTuple):
    """Who is there just now."""

    online: int
    available: int  #: of those online


def add(
    tx: sa.Connection,
    org_id: str,
    *,
    name: str,
    number: str | None,
    is_online: bool = True,
    is_available: bool = True,
    now: float,
) -> sa.Row[Any]:
    """A new person; *number* is E.164, None for somebody who cannot be rung."""
    row = {
        "id": secrets.token_hex(12),
        "org_id": org_id,
        "name": name,
        "number": number,
        "is_online": is_online,
        "is_available": is_available,
        "created_at": now,
        "updated_at": now,
    }
    tx.execute(staff.insert(), row)
    return tx.execute(sa.select(staff).where(staff.c.id == row["id"])).one()


def change(tx: sa.Connection, org_id: str, id: str, facts: dict[str, Any], now: float) -> sa.Row[Any] | None:
    """The person with those columns overwritten; None when there is none."""
    this = staff.c.id == id, staff.c.org_id == org_id
    tx.execute(staff.update().where(*this).values(**facts, updated_at=now))
    return get(tx, org_id, id)


def remove(tx: sa.Connection, org_id: str, id: str) -> bool:
    """False when there is none."""
    return bool(tx.execute(staff.delete().where(staff.c.id == id, staff.c.org_id == org_id)).rowcount)


def get(tx: sa.Connection, org_id: str, id: str) -> sa.Row[Any] | None:
    return tx.execute(sa.select(staff).where(staff.c.id == id, staff.c.org_id == org_id)).one_or_none()


def find(tx: sa.Connection, org_id: str, id_or_name: str) -> sa.Row[Any]:
    """The person with that id, else the only one of that name; Mistake when there is none or are several."""
    is_meant = staff.c.org_id == org_id, (staff.c.id == id_or_name) | (staff.c.name == id_or_name)
    found = tx.execute(sa.select(staff).where(*is_meant)).all()
    if len(found) == 1:
        return found[0]
    if found:
        ids = " or ".join(sorted(row.id for row in found))
        raise Mistake(f"{len(found)} people are called {id_or_name!r}: say which by the id, {ids}.")
    raise Mistake(f"Nobody there is called {id_or_name!r}: `offhook staff list ORG` shows them all.")


def page(tx: sa.Connection, org_id: str, *, limit: int, offset: int) -> tuple[Sequence[sa.Row[Any]], int]:
    """The newest first, and how many there are in all."""
    newest_first = staff.c.created_at.desc(), staff.c.id.desc()
    wanted = sa.select(staff).where(staff.c.org_id == org_id)
    total = tx.execute(sa.select(sa.func.count()).select_from(wanted.subquery())).scalar_one()
    return tx.execute(wanted.order_by(*newest_first).limit(limit).offset(offset)).all(), total


def presence(tx: sa.Connection, org_id: str) -> Presence:
    available = sa.func.count(sa.case((staff.c.is_available, 1)))
    is_there = staff.c.org_id == org_id, staff.c.is_online
    return Presence(*tx.execute(sa.select(sa.func.count(), available).where(*is_there)).one())


def free_to_talk(tx: sa.Connection, org_id: str) -> sa.Row[Any] | None:
    """Whoever has been available for longest and can be rung; None when nobody is."""
    is_free = staff.c.org_id == org_id, staff.c.is_online, staff.c.is_available, staff.c.number.is_not(None)
    return tx.execute(sa.select(staff).where(*is_free).order_by(staff.c.updated_at, staff.c.id).limit(1)).first()
