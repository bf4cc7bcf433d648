"""One spool folder by itself: what it keeps and how, when it is full or sick, and what it says of that."""

import asyncio
import errno
import math
import os
import shutil
import stat
import threading
from collections import namedtuple
from collections.abc import MutableMapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from offhook.disks import Ballast, device_of
from offhook.drafts import open_draft
from offhook.errors import ComeBackLater, Damaged
from offhook.sealed_record import sealed_record
from offhook.sealing import KeyRing, new_key_text
from offhook.spool import Folder, Spool, probe
from tests.test_inbox import an_event
from tests.test_spool import Clock, Disks

MIB = 1 << 20
REST_S = 30.0
ONE, TWO = f"{1:020d}-{'a' * 24}.event", f"{2:020d}-{'b' * 24}.event"
REFUSED = OSError(errno.EACCES, "Permission denied")
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def disks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disks:
    return Disks(tmp_path, monkeypatch)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys() -> KeyRing:
    return KeyRing.from_text(new_key_text())


@pytest.fixture
def folder(disks: Disks, clock: Clock) -> Folder:
    folder = Folder(3, disks.folders[0], 0, clock)
    folder.open()
    return folder


def broken(disks: Disks, error: int = errno.EIO) -> None:
    disks.broken = {disks.folders[0]: error}


def state(folder: Folder) -> str:
    return folder.state


def room(monkeypatch: pytest.MonkeyPatch, free_bytes: int) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1 << 40, 0, free_bytes))


def said(logs: list[MutableMapping[str, Any]]) -> list[tuple[str, str]]:
    return [(line["log_level"], line["event"]) for line in logs]


# What is said


def test_a_folder_that_gets_sick_says_where_why_and_for_how_long_and_says_it_once(disks: Disks, folder: Folder) -> None:
    broken(disks)
    with capture_logs() as logs:
        assert [False, False] == [folder.takes(ONE, b"x"), folder.takes(TWO, b"x")]
    assert [
        {
            "log_level": "error",
            "event": "spool.sick",
            "folder": str(folder.path),
            "error": "[Errno 5] Input/output error",
            "left_alone_s": REST_S,
        }
    ] == logs


def test_it_is_counted_by_its_place_whenever_that_begins(disks: Disks, folder: Folder) -> None:
    before = REGISTRY.get_sample_value("offhook_spool_failures_total", {"place": "3"}) or 0
    broken(disks)
    folder.takes(ONE, b"x")
    folder.takes(ONE, b"x")
    assert before + 1 == REGISTRY.get_sample_value("offhook_spool_failures_total", {"place": "3"})


def test_a_folder_that_gets_full_says_where_and_says_it_once(disks: Disks, folder: Folder) -> None:
    folder.ballast = None
    broken(disks, errno.ENOSPC)
    with capture_logs() as logs:
        assert not folder.takes(ONE, b"x")
    with capture_logs() as later:
        assert not folder.takes(TWO, b"x")
    assert [] == later
    error = "[Errno 28] No space left on device"
    assert [{"log_level": "error", "event": "spool.full", "folder": str(folder.path), "error": error}] == logs
    assert "full" == state(folder)


def test_a_folder_that_is_well_again_says_so(disks: Disks, folder: Folder) -> None:
    broken(disks)
    folder.takes(ONE, b"x")
    disks.broken = {}
    with capture_logs() as logs:
        assert folder.is_well_again()
    assert [{"log_level": "info", "event": "spool.well_again", "folder": str(folder.path)}] == logs


def test_of_files_that_cannot_be_read_the_first_is_named(folder: Folder) -> None:
    with capture_logs() as logs:
        folder.pass_over_unreadable(ONE, REFUSED)
        folder.pass_over_unreadable(TWO, REFUSED)
    facts = {"folder": str(folder.path), "file": ONE, "error": "[Errno 13] Permission denied"}
    assert [{"log_level": "error", "event": "spool.unreadable", **facts}] == logs
    assert "well" == state(folder), "a file is not its folder"


# How it stands


def test_a_folder_is_made_with_those_above_it_and_for_nobody_else(tmp_path: Path) -> None:
    folder = Folder(1, tmp_path / "a" / "b", 0, Clock())
    assert folder.device is None
    folder.open()
    folder.open()
    assert 0o700 == stat.S_IMODE(folder.path.stat().st_mode)
    assert ("well", device_of(tmp_path)) == (folder.state, folder.device)


def test_a_folder_that_cannot_be_made_is_sick_from_the_start(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file where a folder should be")
    folder = Folder(1, tmp_path / "spool", 0, Clock())
    folder.open()
    assert ("sick", False) == (folder.state, folder.can_keep)


def test_a_sick_folder_rests_for_half_a_minute_to_the_second(disks: Disks, folder: Folder, clock: Clock) -> None:
    broken(disks)
    folder.takes(ONE, b"x")
    disks.broken = {}
    clock.now += REST_S - 0.1
    folder.look()
    assert "sick" == state(folder)
    clock.now += 0.1
    folder.look()
    assert "well" == state(folder)


def test_a_probe_that_fails_begins_another_rest(disks: Disks, folder: Folder, clock: Clock) -> None:
    broken(disks)
    folder.takes(ONE, b"x")
    clock.now += REST_S
    assert not folder.is_well_again()
    disks.broken = {}
    clock.now += REST_S - 0.1
    folder.look()
    assert "sick" == state(folder)
    clock.now += 0.1
    folder.look()
    assert "well" == state(folder)


def test_a_sick_folder_whose_disk_turns_out_to_be_full_is_asked_again_for_every_event(
    disks: Disks, folder: Folder
) -> None:
    broken(disks)
    folder.takes(ONE, b"x")
    broken(disks, errno.ENOSPC)
    assert (True, "full") == (folder.is_well_again(), folder.state)


def test_a_full_folder_is_well_when_there_is_more_than_a_mebibyte(
    disks: Disks, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(disks, errno.ENOSPC)
    folder.takes(ONE, b"x")
    disks.broken = {}
    room(monkeypatch, MIB)
    folder.look()
    assert "full" == state(folder)
    room(monkeypatch, MIB + 1)
    folder.look()
    assert "well" == state(folder)


def test_a_folder_without_ballast_is_seen_after_all_the_same(
    disks: Disks, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.ballast = None
    broken(disks, errno.ENOSPC)
    folder.takes(ONE, b"x")
    folder.look()
    assert ("well", False, False) == (folder.state, folder.has_ballast, folder.has_released)


def test_a_folder_that_is_gone_is_found_sick_by_looking(folder: Folder) -> None:
    folder.path.rmdir()
    folder.look()
    assert "sick" == state(folder)


def test_a_sick_folder_is_not_looked_into_nor_given_ballast(disks: Disks, clock: Clock) -> None:
    folder = Folder(1, disks.folders[0], MIB, clock)
    folder.open()
    broken(disks)
    folder.takes(ONE, b"x")
    disks.broken = {}
    with capture_logs() as logs:
        folder.look()
    assert ("sick", [], []) == (folder.state, logs, list(folder.path.iterdir()))


def test_a_folder_that_is_there_knows_its_disk_before_it_is_opened(tmp_path: Path) -> None:
    assert device_of(tmp_path) == Folder(1, tmp_path, 0, Clock()).device is not None


def test_a_folder_takes_more_than_a_mebibyte_of_room_or_ballast_to_be_able_to_keep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Folder(1, tmp_path / "spool", 0, Clock())
    folder.open()
    assert folder.can_keep
    room(monkeypatch, MIB)
    assert not folder.can_keep
    (folder.path / "ballast").write_bytes(b"0")
    assert folder.can_keep


# Ballast


def test_what_a_full_disk_refuses_is_kept_in_the_room_of_its_ballast(
    disks: Disks, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Folder(1, disks.folders[0], MIB, clock)
    folder.open()
    folder.look()
    assert (True, False) == (folder.has_ballast, folder.has_released)
    release = Ballast.release

    def release_and_mend(ballast: Ballast, **wishes: bool) -> bool:
        disks.broken = {}
        return release(ballast, **wishes)

    monkeypatch.setattr(Ballast, "release", release_and_mend)
    broken(disks, errno.ENOSPC)
    assert folder.takes(ONE, b"small")
    assert (b"small", "well") == ((folder.path / ONE).read_bytes(), folder.state)
    assert (False, True) == (folder.has_ballast, folder.has_released)


def test_ballast_is_not_given_away_for_a_disk_that_is_not_full(disks: Disks, clock: Clock) -> None:
    folder = Folder(1, disks.folders[0], MIB, clock)
    folder.open()
    folder.look()
    broken(disks)
    assert not folder.takes(ONE, b"small")
    assert ("sick", True, False) == (folder.state, folder.has_ballast, folder.has_released)


# Files


def test_only_finished_events_wait(folder: Folder) -> None:
    for name in (ONE, "x" + ONE, ONE + "x", "1.draft", "ballast", ONE.replace(".event", ".damaged")):
        (folder.path / name).touch()
    assert [folder.path / ONE] == folder.files()


def test_a_file_that_cannot_be_read_waits_again_after_half_a_minute(folder: Folder, clock: Clock) -> None:
    (folder.path / ONE).touch()
    folder.pass_over_unreadable(ONE, REFUSED)
    clock.now += REST_S - 0.1
    assert [] == folder.files()
    clock.now += 0.1
    assert [folder.path / ONE] == folder.files()


def test_a_file_that_cannot_be_deleted_waits_no_more_until_its_folder_is_well(folder: Folder, clock: Clock) -> None:
    (folder.path / ONE).touch()
    folder.pass_over_done(ONE, REFUSED)
    clock.now = math.nextafter(math.inf, 0)
    assert ("sick", []) == (folder.state, folder.files())
    folder.is_well_again()
    assert [folder.path / ONE] == folder.files()


def test_what_waits_at_the_clocks_beginning_waits(disks: Disks, clock: Clock) -> None:
    clock.now = 0.0
    folder = Folder(1, disks.folders[0], 0, clock)
    folder.open()
    (folder.path / ONE).touch()
    assert [folder.path / ONE] == folder.files()


def test_a_folder_that_cannot_be_listed_has_no_files_and_is_sick(folder: Folder) -> None:
    folder.path.rmdir()
    assert ([], "sick") == (folder.files(), folder.state)


def test_a_probe_that_cannot_be_written_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", refused)
    with pytest.raises(OSError, match="Input/output error"):
        probe(tmp_path)
    assert [] == list(tmp_path.iterdir())


def test_a_probe_is_a_small_file_that_says_what_it_is_and_sweeps_take_it_for_no_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, bytes]] = []
    unlink = Path.unlink

    def look_and_unlink(path: Path, missing_ok: bool = False) -> None:
        seen.append((path.suffix, path.read_bytes()))
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", look_and_unlink)
    probe(tmp_path)
    assert [(".tmp", b"A probe; it may be deleted.")] == seen


# Several folders


@pytest.fixture
def spool(disks: Disks, keys: KeyRing, clock: Clock) -> Spool:
    spool = Spool(disks.folders, keys, now=clock)
    spool.open()
    return spool


def test_folders_have_places_from_one_and_no_ballast_unless_it_is_wished_for(spool: Spool, disks: Disks) -> None:
    assert [1, 2] == [folder.place for folder in spool.folders]
    assert [[], []] == [list(folder.iterdir()) for folder in disks.folders]


def test_folders_on_one_disk_have_one_ballast(disks: Disks, keys: KeyRing, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened() -> list[bool]:
        spool = Spool(disks.folders, keys, ballast_bytes=MIB)
        spool.open()
        return [folder.has_ballast for folder in spool.folders]

    assert [True, False] == opened()
    monkeypatch.setattr("offhook.spool.device_of", str)  # as if each were a disk of its own
    assert [True, True] == opened()


async def test_an_event_is_kept_although_every_other_thread_is_busy(spool: Spool) -> None:
    over = threading.Event()
    with ThreadPoolExecutor(1) as others:
        asyncio.get_running_loop().set_default_executor(others)
        others.submit(over.wait, 10)
        try:
            await asyncio.wait_for(spool.keep(an_event()), 5)
        finally:
            over.set()
    assert 1 == len(spool.waiting())


async def test_a_sick_folder_is_spared_as_long_as_another_is_well(disks: Disks, spool: Spool) -> None:
    broken(disks)
    await spool.keep(an_event("1"))
    disks.broken = {}
    disks.synced.clear()
    await spool.keep(an_event("2"))
    assert ([0, 2], {disks.folders[1]}) == (
        disks.files(),
        {path if path.is_dir() else path.parent for path in disks.synced},
    )


async def test_what_waits_is_told_oldest_first_whatever_folder_it_lies_in(spool: Spool) -> None:
    one, two = (folder.path for folder in spool.folders)
    (two / ONE).touch()
    (one / TWO).touch()
    assert [two / ONE, one / TWO] == spool.waiting()


async def test_an_event_is_called_by_its_moment_and_its_id(spool: Spool) -> None:
    await spool.keep(event := an_event())
    (path,) = spool.waiting()
    moment, _, rest = path.name.partition("-")
    assert (20, f"{event.id}.event") == (len(moment), rest)
    assert event == spool.load(path)


async def test_a_damaged_file_is_set_aside_under_its_name_and_told(spool: Spool) -> None:
    await spool.keep(an_event())
    (path,) = spool.waiting()
    spool.set_aside(path)
    spool.set_aside(path)  # another process was quicker
    assert ([], [path.with_suffix(".damaged")]) == (spool.waiting(), spool.damaged())
    assert ["well", "well"] == [folder.state for folder in spool.folders]


async def test_a_damaged_file_that_cannot_be_set_aside_is_passed_over(
    spool: Spool, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await spool.keep(an_event())
    (path,) = spool.waiting()

    def refused(*_: object) -> None:
        raise REFUSED

    with monkeypatch.context() as patch, capture_logs() as logs:
        patch.setattr(Path, "rename", refused)
        spool.set_aside(path)
    assert [("error", "spool.unreadable")] == said(logs)
    assert (path.name, str(REFUSED)) == (logs[0]["file"], logs[0]["error"])
    assert [] == spool.waiting()
    clock.now += REST_S
    assert [path] == spool.waiting()


def test_what_opens_but_holds_no_event_is_damaged_and_named(spool: Spool, keys: KeyRing) -> None:
    path = spool.folders[0].path / ONE
    path.write_bytes(sealed_record(b"OHS1", b"\x01", keys, "spool"))
    with pytest.raises(Damaged, match=rf"{ONE} holds no event that this offhook can read: "):
        spool.load(path)


async def test_what_is_removed_twice_is_removed(spool: Spool) -> None:
    await spool.keep(an_event())
    (path,) = spool.waiting()
    spool.remove(path)
    spool.remove(path)
    assert ([], "well") == (spool.waiting(), spool.folders[0].state)


async def test_what_cannot_be_removed_makes_its_own_folder_sick(
    disks: Disks, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(disks)
    await spool.keep(an_event())
    disks.broken = {}
    spool.folders[0].is_well_again()
    (path,) = spool.waiting()

    def refused(*_: object, **__: object) -> None:
        raise REFUSED

    monkeypatch.setattr(Path, "unlink", refused)
    with capture_logs() as logs:
        spool.remove(path)
    assert (["well", "sick"], str(REFUSED)) == ([folder.state for folder in spool.folders], logs[0]["error"])
    assert [] == spool.waiting()


async def test_sick_and_released_folders_are_metrics(disks: Disks, spool: Spool) -> None:
    def gauges() -> list[float | None]:
        return [REGISTRY.get_sample_value(f"offhook_{name}") for name in ("spool_folders_sick", "ballast_released")]

    spool.look()
    assert [0, 0] == gauges()
    broken(disks)
    await spool.keep(an_event())
    ballast = spool.folders[1].ballast or Ballast(spool.folders[1].path, 0)
    ballast.is_released = True
    spool.folders[1].ballast = ballast
    spool.folders[1].look = lambda: None  # type: ignore[method-assign]
    spool.look()
    assert [1, 1] == gauges()
    assert spool.is_tight([disks.folders[0]]), "both lie on one disk"
    ballast.is_released = False
    assert not spool.is_tight([disks.folders[0]])


def test_a_disk_is_tight_where_one_of_the_folders_lies_on_it(
    disks: Disks, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool.folders[0].ballast = ballast = Ballast(disks.folders[0], 0)
    ballast.is_released = True
    elsewhere = Path("/proc")
    assert spool.is_tight([elsewhere, disks.folders[1]])
    assert not spool.is_tight([elsewhere])
    assert not spool.is_tight([])


async def test_a_folder_that_keeps_an_event_spares_the_next_one(disks: Disks, spool: Spool) -> None:
    for number in range(3):
        await spool.keep(an_event(f"{number}"))
    assert [3, 0] == disks.files()


async def test_of_sick_folders_the_first_that_a_probe_finds_well_takes_the_event(disks: Disks, spool: Spool) -> None:
    disks.broken = dict.fromkeys(disks.folders, errno.EIO)
    with pytest.raises(ComeBackLater):
        await spool.keep(an_event())
    disks.broken = {}
    await spool.keep(an_event())
    assert [1, 0] == disks.files()
    assert ["well", "sick"] == [folder.state for folder in spool.folders]
    assert spool.can_keep


def test_drafts_whose_writer_lives_are_left_and_others_swept(folder: Folder) -> None:
    (folder.path / "old.draft").touch()
    (folder.path / "old.tmp").touch()
    with open_draft(folder.path / "new.draft"):
        folder.open()
        assert {"new.draft", "old.tmp"} == {path.name for path in folder.path.iterdir()}
