"""What is sent about a call, in what order and in what spelling. Pure; `sender.py` sends it."""

import hmac
import time
from collections.abc import Callable, Iterable, Iterator
from random import Random
from typing import Literal

import msgspec

from offhook.simulator import payloads
from offhook.simulator.calls import Attempt, Call
from offhook.simulator.payloads import Json

Kind = Literal["personalization", "transcription", "audio", "failure"]
Spelling = Literal["compact", "spaced", "ascii", "reversed", "escaped", "inlined", "textual"]

CHUNK_BYTES = 65_536
_MAX_DELAY_S = 3.0


class Delivery(msgspec.Struct, frozen=True):
    """One request about a call."""

    kind: Kind
    payload: Json
    spelling: Spelling = "compact"
    after_s: float = 0.0  #: from the moment when the call's deliveries begin
    is_repeat: bool = False  #: the same event was sent already, perhaps in another spelling

    @property
    def body(self) -> bytes:
        return SPELLINGS[self.spelling](self.payload)


def signature(chunks: Iterable[bytes], secret: str, at: float | None = None) -> str:
    """The ElevenLabs-Signature header of a body, which may come in pieces; *at* (unix) is now by default."""
    t = str(int(time.time() if at is None else at))
    digest = hmac.new(secret.encode(), t.encode() + b".", "sha256")
    for chunk in chunks:
        digest.update(chunk)
    return f"t={t},v0={digest.hexdigest()}"


def before(call: Call | Attempt) -> list[Delivery]:
    """What ElevenLabs asks before the call; nothing for an outbound one, whose variables are in the request to dial."""
    if isinstance(call, Attempt) or call.scenario.direction == "outbound":
        return []
    return [Delivery("personalization", payloads.personalization(call))]


def after(call: Call | Attempt, sent_at: int, tool_secret: str, greeting: Json | None = None) -> list[Delivery]:
    """What ElevenLabs tells after the call, or when nobody answered. *greeting* is what `before` was answered."""
    if isinstance(call, Attempt):
        return [Delivery("failure", payloads.failure(call, sent_at))]
    return [
        Delivery("transcription", payloads.transcription(call, sent_at, tool_secret, greeting)),
        Delivery("audio", payloads.audio(call, sent_at)),
    ]


def with_repeats(deliveries: list[Delivery], dice: Random, share: float) -> list[Delivery]:
    """Send about a *share* (0 to 1) of the post-call events a second time, in the very same bytes."""
    return [again for delivery in deliveries for again in _once_or_twice(delivery, dice, share)]


def disturbed(deliveries: list[Delivery], dice: Random) -> list[Delivery]:
    """The same news in a bad hour: in any order, late, up to three times, each time spelled in another way."""
    scattered = [copy for delivery in deliveries for copy in _scattered(delivery, dice)]
    return sorted(scattered, key=lambda delivery: delivery.after_s)


def chunks_of(body: bytes) -> Iterator[bytes]:
    """*body* in pieces, for Transfer-Encoding: chunked."""
    for begin in range(0, len(body), CHUNK_BYTES):
        yield body[begin : begin + CHUNK_BYTES]


def _once_or_twice(delivery: Delivery, dice: Random, share: float) -> list[Delivery]:
    if delivery.kind == "personalization" or dice.random() >= share:
        return [delivery]
    return [delivery, msgspec.structs.replace(delivery, is_repeat=True)]


def _scattered(delivery: Delivery, dice: Random) -> list[Delivery]:
    delays_s = sorted(dice.uniform(0, _MAX_DELAY_S) for _ in range(dice.choice((1, 1, 2, 3))))
    return [
        msgspec.structs.replace(delivery, spelling=_drawn(delivery, dice), after_s=after_s, is_repeat=number > 0)
        for number, after_s in enumerate(delays_s)
    ]


def _drawn(delivery: Delivery, dice: Random) -> Spelling:
    return "compact" if delivery.kind == "personalization" else dice.choice(tuple(SPELLINGS))


def _compact(payload: Json) -> bytes:
    return msgspec.json.encode(payload)


def _spaced(payload: Json) -> bytes:
    return msgspec.json.format(_compact(payload), indent=4) + b"\n"


def _ascii(payload: Json) -> bytes:
    return "".join(map(_as_ascii, _compact(payload).decode())).encode()


def _as_ascii(letter: str) -> str:
    """Outside of ASCII: its \\u escape, two of them (a surrogate pair) beyond the basic plane."""
    if letter.isascii():
        return letter
    units = letter.encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def _reversed(payload: Json) -> bytes:
    """The last key first, on the two levels where order has tempted parsers: full_audio then precedes the ids."""
    outer = dict(reversed(payload.items()))
    return _compact(outer | {"data": dict(reversed(payload["data"].items()))})


def _escaped(payload: Json) -> bytes:
    """Slashes as PHP writes them, all through the base64, and an escape in the one key that matters most."""
    return _compact(payload).replace(b"/", rb"\/").replace(b'"full_audio"', rb'"full\u005faudio"')


def _inlined(payload: Json) -> bytes:
    """The older shape: no `data`, its fields at the top level."""
    outer = {key: value for key, value in payload.items() if key != "data"}
    return _compact(outer | payload["data"])


def _textual(payload: Json) -> bytes:
    """The number of the event's time as a string."""
    return _compact(payload | {"event_timestamp": str(payload["event_timestamp"])})


SPELLINGS: dict[Spelling, Callable[[Json], bytes]] = {
    "compact": _compact,
    "spaced": _spaced,
    "ascii": _ascii,
    "reversed": _reversed,
    "escaped": _escaped,
    "inlined": _inlined,
    "textual": _textual,
}
