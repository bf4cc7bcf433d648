"""What every page of the dashboard says at its edge: who waits, and whether calls are arriving."""

import msgspec
import sqlalchemy as sa

from offhook.store import follow_ups as follow_up_rows
from offhook.store import warnings
from offhook.store.tables import events, follow_ups, workspaces
from offhook.store.warnings import Standing

_DELIVERED = ("webhook", "spool")  #: brought by the provider itself


class Pulse(msgspec.Struct, frozen=True, kw_only=True):
    open_follow_ups: int
    last_delivery_at: float | None  #: unix; None: nothing was ever delivered
    fetched_since: int  #: conversations that ended later than that, and came only because they were asked for
    findings: list[Standing]  #: of the guardian; the worst and oldest first


def take(tx: sa.Connection, org_id: str, now: float) -> Pulse:
    newest = sa.select(events.c.received_at).where(events.c.org_id == org_id, events.c.source.in_(_DELIVERED))
    last_at = tx.execute(newest.order_by(events.c.received_at.desc()).limit(1)).scalar()
    return Pulse(
        open_follow_ups=open_follow_ups(tx, org_id, now),
        last_delivery_at=last_at,
        fetched_since=_fetched_since(tx, org_id, last_at),
        findings=warnings.standing(tx, org_id),
    )


def _fetched_since(tx: sa.Connection, org_id: str, last_at: float | None) -> int:
    """What ended before the organisation was connected was never compared."""
    connected_at = tx.execute(sa.select(workspaces.c.created_at).where(workspaces.c.org_id == org_id)).scalar()
    if connected_at is None or last_at is None:
        return 0
    return fetched(tx, org_id, max(last_at, connected_at))


def fetched(tx: sa.Connection, org_id: str, since: float) -> int:
    """Conversations that ended after *since* (unix) and that reconcile brought."""
    brought = events.c.org_id == org_id, events.c.received_at > since, events.c.source == "reconciled"
    ended = sa.func.coalesce(events.c.event_timestamp, events.c.received_at) > since
    return int(tx.execute(sa.select(sa.func.count(sa.distinct(events.c.call_id))).where(*brought, ended)).scalar_one())


def open_follow_ups(tx: sa.Connection, org_id: str, now: float) -> int:
    mine = follow_ups.c.org_id == org_id, follow_up_rows.is_waiting(now)
    return int(tx.execute(sa.select(sa.func.count()).select_from(follow_ups).where(*mine)).scalar_one())
