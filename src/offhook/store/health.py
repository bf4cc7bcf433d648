"""All that the page about health shows of one organisation, read at once."""

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from offhook.events import UNASSIGNED
from offhook.store import balances, effects, event_lists, pulse, warnings
from offhook.store.balances import Absence, Day, State
from offhook.store.tables import events, recordings, workspaces
from offhook.store.warnings import Standing

_DAYS = 14
_DAY_S = 86_400.0
_STRIP = 60


class Health(msgspec.Struct, frozen=True, kw_only=True):
    connected_at: float | None  #: unix; None: ElevenLabs cannot be asked, because the organisation is not connected
    reconciled_at: float | None  #: when ElevenLabs was asked what it has, and it went well, the last time
    trouble: str | None  #: why it did not go well
    reconcile: State | None
    last_success_at: float | None  #: when a delivery was answered with 200, the last time
    fetched_since: int  #: conversations that ended later than that, and came only because they were asked for
    findings: list[Standing]
    days: list[Day]  #: the newest first
    absences: list[Absence]  #: of those days
    waiting: int
    oldest_waiting_at: float | None
    quarantined: int
    unassigned: int  #: of the whole installation
    effects: dict[str, int]  #: due, dead, suppressed
    latest: Sequence[sa.Row[Any]]  #: of the last deliveries, see event_lists.latest
    recordings: int
    recordings_bytes: int


def look(tx: sa.Connection, org_id: str, now: float, since_day: str) -> Health:
    """*since_day* (UTC, 2026-11-22): from which day on absences make it look bad."""
    connected_at, reconciled_at, trouble = _workspace(tx, org_id)
    last_success_at = pulse.last_success(tx, org_id)
    waiting, oldest = _waiting(tx, org_id)
    count, size_bytes = _recordings(tx, org_id)
    return Health(
        connected_at=connected_at,
        reconciled_at=reconciled_at,
        trouble=trouble,
        reconcile=balances.states(tx, now, since_day).get(org_id),
        last_success_at=last_success_at,
        fetched_since=pulse.fetched(tx, org_id, last_success_at, connected_at),
        findings=warnings.standing(tx, org_id),
        days=balances.page(tx, org_id, limit=_DAYS)[0],
        absences=balances.absences_of(tx, org_id, since=now - _DAYS * _DAY_S),
        waiting=waiting,
        oldest_waiting_at=oldest,
        quarantined=event_lists.count_of(tx, org_id, "quarantined"),
        unassigned=event_lists.count_of(tx, UNASSIGNED, "unassigned"),
        effects=effects.unsettled(tx, org_id),
        latest=event_lists.latest(tx, org_id, _STRIP),
        recordings=count,
        recordings_bytes=size_bytes,
    )


def _workspace(tx: sa.Connection, org_id: str) -> tuple[float | None, float | None, str | None]:
    """Since when it is connected, when it was reconciled, what went wrong with that."""
    columns = workspaces.c.created_at, workspaces.c.reconciled_at, workspaces.c.trouble
    row = tx.execute(sa.select(*columns).where(workspaces.c.org_id == org_id)).first()
    return (None, None, None) if row is None else (row[0], row[1], row[2])


def _waiting(tx: sa.Connection, org_id: str) -> tuple[int, float | None]:
    mine = events.c.org_id == org_id, events.c.status == "pending"
    row = tx.execute(sa.select(sa.func.count(), sa.func.min(events.c.received_at)).where(*mine)).one()
    return int(row[0]), row[1]


def _recordings(tx: sa.Connection, org_id: str) -> tuple[int, int]:
    summed = sa.select(sa.func.count(), sa.func.sum(recordings.c.size_bytes)).where(recordings.c.org_id == org_id)
    count, size_bytes = tx.execute(summed).one()
    return int(count), int(size_bytes or 0)
