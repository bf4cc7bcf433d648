"""Calls go out: each at its time, its requests in ElevenLabs' order (or, in chaos, in none), every answer reported."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from random import Random
from types import TracebackType
from typing import Self
from urllib.parse import urlencode, urlsplit

import httpx
import msgspec

from offhook.simulator.calls import Attempt, Call, answered, attempted, random_of
from offhook.simulator.deliveries import (
    Delivery,
    Kind,
    after,
    before,
    chunks_of,
    disturbed,
    signature,
    with_repeats,
)
from offhook.simulator.payloads import Json
from offhook.simulator.scenarios import Failure, Scenario

POST_CALL_PATH = "/api/webhook/elevenlabs"
PERSONALIZATION_PATH = POST_CALL_PATH + "/personalization"
CONNECTIONS = 32
PATIENCE_S = 60.0
REPEATED_SHARE = 0.08


class Target(msgspec.Struct, frozen=True):
    """An offhook to send calls to, and what it knows its sender by."""

    base_url: str
    webhook_secret: str
    tool_secret: str
    org_id: str | None = None  #: goes into the address, as in the webhook_url that `offhook org create` prints

    def url_of(self, kind: Kind) -> str:
        if kind == "personalization":
            return self.base_url + PERSONALIZATION_PATH
        return self.base_url + POST_CALL_PATH + (f"?{urlencode({'org': self.org_id})}" if self.org_id else "")

    @property
    def workspace(self) -> str:
        """Whose agents call: two organisations never hear from the same agent."""
        return self.org_id or self.webhook_secret


class Answer(msgspec.Struct, frozen=True):
    """What became of one delivery."""

    delivery: Delivery
    status: int | None  #: None: nobody answered
    latency_s: float
    said: Json = {}  #: the answer's JSON object
    fault: str | None = None  #: why nobody answered

    @property
    def is_accepted(self) -> bool:
        """Exactly 200 is what ElevenLabs counts as success."""
        return self.status == 200


Heard = Callable[[Call | Attempt, Answer], None]


class Sender:
    """A pool of connections to one offhook, which proves what it sends."""

    def __init__(self, target: Target, connections: int = CONNECTIONS) -> None:
        self.target = target
        self._client = httpx.AsyncClient(
            timeout=PATIENCE_S,
            limits=httpx.Limits(max_connections=connections),
            trust_env=not _is_loopback(target.base_url),  # a proxy for the internet does not lead to this machine
        )

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    async def send(self, delivery: Delivery) -> Answer:
        """Send it as ElevenLabs does. Whatever goes wrong is in the answer."""
        body = delivery.body
        content = _streamed(body) if delivery.kind == "audio" else body
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "offhook-simulate",
            **self._proof(delivery.kind, body),
        }
        begun = time.perf_counter()
        try:
            response = await self._client.post(self.target.url_of(delivery.kind), content=content, headers=headers)
        except httpx.TransportError as error:
            return Answer(delivery, None, time.perf_counter() - begun, fault=str(error) or type(error).__name__)
        return Answer(delivery, response.status_code, time.perf_counter() - begun, _object(response.content))

    def _proof(self, kind: Kind, body: bytes) -> dict[str, str]:
        """ElevenLabs signs post-call events, and nothing else."""
        if kind == "personalization":
            return {"Authorization": f"Bearer {self.target.tool_secret}"}
        return {"ElevenLabs-Signature": signature([body], self.target.webhook_secret)}


async def place_calls(
    sender: Sender,
    cards: Iterable[Scenario | Failure],
    *,
    rate: float,
    seed: str,
    heard: Heard,
    is_chaotic: bool = False,
    may_go_on: Callable[[], bool] = lambda: True,
) -> None:
    """Place a call for each of *cards*, *rate* a second (0: as fast as answers come), while *may_go_on* says so."""
    room = asyncio.Semaphore(CONNECTIONS)
    begun = time.monotonic()
    async with asyncio.TaskGroup() as under_way:
        for number, card in enumerate(cards):
            await asyncio.sleep(begun + number / rate - time.monotonic() if rate else 0)
            await room.acquire()
            if not may_go_on():
                return
            call, dice = _dealt(card, f"{seed}/{number}", sender.target.workspace), random_of(seed, str(number))
            placing = under_way.create_task(place(sender, call, dice, heard, is_chaotic=is_chaotic))
            placing.add_done_callback(lambda _: room.release())


async def place(sender: Sender, call: Call | Attempt, dice: Random, heard: Heard, *, is_chaotic: bool = False) -> None:
    """Send everything about *call*; *heard* gets each answer as it comes."""
    greeting = None
    if is_chaotic:
        news = [*before(call), *after(call, int(time.time()), sender.target.tool_secret)]
        await asyncio.gather(*(_tell_late(sender, call, delivery, heard) for delivery in disturbed(news, dice)))
        return
    for delivery in before(call):
        greeting = (await _tell(sender, call, delivery, heard)).said
    news = after(call, int(time.time()), sender.target.tool_secret, greeting)
    for delivery in with_repeats(news, dice, REPEATED_SHARE):
        await _tell(sender, call, delivery, heard)


async def _tell_late(sender: Sender, call: Call | Attempt, delivery: Delivery, heard: Heard) -> None:
    await asyncio.sleep(delivery.after_s)
    await _tell(sender, call, delivery, heard)


async def _tell(sender: Sender, call: Call | Attempt, delivery: Delivery, heard: Heard) -> Answer:
    answer = await sender.send(delivery)
    heard(call, answer)
    return answer


def _dealt(card: Scenario | Failure, seed: str, workspace: str) -> Call | Attempt:
    """The call of *card*, ended just now."""
    if isinstance(card, Failure):
        return attempted(card, seed, time.time(), workspace)
    return answered(card, seed, time.time(), workspace)


async def _streamed(body: bytes) -> AsyncIterator[bytes]:
    """Without a length: httpx then sends Transfer-Encoding: chunked."""
    for chunk in chunks_of(body):
        yield chunk


def _object(content: bytes) -> Json:
    try:
        said = msgspec.json.decode(content)
    except msgspec.DecodeError:
        return {}
    return said if isinstance(said, dict) else {}


def _is_loopback(url: str) -> bool:
    return urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")
