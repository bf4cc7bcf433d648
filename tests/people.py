"""Somebody with a browser: users of the dashboard, signed in, on the application in this process."""

from typing import Any

import httpx
import sqlalchemy as sa

from offhook.credentials import hash_of
from offhook.dashboard.visitors import cookie_name
from offhook.passwords import Passwords
from offhook.roles import Role
from offhook.store import sessions, users
from tests.api import Api

PASSWORD = "correct horse battery"
_CHEAP = Passwords(memory_kib=8, rounds=1)


async def add_user(api: Api, email: str, role: Role | None, *, org_id: str | None = None) -> str:
    """A user with PASSWORD, and that role in the organisation; its id. None: a user without an organisation."""
    password_hash = await _CHEAP.hashed(PASSWORD)
    return await api.deps.database.write(_add, email, password_hash, role, org_id or api.org.id, api.deps.now())


async def signed_in(api: Api, role: Role | None, email: str = "", *, org_id: str | None = None) -> httpx.AsyncClient:
    """The browser of a new user with that role in the organisation, signed in without the form."""
    user_id = await add_user(api, email or f"{role}@acme.example", role, org_id=org_id)
    token = f"token of {role} {email}".replace(" ", "-")
    await api.deps.database.write(
        sessions.start, hash_of(token), user_id, org_id=org_id or api.org.id, address="192.0.2.1", browser="a test",
        now=api.deps.now(), idle_s=3600, absolute_s=86_400,
    )  # fmt: skip
    browser = stranger(api)
    browser.cookies.set(cookie_name(api.deps.settings), token)
    return browser


def stranger(api: Api) -> httpx.AsyncClient:
    """A browser in which nobody is signed in; what it sends comes from our own pages."""
    transport = httpx.ASGITransport(api.app, raise_app_exceptions=False)
    headers = {"Accept": "text/html", "Origin": "http://calls.example"}
    return httpx.AsyncClient(transport=transport, base_url="http://calls.example", headers=headers)


async def sign_in(browser: httpx.AsyncClient, email: str, password: str = PASSWORD, **fields: str) -> httpx.Response:
    return await browser.post("/login", data={"email": email, "password": password, **fields})


def _add(tx: sa.Connection, email: str, password_hash: str, role: Role | None, org_id: str, now: float) -> Any:
    user = users.create(tx, email=email, name=email.partition("@")[0].title(), password_hash=password_hash, now=now)
    if role is not None:
        users.set_role(tx, user.id, org_id, role, now)
    return user.id
