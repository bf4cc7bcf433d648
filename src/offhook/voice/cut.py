"""A long string cut out of a body: base64 goes to disk decoded, everything else as it came.

Where encoding the decoded bytes would not give back the very text, the text is kept too, from the first place on where it
would not: white space, escapes, another alphabet, a missing padding. So nothing that was sent is lost, and what is sent as
it should be is stored once.
"""

from collections.abc import Callable, Iterator

from offhook.drafts import Draft
from offhook.events import Audio, Part
from offhook.voice import mp3
from offhook.voice.base64_text import ForgivingDecoder, Undecodable, canonical, without_data_url
from offhook.voice.json_text import StringReader, Unreadable
from offhook.voice.parts import Folders, RawStretch, text_of


class Cut:
    """What stood between the quotes of one JSON string, on its way to disk."""

    def __init__(self, folders: Folders, offset: int, end: int | None = None) -> None:
        """*offset*: where it is cut out of what stays; *end*: behind it, where it still stands there."""
        self.offset = offset
        self.end = offset if end is None else end
        self.size_bytes = 0  #: of the text as it came
        self._folders = folders
        self._decoded = Draft(folders.recordings)
        self._waiting = b""  # the end of the text so far, fewer than eight characters
        self._canonical_bytes = 0  # how much of the decoded file stands for text that is stored nowhere else,
        self._canonical_sha256 = ""  # once the tail has begun
        self._tail: RawStretch | None = None
        self._text: Draft | None = None
        self._reader = _Reader()

    @property
    def is_legal(self) -> bool:
        """Whether JSON allows the text; known once it has ended."""
        return self._reader.is_legal

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing in the text: white space, or a data: prefix and nothing behind it."""
        return self._reader.is_decodable and self._decoded.size_bytes == 0

    def write(self, raw: bytes) -> None:
        """The next piece of the text; a data: prefix lies in the first one whole."""
        self.size_bytes += len(raw)
        if self._tail is None:
            raw = self._take_canonical(self._waiting + raw)
        if raw:
            self._take_forgivingly(raw)

    def finish(self) -> None:
        """The text has ended."""
        if self._tail is None:
            self._take_end(self._waiting)
        if self._tail is not None:
            self._decoded.write(self._reader.finish())
            self._tail.finish()
        self._decoded.flush()

    def parts(self, offset: int) -> list[Part]:
        """What gives the text back, cut out at *offset* of what stays."""
        if self._tail is None:
            return [Part(offset, "base64", self._decoded.name, self._decoded.size_bytes, self._decoded.sha256)]
        tail = self._tail.part(offset)
        if not self._canonical_bytes:
            return [tail]
        return [Part(offset, "base64", self._decoded.name, self._canonical_bytes, self._canonical_sha256), tail]

    def text(self) -> Iterator[bytes]:
        """The text as it came."""
        for part in self.parts(0):
            yield from text_of(part, self._folders)

    def audio(self) -> Audio:
        """The recording that the text holds. What cannot be decoded becomes a file that holds the text as it came."""
        if self._reader.is_decodable:
            found = self._decoded
            return Audio(found.name, found.size_bytes, found.sha256, duration_s=mp3.duration_s(found.path))
        self._text = Draft(self._folders.recordings)
        for piece in self.text():
            self._text.write(piece)
        self._text.flush()
        return Audio(self._text.name, self._text.size_bytes, self._text.sha256, is_decoded=False)

    def drafts(self) -> list[Draft]:
        """Every file there is so far."""
        tail = [self._tail.draft] if self._tail is not None else []
        text = [self._text] if self._text is not None else []
        return [self._decoded, *tail, *text]

    def _take_canonical(self, text: bytes) -> bytes:
        """Decode whole groups of four; give *text* back where that would not keep it as it came."""
        whole = len(text) & ~3
        if text[:whole].endswith(b"="):
            whole -= 4  # the end of the text, or else not canonical
        decoded = canonical(text[:whole])
        if decoded is None:
            return text
        self._decoded.write(decoded)
        self._waiting = text[whole:]
        return b""

    def _take_end(self, text: bytes) -> None:
        decoded = canonical(text)
        if decoded is None:
            self._take_forgivingly(text)
        else:
            self._decoded.write(decoded)

    def _take_forgivingly(self, raw: bytes) -> None:
        if self._tail is None:
            self._tail = RawStretch(self._folders)
            self._canonical_bytes, self._canonical_sha256 = self._decoded.size_bytes, self._decoded.sha256
            self._reader.may_begin = not self._canonical_bytes
        self._tail.write(raw)
        self._decoded.write(self._reader.feed(raw))


class _Reader:
    """Decodes what the text of a JSON string says, and remembers whether that could be done."""

    def __init__(self) -> None:
        self.is_legal = True
        self.is_decodable = True
        self.may_begin = False  #: the next piece is the beginning of the text
        self._string = StringReader()
        self._base64 = ForgivingDecoder()

    def feed(self, raw: bytes) -> bytes:
        return self._decoded(lambda: self._base64.feed(self._said(raw)))

    def finish(self) -> bytes:
        return self._decoded(lambda: self._base64.feed(self._string.finish()) + self._base64.finish())

    def _said(self, raw: bytes) -> bytes:
        text = self._string.feed(raw)
        if self.may_begin:
            self.may_begin = False
            text = without_data_url(text)
        return text

    def _decoded(self, decode: Callable[[], bytes]) -> bytes:
        """What *decode* gives; nothing once the text has shown that it is no base64. It is read on: JSON must allow it."""
        if not self.is_legal:
            return b""
        try:
            decoded = decode()
        except Undecodable:
            self.is_decodable = False
        except Unreadable:
            self.is_legal = self.is_decodable = False
        return decoded if self.is_decodable else b""
