"""From ElevenLabs' payloads to offhook's words. Nothing in a body that is JSON may raise here."""

import re
from collections.abc import Callable
from typing import Any, TypeVar, get_args

from offhook.voice import json_text, lenient
from offhook.voice.contract import (
    CallEnded,
    CallFailed,
    Channel,
    Direction,
    FailureStatus,
    Other,
    RecordingArrived,
    Telling,
    ToolCall,
    ToolResult,
    Turn,
)
from offhook.voice.elevenlabs import payloads
from offhook.voice.elevenlabs.payloads import CarrierReport, Conversation, FullAudio, InitiationFailure, Metadata
from offhook.voice.elevenlabs.scrub import scrubbed
from offhook.voice.plain import decoded

K = TypeVar("K")

_LATEST_S = 1e11  #: the year 5138; larger is milliseconds
_LONGEST_S = 366 * 86_400.0
_MOST = 1e15  #: credits, dollars

#: Sources that are a telephone network; what is in no list is a widget or a program.
_CARRIERS = frozenset(("twilio", "sip_trunk", "sip_trunking", "exotel", "genesys", "avaya", "audiocodes"))
_SOURCE_CHANNELS: dict[str, Channel] = {"whatsapp": "whatsapp", "twilio_sms": "sms", "sms": "sms"}
_BUSY_CODES = frozenset((486, 600))
_NO_ANSWER_CODES = frozenset((408, 480, 487))

#: What a call keeps in columns of its own; all else is its details.
_TOLD_OF_CALL = frozenset(("transcript", "analysis", "conversation_initiation_client_data", "full_audio"))
_TOLD_OF_TURN = frozenset(
    ("role", "message", "time_in_call_secs", "interrupted", "source_medium", "tool_calls", "tool_results")
)
_TOLD_OF_TOOL_CALL = frozenset(
    ("tool_name", "request_id", "type", "params_as_json", "tool_has_been_called", "tool_details")
)
_TOLD_OF_TOOL_RESULT = frozenset(
    ("tool_name", "request_id", "type", "result_value", "is_error", "raw_error_message", "tool_latency_secs")
)


def translated(type: str, body: bytes) -> Telling | Other:
    """What the event of *type* with *body* says; Unreadable when it should be a JSON object and is none."""
    read = _READERS.get(type)
    if read is None:
        return Other()
    content = decoded(body)
    if not isinstance(content, dict):
        raise json_text.Unreadable("The body is not a JSON object.")
    return read(_data(scrubbed(content)))


def _data(content: dict[str, Any]) -> dict[str, Any]:
    """The event's own fields: under `data`, or beside `type` in older payloads."""
    data = content.get("data")
    if isinstance(data, dict):
        return data
    return {name: value for name, value in content.items() if name not in ("type", "event_timestamp", "data")}


# post_call_transcription


def _call_ended(data: dict[str, Any]) -> CallEnded:
    said = lenient.read(Conversation, {**data, "transcript": None}) or Conversation()  # the turns are read one by one
    metadata = said.metadata or Metadata()
    return CallEnded(
        agent_id=said.agent_id,
        agent_name=said.agent_name,
        has_failed=None if said.status is None else said.status == "failed",
        failure=_first((metadata.error or payloads.CallError()).reason, metadata.termination_reason),
        channel=_channel(metadata),
        started_at=_time(metadata.start_time_unix_secs),
        answered_at=_time(metadata.accepted_time_unix_secs),
        duration_s=_first(_duration(said.call_duration_secs), _duration(metadata.call_duration_secs)),
        cost_credits=_amount(metadata.cost),
        cost_usd=_amount(metadata.cost_fiat),
        transcript=_turns(data.get("transcript")),
        details={name: value for name, value in data.items() if name not in _TOLD_OF_CALL} or None,
        **_analysis(said, data),
        **_variables(said),
        **_parties(metadata),
    )


def _analysis(said: Conversation, data: dict[str, Any]) -> dict[str, Any]:
    analysis = said.analysis or payloads.Analysis()
    return {
        "title": _spoken(analysis.call_summary_title),
        "summary": _spoken(analysis.transcript_summary),
        "is_successful": {"success": True, "failure": False}.get(analysis.call_successful or ""),
        "analysis": _object(data.get("analysis")),
    }


def _variables(said: Conversation) -> dict[str, Any]:
    started_with = said.conversation_initiation_client_data or payloads.ClientData()
    phone_call = (said.metadata and said.metadata.phone_call) or payloads.PhoneCall()
    variables = started_with.dynamic_variables or {}
    return {
        "user_id": _first(_spoken(said.user_id), _spoken(started_with.user_id)),
        "call_sid": _first(phone_call.call_sid, lenient.text(variables.get("system__call_sid"))),
        "variable_caller": lenient.text(variables.get("system__caller_id")),
        "variable_called": lenient.text(variables.get("system__called_number")),
        "variables": started_with.dynamic_variables,
    }


def _parties(metadata: Metadata) -> dict[str, Any]:
    phone_call = metadata.phone_call or payloads.PhoneCall()
    whatsapp = metadata.whatsapp or payloads.WhatsApp()
    sms = metadata.sms or payloads.Sms()
    recipient = whatsapp.recipient or payloads.WhatsAppRecipient()
    return {
        "direction": _first(
            *map(_direction, (phone_call.direction, sms.direction, whatsapp.direction)), _batch(metadata)
        ),
        "person": _first(
            phone_call.external_number,
            sms.sms_user_phone_number,
            _dialled(recipient.phone),
            _dialled(whatsapp.whatsapp_user_id),
        ),
        "ours": _first(phone_call.agent_number, sms.agent_phone_number),
        "caller": metadata.caller_id,
        "called": metadata.called_id,
    }


def _batch(metadata: Metadata) -> Direction | None:
    return "outbound" if metadata.batch_call else None


def _channel(metadata: Metadata) -> Channel | None:
    source = metadata.conversation_initiation_source or ""
    if metadata.whatsapp:
        return "whatsapp"
    if metadata.sms:
        return "sms"
    if metadata.phone_call or metadata.batch_call or metadata.caller_id or source in _CARRIERS:
        return "phone"
    return _SOURCE_CHANNELS.get(source, "web") if source else None


def _turns(transcript: Any) -> list[Turn] | None:
    if not isinstance(transcript, list):
        return None
    return [_turn(turn) for turn in transcript if isinstance(turn, dict)]


def _turn(turn: dict[str, Any]) -> Turn:
    said = lenient.read(payloads.Turn, turn) or payloads.Turn()
    return Turn(
        role=said.role,
        message=said.message,
        timestamp=said.time_in_call_secs,
        interrupted=said.interrupted,
        medium=said.source_medium,
        tool_calls=[_tool_call(call) for call in _objects(turn.get("tool_calls"))] or None,
        tool_results=[_tool_result(result) for result in _objects(turn.get("tool_results"))] or None,
        more=_rest(turn, _TOLD_OF_TURN),
    )


def _tool_call(call: dict[str, Any]) -> ToolCall:
    said = lenient.read(payloads.ToolCall, call) or payloads.ToolCall()
    return ToolCall(
        name=said.tool_name,
        request_id=said.request_id,
        kind=said.type,
        arguments=said.params_as_json,
        was_called=said.tool_has_been_called,
        details=_object(call.get("tool_details")),
        more=_rest(call, _TOLD_OF_TOOL_CALL),
    )


def _tool_result(result: dict[str, Any]) -> ToolResult:
    said = lenient.read(payloads.ToolResult, result) or payloads.ToolResult()
    return ToolResult(
        name=said.tool_name,
        request_id=said.request_id,
        kind=said.type,
        value=said.result_value,
        is_error=said.is_error,
        error=said.raw_error_message or None,
        latency=said.tool_latency_secs,
        more=_rest(result, _TOLD_OF_TOOL_RESULT),
    )


# post_call_audio


def _recording_arrived(data: dict[str, Any]) -> RecordingArrived:
    said = lenient.read(FullAudio, data) or FullAudio()
    return RecordingArrived(agent_id=said.agent_id)


# call_initiation_failure


def _call_failed(data: dict[str, Any]) -> CallFailed:
    said = lenient.read(InitiationFailure, data) or InitiationFailure()
    report = (said.metadata and said.metadata.body) or CarrierReport()
    return CallFailed(
        agent_id=said.agent_id,
        call_sid=_first(report.CallSid, report.call_sid),
        status=_failure_status(said, report),
        failure=_first(report.error_reason, said.error, said.reason, said.failure_reason),
        direction=_first(_direction(report.Direction), _direction(report.direction)),
        caller=_first(report.From, report.Caller, report.from_number),
        called=_first(report.To, report.Called, report.to_number),
        duration_s=_duration(report.CallDuration),
        details=data or None,
    )


def _failure_status(said: InitiationFailure, report: CarrierReport) -> FailureStatus:
    """ElevenLabs' own word where there is one; else what the carrier's report amounts to."""
    if said.failure_reason:
        return _status_word(said.failure_reason)
    words = [_status_word(word) for word in (said.reason, said.error, report.CallStatus, report.sip_status) if word]
    for word in words:
        if word != "failed":
            return word
    codes = {report.sip_status_code, report.SipResponseCode}
    if codes & _BUSY_CODES:
        return "busy"
    return "no-answer" if codes & _NO_ANSWER_CODES else "failed"


def _status_word(words: str) -> FailureStatus:
    plain = re.sub(r"[\s_-]+", "-", words.strip().lower())
    if "busy" in plain:
        return "busy"
    return "no-answer" if "no-answer" in plain or plain == "noanswer" else "failed"


_READERS: dict[str, Callable[[dict[str, Any]], Telling]] = {
    "post_call_transcription": _call_ended,
    "post_call_audio": _recording_arrived,
    "call_initiation_failure": _call_failed,
}


# Values


def _first(*values: K | None) -> K | None:
    """The first that says something; an empty text says nothing."""
    return next((value for value in values if value is not None and value != ""), None)


def _spoken(text: str | None) -> str | None:
    return (text or "").strip() or None


def _direction(word: str | None) -> Direction | None:
    """Twilio says outbound-api and outbound-dial, too."""
    plain = (word or "").strip().lower()
    return next((direction for direction in get_args(Direction) if plain.startswith(direction)), None)


def _dialled(digits: str | None) -> str | None:
    """WhatsApp leaves out the plus sign."""
    return f"+{digits}" if digits and digits.isascii() and digits.isdigit() else digits


def _time(moment: float | None) -> float | None:
    """Unix seconds, from seconds or milliseconds; None for what is no moment."""
    if moment is None or not 0 < moment < _LATEST_S * 1000:
        return None
    return moment if moment < _LATEST_S else moment / 1000


def _duration(seconds: float | None) -> float | None:
    return seconds if seconds is not None and 0 <= seconds <= _LONGEST_S else None


def _amount(value: float | None) -> float | None:
    return value if value is not None and abs(value) <= _MOST else None


def _object(value: Any) -> dict[str, Any] | None:
    return value if isinstance(value, dict) and value else None


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _rest(value: dict[str, Any], told: frozenset[str]) -> dict[str, Any] | None:
    """What else was said, nulls left out."""
    return {name: item for name, item in value.items() if item is not None and name not in told} or None
