"""Sealing: what lies on disk is readable only with the key ring (AES-256-GCM).

A sealed value is `version (1) | key id (4) | nonce (12) | ciphertext and tag`. The key id names the key of the ring that
sealed it, so that a new key can be put in front while the old one still opens what it sealed. Version 1 holds what was
sealed as it is; version 2 holds it as an LZ4 block behind its length.
"""

import base64
import binascii
import hashlib
import hmac
import os
from pathlib import Path

import lz4.block
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from offhook.drafts import sync_folder
from offhook.errors import Damaged, Mistake

_AS_IT_IS = b"\x01"
_PACKED = b"\x02"
_KEY_ID_BYTES = 4
_NONCE_BYTES = 12
_HEADER_BYTES = 1 + _KEY_ID_BYTES + _NONCE_BYTES
_TAG_BYTES = 16
OVERHEAD_BYTES = _HEADER_BYTES + _TAG_BYTES  #: how much longer a sealed value is than what was sealed


class KeyRing:
    """Seals with the newest key, opens with whichever key sealed."""

    def __init__(self, keys: list[bytes]) -> None:
        """*keys*: 32 bytes each, newest first, at least one."""
        self._roots = tuple(keys)
        self._keys = {_key_id(key): AESGCM(key) for key in keys}
        self._newest_id = _key_id(keys[0])
        self._newest = self._keys[self._newest_id]

    def seal(self, plain: bytes, bound_to: str) -> bytes:
        """Seal *plain*; only opening it with the same *bound_to* succeeds, so a value cannot be moved to another row."""
        return self._sealed(_AS_IT_IS, plain, bound_to.encode())

    def pack(self, plain: bytes, bound_to: str) -> bytes:
        """Seal *plain* compressed. For bodies, whose writing costs more than the packing: never for secrets, because the
        length of what is packed tells something of its content."""
        return self._sealed(_PACKED, lz4.block.compress(plain), _PACKED + bound_to.encode())

    def open(self, sealed: bytes, bound_to: str) -> bytes:
        """The plain bytes; Damaged when they were changed, moved, or sealed with a key that this ring lacks."""
        version = bytes(sealed[:1])
        key = self._keys.get(bytes(sealed[1 : 1 + _KEY_ID_BYTES]))
        if key is None or version not in (_AS_IT_IS, _PACKED):
            raise Damaged(
                "This was sealed with a key that is not in OFFHOOK_SECRET_KEY: add that key behind the newest."
            )
        is_packed = version == _PACKED
        try:
            nonce = bytes(sealed[1 + _KEY_ID_BYTES : _HEADER_BYTES])
            bound = _PACKED + bound_to.encode() if is_packed else bound_to.encode()
            content = key.decrypt(nonce, bytes(sealed[_HEADER_BYTES:]), bound)
        except InvalidTag:
            raise Damaged from None
        return bytes(lz4.block.decompress(content)) if is_packed else content

    def _sealed(self, version: bytes, content: bytes, bound: bytes) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return b"".join((version, self._newest_id, nonce, self._newest.encrypt(nonce, content, bound)))

    def derive(self, purpose: str) -> tuple[bytes, ...]:
        """A key of 32 bytes for *purpose* from each key of the ring, newest first: sign with the first, accept any.

        What is signed with a derived key says nothing about the ring or about another purpose's key.
        """
        label = b"offhook derived key\0" + purpose.encode()
        return tuple(hmac.digest(root, label, "sha256") for root in self._roots)

    @property
    def names(self) -> tuple[bytes, ...]:
        """What sealed values call the keys, newest first; see `key_name`."""
        return tuple(map(_key_id, self._roots))

    @classmethod
    def from_text(cls, text: str) -> "KeyRing":
        """Read OFFHOOK_SECRET_KEY: base64 or hex keys of 32 bytes, comma-separated, newest first; Mistake without any."""
        words = [word.strip() for word in text.split(",") if word.strip()]
        return cls([_key_from_text(word) for word in words or ("",)])

    @classmethod
    def from_file(cls, path: Path) -> "KeyRing":
        """Read the key file, making it (mode 0600) when there is none."""
        if not path.exists():
            _make_key_file(path)
        return cls.from_text(path.read_text("ascii").strip().replace("\n", ","))


def key_name(sealed: bytes) -> bytes:
    """Which key sealed it: one of KeyRing.names, if the ring has it."""
    return bytes(sealed[1 : 1 + _KEY_ID_BYTES])


def new_key_text() -> str:
    """A fresh key, as OFFHOOK_SECRET_KEY wants it."""
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


def _make_key_file(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(new_key_text() + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)  # never over a key that another process made meanwhile: what that one sealed needs it
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    sync_folder(path.parent)


def _key_from_text(word: str) -> bytes:
    for decode in (bytes.fromhex, base64.urlsafe_b64decode, base64.b64decode):
        try:
            key = decode(word)
        except (ValueError, binascii.Error):
            continue
        if len(key) == 32:
            return key
    raise Mistake(
        "OFFHOOK_SECRET_KEY must be keys of 32 bytes in base64 or hex, comma-separated, newest first; "
        "`offhook db new-key` prints one."
    )


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"offhook key id" + key).digest()[:_KEY_ID_BYTES]
