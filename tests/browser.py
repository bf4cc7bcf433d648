"""A real browser on a real server: Debian's Chromium, which must not complain and must not ask any other host.

A module that needs it takes the fixture `visit`: `visit("/calls")` opens a page as the owner of the server's organisation.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, sync_playwright

from tests.services import Server

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
WIDE, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}


def chromium() -> Path | None:
    """Where it is; None where it is not installed."""
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    return Path(found) if found else None


@contextmanager
def a_browser(executable: Path) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(_FLAGS))
        yield browser
        browser.close()


class Visitor:
    """Somebody who is signed in, with one window; what their browser complains of is collected."""

    server: Server  #: which they visit

    def __init__(self, browser: Browser, base_url: str, token: str) -> None:
        self._browser = browser
        self._base_url = base_url
        self._cookie = {"name": "offhook", "value": token, "url": base_url}
        self.complaints: list[str] = []
        self.context = self._opened(viewport=WIDE, permissions=["clipboard-read", "clipboard-write"])
        self.page = self.context.new_page()

    def __call__(self, path: str) -> Page:
        self.page.goto(self._base_url + path)
        return self.page

    @contextmanager
    def another_window(self, **wishes: Any) -> Iterator[Callable[[str], Page]]:
        """One with another size, colour scheme, or without JavaScript."""
        context = self._opened(**wishes)
        page = context.new_page()

        def open_page(path: str) -> Page:
            page.goto(self._base_url + path)
            return page

        yield open_page
        context.close()

    def _opened(self, **wishes: Any) -> BrowserContext:
        context = self._browser.new_context(**wishes)
        context.add_cookies([self._cookie])  # type: ignore[list-item]
        context.on("console", self._console)
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        context.on("request", self._request)
        return context

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text} ({message.location.get('url')})")

    def _request(self, request: Request) -> None:
        if not request.url.startswith(self._base_url):
            self.complaints.append(f"asked {request.url}")


def violations(page: Page, *, only_colours: bool = False) -> list[str]:
    """What axe finds on the page as it stands, a line each. *only_colours*: what another theme can change."""
    asked = {"type": "rule", "values": ["color-contrast"]} if only_colours else {"type": "tag", "values": _RULES}
    options = {"runOnly": asked, "resultTypes": ["violations"]}
    found = Axe().run(page, options=options).response["violations"]
    return [f"{one['id']}: {node['html'][:120]}" for one in found for node in one["nodes"][:3]]


def sideways_px(page: Page) -> int:
    """How far the page can be scrolled sideways."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))
