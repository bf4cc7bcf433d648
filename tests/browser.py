"""A real browser on a real server: Debian's Chromium, which must not complain and must not ask any other host.

A test that needs it takes the fixture `visit`: `visit("/calls")` opens a page as the owner of one with a few calls.
The test fails when anything that it looked at was complained of.
"""

import copy
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any

import sqlalchemy as sa
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    ViewportSize,
    expect,
    sync_playwright,
)

from offhook.credentials import hash_of
from offhook.store import sessions, users
from tests.beside import an_organization, beside
from tests.services import Server, eventually

_FLAGS = (
    "--no-sandbox",  # tests may run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
)
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
WIDE, PHONE = ViewportSize(width=1440, height=900), ViewportSize(width=390, height=844)
CALLS = 9  #: that the organisation of `visit` begins with


def chromium() -> Path | None:
    """Where it is; None where it is not installed."""
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    return Path(found) if found else None


@contextmanager
def a_browser(executable: Path, *flags: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=[*_FLAGS, *flags])
        yield browser
        browser.close()


def an_office(standing: Server) -> Server:
    """An organisation of its own on that server, with CALLS simulated calls, all of them understood."""
    server = copy.copy(standing)
    server.organization = an_organization(server, name="Harbour Dental", timezone="America/Toronto")
    secrets = ("--webhook-secret", server.webhook_secret, "--tool-secret", server.tool_secret)
    server.offhook("simulate", "--url", server.base_url, *secrets, "--calls", str(CALLS), "--rate", "0", "--seed", "7")
    eventually(lambda: server.get("/api/calls/history").json()["total"] == CALLS, within_s=20)
    eventually(lambda: server.get("/api/events", status="pending").json()["total"] == 0, within_s=20)
    return server


class Visitor:
    """The owner of a server's organisation, with one window; what their browser complains of is collected."""

    def __init__(self, browser: Browser, server: Server) -> None:
        self.server = server
        self.complaints: list[str] = []
        self._browser = browser
        self._token = token_hex(16)
        self._others: list[Visitor] = []
        self._excused: list[str] = []
        beside(server, _sign_in, server.org_id, self._token)
        self.context = self._opened(viewport=WIDE, permissions=["clipboard-read", "clipboard-write"])
        self.page = self.context.new_page()

    def __call__(self, path: str) -> Page:
        self.page.goto(self.server.base_url + path)
        return self.page

    def at(self, server: Server) -> "Visitor":
        """The same browser as the owner of another organisation, until the test ends; its complaints are these."""
        other = Visitor(self._browser, server)
        other.complaints, other._excused = self.complaints, self._excused
        self._others.append(other)
        return other

    @contextmanager
    def another_window(self, *, is_stranger: bool = False, **wishes: Any) -> Iterator[Callable[[str], Page]]:
        """One with another size, colour scheme, without JavaScript, or of somebody who has not signed in."""
        context = self._opened(is_stranger=is_stranger, **wishes)
        page = context.new_page()

        def open_page(path: str) -> Page:
            page.goto(path if "://" in path else self.server.base_url + path)
            return page

        yield open_page
        context.close()

    def excuse(self, words: str) -> None:
        """In this test, complaints with these words are no fault."""
        self._excused.append(words)

    @contextmanager
    def one_test(self) -> Iterator[None]:
        """Nothing may be complained of: no error, no breach of the content policy, and no request to another host."""
        self.complaints.clear()
        self._excused.clear()
        yield
        while self._others:
            self._others.pop().context.close()
        assert [] == [one for one in self.complaints if not any(words in one for words in self._excused)]

    def _opened(self, *, is_stranger: bool = False, **wishes: Any) -> BrowserContext:
        context = self._browser.new_context(**wishes)
        if not is_stranger:
            context.add_cookies([{"name": "offhook", "value": self._token, "url": self.server.base_url}])
        context.on("console", self._console)
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        context.on("request", self._request)
        return context

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text} ({message.location.get('url')})")

    def _request(self, request: Request) -> None:
        if not request.url.startswith((self.server.base_url, "data:", "blob:")):
            self.complaints.append(f"asked {request.url}")


def heard_s(page: Page) -> float:
    """Where the recording stands, once it can be played."""
    eventually(lambda: page.evaluate("document.querySelector('call-player').audio?.readyState > 0"))
    return float(page.evaluate("document.querySelector('call-player').at"))


def a_heard_call(server: Server) -> str:
    """The page of one of the simulated calls, with its recording; other tests' calls say other words, or have none."""
    calls = server.get("/api/calls/history", status="completed").json()["calls"]
    heard = [f"/calls/{call['_id']}" for call in calls if call["recordings"]]
    return next(path for path in heard if "How much do " in server.get(f"/api{path}").text)


def keys_are_heard(page: Page) -> None:
    """Wait for it: the sheet behind "?" is drawn when keys are heard."""
    expect(page.locator("#keys .keys > *").first).to_be_attached()


def violations(page: Page, *, only: Sequence[str] = ()) -> list[str]:
    """What axe finds on the page as it stands, a line each. *only*: these rules, of what another theme or size can change."""
    asked = {"type": "rule", "values": list(only)} if only else {"type": "tag", "values": _RULES}
    options = {"runOnly": asked, "resultTypes": ["violations"], "preload": False}  # no rule of these asks for files
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    found = page.evaluate("async (options) => (await axe.run(options)).violations", options)
    return [f"{one['id']}: {node['html'][:120]}" for one in found for node in one["nodes"][:3]]


def sideways_px(page: Page) -> int:
    """How far the page can be scrolled sideways."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def _sign_in(tx: sa.Connection, org_id: str, token: str) -> None:
    now = time.time()
    user = users.create(tx, email=f"ines.{token}@harbour.example", name="Ines Duarte", password_hash="-", now=now)
    users.set_role(tx, user.id, org_id, "owner", now)
    sessions.start(
        tx, hash_of(token), user.id, org_id=org_id, address="192.0.2.1", browser="a test",
        now=now, idle_s=3600, absolute_s=86_400,
    )  # fmt: skip
