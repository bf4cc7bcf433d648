"""Getting in: by password. What is decided here holds for pages and commands alike."""

import ipaddress
import secrets
from collections.abc import Callable

import msgspec
import sqlalchemy as sa

from offhook.credentials import hash_of
from offhook.errors import Refused
from offhook.passwords import Passwords
from offhook.settings import Settings
from offhook.store import audit, sessions, sign_in_attempts, users
from offhook.store.database import Database
from offhook.store.sign_in_attempts import Limit
from offhook.store.users import User

_WINDOW_S = 15 * 60
_MOST_BY_ADDRESS = 30  #: attempts in a window: an office has one address
_MOST_BY_ACCOUNT = 10


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
    browser: str


class Accounts:
    """One process's door for people."""

    def __init__(self, database: Database, settings: Settings, now: Callable[[], float]) -> None:
        self._database = database
        self._settings = settings
        self._now = now
        self._passwords = Passwords(memory_kib=settings.password_memory_kib, rounds=settings.password_rounds)

    async def sign_in(self, email: str, password: str, client: Client) -> str | None:
        """The token of a new session; None when address and password do not belong together; TooOften."""
        account = _account_key(email)
        limits = [Limit(_address_key(client.address), _MOST_BY_ADDRESS), Limit(account, _MOST_BY_ACCOUNT)]
        wait_s = await self._database.write(sign_in_attempts.begin, limits, self._now(), _WINDOW_S)
        if wait_s is not None:
            raise TooOften(wait_s)
        user = await self._database.read(users.by_email, email)
        if not await self._passwords.is_right(password, user.password_hash if user else None) or user is None:
            await self._database.write(audit.add, self._failed(email, client))
            return None
        return await self._admit(user, client)

    async def sign_out(self, token: str) -> None:
        await self._database.write(sessions.end, hash_of(token))

    async def _admit(self, user: User, client: Client) -> str:
        token = secrets.token_urlsafe(32)
        await self._database.write(self._let_in, user, hash_of(token), client)
        return token

    def _let_in(self, tx: sa.Connection, user: User, token_hash: str, client: Client) -> None:
        now = self._now()
        theirs = sessions.memberships_of(tx, user.id)
        sign_in_attempts.forgive(tx, [_account_key(user.email)])
        sessions.start(
            tx,
            token_hash,
            user.id,
            org_id=theirs[0].org_id if theirs else None,
            address=client.address,
            browser=client.browser,
            now=now,
            idle_s=self._settings.session_idle_hours * 3600,
            absolute_s=self._settings.session_days * 86_400,
        )
        users.stamp_signed_in(tx, user.id, now)
        entry = audit.Entry(
            at=now, org_id=None, user_id=user.id, who=user.email, action="signed_in", address=client.address
        )
        for one in theirs:
            audit.add(tx, msgspec.structs.replace(entry, org_id=one.org_id))

    def _failed(self, email: str, client: Client) -> audit.Entry:
        who = users.folded_email(email)[:254]
        return audit.Entry(
            at=self._now(), org_id=None, user_id=None, who=who, action="sign_in_failed", address=client.address
        )


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
