"""What is fetched becomes events, as if a webhook had brought them: from here on they take the same way."""

import asyncio
from collections.abc import AsyncIterator, Callable

import msgspec

from offhook import events
from offhook.errors import GiveUp
from offhook.events import Event
from offhook.inbox import Inbox
from offhook.voice.body import Body, Intake
from offhook.voice.elevenlabs.envelope import FULL_AUDIO
from offhook.voice.elevenlabs.history import CONVERSATION, RECORDING, Known, Told
from offhook.voice.parts import Folders
from offhook.voice.told_audio import ToldAudio

_PIECE_BYTES = 256 * 1024


class Retrieving:
    """Files what ElevenLabs hands out. OSError or ComeBackLater when nothing here can keep it just now."""

    def __init__(self, inbox: Inbox, folders: Folders, now: Callable[[], float], *, limit_bytes: int) -> None:
        """*limit_bytes*: as for what webhooks bring, without its recording."""
        self._inbox = inbox
        self._folders = folders
        self._now = now
        self._limit_bytes = limit_bytes

    async def file_conversation(self, org_id: str, told: Told) -> None:
        intake = Intake(self._folders, self._limit_bytes, FULL_AUDIO)
        try:
            await asyncio.to_thread(_feed, intake, told.data)
            await self._file(intake, org_id, CONVERSATION, told.known)
        finally:
            await asyncio.to_thread(intake.discard)

    async def file_recording(self, org_id: str, known: Known, pieces: AsyncIterator[bytes]) -> None:
        """GiveUp when there is nothing in it."""
        intake = Intake(self._folders, self._limit_bytes, FULL_AUDIO)
        try:
            told = ToldAudio(intake, _before_audio(known), b'"}}')
            async for piece in pieces:
                await told.take(piece)
            if not told.size_bytes:
                raise GiveUp("the recording is empty.")
            await told.finish()
            await self._file(intake, org_id, RECORDING, known)
        finally:
            await asyncio.to_thread(intake.discard)

    async def _file(self, intake: Intake, org_id: str, type: str, known: Known) -> None:
        body = await asyncio.to_thread(intake.finish)
        await asyncio.to_thread(intake.keep)
        filed = await self._inbox.file(self._event(body, org_id, type, known))
        if not filed.is_new:
            await asyncio.to_thread(intake.take_back)

    def _event(self, body: Body, org_id: str, type: str, known: Known) -> Event:
        """Without a time of its own: whatever a webhook says of the call counts for more."""
        too_large = "The body without its audio is larger than OFFHOOK_BODY_LIMIT_MIB allows."
        return Event(
            id=events.event_id(org_id, body.sha256),
            org_id=org_id,
            type=type,
            source="reconciled",
            proof="none",
            sha256=body.sha256,
            size_bytes=body.size_bytes,
            received_at=self._now(),
            body=body.inline,
            parts=body.parts,
            audio=body.audio,
            conversation_id=known.conversation_id,
            call_id=events.call_id(org_id, known.conversation_id),
            agent_id=known.agent_id,
            status="quarantined" if body.is_over_limit else "pending",
            reason=too_large if body.is_over_limit else None,
        )


def _feed(intake: Intake, data: bytes) -> None:
    intake.feed(b'{"type":"%s","data":' % CONVERSATION.encode())
    for begin in range(0, len(data), _PIECE_BYTES):
        intake.feed(data[begin : begin + _PIECE_BYTES])
    intake.feed(b"}")


def _before_audio(known: Known) -> bytes:
    data = {"agent_id": known.agent_id, "conversation_id": known.conversation_id}
    said = msgspec.json.encode({"type": RECORDING, "data": data})
    return said[:-2] + b',"full_audio":"'
