"""What was gathered of a call becomes its rows: who rang whom, in E.164, helped by what was asked while it rang. Pure.

Ids follow from what they name, so every path arrives at the same rows. A transcription beats a failure and a failure beats
audio alone, whichever came first.
"""

from typing import Any, NamedTuple

import msgspec

from offhook.contexts import Context
from offhook.events import note_id
from offhook.phone import caller_and_called
from offhook.projection.gathering import Gathered, Recording, ToFetch, id_of
from offhook.voice.contract import CallEnded, CallFailed, CallStatus, Channel, Direction

AI_SUMMARY = "ai_summary"  #: the type of the projection's own notes
_LONGEST_SPELLING = 256  #: of a number that is none: a SIP address, a name


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
    to_fetch: tuple[ToFetch, ...]
    number: str | None  #: the person's, E.164
    user_id: str | None  #: the person's, in the words of whoever started the conversation
    contact_name: str | None  #: the person's, for a contact that has no name yet
    words: str  #: what the call is found by


def settle(gathered: Gathered, context: Context | None, country: str) -> Folded:
    """The call, complete.

    *context* is what was asked, and what the agent was told, while it was ringing; *country* (ISO 3166 alpha-2) is the
    organisation's, where national numbers are dialled.
    """
    who = parties(gathered, context, country)
    person, ours = who.person or _cut(who.person_spelled), who.ours or _cut(who.ours_spelled)
    ended, failed = gathered.ended or CallEnded(), gathered.failed or CallFailed()
    return Folded(
        call={
            "id": gathered.call_id,
            "org_id": gathered.org_id,
            "provider": gathered.provider,
            "provider_call_id": gathered.conversation_id,
            "direction": who.direction,
            "from_number": ours if who.direction == "outbound" else person,
            "to_number": person if who.direction == "outbound" else ours,
            "channel": _channel(gathered, context),
            "agent_id": gathered.agent_id or (context and context.agent_id),
            "agent_name": ended.agent_name or failed.agent_name,
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
        to_fetch=gathered.to_fetch,
        number=who.person,
        user_id=ended.user_id,
        contact_name=ended.contact_name or failed.contact_name,
        words=gathered.words,
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


def parties(gathered: Gathered, context: Context | None, country: str) -> Parties:
    """Who rang whom, as far as the events say it, and *context* where they do not; *country* as for settle."""
    direction = _direction(gathered, context)
    caller, called = _spellings(gathered, context, is_outbound=direction == "outbound")
    person, ours = (called, caller) if direction == "outbound" else (caller, called)
    return Parties(direction, *caller_and_called(person, ours, country), person, ours)


def _direction(gathered: Gathered, context: Context | None) -> Direction | None:
    """Attempts that failed are outbound unless they say otherwise, and whoever announces a call is rung by somebody."""
    if gathered.ended and gathered.ended.direction:
        return gathered.ended.direction
    if gathered.failed:
        return gathered.failed.direction or "outbound"
    return "inbound" if gathered.ended or context else None


def _spellings(gathered: Gathered, context: Context | None, *, is_outbound: bool) -> tuple[str | None, str | None]:
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


def _channel(gathered: Gathered, context: Context | None) -> Channel:
    """A conversation that names neither a channel nor a number was held in a browser."""
    ended = gathered.ended
    if ended is None:
        return "phone"
    if ended.channel:
        return ended.channel
    return "phone" if context or gathered.failed or ended.variable_caller or ended.person else "web"


def _outcome(gathered: Gathered, context: Context | None) -> dict[str, Any]:
    ended, failed = gathered.ended or CallEnded(), gathered.failed or CallFailed()
    status = _status(gathered)
    return {
        "status": status,
        "failure": None if status == "completed" else ended.failure or failed.failure,
        "call_sid": id_of(ended.call_sid) or id_of(failed.call_sid) or (context and context.call_sid),
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
    started_at = ended.started_at or failed.started_at
    begun_at = answered_at or started_at
    return {
        "started_at": started_at,
        "answered_at": answered_at,
        "ended_at": None if begun_at is None or duration_s is None else begun_at + duration_s,
        "duration_s": duration_s,
        "happened_at": started_at or gathered.heard_at,
    }


def _context(variables: str | None, context: Context | None) -> str | None:
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
