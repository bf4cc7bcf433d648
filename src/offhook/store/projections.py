"""What the projection writes: calls, notes, recordings and agents, and what became of the events they follow from.

A row is written only when it differs, so that folding again changes nothing, not even `updated_at`.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from offhook.events import ASIDES, call_id
from offhook.store import (
    call_locks,
    call_search,
    contexts,
    effects,
    follow_ups,
    organizations,
    people,
    summaries,
    tool_uses,
)
from offhook.store.call_search import Found
from offhook.store.database import upsert
from offhook.store.tables import calls, events, notes, recordings

_MAKES_A_CALL = events.c.source.not_in(ASIDES)
_FOLDABLE = sa.and_(events.c.status.in_(("pending", "projected")), _MAKES_A_CALL)
_IS_DUE = sa.and_(events.c.status == "pending", _MAKES_A_CALL)


class Begun(msgspec.Struct, frozen=True):
    """A conversation whose next attempt is counted."""

    attempts: int  #: of its most tried event that is due, this one included; 0: nothing is due
    body_bytes: int  #: of all its events


class Projection(msgspec.Struct, frozen=True, kw_only=True):
    """The rows that a conversation came to, and from which of its events. Without a call nothing is written."""

    call_id: str
    event_count: int  #: of events that were folded
    due: Collection[str]  #: ids of those among them that were due
    call: dict[str, Any] | None = None  #: but for contact_id and updated_at, as the others
    words: str = ""  #: what the call is found by
    note: dict[str, Any] | None = None
    recordings: Sequence[dict[str, Any]] = ()
    person: people.Person | None = None
    waiting: Sequence[follow_ups.Waiting] = ()  #: who waits for an answer since
    wishes: Sequence[effects.Wish] = ()  #: what follows from it


# Before


def waiting(tx: sa.Connection, after_seq: int, limit: int) -> Sequence[sa.Row[*tuple[Any, ...]]]:
    """Events whose projection is due, oldest first, from behind *after_seq*."""
    columns = events.c.seq, events.c.id, events.c.call_id, events.c.source, events.c.attempts, events.c.received_at
    due = events.c.status == "pending", events.c.seq > after_seq
    return tx.execute(sa.select(*columns).where(*due).order_by(events.c.seq).limit(limit)).all()


def begin(tx: sa.Connection, call_ids: Collection[str]) -> dict[str, Begun]:
    """Count an attempt of every event of *call_ids* that is due, before it is made."""
    of_them = events.c.call_id.in_(call_ids)
    tx.execute(events.update().where(of_them, _IS_DUE).values(attempts=events.c.attempts + 1))
    tried = sa.func.max(sa.case((_IS_DUE, events.c.attempts), else_=0))
    size = sa.func.sum(sa.func.length(events.c.body))
    rows = tx.execute(sa.select(events.c.call_id, tried, size).where(of_them, _FOLDABLE).group_by(events.c.call_id))
    return {call_id: Begun(attempts, int(body_bytes)) for call_id, attempts, body_bytes in rows}


def asides(tx: sa.Connection, event_ids: Collection[str]) -> Sequence[sa.Row[Any]]:
    """Whole rows of those events that are said beside a call, as far as they are due, oldest first."""
    due = events.c.id.in_(event_ids), events.c.status == "pending", events.c.source.in_(ASIDES)
    return tx.execute(sa.select(events).where(*due).order_by(events.c.seq)).all()


# After


def write(tx: sa.Connection, projections: Sequence[Projection], now: float) -> set[str]:
    """Write them; the ids of those calls that a newer event has overtaken, of which nothing is written."""
    current = _as_edited(tx, _not_overtaken(tx, projections))
    contact_ids = _contact_ids(tx, current)
    _name_strangers(tx, current, contact_ids)
    _write_changed(
        tx, calls, [{**_theirs(one, contact_ids), **one.call, "updated_at": now} for one in current if one.call]
    )
    _write_changed(
        tx, notes, [{**_theirs(one, contact_ids), **one.note, "updated_at": now} for one in current if one.note]
    )
    _write_changed(tx, recordings, [row for one in current for row in one.recordings])
    call_search.index(tx, [_found_by(one.call, one.words) for one in current if one.call])
    _learn_agents(tx, [one.call for one in current if one.call])
    follow_ups.keep(tx, [(waits, contact_ids.get(one.call_id)) for one in current for waits in one.waiting])
    follow_ups.close_answered(tx, {key for one in current if one.person and (key := one.person.number_key)}, now)
    effects.want(tx, [wish for one in current for wish in one.wishes], now)
    _stamp_projected(tx, [event_id for one in current for event_id in one.due], now)
    return {one.call_id for one in projections} - {one.call_id for one in current}


def _not_overtaken(tx: sa.Connection, projections: Sequence[Projection]) -> list[Projection]:
    """Those that were folded from all the events there are.

    Between this look and the commit nobody else writes these calls. An event that comes meanwhile brings a projection of
    its own, which waits for that.
    """
    ids = [one.call_id for one in projections]
    call_locks.hold(tx, ids)
    count = sa.select(events.c.call_id, sa.func.count()).where(events.c.call_id.in_(ids), _FOLDABLE)
    counts: dict[str, int] = {row[0]: row[1] for row in tx.execute(count.group_by(events.c.call_id))}
    current = [one for one in projections if counts.get(one.call_id, 0) == one.event_count]
    return sorted(current, key=lambda one: one.call_id)


def _as_edited(tx: sa.Connection, projections: Sequence[Projection]) -> list[Projection]:
    """They, with what people wrote in place of summaries; what the events say is kept beside it."""
    edits = summaries.of_calls(tx, [one.call_id for one in projections if one.call])
    for one in projections:
        if one.call and one.call_id in edits:
            summaries.keep_told(tx, one.call_id, one.call["summary"])
    return [_edited(one, edits[one.call_id]) if one.call_id in edits else one for one in projections]


def _edited(one: Projection, summary: str) -> Projection:
    call = {**(one.call or {}), "summary": summary}
    note = one.note and {**one.note, "note": summary}
    return msgspec.structs.replace(one, call=call, note=note, words=call_search.found_by(call).words)


def _contact_ids(tx: sa.Connection, projections: Iterable[Projection]) -> dict[str, str | None]:
    """By call, whose it is: somebody known, or made now."""
    called = {one.call_id: one.person for one in sorted(projections, key=_seen_at) if one.person is not None}
    return dict(zip(called, people.resolve_people(tx, list(called.values())), strict=True))


def _seen_at(one: Projection) -> float:
    """Whoever was heard of first makes the contact and names it, however many are written together."""
    return one.person.seen_at if one.person is not None else 0.0


def _name_strangers(tx: sa.Connection, projections: Iterable[Projection], contact_ids: dict[str, str | None]) -> None:
    for one in sorted(projections, key=_seen_at):
        contact_id = contact_ids.get(one.call_id)
        if contact_id and one.person is not None and one.person.name:
            people.name_stranger(tx, contact_id, one.person.name, one.person.seen_at)


def _theirs(projection: Projection, contact_ids: dict[str, str | None]) -> dict[str, str | None]:
    return {"contact_id": contact_ids.get(projection.call_id)}


def _found_by(call: dict[str, Any], words: str) -> Found:
    return Found(call["id"], call["org_id"], call["happened_at"], words)


def _write_changed(tx: sa.Connection, table: sa.Table, rows: Sequence[dict[str, Any]]) -> None:
    """Upsert those of *rows* that say something else than what is stored."""
    if not rows:
        return
    stored = tx.execute(sa.select(table).where(table.c.id.in_([row["id"] for row in rows]))).mappings()
    known = {row["id"]: row for row in stored}
    upsert(tx, table, [row for row in rows if _says_more(row, known.get(row["id"]))])


def _says_more(row: dict[str, Any], stored: sa.RowMapping | None) -> bool:
    return stored is None or any(stored[name] != value for name, value in row.items() if name != "updated_at")


def _learn_agents(tx: sa.Connection, rows: Iterable[dict[str, Any]]) -> None:
    """Agents that proven events name: where an address says nothing of the organisation, they tell whose an event is."""
    named = {(row["org_id"], row["agent_id"]): row for row in rows if row["agent_id"]}
    for (org_id, agent_id), row in sorted(named.items()):
        organizations.learn_agent(tx, org_id, agent_id, row["agent_name"], row["created_at"])


def _stamp_projected(tx: sa.Connection, ids: Collection[str], now: float) -> None:
    is_due = events.c.id.in_(ids), events.c.status == "pending"
    tx.execute(events.update().where(*is_due).values(status="projected", reason=None, projected_at=now))


class Aside(msgspec.Struct, frozen=True, kw_only=True):
    """What one event says beside a call: who was ringing, or which tool was used."""

    event_id: str
    asked: contexts.Asked | None = None
    use: tool_uses.Use | None = None


def write_asides(tx: sa.Connection, said: Sequence[Aside], now: float) -> set[str]:
    """Keep contexts, and what tools left behind; the ids of calls that are on file already and want such a context."""
    asked = [one.asked for one in said if one.asked is not None]
    contexts.remember(tx, asked)
    tool_uses.rebuild(tx, [one.use for one in said if one.use is not None])
    _stamp_projected(tx, [one.event_id for one in said], now)
    return _calls_of(tx, asked)


def _calls_of(tx: sa.Connection, asked: Sequence[contexts.Asked]) -> set[str]:
    said = [(one.org_id, one.context) for one in asked]
    ids = {call_id(org_id, context.conversation_id) for org_id, context in said if context.conversation_id is not None}
    call_sids = {(org_id, context.call_sid) for org_id, context in said if context.call_sid is not None}
    # One condition for each organisation: without it the index on call_sid is of no use, and every call is looked at.
    by_call_sid = [
        (calls.c.org_id == org_id) & calls.c.call_sid.in_(theirs) for org_id, theirs in people.by_org(call_sids)
    ]
    return set(tx.execute(sa.select(calls.c.id).where(sa.or_(calls.c.id.in_(ids), *by_call_sid))).scalars())
