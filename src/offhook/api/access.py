"""Who asks, and what their key allows. Every door that refuses a key says the same word, whatever was wrong with it."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from offhook.credentials import Scope
from offhook.deps import Deps
from offhook.directory import ApiKey, Directory
from offhook.errors import Forbidden, Unauthorized

_bearer = HTTPBearer(
    scheme_name="apiKey",
    description="An organisation's API key (`ohk_...`); its scopes are read, write and admin.",
    auto_error=False,
)
Presented = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


async def _deps(request: Request) -> Deps:
    deps: Deps = request.app.state.deps
    return deps


Here = Annotated[Deps, Depends(_deps)]


async def key_of(directory: Directory, presented: HTTPAuthorizationCredentials | None) -> ApiKey:
    """The key that was presented; Unauthorized when it is none, Unavailable when only the silent database could know it."""
    if presented is None:
        raise Unauthorized
    token = presented.credentials
    key = directory.api_key(token)
    if key is None and await directory.refresh():  # a key that a command made a moment ago is valid at once
        key = directory.api_key(token)
    if key is None:
        raise Unauthorized
    return key


def require(key: ApiKey, scope: Scope) -> ApiKey:
    if scope not in key.scopes:
        raise Forbidden(f"This API key does not have the scope {scope}.")
    return key


def _with(scope: Scope) -> Callable[[Deps, HTTPAuthorizationCredentials | None], Awaitable[ApiKey]]:
    async def holder(deps: Here, presented: Presented) -> ApiKey:
        return require(await key_of(deps.directory, presented), scope)

    return holder


Reader = Annotated[ApiKey, Depends(_with("read"))]
Writer = Annotated[ApiKey, Depends(_with("write"))]
Admin = Annotated[ApiKey, Depends(_with("admin"))]
