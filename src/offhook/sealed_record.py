"""One small file that is whole or not there: sealed, with a checksum that needs no key, durable before it has its name.

A file is `magic (4) | sha256 of what follows (32) | sealed content`. So whoever lacks the key can still tell what is damaged
from what was sealed with another one.
"""

import hashlib
import os
from pathlib import Path

from offhook.drafts import open_draft, sync_folder
from offhook.errors import Damaged
from offhook.sealing import KeyRing

_MAGIC_BYTES, _SHA256_BYTES = 4, 32


def sealed_record(magic: bytes, plain: bytes, keys: KeyRing, bound_to: str) -> bytes:
    """What such a file holds; *magic* says of which kind it is, in four bytes."""
    sealed = keys.seal(plain, bound_to)
    return b"".join((magic, hashlib.sha256(sealed).digest(), sealed))


def read_record(path: Path, magic: bytes, keys: KeyRing, bound_to: str) -> bytes:
    """What was sealed in *path*; Damaged when its checksum or its seal does not hold, OSError when it cannot be read."""
    content = path.read_bytes()
    sealed = content[_MAGIC_BYTES + _SHA256_BYTES :]
    checksum = content[_MAGIC_BYTES : _MAGIC_BYTES + _SHA256_BYTES]
    if content[:_MAGIC_BYTES] != magic or hashlib.sha256(sealed).digest() != checksum:
        raise Damaged(f"{path} is damaged: it is not as it was written.")
    return keys.open(sealed, bound_to)


def write_durably(path: Path, content: bytes) -> None:
    """Make *content* the file's, over whatever it was; OSError: nothing has changed but, maybe, the name's durability.

    The bytes are on disk before they have the name, and the name is on disk before this returns. An fsync that failed is
    never asked again: what was written then is deleted.
    """
    draft = path.with_suffix(".draft")
    try:
        with open_draft(draft) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            draft.rename(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
