"""Replays of all that a filter shows, as the effects that they are: a few among very many, behind an index of their own."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from offhook.store.tables import effects

KIND = "replay"
_CLASS = 2  #: our locks on organisations' replays; those on their people are another class (contact_locks)

#: In the statement's text and not bound to it: only so can a plan be made that reads no more than ix_effects_replays.
_IS_REPLAY = effects.c.kind == sa.literal_column(f"'{KIND}'")


def begin_alone(tx: sa.Connection, org_id: str) -> None:
    """Nobody else begins one of the organisation until the transaction ends; to be called before it is looked for others."""
    if tx.dialect.name == "postgresql":  # on SQLite there is one writer
        key = sa.cast(int(org_id[:7], 16), sa.Integer)
        tx.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.cast(_CLASS, sa.Integer), key)))


def is_under_way(tx: sa.Connection, org_id: str) -> bool:
    """Whether one of the organisation is not at its end."""
    one = sa.exists().where(effects.c.org_id == org_id, _IS_REPLAY, effects.c.status == "due")
    return bool(tx.execute(sa.select(one)).scalar_one())


def latest(tx: sa.Connection, org_id: str, limit: int) -> Sequence[sa.Row[Any]]:
    """The organisation's last ones, whole, the newest first."""
    newest = effects.c.created_at.desc(), effects.c.id.desc()
    mine = sa.select(effects).where(effects.c.org_id == org_id, _IS_REPLAY)
    return tx.execute(mine.order_by(*newest).limit(limit)).all()
