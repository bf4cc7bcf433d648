"""Which database: decided by OFFHOOK_DATABASE_URL."""

from offhook.settings import Settings
from offhook.store.database import Database
from offhook.store.postgresql import PostgresqlDatabase
from offhook.store.sqlite import SqliteDatabase


def open_database(settings: Settings, *, is_server: bool = False) -> Database:
    """The database of *settings*, not connected yet: `await database.open()` connects."""
    if settings.is_sqlite:
        settings.sqlite_path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return SqliteDatabase(settings.sqlite_path, is_server=is_server)
    return PostgresqlDatabase(settings.database_url)
