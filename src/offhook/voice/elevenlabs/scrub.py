"""Secrets leave a payload before anything else reads it: no table, log, export or page ever shows them.

ElevenLabs sends back the headers of each tool call, our own tool secret among them. What looks like a secret is replaced
wherever it stands: by the name it is filed under, inside JSON that is kept as text, in addresses, and by its own shape.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec

SCRUBBED = "[scrubbed]"
TOO_DEEP = "[too deep]"
_DEEPEST = 64
_LONGEST_NAME = 256
_SHORTEST = 8  #: no secret is shorter

#: Whatever stands under such a name is one.
_SECRET_NAME = re.compile(
    r"auth|bearer|jwt|.*(?:secret|credentials|api[-_]?key|private[-_]?key|access[-_]?key).*"
    r"|(?:.*[-_])?(?:authorization(?:[-_]?header)?|password|passwd|pwd|passphrase|cookie)",
    re.IGNORECASE | re.DOTALL,
)
#: A text under such a name is one; a number counts something ("tokens": 412), an object describes something.
_TOKEN_NAME = re.compile(r".*token.*", re.IGNORECASE | re.DOTALL)
_HEADERS_NAME = re.compile(r".*headers", re.IGNORECASE | re.DOTALL)
#: The secret of a tool may travel in a header of any name; these never carry one.
_HARMLESS_HEADERS = frozenset(
    ("accept", "accept-encoding", "accept-language", "content-type", "content-length", "date", "host", "user-agent")
)

#: A text without any of these, in whatever case, is harmless, as nearly all are.
_MARKS = (
    "bearer", "basic", "auth", "secret", "token", "passw", "passphrase", "pwd", "key", "cookie", "credentials", "signature",
    "headers", "ohk_", "oht_", "sec_", "sk_", "xi_", "eyj", "@",
)  # fmt: skip
#: Each repetition is bounded, so that no text, however long, makes these slow.
_SHAPES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\A\s*(?:bearer|basic)\s+\S+\s*\Z", re.IGNORECASE), SCRUBBED),
    # A word of a sentence ("the bearer certificate") has no digit; a token has.
    (
        re.compile(r"\b(bearer|basic)(\s|%20|\+)(?=[^\s\"',;]{0,64}[0-9])[\w.~+/%-]{8,}=*", re.IGNORECASE),
        rf"\1 {SCRUBBED}",
    ),
    (re.compile(r"\b(?:ohk|oht|wsec|whsec|sk|xi)_[A-Za-z0-9]{16,}"), SCRUBBED),
    (re.compile(r"(?<![\w-])eyJ[\w-]{8,4096}\.[\w-]{8,4096}\.[\w-]{8,4096}"), SCRUBBED),  # a JSON Web Token
    (
        re.compile(
            r"([?&][\w.-]{0,40}(?:token|secret|key|passw|pwd|signature|auth)[\w.-]{0,40}=)[^&#\s\"']+", re.IGNORECASE
        ),
        rf"\1{SCRUBBED}",
    ),
    (  # what was meant to be JSON and is none: cut short, or printed by Python
        re.compile(
            r"((?:token|secret|passw|api[-_]?key|authorization)[\w-]{0,40}['\"]?\s{0,4}[:=]\s{0,4}['\"])[^'\"]+",
            re.IGNORECASE,
        ),
        rf"\1{SCRUBBED}",
    ),
    (re.compile(r"(://)[^/?#\s@\"']{1,256}@"), rf"\1{SCRUBBED}@"),
)


def scrubbed(value: Any, depth: int = 0) -> Any:
    """*value* (decoded JSON) without its secrets; what lies deeper than anything a provider means is left out."""
    if isinstance(value, str):
        return _scrubbed_text(value, depth)
    if not isinstance(value, dict | list):
        return value
    if depth > _DEEPEST:
        return TOO_DEEP
    if isinstance(value, dict):
        return {
            name: item if item is None or isinstance(item, bool) else _scrubber(name[:_LONGEST_NAME])(item, depth + 1)
            for name, item in value.items()
        }
    return [scrubbed(item, depth + 1) for item in value]


def _scrubbed_wholly(value: Any, depth: int) -> str:
    return SCRUBBED


def _scrubbed_headers(headers: Any, depth: int) -> Any:
    if not isinstance(headers, dict):
        return SCRUBBED
    return {name: value if name.lower() in _HARMLESS_HEADERS else SCRUBBED for name, value in headers.items()}


def _without_texts(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return SCRUBBED
    if isinstance(value, list):
        return [SCRUBBED if isinstance(item, str) else scrubbed(item, depth + 1) for item in value]
    return scrubbed(value, depth)


@lru_cache(maxsize=4096)
def _scrubber(name: str) -> Callable[[Any, int], Any]:
    """What to do with a value of that name."""
    return next((scrub for names, scrub in _BY_NAME if names.fullmatch(name)), scrubbed)


_BY_NAME = (
    (_SECRET_NAME, _scrubbed_wholly),
    (_HEADERS_NAME, _scrubbed_headers),
    (_TOKEN_NAME, _without_texts),
)


def _scrubbed_text(value: str, depth: int) -> str:
    if len(value) < _SHORTEST or not _is_suspicious(value.lower()):
        return value
    if value.lstrip()[:1] in ("{", "["):
        value = _scrubbed_json(value, depth)
    for shape, replacement in _SHAPES:
        value = shape.sub(replacement, value)
    return value


def _is_suspicious(lowered: str) -> bool:
    for mark in _MARKS:  # noqa: SIM110 - a loop takes half the time of any(), and this is most of a fold
        if mark in lowered:
            return True
    return False


def _scrubbed_json(value: str, depth: int) -> str:
    """Arguments, bodies and results of tools are JSON kept as text."""
    try:
        inner = msgspec.json.decode(value)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return value
    clean = scrubbed(inner, depth + 1)
    return value if clean == inner else msgspec.json.encode(clean).decode()
