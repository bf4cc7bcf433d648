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
from offhook.dashboard.pages import account, audit_log, call, calls, joining, palette, signing_in
from offhook.dashboard.visitors import Page, arrive
from offhook.deps import Deps

PAGES: tuple[Page, ...] = (
    Page("GET", "/", signing_in.first_page, "anyone"),
    Page("GET", "/login", signing_in.login, "anyone"),
    Page("POST", "/login", signing_in.sign_in, "anyone"),
    Page("POST", "/logout", signing_in.sign_out, "anyone"),
    Page("GET", "/setup/{token}", joining.setup_form, "anyone"),
    Page("POST", "/setup/{token}", joining.set_up, "anyone"),
    Page("GET", "/invitation/{token}", joining.invitation_form, "anyone"),
    Page("POST", "/invitation/{token}", joining.accept, "anyone"),
    Page("GET", "/password/{token}", joining.password_form, "anyone"),
    Page("POST", "/password/{token}", joining.renew, "anyone"),
    Page("GET", "/account", account.account, "member"),
    Page("POST", "/account/password", account.change_password, "member"),
    Page("POST", "/account/sessions/end", account.sign_out_elsewhere, "member"),
    Page("POST", "/organization", account.switch, "member"),
    Page("GET", "/settings/audit", audit_log.audit_log, "audit"),
    Page("GET", "/calls", calls.calls, "look"),
    Page("GET", "/calls/{call_id}", call.call, "look"),
    Page("POST", "/calls/{call_id}/notes", call.add_note, "work"),
    Page("POST", "/calls/{call_id}/notes/{note_id}", call.change_note, "work"),
    Page("GET", "/media/{call_id}.mp3", call.media, "look"),
    Page("GET", "/search.json", palette.search, "look"),
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
