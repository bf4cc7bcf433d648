"""What ElevenLabs remembers of conversations, in offhook's words: to be compared with what its webhooks brought.

https://elevenlabs.io/docs/api-reference/conversations, read 2026-10. One conversation has the shape of a transcription's
`data`. The list tells neither numbers nor whether there is a recording.
"""

from collections.abc import AsyncIterator
from typing import NamedTuple

import msgspec

from offhook.errors import TryLater
from offhook.voice import lenient
from offhook.voice.elevenlabs.api import ElevenLabs, NotThere, at
from offhook.voice.json_text import Unreadable
from offhook.voice.plain import decoded

#: The types of the events that bring the two halves of a call.
CONVERSATION, RECORDING = "post_call_transcription", "post_call_audio"

_CONVERSATIONS = "/v1/convai/conversations"
_END_OF_TIME = 253_402_300_800.0  #: unix; the calendar has no year 10,000
_UNDER_WAY = frozenset({"initiated", "in-progress", "processing"})  #: statuses; whatever else there is means: over


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation that ElevenLabs knows."""

    conversation_id: str
    agent_id: str | None = None
    began_at: float  #: unix
    ended_at: float  #: unix; as far as is known
    is_over: bool = True  #: it will not change any more
    has_recording: bool | None = None  #: None: not said


class Told(NamedTuple):
    """One conversation with all that was said in it."""

    known: Known
    data: bytes  #: JSON, as it came
    is_silent: bool  #: there is no turn in it


class _Summary(msgspec.Struct, frozen=True):
    conversation_id: str | None = None
    agent_id: str | None = None
    status: str | None = None
    start_time_unix_secs: float | None = None
    call_duration_secs: float | None = None


class _Times(msgspec.Struct, frozen=True):
    start_time_unix_secs: float | None = None
    call_duration_secs: float | None = None


class _Whole(msgspec.Struct, frozen=True):
    agent_id: str | None = None
    status: str | None = None
    has_audio: bool | None = None
    metadata: _Times | None = None


class _Privacy(msgspec.Struct, frozen=True):
    zero_retention_mode: bool | None = None
    retention_days: float | None = None


class History:
    """The conversations of one workspace. What it is asked raises as ElevenLabs (api.py) does."""

    def __init__(self, elevenlabs: ElevenLabs) -> None:
        self._elevenlabs = elevenlabs

    async def between(self, since: float, until: float) -> AsyncIterator[Known]:
        """Those that began then (unix), the newest first; while new ones come, one may come twice."""
        times = {"call_start_after_unix": int(since) - 1, "call_start_before_unix": int(until) + 1}
        async for item in self._elevenlabs.each(_CONVERSATIONS, "conversations", **times):
            summary = lenient.read(_Summary, item) or _Summary()
            if summary.conversation_id:
                yield _known(summary.conversation_id, summary.agent_id, summary.status, summary, None)

    async def conversation(self, conversation_id: str) -> Told:
        """All of it; NotThere when it was deleted."""
        data = await self._elevenlabs.read(_path(conversation_id))
        try:
            said = decoded(data)
        except Unreadable as error:
            raise TryLater("ElevenLabs answers with something that is no JSON.") from error
        whole = lenient.read(_Whole, said)
        if whole is None:
            raise TryLater("ElevenLabs answers with something that is no conversation.")
        known = _known(conversation_id, whole.agent_id, whole.status, whole.metadata or _Times(), whole.has_audio)
        return Told(known, data.strip(), not said.get("transcript"))

    def recording(self, conversation_id: str) -> AsyncIterator[bytes]:
        """Its MP3, piece by piece; NotThere when there is none."""
        return self._elevenlabs.stream(f"{_path(conversation_id)}/audio")

    async def keeps_nothing(self, agent_id: str) -> bool:
        """Whether the agent's conversations are gone as soon as they are over."""
        try:
            agent = await self._elevenlabs.get(at("/v1/convai/agents", agent_id))
        except NotThere:
            return False
        settings = agent.get("platform_settings") if isinstance(agent, dict) else None
        privacy = lenient.read(_Privacy, (settings or {}).get("privacy")) or _Privacy()
        return bool(privacy.zero_retention_mode) or privacy.retention_days == 0


class _HasAudio(msgspec.Struct, frozen=True):
    has_audio: bool | None = None


_details = msgspec.json.Decoder(_HasAudio)


def has_recording(details: str | None) -> bool | None:
    """Whether ElevenLabs has a recording of the call with these *details* (JSON, of store.tables.calls); None: not said."""
    try:
        return _details.decode(details).has_audio if details else None
    except msgspec.DecodeError:
        return None


def _path(conversation_id: str) -> str:
    return at(_CONVERSATIONS, conversation_id)


def _known(
    id: str, agent_id: str | None, status: str | None, times: _Summary | _Times, has_audio: bool | None
) -> Known:
    began_at = times.start_time_unix_secs or 0.0
    if not 0 <= began_at < _END_OF_TIME:
        began_at = 0.0
    return Known(
        conversation_id=id,
        agent_id=agent_id or None,
        began_at=began_at,
        ended_at=began_at + max(0.0, times.call_duration_secs or 0.0),
        is_over=status not in _UNDER_WAY,
        has_recording=has_audio,
    )
