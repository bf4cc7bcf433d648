"""What is sent: events and questions of thousands of calls, signed beforehand and put together only when they go out."""

import random
from collections.abc import Iterator
from itertools import count, repeat

import msgspec

from bench.load import Pieces, chunked
from offhook.simulator.bodies import AudioBody, personalization_body, transcription_body
from offhook.simulator.deliveries import signature

SECRET = "wsec_benchmark_0123456789abcdef0123456789abcdef"  #: signs events, at every contender
TOOL_SECRET = "benchmark_0123456789abcdef0123456789abcdef"  #: the bearer of questions, likewise
_FIRST_NUMBER = 14_162_000_000


class Doors(msgspec.Struct, frozen=True):
    """Where a contender takes what is sent: paths, with their query."""

    events: str
    greetings: str


def number(caller: int) -> str:
    """The telephone number of the n-th caller of millions, E.164; a line of Toronto in form."""
    return f"+{_FIRST_NUMBER + caller}"


class Transcriptions:
    """Transcriptions of *size_bytes*, each of a call and a caller of its own; one template and many signatures."""

    def __init__(self, size_bytes: int, calls: int) -> None:
        body = transcription_body(size_bytes)
        data = msgspec.json.decode(body)["data"]
        phone_call = data["metadata"]["phone_call"]
        body = body.replace(b"%", b"%%")
        for name, found in (
            (b"%(conversation)b", data["conversation_id"]),
            (b"%(call)b", phone_call["call_sid"].removeprefix("CA")),
            (b"%(caller)b", phone_call["external_number"]),
        ):
            body = body.replace(found.encode(), name)
        self._size_bytes = size_bytes
        self._template = body
        self._signatures = [signature([self._body(call)], SECRET).encode() for call in range(calls)]

    def requests(self, doors: Doors, first: int, last: int) -> Iterator[bytes]:
        """Those of the calls from *first* up to *last*."""
        head = _head(doors.events, f"Content-Length: {self._size_bytes}", "ElevenLabs-Signature: ")
        for call in range(first, last):
            yield b"".join((head, self._signatures[call], b"\r\n\r\n", self._body(call)))

    def __len__(self) -> int:
        return len(self._signatures)

    def _body(self, call: int) -> bytes:
        return self._template % {
            b"conversation": b"conv_%026d" % call,
            b"call": b"%032x" % call,
            b"caller": number(call).encode(),
        }


class Recording:
    """A recording of *mp3_bytes* in chunks, as ElevenLabs sends it; signed once, sent any number of times."""

    def __init__(self, mp3_bytes: int, *, seed: str = "0") -> None:
        self.body = AudioBody(mp3_bytes, seed=seed)
        self._signature = signature(self.body, SECRET)

    def request(self, doors: Doors) -> Pieces:
        yield _head(doors.events, "Transfer-Encoding: chunked", f"ElevenLabs-Signature: {self._signature}", "", "")
        yield from chunked(self.body)


def questions(doors: Doors, callers: int) -> Iterator[bytes]:
    """Who is ringing? For ever, each of a call of its own, from a random one of *callers* numbers."""
    asked = msgspec.json.decode(personalization_body())
    dice = random.Random(2)
    for call in count():
        new = {
            "caller_id": number(dice.randrange(callers)),
            "call_sid": f"CA{call:032x}",
            "conversation_id": f"conv_{call:026d}",
        }
        body = msgspec.json.encode({**asked, **new})
        authorization = f"Authorization: Bearer {TOOL_SECRET}"
        yield _head(doors.greetings, authorization, f"Content-Length: {len(body)}", "", "") + body


def bare(path: str) -> Iterator[bytes]:
    """A request that asks for next to nothing, for ever."""
    return repeat(f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())


def _head(path: str, *lines: str) -> bytes:
    return "\r\n".join((f"POST {path} HTTP/1.1", "Host: bench", "Content-Type: application/json", *lines)).encode()
