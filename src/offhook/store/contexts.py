"""Who was ringing and what the agent was told, kept so that the call's own events, minutes later, find it again."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from offhook.events import derived_id
from offhook.store.database import upsert
from offhook.store.tables import contexts

#: A call of the same agent and numbers may be the one that was announced this long before.
ANNOUNCED_WITHIN_S = 24 * 3600.0
#: The call's start comes in whole seconds of another machine's clock.
_CLOCKS_DIFFER_S = 5.0

_MAX_ID_CHARS = 256  #: as it is kept; what finds it again is made from the whole
_IDS = ("conversation_id", "call_sid", "agent_id", "user_id")
_KEYS = (contexts.c.call_sid_key, contexts.c.conversation_key, contexts.c.numbers_key)
_OLDEST_FIRST = (contexts.c.asked_at, contexts.c.event_id)
_NEWEST_FIRST = (contexts.c.asked_at.desc(), contexts.c.event_id.desc())


Variable = str | bool | int | float  #: what a dynamic variable may be


class Context(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A ringing call, before it was answered."""

    asked_at: float  #: unix; when the request came
    conversation_id: str | None = None
    call_sid: str | None = None
    agent_id: str | None = None
    user_id: str | None = None
    caller: str | None = None  #: E.164; None when withheld
    called: str | None = None  #: E.164
    variables: dict[str, Variable] = {}  #: what the agent was told


decode = msgspec.json.Decoder(Context).decode


class Asked(msgspec.Struct, frozen=True):
    """A context and the personalization event that it comes from."""

    event_id: str
    org_id: str
    context: Context


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """The call whose context is looked for. What finds it best is tried first: call_sid, conversation id, numbers."""

    org_id: str
    call_sid: str | None = None
    conversation_id: str | None = None
    agent_id: str | None = None
    caller: str | None = None  #: E.164
    called: str | None = None  #: E.164
    at: float | None = None  #: unix; when the call began
    until: float | None = None  #: unix; when it was over at the latest: when its event was sent


def remember(tx: sa.Connection, asked: Iterable[Asked]) -> None:
    """Keep the contexts, but for those that nothing could find; the same event again is the same row."""
    rows = map(_row, asked)
    upsert(tx, contexts, [row for row in rows if any(row[column.name] for column in _KEYS)])


def recall(tx: sa.Connection, wanted: Sequence[Wanted]) -> list[Context | None]:
    """The context of each call; None for one that was not announced.

    It depends on what was said when and not on when it is asked, so that a replay finds what the first projection found.
    """
    keys = [exact_keys(one.org_id, one.call_sid, one.conversation_id) for one in wanted]
    by_call_sid = _latest(tx, contexts.c.call_sid_key, [key.call_sid for key in keys])
    by_conversation = _latest(tx, contexts.c.conversation_key, [key.conversation for key in keys])
    found = [by_call_sid.get(key.call_sid) or by_conversation.get(key.conversation) for key in keys]
    missing = [one for one, context in zip(wanted, found, strict=True) if context is None]
    by_numbers = iter(_by_numbers(tx, missing))
    return [context or next(by_numbers) for context in found]


class ExactKeys(NamedTuple):
    """What only one call has; None where it is not known."""

    call_sid: str | None
    conversation: str | None


def exact_keys(org_id: str, call_sid: str | None, conversation_id: str | None) -> ExactKeys:
    """The keys under which a call's context is found at once, here and in the cache."""
    return ExactKeys(
        derived_id("call_sid", org_id, call_sid) if call_sid else None,
        derived_id("conversation", org_id, conversation_id) if conversation_id else None,
    )


def _numbers_key(org_id: str, agent_id: str | None, caller: str | None, called: str | None) -> str | None:
    """None unless all are known: withheld callers must not be taken for each other."""
    return derived_id("numbers", org_id, agent_id, caller, called) if agent_id and caller and called else None


def _latest(tx: sa.Connection, column: sa.Column[str], keys: Iterable[str | None]) -> dict[str | None, Context]:
    """By key, the context of the last request: one that is repeated replaces the one before."""
    known = {key for key in keys if key is not None}
    if not known:
        return {}
    oldest_first = sa.select(column, contexts.c.context).where(column.in_(known)).order_by(*_OLDEST_FIRST)
    return {key: decode(context) for key, context in tx.execute(oldest_first)}


def _by_numbers(tx: sa.Connection, wanted: Sequence[Wanted]) -> list[Context | None]:
    """By agent, caller and called. Most calls that come here were never announced: one look tells which were."""
    keys = [_numbers_key(one.org_id, one.agent_id, one.caller, one.called) for one in wanted]
    known = {key for key in keys if key is not None}
    if known:
        announced = sa.select(contexts.c.numbers_key).where(contexts.c.numbers_key.in_(known)).distinct()
        known = set(tx.execute(announced).scalars())
    return [_nearest(tx, key, one) if key in known else None for key, one in zip(keys, wanted, strict=True)]


def _nearest(tx: sa.Connection, key: str, wanted: Wanted) -> Context | None:
    if wanted.at is None:
        return None
    begun = wanted.at + _CLOCKS_DIFFER_S
    times = {"earliest": wanted.at - ANNOUNCED_WITHIN_S, "begun": begun, "until": wanted.until or begun}
    found = tx.execute(_NEAREST, {"key": key, **times}).scalar()
    return decode(found) if found else None


def _nearest_statement() -> sa.Select[str]:
    """The last request before the call began, else the first one while it went on. Made once: it is asked often."""
    earliest, begun, until = (sa.bindparam(name, type_=sa.Double) for name in ("earliest", "begun", "until"))
    asked_at = contexts.c.asked_at
    same = sa.select(contexts.c.context).where(contexts.c.numbers_key == sa.bindparam("key")).limit(1)
    before = same.where(asked_at.between(earliest, begun)).order_by(*_NEWEST_FIRST)
    during = same.where(asked_at > begun, asked_at <= until).order_by(*_OLDEST_FIRST)
    return sa.select(sa.func.coalesce(before.scalar_subquery(), during.scalar_subquery()))


_NEAREST = _nearest_statement()


def _row(asked: Asked) -> dict[str, Any]:
    context = asked.context
    keys = exact_keys(asked.org_id, context.call_sid, context.conversation_id)
    return {
        "event_id": asked.event_id,
        "org_id": asked.org_id,
        "asked_at": context.asked_at,
        "call_sid_key": keys.call_sid,
        "conversation_key": keys.conversation,
        "numbers_key": _numbers_key(asked.org_id, context.agent_id, context.caller, context.called),
        "context": encode(context).decode(),
    }


def encode(context: Context) -> bytes:
    """*context* as it is kept, here and in the cache: JSON, with ids cut to what an id may be."""
    cut = {name: value[:_MAX_ID_CHARS] for name in _IDS if (value := getattr(context, name)) is not None}
    return msgspec.json.encode(msgspec.structs.replace(context, **cut))
