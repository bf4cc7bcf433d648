"""Traffic as ElevenLabs makes it, for tests that break what a server stands on; every answer is remembered.

Events, greetings and the looks of monitors come at steady rates, whatever the server does: whoever answers late is not asked
less often.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import statistics
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from functools import partial
from random import Random
from typing import Any, NamedTuple, Self

from offhook import events
from tests.payloads import BOOKING, FIXTURES
from tests.services import Server, eventually, signature

DOOR = "/api/webhook/elevenlabs"
CALLER = "+14165550100"
TRANSCRIPTION, AUDIO = "post_call_transcription", "post_call_audio"
RECORDING_BYTES = 300_000  #: enough to make its body a streamed one

_BOOKING = (FIXTURES / f"{BOOKING}.json").read_bytes()
_BOOKED = b"conv_8f3d1b9c2e7a4f0b9a4d2c1e6e2f8c01"
_PATIENCE_S = 60.0
_BLOCK_BYTES = 3 << 18  #: a multiple of three: the base64 of the blocks is that of the whole
_RETRY_S = 0.05

Event = tuple[str, str]  #: type, conversation id: what makes an event of this traffic another


class Answer(NamedTuple):
    status: int | None  #: None: nobody answered
    said: dict[str, Any]
    took_s: float
    fault: str = ""  #: why nobody answered


class Line:
    """Connections to one server, as many as are asked for at once; each is used again unless *is_fickle*.

    A client library's pool takes longer to find a connection among hundreds than these servers to answer.
    """

    def __init__(self, server: Server, *, port: int = 0, is_fickle: bool = False) -> None:
        """*port*: of what stands in front of the server."""
        self._server = server
        self._port = port
        self._is_fickle = is_fickle
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def deliver(self, event: Event) -> Answer:
        """Send one event as ElevenLabs does: once."""
        body = body_of(event)
        header = f"ElevenLabs-Signature: {signature(self._server.webhook_secret, body)}"
        return await self.ask(f"POST {DOOR}?org={self._server.org_id}", header, body)

    async def greet(self, request: dict[str, str]) -> Answer:
        """Ask who is ringing."""
        header = f"Authorization: Bearer {self._server.tool_secret}"
        return await self.ask(f"POST {DOOR}/personalization", header, json.dumps(request).encode())

    async def ask(self, what: str, header: str = "X-Nothing: 0", body: bytes = b"") -> Answer:
        """The answer to one request; *what*: its method and path."""
        begun = time.monotonic()
        try:
            async with asyncio.timeout(_PATIENCE_S):
                status, said = await self._ask(what, header, body)
        except (OSError, EOFError, TimeoutError) as error:
            return Answer(None, {}, time.monotonic() - begun, repr(error))
        return Answer(status, said, time.monotonic() - begun)

    def close(self) -> None:
        for _, writer in self._idle:
            writer.close()

    async def _ask(self, what: str, header: str, body: bytes) -> tuple[int, dict[str, Any]]:
        reader, writer = (
            self._idle.pop()
            if self._idle
            else await asyncio.open_connection("127.0.0.1", self._port or self._server.port)
        )
        try:
            head = f"{what} HTTP/1.1\r\nHost: offhook\r\nContent-Length: {len(body)}\r\n{header}\r\n\r\n"
            writer.write(head.encode() + body)
            answer_head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(answer_head.partition("content-length: ")[2].partition("\r\n")[0])
            said = await reader.readexactly(length)
        except BaseException:
            writer.close()
            raise
        if self._is_fickle or "connection: close" in answer_head:
            writer.close()
        else:
            self._idle.append((reader, writer))
        return int(answer_head.split()[1]), json.loads(said)


class Traffic:
    """Steady traffic within a block: `async with Traffic(server, events_per_s=100) as traffic`. Its end waits for answers."""

    def __init__(
        self,
        server: Server,
        *,
        events_per_s: float = 0,
        recordings_every: int = 20,
        greetings_per_s: float = 0,
        looks_per_s: float = 0,
        is_fickle: bool = False,
        port: int = 0,
        name: str = "conv",
    ) -> None:
        """*recordings_every*: that many events one is a recording; *looks_per_s*: of monitors, at live and ready each;
        *port*: of what stands in front of the server; *name*: what this traffic's conversations begin with."""
        self._name = name
        self.events: dict[Event, Answer] = {}
        self.greetings: list[Answer] = []
        self.looks: dict[str, list[Answer]] = {"live": [], "ready": []}
        self._line = Line(server, port=port, is_fickle=is_fickle)
        self._recordings_every = recordings_every
        self._rates: dict[Callable[[int], Awaitable[None]], float] = {
            self._send_event: events_per_s,
            self._send_greeting: greetings_per_s,
            self._look: looks_per_s,
        }
        self._streams: list[asyncio.Task[None]] = []
        self._under_way: set[asyncio.Future[None]] = set()
        self._is_over = False

    async def __aenter__(self) -> Self:
        self._streams = [asyncio.create_task(self._stream(send, rate)) for send, rate in self._rates.items() if rate]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._is_over = True
        await asyncio.gather(*self._streams)
        await asyncio.gather(*self._under_way)
        self._line.close()

    async def _stream(self, send: Callable[[int], Awaitable[None]], per_s: float) -> None:
        begun, number = time.monotonic(), 0
        while not self._is_over:
            task = asyncio.ensure_future(send(number))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
            number += 1
            await asyncio.sleep(begun + number / per_s - time.monotonic())

    async def _send_event(self, number: int) -> None:
        is_recording = number % self._recordings_every == self._recordings_every - 1
        event = (AUDIO, f"{self._name}_{number - 1}") if is_recording else (TRANSCRIPTION, f"{self._name}_{number}")
        self.events[event] = await self._line.deliver(event)

    async def _send_greeting(self, number: int) -> None:
        asked = {"caller_id": CALLER, "call_sid": f"CA{number}", "agent_id": "agent_1"}
        self.greetings.append(await self._line.greet(asked))

    async def _look(self, _: int) -> None:
        for at, looks in self.looks.items():
            looks.append(await self._line.ask(f"GET /api/health/{at}"))


async def deliver_all(
    server: Server,
    wanted: Iterable[Event],
    answers: dict[Event, Answer],
    *,
    at_once: int = 8,
    is_up: asyncio.Event | None = None,
    tries: Counter[Event] | None = None,
) -> None:
    """Send every one of *wanted*, again and again until it is answered, *at_once* at a time; *answers* grow with each.

    *is_up*: nothing is sent before it is set; *tries* counts how often each was sent.
    """
    waiting = iter(wanted)
    line = Line(server)

    async def once(event: Event) -> Answer:
        if is_up is not None:
            await is_up.wait()
        if tries is not None:
            tries[event] += 1
        return await line.deliver(event)

    async def send() -> None:
        for event in waiting:
            while (answer := await once(event)).status is None:
                await asyncio.sleep(_RETRY_S)
            answers[event] = answer

    await asyncio.gather(*(send() for _ in range(at_once)))
    line.close()


async def deliver_steadily(
    server: Server, wanted: Iterable[Event], answers: dict[Event, Answer], *, per_s: float
) -> None:
    """Send each of *wanted* once, at its time, whatever became of those before it; *answers* grow with each."""
    line = Line(server)

    async def send(event: Event) -> None:
        answers[event] = await line.deliver(event)

    begun, tasks = time.monotonic(), []
    for number, event in enumerate(wanted):
        tasks.append(asyncio.create_task(send(event)))
        await asyncio.sleep(begun + (number + 1) / per_s - time.monotonic())
    await asyncio.gather(*tasks)
    line.close()


def body_of(event: Event) -> bytes:
    """The same bytes each time."""
    type, conversation_id = event
    if type == TRANSCRIPTION:
        return _BOOKING.replace(_BOOKED, conversation_id.encode())
    audio = base64.b64encode(recording_of(conversation_id)).decode()
    data = f'{{"agent_id":"agent_1","conversation_id":"{conversation_id}","full_audio":"{audio}"}}'
    return f'{{"type":"{AUDIO}","event_timestamp":1763741131,"data":{data}}}'.encode()


def recording_of(conversation_id: str) -> bytes:
    return Random(conversation_id).randbytes(RECORDING_BYTES)


class LongRecording:
    """A post_call_audio event of any size, made while it is sent, the same bytes each time."""

    def __init__(self, conversation_id: str, size_bytes: int) -> None:
        """*size_bytes*: of the recording, at least."""
        self.event: Event = (AUDIO, conversation_id)
        self.size_bytes = -(-size_bytes // _BLOCK_BYTES) * _BLOCK_BYTES
        self._block = Random(conversation_id).randbytes(_BLOCK_BYTES)

    @property
    def sha256(self) -> str:
        sha256 = hashlib.sha256()
        for block in self._blocks():
            sha256.update(block)
        return sha256.hexdigest()

    def signature(self, secret: str) -> str:
        t = str(int(time.time()))
        mac = hmac.new(secret.encode(), f"{t}.".encode(), "sha256")
        for piece in self.pieces():
            mac.update(piece)
        return f"t={t},v0={mac.hexdigest()}"

    def pieces(self) -> Iterator[bytes]:
        data = f'{{"agent_id":"agent_1","conversation_id":"{self.event[1]}","full_audio":"'
        yield f'{{"type":"{AUDIO}","event_timestamp":1763741131,"data":{data}'.encode()
        for block in self._blocks():
            yield base64.b64encode(block)
        yield b'"}}'

    def _blocks(self) -> Iterator[bytes]:
        """Each another, and none costs more than a copy."""
        for number in range(self.size_bytes // _BLOCK_BYTES):
            cut = number * 1021 % _BLOCK_BYTES
            yield self._block[cut:] + self._block[:cut]


def call_id_of(server: Server, event: Event) -> str:
    return events.call_id(server.org_id, event[1])


# What became of it


def p99_s(answers: Iterable[Answer]) -> float:
    took = sorted(answer.took_s for answer in answers)
    return took[int(len(took) * 0.99)]


def median_s(answers: Iterable[Answer]) -> float:
    """What can be said of speed beside other tests, where the slowest tell of those."""
    return statistics.median(answer.took_s for answer in answers)


def slowest_s(answers: Iterable[Answer]) -> float:
    return max(answer.took_s for answer in answers)


def other_than_200(answers: Iterable[Answer]) -> list[Answer]:
    return [answer for answer in answers if answer.status != 200]


def acknowledged(answers: dict[Event, Answer]) -> list[Event]:
    return [event for event, answer in answers.items() if answer.status == 200]


def wrongly_named(server: Server, answers: dict[Event, Answer]) -> list[Event]:
    """Those whose 200 does not name their call."""
    return [
        event
        for event, answer in answers.items()
        if answer.status == 200 and answer.said.get("callId") != call_id_of(server, event)
    ]


def filed(server: Server) -> Counter[Event]:
    """Every post-call event in the inbox, and how often it is there."""
    rows = [
        *pages(server, "/api/events", "data", type=TRANSCRIPTION),
        *pages(server, "/api/events", "data", type=AUDIO),
    ]
    return Counter((row["type"], row["conversationId"]) for row in rows)


def pages(server: Server, path: str, of: str, **query: str) -> list[dict[str, Any]]:
    """A whole list of the API."""
    rows: list[dict[str, Any]] = []
    while True:
        page = server.get(path, limit="500", offset=str(len(rows)), **query).json()
        rows += page[of]
        if len(rows) >= page["total"] or not page[of]:
            return rows


def settle(server: Server, *, projected_within_s: float = 60) -> float:
    """Wait until nothing is left in the spool and all is projected; the seconds until the spool was empty."""
    begun = time.monotonic()
    eventually(lambda: _health(server)["spooled"] == 0, within_s=60, every_s=0.1)
    drained_s = time.monotonic() - begun
    pending = partial(server.get, "/api/events", status="pending")
    eventually(lambda: pending().json()["total"] == 0, within_s=projected_within_s, every_s=0.2)
    return drained_s


def _health(server: Server) -> dict[str, Any]:
    report: dict[str, Any] = server.get("/api/health").json()
    return report


def left_files(server: Server) -> list[str]:
    """What must not be left: drafts of bodies, recordings and spooled events, and spooled events."""
    left = [*server.data_dir.rglob("incoming/*"), *server.data_dir.rglob("*.draft"), *server.data_dir.rglob("*.event")]
    return [str(path) for path in left]
