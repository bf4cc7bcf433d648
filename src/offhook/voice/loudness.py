"""How loud a recording is, moment by moment: a program of its own, `python -m offhook.voice.loudness FILE`.

It prints {"peaks": hex, "duration_s": seconds}, or {"failure": sentence}. A decoder is C that reads what strangers sent:
whatever a file does to it costs this process and nothing else.
"""

import array
import os
import resource
import signal
import sys
from pathlib import Path

import msgspec

VERSION = 1  #: of the way that peaks are counted
MOMENTS = 720  #: of a recording, however long it is; fewer of one that is very short
NO_DECODER = "No decoder for MP3 is installed here."
LONGEST_S = 120  #: of processor time: twelve hours of a call

_HERTZ = 8_000
_GRAIN = _HERTZ // 50  #: samples that are looked at together
_MEMORY_BYTES = 512 << 20  #: of address space, all in all
_NICENESS = 10


class Loudness(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was found of one recording."""

    peaks: str | None = None  #: in hex: 0 to 255, evenly spread over the recording
    duration_s: float | None = None
    failure: str | None = None  #: a sentence; it would fail again


def command(path: Path) -> tuple[str, ...]:
    """Starts it. -P: nothing in the working directory is taken for a module."""
    return sys.executable, "-P", "-m", "offhook.voice.loudness", str(path)


def measure(path: Path) -> Loudness:
    """Decode it stream by stream, so that hours take no more memory than seconds."""
    try:
        import miniaudio
    except ImportError:
        return Loudness(failure=NO_DECODER)
    grains = bytearray()
    samples = 0
    try:
        pieces = miniaudio.stream_file(
            str(path), miniaudio.SampleFormat.SIGNED16, 1, _HERTZ, frames_to_read=_GRAIN * 50
        )
        for piece in pieces:
            samples += len(piece)
            grains += _grains(piece)
    except (miniaudio.MiniaudioError, OSError):
        return Loudness(failure="It could not be decoded.")
    if not grains:
        return Loudness(failure="There is nothing to be heard in it.")
    return Loudness(spread(bytes(grains), MOMENTS).hex(), samples / _HERTZ)


def spread(grains: bytes, moments: int) -> bytes:
    """The loudest of each of *moments* stretches; as they are when they are no more than that."""
    count = len(grains)
    if count <= moments:
        return grains
    return bytes(max(grains[at * count // moments : (at + 1) * count // moments]) for at in range(moments))


def _grains(piece: "array.array[int]") -> bytes:
    cut = (piece[at : at + _GRAIN] for at in range(0, len(piece), _GRAIN))
    return bytes(min(255, max(max(grain), -min(grain)) >> 7) for grain in cut)


def _limited() -> None:
    """As little as it takes, behind everybody else; SIGXCPU ends what hangs even when nobody waits any more."""
    os.nice(_NICENESS)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (LONGEST_S, LONGEST_S + 5))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which ends us


if __name__ == "__main__":
    _limited()
    sys.stdout.buffer.write(msgspec.json.encode(measure(Path(sys.argv[1]))))
