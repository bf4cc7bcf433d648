"""Signing in by e-mail and password, and what a session is good for."""

import ipaddress
import secrets
from collections.abc import Callable

import msgspec
import sqlalchemy as sa

from offhook.credentials import hash_of
from offhook.errors import BadInput, Conflict, Refused
from offhook.passwords import Passwords, chosen_password
from offhook.settings import Settings
from offhook.store import audit, sessions, sign_in_attempts, users
from offhook.store.audit import Entry
from offhook.store.database import Database
from offhook.store.sign_in_attempts import Limit
from offhook.store.users import User

WINDOW_S = 15 * 60
MOST_BY_ADDRESS = 30  #: attempts in a window; an office has one address
MOST_BY_ACCOUNT = 10


class TooOften(Refused):
    """Too many attempts to sign in."""

    status = 429
    code = "too_many"

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"That was tried too often. Wait {max(1, round(wait_s / 60))} minutes, then try again.")
        self.wait_s = wait_s


class Client(msgspec.Struct, frozen=True):
    """Where somebody comes from."""

    address: str
    browser: str = ""


class SignIns:
    """The door for people of one process."""

    def __init__(self, database: Database, settings: Settings, now: Callable[[], float]) -> None:
        self._database = database
        self._settings = settings
        self._now = now
        self.passwords = Passwords(memory_kib=settings.password_memory_kib, rounds=settings.password_rounds)

    async def sign_in(self, email: str, password: str, client: Client) -> str | None:
        """The token of a new session; None when address and password do not belong together; TooOften."""
        user = await self.proven(email, password, client)
        if user is None:
            return None
        token = new_token()
        await self._database.write(self.let_in, user, token, client)
        return token

    async def sign_out(self, token: str) -> None:
        await self._database.write(sessions.end, hash_of(token))

    async def proven(self, email: str, password: str, client: Client) -> User | None:
        """The user, when *password* is theirs; None, whatever was wrong; TooOften. Nobody takes as long as somebody."""
        limits = [Limit(_address_key(client.address), MOST_BY_ADDRESS), Limit(_account_key(email), MOST_BY_ACCOUNT)]
        wait_s = await self._database.write(sign_in_attempts.begin, limits, self._now(), WINDOW_S)
        if wait_s is not None:
            raise TooOften(wait_s)
        user = await self._database.read(users.by_email, email)
        if not await self.passwords.is_right(password, user.password_hash if user else None) or user is None:
            await self._database.write(_note_failure, email, client, self._now())
            return None
        if self.passwords.is_outdated(user.password_hash):
            await self._database.write(users.rehash, user.id, await self.passwords.hashed(password))
        return user

    async def change_password(self, user_id: str, old: str, new: str, client: Client, *, stay: str) -> str:
        """Every other session of theirs ends; the one with the hash *stay* goes on under the token that is returned.

        BadInput says what is wrong; Conflict: that session is over, and nothing was changed.
        """
        user = await self._database.read(users.by_id, user_id)
        if user is None or await self.proven(user.email, old, client) is None:
            raise BadInput("That is not your present password.")
        password_hash = await self.passwords.hashed(chosen_password(new, user.email))
        token = new_token()
        await self._database.write(self._changed, user, password_hash, client, stay, hash_of(token))
        return token

    def let_in(self, tx: sa.Connection, user: User, token: str, client: Client, *, org_id: str | None = None) -> None:
        """Begin a session, looking at *org_id* or the first of theirs."""
        now, theirs = self._now(), sessions.memberships_of(tx, user.id)
        sign_in_attempts.forgive(tx, [_account_key(user.email)])
        sessions.start(
            tx,
            hash_of(token),
            user.id,
            org_id=org_id or next((one.org_id for one in theirs), None),
            address=client.address,
            browser=client.browser,
            now=now,
            idle_s=self._settings.session_idle_hours * 3600,
            absolute_s=self._settings.session_days * 86_400,
        )
        users.stamp_signed_in(tx, user.id, now)
        note_everywhere(tx, user, "signed_in", client, now)

    def _changed(
        self, tx: sa.Connection, user: User, password_hash: str, client: Client, stay: str, new_hash: str
    ) -> None:
        if not sessions.renew(tx, stay, new_hash):  # the same form, sent twice: what the first has renewed must not end
            raise Conflict("This session has ended, or its password was changed just now. Sign in again.")
        users.set_password(tx, user.id, password_hash, self._now())
        sessions.end_all(tx, user.id, but=new_hash)
        sign_in_attempts.forgive(tx, [_account_key(user.email)])
        note_everywhere(tx, user, "password_changed", client, self._now())


def new_token() -> str:
    """256 random bits, fit for a cookie and an address."""
    return secrets.token_urlsafe(32)


def note_everywhere(tx: sa.Connection, user: User, action: str, client: Client, now: float) -> None:
    """Into the log of each organisation of theirs: their owners want to know."""
    entry = Entry(at=now, org_id=None, user_id=user.id, who=user.email, action=action, address=client.address)
    for one in sessions.memberships_of(tx, user.id):
        audit.add(tx, msgspec.structs.replace(entry, org_id=one.org_id))


def _note_failure(tx: sa.Connection, email: str, client: Client, now: float) -> None:
    """In the log of whose account was tried; where there is none, in nobody's: what was typed may be a password."""
    user = users.by_email(tx, email)
    if user is not None:
        note_everywhere(tx, user, "sign_in_failed", client, now)


def _account_key(email: str) -> str:
    return hash_of(f"account {users.folded_email(email)}")


def _address_key(address: str) -> str:
    """An IPv6 network is one sender: each has 2^64 addresses."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return hash_of(f"address {address}")
    network = ipaddress.ip_network((ip, 64), strict=False) if ip.version == 6 else ip
    return hash_of(f"address {network}")
