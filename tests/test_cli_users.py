"""offhook user: who may look, on the command line."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, TypeVar
from urllib.parse import urlsplit

import pytest
import structlog

from offhook.accounts.joining import Newcomer
from offhook.accounts.sign_ins import Client
from offhook.app import house
from offhook.settings import load
from offhook.store import audit, organizations
from offhook.store.audit import Wanted
from tests.test_cli import Offhook, acme, environment, offhook  # noqa: F401 - fixtures

T = TypeVar("T")
ORG = "Acme Corp"
SAM = "sam@example.com"


@pytest.fixture
def run(acme: dict[str, str], offhook: Offhook) -> Offhook:  # noqa: F811
    return offhook


def test_the_first_user_and_an_invited_one_are_listed_promoted_and_removed(run: Offhook) -> None:
    assert [] == run("user", "list", "--json").json
    older, first = [run("user", "setup-link", "--json").json["url"] for _ in range(2)]
    assert older != first
    _quietly(_set_up(_token(first), "olga@example.com"))
    assert 2 == run("user", "setup-link").code
    invited = run("user", "invite", ORG, "SAM@example.com", "--role", "auditor", "--json").json
    assert invited["url"].startswith("http://127.0.0.1:2212/invitation/")
    _quietly(_accept(_token(invited["url"])))
    rows = run("user", "list", ORG, "--json").json
    assert [("olga@example.com", "owner"), (SAM, "auditor")] == [(row["email"], row["role"]) for row in rows]
    assert "Sam Lee" in run("user", "list").out
    assert "owner" == run("user", "role", ORG, SAM, "Owner", "--json").json["role"]
    assert 0 == run("user", "remove", ORG, "olga@example.com").code
    ended = run("user", "remove", ORG, SAM)
    assert (2, True) == (ended.code, "last owner" in ended.sentence)
    assert "/password/" in run("user", "reset-link", SAM).out
    assert [SAM] == [row["email"] for row in run("user", "list", "--json").json]
    done = _quietly(_log())
    assert [
        "user_removed",
        "role_changed",
        "signed_in",
        "user_joined",
        "user_invited",
        "signed_in",
        "user_joined",
    ] == done


def test_what_cannot_be_used_is_said(run: Offhook) -> None:
    for typed, said in (
        (("invite", ORG, "sam"), "no email address"),
        (("invite", ORG, SAM, "--role", "boss"), "there are owner, manager, agent, auditor"),
        (("invite", ORG, SAM, "--valid", "0"), "over already"),
        (("role", ORG, SAM, "owner"), "offhook user list"),
        (("reset-link", SAM), "offhook user list"),
    ):
        ended = run("user", *typed)
        assert (2, True) == (ended.code, said in ended.sentence)


def _quietly(deed: Coroutine[Any, Any, T]) -> T:
    """Without logs, which would be taken for what the next command prints."""
    with structlog.testing.capture_logs():
        return asyncio.run(deed)


def _token(url: str) -> str:
    return urlsplit(url).path.rpartition("/")[2]


async def _set_up(token: str, email: str) -> None:
    async with house(load(password_memory_kib=8, password_rounds=1), is_server=False, with_worker=False) as deps:
        await deps.joining.set_up(
            token, Newcomer(name="Olga", email=email, password="three other words"), Client("192.0.2.1")
        )


async def _accept(token: str) -> None:
    async with house(load(password_memory_kib=8, password_rounds=1), is_server=False, with_worker=False) as deps:
        assert (await deps.joining.look("invitation", token)).invitation.expires_at > time.time() + 6 * 86_400
        await deps.joining.accept(token, Newcomer(name="Sam Lee", password="three other words"), Client("192.0.2.1"))


async def _log() -> list[str]:
    async with house(load(), is_server=False, with_worker=False) as deps:
        org = await deps.database.read(organizations.find, ORG)
        return [row.action for row in await deps.database.read(audit.page, org.id, Wanted(), limit=99)]
