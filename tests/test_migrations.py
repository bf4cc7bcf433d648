"""The schema's history ends where the tables are, on both databases."""

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from offhook.errors import NewerDatabase
from offhook.settings import Settings
from offhook.store import migrations
from offhook.store.database import Database
from offhook.store.engine import open_database
from offhook.store.tables import metadata
from tests.services import Postgresql


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


async def test_what_an_older_offhook_kept_is_still_there_after_the_upgrade(
    unmigrated: Settings,
) -> None:
    await migrations._run(unmigrated, _to_the_first_schema)
    kept = await migrations._run(unmigrated, _a_row_in_every_table)
    assert len(kept) > 10
    await migrations.upgrade(unmigrated)
    found = await migrations._run(unmigrated, _rows)
    assert kept == {
        table: [{name: row[name] for name in rows[0]} for row in found[table]] for table, rows in kept.items()
    }
    database = open_database(unmigrated)
    await database.open()
    assert [] == await database.read(_differences)
    await database.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def unmigrated(request: pytest.FixtureRequest, data_dir: Path, secret_key: str) -> Settings:
    """Settings for a database in which there is nothing at all."""
    url = ""
    if request.param == "postgresql":
        cluster: Postgresql = request.getfixturevalue("postgresql")
        url = cluster.url(cluster.create_database())
    return Settings(data_dir=data_dir, database_url=url, secret_key=secret_key)


def _to_the_first_schema(tx: sa.Connection) -> None:
    config = migrations._config()
    config.attributes["connection"] = tx
    command.upgrade(config, "0001")


def _a_row_in_every_table(tx: sa.Connection) -> dict[str, list[dict[str, Any]]]:
    for table in _tables(tx):
        tx.execute(table.insert().values({column.name: _something(column) for column in table.c}))
    return _rows(tx)


def _something(column: sa.Column[Any]) -> object:
    kind = column.type.python_type
    chars = getattr(column.type, "length", None) or 24
    known: dict[type, object] = {str: "x" * chars, bool: True, bytes: b"\0sealed"}
    return known.get(kind, kind(7))


def _rows(tx: sa.Connection) -> dict[str, list[dict[str, Any]]]:
    return {table.name: [dict(row) for row in tx.execute(sa.select(table)).mappings()] for table in _tables(tx)}


def _tables(tx: sa.Connection) -> list[sa.Table]:
    there = sa.MetaData()
    there.reflect(tx)
    return [table for table in there.sorted_tables if table.name != "alembic_version"]


def _set_revision(tx: sa.Connection, revision: str) -> None:
    tx.execute(sa.text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})


def _differences(tx: sa.Connection) -> list[Any]:
    context = MigrationContext.configure(tx, opts={"compare_type": True, "include_object": _is_of_both_engines})
    return list(compare_metadata(context, metadata))


def _is_of_both_engines(_object: object, name: str | None, kind: str, *_: object) -> bool:
    """The indexes of words are each engine's own, and nothing that SQLAlchemy could describe."""
    is_own = kind == "table" and (name or "").startswith(
        ("call_words", "call_search", "contact_words", "contact_search")
    )
    return not is_own and name != "ix_contacts_search_text"


def _indexes(tx: sa.Connection) -> set[tuple[str, str | None]]:
    look = sa.inspect(tx)
    return {(table, index["name"]) for table in look.get_table_names() for index in look.get_indexes(table)}
