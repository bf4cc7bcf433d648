"""JSON from outside: strict about what it is, forgiving about what text may hold.

msgspec reads, because it takes no NaN, no comments and no endless nesting; but it lets invalid UTF-8 through where it
skips, and refuses lone surrogates, which callers do send. Here the one is refused and the other becomes U+FFFD.
"""

import re
from typing import TypeVar

import msgspec

from offhook.errors import OffhookError

T = TypeVar("T")

_ESCAPES = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a pair of surrogates: one character
    rb"|(?P<lone>%(surrogate)b)"
    # Anything else, and much of what follows it up to the next surrogate: a text full of escapes takes few steps, but no
    # step so long that other threads wait for it.
    rb"|(?!%(surrogate)b).(?:[^\\]++|\\(?!%(surrogate)b).){0,4096}+)"
    % {b"surrogate": rb"u[dD][89a-fA-F][0-9a-fA-F]{2}"},
    re.DOTALL,
)
_UNFINISHED = re.compile(rb"(?:\\(?:u[0-9a-fA-F]{0,3})?|[\xC0-\xFF][\x80-\xBF]{0,2})\Z")
_NO_OBJECT = "The body is not a JSON object."
_OUT_OF_RANGE = "The body holds a number that is out of range."
_LONGEST_UNFINISHED_BYTES = 5


class Unreadable(OffhookError):
    """The body cannot be read."""


def decode(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """*body* as *decoder* reads it; Unreadable, with a sentence for people, when it is not JSON of that shape.

    Of duplicate keys the last wins; a lone surrogate reads as U+FFFD.
    """
    if not body.isascii():
        _check_utf8(body)
    try:
        return _decode(body, decoder)
    except Unreadable:
        cured = mended(body)
        if cured == body:
            raise
    return _decode(cured, decoder)


def mended(body: bytes) -> bytes:
    """*body* with the escapes of lone surrogates replaced by that of U+FFFD, each byte else at its old place."""
    if b"\\ud" not in body and b"\\uD" not in body:
        return body
    return _ESCAPES.sub(lambda escape: rb"\ufffd" if escape["lone"] else escape[0], body)


class StringReader:
    """Reads the text between the quotes of a JSON string while it flows by, however it is cut into pieces."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, raw: bytes) -> bytes:
        """What *raw* says, as UTF-8, but for an escape or character that has not ended yet; Unreadable when not JSON."""
        raw = self._held + raw if self._held else raw
        end = _finished(raw)
        self._held = raw[end:]
        return _unescaped(raw[:end])

    def finish(self) -> bytes:
        """What was held back; Unreadable when the string ended in the middle of it."""
        return _unescaped(self._held)


def _check_utf8(body: bytes) -> None:
    if body.startswith(b"\xef\xbb\xbf"):
        raise Unreadable("The body begins with a byte order mark, which JSON does not allow.")
    if body.startswith(b"\x1f\x8b"):
        raise Unreadable("The body is compressed (gzip); send it as it is.")
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise Unreadable(f"The body is not UTF-8 (byte {error.start}).") from None


def _decode(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise Unreadable(_OUT_OF_RANGE if "out of range" in str(error) else _NO_OBJECT) from None
    except msgspec.DecodeError as error:
        raise Unreadable(_sentence(str(error)) if body else "The body is empty.") from None
    except RecursionError:
        raise Unreadable("The body is nested too deeply to be read.") from None


def _sentence(complaint: str) -> str:
    if complaint == "Input data was truncated":
        return "The body ends in the middle of its JSON."
    if "trailing characters" in complaint:
        return "The body goes on behind the end of its JSON."
    return f"The body is not JSON: {complaint.removeprefix('JSON is malformed: ')}."


def _unescaped(raw: bytes) -> bytes:
    return decode(b'"%b"' % raw, _STRING).encode()


_STRING = msgspec.json.Decoder(str)


def _finished(raw: bytes) -> int:
    """Where to cut *raw* so that no escape and no character is cut in two (the last one may be left for later whole)."""
    tail = _UNFINISHED.search(raw, max(0, len(raw) - _LONGEST_UNFINISHED_BYTES))
    if tail is None:
        return len(raw)
    upto = raw[: tail.start() + 1]
    backslashes = len(upto) - len(upto.rstrip(b"\\"))
    is_escaped = backslashes > 0 and backslashes % 2 == 0  # the second half of an escaped backslash begins nothing
    return len(raw) if is_escaped else tail.start()
