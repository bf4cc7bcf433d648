"""Drafts: files that nobody sees under their name before they are kept.

A draft is written in the `incoming` folder beside its place, is made durable and only then renamed into place. Names are
random: nothing that was sent ever becomes a path, and what is kept twice lies there twice and cannot harm the other. A
crash leaves drafts only, and `sweep` removes them.
"""

import contextlib
import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

_PIECE_BYTES = 1 << 20
INCOMING = "incoming"  #: the folder for drafts, on the same file system as their place


class Draft:
    """One file being written. Every OSError is the caller's to answer, who then discards the draft."""

    def __init__(self, folder: Path) -> None:
        """*folder*: where the file lies once it is kept."""
        self.name = secrets.token_hex(16)
        self.size_bytes = 0
        self._place = folder / self.name
        self._path = folder / INCOMING / self.name
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = open_draft(self._path)
        self._sha256 = hashlib.sha256()

    @property
    def path(self) -> Path:
        """Where it can be read now, up to what `flush` let through."""
        return self._path

    @property
    def sha256(self) -> str:
        """Hex, of what was written so far."""
        return self._sha256.hexdigest()

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._sha256.update(data)
        self.size_bytes += len(data)

    def flush(self) -> None:
        self._file.flush()

    def keep(self) -> None:
        """Make the bytes durable, then the name; the name is durable once the folder is synced (`sync_folder`).

        An fsync that failed is never tried again on this file: the kernel may have dropped what it could not write.
        """
        self._file.flush()
        os.fsync(self._file.fileno())
        self._path.rename(self._place)  # while it is open, and so ours: another process may sweep at any instant
        self._path = self._place
        self._file.close()

    def discard(self) -> None:
        """Leave nothing, wherever it got to."""
        with contextlib.suppress(OSError):  # what a full disk did not take needs no closing words
            self._file.close()
        self._path.unlink(missing_ok=True)


def adopt(source: Path, folder: Path) -> None:
    """Have a durable copy of *source*, a file of another installation, in *folder* under the name that it has."""
    draft = Draft(folder)
    try:
        with open(source, "rb") as file:
            while piece := file.read(_PIECE_BYTES):
                draft.write(piece)
        draft.keep()
        draft.path.rename(folder / source.name)
    except OSError:
        draft.discard()
        raise
    sync_folder(folder)


def open_draft(path: Path) -> BinaryIO:
    """A new file for nobody else's eyes; as long as it is open and this process lives, `sweep` leaves it alone."""
    while True:
        file = open(path, "xb", opener=private)  # noqa: SIM115 - whoever writes it closes it
        fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:
            return file
        file.close()  # swept by another process before it was locked


def sync_folder(folder: Path) -> None:
    """Make the names in *folder* durable."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sweep(drafts: Iterable[Path]) -> int:
    """Remove those of *drafts* whose writer is gone; how many there were."""
    return sum(_remove_if_abandoned(path) for path in drafts if path.is_file())


def _remove_if_abandoned(path: Path) -> bool:
    try:
        with open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.fstat(file.fileno()).st_nlink:
                return False  # swept by another process; by now its writer may have made it anew
            path.unlink()
    except (BlockingIOError, FileNotFoundError):  # still being written, or kept or swept by another process just now
        return False
    return True


def private(path: str, flags: int) -> int:
    """Opens a file for nobody else's eyes."""
    return os.open(path, flags, 0o600)
