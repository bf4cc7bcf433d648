"""What every room knows of a database: read, write, file an event, find a caller. Two engines answer to it.

`read` and `write` take a named function of the other files here; it gets a SQLAlchemy connection and is plain, so the
same function serves both engines. The hot paths (`file`, `find_caller` and its kin) speak to the driver.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from offhook.events import Event, Filed

P = ParamSpec("P")
T = TypeVar("T")
Statement = Callable[Concatenate[sa.Connection, P], T]

MAX_BATCH = 512  #: events in one group commit


class Database(Protocol):
    """One engine, opened for one process."""

    name: str  #: "sqlite" or "postgresql"

    async def open(self) -> None:
        """Connect and be ready for `file` and `find_caller`; Unavailable when the engine cannot be reached."""

    def open_later(self, prepare: Callable[[], Awaitable[None]]) -> None:
        """Instead of `open`: let nobody in until *prepare* has succeeded, which is tried each second. Until then everything
        is Unavailable, as in an outage."""

    async def close(self) -> None:
        """Let what was taken finish, then let go."""

    async def read(self, statement: Statement[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run *statement* in a read-only transaction; Unavailable when it cannot be had in time."""

    async def write(self, statement: Statement[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run *statement* in one transaction, durable when this returns; Unavailable when it cannot be had in time."""

    def file(self, event: Event) -> "asyncio.Future[Filed]":
        """Keep *event* (its body already sealed) in the next group commit; durable when the future is done.

        Unavailable when the batch could not be committed. The caller bounds the wait: a commit that comes after the
        caller gave up is harmless, because the same event filed again is the same row.
        """

    async def find_caller(self, org_id: str, number: str) -> Sequence[Any] | None:
        """The contact of *number* (E.164) as `contacts.CALLER_COLUMNS`, by one indexed read that no writer delays."""

    async def find_user(self, org_id: str, user_id: str) -> Sequence[Any] | None:
        """The same, of a user id (`contacts.external_id`)."""

    async def recall(self, org_id: str, contact_id: str) -> Sequence[Sequence[Any]]:
        """What is stored of a contact's earlier calls, for `memories.remembered`; as fast as `find_caller`."""

    @property
    def oldest_wait_s(self) -> float:
        """How long the oldest event now waiting in `file` has waited; 0 when none does."""


def prepared(statement: Statement[P, T], *args: P.args, **kwargs: P.kwargs) -> Callable[[sa.Connection], T]:
    """*statement* with all but its connection given."""
    return lambda tx: statement(tx, *args, **kwargs)


def upsert(tx: sa.Connection, table: sa.Table, rows: Sequence[dict[str, Any]], keep: Sequence[str] = ()) -> None:
    """Insert *rows*, or overwrite every column but the key and *keep* where the key exists."""
    if not rows:
        return
    insert = (sqlite if tx.dialect.name == "sqlite" else postgresql).insert(table)
    key = [column.name for column in table.primary_key]
    changed = [name for name in rows[0] if name not in key and name not in keep]
    tx.execute(
        insert.on_conflict_do_update(index_elements=key, set_={name: insert.excluded[name] for name in changed}), rows
    )


def insert_new(tx: sa.Connection, table: sa.Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert those of *rows* whose key does not exist yet."""
    if rows:
        insert = (sqlite if tx.dialect.name == "sqlite" else postgresql).insert(table)
        tx.execute(insert.on_conflict_do_nothing(), rows)
