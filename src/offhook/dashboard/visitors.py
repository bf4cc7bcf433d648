"""Who is looking: the session's cookie becomes a Viewer, and whoever may not see a page does not get to it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

from starlette.requests import Request
from starlette.responses import Response

from offhook.accounts.sign_ins import Client
from offhook.credentials import hash_of
from offhook.dashboard.forms import LONGEST_FORM_BYTES, Form, read_form
from offhook.dashboard.same_origin import SAFE_METHODS, is_ours
from offhook.deps import Deps
from offhook.errors import Forbidden, NotFound
from offhook.roles import Right, Role, may
from offhook.settings import Settings
from offhook.store import audit, sessions
from offhook.store.sessions import Membership, Session

_SEEN_EVERY_S = 60.0  #: how exactly is kept when somebody was seen last: not every page is worth a write
_LONGEST_RETURN = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """Somebody who is signed in, and the organisation that they look at."""

    user_id: str
    name: str
    email: str
    org_id: str  #: "" for somebody who belongs to none: only pages of the right "member" are open to them
    role: Role | None  #: in that organisation; None like ""
    orgs: tuple[Membership, ...]  #: all of theirs, by name
    token_hash: str  #: of this session

    def may(self, right: Right) -> bool:
        return may(self.role, right)

    @property
    def org_name(self) -> str:
        return next((one.name for one in self.orgs if one.org_id == self.org_id), "")


@dataclass(frozen=True, slots=True)
class Visit:
    """One request to a page, with whoever makes it."""

    request: Request
    found: Viewer | None = field(repr=False)  #: None on pages that need no sign-in, to somebody who has not signed in

    @property
    def deps(self) -> Deps:
        deps: Deps = self.request.app.state.deps
        return deps

    @property
    def viewer(self) -> Viewer:
        """On every page but those of the right "anyone"."""
        assert self.found is not None
        return self.found

    @property
    def org_id(self) -> str:
        return self.viewer.org_id

    @property
    def address(self) -> str:
        """Where the request comes from, behind trusted proxies."""
        address: str = self.request.app.state.address_of(self.request)
        return address

    def param(self, name: str) -> str:
        """A piece of the path, such as the call_id of /calls/{call_id}."""
        return str(self.request.path_params[name])

    async def form(self, *, limit_bytes: int = LONGEST_FORM_BYTES) -> Form:
        return await read_form(self.request, limit_bytes=limit_bytes)

    async def note(
        self,
        action: str,
        object_kind: str | None = None,
        object_id: str | None = None,
        details: dict[str, Any] | None = None,
        *,
        once_in_s: float | None = None,
    ) -> None:
        """Write into the audit log, before the answer: what cannot be noted is not shown.

        *once_in_s*: not again so soon for the same person and object.
        """
        entry = self.entry(action, object_kind, object_id, details)
        if once_in_s is None:
            await self.deps.database.write(audit.add, entry)
        else:
            await self.deps.database.write(audit.add_once_in, entry, once_in_s)

    def entry(
        self,
        action: str,
        object_kind: str | None = None,
        object_id: str | None = None,
        details: dict[str, Any] | None = None,
    ) -> audit.Entry:
        """The same to be written by `store.audit.add`, in the transaction of what it is about."""
        return audit.Entry(
            at=self.deps.now(),
            org_id=self.viewer.org_id or None,
            user_id=self.viewer.user_id,
            who=self.viewer.email,
            action=action,
            object_kind=object_kind,
            object_id=object_id,
            details=details,
            address=self.address,
        )


Endpoint = Callable[[Visit], Awaitable[Response]]


class Page(NamedTuple):
    """A row of the dashboard's table."""

    method: str
    path: str
    endpoint: Endpoint
    right: Right
    keeps_awake: bool = True  #: False: a page asks by itself, which is no sign of life of its reader


class SignInFirst(Exception):
    """Nobody is signed in."""


async def arrive(request: Request, page: Page) -> Visit:
    """The visit; SignInFirst, or Forbidden when the role is too small or the request is not from a page of ours."""
    deps: Deps = request.app.state.deps
    _without_nul(request)
    if not is_ours(request.method, request.headers, deps.settings.public_url):
        raise Forbidden("This was sent from another site. Open the page here, and try again.")
    viewer = await find_viewer(request, deps, keeps_awake=page.keeps_awake)
    if page.right != "anyone":
        if viewer is None:
            raise SignInFirst
        if not viewer.may(page.right):
            raise Forbidden(_too_small(viewer))
    return Visit(request, viewer)


def _without_nul(request: Request) -> None:
    """PostgreSQL takes none, so no path with one leads anywhere, and nothing that is searched has one."""
    if "\0" in request.scope["path"]:
        raise NotFound("There is no such page.")
    query: bytes = request.scope["query_string"]
    request.scope["query_string"] = query.replace(b"%00", b"+")  # taken out, "%0%000" would make one


async def find_viewer(request: Request, deps: Deps, *, keeps_awake: bool = True) -> Viewer | None:
    """Whose session the request's cookie names. A page that stays open asks again now and then, as it may have ended."""
    token = request.cookies.get(cookie_name(deps.settings))
    if not token:
        return None
    now = deps.now()
    session = await deps.database.read(sessions.find, hash_of(token), now)
    if session is not None and keeps_awake and now - session.seen_at > _SEEN_EVERY_S:
        idle_until = now + deps.settings.session_idle_hours * 3600
        await deps.database.write(sessions.keep_awake, session.token_hash, now, idle_until)
    return None if session is None else _viewer(session)


def cookie_name(settings: Settings) -> str:
    """With __Host- where it can be had: no neighbour on the domain can then plant one.

    https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/Set-Cookie, read 2026-11.
    """
    return "__Host-offhook" if is_secure(settings) else "offhook"


def is_secure(settings: Settings) -> bool:
    return settings.public_url.startswith("https://")


def hand_over(response: Response, token: str, settings: Settings) -> Response:
    """*response*, which gives the browser its session."""
    response.set_cookie(
        cookie_name(settings),
        token,
        max_age=settings.session_days * 86_400,
        path="/",
        secure=is_secure(settings),
        httponly=True,
        samesite="lax",
    )
    return response


def take_back(response: Response, settings: Settings) -> Response:
    response.delete_cookie(cookie_name(settings), path="/", secure=is_secure(settings), httponly=True, samesite="lax")
    return response


def client_of(visit: Visit) -> Client:
    return Client(visit.address, visit.request.headers.get("user-agent", ""))


def sign_in_url(request: Request) -> str:
    """Where to sign in and come back from; of a form that was sent only the way back to nothing in particular."""
    if request.method not in SAFE_METHODS:
        return "/login"
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return "/login" if wanted == "/" else f"/login?next={quote(wanted, safe='/')}"


def way_back(wanted: str) -> str:
    """*wanted* when it leads to a page of ours, else the first page. A browser reads \\ as / and drops tabs and line ends."""
    is_relative = wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and len(wanted) <= _LONGEST_RETURN
    if not is_relative or "\\" in wanted or any(ord(sign) < 0x21 or ord(sign) == 0x7F for sign in wanted):
        return "/calls"
    there = urlsplit(wanted)
    return "/calls" if there.scheme or there.netloc or there.path in ("/login", "/") else wanted


def _viewer(session: Session) -> Viewer:
    orgs = session.memberships
    here = next((one for one in orgs if one.org_id == session.org_id), orgs[0] if orgs else None)
    return Viewer(
        user_id=session.user_id,
        name=session.name,
        email=session.email,
        org_id=here.org_id if here else "",
        role=here.role if here else None,
        orgs=orgs,
        token_hash=session.token_hash,
    )


def _too_small(viewer: Viewer) -> str:
    if viewer.role is None:
        return "You belong to no organisation any more. Ask an owner for an invitation."
    return f"Your role in {viewer.org_name} ({viewer.role}) does not allow that. Ask an owner."


SEE_OTHER = HTTPStatus.SEE_OTHER  #: what a form that was sent is answered with
