"""Every answer that is not a success, in one envelope: `{"error", "success": false, "code", "details"?}`.

A 401 carries `{"error": "Unauthorized"}` and nothing else, so that nobody learns which check failed.
"""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from offhook.errors import ComeBackLater, Refused, Unauthorized, Unavailable
from offhook.logs import log

RETRY_AFTER_S = 5

Handler = Callable[[Request, Exception], Any]


def error_answer(
    status: int, error: str, *, code: str, details: Any = None, headers: Mapping[str, str] | None = None
) -> Response:
    """*error* is a sentence for a person, *code* a stable word for a program."""
    envelope: dict[str, Any] = {"error": error, "success": False, "code": code}
    if details is not None:
        envelope["details"] = details
    return Response(msgspec.json.encode(envelope), status, headers, "application/json")


def _unauthorized() -> Response:
    headers = {"WWW-Authenticate": "Bearer"}
    return Response(b'{"error":"Unauthorized"}', Unauthorized.status, headers, "application/json")


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    if isinstance(error, Unauthorized):
        return _unauthorized()
    headers = {"Retry-After": str(RETRY_AFTER_S)} if isinstance(error, ComeBackLater) else None
    return error_answer(error.status, error.message, code=error.code, details=error.details, headers=headers)


async def _unusable(request: Request, error: Exception) -> Response:
    """What FastAPI would call 422 is 400 here, and its sentence begins with the field."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    field = str(first["loc"][1])  # behind "query"; what follows says which reading of it failed
    return error_answer(400, _sentence(field, first), code="bad_input", details={"field": field})


def _sentence(field: str, error: Mapping[str, Any]) -> str:
    if error["type"] == "missing":
        return f"{field} is required."
    if error["type"] == "value_error":
        return f"{field} {error['ctx']['error']}."
    said = str(error["msg"])
    return f"{field} cannot be used: {said[:1].lower()}{said[1:]}."


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    return error_answer(status, f"{status.phrase}.", code=status.name.lower(), headers=error.headers)


async def _unavailable(request: Request, error: Exception) -> Response:
    log.warning("api.unavailable", path=request.url.path, reason=str(error))
    return await _refused(request, ComeBackLater("The database does not answer just now; ask again."))


async def _our_fault(request: Request, error: Exception) -> Response:
    log.error("api.failed", path=request.url.path, exc_info=error)
    return error_answer(500, "Something failed here; the log says what.", code="internal_error")


HANDLERS: Mapping[Any, Handler] = {
    Refused: _refused,
    RequestValidationError: _unusable,
    HTTPException: _http,
    Unavailable: _unavailable,
    Exception: _our_fault,
}
