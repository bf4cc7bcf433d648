"""What every page of the dashboard says at its edge: who waits, and whether calls are arriving."""

import msgspec
import sqlalchemy as sa

from offhook.store import follow_ups as follow_up_rows
from offhook.store import warnings
from offhook.store.tables import events, follow_ups, workspaces
from offhook.store.warnings import Standing

_DELIVERED = ("webhook", "spool")  #: brought by the provider itself
OFF_AT = 10  #: so many failures in a row switch a webhook off, and more are not worse
_EVENTS_OF_A_CALL = 10  #: at most, as a rule it is two: what was said, and how it sounds


class Pulse(msgspec.Struct, frozen=True, kw_only=True):
    open_follow_ups: int
    is_connected: bool  #: so that ElevenLabs can be asked what it could not deliver
    last_success_at: float | None  #: unix, see `last_success`
    #: Conversations that ended later, and came only because they were asked for; at most OFF_AT.
    fetched_since: int
    findings: list[Standing]  #: of the guardian; the worst and oldest first


def take(tx: sa.Connection, org_id: str, now: float) -> Pulse:
    last_at = last_success(tx, org_id)
    connected_at = tx.execute(sa.select(workspaces.c.created_at).where(workspaces.c.org_id == org_id)).scalar()
    return Pulse(
        open_follow_ups=open_follow_ups(tx, org_id, now),
        is_connected=connected_at is not None,
        last_success_at=last_at,
        fetched_since=fetched(tx, org_id, last_at, connected_at, most=OFF_AT),
        findings=warnings.standing(tx, org_id),
    )


def last_success(tx: sa.Connection, org_id: str) -> float | None:
    """When a delivery was answered with 200, the last time (unix); None: never. What is stale was answered with 401."""
    delivered = events.c.source.in_(_DELIVERED), events.c.status != "stale"
    newest = sa.select(events.c.received_at).where(events.c.org_id == org_id, *delivered)
    at: float | None = tx.execute(newest.order_by(events.c.received_at.desc()).limit(1)).scalar()
    return at


def fetched(
    tx: sa.Connection,
    org_id: str,
    last_success_at: float | None,
    connected_at: float | None,
    *,
    most: int | None = None,
) -> int:
    """Conversations that ended after the last success and that reconcile brought; *most*: as many are counted, and no more.

    What ended before the organisation was connected was never compared.
    """
    if connected_at is None:
        return 0
    since = max(last_success_at or 0.0, connected_at)
    brought = events.c.org_id == org_id, events.c.received_at > since, events.c.source == "reconciled"
    ended = sa.func.coalesce(events.c.event_timestamp, events.c.received_at) > since
    newest = sa.select(events.c.call_id).where(*brought, ended).order_by(events.c.received_at.desc())
    # Rows and not calls are limited: PostgreSQL would read every row before it knew the first few different ones.
    some = newest.limit(most and most * _EVENTS_OF_A_CALL).subquery()
    count = int(tx.execute(sa.select(sa.func.count(sa.distinct(some.c.call_id)))).scalar_one())
    return count if most is None else min(count, most)


def open_follow_ups(tx: sa.Connection, org_id: str, now: float) -> int:
    mine = follow_ups.c.org_id == org_id, follow_up_rows.is_waiting(now)
    return int(tx.execute(sa.select(sa.func.count()).select_from(follow_ups).where(*mine)).scalar_one())
