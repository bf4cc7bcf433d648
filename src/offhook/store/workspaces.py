"""The ElevenLabs workspace of each organisation: its API key, and what was set up there."""

from typing import Any

import msgspec
import sqlalchemy as sa

from offhook.sealing import KeyRing
from offhook.store.database import upsert
from offhook.store.tables import workspaces


class Connected(msgspec.Struct, frozen=True, kw_only=True):
    """One organisation's, its API key open."""

    org_id: str
    api_key: str
    set_up: dict[str, Any]  #: what `offhook connect` made and changed there, to repair and undo it
    reconciled_until: float | None = None  #: unix; calls that began before are accounted for
    reconciled_at: float | None = None
    trouble: str | None = None  #: the sentence of the last attempt that failed; None after one that did not
    created_at: float
    updated_at: float


def all_of_them(tx: sa.Connection, keys: KeyRing) -> list[Connected]:
    """By organisation."""
    rows = tx.execute(sa.select(workspaces).order_by(workspaces.c.org_id)).mappings()
    return [_opened(row, keys) for row in rows]


def get(tx: sa.Connection, keys: KeyRing, org_id: str) -> Connected | None:
    """None when the organisation is not connected."""
    row = tx.execute(sa.select(workspaces).where(workspaces.c.org_id == org_id)).mappings().first()
    return None if row is None else _opened(row, keys)


def keep(tx: sa.Connection, keys: KeyRing, org_id: str, api_key: str, set_up: dict[str, Any], now: float) -> None:
    """Connect the organisation, or overwrite its key and what was set up; how far it was reconciled stays."""
    row = {
        "org_id": org_id,
        "api_key": keys.seal(api_key.encode(), _bound_to(org_id)),
        "set_up": msgspec.json.encode(set_up).decode(),
        "created_at": now,
        "updated_at": now,
    }
    upsert(tx, workspaces, [row], keep=("created_at",))


def forget(tx: sa.Connection, org_id: str) -> None:
    tx.execute(workspaces.delete().where(workspaces.c.org_id == org_id))


def _opened(row: sa.RowMapping, keys: KeyRing) -> Connected:
    api_key = keys.open(bytes(row["api_key"]), _bound_to(row["org_id"])).decode()
    return Connected(**{**row, "api_key": api_key, "set_up": msgspec.json.decode(row["set_up"])})


def _bound_to(org_id: str) -> str:
    return f"{org_id}:elevenlabs"
