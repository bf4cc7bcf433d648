"""Calls that were held elsewhere and that a program tells us of: POST /api/calls/ingest. The words are offhook's own API."""

import math
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from offhook.voice import json_text
from offhook.voice.contract import CallEnded, CallFailed, Direction, RecordingArrived, Telling, Turn
from offhook.voice.place import Place
from offhook.voice.plain import decoded

_LONGEST_S = 366 * 86_400
_LATEST_S = 1e11  #: the year 5138; larger is milliseconds
_LONGEST_URL_BYTES = 8192
_AGENT, _USER = "agent", "user"
_ROLES = dict.fromkeys(
    ("agent", "assistant", "ai", "bot", "system", "representative", "operator"), _AGENT
) | dict.fromkeys(("user", "caller", "customer", "human", "client", "contact", "person"), _USER)

_Number = Annotated[str, Meta(min_length=1, max_length=256, description="In any spelling, or as the carrier said it.")]
_Id = Annotated[str, Meta(min_length=1, max_length=256)]
_Name = Annotated[str, Meta(max_length=200)]


class SaidTurn(msgspec.Struct, kw_only=True):
    """One turn of the conversation."""

    role: Annotated[str | None, Meta(description="agent or user; assistant, caller and the like are read so.")] = None
    message: str | None = None
    timestamp: Annotated[float | None, Meta(description="Seconds since the start.")] = None


class IngestedCall(msgspec.Struct, rename="camel", kw_only=True):
    """A call that is over. What is not listed here is ignored."""

    direction: Direction
    from_number: _Number
    to_number: _Number
    duration: Annotated[float, Meta(ge=0, le=_LONGEST_S, description="Seconds.")]
    status: Literal["completed", "no-answer", "busy", "failed"]
    transcript: Annotated[
        list[SaidTurn] | str | None, Meta(description="Turns, or a text whose lines begin with who speaks, like Agent:")
    ] = None
    summary: str | None = None
    recording: Annotated[
        str | None, Meta(description="MP3 as base64, as a data: URI, or the https address where it can be fetched.")
    ] = None
    external_call_id: Annotated[_Id | None, Meta(description="Yours; the same again is the same call.")] = None
    agent_name: _Name | None = None
    metadata: Annotated[dict[str, Any] | None, Meta(description="Kept with the call, as its details.")] = None
    contact_name: Annotated[_Name | None, Meta(description="Names the contact, if it has no name yet.")] = None
    call_start_time: Annotated[
        Annotated[datetime, Meta(tz=True)] | float | None,
        Meta(description="ISO 8601 with an offset or Z, or unix seconds."),
    ] = None

    @property
    def started_at(self) -> float | None:
        """Unix seconds; None for what is no moment."""
        given = self.call_start_time
        at = given.timestamp() if isinstance(given, datetime) else given
        if at is None or not math.isfinite(at) or not 0 < at < _LATEST_S * 1000:
            return None
        return at if at < _LATEST_S else at / 1000


def read_ingested(body: bytes) -> IngestedCall:
    """The call in *body*; Unreadable when it is no JSON, msgspec.ValidationError when it is no such call."""
    return msgspec.convert(decoded(body), IngestedCall)


def recording_url(call: IngestedCall) -> str | None:
    """Where the recording is to be fetched; None when it came along, or there is none."""
    said = (call.recording or "").strip()
    return said if said.lower().startswith(("https:", "http:")) else None


def told(type: str, body: bytes) -> Telling:
    """What an event of ours says of its call, in the words of every provider."""
    if type != "ingest":
        return RecordingArrived()
    call = read_ingested(body)
    return _ended(call) if call.status == "completed" else _failed(call)


def _ended(call: IngestedCall) -> CallEnded:
    is_outbound = call.direction == "outbound"
    return CallEnded(
        agent_name=_spoken(call.agent_name),
        has_failed=False,
        channel="phone",
        direction=call.direction,
        person=call.to_number if is_outbound else call.from_number,
        ours=call.from_number if is_outbound else call.to_number,
        started_at=call.started_at,
        duration_s=call.duration,
        summary=_spoken(call.summary),
        transcript=_turns(call.transcript),
        details=_details(call),
        contact_name=_spoken(call.contact_name),
        recording_url=recording_url(call),
    )


def _failed(call: IngestedCall) -> CallFailed:
    assert call.status != "completed"
    return CallFailed(
        agent_name=_spoken(call.agent_name),
        status=call.status,
        direction=call.direction,
        caller=call.from_number,
        called=call.to_number,
        started_at=call.started_at,
        duration_s=call.duration,
        details=_details(call),
        contact_name=_spoken(call.contact_name),
        recording_url=recording_url(call),
    )


def _details(call: IngestedCall) -> dict[str, Any] | None:
    """What has no place of its own: of a call that was not completed also what was said."""
    told: dict[str, Any] = {"metadata": call.metadata} if call.metadata else {}
    if call.status != "completed":
        said = {"summary": _spoken(call.summary), "transcript": _turns(call.transcript)}
        told |= {name: value for name, value in said.items() if value}
    return told or None


def _turns(transcript: list[SaidTurn] | str | None) -> list[Turn] | None:
    if isinstance(transcript, str):
        return _turns_of_text(transcript)
    if transcript is None:
        return None
    return [Turn(role=_role(turn.role), message=turn.message, timestamp=turn.timestamp) for turn in transcript]


def _turns_of_text(text: str) -> list[Turn] | None:
    """A line that names no speaker goes on with what the last one said."""
    turns: list[tuple[str | None, list[str]]] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        speaker, colon, words = line.partition(":")
        role = _ROLES.get(speaker.strip().lower()) if colon else None
        if role is not None:
            turns.append((role, [words.strip()]))
        elif turns:
            turns[-1][1].append(line)
        else:
            turns.append((None, [line]))
    return [Turn(role=role, message=" ".join(filter(None, said)), timestamp=None) for role, said in turns] or None


def _role(word: str | None) -> str | None:
    plain = (word or "").strip()
    return _ROLES.get(plain.lower(), plain) or None


def _spoken(text: str | None) -> str | None:
    return (text or "").strip() or None


# On its way in


class _Top(msgspec.Struct):
    recording: msgspec.Raw = msgspec.Raw(b"null")


_TOP = msgspec.json.Decoder(_Top)
_TEXT = msgspec.json.Decoder(str)


def _recording_text(body: bytes) -> bytes:
    """What stands between the quotes of `recording`, escapes and all; empty for an address, which stays in the body."""
    raw = bytes(json_text.decode(body, _TOP).recording)
    if not raw.startswith(b'"') or _is_address(raw):
        return b""
    return raw[1:-1]


def _is_address(raw: bytes) -> bool:
    if len(raw) > _LONGEST_URL_BYTES:
        return False
    return json_text.decode(raw, _TEXT).strip().lower().startswith(("https:", "http:"))


#: Where calls that a program tells us of have their recording.
RECORDING = Place(b"recording", _recording_text)
