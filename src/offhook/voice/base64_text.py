"""Base64 as it is sent, not as it is defined.

Forgiving as browsers are (https://infra.spec.whatwg.org/#forgiving-base64-decode): white space anywhere, padding optional,
stray bits ignored. The URL-safe alphabet and a data: prefix are taken too.
"""

import binascii
import re

import pybase64

_WHITE_SPACE = b" \t\n\f\r"
_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_DATA_URL = re.compile(rb"[ \t\n\f\r]*data:[^,]{0,1024};base64,", re.IGNORECASE)
_MOST_PADDING = 2


class Undecodable(ValueError):
    """This is no base64, however forgiving."""


class ForgivingDecoder:
    """Decodes base64 text while it flows by, however it is cut into pieces."""

    def __init__(self) -> None:
        self._held = b""  # fewer than four characters, or the padded end of the text

    def feed(self, text: bytes) -> bytes:
        """The bytes that *text* adds; Undecodable when no rest of the text could make sense of it."""
        text = self._held + text.translate(_TO_STANDARD, _WHITE_SPACE)
        padding = text.find(b"=")
        whole = (len(text) if padding < 0 else padding) & ~3
        self._held = text[whole:]
        if padding >= 0:
            _check_padding(text[padding:])
        return _decode(text[:whole])

    def finish(self) -> bytes:
        """The bytes of the unfinished end; Undecodable when it is none that a text can have."""
        characters = self._held.rstrip(b"=")
        padding = len(self._held) - len(characters)
        if len(characters) == 1 or (padding and len(self._held) != 4):
            raise Undecodable
        return _decode(characters + b"=" * (-len(characters) % 4))


def canonical(text: bytes) -> bytes | None:
    """What *text* decodes to, if encoding that again gives back the very same text; None if not."""
    try:
        decoded = _decode(text)
    except Undecodable:
        return None
    padded = decoded[len(decoded) // 3 * 3 :]  # only there can two texts mean the same bytes
    return decoded if text.endswith(pybase64.b64encode(padded)) else None


def without_data_url(text: bytes) -> bytes:
    """*text*, the beginning of one, without the data: prefix that it may have."""
    prefix = _DATA_URL.match(text)
    return text[prefix.end() :] if prefix else text


def _check_padding(end: bytes) -> None:
    if len(end) > _MOST_PADDING or end.strip(b"="):
        raise Undecodable


def _decode(text: bytes) -> bytes:
    try:
        return pybase64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Undecodable from None
