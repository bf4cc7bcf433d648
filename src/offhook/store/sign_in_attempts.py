"""How often somebody tried to sign in, by address and by account, within a window. Every replica counts in the same row."""

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from offhook.store.database import insert_new
from offhook.store.tables import sign_in_attempts as attempts


class Limit(msgspec.Struct, frozen=True):
    """So many attempts of what *key* stands for, within a window."""

    key: str  #: a hash
    most: int


def begin(tx: sa.Connection, limits: Sequence[Limit], now: float, window_s: float) -> float | None:
    """Count an attempt before it is made, so that many at once are many; the seconds to wait where it is one too many."""
    tx.execute(attempts.delete().where(attempts.c.since <= now - window_s))
    ordered = sorted(limits, key=lambda one: one.key)  # no two of us wait for each other
    insert_new(tx, attempts, [{"key": one.key, "tries": 0, "since": now} for one in ordered])
    waits = [_count(tx, one, now, window_s) for one in ordered]
    return max((wait for wait in waits if wait is not None), default=None)


def forgive(tx: sa.Connection, keys: Sequence[str]) -> None:
    """After a success."""
    tx.execute(attempts.delete().where(attempts.c.key.in_(keys)))


def _count(tx: sa.Connection, limit: Limit, now: float, window_s: float) -> float | None:
    this = attempts.c.key == limit.key
    tx.execute(attempts.update().where(this).values(tries=attempts.c.tries + 1))
    row = tx.execute(sa.select(attempts.c.tries, attempts.c.since).where(this)).one()
    return row.since + window_s - now if row.tries > limit.most else None
