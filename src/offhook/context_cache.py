"""Redis, holding what was known of callers for a day: a cache in front of the table `contexts`, and no more."""

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

from offhook.logs import log
from offhook.store import contexts
from offhook.store.contexts import Asked, Context, Wanted

T = TypeVar("T")

KEPT_FOR_S = 24 * 3600
_ASK_S = 0.1  #: the table answers sooner than a Redis that needs longer than this
_FILL_S = 0.5  #: nobody waits while the cache is filled
_REST_S = 2.0  #: how long a Redis that did not answer is not asked
_MAX_WAITING = 10_000
_MAX_BATCH = 256
_PREFIX = "offhook:context:"

_unanswered = Counter("offhook_redis_unanswered_total", "Times that Redis was not there for a caller's context")


class ContextCache:
    """Asked only as far as it answers at once. When it does not, nobody waits for it and nothing fails."""

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
