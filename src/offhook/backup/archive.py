"""The backup's file: a tar whose first member says what it is, and whose last has the size and sha256 of all others."""

import errno
import hashlib
import io
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal

import msgspec

from offhook.errors import Damaged, Mistake

HEAD, MANIFEST, KEY = "offhook-backup.json", "manifest.json", "secret.key"
DATABASE = "database.sqlite"
TABLES, RECORDINGS, BODIES, SPOOL = "tables", "recordings", "bodies", "spool"  #: folders
PIECE_BYTES = 1 << 20

_FORMAT = 1

Engine = Literal["sqlite", "postgresql"]
Advance = Callable[[int], None]


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What the file is, before anything is read of it."""

    offhook: str  #: the version that wrote it
    engine: Engine
    revision: str  #: of the schema
    created_at: float  #: unix
    keys: tuple[str, ...]  #: names of the keys that open it, newest first; no secret
    is_with_key: bool
    format: int = _FORMAT


class Member(msgspec.Struct, frozen=True):
    name: str
    size_bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    head: Head
    counts: dict[str, int]  #: rows, by table
    columns: dict[str, tuple[str, ...]]  #: by table
    members: tuple[Member, ...]  #: all but this one, in their order


class Writer:
    """Writes members one after the other."""

    def __init__(self, file: BinaryIO, advance: Advance) -> None:
        self._tar = tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT)  # noqa: SIM115 - `finish` closes it
        self._advance = advance
        self.members: list[Member] = []
        self.faults: dict[str, OSError] = {}  #: by member, why the rest of it is zeros

    def add_bytes(self, name: str, content: bytes) -> Member:
        return self.add(name, io.BytesIO(content), len(content))

    def add(self, name: str, file: BinaryIO, size_bytes: int, *, is_needed: bool = True) -> Member:
        """The next *size_bytes* of *file*. OSError when they cannot be read; what is not needed has zeros there, and is
        one of `faults`: a bad sector in a recording is no reason to have no backup."""
        info = tarfile.TarInfo(name)
        info.size, info.mode, info.mtime = size_bytes, 0o600, int(time.time())
        hashed = _Hashed(file, self._advance, is_needed=is_needed)
        self._tar.addfile(info, hashed)  # type: ignore[arg-type]  # it reads, and asks for nothing else
        member = Member(name, size_bytes, hashed.sha256)
        self.members.append(member)
        if hashed.fault is not None:
            self.faults[name] = hashed.fault
        return member

    def finish(self, head: Head, counts: dict[str, int], columns: dict[str, tuple[str, ...]]) -> Manifest:
        """Write the manifest, and the file's end."""
        manifest = Manifest(head=head, counts=counts, columns=columns, members=tuple(self.members))
        self.add_bytes(MANIFEST, msgspec.json.encode(manifest))
        self._tar.close()
        return manifest


class _Hashed:
    def __init__(self, file: BinaryIO, advance: Advance, *, is_needed: bool) -> None:
        self._file = file
        self._advance = advance
        self._is_needed = is_needed
        self._sha256 = hashlib.sha256()
        self.fault: OSError | None = None

    def read(self, size: int) -> bytes:
        piece = self._file.read(size) if self._is_needed else self._readable(size)
        self._sha256.update(piece)
        self._advance(len(piece))
        return piece

    def _readable(self, size: int) -> bytes:
        """With zeros for what is not."""
        try:
            piece = self._file.read(size) if self.fault is None else b""
            if len(piece) < size and self.fault is None:
                self.fault = OSError(errno.EIO, "It is shorter than it was")
        except OSError as error:
            piece, self.fault = b"", error
        return piece.ljust(size, b"\0")

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()


class Reading:
    """One pass through a backup."""

    def __init__(self, tar: tarfile.TarFile, path: Path, advance: Advance) -> None:
        self._tar = tar
        self._path = path
        self._advance = advance
        self._seen = "its beginning"

    def members(self) -> Iterator[tuple[str, Iterator[bytes]]]:
        """Each member's name and content, in pieces to be read before the next is asked for; Damaged where it ends early."""
        while True:
            info = self._next()
            if info is None:
                return
            self._seen = info.name
            yield info.name, self._pieces(info)

    def damaged(self, name: str) -> Damaged:
        return Damaged(f"{self._path} is damaged: its member {name} is not as it was written.")

    @property
    def ended(self) -> Damaged:
        return Damaged(f"{self._path} is damaged or incomplete: it ends behind its member {self._seen}.")

    def _next(self) -> tarfile.TarInfo | None:
        try:
            return self._tar.next()
        except (tarfile.TarError, EOFError) as error:
            raise self.ended from error

    def _pieces(self, info: tarfile.TarInfo) -> Iterator[bytes]:
        """A sparse member would be a small file that fills a disk; we write none, and no links."""
        content = self._tar.extractfile(info) if info.isreg() and not info.issparse() else None
        if content is None:
            raise self.damaged(info.name)
        while True:
            try:
                piece = content.read(PIECE_BYTES)
            except (tarfile.TarError, EOFError) as error:
                raise self.damaged(info.name) from error
            if not piece:
                return
            self._advance(len(piece))
            yield piece


@contextmanager
def reading(path: Path, advance: Advance) -> Iterator[Reading]:
    """Mistake when *path* is no backup."""
    try:
        with open(path, "rb") as file, tarfile.open(fileobj=file, mode="r|") as tar:
            yield Reading(tar, path, advance)
    except tarfile.ReadError as error:
        raise Mistake(f"{path} is no backup of offhook: it is no tar file.") from error
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise Mistake(f"{path} cannot be read: {error.strerror}.") from None


def head_of(path: Path) -> Head:
    """What *path* says that it is; Mistake when it is no backup, or one that a later offhook wrote."""
    with reading(path, _unheard) as archive:
        name, pieces = next(archive.members(), ("", iter(())))
        content = next(pieces, b"") if name == HEAD else b""  # the first piece is longer than any head
    try:
        head = msgspec.json.decode(content, type=Head)
    except msgspec.DecodeError:
        raise Mistake(f"{path} is no backup of offhook.") from None
    if head.format > _FORMAT:
        raise Mistake(f"{path} was written by offhook {head.offhook}: restore it with that version or a later one.")
    return head


def checked(path: Path, advance: Advance) -> Manifest:
    """The manifest, after every member was compared with it; Damaged names the first that is not as it was written."""
    found: list[Member] = []
    with reading(path, advance) as archive:
        for name, pieces in archive.members():
            if name == MANIFEST:
                manifest = _manifest(archive, b"".join(pieces))
                _compare(archive, found, manifest.members)
                return manifest
            found.append(_measured(name, pieces))
        raise archive.ended


def _measured(name: str, pieces: Iterator[bytes]) -> Member:
    sha256, size_bytes = hashlib.sha256(), 0
    for piece in pieces:
        sha256.update(piece)
        size_bytes += len(piece)
    return Member(name, size_bytes, sha256.hexdigest())


def _manifest(archive: Reading, content: bytes) -> Manifest:
    try:
        return msgspec.json.decode(content, type=Manifest)
    except msgspec.DecodeError:
        raise archive.damaged(MANIFEST) from None


def _compare(archive: Reading, found: Sequence[Member], written: Sequence[Member]) -> None:
    for here, there in zip(found, written, strict=False):
        if here != there:
            raise archive.damaged(there.name)
    if len(found) != len(written):
        raise archive.damaged(MANIFEST)


def _unheard(_: int) -> None: ...
