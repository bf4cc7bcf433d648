"""PostgreSQL: one connection files events in group commits, a few answer lookups, a pool does all else.

Every call has a time limit on our side. A server that hangs holds its connections open and answers nothing, which is
worse than one that stopped; a connection that missed its limit is dropped, never waited for.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, NamedTuple

import asyncpg
import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from offhook.errors import OffhookError, Unavailable
from offhook.events import Event, Filed
from offhook.logs import log
from offhook.store import contacts, memories
from offhook.store import events as event_rows
from offhook.store.database import MAX_BATCH, P, Statement, T, prepared

_CONNECT_S = 2.0
_PREPARE_AGAIN_S = 1.0
_FILE_S = 2.0  #: for a whole batch; the events' own budget is shorter and sends them to the spool meanwhile
_STATEMENT_S = 30.0
_WAIT_FOR_CONNECTION_S = 5.0
_LOOKUPS = 4
_MAX_BATCH_BYTES = 8 << 20
#: synchronous_commit is set here and not left to the server: acknowledged means on disk.
_SESSION = {"synchronous_commit": "on", "timezone": "UTC", "application_name": "offhook", "jit": "off"}
_TYPES = (
    "text", "text", "text", "text", "text", "text", "text", "text", "int4", "int4",
    "text", "text", "float8", "float8", "int8", "text", "text", "text", "bytea", "bytea",
)  # fmt: skip

#: `deduplicated` comes from the insert: what was not inserted was there. The same event in other bytes is a row of its
#: own, found by type, call and time in the snapshot before the insert.
_INSERT = f"""
WITH given AS (
    SELECT * FROM unnest({", ".join(f"${n}::{kind}[]" for n, kind in enumerate(_TYPES, 1))})
        AS given ({", ".join(event_rows.FILED_COLUMNS)})
), inserted AS (
    INSERT INTO events ({", ".join(event_rows.FILED_COLUMNS)}) SELECT * FROM given
    ON CONFLICT (id) DO UPDATE SET deliveries = events.deliveries + 1
    RETURNING id, deliveries
)
SELECT inserted.id, inserted.deliveries > 1 OR EXISTS (
    SELECT 1 FROM events WHERE events.call_id = given.call_id AND events.type = given.type
        AND events.event_timestamp = given.event_timestamp AND events.status <> 'stale' AND given.status <> 'stale'
) AS deduplicated, inserted.deliveries = 1 AS is_new
FROM inserted JOIN given USING (id)
"""  # noqa: S608 - our own column names

#: What PostgreSQL, the socket or a time limit may say. Every one means the same here: not in time.
_FAILURES = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)


class _Filing(NamedTuple):
    event: Event
    answer: "asyncio.Future[Filed]"
    since: float


class PostgresqlDatabase:
    """A PostgreSQL server, shared with other replicas."""

    name = "postgresql"

    def __init__(self, url: str) -> None:
        self._url = make_url(url).set(drivername="postgresql")
        self._filings: deque[_Filing] = deque()
        self._in_hand_since: float | None = None
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._opening: asyncio.Task[None] | None = None  #: until it is done nobody is let in
        self._filing_connection: asyncpg.Connection | None = None
        self._lookups: asyncpg.Pool | None = None
        self._engine = create_async_engine(
            self._url.set(drivername="postgresql+asyncpg"),
            pool_size=8,
            max_overflow=4,
            pool_timeout=_WAIT_FOR_CONNECTION_S,
            pool_pre_ping=True,
            hide_parameters=True,  # an error would carry names, numbers and transcripts into the log
            connect_args={"timeout": _CONNECT_S, "command_timeout": _STATEMENT_S, "server_settings": _SESSION},
        )

    async def open(self) -> None:
        self._writer = asyncio.create_task(self._file_on(), name="postgresql-file")
        try:
            self._filing_connection = await self._connect()
        except _FAILURES as error:
            raise Unavailable(f"PostgreSQL cannot be reached: {_said(error)}.") from error

    def open_later(self, prepare: Callable[[], Awaitable[None]]) -> None:
        self._writer = asyncio.create_task(self._file_on(), name="postgresql-file")
        self._opening = asyncio.create_task(self._open_after(prepare), name="postgresql-open")

    async def close(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        await self._idle.wait()
        self._writer.cancel()
        await asyncio.gather(self._writer, return_exceptions=True)
        self._drop_filing_connection()
        if self._lookups is not None:
            self._lookups.terminate()
        await self._engine.dispose()

    async def read(self, statement: Statement[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._run(self._engine.connect(), prepared(statement, *args, **kwargs))

    async def write(self, statement: Statement[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._run(self._engine.begin(), prepared(statement, *args, **kwargs))

    def file(self, event: Event) -> "asyncio.Future[Filed]":
        answer: asyncio.Future[Filed] = asyncio.get_running_loop().create_future()
        self._filings.append(_Filing(event, answer, time.monotonic()))
        self._idle.clear()
        self._wake.set()
        return answer

    async def find_caller(self, org_id: str, number: str) -> Sequence[Any] | None:
        return next(iter(await self._look_up(contacts.CALLER_SQL_POSTGRESQL, org_id, number)), None)

    async def find_user(self, org_id: str, user_id: str) -> Sequence[Any] | None:
        return next(iter(await self._look_up(contacts.USER_SQL_POSTGRESQL, org_id, user_id)), None)

    async def recall(self, org_id: str, contact_id: str) -> Sequence[Sequence[Any]]:
        return await self._look_up(memories.RECALL_SQL_POSTGRESQL, org_id, contact_id)

    @property
    def oldest_wait_s(self) -> float:
        since = self._in_hand_since or (self._filings[0].since if self._filings else None)
        return 0.0 if since is None else time.monotonic() - since

    async def _look_up(self, sql: str, *given: str) -> Sequence[Sequence[Any]]:
        try:
            self._must_be_open()
            if self._lookups is None:
                self._lookups = await self._open_lookups()
            async with self._lookups.acquire(timeout=_CONNECT_S) as connection:
                return [tuple(row) for row in await connection.fetch(sql, *given, timeout=_FILE_S)]
        except _FAILURES as error:
            raise Unavailable(f"PostgreSQL did not answer: {_said(error)}.") from error

    async def _run(
        self, connected: AbstractAsyncContextManager[AsyncConnection], statement: Callable[[sa.Connection], T]
    ) -> T:
        try:
            self._must_be_open()
            async with asyncio.timeout(_STATEMENT_S), connected as connection:
                return await connection.run_sync(statement)
        except sa.exc.IntegrityError as error:
            raise error from None  # the driver's own error, behind it, repeats the whole row
        except (sa.exc.DBAPIError, sa.exc.TimeoutError, *_FAILURES) as error:
            raise Unavailable(f"PostgreSQL did not answer: {_said(error)}.") from error

    async def _open_after(self, prepare: Callable[[], Awaitable[None]]) -> None:
        said = ""
        while True:
            try:
                await prepare()
            except OffhookError as error:
                if error.message != said:
                    log.warning("database.shut", reason=error.message)
                said = error.message
            except Exception:  # a server that gave up here would spool until its disk is full
                log.exception("database.unprepared")
            else:
                self._opening = None
                log.info("database.opened")
                return
            await asyncio.sleep(_PREPARE_AGAIN_S)

    def _must_be_open(self) -> None:
        if self._opening is not None:
            raise ConnectionError("it was not there when this server started, and has not come back yet")

    # Filing

    async def _file_on(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._filings:
                batch = self._next_batch()
                self._in_hand_since = batch[0].since
                await self._file_batch(batch)
                self._in_hand_since = None
            self._idle.set()

    def _next_batch(self) -> list[_Filing]:
        """What waits, bounded in number and bytes, each event once: one insert cannot meet the same row twice."""
        batch: list[_Filing] = []
        ids: set[str] = set()
        size = 0
        while self._filings and len(batch) < MAX_BATCH and size < _MAX_BATCH_BYTES:
            if self._filings[0].event.id in ids:
                break
            filing = self._filings.popleft()
            batch.append(filing)
            ids.add(filing.event.id)
            size += len(filing.event.body)
        return batch

    async def _file_batch(self, batch: list[_Filing]) -> None:
        try:
            async with asyncio.timeout(_FILE_S):
                filed = await self._insert([filing.event for filing in batch])
        except Exception as error:  # whatever it is: without this task nothing is filed any more
            self._drop_filing_connection()
            if len(batch) > 1 and (isinstance(error, asyncpg.DataError) or not isinstance(error, _FAILURES)):
                for filing in batch:  # one spoils it for the others
                    await self._file_batch([filing])
                return
            why = Unavailable(f"PostgreSQL did not take the event: {_said(error)}.")
            for filing in batch:
                if not filing.answer.done():
                    filing.answer.set_exception(why)
            return
        for filing in batch:
            if not filing.answer.done():  # else it waited too long and went to the spool
                filing.answer.set_result(filed[filing.event.id])

    async def _insert(self, batch: Sequence[Event]) -> dict[str, Filed]:
        """Commit *batch* and tell of each event id whether it is a repetition."""
        self._must_be_open()
        if self._filing_connection is None or self._filing_connection.is_closed():
            self._filing_connection = await self._connect()
        columns = zip(*map(event_rows.filed_values, batch), strict=True)
        rows = await self._filing_connection.fetch(_INSERT, *columns)
        seen: set[tuple[Any, ...]] = set()
        filed = {row[0]: Filed(*row) for row in rows}
        for event in batch:
            same = (event.call_id, event.type, event.event_timestamp)
            if event.call_id is not None and event.event_timestamp is not None and event.status != "stale":
                if same in seen:
                    filed[event.id] = msgspec.structs.replace(filed[event.id], deduplicated=True)
                seen.add(same)
        return filed

    async def _connect(self) -> asyncpg.Connection:
        return await asyncpg.connect(
            self._url.render_as_string(hide_password=False), timeout=_CONNECT_S, server_settings=_SESSION
        )

    async def _open_lookups(self) -> asyncpg.Pool:
        return await asyncpg.create_pool(
            self._url.render_as_string(hide_password=False),
            min_size=1,
            max_size=_LOOKUPS,
            timeout=_CONNECT_S,
            server_settings=_SESSION,
            reset=_nothing,  # a lookup leaves nothing behind, and cleaning up after it would cost as much again
        )

    def _drop_filing_connection(self) -> None:
        """A connection that failed or hangs is not asked again, nor waited for."""
        if self._filing_connection is not None:
            with contextlib.suppress(*_FAILURES):
                self._filing_connection.terminate()
            self._filing_connection = None


async def _nothing(_: object) -> None: ...


def _said(error: Exception) -> str:
    """What happened; not the lines behind it, in which PostgreSQL and SQLAlchemy repeat what was to be written."""
    return str(error).partition("\n")[0] or type(error).__name__
