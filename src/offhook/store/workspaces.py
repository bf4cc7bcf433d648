"""The ElevenLabs workspace of each organisation: its API key, and what was set up there."""

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from offhook.errors import Damaged
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


class Reconciled(msgspec.Struct, frozen=True):
    """How far an organisation is reconciled."""

    until: float | None = None  #: unix; calls that began before are accounted for
    at: float | None = None  #: when it went well the last time
    trouble: str | None = None  #: the sentence of the last attempt that failed; None after one that did not


def org_ids(tx: sa.Connection) -> Sequence[str]:
    """Of every organisation that is connected."""
    return tx.execute(sa.select(workspaces.c.org_id).order_by(workspaces.c.org_id)).scalars().all()


def get(tx: sa.Connection, keys: KeyRing, org_id: str) -> Connected | None:
    """None when the organisation is not connected."""
    row = tx.execute(sa.select(workspaces).where(workspaces.c.org_id == org_id)).mappings().first()
    return None if row is None else _opened(row, keys)


def set_up_of(tx: sa.Connection, org_id: str) -> dict[str, Any] | None:
    """What was set up; None when the organisation is not connected."""
    found = tx.execute(sa.select(workspaces.c.set_up).where(workspaces.c.org_id == org_id)).scalar_one_or_none()
    return None if found is None else dict(msgspec.json.decode(found))


def is_key_shared(tx: sa.Connection, keys: KeyRing, connected: Connected) -> bool:
    """Whether another organisation is connected with the same API key."""
    others = sa.select(workspaces).where(workspaces.c.org_id != connected.org_id)
    return any(_is_of(row, keys, connected.api_key) for row in tx.execute(others).mappings())


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


def renew_key(tx: sa.Connection, keys: KeyRing, org_id: str, api_key: str, now: float) -> None:
    """Another key for the same workspace: what was set up there stays. An organisation without any is connected by it."""
    sealed = keys.seal(api_key.encode(), _bound_to(org_id))
    row = {"org_id": org_id, "api_key": sealed, "set_up": "{}", "created_at": now, "updated_at": now}
    upsert(tx, workspaces, [row], keep=("created_at", "set_up"))


def forget(tx: sa.Connection, org_id: str) -> None:
    tx.execute(workspaces.delete().where(workspaces.c.org_id == org_id))


def stamp_reconciled(tx: sa.Connection, org_id: str, until: float | None, now: float) -> None:
    """It went well; with *until* (unix), calls that began before are accounted for, and what was known of that stays else."""
    forward = {} if until is None else {"reconciled_until": until}
    values = {"reconciled_at": now, "trouble": None, **forward}
    tx.execute(workspaces.update().where(workspaces.c.org_id == org_id).values(values))


def stamp_trouble(tx: sa.Connection, org_id: str, trouble: str) -> None:
    """It did not; how far it had got stays."""
    tx.execute(workspaces.update().where(workspaces.c.org_id == org_id).values(trouble=trouble))


def reconciled(tx: sa.Connection, org_id: str) -> Reconciled | None:
    """None when the organisation is not connected."""
    columns = workspaces.c.reconciled_until, workspaces.c.reconciled_at, workspaces.c.trouble
    row = tx.execute(sa.select(*columns).where(workspaces.c.org_id == org_id)).first()
    return None if row is None else Reconciled(*row)


def _opened(row: sa.RowMapping, keys: KeyRing) -> Connected:
    api_key = keys.open(bytes(row["api_key"]), _bound_to(row["org_id"])).decode()
    return Connected(**{**row, "api_key": api_key, "set_up": msgspec.json.decode(row["set_up"])})


def _is_of(row: sa.RowMapping, keys: KeyRing, api_key: str) -> bool:
    try:
        return _opened(row, keys).api_key == api_key
    except Damaged:  # its own turn says so
        return False


def _bound_to(org_id: str) -> str:
    return f"{org_id}:elevenlabs"
