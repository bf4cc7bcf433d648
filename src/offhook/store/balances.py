"""What the provider knows against what is here: a balance for each day, and a name for each thing that is absent."""

from collections.abc import Collection, Sequence
from typing import Any, Literal

import msgspec
import sqlalchemy as sa

from offhook.store.database import upsert
from offhook.store.tables import absences, balances, calls, events, workspaces

What = Literal["conversation", "audio"]
Place = Literal["webhook", "fetched", "set_aside", "missing"]
State = Literal["failing", "behind", "absent", "ok"]

_HERE = ("pending", "projected")
_BATCH = 500
_BEHIND_S = 3_600.0  #: four rounds were missed


class Held(msgspec.Struct, frozen=True):
    """What is here of one call: brought by a webhook, else fetched, else fetched and set aside because it cannot be read."""

    conversation: Place = "missing"
    recording: Place = "missing"


class Absence(msgspec.Struct, frozen=True, kw_only=True):
    """Something that the provider has or had, and that is not here."""

    conversation_id: str
    what: What
    reason: str  #: a sentence
    is_final: bool  #: False: it is asked about again
    began_at: float  #: unix; the call
    noticed_at: float


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """The balance of the calls that began on one day."""

    day: str  #: UTC, "2026-11-22"
    theirs: int
    ours: int  #: of theirs, those that are here, each with its recording where it has one
    fetched: int  #: of ours, those that no webhook brought whole
    absent: int  #: of theirs, those that are not
    updated_at: float


# Here


def held(tx: sa.Connection, call_ids: Sequence[str], conversation_type: str, recording_type: str) -> dict[str, Held]:
    """By call, what is here of those of which anything is; the types are those of the events that bring the two."""
    found: dict[str, Held] = {}
    columns = events.c.call_id, events.c.type, events.c.source, events.c.status
    of_type = events.c.type.in_((conversation_type, recording_type))
    for begin in range(0, len(call_ids), _BATCH):
        of_calls = events.c.call_id.in_(call_ids[begin : begin + _BATCH])
        for row in tx.execute(sa.select(*columns).where(of_calls, of_type).distinct()):
            name = "conversation" if row.type == conversation_type else "recording"
            known = found.get(row.call_id, Held())
            better = min(getattr(known, name), _place(row.source, row.status), key=_PLACES.index)
            found[row.call_id] = msgspec.structs.replace(known, **{name: better})
    return found


_PLACES: tuple[Place, ...] = ("webhook", "fetched", "set_aside", "missing")  #: the best first


def _place(source: str, status: str) -> Place:
    if status in _HERE:
        return "fetched" if source == "reconciled" else "webhook"
    return "set_aside" if source == "reconciled" else "missing"


def details_of(tx: sa.Connection, call_ids: Sequence[str]) -> dict[str, str | None]:
    """By call, what else the provider said of it (JSON); without those that are not projected yet."""
    found: dict[str, str | None] = {}
    for begin in range(0, len(call_ids), _BATCH):
        wanted = sa.select(calls.c.id, calls.c.details).where(calls.c.id.in_(call_ids[begin : begin + _BATCH]))
        found |= {row.id: row.details for row in tx.execute(wanted)}
    return found


def unfinished(tx: sa.Connection, org_id: str, since: float) -> dict[str, float]:
    """Conversations of which only the recording has come, and when they were first heard of (unix)."""
    mine = calls.c.org_id == org_id, calls.c.happened_at >= since
    waiting = calls.c.status == "in-progress", calls.c.provider == "elevenlabs", calls.c.provider_call_id.is_not(None)
    rows = tx.execute(sa.select(calls.c.provider_call_id, calls.c.happened_at).where(*mine, *waiting))
    return {row.provider_call_id: row.happened_at for row in rows}


# Absences


def absences_of(
    tx: sa.Connection, org_id: str, *, since: float | None = None, until: float | None = None, with_open: bool = False
) -> list[Absence]:
    """Those of calls that began from *since* until before *until* (unix), newest first; *with_open*: and all open ones."""
    wanted = [absences.c.began_at >= since] if since is not None else []
    wanted += [absences.c.began_at < until] if until is not None else []
    chosen = sa.and_(*wanted) if wanted else sa.true()
    if with_open:
        chosen |= absences.c.is_final.is_(False)
    columns = [column for column in absences.c if column.name != "org_id"]
    newest = absences.c.began_at.desc(), absences.c.conversation_id, absences.c.what
    rows = tx.execute(sa.select(*columns).where(absences.c.org_id == org_id, chosen).order_by(*newest)).mappings()
    return [Absence(**row) for row in rows]


def note_absences(tx: sa.Connection, org_id: str, conversation_id: str, found: Collection[Absence]) -> None:
    """*found* is all that is absent of the conversation now; when it was first noticed stays."""
    of_it = absences.c.org_id == org_id, absences.c.conversation_id == conversation_id
    tx.execute(absences.delete().where(*of_it, absences.c.what.not_in([one.what for one in found])))
    upsert(tx, absences, [{"org_id": org_id, **msgspec.structs.asdict(one)} for one in found], keep=("noticed_at",))


# Balances


def keep(tx: sa.Connection, org_id: str, days: Sequence[Day], since: str, until: str) -> None:
    """*days* are all there are from *since* to *until* (days, both inclusive)."""
    tx.execute(balances.delete().where(balances.c.org_id == org_id, balances.c.day.between(since, until)))
    upsert(tx, balances, [{"org_id": org_id, **msgspec.structs.asdict(one)} for one in days])


def page(
    tx: sa.Connection,
    org_id: str,
    *,
    since: str | None = None,
    until: str | None = None,
    limit: int = 500,
    offset: int = 0,
) -> tuple[list[Day], int]:
    """The newest days first, from *since* to *until* (days, both inclusive), and how many there are in all."""
    wanted = [balances.c.org_id == org_id]
    wanted += [balances.c.day >= since] if since is not None else []
    wanted += [balances.c.day <= until] if until is not None else []
    columns = [column for column in balances.c if column.name != "org_id"]
    chosen = sa.select(*columns).where(*wanted).order_by(balances.c.day.desc()).limit(limit).offset(offset)
    total = tx.execute(sa.select(sa.func.count()).select_from(balances).where(*wanted)).scalar_one()
    return [Day(**row) for row in tx.execute(chosen).mappings()], total


def states(tx: sa.Connection, now: float, recently: str) -> dict[str, State]:
    """How it stands with each connected organisation, the worst of it; *recently*: the first day whose absences count."""
    absent = sa.select(balances.c.org_id, sa.func.sum(balances.c.absent).label("absent"))
    recent = absent.where(balances.c.day >= recently).group_by(balances.c.org_id).subquery()
    columns = workspaces.c.org_id, workspaces.c.reconciled_at, workspaces.c.trouble, workspaces.c.created_at
    joined = workspaces.outerjoin(recent, recent.c.org_id == workspaces.c.org_id)
    rows = tx.execute(sa.select(*columns, recent.c.absent).select_from(joined).order_by(workspaces.c.org_id))
    return {row.org_id: _state(row, now) for row in rows}


def _state(row: Any, now: float) -> State:
    if row.trouble is not None:
        return "failing"
    if now - (row.reconciled_at or row.created_at) > _BEHIND_S:
        return "behind"
    return "absent" if row.absent else "ok"
