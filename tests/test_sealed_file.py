"""Sealed files give back what was written, and nothing else; drafts are nowhere before they are kept."""

import errno
import fcntl
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from offhook.drafts import INCOMING, Draft, sweep
from offhook.errors import Damaged
from offhook.sealed_file import FRAME_BYTES, Sealer, unsealed
from offhook.sealing import OVERHEAD_BYTES, KeyRing

KEYS = KeyRing([b"k" * 32])
SEALED_FRAME_BYTES = FRAME_BYTES + OVERHEAD_BYTES


def sealed(path: Path, *pieces: bytes, name: str = "f", keys: KeyRing = KEYS) -> Path:
    with open(path, "wb") as file:
        sealer = Sealer(file, keys, name)
        for piece in pieces:
            sealer.write(piece)
        sealer.finish()
    return path


def opened(path: Path, name: str = "f", keys: KeyRing = KEYS) -> bytes:
    return b"".join(unsealed(path, keys, name))


def frames(path: Path) -> list[bytes]:
    content = path.read_bytes()
    return [content[at : at + SEALED_FRAME_BYTES] for at in range(0, len(content), SEALED_FRAME_BYTES)]


@pytest.fixture
def three_frames(tmp_path: Path) -> Path:
    return sealed(tmp_path / "f", b"1" * FRAME_BYTES, b"2" * FRAME_BYTES, b"3")


# Sealed files


@pytest.mark.parametrize(
    "size", [0, 1, FRAME_BYTES - 1, FRAME_BYTES, FRAME_BYTES + 1, 2 * FRAME_BYTES, 3 * FRAME_BYTES + 7]
)
def test_what_was_sealed_is_given_back(tmp_path: Path, size: int) -> None:
    plain = os.urandom(size)
    assert plain == opened(sealed(tmp_path / "f", plain))


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.lists(st.integers(0, 2 * FRAME_BYTES), max_size=5))
def test_pieces_of_any_size_are_one_file(tmp_path: Path, sizes: list[int]) -> None:
    pieces = [bytes([number]) * size for number, size in enumerate(sizes)]
    assert b"".join(pieces) == opened(sealed(tmp_path / "f", *pieces))


def test_nothing_of_it_can_be_read_without_the_key(tmp_path: Path) -> None:
    path = sealed(tmp_path / "f", b"a secret" * 1000)
    assert b"a secret" not in path.read_bytes()
    with pytest.raises(Damaged):
        opened(path, keys=KeyRing([b"x" * 32]))


def test_an_old_key_still_opens(tmp_path: Path) -> None:
    path = sealed(tmp_path / "f", b"text")
    assert b"text" == opened(path, keys=KeyRing([b"n" * 32, b"k" * 32]))


def test_under_another_name_it_does_not_open(tmp_path: Path) -> None:
    with pytest.raises(Damaged):
        opened(sealed(tmp_path / "f", b"text"), name="g")


@pytest.mark.parametrize(
    "cut_bytes", [1, OVERHEAD_BYTES, OVERHEAD_BYTES + 1, OVERHEAD_BYTES + 2, SEALED_FRAME_BYTES + 34]
)
def test_a_file_cut_short_is_noticed(three_frames: Path, cut_bytes: int) -> None:
    os.truncate(three_frames, three_frames.stat().st_size - cut_bytes)
    with pytest.raises(Damaged):
        opened(three_frames)


def test_an_emptied_file_is_noticed(three_frames: Path) -> None:
    os.truncate(three_frames, 0)
    with pytest.raises(Damaged):
        opened(three_frames)


@pytest.mark.parametrize("order", [(1, 0, 2), (0, 2), (0, 1), (0, 1, 1, 2), (0, 1, 2, 2), (2,), (0, 2, 1)])
def test_frames_moved_left_out_or_doubled_are_noticed(three_frames: Path, order: tuple[int, ...]) -> None:
    three = frames(three_frames)
    three_frames.write_bytes(b"".join(three[number] for number in order))
    with pytest.raises(Damaged):
        opened(three_frames)


def test_a_frame_of_another_file_is_noticed(tmp_path: Path) -> None:
    one, other = (sealed(tmp_path / name, b"x" * FRAME_BYTES, b"y", name=name) for name in "fg")
    one.write_bytes(frames(other)[0] + frames(one)[1])
    with pytest.raises(Damaged):
        opened(one)


@pytest.mark.parametrize("at", [0, 1, 5, 17, 1000, SEALED_FRAME_BYTES, -1])
def test_a_single_bit_is_noticed(three_frames: Path, at: int) -> None:
    content = bytearray(three_frames.read_bytes())
    content[at] ^= 1
    three_frames.write_bytes(content)
    with pytest.raises(Damaged):
        opened(three_frames)


def test_what_comes_before_the_damage_is_given_first(three_frames: Path) -> None:
    os.truncate(three_frames, SEALED_FRAME_BYTES + 100)
    reading = unsealed(three_frames, KEYS, "f")
    assert b"1" * FRAME_BYTES == next(reading)
    with pytest.raises(Damaged):
        next(reading)


# Drafts


def test_a_draft_is_seen_under_its_name_once_it_is_kept(tmp_path: Path) -> None:
    draft = Draft(tmp_path)
    draft.write(b"text")
    assert not (tmp_path / draft.name).exists()
    draft.keep()
    assert b"text" == (tmp_path / draft.name).read_bytes()
    assert [] == list((tmp_path / INCOMING).iterdir())


def test_a_draft_knows_its_size_and_checksum(tmp_path: Path) -> None:
    draft = Draft(tmp_path)
    draft.write(b"te")
    draft.write(b"xt")
    draft.flush()
    assert (4, "982d9e3eb996f559e633f4d194def3761d909f5a3b647d1a851fead67c32c9d1") == (draft.size_bytes, draft.sha256)
    assert b"text" == draft.path.read_bytes()
    draft.keep()
    assert b"text" == draft.path.read_bytes()


def test_drafts_are_for_nobody_else(tmp_path: Path) -> None:
    draft = Draft(tmp_path / "recordings")
    assert 0o600 == draft.path.stat().st_mode & 0o777
    assert 0o700 == draft.path.parent.stat().st_mode & 0o777


def test_names_are_random(tmp_path: Path) -> None:
    names = {Draft(tmp_path).name for _ in range(100)}
    assert 100 == len(names)
    assert all(32 == len(name) and name.isalnum() for name in names)


@pytest.mark.parametrize("is_kept", [True, False])
def test_discarded_means_gone_wherever_it_got_to(tmp_path: Path, is_kept: bool) -> None:
    draft = Draft(tmp_path)
    draft.write(b"x" * 100_000)
    if is_kept:
        draft.keep()
    draft.discard()
    draft.discard()
    assert [] == [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_failed_fsync_is_told_and_nothing_becomes_visible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    draft = Draft(tmp_path)
    draft.write(b"text")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError):
        draft.keep()
    assert not (tmp_path / draft.name).exists()
    draft.discard()
    assert [] == list((tmp_path / INCOMING).iterdir())


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    script = """
import resource, signal, sys
from pathlib import Path
from offhook.drafts import Draft
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
draft = Draft(Path(sys.argv[1]))
try:
    draft.write(b"x" * 5000)
    draft.flush()
except OSError:
    draft.discard()
    print("told")
"""
    told = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "told\n" == told.stdout
    assert [] == list((tmp_path / INCOMING).iterdir())


def test_the_sweep_leaves_what_is_being_written_and_removes_what_was_left(tmp_path: Path) -> None:
    script = "import os, pathlib, sys; from offhook.drafts import Draft; Draft(pathlib.Path(sys.argv[1])); os._exit(9)"
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    mine = Draft(tmp_path)
    assert 2 == len(list((tmp_path / INCOMING).iterdir()))
    assert 1 == sweep((tmp_path / INCOMING).glob("*"))
    assert [mine.path] == list((tmp_path / INCOMING).iterdir())
    mine.keep()
    assert (tmp_path / mine.name).exists()


def test_the_sweep_of_a_folder_that_is_not_there_finds_nothing(tmp_path: Path) -> None:
    assert 0 == sweep((tmp_path / "nowhere").glob("*"))


def test_the_sweep_leaves_folders_alone(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert 0 == sweep(tmp_path.glob("*"))


def test_a_draft_is_locked_as_long_as_it_is_written(tmp_path: Path) -> None:
    draft = Draft(tmp_path)
    with open(draft.path, "rb") as other, pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_sweep_at_any_instant_takes_no_draft_from_its_writer(tmp_path: Path) -> None:
    """As when a replica starts while another, on the same storage, takes a recording."""
    is_over = threading.Event()

    def sweep_on() -> None:
        while not is_over.is_set():
            sweep((tmp_path / INCOMING).glob("*"))

    names = []
    with ThreadPoolExecutor(2) as sweepers:
        sweeping = [sweepers.submit(sweep_on) for _ in range(2)]
        try:
            for _ in range(1000):
                draft = Draft(tmp_path)
                draft.write(b"x")
                draft.keep()
                names.append(draft.name)
        finally:
            is_over.set()
        assert [None, None] == [one.result() for one in sweeping]
    assert [] == [name for name in names if not (tmp_path / name).exists()]
