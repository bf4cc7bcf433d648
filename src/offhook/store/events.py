"""The inbox's statements: events by id, by call, by page; attempts and statuses."""

from collections.abc import Collection, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from offhook.events import ASIDES, Audio, Event, Part, Status
from offhook.sealing import KeyRing
from offhook.store.database import insert_new
from offhook.store.tables import events

#: What a list shows: everything but what is sealed.
FACTS = tuple(column for column in events.c if column.name not in ("body", "answer"))

#: Of an event of no conversation nothing can be made, and neither of one that belongs to nobody.
IS_REPLAYABLE = sa.and_(
    sa.or_(events.c.call_id.is_not(None), events.c.source.in_(ASIDES)), events.c.status != "unassigned"
)

#: The columns that filing writes, in the order of `filed_values`.
FILED_COLUMNS = (
    "id", "org_id", "call_id", "type", "source", "proof", "status", "reason", "attempts", "deliveries",
    "conversation_id", "agent_id", "event_timestamp", "received_at", "size_bytes", "sha256", "parts", "audio", "body",
    "answer",
)  # fmt: skip

_parts = msgspec.json.Decoder(tuple[Part, ...])
_audio = msgspec.json.Decoder(Audio)


def filed_values(event: Event) -> tuple[Any, ...]:
    """*event* (body and answer sealed) as the values of FILED_COLUMNS."""
    return (
        event.id, event.org_id, event.call_id, event.type, event.source, event.proof, event.status, event.reason, 0, 1,
        event.conversation_id, event.agent_id, event.event_timestamp, event.received_at, event.size_bytes, event.sha256,
        msgspec.json.encode(event.parts).decode() if event.parts else None,
        msgspec.json.encode(event.audio).decode() if event.audio else None,
        event.body, event.answer,
    )  # fmt: skip


def add(tx: sa.Connection, event: Event) -> None:
    """File *event* (sealed) in this transaction, with the rows that it tells of; one that is on file already stays."""
    insert_new(tx, events, [dict(zip(FILED_COLUMNS, filed_values(event), strict=True))])


def sealed(event: Event, keys: KeyRing) -> Event:
    """*event* as the store may keep it."""
    answer = None if event.answer is None else keys.seal(event.answer, _answer_of(event))
    return msgspec.structs.replace(event, body=keys.pack(event.body, event.id), answer=answer)


def opened(event: Event, keys: KeyRing) -> Event:
    """*event* from the store, with body and answer readable; Damaged when their seal does not hold."""
    answer = None if event.answer is None else keys.open(event.answer, _answer_of(event))
    return msgspec.structs.replace(event, body=keys.open(event.body, event.id), answer=answer)


def _answer_of(event: Event) -> str:
    """What an answer is bound to; not the event's id alone, else it could be taken for the body."""
    return f"{event.id}:answer"


def event_of(row: sa.Row[Any]) -> Event:
    """The event of a whole row; body and answer are still sealed."""
    return Event(
        id=row.id, org_id=row.org_id, call_id=row.call_id, type=row.type, source=row.source, proof=row.proof,
        status=row.status, reason=row.reason, conversation_id=row.conversation_id, agent_id=row.agent_id,
        event_timestamp=row.event_timestamp, received_at=row.received_at, size_bytes=row.size_bytes, sha256=row.sha256,
        parts=_parts.decode(row.parts) if row.parts else (),
        audio=_audio.decode(row.audio) if row.audio else None,
        body=bytes(row.body),
        answer=None if row.answer is None else bytes(row.answer),
    )  # fmt: skip


def get(tx: sa.Connection, org_id: str, event_id: str) -> sa.Row[Any] | None:
    """The whole row of one event of this organisation; None when there is none."""
    return tx.execute(sa.select(events).where(events.c.id == event_id, events.c.org_id == org_id)).first()


def find(tx: sa.Connection, event_id: str) -> sa.Row[Any] | None:
    """The whole row, whoever's it is: for the operator, never for the API."""
    return tx.execute(sa.select(events).where(events.c.id == event_id)).first()


def page(
    tx: sa.Connection,
    org_id: str | None,
    *,
    type: str | None = None,
    status: str | None = None,
    call_id: str | None = None,
    limit: int = 50,
    offset: int = 0,
) -> tuple[Sequence[sa.Row[Any]], int]:
    """Facts of the events that came last, newest first, and how many there are in all.

    With *org_id* None, for the operator, everybody's, in the order in which they were filed: no index has all by time.
    """
    wanted = _wanted(org_id, type, status, call_id)
    order = (events.c.seq.desc(),) if org_id is None else (events.c.received_at.desc(), events.c.seq.desc())
    rows = tx.execute(sa.select(*FACTS).where(*wanted).order_by(*order).limit(limit).offset(offset)).all()
    total = tx.execute(sa.select(sa.func.count()).select_from(events).where(*wanted)).scalar_one()
    return rows, total


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """Which events shall be understood again; what is not said does not matter."""

    org_id: str | None = None
    type: str | None = None
    statuses: tuple[Status, ...] = ()
    since: float | None = None  #: unix; when they came, at the earliest
    ids: tuple[str, ...] = ()


def replayable(tx: sa.Connection, chosen: Chosen, after_seq: int, limit: int) -> Sequence[sa.Row[*tuple[Any, ...]]]:
    """`seq`, `id`, `call_id` and `source` of the next of them behind *after_seq*, oldest first.

    Without those of which nothing can be made: unassigned, or of no conversation.
    """
    columns = events.c.seq, events.c.id, events.c.call_id, events.c.source
    wanted = *_replayable(chosen), events.c.seq > after_seq
    return tx.execute(sa.select(*columns).where(*wanted).order_by(events.c.seq).limit(limit)).all()


def count_replayable(tx: sa.Connection, chosen: Chosen) -> tuple[int, int]:
    """How many there are, and the `seq` of the last."""
    count = sa.select(sa.func.count(), sa.func.coalesce(sa.func.max(events.c.seq), 0)).where(*_replayable(chosen))
    total, last_seq = tx.execute(count).one()
    return total, last_seq


def replayable_of_calls(tx: sa.Connection, chosen: Chosen, call_ids: Collection[str]) -> Sequence[str]:
    """The ids of those of them that tell of these calls."""
    wanted = *_replayable(chosen), events.c.call_id.in_(call_ids), events.c.source.not_in(ASIDES)
    return tx.execute(sa.select(events.c.id).where(*wanted)).scalars().all()


def _replayable(chosen: Chosen) -> list[sa.ColumnElement[bool]]:
    wanted = [*_wanted(chosen.org_id, chosen.type, None, None), IS_REPLAYABLE]
    if chosen.statuses:
        wanted.append(events.c.status.in_(chosen.statuses))
    if chosen.since is not None:
        wanted.append(events.c.received_at >= chosen.since)
    if chosen.ids:
        wanted.append(events.c.id.in_(chosen.ids))
    return wanted


def _wanted(
    org_id: str | None, type: str | None, status: str | None, call_id: str | None
) -> list[sa.ColumnElement[bool]]:
    asked = {events.c.org_id: org_id, events.c.type: type, events.c.status: status, events.c.call_id: call_id}
    return [column == value for column, value in asked.items() if value is not None]


def of_calls(tx: sa.Connection, call_ids: Collection[str], set_aside: Collection[str] = ()) -> Sequence[sa.Row[Any]]:
    """Whole rows of every event that makes these calls and may be projected, oldest first.

    *set_aside*: ids of events that count too, however they stand.
    """
    may_be = events.c.status.in_(("pending", "projected")) | events.c.id.in_(set_aside)
    wanted = events.c.call_id.in_(call_ids), may_be, events.c.source.not_in(ASIDES)
    return tx.execute(sa.select(events).where(*wanted).order_by(events.c.seq)).all()


def whole(tx: sa.Connection, ids: Collection[str]) -> Sequence[sa.Row[Any]]:
    """Whole rows of these events, oldest first."""
    return tx.execute(sa.select(events).where(events.c.id.in_(ids)).order_by(events.c.seq)).all()


def unassigned(tx: sa.Connection, after_seq: int, limit: int) -> Sequence[sa.Row[Any]]:
    """Whole rows of the next events of conversations that belong to no organisation yet."""
    wanted = events.c.status == "unassigned", events.c.conversation_id.is_not(None), events.c.seq > after_seq
    return tx.execute(sa.select(events).where(*wanted).order_by(events.c.seq).limit(limit)).all()


def assign(tx: sa.Connection, id: str, event: Event) -> None:
    """File *event* (sealed), which is the unassigned one of that *id* under the organisation that it belongs to."""
    add(tx, event)
    tx.execute(events.delete().where(events.c.id == id, events.c.status == "unassigned"))


def set_status(tx: sa.Connection, ids: Collection[str], status: Status, reason: str | None = None) -> None:
    tx.execute(events.update().where(events.c.id.in_(ids)).values(status=status, reason=reason))


def send_back(tx: sa.Connection, ids: Collection[str]) -> None:
    """Make these events due again, with a clean count of attempts."""
    tx.execute(events.update().where(events.c.id.in_(ids)).values(status="pending", reason=None, attempts=0))


def standing(tx: sa.Connection, ids: Collection[str]) -> dict[str, tuple[Status, str | None]]:
    """The status of each of these events, and its reason."""
    rows = tx.execute(sa.select(events.c.id, events.c.status, events.c.reason).where(events.c.id.in_(ids)))
    return {row.id: (row.status, row.reason) for row in rows}


def known_calls(tx: sa.Connection, call_ids: Collection[str]) -> Sequence[str]:
    """Which of these calls have an event on file."""
    return tx.execute(sa.select(events.c.call_id).where(events.c.call_id.in_(call_ids)).distinct()).scalars().all()


def count_by_status(tx: sa.Connection) -> dict[str, int]:
    """Events in all, by status, over all organisations."""
    rows = tx.execute(sa.select(events.c.status, sa.func.count()).group_by(events.c.status)).all()
    return {row[0]: row[1] for row in rows}


def oldest_pending(tx: sa.Connection) -> float | None:
    """When the event that has waited longest for its projection came (unix); None when none waits."""
    return tx.execute(
        sa.select(events.c.received_at).where(events.c.status == "pending").order_by(events.c.seq).limit(1)
    ).scalar()
