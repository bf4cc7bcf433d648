"""A conversation's events become one call. Pure: the same events, in whatever order and however often, give the same call.

    gather(events)                            what was said of the call, read, one word laid over the other
    settle(gathered, context, organization)   who rang whom, in E.164, helped by what was asked while it rang

Gathering is done in another process (see gathering.py), because what is in an event is not ours. Ids follow from what they
name, so every path arrives at the same rows. A transcription beats a failure and a failure beats audio alone, in any order;
of two words of the same kind the later overwrites only what it has.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

import msgspec

from offhook.events import Audio, Event, note_id, recording_id
from offhook.phone import caller_and_called
from offhook.voice.contract import CallEnded, CallFailed, Channel, Direction, Other, Telling
from offhook.voice.elevenlabs.translation import translated

if TYPE_CHECKING:  # the process that gathers must not load a database's driver
    from offhook.store.contexts import Context

W = TypeVar("W", CallEnded, CallFailed)

CallStatus = Literal["in-progress", "completed", "no-answer", "busy", "failed"]
RecordingState = Literal["ready", "not_playable", "undecodable"]

AI_SUMMARY = "ai_summary"  #: the type of the projection's own notes
_LONGEST_ID = 256
_LONGEST_SPELLING = 256  #: of a number that is none: a SIP address, a name


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


class Gathered(msgspec.Struct, frozen=True, kw_only=True):
    """What the events of one conversation say together; numbers are still as they were spelled."""

    call_id: str
    org_id: str
    conversation_id: str | None
    agent_id: str | None
    heard_at: float  #: unix; when the first of the events came
    sent_at: float | None  #: unix; when the last of them was sent, as far as is known
    ended: CallEnded | None  #: without what is stored as JSON, which follows below
    failed: CallFailed | None
    recordings: tuple[Recording, ...]
    transcript: str  #: JSON, as are the next
    analysis: str | None
    variables: str | None
    details: str | None


class Organization(msgspec.Struct, frozen=True):
    """What the fold must know of whose call it is."""

    country: str = "US"  #: ISO 3166 alpha-2; where national numbers are dialled


class Note(msgspec.Struct, frozen=True):
    """The summary, as a note on call and contact: values of store.tables.notes."""

    id: str
    note: str
    created_at: float


class Folded(msgspec.Struct, frozen=True, kw_only=True):
    """One call as it stands."""

    call: dict[str, Any]  #: values of store.tables.calls, but for contact_id and updated_at
    note: Note | None
    recordings: tuple[Recording, ...]
    number: str | None  #: the person's, E.164
    user_id: str | None  #: the person's, in the words of whoever started the conversation


def call_from(events: Iterable[Event], context: "Context | None", organization: Organization) -> Folded | None:
    """The call that *events* (bodies open, all of one conversation) make; None when none of them makes one."""
    gathered = gather(events)
    return None if gathered is None else settle(gathered, context, organization)


# Gathering


class _Heard(NamedTuple):
    event: Event
    word: Telling


def gather(events: Iterable[Event]) -> Gathered | None:
    """What *events* say of their call; None when none of them makes one. Unreadable for a body that is not JSON."""
    words = [(event, translated(event.type, event.body)) for event in _in_order(events)]
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
        conversation_id=first.conversation_id,
        agent_id=_agent_id(heard),
        heard_at=min(one.event.received_at for one in heard),
        sent_at=max(filter(None, (one.event.event_timestamp for one in heard)), default=None),
        ended=ended and msgspec.structs.replace(ended, transcript=None, analysis=None, variables=None, details=None),
        failed=failed and msgspec.structs.replace(failed, details=None),
        recordings=_recordings(heard),
        transcript=_json(said.transcript) or "[]",
        analysis=_json(said.analysis),
        variables=_json(said.variables),
        details=_json(said.details if ended else tried.details),
    )


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
    named = (_id(one.word.agent_id) or _id(one.event.agent_id) for one in reversed(heard))
    return next(filter(None, named), None)


def _id(word: str | None) -> str | None:
    """*word*, when it can be an id: what is longer fits no index."""
    return word if word and len(word) <= _LONGEST_ID else None


def _recordings(heard: Sequence[_Heard]) -> tuple[Recording, ...]:
    """Each recording once, however often it was sent."""
    found: dict[str, Recording] = {}
    for event, _ in heard:
        if event.audio is not None and event.audio.sha256 not in found:
            found[event.audio.sha256] = _recording(event, event.audio)
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


# Settling


def settle(gathered: Gathered, context: "Context | None", organization: Organization) -> Folded:
    """The call, complete; *context* is what was asked, and what the agent was told, while it was ringing."""
    who = parties(gathered, context, organization)
    person, ours = who.person or _cut(who.person_spelled), who.ours or _cut(who.ours_spelled)
    ended = gathered.ended or CallEnded()
    return Folded(
        call={
            "id": gathered.call_id,
            "org_id": gathered.org_id,
            "provider": "elevenlabs",
            "provider_call_id": gathered.conversation_id,
            "direction": who.direction,
            "from_number": ours if who.direction == "outbound" else person,
            "to_number": person if who.direction == "outbound" else ours,
            "channel": _channel(gathered, context),
            "agent_id": gathered.agent_id or (context and context.agent_id),
            "agent_name": ended.agent_name,
            "title": ended.title,
            "summary": ended.summary,
            "is_successful": ended.is_successful,
            "cost_credits": ended.cost_credits,
            "cost_usd": ended.cost_usd,
            "transcript": gathered.transcript,
            "analysis": gathered.analysis,
            "context": _context(gathered.variables, context),
            "details": gathered.details,
            "created_at": gathered.heard_at,
            **_outcome(gathered, context),
            **_times(gathered),
        },
        note=_note(gathered),
        recordings=gathered.recordings,
        number=who.person,
        user_id=ended.user_id,
    )


class Parties(NamedTuple):
    """Who rang whom; numbers in E.164, None for what is none."""

    direction: Direction | None
    person: str | None
    ours: str | None
    person_spelled: str | None
    ours_spelled: str | None

    @property
    def caller(self) -> str | None:
        return self.ours if self.direction == "outbound" else self.person

    @property
    def called(self) -> str | None:
        return self.person if self.direction == "outbound" else self.ours


def parties(gathered: Gathered, context: "Context | None", organization: Organization) -> Parties:
    """Who rang whom, as far as the events say it, and *context* where they do not."""
    direction = _direction(gathered, context)
    caller, called = _spellings(gathered, context, is_outbound=direction == "outbound")
    person, ours = (called, caller) if direction == "outbound" else (caller, called)
    return Parties(direction, *caller_and_called(person, ours, organization.country), person, ours)


def _direction(gathered: Gathered, context: "Context | None") -> Direction | None:
    """Attempts that failed are outbound unless they say otherwise, and whoever announces a call is rung by somebody."""
    if gathered.ended and gathered.ended.direction:
        return gathered.ended.direction
    if gathered.failed:
        return gathered.failed.direction or "outbound"
    return "inbound" if gathered.ended or context else None


def _spellings(gathered: Gathered, context: "Context | None", *, is_outbound: bool) -> tuple[str | None, str | None]:
    """Who rang whom, from the best source that says it."""
    ended, failed = gathered.ended or CallEnded(), gathered.failed or CallFailed()
    caller, called = (ended.ours, ended.person) if is_outbound else (ended.person, ended.ours)
    asked_caller, asked_called = (context.caller, context.called) if context else (None, None)
    return (
        caller or ended.caller or failed.caller or asked_caller or ended.variable_caller,
        called or ended.called or failed.called or asked_called or ended.variable_called,
    )


def _cut(spelling: str | None) -> str | None:
    return spelling and spelling[:_LONGEST_SPELLING]


def _channel(gathered: Gathered, context: "Context | None") -> Channel:
    """A conversation that names neither a channel nor a number was held in a browser."""
    ended = gathered.ended
    if ended is None:
        return "phone"
    if ended.channel:
        return ended.channel
    return "phone" if context or gathered.failed or ended.variable_caller or ended.person else "web"


def _outcome(gathered: Gathered, context: "Context | None") -> dict[str, Any]:
    ended, failed = gathered.ended or CallEnded(), gathered.failed or CallFailed()
    status = _status(gathered)
    return {
        "status": status,
        "failure": None if status == "completed" else ended.failure or failed.failure,
        "call_sid": _id(ended.call_sid) or _id(failed.call_sid) or (context and context.call_sid),
    }


def _status(gathered: Gathered) -> CallStatus:
    if gathered.ended:
        return "failed" if gathered.ended.has_failed else "completed"
    return (gathered.failed.status or "failed") if gathered.failed else "in-progress"


def _times(gathered: Gathered) -> dict[str, float | None]:
    ended, failed = gathered.ended or CallEnded(), gathered.failed or CallFailed()
    duration_s = failed.duration_s if ended.duration_s is None else ended.duration_s
    answered_at = ended.answered_at
    if answered_at is None and gathered.ended and not ended.has_failed:
        answered_at = ended.started_at
    begun_at = answered_at or ended.started_at
    return {
        "started_at": ended.started_at,
        "answered_at": answered_at,
        "ended_at": None if begun_at is None or duration_s is None else begun_at + duration_s,
        "duration_s": duration_s,
        "happened_at": ended.started_at or gathered.heard_at,
    }


def _context(variables: str | None, context: "Context | None") -> str | None:
    """What the agent was told before the call, and what it could use during it."""
    known: dict[str, Any] = {}
    if context and context.variables:
        known["told"] = context.variables
    if variables:
        known["variables"] = msgspec.Raw(variables.encode())
    return msgspec.json.encode(known).decode() if known else None


def _note(gathered: Gathered) -> Note | None:
    if gathered.ended is None or gathered.ended.summary is None:
        return None
    return Note(note_id(gathered.call_id, AI_SUMMARY), gathered.ended.summary, gathered.heard_at)
