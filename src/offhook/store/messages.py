"""Texts to people and from them. What a text may be is decided in the transaction that reserves it (texts.decide): two
workers that look at once cannot both find the last place free."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from offhook.events import derived_id
from offhook.store import contact_locks, merging, opt_outs
from offhook.store.database import insert_new, upsert
from offhook.store.tables import contacts, messages
from offhook.texts import DAY_S, Counts, Decision, block_of

_IS_BEGUN = messages.c.begun_at.is_not(None)
_RANK = {"queued": 0, "suppressed": 0, "sending": 1, "sent": 2, "delivered": 3, "failed": 3}


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A text that somebody wants to be sent."""

    id: str
    org_id: str
    kind: str
    to: str | None  #: E.164
    sender: str | None
    body: str
    provider: str
    call_id: str | None = None
    contact_id: str | None = None


def message_id(*words: str) -> str:
    return derived_id("message", *words)


def get(tx: sa.Connection, id: str) -> sa.Row[Any] | None:
    return tx.execute(sa.select(messages).where(messages.c.id == id)).first()


def reserve(tx: sa.Connection, draft: Draft, decide: Callable[[Counts], Decision], now: float) -> Decision:
    """Decide whether the text may go, and write that down; when it may, its place under the caps is taken."""
    contact_locks.hold_off_merges(tx, (draft.org_id,))
    _one_at_a_time(tx, draft.org_id)
    decision = decide(counts(tx, draft.org_id, draft.to, draft.call_id, now, but=draft.id))
    status = {"allow": "sending", "wait": "queued", "suppress": "suppressed"}[decision.verdict]
    begun_at = now if status == "sending" else None
    row = _row(draft, now) | {"status": status, "reason": decision.sentence or None, "begun_at": begun_at}
    row["contact_id"] = _still_there(tx, draft.org_id, draft.contact_id)
    upsert(tx, messages, [row], keep=("created_at",))
    return decision


def queue(tx: sa.Connection, draft: Draft, now: float) -> None:
    """Show the text before anybody has it in hand; the same again changes nothing."""
    insert_new(tx, messages, [_row(draft, now) | {"status": "queued", "reason": None, "begun_at": None}])


def counts(tx: sa.Connection, org_id: str, to: str | None, call_id: str | None, now: float, *, but: str = "") -> Counts:
    """What has been begun already, without the message *but*."""
    of_others = messages.c.org_id == org_id, messages.c.id != but
    today = *of_others, messages.c.begun_at > now - DAY_S
    if to is None:
        return Counts()
    block = block_of(to)
    return Counts(
        to_number=_count(tx, *today, messages.c.to_number == to),
        to_block=_count(tx, *today, messages.c.to_number.between(block, block + "999")),
        of_call=0 if call_id is None else _count(tx, *of_others, messages.c.call_id == call_id, _IS_BEGUN),
        of_organization=_count(tx, *today),
        is_opted_out=opt_outs.is_out(tx, org_id, to),
    )


def become(
    tx: sa.Connection, id: str, status: str, now: float, *, reason: str | None = None, provider_id: str | None = None
) -> bool:
    """Move the message forward; what comes late, or in another order than it happened, moves nothing back.

    False when nothing moved. The provider's id is kept all the same, where none was known.
    """
    this = messages.c.id == id
    if provider_id is not None:
        has_none = messages.c.provider_message_id.is_(None)
        tx.execute(messages.update().where(this, has_none).values(provider_message_id=provider_id, updated_at=now))
    earlier = [name for name, rank in _RANK.items() if rank < _RANK[status]]
    moved = {"status": status, "reason": reason, "updated_at": now}
    return bool(tx.execute(messages.update().where(this, messages.c.status.in_(earlier)).values(moved)).rowcount)


def withdraw(tx: sa.Connection, id: str, status: str, reason: str, now: float) -> None:
    """It was certainly not sent: its place under the caps is free again."""
    this = messages.c.id == id, messages.c.status.in_(("queued", "sending"))
    free = {"status": status, "reason": reason, "begun_at": None, "updated_at": now}
    tx.execute(messages.update().where(*this).values(free))


def provider_ids(tx: sa.Connection, to: str, since: float) -> frozenset[str]:
    """The provider's ids of all our texts to that number, whoever's: organisations may share an account."""
    wanted = messages.c.to_number == to, messages.c.begun_at >= since, messages.c.provider_message_id.is_not(None)
    return frozenset(tx.execute(sa.select(messages.c.provider_message_id).where(*wanted)).scalars())


def find_by_provider_id(tx: sa.Connection, provider_id: str) -> sa.Row[Any] | None:
    return tx.execute(sa.select(messages).where(messages.c.provider_message_id == provider_id)).first()


def page(
    tx: sa.Connection, org_id: str, *, contact_id: str | None, call_id: str | None, limit: int, offset: int
) -> tuple[Sequence[sa.Row[Any]], int]:
    """The organisation's, newest first, and how many there are in all."""
    equal = {messages.c.org_id: org_id, messages.c.contact_id: contact_id, messages.c.call_id: call_id}
    wanted = [column == value for column, value in equal.items() if value is not None]
    newest = messages.c.created_at.desc(), messages.c.id.desc()
    rows = tx.execute(sa.select(messages).where(*wanted).order_by(*newest).limit(limit).offset(offset)).all()
    return rows, _count(tx, *wanted)


# From people


def correspondents(tx: sa.Connection, number: str, ours: Collection[str]) -> Sequence[sa.Row[Any]]:
    """The latest text that each organisation sent to *number* from *ours*, the latest first: whom a reply may answer."""
    sent = messages.c.to_number == number, messages.c.from_number.in_(ours), _IS_BEGUN
    latest = (
        sa.select(messages.c.org_id, sa.func.max(messages.c.begun_at).label("at"))
        .where(*sent)
        .group_by(messages.c.org_id)
        .subquery()
    )
    is_latest = (messages.c.org_id == latest.c.org_id) & (messages.c.begun_at == latest.c.at)
    wanted = sa.select(messages).join(latest, is_latest).where(*sent).order_by(messages.c.begun_at.desc())
    return tx.execute(wanted).all()


def keep_reply(tx: sa.Connection, row: dict[str, Any], now: float) -> None:
    """Once, however often it is told."""
    empty = dict.fromkeys(column.name for column in messages.c)
    insert_new(tx, messages, [{**empty, **row, "status": "received", "created_at": now, "updated_at": now}])


def _still_there(tx: sa.Connection, org_id: str, contact_id: str | None) -> str | None:
    """The contact, or the one that it was merged into since the text was wished for; None when it was deleted."""
    if contact_id is None:
        return None
    wanted = contacts.c.id == (merging.kept_of(tx, org_id, contact_id) or contact_id), contacts.c.org_id == org_id
    return tx.execute(sa.select(contacts.c.id).where(*wanted)).scalar()


def _one_at_a_time(tx: sa.Connection, org_id: str) -> None:
    """Until the commit nobody else reserves for this organisation; on SQLite there is one writer anyway."""
    if tx.dialect.name == "postgresql":
        tx.execute(sa.select(sa.func.pg_advisory_xact_lock(int(derived_id("texts", org_id)[:15], 16))))


def _count(tx: sa.Connection, *wanted: sa.ColumnElement[bool]) -> int:
    return tx.execute(sa.select(sa.func.count()).select_from(messages).where(*wanted)).scalar_one()


def _row(draft: Draft, now: float) -> dict[str, Any]:
    return {
        "id": draft.id,
        "org_id": draft.org_id,
        "call_id": draft.call_id,
        "contact_id": draft.contact_id,
        "kind": draft.kind,
        "to_number": draft.to,
        "from_number": draft.sender,
        "body": draft.body,
        "provider": draft.provider,
        "provider_message_id": None,
        "created_at": now,
        "updated_at": now,
    }
