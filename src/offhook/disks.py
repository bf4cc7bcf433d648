"""How full disks are, and the ballast that keeps a full one from refusing small events.

Ballast is a file that holds nothing and takes room. When its disk is as good as full it is deleted: what it took is for small
events, and recordings are refused until there is room to lay it down again.
"""

import errno
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from offhook.drafts import private
from offhook.logs import log

Level = Literal["ok", "warning", "error"]
FULL_PERCENT: tuple[tuple[int, Level], ...] = ((95, "error"), (90, "warning"), (80, "warning"))
_OF_A_DISK = 8  #: ballast takes no more than this part of it
_BLOCK_BYTES = 1 << 20
_TIGHT = 4  #: a disk with less room left than this part of its ballast is as good as full
_FRO_PERCENT = 1  #: so much emptier than a mark counts as below it
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})


class Disk(NamedTuple):
    """One disk, and which of the folders that were asked about lie on it."""

    folders: tuple[str, ...]  #: as they were called
    path: Path  #: the first of them
    percent: float
    free_bytes: int

    @property
    def passed(self) -> int:
        """The highest of the percentages that one is warned at and that it has passed; 0 for none."""
        return next((percent for percent, _ in FULL_PERCENT if self.percent >= percent), 0)

    @property
    def level(self) -> Level:
        return dict(FULL_PERCENT).get(self.passed, "ok")


def disks(folders: Mapping[str, Path]) -> list[Disk]:
    """The disks that *folders* (by what they are called) lie on, each once. A folder that cannot be looked at is left out."""
    by_device: dict[int, list[str]] = {}
    for name, folder in folders.items():
        device = device_of(folder)
        if device is not None:
            by_device.setdefault(device, []).append(name)
    return [_disk(names, folders[names[0]]) for names in by_device.values()]


def device_of(folder: Path) -> int | None:
    """Which disk it lies on; None when that cannot be said."""
    try:
        return folder.stat().st_dev
    except OSError:
        return None


def is_full(error: OSError) -> bool:
    """Whether it says that there is no room, which is nobody's fault; anything else says that a disk is not well."""
    return error.errno in _NO_SPACE


class Ballast:
    """The ballast of one disk. What it does may be done by any thread, and twice."""

    def __init__(self, folder: Path, wanted_bytes: int) -> None:
        """*wanted_bytes*: 0 for none. A small disk has less of it: an eighth of what it holds."""
        self._folder = folder
        self._path = folder / "ballast"
        self._wanted_bytes = wanted_bytes
        self.is_released = False  #: the disk is as good as full: what is small may use the room, nothing else may

    def look(self) -> None:
        """Release it where the disk is as good as full, lay it down where there is room again."""
        usage = shutil.disk_usage(self._folder)
        size_bytes = self._size_bytes(usage.total)
        if not size_bytes:
            self.release(says=False)
            self.is_released = False
        elif self._held_bytes() == size_bytes:
            self.is_released = False
            if usage.free < size_bytes // _TIGHT:
                self.release()
        elif usage.free + self._held_bytes() >= size_bytes + 2 * (size_bytes // _TIGHT):
            self._lay(size_bytes)
        else:
            self.release()

    def release(self, *, says: bool = True) -> bool:
        """Give its room away; whether there was any to give."""
        try:
            self._path.unlink()
        except FileNotFoundError:
            has_given = False
        else:
            has_given = True
        if says and not self.is_released:
            log.error("ballast.released", folder=str(self._folder), hint="the disk is full: recordings are refused")
        self.is_released = says
        return has_given

    def lies(self) -> bool:
        """Whether it is there."""
        return self._held_bytes() > 0

    def _size_bytes(self, disk_bytes: int) -> int:
        return min(self._wanted_bytes, disk_bytes // _OF_A_DISK // _BLOCK_BYTES * _BLOCK_BYTES)

    def _held_bytes(self) -> int:
        try:
            return self._path.stat().st_size
        except FileNotFoundError:
            return 0

    def _lay(self, size_bytes: int) -> None:
        """Not synced: ballast that a power cut took is laid down anew at the next look."""
        self._path.unlink(missing_ok=True)
        try:
            with open(self._path, "xb", opener=private) as file:
                os.posix_fallocate(file.fileno(), 0, size_bytes)
        except OSError as error:
            self.release()
            if not is_full(error):
                self._go_without(error)
            return
        if self.is_released:
            log.info("ballast.back", folder=str(self._folder))
        self.is_released = False

    def _go_without(self, error: OSError) -> None:
        """Where a file system cannot keep room free, that is no reason to refuse recordings."""
        log.error("ballast.impossible", folder=str(self._folder), error=str(error))
        self._wanted_bytes = 0
        self.is_released = False


class FullnessWatch:
    """Says once of each disk that it has passed 80, 90, 95 %, and once that it is emptier again."""

    def __init__(self, folders: Mapping[str, Path]) -> None:
        self._folders = folders
        self._said: dict[tuple[str, ...], int] = {}
        self.found: list[Disk] = []  #: as of the last look

    def look(self) -> list[Disk]:
        """Those that have passed a further mark since the last look."""
        self.found = disks(self._folders)
        before, self._said = self._said, {disk.folders: self._say(disk) for disk in self.found}
        return [disk for disk in self.found if self._said[disk.folders] > before.get(disk.folders, 0)]

    def _say(self, disk: Disk) -> int:
        """The mark that has been said of it then. One that goes to and fro about a mark is spoken of once."""
        before = self._said.get(disk.folders, 0)
        facts = {"folder": str(disk.path), "percent": round(disk.percent), "free_mib": disk.free_bytes >> 20}
        if disk.passed > before:
            (log.error if disk.level == "error" else log.warning)("disk.fills", **facts)
        elif disk.passed < before and disk.percent < before - _FRO_PERCENT:
            log.info("disk.emptier", **facts)
        else:
            return before
        return disk.passed


def _disk(names: Iterable[str], folder: Path) -> Disk:
    usage = shutil.disk_usage(folder)
    percent = 100 * usage.used / max(usage.used + usage.free, 1)  # as df counts: what is root's alone is not there
    return Disk(tuple(names), folder, percent, usage.free)
