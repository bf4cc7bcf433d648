"""How a database is set and how it stands: what `offhook doctor` asks of it."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import msgspec
import sqlalchemy as sa

from offhook.sealing import key_name
from offhook.store.tables import effects, events, secrets

#: PostgreSQL's settings on which it depends whether what was acknowledged is there after a power cut.
DURABLE = ("fsync", "full_page_writes", "synchronous_commit")
_LOOKED_AT = 500


class SqliteCondition(msgspec.Struct, frozen=True):
    version: str
    journal_mode: str
    damage: tuple[str, ...]  #: what the quick check found; () when nothing


class PostgresqlCondition(msgspec.Struct, frozen=True):
    version: int  #: 150004 is 15.4
    settings: dict[str, str]  #: of DURABLE, as they are in offhook's own sessions
    now: float  #: the server's clock, unix
    connections: int
    most_connections: int


class Standing(msgspec.Struct, frozen=True):
    quarantined: int
    dead_effects: int


def of_sqlite(path: Path) -> SqliteCondition:
    """By a connection of its own that changes nothing, not even how the journal is kept; sqlite3.Error when damaged."""
    place = quote("/" + str(path.absolute()).lstrip("/"))
    connection = sqlite3.connect(f"file://{place}?mode=ro", uri=True, timeout=10)
    try:
        (journal_mode,) = connection.execute("PRAGMA journal_mode").fetchone()
        found = [str(row[0]) for row in connection.execute("PRAGMA quick_check(10)")]
    finally:
        connection.close()
    return SqliteCondition(sqlite3.sqlite_version, str(journal_mode), tuple(one for one in found if one != "ok"))


def of_postgresql(tx: sa.Connection) -> PostgresqlCondition:
    rows = tx.execute(
        sa.text("SELECT name, setting FROM pg_settings WHERE name IN :names").bindparams(
            sa.bindparam("names", DURABLE, expanding=True)
        )
    )
    settings = {row.name: row.setting for row in rows}
    facts = tx.execute(
        sa.text(
            "SELECT current_setting('server_version_num')::int AS version, "
            "extract(epoch FROM clock_timestamp())::float8 AS now, "
            "(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections, "
            "current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int AS most"
        )
    ).one()
    return PostgresqlCondition(facts.version, settings, facts.now, facts.connections, facts.most)


def keys_in_use(tx: sa.Connection) -> set[bytes]:
    """The names of the keys that sealed every webhook secret, and the oldest and newest events."""
    sealed = list(tx.execute(sa.select(secrets.c.sealed).where(secrets.c.sealed.is_not(None))).scalars())
    head = sa.func.substr(events.c.body, 1, 5)
    for order in (events.c.seq, events.c.seq.desc()):
        sealed += tx.execute(sa.select(head).order_by(order).limit(_LOOKED_AT)).scalars()
    return {key_name(bytes(one)) for one in sealed}


def standing(tx: sa.Connection) -> Standing:
    """What waits for a person."""
    quarantined = sa.select(sa.func.count()).select_from(events).where(events.c.status == "quarantined")
    dead = sa.select(sa.func.count()).select_from(effects).where(effects.c.status == "dead")
    return Standing(tx.execute(quarantined).scalar_one(), tx.execute(dead).scalar_one())


def without_webhook_secret(tx: sa.Connection, org_ids: Sequence[str], now: float) -> list[str]:
    """Those of the organisations whose door is closed."""
    is_valid = secrets.c.kind == "webhook", secrets.c.expires_at.is_(None) | (secrets.c.expires_at > now)
    have = set(tx.execute(sa.select(secrets.c.org_id).where(*is_valid)).scalars())
    return [org_id for org_id in org_ids if org_id not in have]
