"""A backup is put back into an empty place: first all of it is checked, then it is written, the database last."""

import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from itertools import chain, groupby
from pathlib import Path

from offhook.backup import archive
from offhook.backup.archive import (
    BODIES,
    DATABASE,
    HEAD,
    KEY,
    MANIFEST,
    RECORDINGS,
    SPOOL,
    TABLES,
    Advance,
    Head,
    Manifest,
    Reading,
)
from offhook.drafts import sync_folder
from offhook.errors import Mistake
from offhook.settings import Settings
from offhook.store import migrations, snapshots
from offhook.store.engine import opened_database
from offhook.store.snapshots import PostgresqlFilling

_NAME = re.compile(r"[0-9A-Za-z_-][0-9A-Za-z._-]*", re.ASCII)
Fill = Callable[[str, Iterator[bytes]], Awaitable[None]]


async def restore(path: Path, settings: Settings, *, advance: Advance) -> Manifest:
    """Put the backup *path* where *settings* say. Mistake when that place is not empty or *path* is for another engine,
    Damaged with the member's name when a member is not as it was written; nothing is left behind then."""
    head = archive.head_of(path)
    _must_fit(head, settings)
    await _must_be_empty(settings)
    manifest = archive.checked(path, advance)
    with _taken_back_on_failure() as made:
        await _Restoring(path, settings, manifest, made, advance).all()
    return manifest


def _must_fit(head: Head, settings: Settings) -> None:
    if not migrations.is_known(head.revision):
        raise Mistake(f"The backup was written by offhook {head.offhook}: restore it with that version or a later one.")
    if head.engine == "sqlite" and not settings.is_sqlite:
        raise Mistake(
            "The backup is of SQLite and OFFHOOK_DATABASE_URL names PostgreSQL: restore it without OFFHOOK_DATABASE_URL."
        )
    if not settings.is_sqlite and not settings.secret_key:
        raise Mistake("Set OFFHOOK_SECRET_KEY to the key of the backup's installation first.")


async def _must_be_empty(settings: Settings) -> None:
    for folder in (settings.data_dir, settings.recordings_dir, settings.bodies_dir, *settings.spool_dirs):
        if folder.exists() and any(entry.name != KEY for entry in folder.iterdir()):
            raise Mistake(
                f"{folder} is not empty: a backup is only restored into an empty place; --into names another."
            )
    if settings.is_sqlite:
        if settings.sqlite_path.exists():
            raise Mistake(f"{settings.sqlite_path} exists already: a backup is only restored into an empty place.")
        return
    found, wanted = await migrations.revision(settings)
    if found is None:
        return
    if found == wanted:
        async with opened_database(settings) as database:
            if await database.read(snapshots.is_empty):
                return
    raise Mistake(
        "The database that OFFHOOK_DATABASE_URL names is not empty: a backup is only restored into an empty one."
    )


class _Restoring:
    """Files first: a row is only there once its files are."""

    def __init__(self, path: Path, settings: Settings, manifest: Manifest, made: list[Path], advance: Advance) -> None:
        self._path = path
        self._settings = settings
        self._staged = _staged(settings)
        self._manifest = manifest
        self._made = made
        self._advance = advance
        self._folders = {
            RECORDINGS: settings.recordings_dir,
            BODIES: settings.bodies_dir,
            SPOOL: settings.spool_dirs[0],
        }

    async def all(self) -> None:
        if self._settings.is_sqlite:
            self._note_database(self._staged.sqlite_path)
        for folder in (self._settings.data_dir, *self._folders.values()):
            self._make(folder)
        if self._manifest.head.engine == "postgresql":
            await migrations.upgrade(self._staged, self._manifest.head.revision)
        async with self._tables() as fill:
            with archive.reading(self._path, self._advance) as backup:
                for table, members in groupby(backup.members(), lambda member: _table_of(member[0])):
                    if table is None:
                        self._write_all(members, backup)
                    else:
                        await fill(table, chain.from_iterable(content for _, content in members))
        for folder in self._folders.values():
            sync_folder(folder)
        await migrations.upgrade(self._staged)
        if self._settings.is_sqlite:
            self._name_database(self._staged.sqlite_path, self._settings.sqlite_path)

    @asynccontextmanager
    async def _tables(self) -> AsyncIterator[Fill]:
        """What fills a table of the database; all tables are there when it ends well, or none."""
        columns = self._manifest.columns
        if self._settings.is_sqlite:

            async def fill_sqlite(table: str, pieces: Iterator[bytes]) -> None:
                snapshots.fill_sqlite(self._staged.sqlite_path, table, columns[table], pieces)

            yield fill_sqlite
            return
        async with PostgresqlFilling(self._settings.database_url) as filling:

            async def fill(table: str, pieces: Iterator[bytes]) -> None:
                await filling.fill(table, columns[table], _in_turn(pieces))

            yield fill

    def _write_all(self, members: Iterator[tuple[str, Iterator[bytes]]], backup: Reading) -> None:
        for name, pieces in members:
            path = self._place_of(name, backup)
            if path is not None:
                self._write(path, pieces)

    def _place_of(self, name: str, backup: Reading) -> Path | None:
        """Where a member belongs; None for what is said of the backup itself."""
        folder, _, rest = name.rpartition("/")
        if folder in self._folders and _NAME.fullmatch(rest):
            return self._folders[folder] / rest
        if name == DATABASE:
            return self._staged.sqlite_path
        if name == KEY:
            key = self._settings.data_dir / KEY
            return None if self._settings.secret_key or key.exists() else key
        if name in (HEAD, MANIFEST):
            return None
        raise backup.damaged(name)

    def _write(self, path: Path, pieces: Iterator[bytes]) -> None:
        self._made.append(path)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())

    def _make(self, folder: Path) -> None:
        """*folder*, and those above it that are missing."""
        missing = [one for one in (folder, *folder.parents) if not one.exists()]
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._made += reversed(missing)

    def _note_database(self, path: Path) -> None:
        self._make(path.parent.parent)
        try:
            path.parent.mkdir(mode=0o700)
        except FileExistsError:
            raise Mistake(f"{path.parent} is there: another restore is under way, or was interrupted.") from None
        self._made.append(path.parent)
        self._made += [path.with_name(path.name + end) for end in ("", "-wal", "-shm")]

    def _name_database(self, staged: Path, path: Path) -> None:
        """Last of all: from here on a server finds it."""
        snapshots.settle_sqlite(staged)
        self._made.append(path)
        staged.rename(path)
        staged.parent.rmdir()
        sync_folder(path.parent)


def _staged(settings: Settings) -> Settings:
    """The same place, but for SQLite's database: until all is there it lies where no server takes it for whole."""
    if not settings.is_sqlite:
        return settings
    folder = settings.sqlite_path.parent / migrations.UNFINISHED
    return settings.model_copy(update={"data_dir": folder, "database_url": ""})


@contextmanager
def _taken_back_on_failure() -> Iterator[list[Path]]:
    """What is put into the list is removed again, the last first, when the block fails."""
    made: list[Path] = []
    try:
        yield made
    except BaseException:
        for path in reversed(made):
            with suppress(OSError):
                path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
        raise


def _table_of(name: str) -> str | None:
    folder, _, rest = name.partition("/")
    return rest.partition("/")[0] if folder == TABLES else None


async def _in_turn(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
