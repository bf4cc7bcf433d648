"""Make the simulator's recordings: `.venv/bin/python tools/make_speech.py`. Needs espeak-ng and lame (Debian has both).

Run it after the words in `simulator/scenarios.py` changed, and commit what it writes into `simulator/speech/`.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import msgspec

from offhook.simulator.scenarios import SCENARIOS, Scenario
from offhook.simulator.speech import BIT_RATE_KBITS, FRAME_BYTES, SAMPLE_RATE_HZ, Clip, voice_of, words_sha256

SPEECH = Path(__file__).parent.parent / "src/offhook/simulator/speech"
WORDS_A_MINUTE = 178

#: Layer III without CRC, MPEG-2, 24 kbit/s, 16 kHz, no padding; the last byte (mono, emphasis) is not compared.
FRAME_HEADER = bytes.fromhex("fff338")

Index = dict[str, list[Clip]]


def main() -> None:
    missing = [program for program in ("espeak-ng", "lame") if shutil.which(program) is None]
    if missing:
        sys.exit(f"{' and '.join(missing)} not found: apt-get install espeak-ng lame")
    index: Index = {}
    for scenario in SCENARIOS:
        clips = [_speak(voice_of(scenario, turn.role), turn.words) for turn in scenario.turns]
        (SPEECH / f"{scenario.name}.mp3").write_bytes(b"".join(clips))
        index[scenario.name] = _listed(scenario, clips)
        print(f"{scenario.name}: {sum(map(len, clips)):,} bytes in {len(clips)} turns")
    (SPEECH / "silence.mp3").write_bytes(_one_silent_frame())
    (SPEECH / "index.json").write_bytes(msgspec.json.format(msgspec.json.encode(index), indent=1) + b"\n")


def _listed(scenario: Scenario, clips: list[bytes]) -> list[Clip]:
    return [
        Clip(words_sha256(voice_of(scenario, turn.role), turn.words), len(clip) // FRAME_BYTES)
        for turn, clip in zip(scenario.turns, clips, strict=True)
    ]


def _speak(voice: str, words: str) -> bytes:
    """MP3 frames of *words*."""
    spoken = subprocess.run(
        ["espeak-ng", "-v", voice, "-s", str(WORDS_A_MINUTE), "--stdout", words], check=True, stdout=subprocess.PIPE
    )
    return _encoded(spoken.stdout, [])


def _one_silent_frame() -> bytes:
    """The frame that lame makes of silence once it has settled."""
    raw = ["-r", "-s", "16", "--bitwidth", "16", "--signed", "--little-endian"]
    frames = _encoded(bytes(2 * SAMPLE_RATE_HZ), raw)
    return frames[10 * FRAME_BYTES : 11 * FRAME_BYTES]


def _encoded(sound: bytes, input_options: list[str]) -> bytes:
    """Bare frames that do not lean on each other: no reservoir (--nores), no Xing frame (-t), no tags."""
    options = ["--quiet", "--cbr", "-b", str(BIT_RATE_KBITS), "--resample", "16", "-m", "m", "--nores", "-t"]
    done = subprocess.run(
        ["lame", *input_options, *options, "--noreplaygain", "-", "-"], check=True, input=sound, stdout=subprocess.PIPE
    )
    for begin in range(0, len(done.stdout), FRAME_BYTES):
        _demand_standing_alone(done.stdout[begin : begin + FRAME_BYTES])
    return done.stdout


def _demand_standing_alone(frame: bytes) -> None:
    """Its header as expected, and main_data_begin (the 8 bits behind it) zero: nothing in it lies in an earlier frame."""
    if not (len(frame) == FRAME_BYTES and frame.startswith(FRAME_HEADER) and frame[4] == 0):
        sys.exit(f"lame wrote a frame that cannot be joined: {frame[:6].hex()}…, {len(frame)} bytes")


if __name__ == "__main__":
    main()
