"""What ElevenLabs says about a call: the personalization request and the three post-call events, with every block.

Field names as in the official SDK's types (elevenlabs 2.78, `GetConversationResponseModel` and below), which the
documentation names as the schema of a transcription's `data`; the failures as in its "Metadata object structure".
https://elevenlabs.io/docs/eleven-agents/workflows/post-call-webhooks, read 2026-10.
"""

import base64
import random
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from offhook.phone import country_of
from offhook.simulator.calls import Attempt, Call, Line, Moment, random_of
from offhook.simulator.scenarios import Finding, Tool, Verdict

Json = dict[str, Any]

_LLM = "gemini-2.5-flash"
_VOICE_ID = "cjVigY5qzO86Huf0OWal"
_CREDITS_A_MINUTE = 600
_USD_A_MINUTE = 0.08
_KEEP_S = 730 * 86_400


def personalization(call: Call) -> Json:
    """What ElevenLabs asks while the caller still hears the ringing tone."""
    return {
        "caller_id": _shown_number(call),
        "agent_id": call.line.agent_id,
        "called_number": call.scenario.business.number,
        "call_sid": call.line.call_sid,
        "conversation_id": call.line.conversation_id,
    }


def transcription(call: Call, sent_at: int, tool_secret: str, greeting: Json | None = None) -> Json:
    """The post_call_transcription event.

    *tool_secret* shows up where it does in life: in the headers of the agent's tool calls. *greeting* is the answer to
    the personalization request; its variables come back in the event.
    """
    return {
        "type": "post_call_transcription",
        "event_timestamp": sent_at,
        "data": _conversation(call, tool_secret, greeting),
    }


def audio(call: Call, sent_at: int) -> Json:
    """The post_call_audio event."""
    data = {
        "agent_id": call.line.agent_id,
        "conversation_id": call.line.conversation_id,
        "full_audio": base64.b64encode(call.spoken.mp3).decode(),
    }
    return {"type": "post_call_audio", "event_timestamp": sent_at, "data": data}


def failure(attempt: Attempt, sent_at: int) -> Json:
    """The call_initiation_failure event."""
    is_twilio = attempt.failure.carrier == "twilio"
    metadata = (
        {"type": "twilio", "body": _twilio_status_callback(attempt)}
        if is_twilio
        else {"type": "sip", "body": _sip_failure(attempt)}
    )
    data = {
        "agent_id": attempt.line.agent_id,
        "conversation_id": attempt.line.conversation_id,
        "failure_reason": attempt.failure.reason,
        "metadata": metadata,
    }
    return {"type": "call_initiation_failure", "event_timestamp": sent_at, "data": data}


def _conversation(call: Call, tool_secret: str, greeting: Json | None) -> Json:
    dice = random_of(call.seed, "conversation")
    turns = [_turn(call, number, moment, tool_secret, dice) for number, moment in enumerate(call.moments)]
    return {
        "agent_id": call.line.agent_id,
        "agent_name": f"{call.scenario.business.agent_name}, {call.scenario.business.name}",
        "conversation_product": None,
        "conversation_id": call.line.conversation_id,
        "status": "done",
        "user_id": None,
        "branch_id": None,
        "version_id": "agtvrsn_" + call.line.agent_id.removeprefix("agent_"),
        "transcript": turns,
        "metadata": _metadata(call, dice),
        "analysis": _analysis(call),
        "conversation_initiation_client_data": _initiation(call, greeting),
        "visited_agents": [{"agent_id": call.line.agent_id, "branch_id": None}],
        "user_message_count": sum(turn["role"] == "user" for turn in turns),
        "agent_message_count": sum(turn["role"] == "agent" for turn in turns),
        "tag_ids": [],
        "environment": "production",
        "has_audio": True,
        "has_user_audio": True,
        "has_response_audio": True,
        "has_auxiliary_audio": False,
    }


def _turn(call: Call, number: int, moment: Moment, tool_secret: str, dice: random.Random) -> Json:
    turn, is_agent = moment.turn, moment.turn.role == "agent"
    request_id = f"{call.line.conversation_id}-{number}"
    return {
        "role": turn.role,
        "agent_metadata": _agent_metadata(call.line) if is_agent else None,
        "message": turn.words,
        "multivoice_message": None,
        "tool_calls": [_tool_call(call, turn.tool, request_id, tool_secret)] if turn.tool else [],
        "tool_results": [_tool_result(turn.tool, request_id)] if turn.tool else [],
        "feedback": None,
        "llm_override": None,
        "producing_llm": _LLM if is_agent and number else None,
        "time_in_call_secs": int(moment.starts_s),
        "conversation_turn_metrics": _agent_metrics(dice) if is_agent else _caller_metrics(dice),
        "rag_retrieval_info": None,
        "llm_usage": _llm_usage(dice, number) if is_agent and number else None,
        "interrupted": turn.is_interrupted,
        "ignored_as_backchannel": False,
        "original_message": None,
        "source_medium": None if is_agent else "audio",
        "file_input": None,
        "created_at_unix_ms": round((call.started_at + moment.starts_s) * 1000),
    }


def _agent_metadata(line: Line) -> Json:
    return {"agent_id": line.agent_id, "branch_id": None, "workflow_node_id": None}


def _agent_metrics(dice: random.Random) -> Json:
    elapsed_s = {
        "convai_llm_service_ttfb": dice.uniform(0.25, 0.7),
        "convai_llm_service_ttf_sentence": dice.uniform(0.4, 0.9),
        "convai_tts_service_ttfb": dice.uniform(0.08, 0.2),
    }
    return _metrics(elapsed_s) | {"convai_tts_model": "eleven_flash_v2_5", "voice_id": _VOICE_ID}


def _caller_metrics(dice: random.Random) -> Json:
    elapsed_s = {"convai_asr_trailing_service_latency": dice.uniform(0.05, 0.25)}
    return _metrics(elapsed_s) | {"convai_asr_provider": "elevenlabs"}


def _metrics(elapsed_s: dict[str, float]) -> Json:
    return {"metrics": {name: {"elapsed_time": value} for name, value in elapsed_s.items()}}


def _llm_usage(dice: random.Random, number: int) -> Json:
    counts = {
        "input": dice.randint(180, 900),
        "input_cache_read": 640 + 90 * number,
        "input_cache_write": 0,
        "output_total": dice.randint(12, 70),
    }
    return {"model_usage": {_LLM: {kind: {"tokens": n, "price": n * 3e-07} for kind, n in counts.items()}}}


def _tool_call(call: Call, tool: Tool, request_id: str, tool_secret: str) -> Json:
    return {
        "type": tool.kind,
        "request_id": request_id,
        "tool_name": tool.name,
        "tool_id": None if tool.kind == "system" else f"tool_{tool.name}",
        "params_as_json": _text(tool.asks),
        "tool_has_been_called": True,
        "tool_details": _tool_details(call, tool, tool_secret),
    }


def _tool_details(call: Call, tool: Tool, tool_secret: str) -> Json | None:
    if tool.kind == "system":
        return None
    if tool.kind == "client":
        return {"type": "client", "parameters": _text(tool.asks)}
    return {
        "type": "webhook",
        "method": "POST",
        "url": f"https://example.com/tools/{tool.name}",
        "headers": {"Content-Type": "application/json", "Authorization": f"Bearer {tool_secret}"},
        "path_params": {},
        "query_params": {},
        "body": _text(tool.asks | {"conversation_id": call.line.conversation_id}),
    }


def _tool_result(tool: Tool, request_id: str) -> Json:
    is_error = tool.answers.get("success") is False
    result: Json = {
        "type": tool.kind,
        "request_id": request_id,
        "tool_name": tool.name,
        "tool_id": f"__system_{tool.name}" if tool.kind == "system" else f"tool_{tool.name}",
        "result_value": _text(tool.answers),
        "is_error": is_error,
        "is_blocked": False,
        "tool_has_been_called": True,
        "tool_latency_secs": tool.takes_s,
        "error_type": "tool_error" if is_error else None,
        "raw_error_message": tool.answers.get("error"),
        "dynamic_variable_updates": [],
    }
    return result | {"result": _system_result(tool)} if tool.kind == "system" else result


def _system_result(tool: Tool) -> Json:
    result_type = {"end_call": "end_call_success", "transfer_to_number": "transfer_to_number_twilio_success"}[tool.name]
    return {"result_type": result_type} | tool.answers


def _metadata(call: Call, dice: random.Random) -> Json:
    scenario, minutes = call.scenario, call.spoken.duration_s / 60
    call_charge, llm_charge, llm_price = (
        round(minutes * _CREDITS_A_MINUTE),
        dice.randint(20, 90),
        dice.uniform(0.001, 0.006),
    )
    return {
        "start_time_unix_secs": call.started_at,
        "accepted_time_unix_secs": call.started_at,
        "call_duration_secs": round(call.spoken.duration_s),
        "queue_wait_secs": None,
        "cost": call_charge + llm_charge,
        "cost_fiat": round(minutes * _USD_A_MINUTE + llm_price, 6),
        "deletion_settings": _deletion_settings(call),
        "feedback": _feedback(scenario.rating),
        "authorization_method": "authorization_header",
        "charging": _charging(call, call_charge, llm_charge, llm_price),
        "phone_call": _phone_call(call),
        "batch_call": _batch_call(call.line) if scenario.is_in_batch else None,
        "termination_reason": scenario.termination_reason,
        "error": None,
        "warnings": [],
        "main_language": scenario.business.language,
        "rag_usage": None,
        "text_only": False,
        "features_usage": _features_usage(scenario.turns[-1].tool),
        "eleven_assistant": None,
        "initiator_id": None,
        "conversation_initiation_source": "twilio" if scenario.business.carrier == "twilio" else "sip_trunk",
        "conversation_initiation_source_version": None,
        "timezone": scenario.business.timezone,
        "async_metadata": None,
        "whatsapp": None,
        "sms": None,
        "agent_created_from": "ui",
        "agent_last_updated_from": "ui",
    }


def _deletion_settings(call: Call) -> Json:
    return {
        "deletion_time_unix_secs": call.started_at + _KEEP_S,
        "deleted_logs_at_time_unix_secs": None,
        "deleted_audio_at_time_unix_secs": None,
        "deleted_transcript_at_time_unix_secs": None,
        "delete_transcript_and_pii": True,
        "delete_audio": True,
    }


def _feedback(rating: int | None) -> Json:
    kind = None if rating is None else "rating"
    return {"type": kind, "overall_score": None, "likes": 0, "dislikes": 0, "rating": rating, "comment": None}


def _charging(call: Call, call_charge: int, llm_charge: int, llm_price: float) -> Json:
    usage = {"model_usage": {_LLM: {"input": {"tokens": 6400, "price": llm_price}, "output_total": {"tokens": 310}}}}
    agent_s = sum(moment.lasts_s for moment in call.moments if moment.turn.role == "agent")
    characters = sum(len(turn.words) for turn in call.scenario.turns if turn.role == "agent")
    return {
        "dev_discount": False,
        "is_burst": False,
        "tier": "business",
        "llm_usage": {"irreversible_generation": usage, "initiated_generation": usage},
        "llm_price": llm_price,
        "llm_charge": llm_charge,
        "call_charge": call_charge,
        "free_minutes_consumed": 0.0,
        "free_llm_dollars_consumed": 0.0,
        "tts_usage": {
            "primary_tts_model": "eleven_flash_v2_5",
            "total_audio_output_seconds": agent_s,
            "total_characters": characters,
            "per_voice_usage": [{"voice_id": _VOICE_ID, "audio_output_seconds": agent_s}],
        },
        "asr_usage": {"asr_model": "scribe_v2_realtime", "total_audio_input_seconds": call.spoken.duration_s},
    }


def _phone_call(call: Call) -> Json:
    scenario, line = call.scenario, call.line
    known = {
        "direction": scenario.direction,
        "phone_number_id": line.phone_number_id,
        "agent_number": scenario.business.number,
        "external_number": _shown_number(call),
        "call_result": "answered",
        "call_sid": line.call_sid,
    }
    if scenario.business.carrier == "twilio":
        return {"type": "twilio", "stream_sid": "MZ" + line.call_sid.removeprefix("CA")} | known
    return {
        "type": "sip_trunking",
        "call_id": line.call_sid.removeprefix("SCL_"),
        "sip_header_dynamic_variables": {},
    } | known


def _batch_call(line: Line) -> Json:
    drawn = line.conversation_id.removeprefix("conv_")
    return {
        "batch_call_id": f"btcal_{line.agent_id[-12:]}",
        "batch_call_recipient_id": f"rcpt_{drawn}",
        "campaign": None,
    }


def _features_usage(last_tool: Tool | None) -> Json:
    def feature(*, enabled: bool, used: bool = False) -> Json:
        return {"enabled": enabled, "used": used}

    has_transferred = last_tool is not None and last_tool.name == "transfer_to_number"
    return {
        "language_detection": feature(enabled=False),
        "transfer_to_agent": feature(enabled=False),
        "transfer_to_number": feature(enabled=True, used=has_transferred),
        "multivoice": feature(enabled=False),
        "dtmf_tones": feature(enabled=False),
        "external_mcp_servers": feature(enabled=False),
        "pii_zrm_workspace": False,
        "pii_zrm_agent": False,
        "tool_dynamic_variable_updates": feature(enabled=False),
        "is_livekit": False,
        "voicemail_detection": feature(enabled=True),
    }


def _analysis(call: Call) -> Json:
    scenario = call.scenario
    verdicts = {name: _verdict(name, verdict) for name, verdict in scenario.criteria.items()}
    findings = {name: _finding(name, finding) for name, finding in scenario.collected.items()}
    return {
        "evaluation_criteria_results": verdicts,
        "data_collection_results": findings,
        "evaluation_criteria_results_list": list(verdicts.values()),
        "data_collection_results_list": list(findings.values()),
        "call_successful": "success" if scenario.is_successful else "failure",
        "transcript_summary": scenario.summary,
        "call_summary_title": scenario.title,
    }


def _verdict(name: str, verdict: Verdict) -> Json:
    return {"criteria_id": name, "result": verdict.result, "rationale": verdict.rationale}


def _finding(name: str, finding: Finding) -> Json:
    return {
        "data_collection_id": name,
        "value": finding.value,
        "json_schema": {
            "type": finding.type,
            "description": name.replace("_", " "),
            "enum": None,
            "is_system_provided": False,
            "dynamic_variable": "",
            "constant_value": "",
        },
        "rationale": finding.rationale,
    }


def _initiation(call: Call, greeting: Json | None) -> Json:
    told = (greeting or {}).get("dynamic_variables", {})
    return {
        "conversation_config_override": {
            "asr": None,
            "turn": None,
            "tts": None,
            "conversation": None,
            "agent": {"first_message": None, "language": call.scenario.business.language, "prompt": None},
        },
        "custom_llm_extra_body": {},
        "user_id": None,
        "source_info": {"source": None, "version": None},
        "branch_id": None,
        "environment": None,
        "dynamic_variables": told | _system_variables(call),
    }


def _system_variables(call: Call) -> Json:
    scenario, line = call.scenario, call.line
    caller, called = _shown_number(call), scenario.business.number
    if scenario.direction == "outbound":
        caller, called = called, caller
    ended = datetime.fromtimestamp(call.ended_at, UTC)
    agent_turns = sum(turn.role == "agent" for turn in scenario.turns)
    return {
        "system__agent_id": line.agent_id,
        "system__current_agent_id": line.agent_id,
        "system__conversation_id": line.conversation_id,
        "system__call_sid": line.call_sid,
        "system__caller_id": caller,
        "system__called_number": called,
        "system__call_duration_secs": round(call.spoken.duration_s),
        "system__time_utc": ended.isoformat(),
        "system__time": ended.astimezone(ZoneInfo(scenario.business.timezone)).strftime("%A, %H:%M %d %B %Y"),
        "system__timezone": scenario.business.timezone,
        "system__agent_turns": agent_turns,
        "system__current_agent_turns": agent_turns,
        "system__is_text_only": False,
    }


def _twilio_status_callback(attempt: Attempt) -> Json:
    """https://www.twilio.com/docs/voice/api/call-resource#statuscallback, read 2026-10: a form, hence strings only."""
    us, them = attempt.failure.business.number, attempt.failure.person.number
    return {
        "AccountSid": attempt.line.account_sid,
        "ApiVersion": "2010-04-01",
        "CallDuration": "0",
        "CallSid": attempt.line.call_sid,
        "CallStatus": attempt.failure.reason,
        "CallbackSource": "call-progress-events",
        "Called": them,
        "CalledCountry": country_of(them),
        "Caller": us,
        "CallerCountry": country_of(us),
        "Direction": "outbound-api",
        "Duration": "0",
        "From": us,
        "FromCountry": country_of(us),
        "SequenceNumber": "0",
        "SipResponseCode": str(attempt.failure.sip_status_code),
        "Timestamp": format_datetime(datetime.fromtimestamp(attempt.started_at, UTC)),
        "To": them,
        "ToCountry": country_of(them),
    }


def _sip_failure(attempt: Attempt) -> Json:
    return {
        "from_number": attempt.failure.business.number,
        "to_number": attempt.failure.person.number,
        "sip_status_code": attempt.failure.sip_status_code,
        "sip_status": attempt.failure.sip_reason,
        "error_reason": f"INVITE failed: sip status: {attempt.failure.sip_status_code}: {attempt.failure.sip_reason}",
        "call_sid": attempt.line.call_sid,
        "twirp_code": "unavailable",
    }


def _shown_number(call: Call) -> str:
    return "anonymous" if call.scenario.is_withheld else call.scenario.person.number


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()
