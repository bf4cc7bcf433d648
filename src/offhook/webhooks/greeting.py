"""POST /api/webhook/elevenlabs/personalization: the caller is greeted first, and the request filed afterwards."""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from http import HTTPStatus

from prometheus_client import Histogram
from starlette.types import Receive, Scope, Send

from offhook.directory import Directory
from offhook.errors import ComeBackLater, Unavailable
from offhook.events import Event
from offhook.inbox import Inbox
from offhook.logs import log
from offhook.personalization import Personalization
from offhook.refusals import Refusals
from offhook.webhooks.keyholders import org_of_token
from offhook.webhooks.pace import Pace
from offhook.webhooks.requests import (
    Answer,
    Knock,
    Senders,
    TurnedAway,
    come_back_later,
    read_knock,
    refuse,
    send_answer,
)

_GREETING_BODY_BYTES = 64 * 1024
_GATHER_S = 0.02  #: the next events of such a call come seconds later

_greet_s = Histogram("offhook_greeting_seconds", "From the request's head to the greeting's answer", buckets=(
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 1.5,
))  # fmt: skip


class PersonalizationDoor:
    """POST /api/webhook/elevenlabs/personalization"""

    def __init__(
        self,
        *,
        senders: Senders,
        directory: Directory,
        inbox: Inbox,
        personalization: Personalization,
        refusals: Refusals,
        now: Callable[[], float],
    ) -> None:
        self._senders = senders
        self._directory = directory
        self._inbox = inbox
        self._personalization = personalization
        self._refusals = refusals
        self._pace = Pace()
        self._now = now
        self._unfiled: list[Event] = []
        self._filings: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = time.perf_counter()
        knock = read_knock(scope, self._senders)
        body = bytearray()
        try:
            org_id = await self._org_of(knock)
            await self._pace.read_body(receive, partial(_take_up_to, body, _GREETING_BODY_BYTES))
        except TurnedAway as refused:
            await send_answer(send, refuse(self._refusals, knock, refused, size_bytes=len(body), at=self._now()))
            return
        except Unavailable:
            await send_answer(send, come_back_later("Nobody can tell just now whose token this is"))
            return
        greeting = await self._personalization.greet(org_id, bytes(body))
        await send_answer(send, Answer(HTTPStatus.OK, greeting.answer))
        _greet_s.observe(time.perf_counter() - begun)
        # Only now: the caller has waited long enough, and nothing of the answer depends on it.
        self._personalization.remember_soon(greeting)
        self._file_later(greeting.filing)

    async def finish(self) -> None:
        """Let the filings under way end."""
        await asyncio.gather(*self._filings)

    async def _org_of(self, knock: Knock) -> str:
        if not self._senders.may_send(knock.sender):
            raise TurnedAway("sender")
        if not knock.bearer:
            raise TurnedAway("credentials")
        org_id = await org_of_token(self._directory, knock.bearer)
        if org_id is None:
            raise TurnedAway("token")
        return org_id

    def _file_later(self, event: Event) -> None:
        """Nobody waits for it, so it waits for others: a commit for each would cost more than all of the greeting."""
        self._unfiled.append(event)
        if len(self._unfiled) == 1:
            task = asyncio.create_task(self._file_together(), name="greetings-file")
            self._filings.add(task)
            task.add_done_callback(self._filings.discard)

    async def _file_together(self) -> None:
        await asyncio.sleep(_GATHER_S)
        events, self._unfiled = self._unfiled, []
        await asyncio.gather(*map(self._file, events))

    async def _file(self, event: Event) -> None:
        try:
            await self._inbox.file(event)
        except ComeBackLater:
            log.error("greeting.unfiled")


async def _take_up_to(body: bytearray, limit_bytes: int, piece: bytes) -> None:
    body += piece[: max(0, limit_bytes - len(body))]
