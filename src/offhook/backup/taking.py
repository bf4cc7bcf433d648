"""A backup is taken: the spool first, then the database at one instant, then the files that its rows name.

In this order nothing that was answered with 200 before it began is missing: an event leaves the spool only once it is in the
database, and a row is only committed once its files are on disk.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec

from offhook import __version__
from offhook.backup.archive import DATABASE, HEAD, KEY, SPOOL, TABLES, Advance, Head, Manifest, Writer
from offhook.drafts import open_draft, sweep, sync_folder
from offhook.errors import Damaged, Mistake
from offhook.settings import Settings
from offhook.spool import Spool
from offhook.store import snapshots
from offhook.store.migrations import revision
from offhook.store.snapshots import Named, PostgresqlSnapshot, SqliteCopy

_CHUNK_BYTES = 4 << 20  #: of a table, in memory; its size is only known at its end
_MOST_FINDINGS = 100
_DRAFT, _COPY = ".offhook-draft", ".offhook-copy"  #: ends of hidden names: the file until it is whole, SQLite's copy


class Taken(NamedTuple):
    manifest: Manifest
    size_bytes: int  #: of the whole file
    findings: list[str]  #: files that rows name and that are not, or not as they were written


async def take(settings: Settings, to: Path, *, with_key: bool, advance: Advance) -> Taken:
    """Write a backup to *to*, seen there only once it is whole and durable. Mistake when there is something already."""
    _must_be_free(to)
    _sweep(to.parent)
    draft = to.with_name(f".{to.name}{_DRAFT}")
    with _opened(draft) as file:
        try:
            taken = await _Taking(settings, file, draft.with_suffix(_COPY), advance).all(with_key=with_key)
            file.flush()
            os.fsync(file.fileno())
            _appear(draft, to)
        finally:
            _remove(draft)
    return taken


def size_of(settings: Settings) -> int:
    """About how many bytes a backup will have: for a bar."""
    folders = (settings.recordings_dir, settings.bodies_dir)
    database = settings.sqlite_path.stat().st_size * 2 if settings.is_sqlite else 0
    return database + sum(_size_of_folder(folder) for folder in folders if folder.is_dir())


class _Taking:
    def __init__(self, settings: Settings, file: BinaryIO, copy: Path, advance: Advance) -> None:
        self._settings = settings
        self._file = file
        self._copy = copy
        self._advance = advance
        self._writer = Writer(file, advance)
        self._seen: set[tuple[str, str]] = set()
        self._findings: list[str] = []

    async def all(self, *, with_key: bool) -> Taken:
        head = await self._head(with_key=with_key)
        self._writer.add_bytes(HEAD, msgspec.json.encode(head))
        if with_key:
            self._writer.add_bytes(KEY, _key_text(self._settings).encode())
        spooled = await asyncio.to_thread(self._add_spool)
        counts = await (self._add_sqlite() if self._settings.is_sqlite else self._add_postgresql())
        await asyncio.to_thread(self._add_files, spooled)
        manifest = self._writer.finish(head, counts, snapshots.TABLES)
        return Taken(manifest, self._file.tell(), self._findings)

    async def _head(self, *, with_key: bool) -> Head:
        found, wanted = await revision(self._settings)
        if found != wanted:
            raise Mistake("The database is not this version's: run `offhook db upgrade` first.")
        return Head(
            offhook=__version__,
            engine="sqlite" if self._settings.is_sqlite else "postgresql",
            revision=wanted,
            created_at=time.time(),
            keys=tuple(name.hex() for name in self._settings.key_ring().names),
            is_with_key=with_key,
        )

    def _add_spool(self) -> list[Named]:
        """The spooled events; the files that they name."""
        spool = Spool(self._settings.spool_dirs, self._settings.key_ring())
        named: list[Named] = []
        for path in self._spooled():
            try:
                self._writer.add_bytes(f"{SPOOL}/{path.name}", path.read_bytes())
                event = spool.load(path)
                named += snapshots.files_of(event.parts, event.audio)
            except FileNotFoundError:
                continue  # drained meanwhile: it is in the database, which comes next
            except Damaged as damage:
                self._find(damage.message)
            except OSError as error:
                self._find(f"{path} cannot be read: {error.strerror}.")
        return named

    def _spooled(self) -> list[Path]:
        folders = [folder for folder in self._settings.spool_dirs if folder.is_dir()]
        return sorted(path for folder in folders for end in ("event", "damaged") for path in folder.glob(f"*.{end}"))

    async def _add_sqlite(self) -> dict[str, int]:
        return await asyncio.to_thread(self._add_copy_of_sqlite)

    def _add_copy_of_sqlite(self) -> dict[str, int]:
        os.close(os.open(self._copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))  # SQLite would have others read it
        snapshots.copy_sqlite(self._settings.sqlite_path, self._copy, self._advance)
        with open(self._copy, "rb") as file:
            self._writer.add(DATABASE, file, self._copy.stat().st_size)
        held = SqliteCopy(self._copy)
        try:
            self._add_files(held.named())
            return held.counts()
        finally:
            held.close()

    async def _add_postgresql(self) -> dict[str, int]:
        async with PostgresqlSnapshot(self._settings.database_url) as snapshot:
            counts = await snapshot.counts()
            for table in snapshots.TABLES:
                async with self._chunks(table) as take:
                    await snapshot.copy(table, take)
            async for named in snapshot.named():
                await asyncio.to_thread(self._add_files, [named])
        return counts

    @asynccontextmanager
    async def _chunks(self, table: str) -> AsyncIterator[Callable[[bytes], Coroutine[Any, Any, None]]]:
        """What it gives takes a table's rows and writes them as members of some MiB."""
        held = bytearray()
        number = 0

        async def take(piece: bytes) -> None:
            nonlocal number
            held.extend(piece)
            if len(held) >= _CHUNK_BYTES:
                number += 1
                self._writer.add_bytes(f"{TABLES}/{table}/{number:06}", bytes(held))
                held.clear()

        yield take
        self._writer.add_bytes(f"{TABLES}/{table}/{number + 1:06}", bytes(held))

    def _add_files(self, named: Iterable[Named]) -> None:
        folders = {"recordings": self._settings.recordings_dir, "bodies": self._settings.bodies_dir}
        for one in named:
            if (one.folder, one.name) not in self._seen:
                self._seen.add((one.folder, one.name))
                self._add_file(folders[one.folder] / one.name, one)

    def _add_file(self, path: Path, named: Named) -> None:
        try:
            file = open(path, "rb")  # noqa: SIM115 - closed below; a fault of the backup's own file is no finding
        except FileNotFoundError:
            self._find(f"{path} is named by a row, and is not there.")
        except OSError as error:
            self._find(f"{path} is named by a row, and cannot be read: {error.strerror}.")
        else:
            with file:
                self._add_opened(file, path, named)

    def _add_opened(self, file: BinaryIO, path: Path, named: Named) -> None:
        size_bytes = os.fstat(file.fileno()).st_size
        member = self._writer.add(f"{named.folder}/{named.name}", file, size_bytes, is_needed=False)
        if fault := self._writer.faults.get(member.name):
            self._find(f"{path} cannot be read to its end: {fault.strerror}.")
        elif named.sha256 not in (None, member.sha256):
            self._find(f"{path} is not as it was written.")

    def _find(self, sentence: str) -> None:
        if len(self._findings) < _MOST_FINDINGS:
            self._findings.append(sentence)


def _key_text(settings: Settings) -> str:
    return settings.secret_key or (settings.data_dir / KEY).read_text("ascii")


def _must_be_free(to: Path) -> None:
    if to.exists():
        raise Mistake(f"{to} exists already: nothing is overwritten.")
    if not to.parent.is_dir():
        raise Mistake(f"{to.parent} is no folder.")


def _opened(draft: Path) -> BinaryIO:
    """For our eyes only: transcripts and recordings in it are open. Mistake while another backup is written to it."""
    try:
        file = open_draft(draft)
    except FileExistsError:
        raise _taken_already(draft) from None
    if not _is_at(draft, file):  # swept before it was locked
        file.close()
        raise _taken_already(draft)
    return file


def _taken_already(draft: Path) -> Mistake:
    return Mistake(f"{draft} is there: another backup is being written to the same file.")


def _is_at(path: Path, file: BinaryIO) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _sweep(folder: Path) -> None:
    """Remove what backups that were killed have left there: it is as large as they were to be, and open."""
    for draft in folder.glob(f".*{_DRAFT}"):
        if sweep([draft]):
            draft.with_suffix(_COPY).unlink(missing_ok=True)


def _remove(draft: Path) -> None:
    for left in (draft.with_suffix(_COPY), draft):
        left.unlink(missing_ok=True)


def _appear(draft: Path, to: Path) -> None:
    try:
        os.link(draft, to)  # never over what somebody else put there meanwhile
    except FileExistsError:
        raise Mistake(f"{to} exists already: nothing is overwritten.") from None
    except OSError:  # a disk that knows no links
        _must_be_free(to)
        draft.rename(to)
    sync_folder(to.parent)


def _size_of_folder(folder: Path) -> int:
    with os.scandir(folder) as entries:
        return sum(entry.stat().st_size for entry in entries if entry.is_file())
