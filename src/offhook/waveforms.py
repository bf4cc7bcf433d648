"""The waveform of a recording: counted once, in a process of its own (voice/loudness.py), kept beside the recording.

What cannot be decoded is kept as such, with the reason, and is not tried again; the pages draw the transcript's turns then.
"""

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable
from pathlib import Path

import msgspec

from offhook.ledger import Outcome
from offhook.logs import log
from offhook.store import recordings
from offhook.store.database import Database
from offhook.store.effects import Effect
from offhook.voice import loudness
from offhook.voice.loudness import Loudness

WITHIN_S = 300.0  #: by the clock; a busy machine takes longer than its processor time
_ENVIRONMENT = (
    "PATH",
    "LANG",
    "LC_ALL",
    "TMPDIR",
)  #: all that it is told of ours: our secrets are none of its business


class Waveforms:
    """Brings about effects of the kind waveform."""

    def __init__(
        self,
        database: Database,
        folder: Path,
        now: Callable[[], float],
        command: Callable[[Path], tuple[str, ...]] = loudness.command,
    ) -> None:
        """*folder*: where recordings lie; *command*: what measures a file, given only to be made to fail."""
        self._database = database
        self._folder = folder
        self._now = now
        self._command = command

    async def draw(self, effect: Effect) -> Outcome:
        """Of the recording that *effect* names."""
        recording_id = str(effect.payload.get("recording"))
        kept = await self._database.read(recordings.find, recording_id)
        if kept is None or kept.state != "ready":
            return Outcome("suppressed", "The recording is no longer here, or is no MP3.")
        if await self._database.read(recordings.has_peaks, recording_id, loudness.VERSION):
            return Outcome("done", "It was drawn already.")
        found = await self._measured(self._folder / kept.file)
        await self._database.write(
            recordings.keep_peaks,
            recording_id,
            version=loudness.VERSION,
            peaks=bytes.fromhex(found.peaks) if found.peaks is not None else None,
            duration_s=found.duration_s,
            failure=found.failure,
            now=self._now(),
        )
        return Outcome("done", found.failure or "It is drawn.")

    async def _measured(self, path: Path) -> Loudness:
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))  # it finds what we found
        process = await asyncio.create_subprocess_exec(
            *self._command(path), stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL, env=environment
        )
        try:
            async with asyncio.timeout(WITHIN_S - 10):
                said, _ = await process.communicate()
        except TimeoutError:
            return Loudness(failure=f"It could not be decoded within {WITHIN_S - 10:.0f} s.")
        finally:
            await _ended(process)
        if process.returncode:
            log.warning("waveform.failed", file=path.name, exit_code=process.returncode)
            return Loudness(failure="The decoder broke down over it.")
        return msgspec.json.decode(said, type=Loudness)


async def _ended(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()
