"""A million people in the database before the server starts, put there in bulk: nobody waits for a million API calls."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import asyncpg
import sqlalchemy as sa

from bench.contenders import Offhook
from bench.letters import number
from offhook import events
from offhook.store import tables

_CREATED_AT = 1_780_000_000.0
_NAMES = ("Alex", "Maria", "Sam", "Noor", "Robin", "Ines", "Kofi", "Yuki")


def fill(server: Offhook, count: int) -> None:
    """Give the organisation *count* contacts with a name and a number each; the server is not running yet."""
    url = server.env.get("OFFHOOK_DATABASE_URL")
    if url:
        asyncio.run(_fill_postgresql(url, server.org_id, count))
    else:
        _fill_sqlite(str(server.data_dir / "offhook.db"), server.org_id, count)


def _fill_sqlite(path: str, org_id: str, count: int) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -262144")
        connection.execute("BEGIN")
        # Nobody is searched for here, and to index a million people by their letters takes minutes.
        connection.execute("DROP TRIGGER contact_search_new")
        for table, rows in _rows(org_id, count):
            places = ", ".join("?" * len(table.columns))
            connection.executemany(f"INSERT INTO {table.name} VALUES ({places})", rows)
        connection.execute("COMMIT")


async def _fill_postgresql(url: str, org_id: str, count: int) -> None:
    connection = await asyncpg.connect(url)
    try:
        for table, rows in _rows(org_id, count):
            await connection.copy_records_to_table(table.name, records=rows, columns=list(table.columns.keys()))
        # What autovacuum would do within a minute of so many rows, in the midst of what is measured.
        await connection.execute("VACUUM ANALYZE")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()


def _rows(org_id: str, count: int) -> Sequence[tuple[sa.Table, Iterator[tuple[Any, ...]]]]:
    people = partial(_people, org_id, count)
    return (
        (tables.contacts, (_values(tables.contacts, person) for person in people())),
        (tables.contact_numbers, (_values(tables.contact_numbers, person) for person in people())),
    )


def _people(org_id: str, count: int) -> Iterator[dict[str, Any]]:
    for caller in range(count):
        known_by = number(caller)
        contact_id = events.contact_id(org_id, known_by)
        first_name = _NAMES[caller % len(_NAMES)]
        yield {
            "id": contact_id,
            "org_id": org_id,
            "first_name": first_name,
            "last_name": "Morgan",
            "emails": "[]",
            "external_id": None,
            "source": "import",
            "created_at": _CREATED_AT,
            "updated_at": _CREATED_AT,
            "search_text": f"{first_name} morgan\n{known_by}".casefold(),
            "number": known_by,
            "contact_id": contact_id,
            "position": 0,
        }


def _values(table: sa.Table, person: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(person[name] for name in table.columns.keys())  # noqa: SIM118 - columns are not a dict
