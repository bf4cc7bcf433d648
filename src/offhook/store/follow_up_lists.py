"""What the queue of follow-ups shows: its rows by view, how many they are, and the person of one of them."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import msgspec
import sqlalchemy as sa

from offhook.store import opt_outs
from offhook.store.follow_ups import is_waiting
from offhook.store.tables import calls, contacts, follow_ups, messages, users

View = Literal["open", "mine", "snoozed", "done"]

_MOST_TEXTS = 50
_assignee, _closer = users.alias("assignee"), users.alias("closer")
_ROW: tuple[sa.ColumnElement[Any], ...] = (
    *follow_ups.c,
    contacts.c.first_name, contacts.c.last_name, _assignee.c.name.label("assignee"), _closer.c.name.label("closer"),
)  # fmt: skip


class Place(NamedTuple):
    """Behind which row a page goes on."""

    at: float  #: when it was due, or, of those that are done, changed last
    id: str


class Counts(NamedTuple):
    open: int
    mine: int
    snoozed: int


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """One follow-up with whom it is about."""

    row: sa.Row[Any]  #: as of `page`
    call: sa.Row[Any] | None
    call_count: int  #: of the contact, with this one
    texts: Sequence[sa.Row[Any]]  #: to and from the person, oldest first
    is_opted_out: bool


def page(
    tx: sa.Connection, org_id: str, view: View, *, user_id: str, now: float, limit: int, after: Place | None = None
) -> Sequence[sa.Row[Any]]:
    """The first to be done first; of those that are done the latest. With names: first_name, last_name, assignee, closer."""
    wanted = _joined().where(follow_ups.c.org_id == org_id, _of_view(view, user_id, now))
    if view == "done":
        by = follow_ups.c.updated_at
        if after is not None:
            wanted = wanted.where((by < after.at) | ((by == after.at) & (follow_ups.c.id < after.id)))
        return tx.execute(wanted.order_by(by.desc(), follow_ups.c.id.desc()).limit(limit)).all()
    by = follow_ups.c.due_at
    if after is not None:
        wanted = wanted.where((by > after.at) | ((by == after.at) & (follow_ups.c.id > after.id)))
    return tx.execute(wanted.order_by(by, follow_ups.c.id).limit(limit)).all()


def counts(tx: sa.Connection, org_id: str, user_id: str, now: float) -> Counts:
    """How many each view has; of what is done there is no end."""
    rows = [_how_many(_of_view(view, user_id, now)) for view in ("open", "mine", "snoozed")]
    not_done = follow_ups.c.org_id == org_id, follow_ups.c.status.in_(("open", "snoozed"))
    return Counts._make(tx.execute(sa.select(*rows).where(*not_done)).one())


def people_waiting(tx: sa.Connection, org_id: str, now: float) -> int:
    """How many people the open follow-ups are about: somebody may wait for two things."""
    who = sa.func.coalesce(follow_ups.c.contact_id, follow_ups.c.number, follow_ups.c.id)
    mine = follow_ups.c.org_id == org_id, is_waiting(now)
    return int(tx.execute(sa.select(sa.func.count(who.distinct())).where(*mine)).scalar_one())


def last_closed(tx: sa.Connection, org_id: str) -> sa.Row[Any] | None:
    """What was done last."""
    done = _joined().where(follow_ups.c.org_id == org_id, follow_ups.c.status == "done")
    return tx.execute(done.order_by(follow_ups.c.updated_at.desc()).limit(1)).first()


def person(tx: sa.Connection, org_id: str, id: str) -> Person | None:
    """None when there is no such follow-up, or it is another organisation's."""
    row = tx.execute(_joined().where(follow_ups.c.id == id, follow_ups.c.org_id == org_id)).first()
    if row is None:
        return None
    its_calls = calls.c.org_id == org_id, calls.c.contact_id == row.contact_id
    return Person(
        row=row,
        call=tx.execute(sa.select(calls).where(calls.c.id == row.call_id, calls.c.org_id == org_id)).first(),
        call_count=tx.execute(sa.select(sa.func.count()).select_from(calls).where(*its_calls)).scalar_one(),
        texts=_texts(tx, org_id, row),
        is_opted_out=bool(row.number) and opt_outs.is_out(tx, org_id, row.number),
    )


def of_contact(tx: sa.Connection, org_id: str, contact_id: str, before: float, limit: int) -> Sequence[sa.Row[Any]]:
    """Made before that time, newest first."""
    its_org = sa.func.lower(follow_ups.c.org_id) == org_id  # lower: the index of contacts is the one to use
    its = follow_ups.c.contact_id == contact_id, its_org, follow_ups.c.created_at < before
    return tx.execute(_joined().where(*its).order_by(follow_ups.c.created_at.desc()).limit(limit)).all()


def _joined() -> sa.Select[Any]:
    return (
        sa.select(*_ROW)
        .outerjoin_from(follow_ups, contacts, contacts.c.id == follow_ups.c.contact_id)
        .outerjoin(_assignee, _assignee.c.id == follow_ups.c.assigned_to)
        .outerjoin(_closer, _closer.c.id == follow_ups.c.done_by)
    )


def _of_view(view: str, user_id: str, now: float) -> sa.ColumnElement[bool]:
    if view == "done":
        return follow_ups.c.status == "done"
    if view == "snoozed":
        return (follow_ups.c.status == "snoozed") & (follow_ups.c.snoozed_until > now)
    mine = follow_ups.c.assigned_to == user_id
    return is_waiting(now) & mine if view == "mine" else is_waiting(now)


def _how_many(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(sa.case((condition, 1), else_=0)), 0)


def _texts(tx: sa.Connection, org_id: str, row: sa.Row[Any]) -> Sequence[sa.Row[Any]]:
    """The latest of the contact's, the call's and the number's, oldest first.

    Each by an index of its own: asked for all at once, or for the organisation too, SQLite reads every text there is.
    """
    by = {messages.c.contact_id: row.contact_id, messages.c.call_id: row.call_id, messages.c.to_number: row.number}
    found: dict[str, sa.Row[Any]] = {}
    for column, value in by.items():
        if value is not None:
            mine = column == value, sa.func.lower(messages.c.org_id) == org_id  # lower: no index is looked for
            newest = sa.select(messages).where(*mine).order_by(messages.c.created_at.desc()).limit(_MOST_TEXTS)
            found |= {text.id: text for text in tx.execute(newest)}
    return sorted(found.values(), key=lambda text: (text.created_at, text.id))[-_MOST_TEXTS:]
