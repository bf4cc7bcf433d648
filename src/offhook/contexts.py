"""What was known of a caller while it rang, found again when the call's own events come.

    greeting, after its answer       -> Redis where there is one, for 24 h   (lost without harm)
    the request's event, projected   -> the table `contexts`                 (replay writes it again)
    a call's event                   -> recall: Redis first, then the table

Redis is a cache and no more. It is asked only for what one call alone has: a context found by its numbers follows from
every request of a day, and a cache that lost one of them would give that of another call.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Sequence
from typing import TypeVar

import msgspec
import redis.asyncio
from prometheus_client import Counter
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from offhook.events import Event
from offhook.logs import log
from offhook.phone import caller_and_called
from offhook.store import contexts
from offhook.store.contexts import Asked, Context, Variable, Wanted
from offhook.store.database import Database
from offhook.voice.elevenlabs.announcement import read_announcement

__all__ = ["Asked", "Context", "Contexts", "Wanted", "asked_in", "ringing"]

T = TypeVar("T")

KEPT_FOR_S = 24 * 3600
_ASK_S = 0.1  #: the table answers sooner than a Redis that needs longer than this
_FILL_S = 0.5  #: nobody waits while the cache is filled
_REST_S = 2.0  #: how long a Redis that did not answer is not asked
_MAX_WAITING = 10_000
_MAX_BATCH = 256
_PREFIX = "offhook:context:"

_unanswered = Counter("offhook_redis_unanswered_total", "Times that Redis was not there for a caller's context")


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
        self._cache = _Cache(redis_url) if redis_url else None

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


class _Cache:
    """Redis, as far as it answers at once. When it does not, nobody waits for it and nothing fails."""

    def __init__(self, url: str) -> None:
        self._redis = redis.asyncio.Redis.from_url(
            url,
            socket_connect_timeout=_FILL_S,
            socket_timeout=_FILL_S,
            retry=Retry(NoBackoff(), 0),
        )
        self._waiting: list[Asked] = []
        self._wake = asyncio.Event()
        self._ask_at = 0.0  #: monotonic
        self._is_answering = True

    def open(self) -> None:
        self._filling = asyncio.create_task(self._fill_on(), name="context-cache")

    async def close(self) -> None:
        self._filling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._filling
        await self._fill()
        with contextlib.suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(_FILL_S):
                await self._redis.aclose()

    def keep_soon(self, asked: Asked) -> None:
        if len(self._waiting) < _MAX_WAITING:
            self._waiting.append(asked)
            self._wake.set()

    async def find(self, wanted: Sequence[Wanted]) -> list[Context | None]:
        keys = [_names(one.org_id, one.call_sid, one.conversation_id) for one in wanted]
        names = list(dict.fromkeys(name for names in keys for name in names))
        answer = await self._answer_of(self._redis.mget(names), _ASK_S) if names and self._is_worth_asking else None
        held = dict(zip(names, map(_readable, answer or ()), strict=False))
        return [next(filter(None, map(held.get, names)), None) for names in keys]

    async def _fill_on(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._fill()

    async def _fill(self) -> None:
        """What waits goes together, in few round trips; what Redis does not take now is not tried again."""
        waiting, self._waiting = self._waiting, []
        for start in range(0, len(waiting), _MAX_BATCH):
            if self._is_worth_asking:
                await self._answer_of(self._set(waiting[start : start + _MAX_BATCH]), _FILL_S)

    async def _set(self, batch: Sequence[Asked]) -> None:
        pipeline = self._redis.pipeline(transaction=False)
        for asked in batch:
            context = asked.context
            for name in _names(asked.org_id, context.call_sid, context.conversation_id):
                pipeline.set(name, contexts.encode(context), ex=KEPT_FOR_S)
        await pipeline.execute()

    @property
    def _is_worth_asking(self) -> bool:
        if time.monotonic() >= self._ask_at:
            return True
        _unanswered.inc()
        return False

    async def _answer_of(self, question: Awaitable[T], within_s: float) -> T | None:
        """What Redis says; None when it says nothing in time, or anything but what was hoped for."""
        try:
            async with asyncio.timeout(within_s):
                answer = await question
        except (RedisError, OSError, TimeoutError) as error:
            self._rest(error)
            return None
        if not self._is_answering:
            log.info("redis.back")
        self._is_answering = True
        return answer

    def _rest(self, error: Exception) -> None:
        _unanswered.inc()
        self._ask_at = time.monotonic() + _REST_S
        if self._is_answering:  # said once, until it has answered again
            log.warning("redis.unanswered", error=str(error) or type(error).__name__)
        self._is_answering = False


def _names(org_id: str, call_sid: str | None, conversation_id: str | None) -> list[str]:
    """Where the cache has a call's context, the best place first."""
    return [_PREFIX + key for key in contexts.exact_keys(org_id, call_sid, conversation_id) if key is not None]


def _readable(held: bytes | str | None) -> Context | None:
    """A context from the cache; None for nothing, and for what an offhook of another version wrote."""
    try:
        return contexts.decode(held) if held is not None else None
    except msgspec.DecodeError:
        return None
