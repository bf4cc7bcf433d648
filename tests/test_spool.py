"""Spool folders that fail, fill up and come back; what another machine left behind; the ballast of full disks."""

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_client import REGISTRY

from offhook.cli import run
from offhook.disks import Ballast, FullnessWatch
from offhook.errors import ComeBackLater
from offhook.inbox import Inbox
from offhook.sealing import KeyRing, new_key_text
from offhook.settings import Settings
from offhook.spool import Spool
from offhook.store import events as event_rows
from offhook.store.database import Database
from offhook.voice.body import Body, Intake
from offhook.voice.elevenlabs.envelope import FULL_AUDIO
from offhook.voice.parts import Folders
from tests.test_inbox import ORG, an_event

MIB = 1 << 20
FAR = 31.0  #: s; longer than a sick folder rests


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Disks:
    """Two spool folders, whose disks can be broken: the calls that make a file durable fail for them, and are counted."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folders = folder / "one", folder / "two"
        self.broken: dict[Path, int] = {}  #: and how
        self.synced: list[Path] = []
        sync = os.fsync

        def fsync(fd: int) -> None:
            path = Path(os.readlink(f"/proc/self/fd/{fd}"))
            self.synced.append(path)
            for folder, error in self.broken.items():
                if folder in (path, path.parent):
                    raise OSError(error, os.strerror(error))
            sync(fd)

        monkeypatch.setattr(os, "fsync", fsync)

    def files(self) -> list[int]:
        """How many events lie in each."""
        return [len(list(folder.glob("*.event"))) for folder in self.folders]


@pytest.fixture
def disks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disks:
    return Disks(tmp_path, monkeypatch)


@pytest.fixture
def keys() -> KeyRing:
    return KeyRing.from_text(new_key_text())


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def spool(disks: Disks, keys: KeyRing, clock: Clock) -> Spool:
    spool = Spool(disks.folders, keys, now=clock)
    spool.open()
    return spool


def states(spool: Spool) -> list[str]:
    return [folder.state for folder in spool.folders]


# Sick folders


async def test_after_a_failed_fsync_the_folder_is_left_alone_and_the_next_takes_every_event(
    disks: Disks, spool: Spool
) -> None:
    one, _ = disks.folders
    disks.broken = {one: errno.EIO}
    for n in range(3):
        await spool.keep(an_event(f"{n}"))
    assert 3 == disks.files()[1]
    assert ["sick", "well"] == states(spool)
    assert 1 == len([path for path in disks.synced if one in (path, path.parent)]), "one fsync, and never again"
    assert [] == list(one.glob("*.draft"))


async def test_a_sick_folder_is_probed_after_its_rest_and_used_again_when_that_goes_well(
    disks: Disks, spool: Spool, clock: Clock
) -> None:
    one, _ = disks.folders
    disks.broken = {one: errno.EIO}
    await spool.keep(an_event("1"))
    spool.look()
    assert ["sick", "well"] == states(spool)
    clock.now += FAR
    spool.look()
    assert ["sick", "well"] == states(spool), "the probe failed"
    disks.broken = {}
    spool.look()
    assert ["sick", "well"] == states(spool), "it rests once more"
    clock.now += FAR
    spool.look()
    assert ["well", "well"] == states(spool)
    await spool.keep(an_event("2"))
    assert [1, 1] == disks.files()
    assert [] == [path for path in one.iterdir() if path.suffix != ".event"], "a probe leaves nothing"


async def test_when_all_are_sick_each_event_asks_again_whether_one_is_well(disks: Disks, spool: Spool) -> None:
    disks.broken = dict.fromkeys(disks.folders, errno.EIO)
    with pytest.raises(ComeBackLater):
        await spool.keep(an_event("lost to nobody: it was not acknowledged"))
    assert ["sick", "sick"] == states(spool)
    assert not spool.can_keep
    disks.broken = {disks.folders[0]: errno.EIO}
    await spool.keep(an_event("kept"))
    assert [0, 1] == disks.files()


async def test_a_failure_is_counted_once_by_the_folders_place(disks: Disks, spool: Spool) -> None:
    name, labels = "offhook_spool_failures_total", {"place": "1"}
    before = REGISTRY.get_sample_value(name, labels) or 0
    disks.broken = {disks.folders[0]: errno.EROFS}
    for n in range(3):
        await spool.keep(an_event(f"{n}"))
    assert before + 1 == REGISTRY.get_sample_value(name, labels)
    spool.look()
    assert 1 == REGISTRY.get_sample_value("offhook_spool_folders_sick")


async def test_a_full_folder_is_not_sick_and_is_asked_for_every_event(disks: Disks, spool: Spool) -> None:
    disks.broken = {disks.folders[0]: errno.ENOSPC}
    await spool.keep(an_event("1"))
    assert ["full", "well"] == states(spool)
    disks.broken = {}
    await spool.keep(an_event("2"))
    assert [1, 1] == disks.files()
    assert ["well", "well"] == states(spool)


async def test_what_waits_in_a_folder_that_is_gone_hides_nothing_that_waits_in_another(
    disks: Disks, spool: Spool
) -> None:
    one, two = disks.folders
    disks.broken = {one: errno.EIO}
    await spool.keep(an_event())
    one.rmdir()
    one.write_text("a file where a folder should be")
    assert [two] == [path.parent for path in spool.waiting()]


async def test_a_spooled_file_that_cannot_be_read_holds_up_no_other(
    database: Database, disks: Disks, keys: KeyRing, spool: Spool, clock: Clock
) -> None:
    inbox = Inbox(database, spool, keys, budget_s=30)
    await spool.keep(an_event("good"))
    unreadable = disks.folders[0] / f"{0:020d}-{'a' * 24}.event"
    unreadable.mkdir()
    while await inbox.drain_some():
        pass
    assert 1 == (await database.read(event_rows.page, ORG))[1]
    assert [] == spool.waiting()
    clock.now += FAR
    assert [unreadable] == spool.waiting()


async def test_a_file_that_cannot_be_deleted_is_filed_once_and_again_only_when_its_folder_is_well(
    database: Database, disks: Disks, keys: KeyRing, spool: Spool, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = Inbox(database, spool, keys, budget_s=30)
    await spool.keep(an_event())
    unlink = Path.unlink

    def refused(path: Path, missing_ok: bool = False) -> None:
        if path.suffix == ".event":
            raise OSError(errno.EROFS, "Read-only file system")
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", refused)
    assert [1, 0] == [await inbox.drain_some() for _ in range(2)]
    assert "sick" == states(spool)[0]
    monkeypatch.undo()
    clock.now += FAR
    spool.look()
    assert [1, 0] == [await inbox.drain_some() for _ in range(2)]
    ((row,), total) = await database.read(event_rows.page, ORG)
    assert (1, 2) == (total, row.deliveries)
    assert [0, 0] == disks.files()


# offhook spool


@pytest.fixture
async def elsewhere(tmp_path: Path, keys: KeyRing) -> Path:
    """The spool folder of another machine: two events, one of them with a recording, and a damaged one."""
    data_dir = tmp_path / "old-server"
    spool = Spool([data_dir / "spool"], keys)
    spool.open()
    folders = Folders(data_dir / "recordings", data_dir / "bodies", keys)
    body = taken_in(folders)
    await spool.keep(an_event("plain"))
    await spool.keep(an_event("with a recording", conversation_id="conv_2", parts=body.parts, audio=body.audio))
    await spool.keep(an_event("damaged", conversation_id="conv_3"))
    last = spool.waiting()[-1]
    last.write_bytes(last.read_bytes()[:-1])
    return data_dir / "spool"


@pytest.fixture
def here(settings: Settings, keys: KeyRing, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The installation that commands work on, which has the keys of the other machine."""
    both = f"{settings.secret_key},{keys._roots[0].hex()}"
    told = {"DATA_DIR": settings.data_dir, "DATABASE_URL": settings.database_url, "SECRET_KEY": both}
    for name, value in told.items():
        monkeypatch.setenv(f"OFFHOOK_{name}", str(value))
    return settings


def offhook(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    """Exit code, and the JSON that it printed; in a thread, because a loop is running."""
    with ThreadPoolExecutor(1) as thread:
        code = thread.submit(run, [*words, "--json"]).result()
    return code, msgspec.json.decode(capsys.readouterr().out)


async def test_what_another_machine_left_is_drained_once_with_its_recordings_and_what_is_damaged_is_named(
    here: Settings, database: Database, elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from_ = ("--from", str(elsewhere))
    code, listed = offhook(capsys, "spool", "list", *from_)
    assert (0, ["waiting", "waiting", "damaged"]) == (code, [one["state"] for one in listed])
    assert [an_event("plain").id] == [one["id"] for one in listed if one.get("conversation_id") == "conv_1"]
    copy = elsewhere / f"{1:020d}-{an_event('plain').id}.event"
    shutil.copy(listed[0]["file"], copy)

    code, drained = offhook(capsys, "spool", "drain", *from_)
    assert (1, 3, 1) == (code, drained["drained"], drained["repeated"])
    assert [listed[2]["file"]] == [one["file"] for one in drained["left"]]
    assert [Path(listed[2]["file"])] == list(elsewhere.iterdir()), "what is filed is deleted, what is damaged stays"
    rows, total = await database.read(event_rows.page, ORG)
    assert ({"spool"}, 2) == ({row.source for row in rows}, total)
    (recording,) = (elsewhere.parent / "recordings").glob("*[0-9a-f]")
    assert recording.read_bytes() == (here.recordings_dir / recording.name).read_bytes()


async def test_an_event_whose_recording_is_nowhere_is_left_and_says_what_to_copy(
    here: Settings, database: Database, elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(elsewhere.parent / "recordings")
    _, drained = offhook(capsys, "spool", "drain", "--from", str(elsewhere))
    assert (1, 2) == (drained["drained"], len(drained["left"]))
    assert any("copy the other machine's recordings" in one["reason"] for one in drained["left"])
    assert 1 == (await database.read(event_rows.page, ORG))[1]


def test_what_is_no_folder_is_a_mistake(here: Settings, tmp_path: Path) -> None:
    assert 2 == run(["spool", "drain", "--from", str(tmp_path / "nowhere")])


# Ballast


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """64 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("No disk can be mounted here: this test does not run.")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


def fill(disk: Path, leave_bytes: int = 0) -> Path:
    filler = disk / "filler"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(disk).free - leave_bytes)
    return filler


async def test_ballast_lets_small_events_in_when_the_disk_is_full_and_keeps_recordings_out_until_there_is_room(
    small_disk: Path, keys: KeyRing
) -> None:
    stores = small_disk / "recordings", small_disk / "bodies"
    spool = Spool([small_disk / "spool"], keys, ballast_bytes=64 * MIB)
    spool.open()
    assert [8 * MIB] == [path.stat().st_size for path in (small_disk / "spool").iterdir()], "an eighth of a small disk"
    folders = Folders(*stores, keys, lambda: spool.is_tight([small_disk]))
    taken_in(folders)
    filler = fill(small_disk)

    for n in range(1000):
        await spool.keep(an_event(f"small {n}"))
    with pytest.raises(OSError, match="kept for small events"):
        taken_in(folders)
    assert 1000 == len(spool.waiting())
    assert [] == list(small_disk.glob("*/incoming/*"))
    spool.look()
    assert spool.folders[0].has_released

    filler.unlink()
    spool.look()
    assert not spool.folders[0].has_released
    assert (small_disk / "spool" / "ballast").exists()
    taken_in(folders)


def taken_in(folders: Folders) -> Body:
    """A recording of 700 KB, proven."""
    intake = Intake(folders, 16 * MIB, FULL_AUDIO)
    try:
        intake.feed(b'{"type":"post_call_audio","data":{"full_audio":"' + b"QUJD" * 200_000 + b'"}}')
        body = intake.finish()
        intake.keep()
        return body
    finally:
        intake.discard()


def test_ballast_is_released_before_the_last_byte_is_gone(small_disk: Path) -> None:
    ballast = Ballast(small_disk, 8 * MIB)
    ballast.look()
    assert ballast.lies()
    fill(small_disk, leave_bytes=MIB)
    ballast.look()
    assert (True, False) == (ballast.is_released, ballast.lies())
    ballast.look()
    assert (True, False) == (ballast.is_released, ballast.lies()), "what it gave is not taken back at once"


def test_no_ballast_is_wanted(small_disk: Path) -> None:
    (small_disk / "ballast").write_bytes(bytes(MIB))
    ballast = Ballast(small_disk, 0)
    ballast.look()
    fill(small_disk)
    ballast.look()
    assert (False, False) == (ballast.is_released, ballast.lies())


def test_where_a_file_system_can_keep_no_room_free_recordings_are_taken_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def impossible(fd: int, offset: int, size_bytes: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "posix_fallocate", impossible)
    ballast = Ballast(tmp_path, MIB)
    for _ in range(2):
        ballast.look()
        assert (False, []) == (ballast.is_released, list(tmp_path.iterdir()))


async def test_two_spool_folders_on_one_disk_share_its_ballast(tmp_path: Path, keys: KeyRing) -> None:
    spool = Spool([tmp_path / "one", tmp_path / "two"], keys, ballast_bytes=MIB)
    spool.open()
    assert [True, False] == [(folder.path / "ballast").exists() for folder in spool.folders]


def test_a_disk_that_fills_is_said_at_80_90_and_95_percent_and_once_each(small_disk: Path) -> None:
    watch = FullnessWatch({"data": small_disk, "spool 1": small_disk})
    said = []
    for percent in (50, 81, 82, 91, 96, 97, 95, 20, 81):
        with (small_disk / "filler").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, int(64 * MIB * percent / 100))
        passed = [disk.passed for disk in watch.look()]
        (disk,) = watch.found
        said.append((disk.level, passed))
    assert [
        ("ok", []), ("warning", [80]), ("warning", []), ("warning", [90]), ("error", [95]), ("error", []), ("error", []),
        ("ok", []), ("warning", [80]),
    ] == said  # fmt: skip
    assert ("data", "spool 1") == disk.folders
