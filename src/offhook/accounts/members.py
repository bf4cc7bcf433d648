"""Who belongs to an organisation, as what. Each change is in the audit log by the time that it holds."""

import sqlalchemy as sa

from offhook.credentials import hash_of
from offhook.errors import Conflict
from offhook.roles import Role
from offhook.store import audit, invitations, users
from offhook.store.audit import Entry
from offhook.store.invitations import Invitation
from offhook.store.users import User

INVITATION_S = 7 * 86_400.0


def invite(
    tx: sa.Connection, by: Entry, org_id: str, token: str, *, email: str, role: Role, valid_s: float = INVITATION_S
) -> Invitation:
    """Keep an invitation, whose link *token* makes. Conflict when the person is a member already.

    *by*: who invites, from where, when, as an entry of the log whose action is replaced.
    """
    known = users.by_email(tx, email)
    if known is not None and users.role_of(tx, known.id, org_id) is not None:
        raise Conflict(f"{known.email} is a member already: change the role instead.")
    expires_at = by.at + valid_s
    made = invitations.make(
        tx, hash_of(token), "invitation", org_id=org_id, role=role, email=email, invited_by=by.user_id, now=by.at,
        expires_at=expires_at,
    )  # fmt: skip
    _note(tx, by, org_id, "user_invited", made.id, email=made.email, role=role)
    return made


def withdraw(tx: sa.Connection, by: Entry, org_id: str, invitation_id: str) -> Invitation | None:
    """Close an invitation that nobody has followed; None when there is none."""
    gone = invitations.withdraw(tx, org_id, invitation_id)
    if gone is not None:
        _note(tx, by, org_id, "invitation_withdrawn", gone.id, email=gone.email)
    return gone


def set_role(tx: sa.Connection, by: Entry, org_id: str, user: User, role: Role) -> None:
    """Conflict when nobody would be left who is an owner."""
    before = users.role_of(tx, user.id, org_id)
    if before == role:
        return
    users.set_role(tx, user.id, org_id, role, by.at)
    _note(tx, by, org_id, "role_changed", user.id, email=user.email, role=role, before=before)


def remove(tx: sa.Connection, by: Entry, org_id: str, user: User) -> None:
    """Out of the organisation at once; out of the last one, the account is gone. Conflict as above."""
    users.remove(tx, user.id, org_id)
    _note(tx, by, org_id, "user_removed", user.id, email=user.email)


def _note(tx: sa.Connection, by: Entry, org_id: str, action: str, object_id: str, **details: str | None) -> None:
    entry = Entry(
        at=by.at,
        org_id=org_id,
        user_id=by.user_id,
        who=by.who,
        action=action,
        object_kind="user",
        object_id=object_id,
        details=details,
        address=by.address,
    )
    audit.add(tx, entry)
