"""What was known of a caller while it rang, found again when the call's own events come.

    greeting, after its answer       -> Redis where there is one, for 24 h   (lost without harm)
    the request's event, projected   -> the table `contexts`                 (replay writes it again)
    a call's event                   -> recall: Redis first, then the table

Redis is a cache and no more. It is asked only for what one call alone has: a context found by its numbers follows from
every request of a day, and a cache that lost one of them would give that of another call.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from offhook.events import Event
from offhook.phone import caller_and_called
from offhook.store import contexts
from offhook.store.contexts import Asked, Context, Variable, Wanted
from offhook.store.database import Database
from offhook.voice.elevenlabs.announcement import read_announcement

if TYPE_CHECKING:
    from offhook.context_cache import ContextCache

__all__ = ["Asked", "Context", "Contexts", "Wanted", "asked_in", "ringing"]


class _Answer(msgspec.Struct):
    dynamic_variables: dict[str, Variable] = {}


_read_answer = msgspec.json.Decoder(_Answer).decode


def ringing(body: bytes, *, asked_at: float, country: str) -> Context:
    """The call that a personalization request announces; nothing is told yet.

    *country* is the organisation's: where a national number is dialled.
    """
    announced = read_announcement(body)
    caller, called = caller_and_called(announced.caller, announced.called, country)
    return Context(
        asked_at=asked_at,
        conversation_id=announced.conversation_id,
        call_sid=announced.call_sid,
        agent_id=announced.agent_id,
        user_id=announced.user_id,
        caller=caller,
        called=called,
    )


def asked_in(event: Event, country: str) -> Asked:
    """The context that a personalization event (body and answer open) speaks of."""
    context = ringing(event.body, asked_at=event.received_at, country=country)
    told = _read_answer(event.answer).dynamic_variables if event.answer else {}
    return Asked(event.id, event.org_id, msgspec.structs.replace(context, variables=told))


class Contexts:
    """Finds contexts again."""

    def __init__(self, database: Database, redis_url: str = "") -> None:
        """*redis_url*: "" where there is no Redis."""
        self._database = database
        self._cache = _cache_in(redis_url) if redis_url else None

    async def open(self) -> None:
        """Begin to fill the cache. That needs no Redis: one that is down now is tried again later."""
        if self._cache is not None:
            self._cache.open()

    async def close(self) -> None:
        if self._cache is not None:
            await self._cache.close()

    def remember_soon(self, asked: Asked) -> None:
        """Put it into the cache, some time after this returns; the table has it once its event is projected."""
        if self._cache is not None:
            self._cache.keep_soon(asked)

    async def recall_all(self, wanted: Sequence[Wanted]) -> list[Context | None]:
        """The context of each call; None for one that was not announced. Unavailable when the database is."""
        found: list[Context | None] = [None] * len(wanted)
        if self._cache is not None:
            found = await self._cache.find(wanted)
        missing = [n for n, context in enumerate(found) if context is None]
        if missing:
            stored = await self._database.read(contexts.recall, [wanted[n] for n in missing])
            for n, context in zip(missing, stored, strict=True):
                found[n] = context
        return found


def _cache_in(redis_url: str) -> "ContextCache":
    from offhook.context_cache import ContextCache  # Redis's client takes a tenth of a start: for those who have one

    return ContextCache(redis_url)
