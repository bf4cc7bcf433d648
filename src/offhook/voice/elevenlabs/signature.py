"""The ElevenLabs-Signature header: who sent a body, and when.

`t=<unix seconds>,v0=<hex HMAC-SHA256 of "t" + "." + raw body>`, keyed with the webhook's secret.
https://elevenlabs.io/docs/eleven-agents/workflows/post-call-webhooks, read 2026-10.
"""

import hashlib
import hmac
import os
import re
from collections.abc import Sequence
from functools import lru_cache

import msgspec

TOLERANCE_S = 1800  #: how far t and this machine's clock may lie apart, in both directions

#: What to prove against where an organisation is unknown or has no secret: nobody knows it, and it costs the same.
DECOY: tuple[bytes, ...] = (os.urandom(32),)

_LONGEST_HEADER = 4096  #: each digest is compared with that of each candidate, so there must not be thousands
_SECONDS = re.compile(r"0*([0-9]{1,15})\Z", re.ASCII)
_DIGEST = re.compile(r"[0-9a-fA-F]{64}\Z")


class Signature(msgspec.Struct, frozen=True):
    """A readable header; nothing is proven yet."""

    t: int  #: unix seconds
    t_text: bytes  #: the digits as they came: they are part of what was signed
    digests: tuple[bytes, ...]  #: at least one; any of them may match

    def is_in_time(self, now: float) -> bool:
        """Whether it was signed within the tolerance of *now* (unix seconds)."""
        return abs(now - self.t) <= TOLERANCE_S


def read_signature(header: str) -> Signature | None:
    """What the header says; None when it says nothing that could prove a body. Of several t, the last counts."""
    if len(header) > _LONGEST_HEADER:
        return None
    t_text, digests = "", []
    for item in header.split(","):
        name, _, value = item.lstrip(" \t").partition("=")
        if name == "t":
            t_text = value
        elif name == "v0" and _DIGEST.match(value):
            digests.append(bytes.fromhex(value))
    seconds = _SECONDS.match(t_text)
    if seconds is None or not digests:
        return None
    return Signature(int(seconds[1]), t_text.encode("ascii"), tuple(digests))


class Prover:
    """Finds which secret signed one body, fed piece by piece. How long it takes tells nothing of the secrets."""

    def __init__(self, signature: Signature, secrets: Sequence[bytes]) -> None:
        """*secrets*: the candidates. An empty one proves nothing, and neither do none; both cost what a real one costs."""
        self._digests = signature.digests
        self._is_real = [bool(secret) for secret in secrets]
        self._macs = [_prepared(secret or DECOY[0]).copy() for secret in secrets or DECOY]
        self.update(signature.t_text + b".")

    def update(self, piece: bytes) -> None:
        """The next *piece* of the raw body."""
        for mac in self._macs:
            mac.update(piece)

    def proven(self) -> int | None:
        """The index of the secret that signed the whole body, or None. Every candidate is compared, found or not."""
        signed = [self._has_signed(mac.digest()) for mac in self._macs]
        found = [index for index, is_real in enumerate(self._is_real) if signed[index] and is_real]
        return found[0] if found else None

    def _has_signed(self, digest: bytes) -> bool:
        matches = [hmac.compare_digest(digest, claimed) for claimed in self._digests]  # all of them: no early end
        return any(matches)


@lru_cache(maxsize=4096)
def _prepared(secret: bytes) -> hmac.HMAC:
    """The HMAC before its first byte: copying it saves hashing the key again for each body."""
    return hmac.new(secret, digestmod=hashlib.sha256)
