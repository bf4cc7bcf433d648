"""The recordings of the scenarios: real speech, joined from its clips and silence into one MP3 per call.

Every file here is bare MPEG-2 layer III, mono, constant bit rate, no tags, no bit reservoir (`tools/make_speech.py`), so
that each frame stands alone, all have one length, and frames of any clips put one behind the other are a valid MP3.
"""

import hashlib
from functools import cache
from importlib import resources
from itertools import accumulate, pairwise

import msgspec

from offhook.simulator.scenarios import Scenario

SAMPLE_RATE_HZ = 16_000
BIT_RATE_KBITS = 24
FRAME_S = 576 / SAMPLE_RATE_HZ
FRAME_BYTES = 108  #: 24 kbit/s for 36 ms


class Clip(msgspec.Struct, frozen=True):
    """One turn in a scenario's file, as its index lists it."""

    words_sha256: str  #: of what was spoken, see words_sha256; another value means that the words have changed since
    frames: int


class Spoken(msgspec.Struct, frozen=True):
    """A whole call as it sounds."""

    mp3: bytes
    starts_s: tuple[float, ...]  #: of each turn, from the call's beginning
    lasts_s: tuple[float, ...]  #: of each turn

    @property
    def duration_s(self) -> float:
        return len(self.mp3) / FRAME_BYTES * FRAME_S


def spoken(scenario: Scenario) -> Spoken:
    """The call of *scenario*: each turn's clip behind the silence that precedes it, and half a second at the end."""
    pieces, starts_s, lasts_s, frames_so_far = [], [], [], 0
    for turn, clip in zip(scenario.turns, clips(scenario.name), strict=True):
        gap = silence(turn.pause_s)
        frames_so_far += len(gap) // FRAME_BYTES
        starts_s.append(frames_so_far * FRAME_S)
        frames_so_far += len(clip) // FRAME_BYTES
        lasts_s.append(len(clip) // FRAME_BYTES * FRAME_S)
        pieces += [gap, clip]
    return Spoken(b"".join((*pieces, silence(0.5))), tuple(starts_s), tuple(lasts_s))


@cache
def clips(scenario_name: str) -> tuple[bytes, ...]:
    """The MP3 frames of each turn, in order."""
    mp3, ends = _asset(f"{scenario_name}.mp3"), accumulate(clip.frames * FRAME_BYTES for clip in index()[scenario_name])
    return tuple(mp3[begin:end] for begin, end in pairwise((0, *ends)))


def silence(seconds: float) -> bytes:
    """MP3 frames of silence, to the nearest frame."""
    return _asset("silence.mp3") * round(seconds / FRAME_S)


@cache
def index() -> dict[str, list[Clip]]:
    """The clips in each scenario's file."""
    return msgspec.json.decode(_asset("index.json"), type=dict[str, list[Clip]])


def words_sha256(voice: str, words: str) -> str:
    """What a clip was made of, short."""
    return hashlib.sha256(f"{voice}\0{words}".encode()).hexdigest()[:16]


def voice_of(scenario: Scenario, role: str) -> str:
    """Who speaks: espeak-ng's name for the voice."""
    return scenario.business.agent_voice if role == "agent" else scenario.caller_voice


@cache
def _asset(name: str) -> bytes:
    return (resources.files("offhook.simulator") / "speech" / name).read_bytes()
