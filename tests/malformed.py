"""Bodies, signature headers and ways to send them that no honest sender would choose, and some that it might."""

import gzip
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from tests.payloads import BOOKING, names, payload
from tests.services import signature

_PLACES = (
    "type", "event_timestamp", "data", "data.conversation_id", "data.agent_id", "data.user_id", "data.agent_name",
    "data.transcript", "data.transcript.0.message", "data.transcript.0.tool_calls", "data.metadata",
    "data.metadata.start_time_unix_secs", "data.metadata.phone_call", "data.metadata.phone_call.external_number",
    "data.metadata.phone_call.call_sid", "data.analysis", "data.analysis.transcript_summary",
    "data.conversation_initiation_client_data.dynamic_variables",
)  # fmt: skip
_STRANGE: tuple[Any, ...] = (
    None, True, -1, 10**400, 1e308, "", "\0", "\ud800", "\u202e{{system__caller_id}}", "A" * 20_000, [], {}, [[[{}]]],
    {"\0": {"\udfff": "\x9b"}}, {str(n): n for n in range(300)}, ["9" * 5000], {"secret": {"a": ["b"]}},
)  # fmt: skip


def malformed(corpora: Path) -> list[bytes]:
    """A thousand: documents that must not parse or may, bytes that are no text, naughty texts in every place, and payloads
    disturbed."""
    chance = Random(7)
    inputs = _written_by_others(corpora)
    inputs += [_with(text, chance.choice(_PLACES)) for text in _naughty(corpora)]
    inputs += [_with(value, place) for value in _STRANGE for place in _PLACES]
    fixtures = _fixtures()
    inputs += [_disturbed(chance.choice(fixtures), chance) for _ in range(400)]
    return chance.sample(list(dict.fromkeys(inputs)), 1000)


def malformed_without_end(corpora: Path, chance: Random) -> Iterator[bytes]:
    """The same, and ever more of their kind; no two alike."""
    fixtures, naughty = _fixtures(), _naughty(corpora)
    makers: tuple[Callable[[], bytes], ...] = (
        *[lambda: _disturbed(chance.choice(fixtures), chance)] * 4,
        lambda: _with(chance.choice((*naughty, *_STRANGE)), chance.choice(_PLACES), f"conv_{chance.random()}"),
        lambda: chance.randbytes(chance.choice((1, 10, 300, 20_000))),
        lambda: gzip.compress(chance.choice(fixtures) + chance.randbytes(8)),
        lambda: b'{"n":%d,"a":' % chance.randrange(10**9) + chance.choice((b"[", b'{"":')) * chance.randrange(100_000),
    )
    seen = set()
    for body in _written_by_others(corpora):
        seen.add(body)
    yield from seen
    while True:
        body = chance.choice(makers)()
        if body not in seen:
            seen.add(body)
            yield body


def _written_by_others(corpora: Path) -> list[bytes]:
    inputs = [path.read_bytes() for path in sorted((corpora / "json").glob("*.json"))]
    lines = (corpora / "utf8" / "utf8tests.bin").read_bytes().splitlines()
    return inputs + [b'{"type":"%b"}' % line for line in lines]


def _naughty(corpora: Path) -> list[str]:
    return list(json.loads((corpora / "strings" / "blns.json").read_text()))


def _fixtures() -> list[bytes]:
    return [json.dumps(payload(name)).encode() for name in names()]


def _with(value: Any, place: str, conversation_id: str | None = None) -> bytes:
    named = [("data.conversation_id", conversation_id)] if conversation_id else []
    return json.dumps(payload(BOOKING, *named, (place, value))).encode()


def _disturbed(body: bytes, chance: Random) -> bytes:
    """*body* cut, with bytes changed, doubled or taken out."""
    for _ in range(chance.randint(1, 4)):
        at, size = chance.randrange(len(body)), chance.choice((1, 1, 2, 40, 4000))
        new = chance.choice((b"", chance.randbytes(size), body[at : at + size] * 2, b'"', b"\\", b"{[", b'"\\ud800"'))
        body = body[:at] + new + body[at + size :] or b"{"
    return body


# On the wire


class Door(NamedTuple):
    """Where events are sent, and what signs them."""

    path: str
    secret: str


def proven(door: Door, body: bytes, chance: Random) -> bytes:
    """A request that proves its sender, in one of the many ways in which HTTP lets it be written."""
    signed = signature(door.secret, body)
    time_part, digest = signed.split(",")
    wrong = "v0=" + "0" * 64
    header = chance.choice((
        signed, f"{time_part}, {digest}", f"{time_part},{digest.upper().replace('V', 'v', 1)}",
        f"{time_part},{wrong},{digest}", f"{digest},{time_part}", f"{signed},v1=x", f"  {signed}\t",
    ))  # fmt: skip
    name = chance.choice(("ElevenLabs-Signature", "elevenlabs-signature", "ELEVENLABS-SIGNATURE"))
    more = chance.choice(
        ("", "", "X-Junk: \xff{{}}\r\n", "Content-Type: text/plain\r\n", "X-A: " + "a" * 8000 + "\r\n")
    )
    return _head(door, f"{name}: {header}\r\n{more}") + _framed(body, chance)


def unproven(door: Door, body: bytes, chance: Random) -> bytes:
    """A request that proves nothing; and of some not even the end is to be found."""
    header = chance.choice((
        "", "ElevenLabs-Signature: \r\n", f"ElevenLabs-Signature: {signature('wrong', body)}\r\n",
        f"ElevenLabs-Signature: {signature(door.secret, body + b' ')}\r\n", "Authorization: Bearer wrong\r\n",
        f"ElevenLabs-Signature: t={int(time.time())}\r\n", "ElevenLabs-Signature: v0=" + "0" * 64 + "\r\n",
        "ElevenLabs-Signature: " + "v0=," * 2000 + "\r\n", "Authorization: Basic \xff\xfe\r\n",
        f"ElevenLabs-Signature: t=\xb2\xb3,v0={'0' * 64}\r\n", f"Authorization: Bearer {door.secret}\r\n",
        f"ElevenLabs-Signature: {signature('', body)}\r\n", f"ElevenLabs-Signature: t={'9' * 400},v0={'0' * 64}\r\n",
    ))  # fmt: skip
    if chance.random() < 0.8:
        return _head(door, header) + _framed(body, chance)
    return chance.choice((
        _head(door, header) + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n" + body[:2000] + b"\r\n0\r\n\r\n",
        _head(door, header) + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
        _head(door, header) + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 40 + b"\r\n",
        _head(door, header) + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        _head(door, header) + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        _head(door, header) + b"Content-Length: -1\r\n\r\n",
        _head(door, header) + b"Content-Length: 1e3\r\n\r\n",
        _head(door, header) + b"X\0: y\r\nContent-Length: 0\r\n\r\n",
        _head(door, header) + b" folded\r\n: no name\r\n\r\n",
        _head(door, header).replace(b"HTTP/1.1", b"HTTP/9.9") + b"\r\n",
        _head(door, header).replace(b"POST", b"P\0ST") + b"\r\n",
        b"\x16\x03\x01" + chance.randbytes(200) + b"\r\n\r\n",
        _head(door, header) + b"X: " + b"a" * 70_000 + b"\r\n\r\n",
    ))  # fmt: skip


def _head(door: Door, headers: str) -> bytes:
    return f"POST {door.path} HTTP/1.1\r\nHost: offhook\r\nConnection: close\r\n{headers}".encode("latin-1")


def _framed(body: bytes, chance: Random) -> bytes:
    if chance.random() < 0.5:
        return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    chunks, at = [b"Transfer-Encoding: chunked\r\n\r\n"], 0
    while at < len(body):
        piece = body[at : at + chance.choice((1, 7, 1000, 65_536))]
        size = chance.choice((b"%x", b"%X", b"000%x", b'%x;a="b"')) % len(piece)
        chunks.append(b"%b\r\n%b\r\n" % (size, piece))
        at += len(piece)
    trailer = chance.choice((b"", b"", b"ElevenLabs-Signature: t=1\r\n"))
    return b"".join((*chunks, b"0\r\n", trailer, b"\r\n"))
