"""The schema's history. `upgrade` brings a database to this version of offhook; `check` tells how far it is."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import DBAPIConnection

from offhook.errors import Mistake, NewerDatabase, Unavailable
from offhook.settings import Settings

T = TypeVar("T")

UNFINISHED = "unfinished-restore"  #: the folder beside SQLite's database that is there until a restore has ended
_ONE_AT_A_TIME = 0x0FF_400C  #: PostgreSQL advisory lock: two replicas starting at once upgrade one after the other


async def upgrade(settings: Settings, to: str | None = None) -> None:
    """Create the schema or bring it up to date, or only to revision *to*; NewerDatabase when a later offhook made it."""
    await _run(settings, lambda tx: _upgrade(tx, to or _head()))


def is_known(revision: str) -> bool:
    """Whether this offhook can bring a database from there up to date."""
    return revision in _known_revisions()


async def revision(settings: Settings) -> tuple[str | None, str]:
    """The database's revision (None: empty) and the one that this code wants."""
    return await _run(settings, lambda tx: (_current(tx), _head()))


def _upgrade(tx: sa.Connection, to: str) -> None:
    if tx.dialect.name == "postgresql":
        tx.execute(sa.select(sa.func.pg_advisory_xact_lock(_ONE_AT_A_TIME)))
    current = _current(tx)
    if current == to:
        return
    if current is not None and current not in _known_revisions():
        raise NewerDatabase
    config = _config()
    config.attributes["connection"] = tx
    command.upgrade(config, to)


async def _run(settings: Settings, statement: Callable[[sa.Connection], T]) -> T:
    try:
        if settings.is_sqlite:
            return _run_on_sqlite(settings.sqlite_path, statement)
        from sqlalchemy.ext.asyncio import create_async_engine  # brings the ORM, which SQLite has no use for

        url = make_url(settings.database_url).set(drivername="postgresql+asyncpg")
        engine = create_async_engine(url, connect_args={"timeout": 5})
        try:
            async with engine.begin() as connection:
                return await connection.run_sync(statement)
        finally:
            await engine.dispose()
    except (sa.exc.DBAPIError, OSError, TimeoutError) as error:
        raise Unavailable(f"The database cannot be reached: {getattr(error, 'orig', error)}.") from error


def _run_on_sqlite(path: Path, statement: Callable[[sa.Connection], T]) -> T:
    if (unfinished := path.parent / UNFINISHED).exists():  # a new, empty database would hide that
        raise Mistake(f"A restore was interrupted: {unfinished} is there. Empty {path.parent}, and restore again.")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(mode=0o600)  # SQLite would let everybody on this machine read it, and its -wal has the mode that it has
    engine = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": 10, "isolation_level": None})
    # WAL from the first byte: this connection meets a running server, and its checkpoints are the server's to do.
    sa.event.listen(engine, "connect", _as_guest)
    sa.event.listen(engine, "begin", lambda tx: tx.exec_driver_sql("BEGIN IMMEDIATE"))
    try:
        with engine.begin() as tx:
            return statement(tx)
    finally:
        engine.dispose()


def _as_guest(connection: DBAPIConnection, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "wal_autocheckpoint = 0"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _current(tx: sa.Connection) -> str | None:
    return MigrationContext.configure(tx).get_current_revision()


@cache
def _head() -> str:
    """What this code's history ends with; to read it is to load every revision."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None
    return head


def _known_revisions() -> set[str]:
    return {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config
