"""What the list of events asks for: a page behind a cursor, the counts of a stretch of time, the last deliveries.

ix_events_listed holds every column that is chosen by, so a rare choice among very many events reads no body.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from offhook import events as words
from offhook.events import Status
from offhook.store.events import FACTS, IS_REPLAYABLE
from offhook.store.tables import events

_NEWEST_FIRST = events.c.received_at.desc(), events.c.seq.desc()
_FROM_ELSEWHERE = ("webhook", "spool", "reconciled")  #: the provider's events, however they came
SET_ASIDE: tuple[Status, ...] = ("quarantined", "stale", "unassigned")


class Cursor(NamedTuple):
    """A place between two events of a list, newest first: behind the one that it names."""

    received_at: float
    seq: int


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which events; None leaves a question open."""

    status: str | None = None
    type: str | None = None
    source: str | None = None
    proof: str | None = None
    since: float | None = None  #: unix, inclusive
    until: float | None = None  #: unix, exclusive
    id: str = ""  #: of an event, a call or a conversation, or the sha256 of a body; whole


class Hour(NamedTuple):
    """How many events of a status and source came within one hour."""

    hour: int  #: since the beginning that was asked for
    status: str
    source: str
    events: int


def page(
    tx: sa.Connection, org_id: str, wanted: Wanted, *, limit: int, after: Cursor | None = None
) -> Sequence[sa.Row[Any]]:
    """Facts of the next *limit* of the wanted events, newest first."""
    seqs = sa.select(events.c.seq).where(*_conditions(org_id, wanted))
    if after is not None:
        seqs = seqs.where(_is_behind(after))
    found = seqs.order_by(*_NEWEST_FIRST).limit(limit).subquery()
    whole = sa.select(*FACTS).join_from(events, found, found.c.seq == events.c.seq)
    return tx.execute(whole.order_by(*_NEWEST_FIRST)).all()


def replayable(tx: sa.Connection, org_id: str, wanted: Wanted, limit: int) -> Sequence[str]:
    """The ids of the newest *limit* of the wanted events of which something can be made, oldest first.

    Without the stale ones, unless they are what is asked for: we did not believe their time.
    """
    mine = sa.select(events.c.id).where(*_replayable(org_id, wanted))
    return tx.execute(mine.order_by(*_NEWEST_FIRST).limit(limit)).scalars().all()[::-1]


def count_replayable(tx: sa.Connection, org_id: str, wanted: Wanted, most: int) -> int:
    """How many they are; *most* + 1 where they are more than that."""
    some = sa.select(events.c.seq).where(*_replayable(org_id, wanted)).limit(most + 1).subquery()
    return int(tx.execute(sa.select(sa.func.count()).select_from(some)).scalar_one())


def has_any(tx: sa.Connection, org_id: str) -> bool:
    return tx.execute(sa.select(events.c.seq).where(events.c.org_id == org_id).limit(1)).first() is not None


def by_hour(tx: sa.Connection, org_id: str, begin: float, end: float) -> list[Hour]:
    """What came from *begin* (unix) to before *end*, by the hour; only what there was."""
    hour = sa.cast(sa.func.floor((events.c.received_at - begin) / 3600), sa.Integer)
    columns = hour, events.c.status, events.c.source
    within = events.c.org_id == org_id, events.c.received_at >= begin, events.c.received_at < end
    counted = sa.select(*columns, sa.func.count()).where(*within).group_by(*columns)
    return [Hour(*row) for row in tx.execute(counted)]


def count_of(tx: sa.Connection, org_id: str, status: Status) -> int:
    """How many of the organisation's events stand so, however old."""
    mine = events.c.org_id == org_id, events.c.status == status
    return int(tx.execute(sa.select(sa.func.count()).select_from(events).where(*mine)).scalar_one())


def latest(tx: sa.Connection, org_id: str, limit: int) -> Sequence[sa.Row[Any]]:
    """`status`, `source` and `received_at` of the provider's last events, the newest first."""
    columns: tuple[sa.ColumnElement[Any], ...] = (events.c.status, events.c.source, events.c.received_at)
    mine = events.c.org_id == org_id, events.c.source.in_(_FROM_ELSEWHERE)
    return tx.execute(sa.select(*columns).where(*mine).order_by(*_NEWEST_FIRST).limit(limit)).all()


def _replayable(org_id: str, wanted: Wanted) -> list[sa.ColumnElement[bool]]:
    conditions = [*_conditions(org_id, wanted), IS_REPLAYABLE]
    if wanted.status != "stale":  # they were answered with 401: replayed unasked, the failure would look like a success
        conditions.append(events.c.status != "stale")
    return conditions


def _conditions(org_id: str, wanted: Wanted) -> list[sa.ColumnElement[bool]]:
    equal = {
        events.c.status: wanted.status, events.c.type: wanted.type, events.c.source: wanted.source,
        events.c.proof: wanted.proof,
    }  # fmt: skip
    conditions = [events.c.org_id == org_id, *(column == one for column, one in equal.items() if one is not None)]
    if wanted.since is not None:
        conditions.append(events.c.received_at >= wanted.since)
    if wanted.until is not None:
        conditions.append(events.c.received_at < wanted.until)
    if wanted.id:
        conditions.append(events.c.seq.in_(_of_id(org_id, wanted.id)))
    return conditions


def _of_id(org_id: str, id: str) -> sa.CompoundSelect[tuple[int]]:
    """The events that *id* may mean. Ids are derived, so a conversation or a body is found by an index on another."""
    event_ids = id, words.event_id(org_id, id), words.event_id(org_id, id, "stale")
    of_event = sa.select(events.c.seq).where(events.c.id.in_(event_ids))
    return of_event.union(sa.select(events.c.seq).where(events.c.call_id.in_((id, words.call_id(org_id, id)))))


def _is_behind(place: Cursor) -> sa.ColumnElement[bool]:
    at = events.c.received_at
    is_older = (at < place.received_at) | ((at == place.received_at) & (events.c.seq < place.seq))
    return is_older & (at <= place.received_at)  # said again so that SQLite begins here in its index
