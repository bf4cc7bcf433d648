"""Files of any size, sealed: frames of 256 KiB, each sealed with the key ring.

A frame is bound to the file's name, its own number and whether it is the last, so that frames cannot be changed, moved,
left out or cut off without Damaged being raised.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from offhook.sealing import OVERHEAD_BYTES, KeyRing

FRAME_BYTES = 256 * 1024  #: of plain bytes; only the last frame is shorter


class _Writable(Protocol):
    def write(self, data: bytes, /) -> object: ...


class Sealer:
    """Writes what it is given as sealed frames to *file*; `finish` ends the file and must be called once."""

    def __init__(self, file: _Writable, keys: KeyRing, name: str) -> None:
        """*name*: of the file, under which it will be read; it must not be used twice."""
        self._file = file
        self._keys = keys
        self._name = name
        self._held = bytearray()
        self._frames = 0

    def write(self, plain: bytes) -> None:
        self._held += plain
        while len(self._held) > FRAME_BYTES:  # a full frame waits until it is known not to be the last
            self._seal(bytes(self._held[:FRAME_BYTES]), is_last=False)
            del self._held[:FRAME_BYTES]

    def finish(self) -> None:
        self._seal(bytes(self._held), is_last=True)
        self._held.clear()

    def _seal(self, frame: bytes, *, is_last: bool) -> None:
        self._file.write(self._keys.seal(frame, _bound_to(self._name, self._frames, is_last=is_last)))
        self._frames += 1


def unsealed(path: Path, keys: KeyRing, name: str) -> Iterator[bytes]:
    """What was sealed in *path* under *name*, frame by frame; Damaged at the first frame that is not as it was written.

    OSError when the file cannot be read.
    """
    sealed_bytes = FRAME_BYTES + OVERHEAD_BYTES
    with open(path, "rb") as file:
        frame, number = file.read(sealed_bytes), 0
        while True:
            following = file.read(sealed_bytes)
            yield keys.open(frame, _bound_to(name, number, is_last=not following))
            if not following:
                return
            frame, number = following, number + 1


def _bound_to(name: str, number: int, *, is_last: bool) -> str:
    return f"{name}:{number}:{'last' if is_last else 'more'}"
