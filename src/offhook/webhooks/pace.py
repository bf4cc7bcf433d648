"""Bodies are read as fast as they come, and given up where they come too slowly."""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from starlette.types import Message, Receive

from offhook.webhooks.requests import TurnedAway

GRACE_S = 10.0  #: every body may take this long, however small
BYTES_PER_S = 4096  #: and beyond it, no slower than this on average
_SILENCE_S = 20.0  #: and never be silent for longer
_LOOK_EVERY_S = 1.0


class Pace:
    """Reads bodies. One timer looks at all that are late: one for each costs as much as proving a small one."""

    def __init__(self) -> None:
        self._late_at: dict[asyncio.Task[Any], float] = {}  # of those who wait for a piece
        self._timer: asyncio.TimerHandle | None = None

    async def read_body(self, receive: Receive, take: Callable[[bytes], Awaitable[None]]) -> None:
        """Give *take* each piece of the body. TurnedAway when it is cut short or comes too slowly."""
        clock = asyncio.get_running_loop().time
        begun = clock()
        late_at = begun + _SILENCE_S
        size = 0
        while True:
            message = await self._next(receive, late_at)
            if message["type"] == "http.disconnect":
                raise TurnedAway("cut", HTTPStatus.BAD_REQUEST)
            piece: bytes = message.get("body", b"")
            size += len(piece)
            await take(piece)
            if not message.get("more_body", False):
                return
            late_at = min(clock() + _SILENCE_S, begun + GRACE_S + size / BYTES_PER_S)

    async def _next(self, receive: Receive, late_at: float) -> Message:
        """The next message; TurnedAway when it is not there at *late_at* (the loop's time), or a second after."""
        task = asyncio.current_task()
        assert task is not None
        self._late_at[task] = late_at
        if self._timer is None:
            self._look_later()
        try:
            return await receive()
        except asyncio.CancelledError:
            if task in self._late_at or task.uncancel():  # somebody else wants it to end
                raise
            raise TurnedAway("pace", HTTPStatus.REQUEST_TIMEOUT) from None
        finally:
            self._late_at.pop(task, None)

    def _look(self) -> None:
        now = asyncio.get_running_loop().time()
        for task in [task for task, late_at in self._late_at.items() if late_at <= now]:
            del self._late_at[task]
            task.cancel()
        self._timer = None
        if self._late_at:
            self._look_later()

    def _look_later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_LOOK_EVERY_S, self._look)


async def take_up_to(body: bytearray, limit_bytes: int, piece: bytes) -> None:
    """Add *piece* to *body*; what is longer than anything of its kind is cut."""
    body += piece[: max(0, limit_bytes - len(body))]
