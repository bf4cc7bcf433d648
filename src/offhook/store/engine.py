"""Which database: decided by OFFHOOK_DATABASE_URL."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from offhook.settings import Settings
from offhook.store.database import Database
from offhook.store.sqlite import SqliteDatabase


def open_database(settings: Settings, *, is_server: bool = False) -> Database:
    """The database of *settings*, not connected yet: `await database.open()` connects."""
    if settings.is_sqlite:
        settings.sqlite_path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return SqliteDatabase(settings.sqlite_path, is_server=is_server)
    from offhook.store.postgresql import PostgresqlDatabase  # and SQLAlchemy's ORM with it: a sixth of a start

    return PostgresqlDatabase(settings.database_url)


@asynccontextmanager
async def opened_database(settings: Settings) -> AsyncIterator[Database]:
    """The same, open, for as long as a command lasts; Unavailable when it cannot be reached."""
    database = open_database(settings)
    await database.open()
    try:
        yield database
    finally:
        await database.close()
