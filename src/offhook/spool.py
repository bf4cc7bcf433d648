"""The spool: where an event goes when the database cannot take it in time.

One file an event: written, fsync'd, renamed, its folder fsync'd, so that what has its final name is whole. It is drained into
the database in the background; an event that is in both (the commit came after all) is the same row there.

    keep -> the first folder that is well -> the next one -> ... -> those that are sick, once a probe went well -> 503

A folder that fails is sick, and left alone for a while: nobody asks for the fsync of that file again, because the kernel may
have dropped what it could not write. A folder whose disk is full is not sick: its ballast is released, and it is asked again.
"""

import asyncio
import math
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import msgspec
from prometheus_client import Counter, Gauge

from offhook.disks import Ballast, device_of, is_full
from offhook.drafts import sweep
from offhook.errors import ComeBackLater, Damaged
from offhook.events import Event
from offhook.logs import log
from offhook.sealed_record import read_record, sealed_record, write_durably
from offhook.sealing import KeyRing

State = Literal["well", "full", "sick"]

_MAGIC = b"OHS1"
_BOUND_TO = "spool"
_NAME = re.compile(r"[0-9]{20}-[0-9a-f]{24}\.event\Z")
_ROOM_BYTES = 1 << 20  #: a disk with less is full
_REST_S = 30.0  #: how long a sick folder is left alone
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Event).decode

_failures = Counter(
    "offhook_spool_failures_total", "Times that a spool folder failed, by its place in the order", ["place"]
)
_sick = Gauge("offhook_spool_folders_sick", "Spool folders that are left alone because they failed")
_released = Gauge(
    "offhook_ballast_released", "Spool disks whose ballast is released: they are full, recordings are refused"
)


class Spool:
    """The spool folders of one process, in the order in which they are tried."""

    def __init__(
        self,
        folders: Sequence[Path],
        keys: KeyRing,
        *,
        ballast_bytes: int = 0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """*ballast_bytes*: on each disk; *now*: a clock that only goes forward, given only to be turned."""
        self.folders = tuple(Folder(place, path, ballast_bytes, now) for place, path in enumerate(folders, start=1))
        self._keys = keys
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spool")

    def open(self) -> None:
        """Make the folders and sweep what a crash left half written; it never had an answer."""
        devices: set[int | None] = set()
        for folder in self.folders:
            folder.open()
            if (device := device_of(folder.path)) in devices:
                folder.ballast = None  # one for each disk
            devices.add(device)
        self.look()

    def look(self) -> None:
        """See after ballast and sick folders; to be called each second or so, by a thread that may wait for a disk."""
        for folder in self.folders:
            folder.look()
        _sick.set(sum(folder.state == "sick" for folder in self.folders))
        _released.set(sum(folder.has_released for folder in self.folders))

    async def keep(self, event: Event) -> None:
        """Write *event* (its body open) so that it survives anything; ComeBackLater when no folder takes it."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._keep, event)

    def damaged(self) -> list[Path]:
        """What was set aside."""
        return sorted(path for folder in self.folders for path in folder.path.glob("*.damaged"))

    def waiting(self) -> list[Path]:
        """The spooled files, oldest first, as far as their folders can be looked at."""
        return sorted((path for folder in self.folders for path in folder.files()), key=lambda path: path.name)

    def load(self, path: Path) -> Event:
        """The event in *path*; Damaged when its checksum or its seal does not hold, OSError when it cannot be read."""
        plain = read_record(path, _MAGIC, self._keys, _BOUND_TO)
        try:
            return _decode(plain)
        except msgspec.DecodeError as error:
            raise Damaged(f"{path} holds no event that this offhook can read: {error}.") from None

    def set_aside(self, path: Path) -> None:
        """Keep a damaged file for a person to look at, out of the way of the others."""
        try:
            path.rename(path.with_suffix(".damaged"))
        except FileNotFoundError:  # another process did it just now
            return
        except OSError as error:
            self.pass_over(path, error)

    def pass_over(self, path: Path, error: OSError) -> None:
        """Leave a file alone for a while that cannot be read, so that it holds up no other."""
        self._folder_of(path).pass_over_unreadable(path.name, error)

    def remove(self, path: Path) -> None:
        """What is durable in the database needs no second copy. One that cannot be removed is not filed again meanwhile."""
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            self._folder_of(path).pass_over_done(path.name, error)

    @property
    def can_keep(self) -> bool:
        """Whether some folder is likely to take an event."""
        return any(folder.can_keep for folder in self.folders)

    def is_tight(self, folders: Sequence[Path]) -> bool:
        """Whether one of *folders* shares its disk with a spool that has released its ballast."""
        full = {folder.device for folder in self.folders if folder.has_released}
        return bool(full) and any(device_of(folder) in full for folder in folders)

    def _keep(self, event: Event) -> None:
        content = sealed_record(_MAGIC, _encode(event), self._keys, _BOUND_TO)
        name = f"{time.time_ns():020d}-{event.id}.event"
        if any(folder.takes(name, content) for folder in self._in_order()):
            return
        raise ComeBackLater

    def _folder_of(self, path: Path) -> "Folder":
        return next(folder for folder in self.folders if folder.path == path.parent)

    def _in_order(self) -> Iterator["Folder"]:
        """Those that are well; then, because nothing else can keep the event, the sick ones that a probe finds well."""
        sick = [folder for folder in self.folders if folder.state == "sick"]
        yield from (folder for folder in self.folders if folder not in sick)
        yield from (folder for folder in sick if folder.is_well_again())


class Folder:
    """One spool folder, and how it stands."""

    def __init__(self, place: int, path: Path, ballast_bytes: int, now: Callable[[], float]) -> None:
        self.place = place  #: in OFFHOOK_SPOOL_DIR, from 1
        self.path = path
        self.state: State = "well"
        self.ballast: Ballast | None = Ballast(path, ballast_bytes)
        self.device = device_of(path)
        self._now = now
        self._probe_at = 0.0
        self._passed_over: dict[str, float] = {}  # names, and until when

    def open(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            sweep(self.path.glob("*.draft"))
        except OSError as error:
            self._failed(error)
        self.device = device_of(self.path)

    def takes(self, name: str, content: bytes) -> bool:
        """Whether it has kept that, durably. Where it has not, it is sick, or full."""
        try:
            self._write(name, content)
        except OSError as error:
            self._failed(error)
            return False
        self.state = "well"
        return True

    def look(self) -> None:
        """Probe it when it has rested, and see after its ballast."""
        if self.state == "sick" and self._now() >= self._probe_at:
            self.is_well_again()
        if self.state == "sick":
            return
        try:
            if self.ballast is not None:
                self.ballast.look()
            if self.state == "full" and shutil.disk_usage(self.path).free > _ROOM_BYTES:
                self.state = "well"
        except OSError as error:
            self._failed(error)

    def is_well_again(self) -> bool:
        """Whether a small file can be written, synced and deleted there; it is used again then."""
        try:
            probe(self.path)
        except OSError as error:
            self._probe_at = self._now() + _REST_S
            self._failed(error)
            return self.state != "sick"
        log.info("spool.well_again", folder=str(self.path))
        self.state = "well"
        self._passed_over.clear()
        return True

    def files(self) -> list[Path]:
        """Those that wait, a sick folder's too; none where it cannot be looked at."""
        try:
            with os.scandir(self.path) as entries:
                names = [entry.name for entry in entries if _NAME.match(entry.name)]
        except OSError as error:
            self._failed(error)
            return []
        now = self._now()
        return [self.path / name for name in names if self._passed_over.get(name, 0.0) <= now]

    def pass_over_unreadable(self, name: str, error: OSError) -> None:
        if not self._passed_over:
            log.error("spool.unreadable", folder=str(self.path), file=name, error=str(error))
        self._passed_over[name] = self._now() + _REST_S

    def pass_over_done(self, name: str, error: OSError) -> None:
        self._passed_over[name] = math.inf
        self._failed(error)

    @property
    def can_keep(self) -> bool:
        """Whether it is likely to take an event."""
        try:
            has_room = shutil.disk_usage(self.path).free > _ROOM_BYTES and os.access(self.path, os.W_OK)
        except OSError:
            return False
        return self.state != "sick" and (has_room or self.has_ballast)

    @property
    def has_ballast(self) -> bool:
        """Whether there is some to give away."""
        return self.ballast is not None and self.ballast.lies()

    @property
    def has_released(self) -> bool:
        return self.ballast is not None and self.ballast.is_released

    def _write(self, name: str, content: bytes) -> None:
        try:
            write_durably(self.path / name, content)
        except OSError as error:
            if not is_full(error) or self.ballast is None or not self.ballast.release():
                raise
            write_durably(self.path / name, content)  # another file: the first one is gone

    def _failed(self, error: OSError) -> None:
        """It is full, or sick; said, and counted, when that begins."""
        if is_full(error):
            if self.state != "full":
                log.error("spool.full", folder=str(self.path), error=str(error))
            self.state = "full"
        elif self.state != "sick":
            self._probe_at = self._now() + _REST_S
            _failures.labels(str(self.place)).inc()
            log.error("spool.sick", folder=str(self.path), error=str(error), left_alone_s=_REST_S)
            self.state = "sick"


def probe(folder: Path) -> None:
    """Write, sync and delete a small file in *folder*; OSError when that cannot be done."""
    path = folder / f"probe-{secrets.token_hex(8)}.tmp"
    try:
        write_durably(path, b"A probe; it may be deleted.")
    finally:
        path.unlink(missing_ok=True)
