"""The pages for people: who rang, what was said, what must be done. The table below is every address of the dashboard.

An endpoint takes a Visit and returns a Response; nobody without the row's right gets to it.
"""

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from offhook.dashboard import assets, shell
from offhook.dashboard.pages import calls, signing_in
from offhook.dashboard.visitors import Page, arrive
from offhook.deps import Deps

PAGES: tuple[Page, ...] = (
    Page("GET", "/", signing_in.first_page, "anyone"),
    Page("GET", "/login", signing_in.login, "anyone"),
    Page("POST", "/login", signing_in.sign_in, "anyone"),
    Page("POST", "/logout", signing_in.sign_out, "anyone"),
    Page("GET", "/calls", calls.calls, "look"),
)


def build(deps: Deps, address_of: Callable[[Request], str]) -> ASGIApp:
    """The dashboard as an application of its own; *address_of* tells where a request comes from."""
    routes = [Route(page.path, _guarded(page), methods=[page.method]) for page in PAGES]
    app = Starlette(routes=[*routes, assets.ROUTE], exception_handlers=shell.HANDLERS)
    app.router.redirect_slashes = False
    app.state.deps = deps
    app.state.address_of = address_of
    return shell.with_headers(app)


def _guarded(page: Page) -> Callable[[Request], Awaitable[Response]]:
    async def serve(request: Request) -> Response:
        return await page.endpoint(await arrive(request, page))

    return serve
