"""Who is signed in. Of a token only its hash is here: whoever reads the database is not signed in by that."""

from typing import Any, cast

import msgspec
import sqlalchemy as sa

from offhook.roles import Role
from offhook.store.tables import memberships, organizations, sessions, users

_LONGEST_BROWSER = 200


class Membership(msgspec.Struct, frozen=True):
    """One organisation of a user, and what the user is in it."""

    org_id: str
    name: str
    role: Role


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A session that is neither idle for too long nor over."""

    token_hash: str
    user_id: str
    email: str
    name: str
    org_id: str | None  #: the one that was chosen last; its user may have left it since
    seen_at: float
    idle_until: float
    ends_at: float
    memberships: tuple[Membership, ...] = ()  #: by the organisation's name


def start(
    tx: sa.Connection,
    token_hash: str,
    user_id: str,
    *,
    org_id: str | None,
    address: str,
    browser: str,
    now: float,
    idle_s: float,
    absolute_s: float,
) -> None:
    """Sign a user in. What is over is swept on this occasion."""
    tx.execute(sessions.delete().where(_is_over(now)))
    row = {
        "token_hash": token_hash,
        "user_id": user_id,
        "org_id": org_id,
        "address": address,
        "browser": browser[:_LONGEST_BROWSER],
        "created_at": now,
        "seen_at": now,
        "idle_until": now + idle_s,
        "ends_at": now + absolute_s,
    }
    tx.execute(sessions.insert(), row)


def find(tx: sa.Connection, token_hash: str, now: float) -> Session | None:
    """The session; None when there is none, or it is over."""
    wanted = (
        sessions.c.token_hash, sessions.c.user_id, users.c.email, users.c.name, sessions.c.org_id, sessions.c.seen_at,
        sessions.c.idle_until, sessions.c.ends_at,
    )  # fmt: skip
    its = sa.select(*wanted).join(users, users.c.id == sessions.c.user_id)
    row = tx.execute(its.where(sessions.c.token_hash == token_hash, ~_is_over(now))).mappings().one_or_none()
    return Session(**row, memberships=memberships_of(tx, row["user_id"])) if row else None


def memberships_of(tx: sa.Connection, user_id: str) -> tuple[Membership, ...]:
    """By the organisation's name."""
    theirs = sa.select(memberships.c.org_id, organizations.c.name, memberships.c.role)
    joined = theirs.join(organizations, organizations.c.id == memberships.c.org_id)
    rows = tx.execute(joined.where(memberships.c.user_id == user_id).order_by(organizations.c.name, organizations.c.id))
    return tuple(Membership(row.org_id, row.name, cast(Role, row.role)) for row in rows)


def keep_awake(tx: sa.Connection, token_hash: str, now: float, idle_until: float) -> None:
    tx.execute(_this(token_hash).values(seen_at=now, idle_until=idle_until))


def switch(tx: sa.Connection, token_hash: str, org_id: str) -> None:
    """Look at another organisation; whether the user belongs to it was asked before."""
    tx.execute(_this(token_hash).values(org_id=org_id))


def renew(tx: sa.Connection, token_hash: str, new_hash: str) -> bool:
    """The same session under another token: copies of the one before are worth nothing. False: there is no such session."""
    return tx.execute(_this(token_hash).values(token_hash=new_hash)).rowcount == 1


def end(tx: sa.Connection, token_hash: str) -> None:
    tx.execute(sessions.delete().where(sessions.c.token_hash == token_hash))


def end_all(tx: sa.Connection, user_id: str, *, but: str | None = None) -> int:
    """Sign a user out everywhere, except in the session with the hash *but*; how many ended."""
    is_theirs = sessions.c.user_id == user_id, sessions.c.token_hash != (but or "")
    return tx.execute(sessions.delete().where(*is_theirs)).rowcount


def of_user(tx: sa.Connection, user_id: str, now: float) -> list[sa.Row[Any]]:
    """Where a user is signed in, the latest first."""
    theirs = sa.select(sessions).where(sessions.c.user_id == user_id, ~_is_over(now))
    return list(tx.execute(theirs.order_by(sessions.c.seen_at.desc())))


def _this(token_hash: str) -> sa.Update:
    return sessions.update().where(sessions.c.token_hash == token_hash)


def _is_over(now: float) -> sa.ColumnElement[bool]:
    return (sessions.c.idle_until <= now) | (sessions.c.ends_at <= now)
