"""What is filed after its answer: the caller has waited long enough, and nothing of the answer depends on it."""

import asyncio

from offhook.errors import ComeBackLater
from offhook.events import Event
from offhook.inbox import Inbox
from offhook.logs import log

_GATHER_S = 0.02  #: the next events of such a call come seconds later


class Filings:
    """Files events together, a moment after they are given."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._unfiled: list[Event] = []
        self._under_way: set[asyncio.Task[None]] = set()

    def file_later(self, event: Event) -> None:
        """Nobody waits for it, so it waits for others: a commit for each would cost more than all of a greeting."""
        self._unfiled.append(event)
        if len(self._unfiled) == 1:
            task = asyncio.create_task(self._file_together(), name="file-later")
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def finish(self) -> None:
        """Let the filings under way end."""
        await asyncio.gather(*self._under_way)

    async def _file_together(self) -> None:
        await asyncio.sleep(_GATHER_S)
        events, self._unfiled = self._unfiled, []
        await asyncio.gather(*map(self._file, events))

    async def _file(self, event: Event) -> None:
        try:
            await self._inbox.file(event)
        except ComeBackLater:
            log.error("answered.unfiled", kind=event.type)
