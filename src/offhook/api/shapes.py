"""The JSON that leaves: every answer of the API as a type. They are encoded as they stand here, and documented from here.

Times are ISO 8601 UTC with milliseconds and Z.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
import sqlalchemy as sa
from msgspec import Meta
from starlette.responses import JSONResponse

from offhook import memory as memories
from offhook.directory import Organization
from offhook.events import Proof, RecordingState, Source, Status
from offhook.events import call_id as call_id_of
from offhook.memory import Remembered
from offhook.refusals import Refusal
from offhook.rules import Variable, VariableType
from offhook.store.balances import Absence as StoredAbsence
from offhook.store.balances import Day
from offhook.store.contacts import Contact as StoredContact
from offhook.store.statistics import Tally, together
from offhook.store.workspaces import Reconciled
from offhook.voice.contract import CallStatus, Channel, Direction, Turn

Number = int | float
Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
Seconds = Annotated[Number, Meta(description="Seconds.")]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def means(description: str) -> Meta:
    """What a field says, for the document."""
    return Meta(description=description)


class Json(JSONResponse):
    """An answer type, encoded."""

    def render(self, content: Any) -> bytes:
        return msgspec.json.encode(content)


class Shape(msgspec.Struct, rename="camel"):
    """Any of the answers."""


class Success(Shape, kw_only=True):
    success: Literal[True] = True


class Recording(Shape):
    id: str = msgspec.field(name="_id")
    bytes: int
    sha256: str
    duration: Seconds | None
    state: RecordingState


class Note(Shape):
    id: str = msgspec.field(name="_id")
    contact_id: str | None
    call_id: str | None
    note: str
    type: Literal["ai_summary", "note"]
    created_at: Time


class Said(Shape):
    role: str | None
    message: str | None
    timestamp: Seconds | None


class Call(Shape):
    """A call, as lists show it."""

    id: str = msgspec.field(name="_id")
    call_id: str
    provider: Literal["elevenlabs", "external"]
    provider_call_id: str | None
    direction: Direction | None
    status: CallStatus
    from_number: str | None = msgspec.field(name="from")
    to_number: str | None = msgspec.field(name="to")
    contact_id: str | None
    conversation_id: str | None
    organization_id: str
    agent_id: str | None
    agent_name: str | None
    channel: Channel
    start_time: Time | None
    answer_time: Time | None
    end_time: Time | None
    duration: Seconds | None
    summary: str | None
    title: str | None
    successful: bool | None
    recordings: list[Recording]
    cost: Annotated[Number | None, means("The provider's credits.")]
    cost_usd: Number | None
    created_at: Time
    updated_at: Time


class ToolUse(Shape):
    """What the agent did during the call."""

    tool: str
    tool_call_id: str | None
    request: Annotated[Any, means("As it came, without secrets.")]
    answer: Annotated[Any, means("What the agent was told; null while it is under way.")]
    took_ms: Annotated[Number | None, means("Milliseconds.")]
    created_at: Time


class CallDetail(Call):
    """A call with all that is known of it."""

    transcript: list[Turn]
    analysis: dict[str, Any] | None
    context: Annotated[
        dict[str, Any] | None, means("What the agent was told before the call, and the call's variables.")
    ]
    details: Annotated[dict[str, Any] | None, means("What else the provider said.")]
    failure: Annotated[str | None, means("Why there was no conversation, in the provider's words.")]
    notes: list[Note]
    tool_uses: Annotated[list[ToolUse], means("Oldest first; of very many the first 200.")]


class Colleague(Shape):
    """Somebody to whom an agent may hand a call over."""

    id: str = msgspec.field(name="_id")
    name: str
    phone_number: Annotated[str | None, means("E.164.")]
    is_online: bool
    is_available: bool
    created_at: Time
    updated_at: Time


class Callback(Shape):
    """Somebody who wants to be rung back."""

    id: str = msgspec.field(name="_id")
    call_id: str | None
    contact_id: str | None
    phone_number: Annotated[str | None, means("E.164; null when it was withheld.")]
    reason: str | None
    status: Literal["open", "done"]
    created_at: Time
    updated_at: Time


class Contact(Shape):
    """A person of the organisation."""

    id: str = msgspec.field(name="_id")
    first_name: str | None
    last_name: str | None
    phone_number: Annotated[str | None, means("E.164; the first of them.")]
    phone_numbers: Annotated[list[str], means("E.164.")]
    email: list[str]
    external_id: str | None
    source: str
    opted_out: Annotated[bool, means("One of the numbers at least wants no texts.")]
    created_at: Time
    updated_at: Time


class Memory(Shape):
    """What an agent would be told of a contact's earlier calls."""

    contact_id: str
    enabled: Annotated[bool, means("The organisation has memory switched on.")]
    previous_topics: str
    last_call_summary: str
    last_call_at: Annotated[str, means("ISO 8601 in the organisation's time zone; empty when there was none.")]
    call_count: int
    open_items: str
    edited: Annotated[list[str], means("What a person wrote, and does not follow from the calls.")]
    forgotten_before: Annotated[Time | None, means("Calls from before are not remembered.")]


class DeclaredVariable(Shape):
    """A dynamic variable that every answer fills."""

    name: str
    type: VariableType
    default: str | int | float | bool


class Message(Shape):
    """A text, to a person or from one."""

    id: str = msgspec.field(name="_id")
    call_id: str | None
    contact_id: str | None
    to_number: str | None = msgspec.field(name="to")
    from_number: str | None = msgspec.field(name="from")
    kind: Annotated[str, means("missed_call, tool, person, reply.")]
    body: str
    status: Annotated[str, means("queued, sending, sent, delivered, failed, suppressed, received.")]
    reason: Annotated[str | None, means("Why it waits, was not sent, or did not arrive.")]
    provider: str | None
    provider_message_id: str | None
    created_at: Time
    updated_at: Time


class MissedCallMessage(Shape):
    """What callers are texted who were missed."""

    missed_call_message: str | None
    missed_call_auto_message_enabled: bool


class Effect(Shape):
    """Something that follows from a call, outside."""

    id: str = msgspec.field(name="_id")
    kind: str
    status: Annotated[str, means("due, done, suppressed, dead.")]
    outcome: Annotated[str | None, means("How it ended, or why the last attempt did not do.")]
    attempts: int
    due_at: Time


class Event(Shape):
    """A row of the inbox."""

    id: str = msgspec.field(name="_id")
    type: str
    source: Source
    conversation_id: str | None
    call_id: str | None
    event_timestamp: Time | None
    received_at: Time
    bytes: int
    proof: Proof
    status: Status
    reason: str | None
    deliveries: int
    effects: Annotated[list[Effect], means("Of its call.")]


class EventDetail(Event):
    """An event with what it said, scrubbed of secrets and without its audio."""

    payload: Any
    payload_note: Annotated[str | None, means("Why there is no payload to show.")]
    answer: Annotated[Any, means("What was said back, where the call depends on it: a greeting, a tool's answer.")]


class RefusalShape(Shape):
    """A webhook request that was turned away."""

    at: Time
    path: str
    sender: str
    bytes: int
    check: str


class BalanceDay(Shape):
    """The calls that began on one day."""

    day: Annotated[str, Meta(extra_json_schema={"format": "date"}), means("In UTC.")]
    theirs: Annotated[int, means("What ElevenLabs knows.")]
    ours: Annotated[int, means("Of theirs, those that are here, each with its recording where it has one.")]
    fetched: Annotated[int, means("Of ours, those that no webhook brought whole.")]
    absent: Annotated[int, means("Of theirs, those that are not here.")]
    updated_at: Time


class Absence(Shape):
    """Something that ElevenLabs has or had, and that is not here."""

    conversation_id: str
    call_id: str
    what: Literal["conversation", "audio"]
    reason: Annotated[str, means("A sentence.")]
    is_final: Annotated[bool, means("False: it is asked about again.")]
    began_at: Time
    noticed_at: Time


class BalanceAnswer(Shape):
    data: list[BalanceDay]
    total: int
    absences: list[Absence]
    reconciled_until: Annotated[Time | None, means("Calls that began before are accounted for.")]
    reconciled_at: Time | None
    trouble: Annotated[str | None, means("Why the last attempt failed; null after one that did not.")]


class CallList(Success):
    calls: list[Call]
    total: int


class CallAnswer(Success):
    call: CallDetail


class RecordingAnswer(Success):
    audio_url: Annotated[str, means("Opens without a key for an hour.")]
    duration: Seconds | None
    recording_id: str
    transcription_text: str
    transcription_data: list[Said]
    direction: Direction | None
    from_number: str | None = msgspec.field(name="from")
    to_number: str | None = msgspec.field(name="to")


class StatusStatistics(Shape):
    """Calls of one status."""

    count: int
    total_duration: Seconds
    avg_duration: Seconds


class Statistics(Shape):
    """How many calls, and how long; a call whose duration nobody knows counts as 0 s."""

    total_calls: int
    total_duration: Seconds
    average_duration: Seconds
    by_status: Annotated[dict[str, StatusStatistics], means("Of each status that occurs.")]


class StatisticsAnswer(Success):
    statistics: Statistics


class NoteAnswer(Success):
    data: Note


class IngestAnswer(Success, omit_defaults=False):
    call_id: str
    deduplicated: Annotated[bool | msgspec.UnsetType, means("The same call was here before.")] = msgspec.UNSET


class NoteList(Success):
    data: list[Note]
    total: int


class MessageList(Success):
    data: list[Message]
    total: int


class ContactList(Shape):
    data: list[Contact]
    total: int


class ContactAnswer(Shape):
    data: Contact


class MemoryAnswer(Shape):
    data: Memory


class VariableList(Shape):
    variables: list[DeclaredVariable]


class StaffList(Shape):
    data: list[Colleague]
    total: int


class StaffAnswer(Shape):
    data: Colleague


class CallbackList(Shape):
    data: list[Callback]
    total: int


class CallbackAnswer(Shape):
    data: Callback


class EventList(Shape):
    data: list[Event]
    total: int


class EventAnswer(Shape):
    data: EventDetail


class EventReplayed(Success):
    data: Event


class RefusalList(Shape):
    data: list[RefusalShape]
    total: int


def call(row: sa.Row[Any], recordings: Sequence[sa.Row[Any]]) -> Call:
    return Call(**_call_facts(row, recordings))


def call_detail(
    row: sa.Row[Any],
    recordings: Sequence[sa.Row[Any]],
    notes: Iterable[sa.Row[Any]],
    tool_uses: Iterable[sa.Row[Any]],
) -> CallDetail:
    return CallDetail(
        **_call_facts(row, recordings),
        transcript=_stored(row.transcript),
        analysis=_stored(row.analysis),
        context=_stored(row.context),
        details=_stored(row.details),
        failure=row.failure,
        notes=[note(written) for written in notes],
        tool_uses=[tool_use(used) for used in tool_uses],
    )


def _call_facts(row: sa.Row[Any], recordings: Sequence[sa.Row[Any]]) -> dict[str, Any]:
    return {
        "id": row.id,
        "call_id": row.id,
        "provider": row.provider,
        "provider_call_id": row.provider_call_id,
        "direction": row.direction,
        "status": row.status,
        "from_number": row.from_number,
        "to_number": row.to_number,
        "contact_id": row.contact_id,
        "conversation_id": row.provider_call_id if row.provider == "elevenlabs" else None,
        "organization_id": row.org_id,
        "agent_id": row.agent_id,
        "agent_name": row.agent_name,
        "channel": row.channel,
        "start_time": iso(row.started_at),
        "answer_time": iso(row.answered_at),
        "end_time": iso(row.ended_at),
        "duration": number(row.duration_s),
        "summary": row.summary,
        "title": row.title,
        "successful": row.is_successful,
        "recordings": [recording(kept) for kept in recordings],
        "cost": number(row.cost_credits),
        "cost_usd": number(row.cost_usd),
        "created_at": iso(row.created_at),
        "updated_at": iso(row.updated_at),
    }


def recording(row: sa.Row[Any]) -> Recording:
    return Recording(
        id=row.id, bytes=row.size_bytes, sha256=row.sha256, duration=number(row.duration_s), state=row.state
    )


def note(row: sa.Row[Any]) -> Note:
    return Note(
        id=row.id,
        contact_id=row.contact_id,
        call_id=row.call_id,
        note=row.note,
        type=row.type,
        created_at=iso(row.created_at),
    )


def tool_use(row: sa.Row[Any]) -> ToolUse:
    return ToolUse(
        tool=row.tool,
        tool_call_id=row.tool_call_id,
        request=_stored(row.request),
        answer=_stored(row.answer),
        took_ms=number(row.took_ms),
        created_at=iso(row.created_at),
    )


def colleague(row: sa.Row[Any]) -> Colleague:
    return Colleague(
        id=row.id,
        name=row.name,
        phone_number=row.number,
        is_online=row.is_online,
        is_available=row.is_available,
        created_at=iso(row.created_at),
        updated_at=iso(row.updated_at),
    )


def callback(row: sa.Row[Any]) -> Callback:
    return Callback(
        id=row.id,
        call_id=row.call_id,
        contact_id=row.contact_id,
        phone_number=row.number,
        reason=row.reason,
        status=row.status,
        created_at=iso(row.created_at),
        updated_at=iso(row.updated_at),
    )


def recording_answer(call: sa.Row[Any], kept: sa.Row[Any], audio_url: str) -> RecordingAnswer:
    said = _said.decode(call.transcript)
    return RecordingAnswer(
        audio_url=audio_url,
        duration=number(kept.duration_s if kept.duration_s is not None else call.duration_s),
        recording_id=kept.id,
        transcription_text="\n".join(f"{turn.role}: {turn.message}" for turn in said if turn.message),
        transcription_data=said,
        direction=call.direction,
        from_number=call.from_number,
        to_number=call.to_number,
    )


_said = msgspec.json.Decoder(list[Said])


def statistics(tallies: dict[str, Tally]) -> Statistics:
    whole = together(tallies)
    return Statistics(
        total_calls=whole.count,
        total_duration=_rounded(whole.total_s),
        average_duration=_rounded(whole.average_s),
        by_status={
            status: StatusStatistics(tally.count, _rounded(tally.total_s), _rounded(tally.average_s))
            for status, tally in sorted(tallies.items())
        },
    )


def _rounded(seconds: float) -> Number:
    rounded = number(round(seconds, 2))
    assert rounded is not None
    return rounded


def contact(person: StoredContact) -> Contact:
    return Contact(
        id=person.id,
        first_name=person.first_name,
        last_name=person.last_name,
        phone_number=person.numbers[0] if person.numbers else None,
        phone_numbers=list(person.numbers),
        email=list(person.emails),
        external_id=person.external_id,
        source=person.source,
        opted_out=person.is_opted_out,
        created_at=iso(person.created_at),
        updated_at=iso(person.updated_at),
    )


def memory(contact_id: str, remembered: Remembered, organization: Organization) -> Memory:
    rules = organization.rules
    told: dict[str, Any] = memories.variables(remembered, organization.timezone, free_text=rules.free_text)
    edits = ("previous_topics", "previousTopics"), ("last_call_summary", "lastCallSummary"), ("open_items", "openItems")
    return Memory(
        contact_id=contact_id,
        enabled=rules.memory,
        **told,
        edited=[name for field, name in edits if getattr(remembered, field) is not None],
        forgotten_before=iso(remembered.forgotten_before),
    )


def variable(declared: Variable) -> DeclaredVariable:
    return DeclaredVariable(declared.name, declared.type, declared.default)


def message(row: sa.Row[Any]) -> Message:
    return Message(
        id=row.id,
        call_id=row.call_id,
        contact_id=row.contact_id,
        to_number=row.to_number,
        from_number=row.from_number,
        kind=row.kind,
        body=row.body,
        status=row.status,
        reason=row.reason,
        provider=row.provider,
        provider_message_id=row.provider_message_id,
        created_at=iso(row.created_at),
        updated_at=iso(row.updated_at),
    )


def effect(row: sa.Row[Any]) -> Effect:
    return Effect(
        id=row.id,
        kind=row.kind,
        status=row.status,
        outcome=row.outcome,
        attempts=row.attempts,
        due_at=iso(row.due_at),
    )


def event(row: sa.Row[Any], effects: Iterable[sa.Row[Any]]) -> Event:
    """*effects* of any calls; those of its own are shown."""
    return Event(**_event_facts(row, effects))


def event_detail(
    row: sa.Row[Any], effects: Iterable[sa.Row[Any]], *, payload: Any, payload_note: str | None, answer: Any
) -> EventDetail:
    return EventDetail(**_event_facts(row, effects), payload=payload, payload_note=payload_note, answer=answer)


def _event_facts(row: sa.Row[Any], effects: Iterable[sa.Row[Any]]) -> dict[str, Any]:
    return {
        "id": row.id,
        "type": row.type,
        "source": row.source,
        "conversation_id": row.conversation_id,
        "call_id": row.call_id,
        "event_timestamp": iso(row.event_timestamp),
        "received_at": iso(row.received_at),
        "bytes": row.size_bytes,
        "proof": row.proof,
        "status": row.status,
        "reason": row.reason,
        "deliveries": row.deliveries,
        "effects": [effect(one) for one in effects if row.call_id is not None and one.call_id == row.call_id],
    }


def balance(
    days: Iterable[Day], total: int, absent: Iterable[StoredAbsence], standing: Reconciled, org_id: str
) -> BalanceAnswer:
    return BalanceAnswer(
        data=[BalanceDay(**{**msgspec.structs.asdict(one), "updated_at": iso(one.updated_at)}) for one in days],
        total=total,
        absences=[_absence(one, org_id) for one in absent],
        reconciled_until=iso(standing.until),
        reconciled_at=iso(standing.at),
        trouble=standing.trouble,
    )


def _absence(absent: StoredAbsence, org_id: str) -> Absence:
    return Absence(
        conversation_id=absent.conversation_id,
        call_id=call_id_of(org_id, absent.conversation_id),
        what=absent.what,
        reason=absent.reason,
        is_final=absent.is_final,
        began_at=iso(absent.began_at),
        noticed_at=iso(absent.noticed_at),
    )


def refusal(refused: Refusal) -> RefusalShape:
    return RefusalShape(
        at=iso(refused.at), path=refused.path, sender=refused.sender, bytes=refused.size_bytes, check=refused.check
    )


def iso(unix: float | None) -> Any:
    """*unix* seconds as ISO 8601; None for None, and for a time that a sender made up and no calendar knows."""
    if unix is None:
        return None
    try:
        at = _EPOCH + timedelta(milliseconds=round(unix * 1000))
    except (OverflowError, ValueError):
        return None
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"


def number(value: float | None) -> Number | None:
    """42 for 42.0: most seconds and credits are whole."""
    return int(value) if value is not None and value.is_integer() else value


def _stored(text: str | None) -> Any:
    """JSON that we wrote ourselves, passed on as it lies there."""
    return msgspec.Raw(text.encode()) if text is not None else None
