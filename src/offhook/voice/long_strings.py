"""Long strings leave a JSON text while it flows by; where one stood, an empty string stays.

Only quotes and backslashes are looked at: where strings begin and end does not depend on anything else, in whatever pieces
the text comes and whatever it says.
"""

import re
from collections.abc import Collection

from offhook.drafts import Draft
from offhook.events import Part
from offhook.voice.cut import Cut
from offhook.voice.parts import Folders, RawStretch

LONG_BYTES = 512 * 1024  #: shorter strings stay, all keys that mean something among them
_STEP_BYTES = 64 * 1024  #: how much must have come before it is worth looking again
_PIECE_BYTES = 256 * 1024
#: No string that stays is longer: it is found when it is long and two more pieces have come.
_LONGEST_STAYING_BYTES = LONG_BYTES + 2 * _PIECE_BYTES

_WHOLE_STRINGS = re.compile(rb'(?:[^"]*+"[^"\\]*+(?:\\.[^"\\]*+)*+")*+', re.DOTALL)
_REST_OF_STRING = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)


class LongStrings:
    """Splits one text into what stays, the long strings cut out of it, and what is too much."""

    def __init__(self, folders: Folders, limit_bytes: int) -> None:
        """*limit_bytes*: how large the text may be without one of its strings. Much larger, and the rest overflows."""
        self.stays = bytearray()
        self.cuts: list[Cut] = []
        self.overflow: RawStretch | None = None  #: stands behind all the rest
        self._folders = folders
        self._limit_bytes = limit_bytes
        self._outside = 0  # an index into what stays that lies in no string; every string before it is whole
        self._looked_at = 0
        self._open: Cut | None = None  # the last cut, while its string goes on
        self._is_escaped = False  # the next byte of that string belongs to an escape

    def feed(self, raw: bytes) -> None:
        for begin in range(0, len(raw), _PIECE_BYTES):
            self._take(raw[begin : begin + _PIECE_BYTES])

    def finish(self) -> None:
        """The text has ended."""
        self._end_open()
        if self.overflow is not None:
            self.overflow.finish()

    def cut_out(self, begin: int, end: int) -> Cut:
        """Cut out a string that stayed: what stands between *begin* and *end*."""
        cut = Cut(self._folders, begin, end)
        self.cuts.append(cut)
        cut.write(bytes(self.stays[begin:end]))
        cut.finish()
        return cut

    def settled(self, out: Collection[Cut]) -> tuple[bytes, tuple[Part, ...]]:
        """What stays when every cut but those of *out* is put back, and the parts that are missing from it."""
        pieces: list[bytes | bytearray] = []
        parts: list[Part] = []
        position = 0
        for cut in sorted(self.cuts, key=lambda cut: cut.offset):
            pieces.append(self.stays[position : cut.offset])
            position = cut.end
            if cut in out:
                parts += cut.parts(sum(map(len, pieces)))
            else:
                pieces += cut.text()
        stays = b"".join((*pieces, self.stays[position:]))
        if self.overflow is not None:
            parts.append(self.overflow.part(len(stays)))
        return stays, tuple(parts)

    def drafts(self) -> list[Draft]:
        """Every file there is."""
        overflow = [self.overflow.draft] if self.overflow is not None else []
        return [draft for cut in self.cuts for draft in cut.drafts()] + overflow

    def let_go(self) -> None:
        """Forget all of it; the files are somebody else's now, or gone."""
        self.stays.clear()
        self.cuts.clear()
        self.overflow = None

    def _take(self, piece: bytes) -> None:
        if self.overflow is None and self._open is not None:
            piece = self._fill(self._open, piece)
        if self.overflow is not None:
            self.overflow.write(piece)
            return
        self.stays += piece
        if self._least_rest_bytes() > self._limit_bytes:
            self._begin_overflow()
        elif len(self.stays) >= LONG_BYTES and len(self.stays) - self._looked_at >= _STEP_BYTES:
            self._cut_where_long()

    def _cut_where_long(self) -> None:
        """Cut the last string out if it is long already and has not ended."""
        end = _end(_WHOLE_STRINGS, self.stays, self._outside)
        quote = self.stays.find(b'"', end)
        self._looked_at = len(self.stays)
        self._outside = quote if quote >= 0 else len(self.stays)
        if quote < 0 or len(self.stays) - quote < LONG_BYTES:
            return
        text = bytes(self.stays[quote + 1 :])
        del self.stays[quote + 1 :]
        self._open = Cut(self._folders, len(self.stays))
        self.cuts.append(self._open)
        self._fill(self._open, text)

    def _fill(self, cut: Cut, raw: bytes) -> bytes:
        """Give *cut* what belongs to its string; what is left of *raw* when the string ends in it."""
        end = self._end_of_string(raw)
        cut.write(raw[:end])
        if end == len(raw):
            return b""
        self._end_open()
        self.stays += b'"'
        self._outside = self._looked_at = len(self.stays)
        return raw[end + 1 :]

    def _end_of_string(self, raw: bytes) -> int:
        """Where the closing quote is; the length of *raw* when it is not in it."""
        begin = int(self._is_escaped)
        self._is_escaped = False
        if b"\\" not in raw:
            end = raw.find(b'"', begin)
            return end if end >= 0 else len(raw)
        end = _end(_REST_OF_STRING, raw, begin)
        if raw[end : end + 1] == b"\\":  # at the very end: what it escapes is still to come
            self._is_escaped = True
            return len(raw)
        return end

    def _end_open(self) -> None:
        if self._open is not None:
            self._open.finish()
            self._open = None

    def _least_rest_bytes(self) -> int:
        """How large the text is at least without one of its strings, whichever that is."""
        sizes = [cut.size_bytes for cut in self.cuts]
        return len(self.stays) + sum(sizes) - max(sizes, default=0) - _LONGEST_STAYING_BYTES

    def _begin_overflow(self) -> None:
        self._end_open()
        self.overflow = RawStretch(self._folders)


def _end(pattern: re.Pattern[bytes], text: bytes | bytearray, begin: int) -> int:
    """Where *pattern*, which matches everywhere, ends."""
    match = pattern.match(text, begin)
    return match.end() if match else begin
