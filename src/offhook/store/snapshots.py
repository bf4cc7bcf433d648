"""The whole database as of one instant, while others write: out to a backup, and back into an empty one.

SQLite is copied page by page under one read transaction. PostgreSQL is read in one REPEATABLE READ transaction, each table
with COPY as text: no pg_dump is needed, and any version reads it.
"""

import re
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import msgspec
import sqlalchemy as sa

from offhook.errors import Unavailable
from offhook.events import Audio, Part
from offhook.store.tables import events, metadata

_PAGES = 1024  #: copied at a time: 4 MiB, so that a bar moves
_ROWS = 1000
_CONNECT_S = 5.0
_SESSION = {"timezone": "UTC", "application_name": "offhook", "statement_timeout": "0"}

TABLES: dict[str, tuple[str, ...]] = {
    str(table.name): tuple(str(column.name) for column in table.columns) for table in metadata.sorted_tables
}
#: What rows say of files: events with parts or audio, and recordings.
_NAMED_BY_EVENTS = "SELECT parts, audio FROM events WHERE parts IS NOT NULL OR audio IS NOT NULL"
_NAMED_BY_RECORDINGS = "SELECT file, sha256 FROM recordings"

_parts = msgspec.json.Decoder(tuple[Part, ...])
_audio = msgspec.json.Decoder(Audio)


class Named(NamedTuple):
    """A file that a row names."""

    folder: str  #: recordings, bodies
    name: str
    sha256: str | None  #: of the file; None where what is known is the sha256 of something else


def files_of(parts: Iterable[Part], audio: Audio | None) -> list[Named]:
    """The files of an event."""
    found = [Named("bodies" if part.encoding == "raw" else "recordings", part.file, None) for part in parts]
    return [*found, Named("recordings", audio.file, audio.sha256)] if audio else found


def _named(row: Sequence[Any]) -> list[Named]:
    parts, audio = row
    return files_of(_parts.decode(parts) if parts else (), _audio.decode(audio) if audio else None)


# SQLite


def copy_sqlite(source: Path, target: Path, advance: Callable[[int], None]) -> None:
    """A copy of the database as it is now, whoever writes meanwhile, in one file. Unavailable when it cannot be read."""
    done = 0

    def progress(_status: int, remaining: int, total: int) -> None:
        nonlocal done
        advance((total - remaining - done) * page_bytes)
        done = total - remaining

    try:
        here, there = sqlite3.connect(source, isolation_level=None), sqlite3.connect(target, isolation_level=None)
        try:
            here.execute("PRAGMA wal_autocheckpoint = 0")  # the server's to do
            (page_bytes,) = here.execute("PRAGMA page_size").fetchone()
            here.execute("BEGIN")  # what is copied is what this transaction sees, and so the copy is begun but once
            here.execute("SELECT count(*) FROM sqlite_master").fetchone()
            here.backup(there, pages=_PAGES, progress=progress)
            here.execute("COMMIT")
            there.execute("PRAGMA journal_mode = DELETE")  # one file, without those beside it
        finally:
            here.close()
            there.close()
    except sqlite3.Error as error:
        raise Unavailable(f"The database cannot be copied: {error}.") from error


def settle_sqlite(path: Path) -> None:
    """Bring what is still in the journals of a database that nobody has open into the one file."""
    connection = sqlite3.connect(path)
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()


class SqliteCopy:
    """What such a copy holds."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)

    def close(self) -> None:
        self._connection.close()

    def counts(self) -> dict[str, int]:
        execute = self._connection.execute
        return {name: execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in TABLES}  # noqa: S608 - ours

    def named(self) -> Iterator[Named]:
        """Every file that a row names, some of them several times."""
        for file, sha256 in self._connection.execute(_NAMED_BY_RECORDINGS):
            yield Named("recordings", file, sha256)
        for row in self._connection.execute(_NAMED_BY_EVENTS):
            yield from _named(row)

    def fault(self) -> str | None:
        """What SQLite finds wrong with it; None when nothing is."""
        (found,) = self._connection.execute("PRAGMA integrity_check(1)").fetchone()
        return None if found == "ok" else str(found)


def fill_sqlite(path: Path, table: str, columns: Sequence[str], pieces: Iterable[bytes]) -> None:
    """Insert the rows that `PostgresqlSnapshot.copy` wrote into an empty table of a migrated database."""
    kinds = [_reader(table, column) for column in columns]
    marks, names = ", ".join("?" * len(columns)), ", ".join(f'"{column}"' for column in columns)
    insert = f'INSERT INTO "{table}" ({names}) VALUES ({marks})'  # noqa: S608 - of our own schema
    connection = sqlite3.connect(path)
    with connection:
        connection.executemany(insert, (_row(line, kinds) for line in _lines(pieces)))
    connection.close()


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Whole lines; one may be longer than many pieces."""
    held: list[bytes] = []
    for piece in pieces:
        first, *others = piece.split(b"\n")
        held.append(first)
        for line in others:
            yield b"".join(held)
            held = [line]


_ESCAPED = re.compile(rb"\\(.)", re.S)
_ESCAPES = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}


def _row(line: bytes, readers: Sequence[Callable[[bytes], Any]]) -> list[Any]:
    cells = line.split(b"\t")
    return [None if cell == b"\\N" else read(_plain(cell)) for cell, read in zip(cells, readers, strict=True)]


def _plain(cell: bytes) -> bytes:
    return _ESCAPED.sub(lambda found: _ESCAPES.get(found[1], found[1]), cell) if b"\\" in cell else cell


def _reader(table: str, column: str) -> Callable[[bytes], Any]:
    kind = metadata.tables[table].columns[column].type
    if isinstance(kind, sa.LargeBinary):
        return lambda cell: bytes.fromhex(cell[2:].decode())
    if isinstance(kind, sa.Boolean):
        return lambda cell: cell == b"t"
    if isinstance(kind, sa.Integer):
        return int
    return float if isinstance(kind, sa.Double) else bytes.decode


# PostgreSQL


class PostgresqlSnapshot:
    """One transaction that sees one instant: `async with PostgresqlSnapshot(url) as snapshot`."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def __aenter__(self) -> "PostgresqlSnapshot":
        self._connection = await _connected(self._url)
        self._transaction = self._connection.transaction(isolation="repeatable_read", readonly=True)
        await self._transaction.start()
        await self._connection.execute("SELECT count(*) FROM directory_version")  # the first look makes the instant
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close(timeout=_CONNECT_S)

    async def counts(self) -> dict[str, int]:
        count = self._connection.fetchval
        return {name: await count(f'SELECT count(*) FROM "{name}"') for name in TABLES}  # noqa: S608 - of our own schema

    async def size_bytes(self) -> int:
        """About."""
        return int(await self._connection.fetchval("SELECT pg_database_size(current_database())"))

    async def copy(self, table: str, take: Callable[[bytes], Coroutine[Any, Any, None]]) -> None:
        """Every row of *table* to *take*, as COPY's text, in pieces."""
        await self._connection.copy_from_table(table, columns=TABLES[table], output=take, format="text")

    async def named(self) -> AsyncIterator[Named]:
        async for row in self._connection.cursor(_NAMED_BY_RECORDINGS, prefetch=_ROWS):
            yield Named("recordings", *row)
        async for row in self._connection.cursor(_NAMED_BY_EVENTS, prefetch=_ROWS):
            for named in _named(tuple(row)):
                yield named


class PostgresqlFilling:
    """One transaction that fills an empty, migrated database: all of it is there afterwards, or nothing."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def __aenter__(self) -> "PostgresqlFilling":
        self._connection = await _connected(self._url)
        self._transaction = self._connection.transaction()
        await self._transaction.start()
        return self

    async def __aexit__(self, kind: object, *_: object) -> None:
        if kind is None:
            for table in ("events", "audit"):
                await self._connection.execute(
                    f"SELECT setval(pg_get_serial_sequence('{table}', 'seq'), max(seq)) FROM {table} "  # noqa: S608 - ours
                    "HAVING max(seq) IS NOT NULL"
                )
            await self._transaction.commit()
        await self._connection.close(timeout=_CONNECT_S)

    async def fill(self, table: str, columns: Sequence[str], pieces: AsyncIterator[bytes]) -> None:
        await self._connection.copy_to_table(table, columns=columns, source=pieces, format="text")


async def _connected(url: str) -> asyncpg.Connection:
    try:
        plain = sa.engine.make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        return await asyncpg.connect(plain, timeout=_CONNECT_S, server_settings=_SESSION)
    except (asyncpg.PostgresError, OSError, TimeoutError) as error:
        raise Unavailable(f"PostgreSQL cannot be reached: {error}.") from error


def is_empty(tx: sa.Connection) -> bool:
    """Whether no table holds anything."""
    return all(tx.execute(sa.select(table).limit(1)).first() is None for table in metadata.sorted_tables)


def files_named(tx: sa.Connection, after_seq: int, limit: int) -> tuple[set[str], int | None]:
    """The files of the next events behind *after_seq* that have some, and the last one's place; None: there are no more."""
    has_files = events.c.parts.is_not(None) | events.c.audio.is_not(None)
    columns = events.c.parts, events.c.audio, events.c.seq
    wanted = sa.select(*columns).where(has_files, events.c.seq > after_seq).order_by(events.c.seq).limit(limit)
    rows = tx.execute(wanted).all()
    return {one.name for row in rows for one in _named(row[:2])}, rows[-1].seq if rows else None


def next_events(tx: sa.Connection, after_seq: int, limit: int) -> Sequence[sa.Row[Any]]:
    """Whole rows of the next events behind *after_seq*."""
    return tx.execute(sa.select(events).where(events.c.seq > after_seq).order_by(events.c.seq).limit(limit)).all()
