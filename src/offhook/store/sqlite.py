"""SQLite: one writer thread, readers that never wait for it.

The writer files events first and runs other writes in between, each batch of events in one transaction with one fsync
(WAL, synchronous=FULL: NORMAL loses acknowledged rows at a power cut). It alone does the checkpoints: before SQLite
3.51.3 a checkpoint by another connection at the wrong moment can corrupt the WAL.
"""

import asyncio
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa

from offhook.errors import Unavailable
from offhook.events import Event, Filed
from offhook.store import contacts, memories
from offhook.store import events as event_rows
from offhook.store.database import MAX_BATCH, P, Statement, T, prepared

_READERS = 4
_SERVER_BUSY_MS = 250  #: beside a command; an event that waits longer goes to the spool
_GUEST_BUSY_MS = 10_000
_INLINE_BUSY_MS = 50  #: the event loop, and everybody with it, waits as long
_WRITE_PATIENCE_S = 10.0
_MMAP_BYTES = 1 << 30

_INSERT = (
    f"INSERT INTO events ({', '.join(event_rows.FILED_COLUMNS)}) "  # noqa: S608 - our own column names
    f"VALUES ({', '.join('?' * len(event_rows.FILED_COLUMNS))}) "
    "ON CONFLICT (id) DO UPDATE SET deliveries = deliveries + 1 RETURNING deliveries"
)
_SAME_EVENT = (
    "SELECT 1 FROM events WHERE call_id = ? AND type = ? AND event_timestamp = ? AND status <> 'stale' LIMIT 1"
)


class _Filing(NamedTuple):
    event: Event
    answer: "asyncio.Future[Filed]"
    since: float


class SqliteDatabase:
    """The database file of one data directory."""

    name = "sqlite"

    def __init__(self, path: Path, *, is_server: bool) -> None:
        """*is_server*: this process holds the directory's lock and does the checkpoints; others are guests."""
        self._path = path
        self._is_server = is_server
        self._filings: deque[_Filing] = deque()
        self._writes: deque[tuple[Callable[[sa.Connection], Any], Future[Any]]] = deque()
        self._wake = threading.Event()
        self._is_waking = False
        self._is_closing = False
        self._in_hand_since: float | None = None
        self._reads = ThreadPoolExecutor(_READERS, thread_name_prefix="sqlite-read")
        self._reader_pool = sa.create_engine(
            "sqlite://",
            creator=self._connect_reader,
            poolclass=sa.QueuePool,
            pool_size=_READERS,
            max_overflow=0,
            hide_parameters=True,  # an error would carry names, numbers and transcripts into the log
        )

    async def open(self) -> None:
        self._loop = asyncio.get_running_loop()
        try:
            self._inline = self._connect_reader(_INLINE_BUSY_MS)
            self._writer_connection = self._connect_writer()
        except sqlite3.Error as error:
            raise Unavailable(f"The database {self._path} cannot be opened: {error}.") from error
        self._writer = threading.Thread(target=self._write_on, name="sqlite-write", daemon=True)
        self._writer.start()

    def open_later(self, prepare: Callable[[], Awaitable[None]]) -> None:
        raise NotImplementedError("SQLite is a file of this machine: it is there, or the server is not")

    async def close(self) -> None:
        self._is_closing = True
        self._wake.set()
        await asyncio.to_thread(self._writer.join)
        self._reads.shutdown()
        self._reader_pool.dispose()
        self._inline.close()

    async def read(self, statement: Statement[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._loop.run_in_executor(self._reads, self._read_now, prepared(statement, *args, **kwargs))

    async def write(self, statement: Statement[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        until = time.monotonic() + _WRITE_PATIENCE_S
        while True:
            done: Future[T] = Future()
            self._writes.append((prepared(statement, *args, **kwargs), done))
            self._wake.set()
            try:
                return await asyncio.wrap_future(done)
            except Unavailable:
                if time.monotonic() > until or self._is_closing:
                    raise
                await asyncio.sleep(0.05)

    def file(self, event: Event) -> "asyncio.Future[Filed]":
        answer: asyncio.Future[Filed] = self._loop.create_future()
        self._filings.append(_Filing(event, answer, time.monotonic()))
        if not self._is_waking:
            self._is_waking = True
            self._loop.call_soon(self._wake_writer)  # after this turn of the loop: what it brings is one commit
        return answer

    async def find_caller(self, org_id: str, number: str) -> Sequence[Any] | None:
        return next(iter(self._look_up(contacts.CALLER_SQL_SQLITE, org_id, number)), None)

    async def find_user(self, org_id: str, user_id: str) -> Sequence[Any] | None:
        return next(iter(self._look_up(contacts.USER_SQL_SQLITE, org_id, user_id)), None)

    async def recall(self, org_id: str, contact_id: str) -> Sequence[Sequence[Any]]:
        return self._look_up(memories.RECALL_SQL_SQLITE, org_id, contact_id)

    @property
    def oldest_wait_s(self) -> float:
        since = self._in_hand_since
        if since is None:
            try:
                since = self._filings[0].since
            except IndexError:
                return 0.0
        return time.monotonic() - since

    def _look_up(self, sql: str, *given: str) -> Sequence[Sequence[Any]]:
        # In the loop on purpose: one indexed read of a mapped file is 10 us, a thread's round trip is 100.
        try:
            return self._inline.execute(sql, given).fetchall()
        except sqlite3.Error as error:
            raise Unavailable(f"The database cannot be read: {error}.") from error

    def _read_now(self, statement: Callable[[sa.Connection], T]) -> T:
        try:
            with self._reader_pool.connect() as tx:
                return statement(tx)
        except sa.exc.OperationalError as error:
            raise Unavailable(f"The database cannot be read: {error.orig}.") from error

    def _wake_writer(self) -> None:
        self._is_waking = False
        self._wake.set()

    # The writer thread

    def _write_on(self) -> None:
        engine = sa.create_engine(
            "sqlite://", creator=lambda: self._writer_connection, poolclass=sa.StaticPool, hide_parameters=True
        )
        sa.event.listen(engine, "begin", _begin_immediate)
        while not (self._is_closing and not self._filings and not self._writes):
            self._wake.wait()
            self._wake.clear()
            while self._filings or self._writes:
                if self._filings:
                    self._file_batch()
                else:
                    _run(engine, *self._writes.popleft())
        engine.dispose()
        self._writer_connection.close()

    def _file_batch(self) -> None:
        batch = [self._filings.popleft() for _ in range(min(len(self._filings), MAX_BATCH))]
        self._in_hand_since = batch[0].since
        answers = self._answers([filing.event for filing in batch])
        self._in_hand_since = None
        self._loop.call_soon_threadsafe(_give_answers, batch, answers)

    def _answers(self, batch: Sequence[Event]) -> Sequence[Filed | Unavailable]:
        try:
            return self._commit(batch)
        except Exception as error:  # whatever it is: without this thread nothing is filed any more
            if self._writer_connection.in_transaction:
                self._writer_connection.rollback()
            if len(batch) > 1 and not isinstance(error, sqlite3.OperationalError):
                return [answer for event in batch for answer in self._answers([event])]  # one spoils it for the others
            return [Unavailable(f"The database did not take the event: {error}.")] * len(batch)

    def _commit(self, batch: Sequence[Event]) -> list[Filed]:
        execute = self._writer_connection.execute
        execute("BEGIN IMMEDIATE")
        filed = [self._insert(event) for event in batch]
        execute("COMMIT")
        return filed

    def _insert(self, event: Event) -> Filed:
        execute = self._writer_connection.execute
        is_known = (
            event.call_id is not None
            and event.event_timestamp is not None
            and event.status != "stale"
            and execute(_SAME_EVENT, (event.call_id, event.type, event.event_timestamp)).fetchone() is not None
        )
        (deliveries,) = execute(_INSERT, event_rows.filed_values(event)).fetchone()
        return Filed(event.id, is_known or deliveries > 1, is_new=deliveries == 1)

    # Connections

    def _connect(self, busy_ms: int) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=busy_ms / 1000)
        connection.execute(f"PRAGMA mmap_size = {_MMAP_BYTES}")
        return connection

    def _connect_writer(self) -> sqlite3.Connection:
        connection = self._connect(_SERVER_BUSY_MS if self._is_server else _GUEST_BUSY_MS)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA journal_size_limit = 67108864")
        # 1000 pages keep each checkpoint short: 4000 tripled the slowest answers.
        connection.execute(f"PRAGMA wal_autocheckpoint = {1000 if self._is_server else 0}")
        return connection

    def _connect_reader(self, busy_ms: int = _GUEST_BUSY_MS) -> sqlite3.Connection:
        connection = self._connect(busy_ms)
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("PRAGMA query_only = 1")
        return connection


def _begin_immediate(tx: sa.Connection) -> None:
    tx.exec_driver_sql("BEGIN IMMEDIATE")


def _run(engine: sa.Engine, statement: Callable[[sa.Connection], Any], done: "Future[Any]") -> None:
    if not done.set_running_or_notify_cancel():
        return
    try:
        with engine.begin() as tx:
            result = statement(tx)
    except sa.exc.OperationalError as error:
        done.set_exception(Unavailable(f"The database cannot be written: {error.orig}."))
    except BaseException as error:  # it belongs to whoever asked for the write
        done.set_exception(error)
    else:
        done.set_result(result)


def _give_answers(batch: Sequence[_Filing], answers: Sequence[Filed | Unavailable]) -> None:
    for filing, answer in zip(batch, answers, strict=True):
        if filing.answer.done():  # it waited too long and went to the spool
            continue
        if isinstance(answer, Unavailable):
            filing.answer.set_exception(answer)
        else:
            filing.answer.set_result(answer)
