"""Which string of a body is its recording: a question for the parser of the envelope.

A parser says what the recording is, but not where it stands. So the strings in question are replaced by marks that nobody
can guess, and the mark that comes out as the recording is the answer.
"""

import re
import secrets
from collections.abc import Sequence
from itertools import islice

from offhook.voice.cut import Cut
from offhook.voice.json_text import Unreadable, mended
from offhook.voice.place import Place

Span = tuple[int, int]  #: begin and end of what stands between the quotes of a string

_MOST_ALIKE = 1000  #: strings that read the same; each of them would have to be tried

_ESCAPED_LETTER = re.compile(rb"\\u00[567]")  # may spell the names of fields
_STRING = re.compile(rb'"([^"\\]*+(?:\\.[^"\\]*+)*+)"(\s*+:)?+', re.DOTALL)  # with the colon that makes it a key


def find_recording(stays: bytes, cuts: Sequence[Cut], place: Place) -> Cut | Span | None:
    """The recording: one of *cuts*, or where it stands in what *stays*; None without one or when it is no JSON."""
    if not all(cut.is_legal for cut in cuts) or not (cuts or _may_hold(stays, place)):
        return None
    stays = mended(stays)
    text, number = _marked(stays, [(cut.offset, cut.offset) for cut in cuts], place)
    if number is not None:
        return cuts[number]
    spans = _values(stays, text) if text else []
    _, number = _marked(stays, spans, place)
    return spans[number] if number is not None else None


def _may_hold(text: bytes, place: Place) -> bool:
    """False for nearly every body without a recording, at a fraction of what parsing costs."""
    return place.field in text or _ESCAPED_LETTER.search(text) is not None


def _marked(stays: bytes, spans: Sequence[Span], place: Place) -> tuple[bytes, int | None]:
    """What the recording reads as once each of *spans* is marked, and which of them it is, if any."""
    secret = secrets.token_hex(16)
    marks = [f"{secret}:{number}".encode() for number in range(len(spans))]
    pieces, position = [], 0
    for (begin, end), mark in zip(spans, marks, strict=True):
        pieces += [stays[position:begin], mark]
        position = end
    try:
        text = place.text(b"".join((*pieces, stays[position:])))
    except Unreadable:
        return b"", None
    return text, marks.index(text) if text in marks else None


def _values(stays: bytes, text: bytes) -> list[Span]:
    """Every string in *stays* that reads *text* and is no key; none where they are so many that no recording is meant."""
    alike = (string.span(1) for string in _STRING.finditer(stays) if string[1] == text and string[2] is None)
    values = list(islice(alike, _MOST_ALIKE + 1))
    return values if len(values) <= _MOST_ALIKE else []
