"""What a person wrote in place of a call's summary.

It lies beside the call, with what the call's events say: the projection writes a call as the person left it, and what it
would have written only here. So every reader of a call reads the person's words, and the others can be had again.
"""

import hashlib
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from offhook.errors import Conflict, NotFound
from offhook.events import note_id
from offhook.store import call_locks, call_search
from offhook.store.database import upsert
from offhook.store.tables import calls, notes, summaries, users
from offhook.store.tool_uses import NOTE_TYPE


def of_call(tx: sa.Connection, org_id: str, call_id: str) -> sa.Row[Any] | None:
    """What a person wrote, with `told`, `edited_at` and the `name` of whoever it was (None: a user no more)."""
    named = sa.select(summaries, users.c.name).outerjoin_from(summaries, users, users.c.id == summaries.c.edited_by)
    return tx.execute(named.where(summaries.c.call_id == call_id, summaries.c.org_id == org_id)).one_or_none()


def of_calls(tx: sa.Connection, call_ids: Collection[str]) -> dict[str, str]:
    """By call, what a person wrote; most calls are not among the keys."""
    rows = tx.execute(sa.select(summaries.c.call_id, summaries.c.summary).where(summaries.c.call_id.in_(call_ids)))
    return {row.call_id: row.summary for row in rows}


def version(summary: str | None) -> str:
    """Names what a call says, so that whoever replaces it can say what they saw."""
    return "" if summary is None else hashlib.sha256(summary.encode()).hexdigest()[:16]


def write(
    tx: sa.Connection, org_id: str, call_id: str, summary: str, *, user_id: str, now: float, seen: str | None = None
) -> bool:
    """Have the call say *summary*; False when it says so already, NotFound when there is no such call.

    *seen*: the version of what the call said to whoever wrote; Conflict when it says something else by now.
    """
    call = _held(tx, org_id, call_id)
    if call.summary == summary:
        return False
    _must_still_say(call, seen)
    known = of_call(tx, org_id, call_id)
    told = call.summary if known is None else known.told
    if told == summary:
        return restore(tx, org_id, call_id, now=now)
    edit = {"summary": summary, "told": told, "edited_by": user_id, "edited_at": now}
    upsert(tx, summaries, [{"call_id": call_id, "org_id": org_id, **edit}])
    _say(tx, call, summary, now)
    return True


def restore(tx: sa.Connection, org_id: str, call_id: str, *, now: float, seen: str | None = None) -> bool:
    """Have the call say what its events say; False when it does already, NotFound when there is no such call.

    *seen*: as for `write`.
    """
    call = _held(tx, org_id, call_id)
    known = of_call(tx, org_id, call_id)
    if known is None:
        return False
    _must_still_say(call, seen)
    tx.execute(summaries.delete().where(summaries.c.call_id == call_id))
    _say(tx, call, known.told, now)
    return True


def keep_told(tx: sa.Connection, call_id: str, told: str | None) -> None:
    """What the events of an edited call say by now."""
    differs = summaries.c.told.is_distinct_from(told)
    tx.execute(summaries.update().where(summaries.c.call_id == call_id, differs).values(told=told))


def _held(tx: sa.Connection, org_id: str, call_id: str) -> sa.Row[Any]:
    call_locks.hold(tx, [call_id])
    call = tx.execute(sa.select(calls).where(calls.c.id == call_id, calls.c.org_id == org_id)).one_or_none()
    if call is None:
        raise NotFound("There is no such call.")
    return call


def _must_still_say(call: sa.Row[Any], seen: str | None) -> None:
    if seen is not None and seen != version(call.summary):
        raise Conflict("This summary has changed since you opened the page. Nothing of yours was saved.")


def _say(tx: sa.Connection, call: sa.Row[Any], summary: str | None, now: float) -> None:
    """Wherever the call's summary stands: in the call, in the note that goes with its contact, in what it is found by."""
    tx.execute(calls.update().where(calls.c.id == call.id).values(summary=summary, updated_at=now))
    its_note = notes.c.id == note_id(call.id, NOTE_TYPE)
    if summary is None:  # the events may have told one once: its note would go on saying the person's words
        tx.execute(notes.delete().where(its_note))
    else:
        tx.execute(notes.update().where(its_note).values(note=summary, updated_at=now))
    call_search.index(tx, [call_search.found_by({**call._mapping, "summary": summary})])
