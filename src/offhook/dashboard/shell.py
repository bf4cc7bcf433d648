"""What every page stands in: the templates, the headers, the pages for what went wrong."""

import secrets
from collections.abc import Mapping
from functools import cache
from typing import Any

import jinja2
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from offhook.dashboard.visitors import SEE_OTHER, SignInFirst, Visit, sign_in_url
from offhook.errors import Refused, Unavailable
from offhook.logs import log

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "media-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with less a browser would say of our own forms that they come from nowhere
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "private, no-store",
}


@cache
def _templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("offhook.dashboard"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(visit: Visit, template: str, /, *, status: int = 200, **facts: Any) -> HTMLResponse:
    """The page *template* with *facts*; every template also has `visit` and `viewer` (None for a stranger)."""
    page = _templates().get_template(template)
    return HTMLResponse(page.render(visit=visit, viewer=visit.found, **facts), status)


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
    return _error_page(request, error.status, error.message)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    sentence = "There is no such page." if error.status_code == 404 else f"{error.detail}."
    return _error_page(request, error.status_code, sentence, headers=error.headers)


async def _unavailable(request: Request, error: Exception) -> Response:
    log.warning("dashboard.unavailable", path=request.url.path, reason=str(error))
    sentence = "The database does not answer just now. Calls are still kept; try again in a moment."
    return _error_page(request, 503, sentence, headers={"Retry-After": "5"})


async def _our_fault(request: Request, error: Exception) -> Response:
    id = secrets.token_hex(4)
    log.error("dashboard.failed", path=request.url.path, id=id, exc_info=error)
    return _error_page(request, 500, f"Something failed here; the log says what, under {id}.")


def _error_page(
    request: Request, status: int, sentence: str, *, headers: Mapping[str, str] | None = None
) -> HTMLResponse:
    answer = render(Visit(request, None), "error.html", status=status, number=status, sentence=sentence)
    answer.headers.update(headers or {})
    return answer


HANDLERS: Mapping[Any, Any] = {
    SignInFirst: _sign_in_first,
    Refused: _refused,
    HTTPException: _http,
    Unavailable: _unavailable,
    Exception: _our_fault,
}
