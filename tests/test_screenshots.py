"""Every page is pictured, from an office that was made up, by `make screenshots`; some of them in every run, for a look.

The application runs in a thread of this process, on its own clock, under the address that its owner would give it.
"""

import asyncio
import re
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize

from offhook import app
from offhook.dashboard import latencies
from offhook.dashboard.latencies import Waits
from offhook.disks import Disk
from offhook.settings import Settings
from offhook.store import organizations
from offhook.store.organizations import NewOrganization
from tests import office
from tests.api import Api
from tests.browser import PHONE, WIDE, a_browser, chromium
from tests.conftest import _absent
from tests.fake_twilio import fake_twilio
from tests.https import certificate
from tests.services import listening

_IDS = {"first": "8d07f3a91c5e4b62a0d4e9b7", "danger": "b41c6e0f27d94a53816fc2e8"}
#: The same page is drawn in the same pixels.
_STEADY = (
    "--num-raster-threads=1",
    "--disable-partial-raster",
    "--force-color-profile=srgb",
    "--font-render-hinting=none",
)
_LEAST_BYTES, _MOST_BYTES = 8_000, 260_000


class Shot(NamedTuple):
    """A picture: of what, and how the page is when it is taken."""

    name: str
    path: str
    size: ViewportSize = WIDE
    scheme: str = "light"
    who: str = office.TOKEN  #: whose session; "": nobody's
    before: Callable[[Page], Any] | None = None


def _play_a_while(page: Page) -> None:
    page.evaluate("document.querySelector('call-player').seek(14)")


SHOTS = (
    Shot("calls", "/calls"),
    Shot("calls-dark", "/calls", scheme="dark"),
    Shot("calls-phone", "/calls", PHONE),
    Shot("calls-search", "/calls?q=heating"),
    Shot("first-run", "/calls", who="first"),
    Shot("call", "{call}", before=_play_a_while),
    Shot("call-dark", "{call}", scheme="dark", before=_play_a_while),
    Shot("call-phone", "{call}", PHONE, before=_play_a_while),
    Shot("call-missed", "{missed}"),
    Shot("follow-ups", "{waits}"),
    Shot("follow-ups-phone", "/follow-ups", PHONE),
    Shot("contacts", "/contacts"),
    Shot("contact", "{contact}"),
    Shot("events", "/events"),
    Shot("events-refused", "/events?view=refused"),
    Shot("event", "{event}"),
    Shot("events-replay", "/events/replay"),
    Shot("health", "/health"),
    Shot("health-danger", "/health", who="danger"),
    Shot("dead-letters", "/health/dead-letters", who="danger"),
    Shot("settings", "/settings"),
    Shot("settings-hours", "/settings/hours"),
    Shot("settings-people", "/settings/people"),
    Shot("settings-numbers", "/settings/numbers"),
    Shot("settings-agents", "/settings/agents"),
    Shot("settings-agent", "{agent}"),
    Shot("settings-texts", "/settings/texts"),
    Shot("settings-secrets", "/settings/secrets"),
    Shot("settings-users", "/settings/users"),
    Shot("settings-keys", "/settings/keys"),
    Shot("settings-audit", "/settings/audit"),
    Shot("account", "/account"),
    Shot("sign-in", "/login", who=""),
)
_IN_EVERY_RUN = {"call-dark", "calls-phone", "contact", "follow-ups", "health-danger", "settings-texts", "sign-in"}


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Where the office is served, by https."""
    patched = pytest.MonkeyPatch()
    with fake_twilio() as twilio:
        for name, value in twilio.env.items():
            patched.setenv(name, value)
        patched.setattr(app, "time", SimpleNamespace(time=lambda: office.CLOCK[0]))
        patched.setattr(latencies, "greetings", lambda: Waits(1864, 0.02, 0.25))
        with _in_a_thread(tmp_path_factory.mktemp("office")) as port:
            yield port
    patched.undo()


@contextmanager
def _in_a_thread(folder: Path) -> Iterator[int]:
    """A loop of its own: this thread's is the browser's."""
    listener = listening()
    begun, faults = threading.Event(), []
    ending = SimpleNamespace(ask=lambda: None)

    async def serve() -> None:
        async with _furnished(folder) as application:
            pem, key = certificate(folder)
            config = uvicorn.Config(application, log_config=None, lifespan="off", ssl_certfile=pem, ssl_keyfile=key,
                                    timeout_graceful_shutdown=1)  # fmt: skip
            server = uvicorn.Server(config)
            ending.ask = lambda: setattr(server, "should_exit", True)
            begun.set()
            await server.serve(sockets=[listener])

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as fault:
            faults.append(fault)
        begun.set()

    thread = threading.Thread(target=run, name="office")
    thread.start()
    begun.wait(60)
    if faults:
        raise faults[0]
    yield listener.getsockname()[1]
    ending.ask()
    thread.join(20)


@asynccontextmanager
async def _furnished(folder: Path) -> AsyncIterator[Any]:
    settings = Settings(data_dir=folder, public_url=f"https://{office.ADDRESS}", sms="twilio",
                        trusted_proxies=("127.0.0.1",))  # fmt: skip
    async with app.house(settings, is_server=True, with_worker=False) as deps:
        api = Api(deps)
        api.org = _made_up("Harbourfront Answering", "3c9e5b21f0a84d76b1e2c0d9")
        api.client = api.client_with(api.org.api_key)
        await deps.database.write(organizations.create, deps.keys, api.org, office.NOW - 40 * 86_400)
        await office.furnish(api)
        for who, name in (("first", "Oak & Iron Furniture"), ("danger", "Northside Plumbing")):
            other = _made_up(name, _IDS[who])
            await deps.database.write(organizations.create, deps.keys, other, office.NOW - 40 * 86_400)
            await office.let_in(api, other.id, who)
        await office.endanger(api, _IDS["danger"])
        deps.disks.look = list  # type: ignore[method-assign]
        deps.disks.found = [Disk(("data", "recordings", "spool"), folder, 31.0, 412_000_000_000)]
        yield api.app


def _made_up(name: str, id: str) -> NewOrganization:
    """With secrets that are the same in every picture."""
    secrets = {one: f"{one}_{id}" for one in ("webhook_secret", "tool_secret", "api_key")}
    return NewOrganization(name=name, id=id, timezone="America/Toronto", country="CA", **secrets)


@pytest.fixture(scope="module")
def browser(port: int) -> Iterator[Browser]:
    executable = chromium()
    if executable is None:
        _absent("Chromium is not installed (apt-get install chromium): no pictures are taken.")
    leads_here = f"--host-resolver-rules=MAP {office.ADDRESS}:443 127.0.0.1:{port}"
    with a_browser(executable, leads_here, *_STEADY) as browser:
        yield browser


@pytest.fixture(scope="module")
def places(browser: Browser) -> dict[str, str]:
    """Addresses that have ids in them."""
    with _window(browser, SHOTS[0]) as context:
        page = context.new_page()
        wanted = {
            "call": ("/calls?q=cleaning", ".row a"), "missed": ("/calls?view=missed", ".row a"),
            "contact": ("/contacts?q=Morgan", ".pc a"), "waits": ("/follow-ups", ".fu:has-text('613') a"),
            "agent": ("/settings/agents", "td a:has-text('Robin')"),
            "event": ("/events?type=post_call_transcription&status=projected", "a.main"),
        }  # fmt: skip
        found = {}
        for name, (path, link) in wanted.items():
            page.goto(f"https://{office.ADDRESS}{path}")
            found[name] = page.locator(link).first.get_attribute("href") or ""
        return found


@pytest.mark.parametrize(
    "shot",
    [pytest.param(shot, marks=() if shot.name in _IN_EVERY_RUN else pytest.mark.torture) for shot in SHOTS],
    ids=lambda shot: shot.name,
)
def test_a_page_is_pictured(shot: Shot, browser: Browser, places: dict[str, str], screenshots: Path) -> None:
    with _window(browser, shot) as context:
        page = context.new_page()
        answer = page.goto(f"https://{office.ADDRESS}{shot.path.format(**places)}")
        assert answer is not None
        assert 200 == answer.status
        if shot.who:
            page.locator("[data-lamp][data-on]").first.wait_for(state="attached")
        if shot.before:
            shot.before(page)
        page.evaluate("document.fonts.ready")
        page.screenshot(path=screenshots / f"{shot.name}.png", animations="disabled", caret="hide")
        assert page.locator("h1:visible, h2:visible").count()
    assert _LEAST_BYTES < (screenshots / f"{shot.name}.png").stat().st_size < _MOST_BYTES


def test_each_picture_is_kept_and_shown_beside_what_tells_of_it() -> None:
    docs = Path(__file__).parents[1] / "docs"
    names = {shot.name for shot in SHOTS}
    assert names == {path.stem for path in (docs / "screenshots").glob("*.png")}
    assert names == set(
        re.findall(r'src="screenshots/([a-z-]+)\.png" alt="[^"]{9,}"', (docs / "dashboard.md").read_text())
    )


@contextmanager
def _window(browser: Browser, shot: Shot) -> Iterator[BrowserContext]:
    context = browser.new_context(
        viewport=shot.size, is_mobile=shot.size is PHONE, color_scheme=shot.scheme, locale="en-CA",  # type: ignore[arg-type]
        extra_http_headers={"X-Forwarded-For": "198.51.100.20"}, timezone_id="America/Toronto", reduced_motion="reduce",
        ignore_https_errors=True,
    )  # fmt: skip
    context.clock.set_fixed_time(office.NOW)
    if shot.who:
        context.add_cookies([{"name": "__Host-offhook", "value": shot.who, "url": f"https://{office.ADDRESS}"}])
    yield context
    context.close()
