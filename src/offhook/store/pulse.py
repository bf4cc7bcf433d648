"""What every page of the dashboard says at its edge: who waits, and whether calls are arriving."""

import msgspec
import sqlalchemy as sa

from offhook.store import follow_ups as follow_up_rows
from offhook.store import warnings
from offhook.store.tables import events, follow_ups
from offhook.store.warnings import Standing

_DELIVERED = ("webhook", "spool")  #: brought by the provider itself


class Pulse(msgspec.Struct, frozen=True, kw_only=True):
    open_follow_ups: int
    last_delivery_at: float | None  #: unix; None: nothing was ever delivered
    findings: list[Standing]  #: of the guardian; the worst and oldest first


def take(tx: sa.Connection, org_id: str, now: float) -> Pulse:
    newest = sa.select(events.c.received_at).where(events.c.org_id == org_id, events.c.source.in_(_DELIVERED))
    return Pulse(
        open_follow_ups=open_follow_ups(tx, org_id, now),
        last_delivery_at=tx.execute(newest.order_by(events.c.received_at.desc()).limit(1)).scalar(),
        findings=warnings.standing(tx, org_id),
    )


def open_follow_ups(tx: sa.Connection, org_id: str, now: float) -> int:
    mine = follow_ups.c.org_id == org_id, follow_up_rows.is_waiting(now)
    return int(tx.execute(sa.select(sa.func.count()).select_from(follow_ups).where(*mine)).scalar_one())
