"""POST /api/webhook/elevenlabs/personalization: the caller is greeted first, and the request filed afterwards."""

import time
from collections.abc import Callable
from functools import partial
from http import HTTPStatus

from prometheus_client import Histogram
from starlette.types import Receive, Scope, Send

from offhook.directory import Directory
from offhook.errors import Unavailable
from offhook.personalization import Personalization
from offhook.refusals import Refusals
from offhook.webhooks.filings import Filings
from offhook.webhooks.keyholders import org_of_bearer
from offhook.webhooks.pace import Pace, take_up_to
from offhook.webhooks.requests import (
    Answer,
    Senders,
    TurnedAway,
    come_back_later,
    read_knock,
    refuse,
    send_answer,
)

_GREETING_BODY_BYTES = 64 * 1024

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
        personalization: Personalization,
        filings: Filings,
        refusals: Refusals,
        now: Callable[[], float],
    ) -> None:
        self._senders = senders
        self._directory = directory
        self._personalization = personalization
        self._filings = filings
        self._refusals = refusals
        self._pace = Pace()
        self._now = now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = time.perf_counter()
        knock = read_knock(scope, self._senders)
        body = bytearray()
        try:
            org_id = await org_of_bearer(self._directory, self._senders, knock)
            await self._pace.read_body(receive, partial(take_up_to, body, _GREETING_BODY_BYTES))
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
        self._filings.file_later(greeting.filing)
