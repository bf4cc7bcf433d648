"""Getting in by a link: the first user of an installation, somebody who was invited, somebody who forgot a password.

A link is an address with 256 random bits in it, shown once. It works once, until it expires; to look at it
changes nothing.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

import msgspec
import sqlalchemy as sa

from offhook.accounts.sign_ins import Client, SignIns, new_token, note_everywhere
from offhook.credentials import hash_of
from offhook.errors import BadInput, NotFound
from offhook.passwords import chosen_password
from offhook.phone import DEFAULT_COUNTRY
from offhook.places import country_of_timezone
from offhook.sealing import KeyRing
from offhook.store import invitations, organizations, sessions, users
from offhook.store.database import Database
from offhook.store.invitations import Invitation, Kind
from offhook.store.organizations import NewOrganization
from offhook.store.users import User

SETUP_S = 24 * 3600.0
PASSWORD_S = 24 * 3600.0

_EMAIL = re.compile(r"(?=.{3,254}\Z)[^\s@\x00-\x1f\x7f]+@[^\s@\x00-\x1f\x7f]+")

#: Where a link of each kind leads, before its token.
PATHS: dict[Kind, str] = {"setup": "/setup", "invitation": "/invitation", "password": "/password"}


class Newcomer(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody says who makes an account; typed and judged already, but for the password."""

    name: str
    password: str
    email: str = ""  #: setup only: an invitation names its own
    organization: str = ""  #: setup of an installation that has none
    timezone: str = "UTC"


class Asked(NamedTuple):
    """A link that works, and what its form has to ask for."""

    invitation: Invitation
    org_name: str | None  #: invitation: to which organisation; setup: None where one has to be made
    is_known: bool  #: invitation: the person has an account, and proves it by its password


class Joining:
    """What becomes of links."""

    def __init__(self, database: Database, keys: KeyRing, sign_ins: SignIns, now: Callable[[], float]) -> None:
        self._database = database
        self._keys = keys
        self._sign_ins = sign_ins
        self._now = now

    async def look(self, kind: Kind, token: str) -> Asked:
        """What the link asks for; NotFound when it does not work, whatever the reason."""
        asked = await self._database.read(_asked, kind, hash_of(token), self._now())
        if asked is None:
            raise NotFound(_OVER[kind])
        return asked

    async def first_link(self) -> str | None:
        """The token of a link for the first user; None when there is a user, or a link that works already."""
        token = new_token()
        is_made = await self._database.write(_make_first, hash_of(token), self._now())
        return token if is_made else None

    async def set_up(self, token: str, who: Newcomer, client: Client) -> str:
        """Make the first user, owner of every organisation there is, or of a new one; the token of a session."""
        if not _EMAIL.fullmatch(users.folded_email(who.email)):
            raise BadInput("That is no email address: write it like alex@example.com.")
        password_hash = await self._sign_ins.passwords.hashed(chosen_password(who.password, who.email))
        return await self._in_one(self._set_up, token, who, password_hash, client)

    async def accept(self, token: str, who: Newcomer, client: Client) -> str:
        """Follow an invitation; BadInput when the person has an account and it is not its password."""
        asked = await self.look("invitation", token)
        email = asked.invitation.email or ""
        if asked.is_known:
            user = await self._sign_ins.proven(email, who.password, client)
            if user is None:
                raise BadInput(f"That is not the password of {email}.")
            return await self._in_one(self._join, token, user, client)
        password_hash = await self._sign_ins.passwords.hashed(chosen_password(who.password, email))
        return await self._in_one(self._join_new, token, who, password_hash, client)

    async def renew(self, token: str, password: str, client: Client) -> str:
        """Give a new password; whoever was signed in with the old one no longer is."""
        asked = await self.look("password", token)
        password_hash = await self._sign_ins.passwords.hashed(chosen_password(password, asked.invitation.email or ""))
        return await self._in_one(self._renew, token, password_hash, client)

    async def _in_one(self, statement: Callable[..., None], token: str, *facts: object) -> str:
        """In one transaction the link is used, and its person is in."""
        session = new_token()
        await self._database.write(statement, hash_of(token), session, *facts)
        return session

    def _set_up(
        self, tx: sa.Connection, token_hash: str, session: str, who: Newcomer, password_hash: str, client: Client
    ) -> None:
        self._used(tx, "setup", token_hash)
        if users.is_anybody_there(tx):
            raise NotFound(_OVER["setup"])
        user = users.create(tx, email=who.email, name=who.name, password_hash=password_hash, now=self._now())
        for org_id in [one.id for one in organizations.list_all(tx)] or [self._new_organization(tx, who)]:
            users.set_role(tx, user.id, org_id, "owner", self._now())
        self._welcome(tx, user, session, client)

    def _new_organization(self, tx: sa.Connection, who: Newcomer) -> str:
        if not who.organization:
            raise BadInput("Say what your organisation is called.")
        country = country_of_timezone(who.timezone) or DEFAULT_COUNTRY
        new = NewOrganization(name=who.organization, timezone=who.timezone, country=country)
        organizations.create(tx, self._keys, new, self._now())
        return new.id

    def _join_new(
        self, tx: sa.Connection, token_hash: str, session: str, who: Newcomer, password_hash: str, client: Client
    ) -> None:
        invitation = self._used(tx, "invitation", token_hash)
        email = invitation.email or ""
        user = users.create(tx, email=email, name=who.name, password_hash=password_hash, now=self._now())
        self._become_member(tx, user, invitation, client)
        self._welcome(tx, user, session, client, org_id=invitation.org_id)

    def _join(self, tx: sa.Connection, token_hash: str, session: str, user: User, client: Client) -> None:
        invitation = self._used(tx, "invitation", token_hash)
        self._become_member(tx, user, invitation, client)
        self._sign_ins.let_in(tx, user, session, client, org_id=invitation.org_id)

    def _become_member(self, tx: sa.Connection, user: User, invitation: Invitation, client: Client) -> None:
        assert invitation.org_id is not None
        assert invitation.role is not None
        users.set_role(tx, user.id, invitation.org_id, invitation.role, self._now())

    def _welcome(
        self, tx: sa.Connection, user: User, session: str, client: Client, *, org_id: str | None = None
    ) -> None:
        note_everywhere(tx, user, "user_joined", client, self._now())
        self._sign_ins.let_in(tx, user, session, client, org_id=org_id)

    def _renew(self, tx: sa.Connection, token_hash: str, session: str, password_hash: str, client: Client) -> None:
        email = self._used(tx, "password", token_hash).email
        user = users.by_email(tx, email) if email else None
        if user is None:
            raise NotFound(_OVER["password"])
        users.set_password(tx, user.id, password_hash, self._now())
        sessions.end_all(tx, user.id)
        note_everywhere(tx, user, "password_changed", client, self._now())
        self._sign_ins.let_in(tx, user, session, client)

    def _used(self, tx: sa.Connection, kind: Kind, token_hash: str) -> Invitation:
        used = invitations.use(tx, token_hash, kind, self._now())
        if used is None:
            raise NotFound(_OVER[kind])
        return used


_OVER: dict[Kind, str] = {
    "setup": "This link has been used, or it is over. `offhook user setup-link` makes another, as long as there is no user.",
    "invitation": "This invitation has been used, withdrawn, or it is over. Ask for another.",
    "password": "This link has been used, or it is over. Ask for another: `offhook user reset-link` makes it.",
}


def _make_first(tx: sa.Connection, token_hash: str, now: float) -> bool:
    is_needed = not users.is_anybody_there(tx)
    return is_needed and invitations.make_first(tx, token_hash, now=now, expires_at=now + SETUP_S)


def _asked(tx: sa.Connection, kind: Kind, token_hash: str, now: float) -> Asked | None:
    found = invitations.find(tx, token_hash, kind, now)
    if found is None or (kind == "setup" and users.is_anybody_there(tx)):
        return None
    known = organizations.list_all(tx)
    names = [one.name for one in known if kind == "setup" or one.id == found.org_id]
    is_known = found.email is not None and users.by_email(tx, found.email) is not None
    return Asked(found, names[0] if names else None, is_known)
