"""What the list of calls asks for: a page of rows behind a cursor, what stands beside them, and the shape of a day."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from offhook.store import call_search
from offhook.store.tables import agents, calls, contacts, follow_ups, tool_uses

_LONGEST_DRAWN = 100_000  #: characters of a transcript; a longer one is on the call's own page only
_MOST_LENGTHS = 2_000
_LATEST = 300  #: calls in which agents are looked for that nobody registered

_NOT_CONNECTED = ("no-answer", "busy", "failed")
#: By the filter's choice, which calls those are.
OUTCOMES: dict[str, sa.ColumnElement[bool]] = {
    "answered": (calls.c.status == "completed") & calls.c.is_successful.is_not(False),
    "unresolved": (calls.c.status == "completed") & calls.c.is_successful.is_(False),
    "missed": calls.c.status.in_(("no-answer", "busy")),
    "failed": calls.c.status == "failed",
    "in-progress": calls.c.status == "in-progress",
}


class Cursor(NamedTuple):
    """A place between two calls of a list, newest first: behind the one that it names."""

    happened_at: float
    call_id: str


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which calls; None leaves a question open."""

    view: str = "all"  #: all, follow (somebody waits), missed (never connected)
    outcome: str | None = None  #: a key of OUTCOMES
    agent_id: str | None = None
    direction: str | None = None
    since: float | None = None  #: unix, inclusive
    until: float | None = None  #: unix, exclusive
    words: str = ""  #: as somebody typed them: what was said, or who it was


_ROW: tuple[sa.ColumnElement[Any], ...] = (
    calls.c.id, calls.c.happened_at, calls.c.status, calls.c.direction, calls.c.is_successful, calls.c.failure,
    calls.c.title, calls.c.summary, calls.c.duration_s, calls.c.agent_name, calls.c.contact_id, calls.c.from_number,
    calls.c.to_number, contacts.c.first_name, contacts.c.last_name,
    sa.case((sa.func.length(calls.c.transcript) <= _LONGEST_DRAWN, calls.c.transcript), else_="[]").label("transcript"),
)  # fmt: skip
_NEWEST_FIRST = calls.c.happened_at.desc(), calls.c.id.desc()


def page(
    tx: sa.Connection, org_id: str, wanted: Wanted, *, limit: int, after: Cursor | None = None
) -> Sequence[sa.Row[Any]]:
    """The next *limit* of the wanted calls, newest first."""
    ids = sa.select(calls.c.id).where(*_conditions(tx, org_id, wanted))
    if after is not None:
        ids = ids.where(_is_behind(after))
    # Cut out by id, in the index alone; only these rows are then read from the table.
    found = ids.order_by(*_NEWEST_FIRST).limit(limit).subquery()
    whole = sa.select(*_ROW).join_from(calls, found, found.c.id == calls.c.id)
    return tx.execute(whole.outerjoin(contacts, contacts.c.id == calls.c.contact_id).order_by(*_NEWEST_FIRST)).all()


def rows(tx: sa.Connection, org_id: str, call_ids: Collection[str]) -> Sequence[sa.Row[Any]]:
    """The same rows of these calls, in the same order."""
    mine = calls.c.org_id == org_id, calls.c.id.in_(call_ids)
    joined = sa.select(*_ROW).outerjoin_from(calls, contacts, contacts.c.id == calls.c.contact_id)
    return tx.execute(joined.where(*mine).order_by(*_NEWEST_FIRST)).all()


class Aside(NamedTuple):
    """What stands beside calls in other tables."""

    waits: dict[str, set[str]]  #: by call, the kinds of its open follow-ups
    handed_over: set[str]  #: calls that the agent gave to a person


def aside(tx: sa.Connection, org_id: str, call_ids: Collection[str]) -> Aside:
    open_ones = sa.select(follow_ups.c.call_id, follow_ups.c.kind).where(
        follow_ups.c.call_id.in_(call_ids),
        follow_ups.c.status != "done",
        sa.func.lower(follow_ups.c.org_id) == org_id,  # lower: the index of calls is the one to use
    )
    waits: dict[str, set[str]] = {}
    for row in tx.execute(open_ones):
        waits.setdefault(row.call_id, set()).add(row.kind)
    given = sa.select(tool_uses.c.call_id).where(tool_uses.c.call_id.in_(call_ids), tool_uses.c.tool == "transfer")
    return Aside(waits, set(tx.execute(given).scalars()))


def has_any(tx: sa.Connection, org_id: str) -> bool:
    return tx.execute(sa.select(calls.c.id).where(calls.c.org_id == org_id).limit(1)).first() is not None


def agent_names(tx: sa.Connection, org_id: str) -> dict[str, str]:
    """The organisation's agents by id; who has no name is called as in the latest calls, else by the id."""
    known = tx.execute(sa.select(agents.c.agent_id, agents.c.name).where(agents.c.org_id == org_id)).all()
    latest = sa.select(calls.c.agent_id, calls.c.agent_name).where(
        calls.c.org_id == org_id, calls.c.agent_id.is_not(None)
    )
    heard = tx.execute(latest.order_by(*_NEWEST_FIRST).limit(_LATEST)).all()
    called = {row.agent_id: row.agent_name for row in reversed(heard)}
    names = called | {row.agent_id: row.name or called.get(row.agent_id) for row in known}
    return dict(sorted(((id, name or id) for id, name in names.items()), key=lambda one: one[1].casefold()))


def by_hour(tx: sa.Connection, org_id: str, begin: float, end: float) -> dict[int, int]:
    """How many calls began in each hour since *begin* (unix), before *end*; only hours that had some."""
    hour = sa.cast(sa.func.floor((calls.c.happened_at - begin) / 3600), sa.Integer)
    counted = sa.select(hour, sa.func.count()).where(
        calls.c.org_id == org_id, calls.c.happened_at >= begin, calls.c.happened_at < end
    )
    return {row[0]: row[1] for row in tx.execute(counted.group_by(hour))}


def lengths(tx: sa.Connection, org_id: str, begin: float, end: float) -> Sequence[float]:
    """How long the conversations from *begin* to *end* took, seconds; of very many the latest."""
    held = sa.select(calls.c.duration_s).where(
        calls.c.org_id == org_id, calls.c.happened_at >= begin, calls.c.happened_at < end, calls.c.duration_s > 0
    )
    return tx.execute(held.order_by(calls.c.happened_at.desc()).limit(_MOST_LENGTHS)).scalars().all()


def neighbours(tx: sa.Connection, org_id: str, place: Cursor) -> tuple[str | None, str | None]:
    """The ids of the next newer and the next older call."""
    mine = sa.select(calls.c.id).where(calls.c.org_id == org_id)
    at, id = calls.c.happened_at, calls.c.id
    is_newer = (at > place.happened_at) | ((at == place.happened_at) & (id > place.call_id))
    newer = tx.execute(mine.where(is_newer, at >= place.happened_at).order_by(at, id).limit(1)).scalar()
    older = tx.execute(mine.where(_is_behind(place)).order_by(*_NEWEST_FIRST).limit(1)).scalar()
    return newer, older


def _is_behind(place: Cursor) -> sa.ColumnElement[bool]:
    at = calls.c.happened_at
    is_older = (at < place.happened_at) | ((at == place.happened_at) & (calls.c.id < place.call_id))
    return is_older & (at <= place.happened_at)  # said again so that SQLite begins here in its index


def _conditions(tx: sa.Connection, org_id: str, wanted: Wanted) -> list[sa.ColumnElement[bool]]:
    equal = {calls.c.agent_id: wanted.agent_id, calls.c.direction: wanted.direction}
    conditions: list[sa.ColumnElement[bool]] = [calls.c.org_id == org_id]
    conditions += [column == value for column, value in equal.items() if value is not None]
    if wanted.since is not None:
        conditions.append(calls.c.happened_at >= wanted.since)
    if wanted.until is not None:
        conditions.append(calls.c.happened_at < wanted.until)
    said = call_search.condition(tx, org_id, wanted.words) if wanted.words else None
    if said is not None:
        conditions.append(said)
    if wanted.outcome is not None:
        conditions.append(OUTCOMES[wanted.outcome])
    if wanted.view == "missed":
        conditions.append(calls.c.status.in_(_NOT_CONNECTED))
    if wanted.view == "follow":
        waiting = sa.select(follow_ups.c.call_id).where(follow_ups.c.org_id == org_id, follow_ups.c.status == "open")
        conditions.append(calls.c.id.in_(waiting.where(follow_ups.c.call_id.is_not(None))))
    return conditions
