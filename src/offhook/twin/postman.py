"""Deliveries: signed, chunked, once; retried, given up, lost, doubled and mixed up as they are told to be."""

from collections.abc import AsyncIterator
from http import HTTPStatus
from random import Random

import httpx
import msgspec

from offhook.simulator.calls import Attempt, Call
from offhook.simulator.deliveries import Delivery, Kind, after, before, chunks_of, signature
from offhook.twin.clock import Clock
from offhook.twin.rules import MOST_WAITING, after_answer, retry_wait_s
from offhook.twin.workspace import Json, Webhook, Workspace, is_asked_before

_PATIENCE_S = 60.0
_MOST_LOGGED = 10_000
_WORDS: dict[Kind, str] = {"transcription": "transcript", "audio": "audio", "failure": "call_initiation_failure"}


class Faults(msgspec.Struct, forbid_unknown_fields=True):
    """What goes wrong on the way: shares from 0 to 1 of the deliveries."""

    dropped: float = 0.0
    doubled: float = 0.0
    reordered_within_s: float = 0.0  #: each waits a random part of it

    def __post_init__(self) -> None:
        if not (0 <= self.dropped <= 1 and 0 <= self.doubled <= 1 and self.reordered_within_s >= 0):
            raise ValueError("dropped and doubled are shares from 0 to 1, reordered_within_s is not negative")


class Sent(msgspec.Struct, frozen=True):
    """One try of one delivery."""

    at: float  #: unix
    kind: str
    conversation_id: str
    webhook_id: str
    tries: int
    outcome: str  #: a status, "dropped", "unanswered", "disabled"


class Postman:
    """Sends what a workspace has to tell."""

    def __init__(self, workspace: Workspace, clock: Clock, seed: str = "0") -> None:
        self.workspace = workspace
        self.faults = Faults()
        self.log: list[Sent] = []
        self._clock = clock
        self._dice = Random(seed)  # noqa: S311 - no secret
        self._client = httpx.AsyncClient(timeout=_PATIENCE_S, follow_redirects=False)
        self._under_way = 0

    async def close(self) -> None:
        await self._client.aclose()

    @property
    def is_idle(self) -> bool:
        """Nothing is being sent, nor waits to be."""
        return not self._under_way and not self._clock.waiting

    async def tell(self, call: Call | Attempt, tool_secret: str) -> None:
        """Everything about *call*: the question before it, and what is told when it is over."""
        greeting = await self._asked(call)
        now = self._clock()
        for delivery in after(call, int(now), tool_secret, greeting):
            if delivery.kind == "transcription" and isinstance(call, Call):
                self.workspace.keep(call, delivery.payload["data"])
            self._post(delivery)

    def _post(self, delivery: Delivery) -> None:
        webhook, events = self.workspace.post_call_webhook(delivery.payload["data"]["agent_id"])
        if webhook is None or _WORDS[delivery.kind] not in events:
            return
        if self._dice.random() < self.faults.dropped:
            self._note(delivery, webhook, 1, "dropped")
            return
        for _ in range(2 if self._dice.random() < self.faults.doubled else 1):
            moment = self._clock() + self._dice.uniform(0, self.faults.reordered_within_s)
            self._clock.at(moment, lambda: self._try(delivery, webhook, 1))

    async def _try(self, delivery: Delivery, webhook: Webhook, tries: int) -> None:
        if not webhook.is_open:
            self._note(delivery, webhook, tries, "disabled")
            return
        self._under_way += 1
        try:
            status = await self._status_of(delivery, webhook)
        finally:
            self._under_way -= 1
        self._note(delivery, webhook, tries, str(status or "unanswered"))
        webhook.standing = after_answer(webhook.standing, status, self._clock())
        if status != HTTPStatus.OK and webhook.is_retried:
            self._retry(delivery, webhook, tries, status)

    def _retry(self, delivery: Delivery, webhook: Webhook, tries: int, status: int | None) -> None:
        wait_s = retry_wait_s(delivery.payload["type"], status, tries, self._dice)
        if wait_s is None or webhook.waiting_retries >= MOST_WAITING:
            return
        webhook.waiting_retries += 1

        async def again() -> None:
            webhook.waiting_retries -= 1
            await self._try(delivery, webhook, tries + 1)

        self._clock.at(self._clock() + wait_s, again)

    async def _status_of(self, delivery: Delivery, webhook: Webhook) -> int | None:
        """What the receiver answered; None when nobody did. A redirect is an answer, and not followed."""
        body = delivery.body
        # The signature's time is the receiver's, not ours: a clock that was turned would be refused.
        headers = {
            "Content-Type": "application/json",
            "ElevenLabs-Signature": signature([body], webhook.secret),
            **{name: self.workspace.header_value(value) for name, value in webhook.request_headers.items() if value},
        }
        content = _streamed(body) if delivery.kind == "audio" else body
        try:
            return (await self._client.post(webhook.url, content=content, headers=headers)).status_code
        except (httpx.HTTPError, httpx.InvalidURL):
            return None

    async def _asked(self, call: Call | Attempt) -> Json | None:
        """What the personalization webhook answered; None when nobody was asked, or said nothing that can be read."""
        webhook = self.workspace.settings.get("conversation_initiation_client_data_webhook")
        agent = self.workspace.agents.get(call.line.agent_id, {})
        asked = before(call)
        if not asked or not webhook or not is_asked_before(agent):
            return None
        headers = {name: self.workspace.header_value(value) for name, value in webhook["request_headers"].items()}
        try:
            answer = await self._client.post(webhook["url"], json=asked[0].payload, headers=headers)
            said = answer.json() if answer.status_code == HTTPStatus.OK else None
        except (httpx.HTTPError, httpx.InvalidURL, ValueError):
            return None
        return said if isinstance(said, dict) and said else None

    def _note(self, delivery: Delivery, webhook: Webhook, tries: int, outcome: str) -> None:
        conversation_id = delivery.payload["data"]["conversation_id"]
        self.log.append(Sent(self._clock(), delivery.kind, conversation_id, webhook.id, tries, outcome))
        del self.log[:-_MOST_LOGGED]


async def _streamed(body: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks_of(body):
        yield chunk
