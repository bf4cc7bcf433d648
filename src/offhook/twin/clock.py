"""A clock that can be turned: seven days of failures need not take seven days."""

import asyncio
import heapq
import itertools
import time
from collections.abc import Awaitable, Callable


class Clock:
    """Goes as the machine's does, and ahead by as much as it was turned."""

    def __init__(self) -> None:
        self._ahead_s = 0.0
        self._due: list[tuple[float, int, Callable[[], Awaitable[None]]]] = []
        self._numbers = itertools.count()
        self._changed = asyncio.Event()

    def __call__(self) -> float:
        """Now (unix)."""
        return time.time() + self._ahead_s

    def turn(self, seconds: float) -> None:
        """Turn it on; what has become due meanwhile is done at once."""
        self._ahead_s += seconds
        self._changed.set()

    def at(self, moment: float, act: Callable[[], Awaitable[None]]) -> None:
        """Have *act* done at *moment* (unix, by this clock)."""
        heapq.heappush(self._due, (moment, next(self._numbers), act))
        self._changed.set()

    @property
    def waiting(self) -> int:
        return len(self._due)

    async def run(self) -> None:
        """Do what is due, for ever; one thing does not wait for another."""
        under_way: set[asyncio.Future[None]] = set()
        while True:
            while self._due and self._due[0][0] <= self():
                task = asyncio.ensure_future(_awaited(heapq.heappop(self._due)[2]))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
            self._changed.clear()
            wait_s = self._due[0][0] - self() if self._due else None
            try:
                await asyncio.wait_for(self._changed.wait(), wait_s)
            except TimeoutError:
                continue


async def _awaited(act: Callable[[], Awaitable[None]]) -> None:
    await act()
