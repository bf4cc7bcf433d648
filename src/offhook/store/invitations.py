"""Links that let somebody in: the first user, somebody invited, somebody who forgot a password.

Each works once, until it expires. Only the hash of what makes a link is here.
"""

import secrets
from typing import Any, Literal

import msgspec
import sqlalchemy as sa

from offhook.roles import Role
from offhook.store.tables import invitations
from offhook.store.users import folded_email

Kind = Literal["setup", "invitation", "password"]

_ONE_AT_A_TIME = 0x0FF_400D  #: PostgreSQL advisory lock: of two servers that start at once, one makes the first link


class Invitation(msgspec.Struct, frozen=True, kw_only=True):
    """A link that may still be followed, or was."""

    id: str
    kind: Kind
    org_id: str | None  #: invitation: to which organisation
    role: Role | None  #: invitation: as what
    email: str | None  #: whom it is for; setup: None
    invited_by: str | None  #: a user; None: a command
    created_at: float
    expires_at: float
    used_at: float | None


def make(
    tx: sa.Connection,
    token_hash: str,
    kind: Kind,
    *,
    org_id: str | None = None,
    role: Role | None = None,
    email: str | None = None,
    invited_by: str | None = None,
    now: float,
    expires_at: float,
) -> Invitation:
    """A new link. An older one for the same is closed: whoever lost one and asks again has one that works."""
    invitation = Invitation(
        id=secrets.token_hex(12),
        kind=kind,
        org_id=org_id,
        role=role,
        email=email and folded_email(email),
        invited_by=invited_by,
        created_at=now,
        expires_at=expires_at,
        used_at=None,
    )
    same = (invitations.c.kind == kind, *(_is(name, getattr(invitation, name)) for name in ("org_id", "email")))
    tx.execute(invitations.delete().where(*same, invitations.c.used_at.is_(None)))
    tx.execute(invitations.insert(), {**msgspec.structs.asdict(invitation), "token_hash": token_hash})
    return invitation


def make_first(tx: sa.Connection, token_hash: str, *, now: float, expires_at: float) -> bool:
    """The link for the first user, unless there is one that works; whether it was made."""
    if tx.dialect.name == "postgresql":
        tx.execute(sa.select(sa.func.pg_advisory_xact_lock(_ONE_AT_A_TIME)))
    works = invitations.c.kind == "setup", invitations.c.used_at.is_(None), invitations.c.expires_at > now
    if tx.execute(sa.select(invitations.c.id).where(*works)).first() is not None:
        return False
    make(tx, token_hash, "setup", now=now, expires_at=expires_at)
    return True


def find(tx: sa.Connection, token_hash: str, kind: Kind, now: float) -> Invitation | None:
    """The link that works; None when there is none such, it was used, or it has expired."""
    row = tx.execute(sa.select(*_COLUMNS).where(*_works(token_hash, kind, now))).mappings().one_or_none()
    return Invitation(**row) if row else None


def use(tx: sa.Connection, token_hash: str, kind: Kind, now: float) -> Invitation | None:
    """The same, and it works no more: of two who follow it at once, one gets None."""
    used = invitations.update().where(*_works(token_hash, kind, now)).values(used_at=now).returning(*_COLUMNS)
    row = tx.execute(used).mappings().one_or_none()
    return Invitation(**row) if row else None


def open_ones(tx: sa.Connection, org_id: str, now: float) -> list[Invitation]:
    """Those that nobody has followed yet, the newest first."""
    works = invitations.c.org_id == org_id, invitations.c.used_at.is_(None), invitations.c.expires_at > now
    rows = tx.execute(sa.select(*_COLUMNS).where(*works).order_by(invitations.c.created_at.desc())).mappings()
    return [Invitation(**row) for row in rows]


def withdraw(tx: sa.Connection, org_id: str, id: str) -> Invitation | None:
    """Close a link that nobody has followed; None when there is none."""
    this = invitations.c.id == id, invitations.c.org_id == org_id, invitations.c.used_at.is_(None)
    row = tx.execute(invitations.delete().where(*this).returning(*_COLUMNS)).mappings().one_or_none()
    return Invitation(**row) if row else None


_COLUMNS = [invitations.c[name] for name in Invitation.__struct_fields__]


def _works(token_hash: str, kind: Kind, now: float) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        invitations.c.token_hash == token_hash,
        invitations.c.kind == kind,
        invitations.c.used_at.is_(None),
        invitations.c.expires_at > now,
    )


def _is(name: str, value: Any) -> sa.ColumnElement[bool]:
    column: sa.Column[Any] = invitations.c[name]
    return column.is_(None) if value is None else column == value
