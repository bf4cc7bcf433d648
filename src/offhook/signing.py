"""Signed links: who holds one may open one thing until one moment, without a key.

The signature is HMAC-SHA256 (hex) with a key derived from the key ring, over the subject and the moment it ends. Rotating
the ring ends no link early: whatever key of the ring made it opens it.
"""

import hashlib
import hmac

from offhook.sealing import KeyRing


class LinkSigner:
    """Signs the links of one purpose; a link of another purpose never passes."""

    def __init__(self, keys: KeyRing, purpose: str) -> None:
        self._keys = keys.derive(f"link:{purpose}")

    def signature(self, subject: str, expires_at: int) -> str:
        """The signature that opens *subject* until *expires_at* (unix seconds)."""
        return _mac(self._keys[0], subject, expires_at)

    def opens(self, subject: str, expires: str, signature: str, now: float) -> bool:
        """Whether a link with these words, as they were sent, opens *subject* at *now* (unix seconds)."""
        if not (expires.isascii() and expires.isdigit() and len(expires) <= 12):
            return False
        sent = signature.encode("utf-8", "replace")
        proven = [hmac.compare_digest(_mac(key, subject, int(expires)).encode(), sent) for key in self._keys]
        return any(proven) and now < int(expires)


def _mac(key: bytes, subject: str, expires_at: int) -> str:
    return hmac.new(key, f"{subject}\0{expires_at}".encode(), hashlib.sha256).hexdigest()
