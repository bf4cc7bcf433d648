"""Reading calls. Lists leave out what only the page of one call shows: a transcript can be longer than all else of a page."""

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from offhook.store import contacts as contact_rows
from offhook.store import notes, recordings, tool_uses
from offhook.store.tables import calls, contacts

#: What a list shows of a call.
LIST_COLUMNS = tuple(
    column for column in calls.c if column.name not in ("transcript", "analysis", "context", "details")
)
_NEWEST_FIRST = (calls.c.happened_at.desc(), calls.c.id.desc())


class CallFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which calls; None leaves a question open."""

    contact_id: str | None = None
    status: str | None = None
    direction: str | None = None
    agent_id: str | None = None
    since: float | None = None  #: unix, inclusive
    until: float | None = None  #: unix, exclusive
    words: str | None = None  #: found in a number, the agent, the title, the summary or the contact


class CallPage(msgspec.Struct, frozen=True):
    rows: Sequence[sa.Row[Any]]  #: LIST_COLUMNS
    recordings: dict[str, list[sa.Row[Any]]]  #: by call id; nothing for a call without one
    total: int  #: on all pages


class WholeCall(msgspec.Struct, frozen=True):
    row: sa.Row[Any]
    recordings: Sequence[sa.Row[Any]]
    notes: Sequence[sa.Row[Any]]
    tool_uses: Sequence[sa.Row[Any]]


def page(tx: sa.Connection, org_id: str, wanted: CallFilter, *, limit: int, offset: int) -> CallPage:
    """The wanted calls, newest first."""
    conditions = _conditions(tx, org_id, wanted)
    total = tx.execute(sa.select(sa.func.count()).select_from(calls).where(*conditions)).scalar_one()
    # The page is cut out by id, in the index alone; only its own rows are then read from the table.
    ids = sa.select(calls.c.id).where(*conditions).order_by(*_NEWEST_FIRST).limit(limit).offset(offset).subquery()
    rows = tx.execute(
        sa.select(*LIST_COLUMNS).join_from(calls, ids, ids.c.id == calls.c.id).order_by(*_NEWEST_FIRST)
    ).all()
    return CallPage(rows, recordings.of_calls(tx, [row.id for row in rows]), total)


def whole(tx: sa.Connection, org_id: str, call_id: str) -> WholeCall | None:
    """The call with all that belongs to it; None when there is none, or when it is another organisation's."""
    row = get(tx, org_id, call_id)
    if row is None:
        return None
    return WholeCall(
        row,
        recordings.of_calls(tx, [call_id]).get(call_id, []),
        notes.of_call(tx, org_id, call_id),
        tool_uses.of_call(tx, org_id, call_id),
    )


def heard(tx: sa.Connection, org_id: str, call_id: str) -> tuple[sa.Row[Any] | None, sa.Row[Any] | None]:
    """The call and the recording that is played for it; None for each that there is not."""
    row = get(tx, org_id, call_id)
    return row, recordings.playing(tx, call_id) if row is not None else None


def get(tx: sa.Connection, org_id: str, call_id: str) -> sa.Row[Any] | None:
    """The row of one call; None when there is none, or when it is another organisation's."""
    return tx.execute(sa.select(calls).where(calls.c.id == call_id, calls.c.org_id == org_id)).one_or_none()


def _conditions(tx: sa.Connection, org_id: str, wanted: CallFilter) -> list[sa.ColumnElement[bool]]:
    equal = {
        calls.c.org_id: org_id,
        calls.c.contact_id: wanted.contact_id,
        calls.c.status: wanted.status,
        calls.c.direction: wanted.direction,
        calls.c.agent_id: wanted.agent_id,
    }
    conditions: list[sa.ColumnElement[bool]] = [column == value for column, value in equal.items() if value is not None]
    if wanted.since is not None:
        conditions.append(calls.c.happened_at >= wanted.since)
    if wanted.until is not None:
        conditions.append(calls.c.happened_at < wanted.until)
    if wanted.words:
        conditions.append(_has_words(tx, org_id, wanted.words))
    return conditions


def _has_words(tx: sa.Connection, org_id: str, words: str) -> sa.ColumnElement[bool]:
    spoken = (calls.c.from_number, calls.c.to_number, calls.c.agent_name, calls.c.title, calls.c.summary)
    found = [column.icontains(words, autoescape=True) for column in spoken]
    if digits := contact_rows.digits_of(words):
        found += [calls.c.from_number.contains(digits), calls.c.to_number.contains(digits)]
    named = sa.select(contacts.c.id).where(*contact_rows.matching(tx, org_id, words))
    return sa.or_(*found, calls.c.contact_id.in_(named))
