"""The spool: where an event goes when the database cannot take it in time.

One file an event: written, fsync'd, renamed, its folder fsync'd, so that what has its final name is whole. A file is
`magic (4) | sha256 of what follows (32) | sealed event`. It is drained into the database in the background; an event that
is in both (the commit came after all) is the same row there.
"""

import asyncio
import hashlib
import os
import re
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from offhook.drafts import open_draft, sweep, sync_folder
from offhook.errors import ComeBackLater, Damaged
from offhook.events import Event
from offhook.logs import log
from offhook.sealing import KeyRing

_MAGIC = b"OHS1"
_BOUND_TO = "spool"
_NAME = re.compile(r"[0-9]{20}-[0-9a-f]{24}\.event\Z")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Event).decode


class Spool:
    """The spool folders of one process, in the order in which they are tried."""

    def __init__(self, folders: Sequence[Path], keys: KeyRing) -> None:
        self._folders = folders
        self._keys = keys
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spool")

    def open(self) -> None:
        """Make the folders and sweep what a crash left half written; it never had an answer."""
        for folder in self._folders:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            sweep(folder.glob("*.draft"))

    async def keep(self, event: Event) -> None:
        """Write *event* (its body open) so that it survives anything; ComeBackLater when no folder takes it."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._keep, event)

    def waiting(self) -> list[Path]:
        """The spooled files, oldest first."""
        return sorted(self._files(), key=lambda path: path.name)

    def load(self, path: Path) -> Event:
        """The event in *path*; Damaged when its checksum or its seal does not hold."""
        magic, checksum, sealed = _cut(path.read_bytes())
        if magic != _MAGIC or hashlib.sha256(sealed).digest() != checksum:
            raise Damaged(f"The spooled event {path} is damaged.")
        return _decode(self._keys.open(sealed, _BOUND_TO))

    def set_aside(self, path: Path) -> None:
        """Keep a damaged file for a person to look at, out of the way of the others."""
        path.rename(path.with_suffix(".damaged"))

    def remove(self, path: Path) -> None:
        """What is durable in the database needs no second copy."""
        path.unlink(missing_ok=True)

    def _keep(self, event: Event) -> None:
        sealed = self._keys.seal(_encode(event), _BOUND_TO)
        content = b"".join((_MAGIC, hashlib.sha256(sealed).digest(), sealed))
        for folder in self._folders:
            try:
                _write_durably(folder / f"{time.time_ns():020d}-{event.id}.event", content)
            except OSError as error:  # a file whose fsync failed is never asked again: the next folder gets a new one
                log.error("spool.failed", folder=str(folder), error=str(error))
            else:
                return
        raise ComeBackLater

    def _files(self) -> Iterator[Path]:
        for folder in self._folders:
            with os.scandir(folder) as entries:
                yield from (Path(entry.path) for entry in entries if _NAME.match(entry.name))


def _cut(content: bytes) -> tuple[bytes, bytes, bytes]:
    return content[:4], content[4:36], content[36:]


def _write_durably(path: Path, content: bytes) -> None:
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
