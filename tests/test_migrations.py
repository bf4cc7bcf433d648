"""The schema's history ends where the tables are, on both databases."""

from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from offhook.errors import NewerDatabase
from offhook.settings import Settings
from offhook.store import migrations
from offhook.store.database import Database
from offhook.store.tables import metadata


async def test_the_schema_after_every_revision_is_that_of_the_tables(database: Database) -> None:
    assert [] == await database.read(_differences)


async def test_every_index_of_the_tables_is_there(database: Database) -> None:
    """Partial ones too, which the comparison does not look into."""
    wanted = {(table.name, index.name) for table in metadata.tables.values() for index in table.indexes}
    assert set() == wanted - await database.read(_indexes)


async def test_a_database_of_a_newer_offhook_is_refused(database: Database, settings: Settings) -> None:
    await migrations.upgrade(settings)  # one that is up to date is left alone
    await database.write(_set_revision, "9999")
    with pytest.raises(NewerDatabase, match="newer offhook"):
        await migrations.upgrade(settings)


def _set_revision(tx: sa.Connection, revision: str) -> None:
    tx.execute(sa.text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})


def _differences(tx: sa.Connection) -> list[Any]:
    context = MigrationContext.configure(tx, opts={"compare_type": True})
    return list(compare_metadata(context, metadata))


def _indexes(tx: sa.Connection) -> set[tuple[str, str | None]]:
    look = sa.inspect(tx)
    return {(table, index["name"]) for table in look.get_table_names() for index in look.get_indexes(table)}
