"""The recording of a call that a program told us of, fetched from the address that it named instead of sending it.

What comes is filed as an event of the same call, so that replay needs nobody's server to be there still. Fetched twice, after
a crash, it is the same bytes and so the same event.
"""

import asyncio
import ssl
from collections.abc import Callable

import msgspec

from offhook import outgoing
from offhook.errors import ComeBackLater, GiveUp, TryLater
from offhook.events import INGEST_RECORDING, Event, event_id
from offhook.inbox import Inbox
from offhook.ledger import Outcome
from offhook.outgoing import Reach
from offhook.sealing import KeyRing
from offhook.store import events as event_rows
from offhook.store.database import Database
from offhook.store.effects import Effect
from offhook.voice import external
from offhook.voice.body import Body, Intake
from offhook.voice.parts import Folders
from offhook.voice.told_audio import ToldAudio

WITHIN_S = 300.0
_REST_BYTES = 1 << 20  #: what the body has beside the recording is an address


class Fetching:
    """Brings about effects of the kind fetch_recording."""

    def __init__(
        self,
        database: Database,
        keys: KeyRing,
        folders: Folders,
        inbox: Inbox,
        now: Callable[[], float],
        *,
        reach: Reach,
        limit_bytes: int,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._database = database
        self._keys = keys
        self._folders = folders
        self._inbox = inbox
        self._now = now
        self._reach = reach
        self._limit_bytes = limit_bytes
        self._tls = tls

    async def fetch_recording(self, effect: Effect) -> Outcome:
        """The event that *effect* names says where."""
        row = await self._database.read(event_rows.find, str(effect.payload.get("event")))
        if row is None:
            return Outcome("suppressed", "The event that said where the recording is, is no longer here.")
        event = event_rows.opened(event_rows.event_of(row), self._keys)
        url = external.recording_url(external.read_ingested(event.body))
        if url is None:
            return Outcome("suppressed", "There is nothing to fetch.")
        intake = Intake(self._folders, _REST_BYTES, external.RECORDING)
        try:
            size_bytes = await self._take_in(intake, event, url)
            body = await asyncio.to_thread(intake.finish)
            _must_be_mp3(body)
            await self._file(intake, body, event)
        except (OSError, ComeBackLater) as error:
            raise TryLater(f"The recording cannot be kept just now: {error}.") from error
        finally:
            await asyncio.to_thread(intake.discard)
        return Outcome("done", f"{size_bytes} bytes were fetched.")

    async def _take_in(self, intake: Intake, event: Event, url: str) -> int:
        """What comes, as if it had been sent to us: as base64 in a JSON body."""
        said = msgspec.json.encode({"event": event.id, "url": url})
        told = ToldAudio(intake, said[:-1] + b',"recording":"', b'"}')
        size_bytes = await outgoing.fetch(
            url, told.take, reach=self._reach, limit_bytes=self._limit_bytes, within_s=WITHIN_S, tls=self._tls
        )
        await told.finish()
        return size_bytes

    async def _file(self, intake: Intake, body: Body, told: Event) -> None:
        await asyncio.to_thread(intake.keep)
        event = Event(
            id=event_id(told.org_id, body.sha256),
            org_id=told.org_id,
            type=INGEST_RECORDING,
            source="ingest",
            proof="none",
            sha256=body.sha256,
            size_bytes=body.size_bytes,
            received_at=self._now(),
            body=body.inline,
            parts=body.parts,
            audio=body.audio,
            conversation_id=told.conversation_id,
            call_id=told.call_id,
        )
        filed = await self._inbox.file(event)
        if not filed.is_new:
            await asyncio.to_thread(intake.take_back)


def _must_be_mp3(body: Body) -> None:
    """What an address leads to may be anything, a page that says that the link has expired first of all."""
    if body.audio is None or body.audio.duration_s is None:
        raise GiveUp("What is there is no MP3.")
