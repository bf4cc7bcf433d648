"""What every page stands in: the templates, the frame around them, the headers, the pages for what went wrong."""

import asyncio
import secrets
from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from typing import Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

import jinja2
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from offhook.dashboard import assets, phrases
from offhook.dashboard.frame import Frame, frame_of
from offhook.dashboard.visitors import SEE_OTHER, SignInFirst, Visit, find_viewer, sign_in_url
from offhook.deps import Deps
from offhook.errors import Refused, Unavailable
from offhook.logs import log

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "media-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with less a browser would say of our own forms that they come from nowhere
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cache-Control": "private, no-store",  # nobody reads a transcript with the Back button of a desk that was left
}
_THEMES = ("auto", "light", "dark")


class Flash(NamedTuple):
    """What has just happened, at the head of a page: `page(visit, ..., flash=Flash("Saved."))`."""

    words: str
    tone: Literal["ok", "info", "warn", "bad"] = "ok"


@cache
def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("offhook.dashboard"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters.update(phrases.FILTERS)
    environment.globals.update(asset=assets.address, moment=phrases.moment)
    return environment


async def page(
    visit: Visit, template: str, /, *, status: int = 200, flash: Flash | None = None, **facts: Any
) -> Response:
    """The page *template* with *facts*, in its frame where somebody is signed in.

    A template also has `visit`, `viewer`, `frame` (both None for a stranger), `now`, `zone` (the organisation's), `flash`,
    and macros.html. It extends base.html, or alone.html where nobody is signed in.
    """
    frame = await frame_of(visit)
    # Off the event loop: a page takes some milliseconds, and greetings must not wait for them.
    return await asyncio.to_thread(render, visit, template, status=status, frame=frame, flash=flash, **facts)


def render(
    visit: Visit, template: str, /, *, status: int = 200, frame: Frame | None = None, **facts: Any
) -> HTMLResponse:
    """The same at once, and without a frame unless one is given."""
    return HTMLResponse(_templates().get_template(template).render(_around(visit, frame) | facts), status)


def fragment(deps: Deps, org_id: str, template: str, /, **facts: Any) -> str:
    """A piece of a page that is the same for everybody in the organisation, such as the row of a call that `/live` sends."""
    around = {"now": deps.now(), "zone": _zone_in(deps, org_id)}
    return _templates().get_template(template).render(around | facts)


def _around(visit: Visit, frame: Frame | None) -> dict[str, Any]:
    theme = visit.request.cookies.get("theme", "auto")
    return {
        "visit": visit,
        "viewer": visit.found,
        "frame": frame,
        "flash": None,
        "theme": theme if theme in _THEMES else "auto",
        "now": visit.deps.now(),
        "zone": zone_of(visit),
    }


def zone_of(visit: Visit) -> ZoneInfo:
    """The time zone of the organisation that is looked at; UTC for strangers."""
    return _zone_in(visit.deps, visit.found.org_id if visit.found else "")


def _zone_in(deps: Deps, org_id: str) -> ZoneInfo:
    organization = deps.directory.organization(org_id) if org_id else None
    return phrases.zone_named(organization.timezone if organization else "UTC")


def redirect(to: str) -> Response:
    """To another page, by GET, after a form was sent."""
    return RedirectResponse(to, SEE_OTHER)


def with_headers(app: ASGIApp) -> ASGIApp:
    """*app*, each of whose answers has the headers of a page unless it says otherwise."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                said = {name.lower() for name, _ in message["headers"]}
                more = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]
                message = {**message, "headers": [*message["headers"], *(one for one in more if one[0] not in said)]}
            await send(message)

        await app(scope, receive, send_with_headers)

    return serve


# What went wrong


async def _sign_in_first(request: Request, error: Exception) -> Response:
    return redirect(sign_in_url(request))


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return await _error_page(request, error.status, error.message)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    sentence = "There is no such page." if error.status_code == 404 else f"{error.detail}."
    return await _error_page(request, error.status_code, sentence, headers=error.headers)


async def _unavailable(request: Request, error: Exception) -> Response:
    log.warning("dashboard.unavailable", path=request.url.path, reason=str(error))
    sentence = "The database does not answer just now. Calls are still kept; try again in a moment."
    return await _error_page(request, 503, sentence, headers={"Retry-After": "5"}, may_ask=False)


async def _our_fault(request: Request, error: Exception) -> Response:
    id = secrets.token_hex(4)
    log.error("dashboard.failed", path=request.url.path, id=id, exc_info=error)
    return await _error_page(request, 500, f"Something failed here; the log says what, under {id}.", may_ask=False)


async def _error_page(
    request: Request, status: int, sentence: str, *, headers: Mapping[str, str] | None = None, may_ask: bool = True
) -> Response:
    """*may_ask*: the database, who is looking; otherwise the page stands alone.

    A browser that opens a page names HTML among what it takes. Who does not is a program, maybe one with a mistyped address.
    """
    if "text/html" not in request.headers.get("accept", ""):
        told = {"error": sentence, "success": False, "code": HTTPStatus(status).name.lower()}
        return JSONResponse(told, status, headers)
    visit = await _visit(request) if may_ask else Visit(request, None)
    answer = await page(visit, "error.html", status=status, number=status, sentence=sentence)
    answer.headers.update(headers or {})
    return answer


async def _visit(request: Request) -> Visit:
    deps: Deps = request.app.state.deps
    try:
        return Visit(request, await find_viewer(request, deps, keeps_awake=False))
    except Unavailable:
        return Visit(request, None)


HANDLERS: Mapping[Any, Any] = {
    SignInFirst: _sign_in_first,
    Refused: _refused,
    HTTPException: _http,
    Unavailable: _unavailable,
    Exception: _our_fault,
}
