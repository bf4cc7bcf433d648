"""The people who use the dashboard, and what each is in which organisation."""

import secrets
from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from offhook.errors import Conflict, Mistake
from offhook.roles import Role
from offhook.store.database import upsert
from offhook.store.tables import memberships, organizations, sessions, users


class User(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who may sign in."""

    id: str
    email: str  #: folded, see `folded_email`
    name: str
    password_hash: str
    password_set_at: float
    signed_in_at: float | None
    created_at: float
    updated_at: float


def folded_email(email: str) -> str:
    """As it is kept and looked for: nobody means another mailbox by capital letters."""
    return email.strip().casefold()


def is_anybody_there(tx: sa.Connection) -> bool:
    return tx.execute(sa.select(users.c.id).limit(1)).first() is not None


def create(tx: sa.Connection, *, email: str, name: str, password_hash: str, now: float) -> User:
    """A new user; Conflict when somebody has the address already."""
    user = User(
        id=secrets.token_hex(12),
        email=folded_email(email),
        name=name,
        password_hash=password_hash,
        password_set_at=now,
        signed_in_at=None,
        created_at=now,
        updated_at=now,
    )
    if by_email(tx, email) is not None:
        raise Conflict("Somebody with that email address has an account already.")
    tx.execute(users.insert(), msgspec.structs.asdict(user))
    return user


def by_email(tx: sa.Connection, email: str) -> User | None:
    return _one(tx, users.c.email == folded_email(email))


def by_id(tx: sa.Connection, user_id: str) -> User | None:
    return _one(tx, users.c.id == user_id)


def find(tx: sa.Connection, id_or_email: str) -> User:
    """The user with that id or address; Mistake when there is none."""
    found = by_id(tx, id_or_email) or by_email(tx, id_or_email)
    if found is None:
        raise Mistake(f"There is no user {id_or_email!r}: `offhook user list` shows them all.")
    return found


def set_password(tx: sa.Connection, user_id: str, password_hash: str, now: float) -> None:
    _change(tx, user_id, password_hash=password_hash, password_set_at=now, updated_at=now)


def rehash(tx: sa.Connection, user_id: str, password_hash: str) -> None:
    """The same password, hashed as it is done today."""
    _change(tx, user_id, password_hash=password_hash)


def set_name(tx: sa.Connection, user_id: str, name: str, now: float) -> None:
    _change(tx, user_id, name=name, updated_at=now)


def stamp_signed_in(tx: sa.Connection, user_id: str, now: float) -> None:
    _change(tx, user_id, signed_in_at=now)


# In organisations


def members(tx: sa.Connection, org_id: str) -> Sequence[sa.Row[*tuple[Any, ...]]]:
    """Its users, by name: id, email, name, role, signed_in_at, created_at (of the membership)."""
    columns = (
        users.c.id,
        users.c.email,
        users.c.name,
        memberships.c.role,
        users.c.signed_in_at,
        memberships.c.created_at,
    )
    theirs = sa.select(*columns).join(memberships, memberships.c.user_id == users.c.id)
    return tx.execute(theirs.where(memberships.c.org_id == org_id).order_by(users.c.name, users.c.id)).all()


def everybody(tx: sa.Connection, org_id: str | None) -> Sequence[sa.Row[*tuple[Any, ...]]]:
    """Every user with every membership, by email: id, email, name, signed_in_at, created_at, org_id, organization, role. The
    last three are None for somebody who belongs to none; with *org_id* only its users."""
    of_org = memberships.c.org_id, organizations.c.name.label("organization"), memberships.c.role
    columns = users.c.id, users.c.email, users.c.name, users.c.signed_in_at, users.c.created_at, *of_org
    joined = users.outerjoin(memberships, memberships.c.user_id == users.c.id)
    joined = joined.outerjoin(organizations, organizations.c.id == memberships.c.org_id)
    mine = [memberships.c.org_id == org_id] if org_id is not None else []
    found = sa.select(*columns).select_from(joined).where(*mine)
    return tx.execute(found.order_by(users.c.email, organizations.c.name)).all()


def role_of(tx: sa.Connection, user_id: str, org_id: str) -> Role | None:
    """None: not a member."""
    this = memberships.c.user_id == user_id, memberships.c.org_id == org_id
    role: Role | None = tx.execute(sa.select(memberships.c.role).where(*this)).scalar_one_or_none()
    return role


def set_role(tx: sa.Connection, user_id: str, org_id: str, role: Role, now: float) -> None:
    """Make the user a member, or another kind of member; Conflict when an organisation would be left without an owner."""
    if role != "owner":
        _keep_an_owner(tx, user_id, org_id)
    row = {"user_id": user_id, "org_id": org_id, "role": role, "created_at": now}
    upsert(tx, memberships, [row], keep=["created_at"])


def remove(tx: sa.Connection, user_id: str, org_id: str) -> None:
    """Take the user out of the organisation; out of the last one, the user is gone. Conflict for the last owner."""
    _keep_an_owner(tx, user_id, org_id)
    this = memberships.c.user_id == user_id
    tx.execute(memberships.delete().where(this, memberships.c.org_id == org_id))
    if tx.execute(sa.select(memberships.c.org_id).where(this).limit(1)).first() is None:
        tx.execute(sessions.delete().where(sessions.c.user_id == user_id))
        tx.execute(users.delete().where(users.c.id == user_id))


def _keep_an_owner(tx: sa.Connection, user_id: str, org_id: str) -> None:
    owners = sa.select(memberships.c.user_id).where(memberships.c.org_id == org_id, memberships.c.role == "owner")
    if tx.dialect.name == "postgresql":
        owners = owners.with_for_update()  # of two who leave at once, the second is the last
    if [row.user_id for row in tx.execute(owners)] == [user_id]:
        raise Conflict("This is the organisation's last owner: make somebody else an owner first.")


def _one(tx: sa.Connection, condition: sa.ColumnElement[bool]) -> User | None:
    row = tx.execute(sa.select(users).where(condition)).mappings().one_or_none()
    return User(**row) if row else None


def _change(tx: sa.Connection, user_id: str, **facts: Any) -> None:
    tx.execute(users.update().where(users.c.id == user_id).values(**facts))
