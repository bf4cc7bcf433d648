"""Nobody is merged while somebody writes: a call must not be given to a contact that ceases to be at the same instant.

On SQLite there is one writer, and nothing to do. On PostgreSQL whoever writes about an organisation's people shares a lock,
and a merge has it alone; it is taken before the people are read, so that what was read is still true when it is written.
"""

from collections.abc import Iterable

import sqlalchemy as sa

_CLASS = 1  #: our locks on organisations; those on calls have one long key and are another kind to PostgreSQL


def hold_off_merges(tx: sa.Connection, org_ids: Iterable[str]) -> None:
    """No contact of *org_ids* is merged until the transaction ends."""
    _lock(tx, sa.func.pg_advisory_xact_lock_shared, org_ids)


def merge_alone(tx: sa.Connection, org_id: str) -> None:
    """Nobody writes about the people of *org_id* until the transaction ends."""
    _lock(tx, sa.func.pg_advisory_xact_lock, (org_id,))


def _lock(tx: sa.Connection, lock: "sa.sql.functions._FunctionGenerator", org_ids: Iterable[str]) -> None:
    keys = sorted({int(org_id[:7], 16) for org_id in org_ids})  # in one order, so that nobody waits in a circle
    if keys and tx.dialect.name == "postgresql":
        tx.execute(sa.select(*(lock(sa.cast(_CLASS, sa.Integer), sa.cast(key, sa.Integer)) for key in keys)))
