"""The process that reads events, the other side of sandbox.py: `python -m offhook.projection.reader FOLDER [NICENESS]`.

It has no database, no key and no secret. Whatever a body does to it, be it by a fault of ours, costs this process and
nothing else. It is kept light, because it is started anew each time that it was killed.
"""

import os
import resource
import signal
import struct
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from offhook.errors import Fault, OffhookError
from offhook.events import Event
from offhook.projection.gathering import Gathered, gather
from offhook.voice import mp3

#: Questions and answers go in frames with their length before them; the first frame says that the process has started.
FRAME_LENGTH = struct.Struct(">I")
STARTED = b"started"
OUT_OF_MEMORY = 77  #: the exit code by which it says that it did not get enough

_MEMORY_BYTES = 1 << 30  #: of address space, all in all
_LONGEST_JOB_S = 60  #: whoever asked gives up long before; this is for when it is no longer there

Conversation = tuple[Event, ...]  #: bodies open


class Done(msgspec.Struct, tag=True, frozen=True):
    """The events of a conversation were read."""

    gathered: Gathered | None  #: None: they make no call


class Failed(msgspec.Struct, tag=True, frozen=True):
    """One of them cannot be read."""

    reason: str  #: a sentence, without anything that callers said


def reader_command(recordings_dir: Path) -> tuple[str, ...]:
    """Starts it. -P: nothing in the working directory is taken for a module."""
    return sys.executable, "-P", "-m", "offhook.projection.reader", str(recordings_dir)


def question(conversations: Sequence[Conversation]) -> bytes:
    """What brings one answer for each of *conversations*, in order."""
    return msgspec.msgpack.encode(conversations)


def read_answer(answer: bytes) -> Done | Failed:
    return _answer.decode(answer)


_question = msgspec.msgpack.Decoder(tuple[Conversation, ...])
_answer: msgspec.msgpack.Decoder[Done | Failed] = msgspec.msgpack.Decoder(Done | Failed)


def main(recordings_dir: str, niceness: str = "0") -> None:
    """Answer until there are no more questions."""
    os.nice(int(niceness))
    _confine()
    try:
        _answer_all(sys.stdin.buffer, sys.stdout.buffer, Path(recordings_dir))
    except ConnectionError:
        os._exit(0)  # whoever asked is gone, and what waits to be written is for nobody


def _answer_all(asked: BinaryIO, told: BinaryIO, recordings_dir: Path) -> None:
    _write_frame(told, STARTED)
    while length := asked.read(FRAME_LENGTH.size):
        for conversation in _question.decode(asked.read(*FRAME_LENGTH.unpack(length))):
            signal.alarm(_LONGEST_JOB_S)
            _write_frame(told, msgspec.msgpack.encode(_answer_to(conversation, recordings_dir)))
            signal.alarm(0)


def _confine() -> None:
    for number in (
        signal.SIGINT,
        signal.SIGTERM,
    ):  # for the server, which finishes what is in hand and closes our input
        signal.signal(number, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core would hold what callers said


def _answer_to(conversation: Conversation, recordings_dir: Path) -> Done | Failed:
    try:
        return Done(gather([_with_duration(event, recordings_dir) for event in conversation]))
    except OffhookError as error:
        return Failed(error.message)
    except MemoryError:
        os._exit(OUT_OF_MEMORY)  # what else is in this process may be broken by now
    except Exception as error:  # a fault of ours; the event is kept, and read again once it is mended
        return Failed(_where(error))


def _with_duration(event: Event, recordings_dir: Path) -> Event:
    """*event*, its audio measured where it is an MP3."""
    audio = event.audio
    if audio is None or not audio.is_decoded or audio.duration_s is not None:
        return event
    try:
        duration_s = mp3.duration_s(recordings_dir / audio.file)
    except OSError as error:
        raise Fault(f"The recording's file {audio.file} cannot be read: {error.strerror}.") from error
    return msgspec.structs.replace(event, audio=msgspec.structs.replace(audio, duration_s=duration_s))


def _where(error: Exception) -> str:
    """Which fault, and the line of our code it came from. Its words are left out: they may be those of a caller."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {Path(last.filename).name}, line {last.lineno}."


def _write_frame(told: BinaryIO, content: bytes) -> None:
    told.write(FRAME_LENGTH.pack(len(content)) + content)
    told.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
