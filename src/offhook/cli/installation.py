"""What a command works on: the settings of this environment, its database, its keys."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from offhook import logs
from offhook.errors import Fault, Mistake, OffhookError, Unavailable
from offhook.sealing import KeyRing
from offhook.settings import Settings, load
from offhook.store.database import Database
from offhook.store.engine import opened_database
from offhook.store.migrations import revision, upgrade


@dataclass(frozen=True, slots=True)
class Installation:
    settings: Settings
    database: Database  #: open; on SQLite as the guest of a server that may be running
    keys: KeyRing


@asynccontextmanager
async def installation(*, is_made: bool = False) -> AsyncIterator[Installation]:
    """Open the installation of this environment; with *is_made*, make it or bring it up to date first.

    Mistake when there is none, which mostly means that the command was typed in another folder than the server's.
    """
    settings = load()
    logs.set_up(quiet(settings))
    if is_made:
        await upgrade(settings)
    elif settings.is_sqlite and not settings.sqlite_path.exists():
        raise Mistake(
            f"There is no offhook database at {settings.sqlite_path} yet: `offhook org create NAME` makes it, "
            "or OFFHOOK_DATA_DIR says where it lies."
        )
    try:
        async with opened_database(settings) as database:
            yield Installation(settings, database, settings.key_ring())
    except Unavailable as error:
        raise await _explained(settings, error) from error


def quiet(settings: Settings) -> Settings:
    """A command says its own things; of the rooms below only their warnings are heard."""
    return settings.model_copy(update={"log_level": "warning"}) if settings.log_level == "info" else settings


async def _explained(settings: Settings, error: Unavailable) -> OffhookError:
    """*error*, or the reason for it where the schema is not this version's."""
    try:
        found, wanted = await revision(settings)
    except OffhookError:
        return error
    if found == wanted:
        return error
    return Fault(f"The database is not this version's ({found or 'empty'}, not {wanted}): run `offhook db upgrade`.")
