"""What commands do beside a running server, without the cost of a process for each."""

import time
from collections.abc import Callable
from typing import Any

import msgspec

from offhook.sealing import KeyRing
from offhook.settings import Settings
from offhook.store import migrations, organizations
from offhook.store.engine import open_database
from offhook.store.organizations import NewOrganization
from tests.services import Server, run_apart


def an_organization(server: Server, **facts: str) -> dict[str, Any]:
    """Make one in the server's database as `offhook org create` does, whether the server runs or not."""
    new = NewOrganization(**{"name": "Acme Corp", "country": "CA", **facts})
    beside(server, organizations.create, KeyRing.from_text(server.env["OFFHOOK_SECRET_KEY"]), new, time.time())
    return dict(msgspec.to_builtins(new))


def beside(server: Server, statement: Callable[..., None], *args: Any) -> None:
    async def write() -> None:
        settings = Settings(
            data_dir=server.data_dir,
            database_url=server.env.get("OFFHOOK_DATABASE_URL", ""),
            secret_key=server.env["OFFHOOK_SECRET_KEY"],
        )
        await migrations.upgrade(settings)
        database = open_database(settings)
        await database.open()
        await database.write(statement, *args)
        await database.close()

    run_apart(write())
