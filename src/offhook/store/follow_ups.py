"""People who wait for an answer: made by calls and by hand, closed by a person or by a later call that was answered.

Its id follows from what made it, and a row that is there is never made again: a replay arrives at the same one, and opens
nothing that somebody closed. A later call closes only what nobody has touched since that call was first heard of, so what a
person opened again stays open however often the call is folded.
"""

import secrets
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Literal

import msgspec
import sqlalchemy as sa

from offhook.errors import NotFound
from offhook.events import derived_id
from offhook.logs import log
from offhook.store.database import insert_new
from offhook.store.tables import callbacks, calls, follow_ups

Kind = Literal["missed", "failed", "callback", "handoff", "manual"]

#: By kind, when somebody should have answered, seconds after it was heard of.
DUE_AFTER_S: dict[Kind, float] = {
    "missed": 3600,
    "failed": 4 * 3600,
    "callback": 3600,
    "handoff": 1800,
    "manual": 86_400,
}
_UNANSWERED = ("missed", "failed")
_MOST_LATER_CALLS = 20
_said = msgspec.json.Decoder(list[dict[str, Any]])


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who waits, and since when."""

    org_id: str
    kind: Kind
    origin: str  #: the id of what made it: a call, a call-back request, a use of a tool
    number: str | None  #: E.164
    at: float  #: unix; when it was heard of
    call_id: str | None = None
    callback_id: str | None = None
    reason: str | None = None

    @property
    def id(self) -> str:
        """Missed or failed: a call is one of them at a time, and makes one follow-up."""
        return derived_id("follow_up", "call" if self.kind in _UNANSWERED else self.kind, self.origin)


def keep(tx: sa.Connection, waiting: Iterable[tuple[Waiting, str | None]], *, is_done: bool = False) -> None:
    """Those that are new, each with its contact; *is_done*: they were answered before a row was made of them."""
    insert_new(tx, follow_ups, [_row(one, contact_id, is_done=is_done) for one, contact_id in waiting])


def _row(one: Waiting, contact_id: str | None, *, is_done: bool) -> dict[str, Any]:
    empty: dict[str, Any] = {column.name: None for column in follow_ups.c}
    return empty | {
        "id": one.id,
        "org_id": one.org_id,
        "contact_id": contact_id,
        "number": one.number,
        "call_id": one.call_id,
        "callback_id": one.callback_id,
        "kind": one.kind,
        "reason": one.reason,
        "status": "done" if is_done else "open",
        "due_at": one.at + DUE_AFTER_S[one.kind],
        "done_at": one.at if is_done else None,
        "created_at": one.at,
        "updated_at": one.at,
    }


def done_at(tx: sa.Connection, id: str) -> float | None:
    """When that one was closed; None when it is not, or not there."""
    is_done = follow_ups.c.id == id, follow_ups.c.status == "done"
    return tx.execute(sa.select(follow_ups.c.done_at).where(*is_done)).scalar()


# Closed by a later call


def close_answered(tx: sa.Connection, people: Collection[tuple[str, str]], now: float) -> None:
    """Close what calls with these *people* (organisation, number) have answered since.

    Asked whenever a call with them was written, and in whatever order the calls came.
    """
    for org_id in sorted({org_id for org_id, _ in people}):
        numbers = {number for its, number in people if its == org_id}
        for row in _open_of(tx, org_id, numbers):
            answered_at = _answered_at(tx, row)
            if answered_at is not None:
                _close(tx, row, answered_at, now)


def _open_of(tx: sa.Connection, org_id: str, numbers: Collection[str]) -> Sequence[sa.Row[Any]]:
    """What a person wrote down is for a person to close."""
    is_open = follow_ups.c.org_id == org_id, follow_ups.c.number.in_(numbers), follow_ups.c.status != "done"
    its_call = calls.c.status.label("call_status"), calls.c.happened_at.label("called_at")
    joined = sa.select(follow_ups, *its_call).outerjoin_from(follow_ups, calls, calls.c.id == follow_ups.c.call_id)
    return tx.execute(joined.where(*is_open, follow_ups.c.kind != "manual").order_by(follow_ups.c.id)).all()


def _answered_at(tx: sa.Connection, row: sa.Row[Any]) -> float | None:
    """When we heard of the call that answered it."""
    is_untouched = row.updated_at == row.created_at
    if row.kind in _UNANSWERED and row.call_status == "completed":  # it was answered after all
        return float(row.created_at) if is_untouched else None
    since = row.created_at if row.called_at is None else row.called_at
    later = [
        calls.c.org_id == row.org_id, calls.c.contact_id == row.contact_id, calls.c.happened_at > since,
        calls.c.status == "completed", (calls.c.from_number == row.number) | (calls.c.to_number == row.number),
    ]  # fmt: skip
    if not is_untouched:
        later.append(calls.c.created_at > row.updated_at)
    found = sa.select(calls.c.id, calls.c.created_at, calls.c.transcript).where(*later)
    for call in tx.execute(found.order_by(calls.c.happened_at).limit(_MOST_LATER_CALLS)):
        if call.id != row.call_id and _was_heard(call.transcript):
            return max(float(call.created_at), float(row.created_at))
    return None


def _was_heard(transcript: str) -> bool:
    """Whether the person said something; without a transcript nothing speaks against it."""
    turns = _said.decode(transcript)
    return not turns or any(turn.get("role") == "user" and turn.get("message") for turn in turns)


def _close(tx: sa.Connection, row: sa.Row[Any], answered_at: float, now: float) -> None:
    closed = {"status": "done", "done_at": answered_at, "done_by": None, "snoozed_until": None, "updated_at": now}
    tx.execute(follow_ups.update().where(follow_ups.c.id == row.id, follow_ups.c.status != "done").values(closed))
    _settle_callback(tx, row.callback_id, "done", answered_at)
    log.info("follow_up.answered", id=row.id, kind=row.kind, call=row.call_id)


def _settle_callback(tx: sa.Connection, callback_id: str | None, status: str, now: float) -> None:
    """The request that it stands for, which agents are told of, is answered or open like it."""
    this = callbacks.c.id == callback_id, callbacks.c.status != status
    if callback_id is not None:
        tx.execute(callbacks.update().where(*this).values(status=status, updated_at=now))


# What people do


def add(
    tx: sa.Connection,
    org_id: str,
    *,
    contact_id: str | None,
    number: str | None,
    reason: str,
    by: str,
    now: float,
    due_at: float | None = None,
) -> str:
    """One by hand; its id."""
    one = Waiting(org_id=org_id, kind="manual", origin=secrets.token_hex(12), number=number, at=now, reason=reason)
    row = _row(one, contact_id, is_done=False) | {"created_by": by}
    tx.execute(follow_ups.insert(), row | {"due_at": due_at or row["due_at"]})
    return one.id


def finish(tx: sa.Connection, org_id: str, id: str, by: str | None, now: float) -> sa.Row[Any]:
    """Somebody has been answered; who says so first, and when, stays. NotFound when there is no such follow-up."""
    row = must_be(tx, org_id, id)
    if row.status != "done":
        _change(tx, id, status="done", done_at=now, done_by=by, snoozed_until=None, updated_at=now)
        _settle_callback(tx, row.callback_id, "done", now)
    return row


def reopen(tx: sa.Connection, org_id: str, id: str, now: float) -> sa.Row[Any]:
    """Undone: it waits again, with the time that it had."""
    row = must_be(tx, org_id, id)
    if row.status != "open":
        _change(tx, id, status="open", done_at=None, done_by=None, snoozed_until=None, updated_at=now)
        _settle_callback(tx, row.callback_id, "open", now)
    return row


def snooze(tx: sa.Connection, org_id: str, id: str, until: float, now: float) -> None:
    """Out of sight until then; it is due then at the earliest."""
    row = must_be(tx, org_id, id)
    due_at = max(row.due_at, until)
    _change(tx, id, status="snoozed", snoozed_until=until, due_at=due_at, done_at=None, done_by=None, updated_at=now)


def assign(tx: sa.Connection, org_id: str, id: str, user_id: str | None, now: float) -> None:
    must_be(tx, org_id, id)
    _change(tx, id, assigned_to=user_id, updated_at=now)


def write_note(tx: sa.Connection, org_id: str, id: str, note: str | None, now: float) -> None:
    must_be(tx, org_id, id)
    _change(tx, id, note=note, updated_at=now)


def settle_of_callback(tx: sa.Connection, callback_id: str, status: str, now: float) -> None:
    """A program says of a call-back request that it is done, or is to be done again; its follow-up is like it."""
    mine = follow_ups.c.callback_id == callback_id
    if status == "done":
        closed = {"status": "done", "done_at": now, "snoozed_until": None, "updated_at": now}
        tx.execute(follow_ups.update().where(mine, follow_ups.c.status != "done").values(closed))
    else:
        opened = {"status": "open", "done_at": None, "done_by": None, "updated_at": now}
        tx.execute(follow_ups.update().where(mine, follow_ups.c.status == "done").values(opened))


def must_be(tx: sa.Connection, org_id: str, id: str) -> sa.Row[Any]:
    """The row; NotFound where the organisation has none of that id."""
    row = tx.execute(sa.select(follow_ups).where(follow_ups.c.id == id, follow_ups.c.org_id == org_id)).first()
    if row is None:
        raise NotFound("There is no such follow-up.")
    return row


def _change(tx: sa.Connection, id: str, **values: Any) -> None:
    tx.execute(follow_ups.update().where(follow_ups.c.id == id).values(values))


def is_waiting(now: float) -> sa.ColumnElement[bool]:
    """Open, or snoozed until a time that has come."""
    is_awake = (follow_ups.c.status == "open") | (follow_ups.c.snoozed_until <= now)
    return follow_ups.c.status.in_(("open", "snoozed")) & is_awake  # in this order an index finds them
