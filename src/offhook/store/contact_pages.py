"""What the pages of contacts show: a page of people behind a cursor, and all that happened with one of them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from offhook.events import PERSONALIZATION, note_id
from offhook.store import call_lists, contacts, follow_up_lists
from offhook.store.contacts import Contact, matching
from offhook.store.tables import agents, audit, calls, events, messages, notes
from offhook.store.tables import contacts as contact_table

_NEWEST_FIRST = contact_table.c.created_at.desc(), contact_table.c.id.desc()
_SUMMARY = "ai_summary"
_CALL = (
    calls.c.id, calls.c.happened_at, calls.c.status, calls.c.direction, calls.c.is_successful, calls.c.failure,
    calls.c.summary, calls.c.title, calls.c.duration_s, calls.c.transcript, calls.c.context,
)  # fmt: skip


class Place(NamedTuple):
    """Behind which contact a page goes on, newest first."""

    created_at: float
    id: str


class History(msgspec.Struct, frozen=True, kw_only=True):
    """What happened with one contact before some moment, each kind newest first."""

    calls: Sequence[sa.Row[Any]]
    handed_over: set[str]  #: those of the calls that the agent gave to a person
    texts: Sequence[sa.Row[Any]]
    notes: Sequence[sa.Row[Any]]  #: people's, and what agents wrote down; not the summaries of the calls
    follow_ups: Sequence[sa.Row[Any]]
    looks: Sequence[sa.Row[*tuple[Any, ...]]]  #: call_id, received_at: greetings that an agent asked for


def page(
    tx: sa.Connection, org_id: str, *, search: str, number: str | None, limit: int, after: Place | None = None
) -> list[Contact]:
    """The next *limit* contacts, newest first; *number*: what *search* is, read as one (E.164). Nobody is counted: a
    million contacts have no page number either."""
    if number is not None and after is None:
        owner = contacts.find_by_number(tx, org_id, number)
        if owner is not None:
            return [owner]
    ids = sa.select(contact_table.c.id).where(*matching(tx, org_id, search))
    if after is not None:
        at, id = contact_table.c.created_at, contact_table.c.id
        is_older = (at < after.created_at) | ((at == after.created_at) & (id < after.id))
        ids = ids.where(is_older, at <= after.created_at)  # said again so that SQLite begins here in its index
    found = tx.execute(ids.order_by(*_NEWEST_FIRST).limit(limit)).scalars().all()
    places = {id: place for place, id in enumerate(found)}
    return sorted(contacts.get_many(tx, org_id, found), key=lambda one: places[one.id])


def last_calls(tx: sa.Connection, org_id: str, contact_ids: Sequence[str]) -> dict[str, float]:
    """By contact, when its newest call happened."""
    theirs = calls.c.org_id == org_id, calls.c.contact_id.in_(contact_ids)
    latest = sa.select(calls.c.contact_id, sa.func.max(calls.c.happened_at)).where(*theirs)
    return {row[0]: row[1] for row in tx.execute(latest.group_by(calls.c.contact_id))}


def has_any(tx: sa.Connection, org_id: str) -> bool:
    return (
        tx.execute(sa.select(contact_table.c.id).where(contact_table.c.org_id == org_id).limit(1)).first() is not None
    )


def history(tx: sa.Connection, org_id: str, contact_id: str, *, before: float, limit: int) -> History:
    """At most *limit* of each kind."""
    found = _of(tx, _CALL, calls, calls.c.happened_at, org_id, contact_id, before, limit)
    ids = [row.id for row in found]
    written = _of(tx, notes.c, notes, notes.c.created_at, org_id, contact_id, before, limit * 2)
    asked = sa.select(events.c.call_id, events.c.received_at).where(
        events.c.call_id.in_(ids), events.c.source == PERSONALIZATION
    )
    return History(
        calls=found,
        handed_over=call_lists.aside(tx, org_id, ids).handed_over,
        texts=_of(tx, messages.c, messages, messages.c.created_at, org_id, contact_id, before, limit),
        notes=[one for one in written if not _is_summary(one)][:limit],
        follow_ups=follow_up_lists.of_contact(tx, org_id, contact_id, before, limit),
        looks=tx.execute(asked.where(events.c.received_at < before).order_by(events.c.seq.desc()).limit(limit)).all(),
    )


def _is_summary(note: sa.Row[Any]) -> bool:
    """What a call's own row says already."""
    return note.call_id is not None and note.id == note_id(note.call_id, _SUMMARY)


def _of(
    tx: sa.Connection, columns: Any, table: sa.Table, at: sa.Column[float], org_id: str, contact_id: str,
    before: float, limit: int,
) -> Sequence[sa.Row[Any]]:  # fmt: skip
    # Calls have an index of both. Elsewhere that of the contact is the one to use, so none is looked for by organisation.
    its_org = table.c.org_id if table is calls else sa.func.lower(table.c.org_id)
    mine = its_org == org_id, table.c.contact_id == contact_id, at < before
    return tx.execute(sa.select(*columns).where(*mine).order_by(at.desc(), table.c.id.desc()).limit(limit)).all()


def latest_agent(tx: sa.Connection, org_id: str, contact_id: str) -> str | None:
    """The agent that the contact spoke with last; where they never spoke, one that was registered."""
    theirs = calls.c.org_id == org_id, calls.c.contact_id == contact_id, calls.c.agent_id.is_not(None)
    spoke = sa.select(calls.c.agent_id).where(*theirs).order_by(calls.c.happened_at.desc(), calls.c.id.desc())
    any_agent = sa.select(agents.c.agent_id).where(agents.c.org_id == org_id).order_by(agents.c.created_at)
    found: str | None = tx.execute(spoke.limit(1)).scalar() or tx.execute(any_agent.limit(1)).scalar()
    return found


def erasure(tx: sa.Connection, org_id: str, contact_id: str) -> sa.Row[Any] | None:
    """The line of the audit log that tells that somebody was erased; None: nobody of that id was."""
    mine = audit.c.org_id == org_id, audit.c.action == "person_erased", audit.c.object_id == contact_id
    return tx.execute(sa.select(audit).where(*mine).order_by(audit.c.seq.desc()).limit(1)).first()
