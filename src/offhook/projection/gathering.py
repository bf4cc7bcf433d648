"""What the events of one conversation say together. Pure: in whatever order and however often they come, they say the same.

This is done in a process of its own (reader.py), because what is in an event is not ours. Of two words of the same kind the
later overwrites only what it has.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec

from offhook.events import INGEST, INGEST_RECORDING, Audio, Event, RecordingState, derived_id, recording_id
from offhook.searching import words_of
from offhook.voice import external
from offhook.voice.contract import CallEnded, CallFailed, Other, Provider, RecordingArrived, Telling
from offhook.voice.elevenlabs.translation import translated

W = TypeVar("W", CallEnded, CallFailed)

_LONGEST_ID = 256
_EXTERNAL = frozenset((INGEST, INGEST_RECORDING))  #: types; every other is a word of ElevenLabs'


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """Values of store.tables.recordings, but for the ids of organisation and call."""

    id: str
    event_id: str
    file: str
    size_bytes: int
    sha256: str
    duration_s: float | None
    state: RecordingState
    created_at: float


class ToFetch(msgspec.Struct, frozen=True):
    """A recording that is somewhere else."""

    event_id: str  #: of the event whose body says where
    key: str  #: the same for the same address of the same call


class Gathered(msgspec.Struct, frozen=True, kw_only=True):
    """What the events of one conversation say together; numbers are still as they were spelled."""

    call_id: str
    org_id: str
    provider: Provider = "elevenlabs"
    conversation_id: str | None
    agent_id: str | None
    heard_at: float  #: unix; when the first of the events came
    sent_at: float | None  #: unix; when the last of them was sent, as far as is known
    ended: CallEnded | None  #: without what is stored as JSON, which follows below
    failed: CallFailed | None
    recordings: tuple[Recording, ...]
    to_fetch: tuple[ToFetch, ...] = ()
    transcript: str  #: JSON, as are the next
    analysis: str | None
    variables: str | None
    details: str | None
    words: str = ""  #: what the call is found by, see searching.words_of


class _Heard(NamedTuple):
    event: Event
    word: Telling


def gather(events: Iterable[Event]) -> Gathered | None:
    """What *events* say of their call; None when none of them makes one. Unreadable for a body that is not JSON."""
    words = [(event, _word_of(event)) for event in _in_order(events)]
    heard = [_Heard(event, word) for event, word in words if not isinstance(word, Other)]
    if not heard:
        return None
    ended = _laid_over(one.word for one in heard if isinstance(one.word, CallEnded))
    failed = _laid_over(one.word for one in heard if isinstance(one.word, CallFailed))
    said, tried, first = ended or CallEnded(), failed or CallFailed(), heard[0].event
    assert first.call_id is not None  # that is what they were brought together by
    return Gathered(
        call_id=first.call_id,
        org_id=first.org_id,
        provider="external" if first.type in _EXTERNAL else "elevenlabs",
        conversation_id=first.conversation_id,
        agent_id=_agent_id(heard),
        heard_at=min(one.event.received_at for one in heard),
        sent_at=max(filter(None, (one.event.event_timestamp for one in heard)), default=None),
        ended=ended and msgspec.structs.replace(ended, transcript=None, analysis=None, variables=None, details=None),
        failed=failed and msgspec.structs.replace(failed, details=None),
        recordings=_recordings(heard),
        to_fetch=_to_fetch(heard),
        transcript=_json(said.transcript) or "[]",
        analysis=_json(said.analysis),
        variables=_json(said.variables),
        details=_json(said.details if ended else tried.details),
        words=words_of(said.title, said.summary, *(turn.message for turn in said.transcript or ())),
    )


def _word_of(event: Event) -> Telling | Other:
    tell = external.told if event.type in _EXTERNAL else translated
    return tell(event.type, event.body)


def _in_order(events: Iterable[Event]) -> list[Event]:
    """Each event once, the least trustworthy first: what comes later overwrites what came before."""
    return sorted({event.id: event for event in events}.values(), key=_rank)


def _rank(event: Event) -> tuple[bool, bool, float, str]:
    sent_at = event.event_timestamp
    return event.source != "reconciled", sent_at is not None, sent_at or 0.0, event.sha256


def _laid_over(words: Iterable[W]) -> W | None:
    """The *words* as one, each laid over those before; None when there is none."""
    laid: W | None = None
    for word in words:
        laid = word if laid is None else _word_over(laid, word)
    return laid


def _word_over(older: W, newer: W) -> W:
    return type(newer)(**{name: _over(getattr(older, name), getattr(newer, name)) for name in newer.__struct_fields__})


def _over(older: Any, newer: Any) -> Any:
    """*newer*, but what it does not say remains as it was."""
    if isinstance(older, dict) and isinstance(newer, dict):
        return older | {name: _over(older.get(name), value) for name, value in newer.items() if value is not None}
    return older if newer is None else newer


def _agent_id(heard: Sequence[_Heard]) -> str | None:
    """The last that was named."""
    named = (id_of(one.word.agent_id) or id_of(one.event.agent_id) for one in reversed(heard))
    return next(filter(None, named), None)


def id_of(word: str | None) -> str | None:
    """*word*, when it can be an id: what is longer fits no index."""
    return word if word and len(word) <= _LONGEST_ID else None


def _recordings(heard: Sequence[_Heard]) -> tuple[Recording, ...]:
    """Each recording once, however often it was sent."""
    found: dict[str, Recording] = {}
    for event, _ in heard:
        if event.audio is not None and event.audio.sha256 not in found:
            found[event.audio.sha256] = _recording(event, event.audio)
    return tuple(found.values())


def _to_fetch(heard: Sequence[_Heard]) -> tuple[ToFetch, ...]:
    found: dict[str, ToFetch] = {}
    for event, word in heard:
        if not isinstance(word, RecordingArrived) and word.recording_url:
            key = derived_id("fetch", event.call_id or "", word.recording_url)
            found.setdefault(key, ToFetch(event.id, key))
    return tuple(found.values())


def _recording(event: Event, audio: Audio) -> Recording:
    return Recording(
        id=recording_id(event.call_id or "", audio.sha256),
        event_id=event.id,
        file=audio.file,
        size_bytes=audio.size_bytes,
        sha256=audio.sha256,
        duration_s=audio.duration_s,
        state=_recording_state(audio),
        created_at=event.received_at,
    )


def _recording_state(audio: Audio) -> RecordingState:
    if not audio.is_decoded:
        return "undecodable"
    return "not_playable" if audio.duration_s is None else "ready"


def _json(value: Any) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()
