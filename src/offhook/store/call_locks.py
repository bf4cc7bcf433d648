"""Who writes a call has it alone until the transaction ends: on SQLite there is one writer, on PostgreSQL a lock."""

from collections.abc import Iterable

import sqlalchemy as sa


def hold(tx: sa.Connection, call_ids: Iterable[str]) -> None:
    """Nobody else writes these calls before the transaction ends."""
    keys = sorted({int(id[:15], 16) for id in call_ids})  # in one order, so that no two of us wait for each other
    if keys and tx.dialect.name == "postgresql":
        tx.execute(sa.select(*(sa.func.pg_advisory_xact_lock(key) for key in keys)))
