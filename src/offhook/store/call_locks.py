"""Who writes a call has it alone until the transaction ends: on SQLite there is one writer, on PostgreSQL a lock."""

import hashlib
from collections.abc import Iterable

import sqlalchemy as sa


def hold(tx: sa.Connection, call_ids: Iterable[str]) -> None:
    """Nobody else writes these calls before the transaction ends."""
    keys = sorted({_key(id) for id in call_ids})  # in one order, so that no two of us wait for each other
    if keys and tx.dialect.name == "postgresql":
        tx.execute(sa.select(*(sa.func.pg_advisory_xact_lock(key) for key in keys)))


def _key(call_id: str) -> int:
    """Of anything: an id may be what somebody typed as an address."""
    return int.from_bytes(hashlib.sha256(call_id.encode()).digest()[:7])
