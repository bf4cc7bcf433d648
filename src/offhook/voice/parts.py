"""Bodies in pieces: what stays in the row, what lies in files, and the whole again, byte for byte."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pybase64

from offhook.drafts import INCOMING, Draft, sweep
from offhook.errors import Damaged
from offhook.events import Part
from offhook.sealed_file import Sealer, unsealed
from offhook.sealing import KeyRing

_PIECE_BYTES = 3 * 64 * 1024  #: a multiple of three, so that the base64 of the pieces is the base64 of the whole


class Folders(NamedTuple):
    """Where the files of bodies lie, and what seals them."""

    recordings: Path  #: decoded audio, open
    bodies: Path  #: raw stretches, sealed
    keys: KeyRing
    is_tight: Callable[[], bool] = bool  #: whether what room is left on their disk is kept for small events; False

    def sweep(self) -> int:
        """Remove what a crash left half written; how many files there were."""
        return sum(sweep((folder / INCOMING).glob("*")) for folder in (self.recordings, self.bodies))


class RawStretch:
    """A stretch of a body on its way into a sealed file, as it came."""

    def __init__(self, folders: Folders) -> None:
        self.draft = Draft(folders.bodies)
        self._sealer = Sealer(self.draft, folders.keys, self.draft.name)
        self._sha256 = hashlib.sha256()
        self.size_bytes = 0

    def write(self, raw: bytes) -> None:
        self._sealer.write(raw)
        self._sha256.update(raw)
        self.size_bytes += len(raw)

    def finish(self) -> None:
        self._sealer.finish()
        self.draft.flush()

    def part(self, offset: int) -> Part:
        return Part(offset, "raw", self.draft.name, self.size_bytes, self._sha256.hexdigest())


def rebuild(body: bytes, parts: Sequence[Part], folders: Folders) -> Iterator[bytes]:
    """The raw body, byte for byte, from what stayed of it and its *parts*, kept or still drafts.

    Damaged when a file is not as it was written; OSError when one cannot be read.
    """
    position = 0
    for part in parts:
        yield body[position : part.offset]
        yield from text_of(part, folders)
        position = part.offset
    yield body[position:]


def text_of(part: Part, folders: Folders) -> Iterator[bytes]:
    """The stretch of the body that lies in *part*'s file; raises as rebuild does."""
    sha256 = hashlib.sha256()
    size_bytes = 0
    for piece in _content(part, folders):
        sha256.update(piece)
        size_bytes += len(piece)
        yield piece if part.encoding == "raw" else pybase64.b64encode(piece)
    if size_bytes != part.size_bytes or sha256.hexdigest() != part.sha256:
        raise Damaged(f"The file {part.file} is not as it was written.")


def _content(part: Part, folders: Folders) -> Iterator[bytes]:
    if part.encoding == "raw":
        return unsealed(_found(folders.bodies, part.file), folders.keys, part.file)
    return _head(_found(folders.recordings, part.file), part.size_bytes)


def _found(folder: Path, name: str) -> Path:
    place = folder / name
    return place if place.exists() else folder / INCOMING / name


def _head(path: Path, size_bytes: int) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while piece := file.read(min(_PIECE_BYTES, size_bytes)):
            size_bytes -= len(piece)
            yield piece
