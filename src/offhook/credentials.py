"""The secrets an organisation shares with ElevenLabs and with other programs: made, judged when typed, kept as hashes.

A webhook secret signs post-call events (HMAC needs the secret itself, so it is stored sealed). A tool secret and an API key
are presented as bearers (their hash is all that is stored). All are shown once, when they are made.
"""

import hashlib
import re
import secrets
from typing import Literal

from offhook.errors import Mistake

Kind = Literal["webhook", "tool", "api_key"]
Scope = Literal["read", "write", "admin"]

ALL_SCOPES: tuple[Scope, ...] = ("read", "write", "admin")

#: A webhook secret looks like those that ElevenLabs draws itself; the others name their maker, so that a leaked one is found.
_PREFIXES: dict[Kind, str] = {"webhook": "wsec_", "tool": "oht_", "api_key": "ohk_"}
_USABLE = re.compile(r"[!-~]{8,256}", re.ASCII)


def new_secret(kind: Kind) -> str:
    """A fresh secret of 256 random bits, as `prefix_` and 64 hex digits."""
    return _PREFIXES[kind] + secrets.token_hex(32)


def typed_secret(value: str, name: str) -> str:
    """*value*, when a person may use it as a secret; else Mistake, which says why and calls it *name*.

    An empty secret would let everybody in or nobody, so it is refused where it is typed. Blanks are refused because HTTP
    drops them at the ends of a header, and nobody sees them in a form.
    """
    if not value:
        raise Mistake(
            f"{name} is empty, and an empty secret would close the door: leave it out and one is made for you."
        )
    if not _USABLE.fullmatch(value):
        raise Mistake(f"{name} must be 8 to 256 printable ASCII characters without blanks.")
    return value


def hash_of(secret: str) -> str:
    """What is stored of a bearer secret, hex. Unsalted on purpose: 256 random bits need none, and it must be looked up."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
