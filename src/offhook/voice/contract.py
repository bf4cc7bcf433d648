"""offhook's own words for what a voice provider says. No provider's spelling comes further than this.

Every field may be None: the provider did not say it. A later word of the same kind overwrites only what it has.
"""

from typing import Any, Literal

import msgspec

Direction = Literal["inbound", "outbound"]
Channel = Literal["phone", "web", "whatsapp", "sms"]
Provider = Literal["elevenlabs", "external"]
FailureStatus = Literal["busy", "no-answer", "failed"]
CallStatus = Literal["in-progress", "completed", "no-answer", "busy", "failed"]


class ToolCall(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The agent asks for a tool."""

    name: str | None = None
    request_id: str | None = None  #: pairs it with its ToolResult
    kind: str | None = None  #: system, webhook, client, mcp, ...
    arguments: str | None = None  #: JSON, as the model wrote it; scrubbed
    was_called: bool | None = None
    details: dict[str, Any] | None = None  #: where it was sent; scrubbed
    more: dict[str, Any] | None = None  #: what else was said of it; scrubbed


class ToolResult(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What a tool gave back."""

    name: str | None = None
    request_id: str | None = None
    kind: str | None = None
    value: str | None = None  #: the text that the model read; scrubbed
    is_error: bool | None = None
    error: str | None = None
    latency: float | None = None  #: seconds
    more: dict[str, Any] | None = None  #: what else was said of it; scrubbed


class Turn(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One turn of a conversation; this is the shape that the API shows."""

    role: str | None  #: agent or user
    message: str | None  #: None when only tools spoke
    timestamp: float | None  #: seconds since the call began
    interrupted: bool | None = None
    medium: str | None = None  #: audio, text, dtmf, ...
    tool_calls: list[ToolCall] | None = None
    tool_results: list[ToolResult] | None = None
    more: dict[str, Any] | None = None  #: what else was said of it; scrubbed


class CallEnded(msgspec.Struct, frozen=True, kw_only=True):
    """The call is over, and this is what was said in it."""

    agent_id: str | None = None
    agent_name: str | None = None
    user_id: str | None = None  #: who it was, in the words of whoever started the conversation
    call_sid: str | None = None  #: the carrier's id
    has_failed: bool | None = None
    failure: str | None = None  #: why it ended badly, in the provider's words
    channel: Channel | None = None
    direction: Direction | None = None
    person: str | None = None  #: number at the far end, as spelled
    ours: str | None = None  #: number of the agent, as spelled
    caller: str | None = None  #: who rang, as spelled, where the provider says no more than that
    called: str | None = None
    variable_caller: str | None = None  #: the same from the call's own variables; believed last
    variable_called: str | None = None
    started_at: float | None = None  #: unix
    answered_at: float | None = None  #: unix
    duration_s: float | None = None
    title: str | None = None
    summary: str | None = None
    is_successful: bool | None = None
    cost_credits: float | None = None
    cost_usd: float | None = None
    transcript: list[Turn] | None = None
    analysis: dict[str, Any] | None = None  #: as the provider gave it, scrubbed
    variables: dict[str, Any] | None = None  #: what prompt and tools could use during the call, scrubbed
    details: dict[str, Any] | None = None  #: what else the provider said, scrubbed
    contact_name: str | None = None  #: who was on the line, for a contact that has no name yet
    recording_url: str | None = None  #: where the recording can be fetched, when it does not come by itself


class RecordingArrived(msgspec.Struct, frozen=True, kw_only=True):
    """The audio of the call; its bytes went to a file as they came."""

    agent_id: str | None = None


class CallFailed(msgspec.Struct, frozen=True, kw_only=True):
    """The call never became a conversation."""

    agent_id: str | None = None
    agent_name: str | None = None
    call_sid: str | None = None
    status: FailureStatus | None = None
    failure: str | None = None  #: why, in the provider's words
    direction: Direction | None = None  #: None: outbound, such attempts are
    caller: str | None = None  #: as spelled
    called: str | None = None
    started_at: float | None = None  #: unix
    duration_s: float | None = None
    details: dict[str, Any] | None = None  #: what else the provider said, scrubbed
    contact_name: str | None = None  #: as in CallEnded, and so is the next
    recording_url: str | None = None


class CallerAnnounced(msgspec.Struct, frozen=True, kw_only=True):
    """A call is ringing, and the provider asks what the agent should know."""

    conversation_id: str | None = None
    call_sid: str | None = None
    agent_id: str | None = None
    user_id: str | None = None
    caller: str | None = None  #: as spelled
    called: str | None = None


class ToolWanted(msgspec.Struct, frozen=True, kw_only=True):
    """The agent uses a tool while the call is on; what a tool does not need is None."""

    tool_call_id: str | None = None  #: the same use again has the same
    conversation_id: str | None = None
    call_sid: str | None = None  #: the carrier's id
    agent_id: str | None = None
    caller: str | None = None  #: as spelled
    called: str | None = None
    number: str | None = None  #: whom it is about, as the agent understood it
    first_name: str | None = None
    last_name: str | None = None
    email: str | None = None
    note: str | None = None
    message: str | None = None
    reason: str | None = None


class Other(msgspec.Struct, frozen=True, kw_only=True):
    """Something about a call that changes nothing here."""


Telling = CallEnded | RecordingArrived | CallFailed  #: what makes a call
