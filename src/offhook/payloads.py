"""An event's body and our answer as people and programs may read them: secrets scrubbed, what lies in files left out."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from offhook.errors import Damaged
from offhook.events import Part
from offhook.sealing import KeyRing
from offhook.store import events
from offhook.voice import json_text
from offhook.voice.elevenlabs.scrub import scrubbed
from offhook.voice.json_text import Unreadable

_SHOWN_BYTES = 4 << 20  #: reading more would keep other requests waiting; a transcript has a hundredth of it
_anything = msgspec.json.Decoder()


class Shown(NamedTuple):
    payload: Any  #: decoded JSON; None when it cannot be shown
    answer: Any  #: what we said back, where that is kept
    note: str | None  #: why the payload cannot be shown


def shown(keys: KeyRing, row: sa.Row[Any]) -> Shown:
    """What the event of a whole *row* said. Takes a moment: not for the event loop."""
    try:
        event = events.opened(events.event_of(row), keys)
        return Shown(_shown(_with_marks(event.body, event.parts)), event.answer and _shown(event.answer), None)
    except (Damaged, Unreadable) as error:
        return Shown(None, None, error.message)


def _shown(body: bytes) -> Any:
    """What *body* says, scrubbed. Unreadable when it is no JSON: secrets are known by their names, and it names nothing."""
    if len(body) > _SHOWN_BYTES:
        raise Unreadable(f"The body is longer than the {_SHOWN_BYTES >> 20} MiB that are shown.")
    return scrubbed(json_text.decode(body, _anything))


def _with_marks(body: bytes, parts: Sequence[Part]) -> bytes:
    """*body* with a mark at each place where a part was cut out into a file."""
    pieces, end = [], 0
    for part in parts:
        what = "audio" if part.encoding == "base64" else "text"
        pieces += [body[end : part.offset], f"[{part.size_bytes} bytes of {what}]".encode()]
        end = part.offset
    return b"".join([*pieces, body[end:]])
