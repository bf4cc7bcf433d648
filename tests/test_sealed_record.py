"""A small sealed file is whole or not there, and says what is wrong with it."""

import errno
import hashlib
import os
import stat
from pathlib import Path

import pytest

from offhook.errors import Damaged
from offhook.sealed_record import read_record, sealed_record, write_durably
from offhook.sealing import KeyRing

DAMAGED = r"record is damaged: it is not as it was written\.$"
KEYS = KeyRing([b"k" * 32])


def test_a_record_is_its_kind_its_checksum_and_what_is_sealed() -> None:
    record = sealed_record(b"KIND", b"plain", KEYS, "here")
    assert (b"KIND", hashlib.sha256(record[36:]).digest()) == (record[:4], record[4:36])
    assert b"plain" == KEYS.open(record[36:], "here")


def test_a_record_is_read_where_it_belongs(tmp_path: Path) -> None:
    path = tmp_path / "record"
    path.write_bytes(sealed_record(b"KIND", b"plain", KEYS, "here"))
    assert b"plain" == read_record(path, b"KIND", KEYS, "here")
    with pytest.raises(Damaged):
        read_record(path, b"KIND", KEYS, "there")
    with pytest.raises(Damaged, match=DAMAGED):
        read_record(path, b"MIND", KEYS, "here")


@pytest.mark.parametrize("place", [0, 3, 4, 35, 36, -1])
def test_a_changed_byte_anywhere_is_damage(tmp_path: Path, place: int) -> None:
    record = bytearray(sealed_record(b"KIND", b"plain", KEYS, "here"))
    record[place] ^= 1
    (tmp_path / "record").write_bytes(record)
    with pytest.raises(Damaged, match=DAMAGED):
        read_record(tmp_path / "record", b"KIND", KEYS, "here")


def test_what_is_written_lies_there_for_nobody_else_and_over_what_was(tmp_path: Path) -> None:
    path = tmp_path / "record"
    path.write_bytes(b"old")
    write_durably(path, b"new")
    assert (b"new", 0o600) == (path.read_bytes(), stat.S_IMODE(path.stat().st_mode))
    assert [path] == list(tmp_path.iterdir())


def test_bytes_are_synced_before_their_name_and_the_name_before_it_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[str, bytes, bool]] = []
    path, sync = tmp_path / "record", os.fsync

    def fsync(fd: int) -> None:
        what = Path(os.readlink(f"/proc/self/fd/{fd}"))
        synced.append((what.name, what.read_bytes() if what.is_file() else b"", path.exists()))
        sync(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    write_durably(path, b"content")
    assert [("record.draft", b"content", False), (tmp_path.name, b"", True)] == synced


def test_what_cannot_be_synced_leaves_what_was_and_no_draft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "record"
    path.write_bytes(b"old")

    def refused(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", refused)
    with pytest.raises(OSError, match="Input/output error"):
        write_durably(path, b"new")
    assert ([path], b"old") == (list(tmp_path.iterdir()), path.read_bytes())


def test_where_there_is_no_folder_the_failure_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_durably(tmp_path / "no" / "record", b"new")


def test_a_disk_that_cannot_be_written_is_said_to_be_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> int:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "open", refused)
    with pytest.raises(OSError, match="Read-only file system"):
        write_durably(tmp_path / "record", b"new")
