"""What must be known of a body before it can be filed: whose it is, which call it is about, and when it was sent.

Everything else is the projection's business, so everything else is skipped over, not decoded. `data` may be missing: older
payloads have its fields at the top level.
https://elevenlabs.io/docs/eleven-agents/workflows/post-call-webhooks, read 2026-10.
"""

import contextlib
import re
from typing import Union, cast

import msgspec
from msgspec import Raw

from offhook.phone import e164
from offhook.voice import lenient
from offhook.voice.json_text import Unreadable, decode
from offhook.voice.place import Place

_NULL = Raw(b"null")
_LATEST_S = 1e11  #: the year 5138; larger is milliseconds
_LONG_BYTES = 256 * 1024
_LONGEST_WORD_CHARS = 4096  #: no id, type or number is longer
_LONGEST_WORD_BYTES = 6 * _LONGEST_WORD_CHARS + len('""')  #: a character may be an escape
_NUMBER = re.compile(r"\s*[0-9]{1,20}(?:\.[0-9]{0,20})?\s*\Z", re.ASCII)


class Envelope(msgspec.Struct, frozen=True):
    """What the accept path knows of an event. None: the body does not say, or says it in no readable way."""

    type: str  #: the sender's word; "" when there is none
    event_timestamp: float | None  #: unix seconds
    conversation_id: str | None
    agent_id: str | None
    called_number: str | None  #: E.164: the number that is ours, whichever way the call went
    call_sid: str | None  #: the carrier's id of the call
    has_audio_text: bool  #: full_audio holds text


#: What may stand where a text or a number is expected, but for objects and arrays: all that is in them would be made.
_Word = str | int | float | bool | None
#: What may stand where an object is expected, but for arrays.
_Anything = Union["_Fields", _Word]


class _Fields(msgspec.Struct, frozen=True):
    """Every name that is looked for, at whichever level."""

    type: _Word = None
    event_timestamp: _Word = None
    data: _Anything = None
    conversation_id: _Word = None
    agent_id: _Word = None
    full_audio: Raw = _NULL
    direction: _Word = None
    caller_id: _Word = None
    called_id: _Word = None
    called_number: _Word = None
    agent_number: _Word = None
    call_sid: _Word = None
    metadata: _Anything = None
    phone_call: _Anything = None
    body: _Anything = None
    from_number: _Word = None
    to_number: _Word = None
    twilio_from: _Word = msgspec.field(default=None, name="From")
    twilio_to: _Word = msgspec.field(default=None, name="To")
    twilio_direction: _Word = msgspec.field(default=None, name="Direction")
    twilio_call_sid: _Word = msgspec.field(default=None, name="CallSid")


_NOTHING = _Fields()
_FIELDS = msgspec.json.Decoder(_Fields)
#: The same names, and nothing looked into: what stands there is left as it came.
_Unopened = msgspec.defstruct(
    "_Unopened",
    [
        (field.name, Raw, msgspec.field(default=_NULL, name=field.encode_name))
        for field in msgspec.structs.fields(_Fields)
    ],
)
_UNOPENED = msgspec.json.Decoder(_Unopened)
_SCALAR = msgspec.json.Decoder(str | int | float | None)


def read_envelope(body: bytes) -> Envelope:
    """The envelope of *body*; Unreadable, with a sentence for people, when it is not a JSON object in UTF-8."""
    top = _top(body)
    data = _object(top.data)
    metadata = _object(top.metadata if _is_null(data.metadata) else data.metadata)
    phone_call, attempt = _object(metadata.phone_call), _object(metadata.body)
    return Envelope(
        type=_string(top.type),
        event_timestamp=_seconds(top.event_timestamp) or _seconds(data.event_timestamp),
        conversation_id=_text(data.conversation_id, top.conversation_id),
        agent_id=_text(data.agent_id, top.agent_id),
        called_number=_our_number(phone_call, attempt, metadata, data, top),
        call_sid=_text(phone_call.call_sid, attempt.twilio_call_sid, attempt.call_sid, data.call_sid, top.call_sid),
        has_audio_text=len(_audio(top, data)) > len('""'),
    )


def audio_text(body: bytes) -> bytes:
    """What stands between the quotes of full_audio, escapes and all; empty without one. Raises as read_envelope does."""
    top = _top(body)
    return _audio(top, _object(top.data))[1:-1]


#: Where post-call events have their recording.
FULL_AUDIO = Place(b"full_audio", audio_text)


def _audio(top: _Fields, data: _Fields) -> bytes:
    """full_audio as it came, quotes and all: from data, or from the top level when data is missing; empty without one."""
    found = bytes(top.full_audio if _is_null(top.data) else data.full_audio)
    return found if found.startswith(b'"') else b""


def _our_number(phone_call: _Fields, attempt: _Fields, *places: _Fields) -> str | None:
    """The first readable number that is ours; *places* are asked in turn where no phone call is described."""
    if number := _number(phone_call.agent_number):
        return number
    # An attempt is outbound unless it says otherwise; any other event without a direction is somebody who rang.
    attempted = _text(attempt.twilio_direction, attempt.direction) or "outbound"
    direction = _text(phone_call.direction, *(place.direction for place in places)) or "inbound"
    words = [*_our_end(attempt, attempted)]
    for place in places:
        words += [*_our_end(place, direction), place.agent_number]
    return next(filter(None, map(_number, words)), None)


def _our_end(place: _Fields, direction: str) -> tuple[_Word, ...]:
    """What *place* calls our end of the line: of an inbound call the called one."""
    if direction.startswith("outbound"):
        return place.twilio_from, place.from_number, place.caller_id
    return place.twilio_to, place.to_number, place.called_id, place.called_number


def _number(word: _Word | Raw) -> str | None:
    return e164(text) if (text := _text(word)) else None


def _top(body: bytes) -> _Fields:
    """The fields of *body*; Unreadable when it is not a JSON object in UTF-8.

    What is long, or has an array or object where none should be, is looked into level by level: that makes nothing of what
    it skips, however much there is of it, and each word is left as it came until it is asked for.
    """
    if len(body) <= _LONG_BYTES:
        with contextlib.suppress(Unreadable):
            return decode(body, _FIELDS)
    return _unopened(body)


def _unopened(text: bytes) -> _Fields:
    return cast("_Fields", decode(text, _UNOPENED))


def _object(value: _Anything | Raw) -> _Fields:
    """The fields of a JSON object; none of anything else."""
    if isinstance(value, Raw):
        return _unopened(bytes(value)) if bytes(memoryview(value)[:1]) == b"{" else _NOTHING
    return value if isinstance(value, _Fields) else _NOTHING


def _is_null(value: _Anything | Raw) -> bool:
    return value is None or (isinstance(value, Raw) and bytes(memoryview(value)[:5]) == b"null")


def _string(word: _Word | Raw) -> str:
    value = _scalar(word)
    return value.replace("\0", "") if isinstance(value, str) else ""


def _text(*words: _Word | Raw) -> str | None:
    """The first that is a text that is not empty; a number counts as one would write it."""
    for word in words:
        if word is None:
            continue
        text = lenient.text(_scalar(word))
        if text and (text := text.replace("\0", "")):
            return text
    return None


def _seconds(word: _Word | Raw) -> float | None:
    """A moment in unix seconds, sent in seconds or milliseconds, as a number or a string; None for what is no moment."""
    value = _scalar(word)
    if isinstance(value, str):
        value = float(value) if _NUMBER.match(value) else None
    if value is None or not 0 < value < _LATEST_S * 1000:
        return None
    return float(value) if value < _LATEST_S else value / 1000


def _scalar(word: _Word | Raw) -> str | int | float | None:
    """A string or a number; None for everything else, numbers that nothing can hold among it."""
    if isinstance(word, Raw):
        return _read_scalar(word)
    if isinstance(word, bool) or (isinstance(word, str) and len(word) > _LONGEST_WORD_CHARS):
        return None
    return word


def _read_scalar(raw: Raw) -> str | int | float | None:
    if raw is _NULL or len(memoryview(raw)) > _LONGEST_WORD_BYTES:
        return None
    try:
        value: str | int | float | None = _SCALAR.decode(raw)
    except msgspec.ValidationError:
        return None
    return _scalar(value)
