"""Effects as rows: wanted in the transaction of whatever wants them, leased by one worker at a time, ended with a word.

A worker that dies keeps its lease until it runs out; then another takes the row. Whoever comes back from the dead and finds
that somebody else has it writes nothing.
"""

from collections.abc import Collection, Sequence
from typing import Any, Literal

import msgspec
import sqlalchemy as sa

from offhook.events import derived_id
from offhook.store.database import insert_new
from offhook.store.tables import effects

_SCHEDULE = ""  #: the key of a kind that comes round by the clock

Status = Literal["due", "done", "suppressed", "dead"]


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """Something that shall happen, once, however often it is wished for."""

    kind: str  #: a row of effects.KINDS
    key: str  #: what makes it this one and no other, within its kind
    org_id: str | None = None
    call_id: str | None = None
    payload: dict[str, Any] = {}
    due_at: float = 0.0  #: unix; 0: at once

    @property
    def id(self) -> str:
        return effect_id(self.kind, self.key)


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """One that is in hand."""

    id: str
    org_id: str | None
    kind: str
    key: str
    call_id: str | None
    payload: dict[str, Any]
    attempts: int  #: this one included
    created_at: float


def effect_id(kind: str, key: str) -> str:
    return derived_id("effect", kind, key)


def want(tx: sa.Connection, wishes: Sequence[Wish], now: float) -> None:
    """Keep those that nobody wished for before."""
    insert_new(tx, effects, [_row(wish, now) for wish in sorted(wishes, key=lambda wish: wish.id)])


def lease(tx: sa.Connection, worker: str, kinds: Collection[str], now: float, until: float, limit: int) -> list[Effect]:
    """Take what is due, the longest overdue first, and what a dead worker left; each attempt is counted before it is made."""
    wanted = sa.select(effects.c.id).where(*_is_free(kinds, now)).order_by(effects.c.due_at).limit(limit)
    if tx.dialect.name == "postgresql":
        wanted = wanted.with_for_update(skip_locked=True)
    ids = tx.execute(wanted).scalars().all()
    if not ids:
        return []
    taken = {"attempts": effects.c.attempts + 1, "leased_until": until, "leased_by": worker, "updated_at": now}
    tx.execute(effects.update().where(effects.c.id.in_(ids)).values(taken))
    rows = tx.execute(sa.select(effects).where(effects.c.id.in_(ids)).order_by(effects.c.due_at)).all()
    return [_effect(row) for row in rows]


def hold(tx: sa.Connection, worker: str, ids: Collection[str], until: float) -> None:
    """Keep these leases for longer: their work is going on."""
    tx.execute(effects.update().where(effects.c.id.in_(ids), effects.c.leased_by == worker).values(leased_until=until))


def end(tx: sa.Connection, worker: str, id: str, status: Status, outcome: str, now: float) -> None:
    """It is over, one way or the other."""
    _give_back(tx, worker, id, {"status": status, "outcome": outcome, "updated_at": now})


def put_back(
    tx: sa.Connection, worker: str, id: str, due_at: float, outcome: str, now: float, *, is_a_round: bool = False
) -> None:
    """It is due again later. *is_a_round*: it went well and comes round by the clock, so its attempts count anew."""
    anew = {"attempts": 0} if is_a_round else {}
    _give_back(tx, worker, id, {"due_at": due_at, "outcome": outcome, "updated_at": now, **anew})


def hand_back(tx: sa.Connection, worker: str, ids: Collection[str]) -> None:
    """Not even begun, or broken off by our own stop: somebody else may take them at once, and no attempt is counted."""
    mine = effects.c.id.in_(ids), effects.c.leased_by == worker
    free = {"leased_until": None, "leased_by": None, "attempts": effects.c.attempts - 1}
    tx.execute(effects.update().where(*mine).values(free))


def free_all(tx: sa.Connection) -> None:
    """Nobody has anything in hand: whoever had is dead."""
    in_hand = effects.c.status == "due", effects.c.leased_by.is_not(None)
    tx.execute(effects.update().where(*in_hand).values(leased_until=None, leased_by=None))


def is_due(tx: sa.Connection, kinds: Collection[str], now: float) -> bool:
    """Whether there is something to lease."""
    return tx.execute(sa.select(effects.c.id).where(*_is_free(kinds, now)).limit(1)).first() is not None


def hasten(tx: sa.Connection, kinds: Collection[str], now: float, *, rest_s: float) -> int:
    """Have schedules come round at once, but for those that are in hand or ended a round less than *rest_s* ago: how many."""
    idle = effects.c.key == _SCHEDULE, effects.c.leased_by.is_(None), effects.c.updated_at <= now - rest_s
    late = effects.update().where(effects.c.kind.in_(kinds), *idle, effects.c.due_at > now)
    return tx.execute(late.values(due_at=now)).rowcount


def retry(tx: sa.Connection, org_id: str | None, ids: Collection[str], now: float) -> list[str]:
    """Make those of *ids* due again that were given up or suppressed; their ids. With *org_id* None, whoever's they are."""
    ended: list[sa.ColumnElement[bool]] = [effects.c.id.in_(ids), effects.c.status.in_(("dead", "suppressed"))]
    if org_id is not None:
        ended.append(effects.c.org_id == org_id)
    again = tx.execute(sa.select(effects.c.id).where(*ended)).scalars().all()
    anew = {"status": "due", "due_at": now, "attempts": 0, "leased_until": None, "leased_by": None, "updated_at": now}
    tx.execute(effects.update().where(effects.c.id.in_(again)).values(anew))
    return list(again)


def find(tx: sa.Connection, ids: Collection[str]) -> Sequence[sa.Row[Any]]:
    return tx.execute(sa.select(effects).where(effects.c.id.in_(ids))).all()


def ids_of(tx: sa.Connection, org_id: str | None, *, status: str, kind: str | None) -> Sequence[str]:
    """Those in that state, oldest first; without *org_id* everybody's."""
    asked = {effects.c.org_id: org_id, effects.c.status: status, effects.c.kind: kind}
    wanted = [column == value for column, value in asked.items() if value is not None]
    return tx.execute(sa.select(effects.c.id).where(*wanted).order_by(effects.c.created_at)).scalars().all()


def page(
    tx: sa.Connection,
    org_id: str | None,
    *,
    status: str | None = None,
    kind: str | None = None,
    limit: int = 50,
    offset: int = 0,
) -> tuple[Sequence[sa.Row[Any]], int]:
    """The newest first, and how many there are in all; without *org_id* everybody's."""
    asked = {effects.c.org_id: org_id, effects.c.status: status, effects.c.kind: kind}
    wanted = [column == value for column, value in asked.items() if value is not None]
    newest = effects.c.created_at.desc(), effects.c.id.desc()
    rows = tx.execute(sa.select(effects).where(*wanted).order_by(*newest).limit(limit).offset(offset)).all()
    return rows, tx.execute(sa.select(sa.func.count()).select_from(effects).where(*wanted)).scalar_one()


def of_calls(tx: sa.Connection, call_ids: Collection[str]) -> Sequence[sa.Row[Any]]:
    """Those that these calls brought about, oldest first."""
    wanted = sa.select(effects).where(effects.c.call_id.in_(call_ids))
    return tx.execute(wanted.order_by(effects.c.created_at, effects.c.id)).all()


def ended(tx: sa.Connection, org_id: str, status: Status, *, limit: int) -> Sequence[sa.Row[Any]]:
    """The organisation's effects that ended so, the latest first."""
    mine = effects.c.org_id == org_id, effects.c.status == status
    latest = effects.c.updated_at.desc(), effects.c.id.desc()
    return tx.execute(sa.select(effects).where(*mine).order_by(*latest).limit(limit)).all()


def unsettled(tx: sa.Connection, org_id: str) -> dict[str, int]:
    """How many of the organisation's effects wait (due), were given up (dead) or were not to be (suppressed)."""
    mine = effects.c.org_id == org_id, effects.c.status.in_(("due", "dead", "suppressed")), effects.c.key != _SCHEDULE
    rows = tx.execute(sa.select(effects.c.status, sa.func.count()).where(*mine).group_by(effects.c.status))
    return {row[0]: row[1] for row in rows}


class Standing(msgspec.Struct, frozen=True):
    """How it stands, over all organisations; schedules, which are always due some time, do not count."""

    by_status: dict[str, int]
    dead: dict[str, int]  #: by kind
    due_at: float | None  #: of the most overdue, also of kinds that nobody here knows (unix)


def standing(tx: sa.Connection) -> Standing:
    both = effects.c.status, effects.c.kind
    rows = tx.execute(sa.select(*both, sa.func.count()).where(effects.c.key != _SCHEDULE).group_by(*both)).all()
    by_status: dict[str, int] = {}
    for status, _, count in rows:
        by_status[status] = by_status.get(status, 0) + count
    due_at = tx.execute(sa.select(sa.func.min(effects.c.due_at)).where(effects.c.status == "due")).scalar()
    return Standing(by_status, {kind: count for status, kind, count in rows if status == "dead"}, due_at)


def _is_free(kinds: Collection[str], now: float) -> Sequence[sa.ColumnElement[bool]]:
    """Due, and in nobody's hands."""
    is_free = effects.c.leased_until.is_(None) | (effects.c.leased_until <= now)
    return effects.c.status == "due", effects.c.due_at <= now, is_free, effects.c.kind.in_(kinds)


def _give_back(tx: sa.Connection, worker: str, id: str, values: dict[str, Any]) -> None:
    mine = effects.c.id == id, effects.c.leased_by == worker
    tx.execute(effects.update().where(*mine).values(leased_until=None, leased_by=None, **values))


def _row(wish: Wish, now: float) -> dict[str, Any]:
    return {
        "id": wish.id,
        "org_id": wish.org_id,
        "kind": wish.kind,
        "key": wish.key,
        "call_id": wish.call_id,
        "payload": msgspec.json.encode(wish.payload).decode(),
        "status": "due",
        "outcome": None,
        "attempts": 0,
        "due_at": wish.due_at or now,
        "leased_until": None,
        "leased_by": None,
        "created_at": now,
        "updated_at": now,
    }


def _effect(row: sa.Row[Any]) -> Effect:
    return Effect(
        id=row.id,
        org_id=row.org_id,
        kind=row.kind,
        key=row.key,
        call_id=row.call_id,
        payload=msgspec.json.decode(row.payload),
        attempts=row.attempts,
        created_at=row.created_at,
    )
