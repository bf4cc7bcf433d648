"""A body on its way in: hashed, its recording decoded to disk as it flows by, the rest kept as it came.

No JSON parser can stop inside a string, so long strings are found by their quotes alone and go to disk, whatever they are.
When the body has ended, the parser of the envelope says which string is the recording, if any is; the others go back to
where they stood. So recording and envelope cannot disagree about keys, escapes, duplicates or nesting.
"""

import errno
import hashlib
import threading
from collections.abc import Iterator

import msgspec

from offhook.drafts import Draft, sync_folder
from offhook.events import Audio, Part
from offhook.voice.cut import Cut
from offhook.voice.long_strings import LongStrings
from offhook.voice.parts import Folders, rebuild
from offhook.voice.place import Place
from offhook.voice.recording import find_recording


class Body(msgspec.Struct, frozen=True):
    """A whole body."""

    inline: bytes  #: what stays of it; where text was cut out, an empty string is left
    parts: tuple[Part, ...]  #: what was cut out; `rebuild` puts it back
    audio: Audio | None
    sha256: str  #: hex, of the whole as it came
    size_bytes: int  #: of the whole as it came
    is_over_limit: bool  #: larger than it may be without its recording: kept whole, but not to be read


def plain(raw: bytes, limit_bytes: int) -> Body:
    """The whole body *raw*, whose envelope says that it has no recording; nothing of it needs a file."""
    return Body(
        inline=raw,
        parts=(),
        audio=None,
        sha256=hashlib.sha256(raw).hexdigest(),
        size_bytes=len(raw),
        is_over_limit=len(raw) > limit_bytes,
    )


class Intake:
    """Takes one body in: `feed` and `finish`, then `keep` it; `discard`, in any case, leaves nothing that was not kept.

    All of it blocks for the disk where the body is large or has a recording, and may be called from any thread. OSError:
    the disk does not take it.
    """

    def __init__(self, folders: Folders, limit_bytes: int, place: Place) -> None:
        """*limit_bytes*: how large the body may be without its recording; *place*: where it has that."""
        self._folders = folders
        self._place = place
        self._limit_bytes = limit_bytes
        self._strings = LongStrings(folders, limit_bytes)
        self._kept: list[Draft] = []
        self._sha256 = hashlib.sha256()
        self._size_bytes = 0
        self._lock = threading.Lock()  # a request may be given up while a thread still works for it
        self._is_given_up = False
        self._body: Body | None = None

    @property
    def has_files(self) -> bool:
        """Whether something lies on disk that was neither kept nor discarded."""
        return bool(self._strings.drafts())

    @property
    def memory_bytes(self) -> int:
        """How much of the body lies in memory; the rest lies on disk."""
        return len(self._strings.stays)

    def feed(self, raw: bytes) -> None:
        """The next piece; pieces of 64 KiB and more cost least."""
        with self._lock:
            if not self._is_given_up:
                self._sha256.update(raw)
                self._size_bytes += len(raw)
                self._strings.feed(raw)
                self._must_have_room()

    def finish(self) -> Body:
        """The body has ended; nothing of it is visible yet."""
        with self._lock:
            self._strings.finish()
            recording = self._recording()
            self._must_have_room()
            is_over_limit = self._without(recording) > self._limit_bytes
            cuts = self._strings.cuts if is_over_limit else [recording] if recording else []
            inline, parts = self._strings.settled(cuts)
            self._body = Body(
                inline=inline,
                parts=parts,
                audio=recording.audio() if recording else None,
                sha256=self._sha256.hexdigest(),
                size_bytes=self._size_bytes,
                is_over_limit=is_over_limit,
            )
            return self._body

    def raw_pieces(self) -> Iterator[bytes]:
        """The finished body once more, as it came; before or after it is kept."""
        body = self._finished()
        return rebuild(body.inline, body.parts, self._folders)

    def keep(self) -> None:
        """Make the files of the finished body durable, then visible; without files there is nothing to do.

        OSError: discard it. An fsync that failed is never tried again.
        """
        with self._lock:
            self._must_have_room()
            names = _files_of(self._finished())
            for draft in self._strings.drafts():
                if draft.name in names:
                    draft.keep()
                    self._kept.append(draft)
                else:
                    draft.discard()
            for folder in {draft.path.parent for draft in self._kept}:
                sync_folder(folder)
            self._strings.let_go()

    def take_back(self) -> None:
        """Remove what was kept: no event holds it, because the very same body is on file with files of its own."""
        with self._lock:
            for draft in self._kept:
                draft.discard()
            self._kept.clear()

    def discard(self) -> None:
        """Leave nothing that was not kept, and take nothing more."""
        with self._lock:
            self._is_given_up = True
            for draft in self._strings.drafts():
                draft.discard()
            self._strings.let_go()

    def _must_have_room(self) -> None:
        """OSError when it needs files, and what room is left on the disk is kept for what needs none."""
        if self.has_files and self._folders.is_tight():
            raise OSError(errno.ENOSPC, "The disk is full: what is left is kept for small events")

    def _recording(self) -> Cut | None:
        """The cut that is the recording; None without one, and of a body that is not to be read."""
        if self._strings.overflow is not None:
            return None
        found = find_recording(bytes(self._strings.stays), self._strings.cuts, self._place)
        if isinstance(found, tuple):
            found = self._strings.cut_out(*found)
        return found if found and not found.is_empty and self._without(found) <= self._limit_bytes else None

    def _without(self, recording: Cut | None) -> int:
        return self._size_bytes - (recording.size_bytes if recording else 0)

    def _finished(self) -> Body:
        assert self._body is not None, "finish() comes first"
        return self._body


def _files_of(body: Body) -> set[str]:
    return {part.file for part in body.parts} | ({body.audio.file} if body.audio else set())
