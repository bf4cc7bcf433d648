"""Where events are read: a process of its own (reader.py) that may hang, eat memory or die.

Whatever becomes of it, it is killed and started again. It is asked over one pipe and answers over another.
"""

import asyncio
import contextlib
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence

from offhook.errors import Fault, OffhookError
from offhook.projection.reader import FRAME_LENGTH, OUT_OF_MEMORY, STARTED, Done, Failed, read_answer

_START_S = 20.0
_LAST_WORDS_S = 1.0
_LONGEST_PATIENCE_S = 1.0
_MAX_ANSWER_BYTES = 256 << 20
_AHEAD_BYTES = 1 << 20  #: of answers that wait to be taken
#: All that it is told of our environment: our secrets are none of its business.
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "TMPDIR")


class Lost(OffhookError):
    """The process that reads events did not answer."""


class Sandbox:
    """One such process, started when it is first needed, and another in reserve once it was lost. One user at a time."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._process: Process | None = None
        self._reserve: asyncio.Task[Process] | None = None
        self._needs_reserve = False
        self._started_in_s = 0.0

    @property
    def patience_s(self) -> float:
        """How long one answer may well take on this machine just now: no longer than the last start, of whose work it is a
        hundredth. Where others have the processor, both take long."""
        return min(self._started_in_s, _LONGEST_PATIENCE_S)

    async def ready(self) -> None:
        """Started, if it was not; Fault when that cannot be done, which is nobody's fault who wants to ask."""
        if self._process is not None and self._process.returncode is None:
            return
        reserve, self._reserve = self._reserve, None
        try:
            self._process = await (reserve or self._start())
        except (OSError, Lost) as error:
            raise Fault(f"The process that reads events cannot be started: {error}") from error
        if self._needs_reserve:
            self._reserve = asyncio.create_task(self._start())

    async def ask(self, question: bytes, answers: int, within_s: float) -> list[bytes | Lost]:
        """The *answers* to *question*, each no more than *within_s* seconds after the one before.

        The first that does not come is Lost, with a sentence, and the last of the list: the process is gone by then.
        """
        await self.ready()
        assert self._process is not None
        assert self._process.stdin is not None
        heard: list[bytes | Lost] = []
        try:
            self._process.stdin.write(_framed(question))
            while len(heard) < answers:
                heard.append(await _next_frame(self._process, within_s))
        except Lost as lost:
            heard.append(lost)
            self._needs_reserve = True
            await self._end()
        except BaseException:
            await self._end()  # answers that are still to come must not be taken for those to the next question
            raise
        return heard

    async def close(self) -> None:
        """End it, and the one in reserve."""
        await self._end()
        reserve, self._reserve = self._reserve, None
        if reserve is not None:
            with contextlib.suppress(OSError, Lost):
                await _ended(await reserve)

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            await _ended(process)

    async def _start(self) -> Process:
        begun = time.monotonic()
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))  # it finds what we found
        process = await asyncio.create_subprocess_exec(
            *self._command, stdin=PIPE, stdout=PIPE, env=environment, limit=_AHEAD_BYTES
        )
        try:
            if await _next_frame(process, _START_S) == STARTED:
                self._started_in_s = time.monotonic() - begun
                return process
            raise Lost("It says something else than that it has started.")
        except BaseException:
            await _ended(process)
            raise


async def _ended(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()


def reading(answer: bytes | Lost) -> Done | Failed:
    """What an answer says; the loss of one is a failure to read."""
    return Failed(answer.message) if isinstance(answer, Lost) else read_answer(answer)


def _framed(content: bytes) -> bytes:
    return FRAME_LENGTH.pack(len(content)) + content


async def _next_frame(process: Process, within_s: float) -> bytes:
    assert process.stdout is not None
    try:
        async with asyncio.timeout(within_s):
            (length,) = FRAME_LENGTH.unpack(await process.stdout.readexactly(FRAME_LENGTH.size))
            if length > _MAX_ANSWER_BYTES:
                raise Lost(f"What was read of it is larger than {_MAX_ANSWER_BYTES >> 20} MiB.")
            return await process.stdout.readexactly(length)
    except TimeoutError:
        raise Lost(f"It could not be read within {within_s:.3g} s.") from None
    except (asyncio.IncompleteReadError, ConnectionError):
        raise Lost(await _last_words(process)) from None


async def _last_words(process: Process) -> str:
    try:
        exit_code = await asyncio.wait_for(process.wait(), _LAST_WORDS_S)
    except TimeoutError:
        return "The process that read it stopped answering."
    if exit_code == OUT_OF_MEMORY:
        return "It could not be read in the memory that reading may take."
    if exit_code < 0:
        return f"The process that read it was ended by {signal.Signals(-exit_code).name}."
    return f"The process that read it ended with exit code {exit_code}."
