"""What folding again changes: shown without being kept, or kept, with what no event stands behind taken away.

The difference is found by doing it: the very statements of the projection run within a savepoint, the rows are read, and the
savepoint is rolled back.
"""

from collections.abc import Collection, Sequence
from typing import Any, Literal, NamedTuple

import msgspec
import sqlalchemy as sa

from offhook.events import ASIDES, note_id
from offhook.store import events as event_rows
from offhook.store import projections
from offhook.store import recordings as recording_rows
from offhook.store.projections import Aside, Projection
from offhook.store.tables import (
    callbacks,
    calls,
    contact_numbers,
    contacts,
    contexts,
    effects,
    events,
    follow_ups,
    notes,
    recordings,
    summaries,
    tool_uses,
)
from offhook.store.tool_uses import NOTE_TYPE, CallbackAsked, HandedOver, Noted, waiting_of

#: Columns that follow from when it is done and not from what was said, or from other columns.
_APART = frozenset({"updated_at", "search_text", "due_at"})

What = Literal["new", "changed", "gone"]
_Key = tuple[str, str]  #: table and id
_Rows = dict[_Key, dict[str, Any]]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One row that folding again makes, changes or takes away."""

    table: str
    id: str
    call_id: str | None  #: None where the row is of no one call
    what: What
    fields: dict[str, tuple[Any, Any]]  #: by column, what is stored and what it would be


class Refold(msgspec.Struct, frozen=True, kw_only=True):
    """Conversations and words beside calls, read by today's code."""

    folded: Sequence[Projection] = ()
    said: Sequence[Aside] = ()
    due: Collection[str] = ()  #: ids of events that are sent back first: set aside until now, they count
    is_pruned: bool = False  #: recordings and summaries that their call's events no longer make are taken away

    @property
    def call_ids(self) -> set[str]:
        of_asides = {one.use.call_id for one in self.said if one.use is not None and one.use.call_id is not None}
        return {one.call_id for one in self.folded} | of_asides


class Outcome(NamedTuple):
    changes: Sequence[Change]
    late: Collection[str] = ()  #: ids of calls on file whose context is new: they are to be folded with it


def changes(tx: sa.Connection, refold: Refold, now: float) -> Outcome:
    """What it would change; nothing is changed when this returns."""
    savepoint = tx.begin_nested()
    _write(tx, refold, now)
    after = _rows(tx, refold)
    people = _people(after)
    after |= _contacts(tx, people)
    savepoint.rollback()
    before = _rows(tx, refold)
    before |= _contacts(tx, people | _people(before))
    return Outcome(_between(before, after))


def keep(tx: sa.Connection, refold: Refold, now: float) -> Outcome:
    """The same, and it is changed."""
    found, _ = changes(tx, refold, now)
    late = _write(tx, refold, now) if found else ()
    return Outcome(found, late if any(change.table == contexts.name for change in found) else ())


def without_events(tx: sa.Connection, org_id: str | None) -> int:
    """How many calls no event stands behind; of all organisations without *org_id*."""
    is_made = sa.exists().where(events.c.call_id == calls.c.id, events.c.source.not_in(ASIDES))
    mine = [calls.c.org_id == org_id] if org_id is not None else []
    return tx.execute(sa.select(sa.func.count()).select_from(calls).where(~is_made, *mine)).scalar_one()


def _write(tx: sa.Connection, refold: Refold, now: float) -> set[str]:
    """The ids of calls on file that want a context of these."""
    if refold.due:
        event_rows.send_back(tx, refold.due)
    late = projections.write_asides(tx, refold.said, now)
    overtaken = projections.write(tx, refold.folded, now)
    if refold.is_pruned:
        for one in refold.folded:
            if one.call_id not in overtaken and one.call is not None:
                _prune(tx, one)
    return late


def _prune(tx: sa.Connection, one: Projection) -> None:
    made = [row["id"] for row in one.recordings]
    recording_rows.erase(tx, recordings.c.call_id == one.call_id, recordings.c.id.not_in(made))
    if one.note is None:
        tx.execute(notes.delete().where(notes.c.id == note_id(one.call_id, NOTE_TYPE)))


def _rows(tx: sa.Connection, refold: Refold) -> _Rows:
    """The rows of these calls, and of what was said beside calls."""
    call_ids = refold.call_ids
    uses = [one.use for one in refold.said if one.use is not None]
    left = [deed.id for use in uses for deed in use.deeds if isinstance(deed, Noted | CallbackAsked)]
    handed = [waiting_of(use, deed).id for use in uses for deed in use.deeds if isinstance(deed, HandedOver)]
    asked = [one.event_id for one in refold.said if one.asked is not None]
    conditions: dict[sa.Table, sa.ColumnElement[bool]] = {
        calls: calls.c.id.in_(call_ids),
        notes: notes.c.call_id.in_(call_ids) | notes.c.id.in_(left),
        recordings: recordings.c.call_id.in_(call_ids),
        summaries: summaries.c.call_id.in_(call_ids),
        tool_uses: tool_uses.c.id.in_([use.id for use in uses]),
        callbacks: callbacks.c.id.in_(left),
        follow_ups: follow_ups.c.call_id.in_(call_ids)
        | follow_ups.c.callback_id.in_(left)
        | follow_ups.c.id.in_(handed),
        effects: effects.c.call_id.in_(call_ids),
        contexts: contexts.c.event_id.in_(asked),
    }
    return _found(tx, conditions)


def _contacts(tx: sa.Connection, ids: set[str]) -> _Rows:
    return _found(tx, {contacts: contacts.c.id.in_(ids), contact_numbers: contact_numbers.c.contact_id.in_(ids)})


def _people(rows: _Rows) -> set[str]:
    return {row["contact_id"] for row in rows.values() if row.get("contact_id") is not None}


def _found(tx: sa.Connection, conditions: dict[sa.Table, sa.ColumnElement[bool]]) -> _Rows:
    found: _Rows = {}
    for table, condition in conditions.items():
        for row in tx.execute(sa.select(table).where(condition)).mappings():
            key = ":".join(str(row[column.name]) for column in table.primary_key)
            found[table.name, key] = {name: value for name, value in row.items() if name not in _APART}
    return found


def _between(before: _Rows, after: _Rows) -> list[Change]:
    found = [_change(key, before.get(key), after.get(key)) for key in {**before, **after}]
    return [change for change in found if change is not None]


def _change(key: _Key, old: dict[str, Any] | None, new: dict[str, Any] | None) -> Change | None:
    if old == new:
        return None
    known: dict[str, Any] = new or old or {}
    olds, news = old or {}, new or {}
    fields = {name: (olds.get(name), news.get(name)) for name in known if olds.get(name) != news.get(name)}
    call_id = key[1] if key[0] == calls.name else known.get("call_id")
    what: What = "new" if old is None else "gone" if new is None else "changed"
    return Change(table=key[0], id=key[1], call_id=call_id, what=what, fields=fields)
