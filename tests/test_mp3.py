"""How long a recording plays is told from its frames, and what is no MP3 is told from them too."""

import math
import os
import shutil
import struct
import subprocess
import time
import wave
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from offhook.voice.mp3 import duration_s

FRAME_S = 1152 / 44100
HEADER = bytes.fromhex("fffb9000")  # MPEG 1, 128 kbit/s, 44.1 kHz, stereo
FRAME = HEADER + bytes(413)
Lame = Callable[..., Path]


@pytest.fixture
def lame(tmp_path: Path) -> Lame:
    """Encodes a sound of so many seconds with these options of lame."""
    if shutil.which("lame") is None:
        pytest.skip("lame is not installed: the tests on its files do not run (apt-get install lame).")

    def encode(seconds: float, *options: str, hertz: int = 22050) -> Path:
        sound = tmp_path / "sound.raw"
        period = [int(9000 * math.sin(n / 9) + 5000 * math.sin(n * n / 4001)) for n in range(hertz)]
        samples = struct.pack(f"<{hertz}h", *period) * math.ceil(seconds)
        sound.write_bytes(samples[: int(seconds * hertz) * 2])
        mp3 = tmp_path / "sound.mp3"
        pcm = ("-r", "-s", str(hertz / 1000), "--bitwidth", "16", "-m", "m")
        subprocess.run(["lame", "--quiet", "-f", *pcm, *options, sound, mp3], check=True)
        return mp3

    return encode


def written(path: Path, *content: bytes) -> Path:
    path.write_bytes(b"".join(content))
    return path


# Files that encoders make


@pytest.mark.parametrize(("name", "seconds"), [("speech_64k.mp3", 6.766), ("miniaudio_test.mp3", 10.083)])
def test_the_corpus_plays_as_long_as_it_does(corpora: Path, name: str, seconds: float) -> None:
    assert seconds == pytest.approx(duration_s(corpora / "mp3" / name), abs=0.03)


@pytest.mark.usefixtures("lame")
def test_the_corpus_plays_as_long_as_what_lame_decodes_of_it(corpora: Path, tmp_path: Path) -> None:
    for file in (corpora / "mp3").glob("*.mp3"):
        decoded = tmp_path / "decoded.wav"
        subprocess.run(["lame", "--quiet", "--decode", file, decoded], check=True)
        with wave.open(str(decoded)) as sound:
            seconds = sound.getnframes() / sound.getframerate()
        assert seconds == pytest.approx(duration_s(file), abs=0.1), file.name


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(("-b", "128"), id="constant, with a header"),
        pytest.param(("-b", "128", "-t"), id="constant, without"),
        pytest.param(("-V", "4"), id="variable, with a header"),
        pytest.param(("-V", "4", "-t"), id="variable, without"),
        pytest.param(("--abr", "56", "-t"), id="average, without a header"),
        pytest.param(("--resample", "8", "-b", "16", "-t"), id="MPEG 2.5"),
        pytest.param(("--resample", "16", "-b", "32"), id="MPEG 2"),
        pytest.param(("--resample", "48", "-b", "320", "-t"), id="the highest bitrate"),
        pytest.param(("-b", "64", "-p", "-t"), id="with checksums"),
        pytest.param(("--add-id3v2", "--tt", "A call"), id="with an ID3v2 tag"),
        pytest.param(("--add-id3v2", "--pad-id3v2-size", "20000", "--tt", "A call", "-t"), id="with a long ID3v2 tag"),
        pytest.param(("--id3v1-only", "--tt", "A call", "-t"), id="with an ID3v1 tag"),
    ],
)
def test_a_file_plays_as_long_as_what_it_was_made_from(lame: Lame, options: tuple[str, ...]) -> None:
    assert 5.0 == pytest.approx(duration_s(lame(5, *options)), abs=0.2)


@pytest.mark.parametrize("options", [("-b", "128", "-t"), ("-b", "128"), ("-V", "0", "-t")])
def test_a_long_file_is_told_from_samples(lame: Lame, options: tuple[str, ...]) -> None:
    file = lame(200, *options)
    assert file.stat().st_size > 2 << 20
    assert 200 == pytest.approx(duration_s(file), rel=0.02)


def test_a_very_short_file_plays_too(lame: Lame) -> None:
    assert 0.1 == pytest.approx(duration_s(lame(0.1, "-t")), abs=0.1)


def test_a_recording_cut_short_plays_as_long_as_there_is_of_it(lame: Lame) -> None:
    file = lame(10, "-b", "64")
    os.truncate(file, file.stat().st_size // 2)
    assert 5.0 == pytest.approx(duration_s(file), abs=0.2)


def test_two_recordings_in_one_play_one_after_the_other(lame: Lame, tmp_path: Path) -> None:
    content = lame(3, "-t").read_bytes()
    assert 6.0 == pytest.approx(duration_s(written(tmp_path / "two.mp3", content, content)), abs=0.3)


def test_rubbish_in_the_middle_is_skipped(lame: Lame, tmp_path: Path) -> None:
    content = lame(3, "-t").read_bytes()
    file = written(tmp_path / "f.mp3", content, b"rubbish" * 500, b"\xff" * 5000, content)
    assert 6.0 == pytest.approx(duration_s(file), abs=0.3)


# Headers, byte by byte


def test_frames_are_counted(tmp_path: Path) -> None:
    assert 10 * FRAME_S == pytest.approx(duration_s(written(tmp_path / "f", FRAME * 10)))


def test_rubbish_before_the_first_frame_is_skipped(tmp_path: Path) -> None:
    assert 10 * FRAME_S == pytest.approx(duration_s(written(tmp_path / "f", b"\0" * 3000, b"\xff\xfb", FRAME * 10)))


@pytest.mark.parametrize("word", [b"Xing", b"Info"])
def test_the_count_of_xings_header_is_believed(tmp_path: Path, word: bytes) -> None:
    first = (HEADER + bytes(32) + word + struct.pack(">II", 1, 1000)).ljust(417, b"\0")
    assert 1000 * FRAME_S == pytest.approx(duration_s(written(tmp_path / "f", first, FRAME * 9)))


def test_the_count_of_vbri_is_believed(tmp_path: Path) -> None:
    first = (HEADER + bytes(32) + b"VBRI" + bytes(6) + struct.pack(">II", 100, 1000)).ljust(417, b"\0")
    assert 1000 * FRAME_S == pytest.approx(duration_s(written(tmp_path / "f", first, FRAME * 9)))


@pytest.mark.parametrize("fields", [(0, 0), (1, 0), (2, 1000)])
def test_a_header_that_counts_nothing_is_not_believed(tmp_path: Path, fields: tuple[int, int]) -> None:
    first = (HEADER + bytes(32) + b"Xing" + struct.pack(">II", *fields)).ljust(417, b"\0")
    assert 10 * FRAME_S == pytest.approx(duration_s(written(tmp_path / "f", first, FRAME * 9)))


def test_a_header_that_counts_more_bytes_than_there_are_is_not_believed(tmp_path: Path) -> None:
    first = (HEADER + bytes(32) + b"Xing" + struct.pack(">III", 3, 1000, 417_000)).ljust(417, b"\0")
    assert 10 * FRAME_S == pytest.approx(duration_s(written(tmp_path / "f", first, FRAME * 9)))


@pytest.mark.parametrize("footer_bytes", [0, 10])
def test_tags_in_front_are_skipped_even_when_they_hold_frames(tmp_path: Path, footer_bytes: int) -> None:
    tag = b"ID3\4\0" + bytes([0x10 if footer_bytes else 0, 0, 1, 0, 0]) + (FRAME * 40)[: 1 << 14] + bytes(footer_bytes)
    assert 10 * FRAME_S == pytest.approx(duration_s(written(tmp_path / "f", tag, tag, FRAME * 10)))


def test_one_frame_that_is_the_whole_file_plays(tmp_path: Path) -> None:
    assert FRAME_S == pytest.approx(duration_s(written(tmp_path / "f", FRAME)))


@pytest.mark.parametrize("trailer", [b"TAG", b"APETAGEX", b"LYRICSBEGIN"])
def test_a_tag_behind_the_last_frame_plays_nothing(tmp_path: Path, trailer: bytes) -> None:
    assert FRAME_S == pytest.approx(duration_s(written(tmp_path / "f", FRAME, trailer.ljust(128, b"\0"))))


# What is no MP3


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"ABC", id="three bytes"),
        pytest.param(b"\xff\xfb\x90", id="a part of a header"),
        pytest.param(b"not an mp3" * 1000, id="text"),
        pytest.param(b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(5000), id="a WAV"),
        pytest.param(b"OggS" + bytes(5000), id="an Ogg"),
        pytest.param(b"\xff" * 100_000, id="ones"),
        pytest.param(bytes(100_000), id="zeros"),
        pytest.param(b"ID3\4\0\0\0\0\1\0" + bytes(128), id="a tag and nothing behind it"),
        pytest.param(b"ID3\4\0\0\x7f\x7f\x7f\x7f", id="a tag longer than the file"),
        pytest.param(b"ID3", id="a part of a tag"),
        pytest.param(FRAME[:-1], id="one frame cut short"),
        pytest.param(FRAME + b"x" * 1000, id="one frame and something else"),
        pytest.param(FRAME * 2 + b"x" * 1000, id="two frames and something else"),
        pytest.param(FRAME + bytes.fromhex("fff39000") + bytes(1000), id="two frames of different kinds"),
        pytest.param(HEADER[:2] + b"\x00\x00" + bytes(1000), id="an open bitrate"),
        pytest.param(HEADER[:2] + b"\xf0\x00" + bytes(1000), id="no bitrate"),
        pytest.param(HEADER[:2] + b"\x9c\x00" + bytes(1000), id="no sampling rate"),
        pytest.param(bytes(70_000) + FRAME * 10, id="frames too far in"),
    ],
)
def test_what_is_no_mp3_plays_nothing(tmp_path: Path, content: bytes) -> None:
    assert duration_s(written(tmp_path / "f", content)) is None


def test_random_bytes_are_no_mp3(tmp_path: Path) -> None:
    assert duration_s(written(tmp_path / "f", os.urandom(8 << 20))) is None


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.lists(
        st.sampled_from([FRAME, HEADER, b"ID3\4\0\0\0\0\0\5", b"\xff", b"TAG", b"Xing"]) | st.binary(max_size=40)
    )
)
def test_no_content_is_an_error(tmp_path: Path, content: list[bytes]) -> None:
    seconds = duration_s(written(tmp_path / "f", *content))
    assert seconds is None or seconds > 0


def test_a_huge_file_is_told_in_no_time(tmp_path: Path) -> None:
    file = tmp_path / "huge.mp3"
    with open(file, "wb") as huge:
        for _ in range(500):
            huge.write(FRAME * 1000)
    began = time.process_time()
    assert 500_000 * FRAME_S == pytest.approx(duration_s(file), rel=0.003)
    assert time.process_time() - began < 1
