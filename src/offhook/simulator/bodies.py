"""Bodies of a wanted size, for tests and benchmarks that care how much there is and not what is said."""

import base64
import hashlib
from collections.abc import Iterator
from itertools import cycle

import msgspec

from offhook.simulator import payloads
from offhook.simulator.calls import answered, attempted
from offhook.simulator.payloads import Json
from offhook.simulator.scenarios import FAILURES, SCENARIOS
from offhook.simulator.speech import FRAME_BYTES, FRAME_S, spoken

_SENT_AT = 1_780_000_000
_FILLER = "and so on, "
#: As many MP3 frames as make a chunk of just under 64 KiB; a frame is a multiple of 3 bytes, so their base64 can be joined.
_BLOCK_BYTES = 455 * FRAME_BYTES


def transcription_body(
    size_bytes: int = 10_240,
    *,
    seed: str = "0",
    sent_at: int = _SENT_AT,
    tool_secret: str = "simulated",  # noqa: S107
) -> bytes:
    """A transcription of exactly *size_bytes*, at least about 7,000; another *seed* is another conversation."""
    event = payloads.transcription(answered(SCENARIOS[0], seed, sent_at - 5), sent_at, tool_secret)
    turns = event["data"].pop("transcript")
    room = size_bytes - len(msgspec.json.encode(event))
    event["data"]["transcript"] = list(_that_fit(turns, room)) or turns[:1]
    return _padded(event, size_bytes)


def failure_body(*, seed: str = "0", sent_at: int = _SENT_AT, number: int = 0) -> bytes:
    """A failed attempt, by the row *number* of the scenarios' FAILURES."""
    failure = FAILURES[number % len(FAILURES)]
    return msgspec.json.encode(payloads.failure(attempted(failure, seed, sent_at - 1), sent_at))


def personalization_body(*, seed: str = "0", caller: str | None = None) -> bytes:
    """Who is ringing? *caller* is anybody's number; None: the scenario's person."""
    asked = payloads.personalization(answered(SCENARIOS[0], seed, _SENT_AT))
    return msgspec.json.encode(asked | {"caller_id": caller} if caller else asked)


class AudioBody:
    """A recording of any size, never whole in memory; can be gone through any number of times (to sign, then to send)."""

    def __init__(self, mp3_bytes: int, *, seed: str = "0", sent_at: int = _SENT_AT) -> None:
        """*mp3_bytes* of speech, rounded down to whole frames; another *seed* is another conversation."""
        call = answered(SCENARIOS[0], seed, sent_at - 5)
        self.mp3_bytes = mp3_bytes // FRAME_BYTES * FRAME_BYTES
        self.conversation_id = call.line.conversation_id
        self._block = spoken(SCENARIOS[0]).mp3[:_BLOCK_BYTES]
        self._head, self._tail = _around_the_audio(payloads.audio(call, sent_at))

    def __iter__(self) -> Iterator[bytes]:
        """Pieces of about 64 KiB."""
        block = base64.b64encode(self._block)
        yield self._head
        for _ in range(self._full_blocks):
            yield block
        yield base64.b64encode(self._rest)
        yield self._tail

    def __len__(self) -> int:
        """Bytes on the wire."""
        return len(self._head) + self.mp3_bytes // 3 * 4 + len(self._tail)

    @property
    def duration_s(self) -> float:
        return self.mp3_bytes / FRAME_BYTES * FRAME_S

    def mp3(self) -> Iterator[bytes]:
        """The recording, as it should lie on the receiver's disk."""
        for _ in range(self._full_blocks):
            yield self._block
        yield self._rest

    def mp3_sha256(self) -> str:
        digest = hashlib.sha256()
        for piece in self.mp3():
            digest.update(piece)
        return digest.hexdigest()

    @property
    def _full_blocks(self) -> int:
        return self.mp3_bytes // len(self._block)

    @property
    def _rest(self) -> bytes:
        return self._block[: self.mp3_bytes % len(self._block)]


def _that_fit(turns: list[Json], room_bytes: int) -> Iterator[Json]:
    """*turns* again and again, while there is room for one more."""
    for turn in cycle(turns):
        room_bytes -= len(msgspec.json.encode(turn)) + 20
        if room_bytes < 0:
            return
        yield turn


def _padded(event: Json, size_bytes: int) -> bytes:
    missing = size_bytes - len(msgspec.json.encode(event))
    if missing < 0:
        raise ValueError(f"A transcription with every block takes {size_bytes - missing} bytes at least.")
    filler = _FILLER * (missing // len(_FILLER) + 1)
    last = event["data"]["transcript"][-1]
    event["data"]["transcript"][-1] = last | {"message": last["message"] + filler[:missing]}
    return msgspec.json.encode(event)


def _around_the_audio(event: Json) -> tuple[bytes, bytes]:
    """What stands before and behind the base64."""
    event["data"]["full_audio"] = "\0"
    head, tail = msgspec.json.encode(event).split(rb"\u0000")
    return head, tail
