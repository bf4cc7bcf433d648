"""Waiting for an answer no longer than somebody who waits for ours can bear."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def in_time(question: Coroutine[Any, Any, T], budget_s: float) -> T:
    """The answer, or TimeoutError after *budget_s*, even when *question* does not end when it is told to."""
    asking = asyncio.ensure_future(question)
    await asyncio.wait((asking,), timeout=budget_s)
    if not asking.done():
        asking.add_done_callback(_overhear)
        asking.cancel()
        raise TimeoutError
    return asking.result()


def _overhear(asking: "asyncio.Future[Any]") -> None:
    """Nobody listens any more; an exception that nobody heard would be reported as an accident."""
    if not asking.cancelled():
        asking.exception()
