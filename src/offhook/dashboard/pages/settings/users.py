"""Who uses the dashboard, as what: invited by a link, given another role, taken out."""

import sqlalchemy as sa
from starlette.responses import Response

from offhook.accounts import members
from offhook.accounts.joining import PATHS
from offhook.accounts.sign_ins import new_token
from offhook.dashboard.pages.settings.filled import UNUSABLE, Filled, read_filled
from offhook.dashboard.pages.settings.section import done, show
from offhook.dashboard.shell import Flash, redirect
from offhook.dashboard.visitors import Visit
from offhook.errors import BadInput, Conflict, NotFound
from offhook.roles import ROLES, Role
from offhook.store import invitations, users
from offhook.store.audit import Entry
from offhook.store.users import User
from offhook.typed import an_email

_URL = "/settings/users"
#: What each role is, to whoever chooses.
ABOUT: dict[Role, str] = {
    "owner": "everything",
    "manager": "everything but users, secrets, keys, erasure and the audit log",
    "agent": "calls, contacts and follow-ups",
    "auditor": "reads everything and the audit log, changes nothing",
}


async def list_users(visit: Visit) -> Response:
    return await _show(visit)


async def invite(visit: Visit) -> Response:
    """The link is in this answer, and never again."""
    filled = read_filled(await visit.form(), {"email": lambda text: an_email(text.strip()), "role": _role})
    token = new_token()
    if filled.is_usable:
        by = visit.entry("user_invited")
        try:
            await visit.deps.database.write(members.invite, by, visit.org_id, token, **filled.values)
        except UNUSABLE as error:
            filled.why["email"] = error.message
    if not filled.is_usable:
        return await _show(visit, filled=filled, status=400)
    base = visit.deps.settings.public_url or str(visit.request.base_url).rstrip("/")
    return await _show(visit, invited=filled.typed["email"].strip(), link=f"{base}{PATHS['invitation']}/{token}")


async def withdraw(visit: Visit) -> Response:
    by = visit.entry("invitation_withdrawn")
    if await visit.deps.database.write(members.withdraw, by, visit.org_id, visit.param("invitation_id")) is None:
        raise NotFound("That invitation was followed or withdrawn already.")
    return done(_URL, "withdrawn")


async def change_role(visit: Visit) -> Response:
    try:
        role = _role((await visit.form())["role"])
        await visit.deps.database.write(_set_role, visit.entry("role_changed"), visit.org_id, _user_id(visit), role)
    except UNUSABLE as error:
        return await _show(visit, flash=Flash(error.message, "bad"), status=409)
    return _after(visit, "role")


async def remove(visit: Visit) -> Response:
    """Out at once: sessions that are open see nothing of the organisation any more."""
    try:
        await visit.deps.database.write(_remove, visit.entry("user_removed"), visit.org_id, _user_id(visit))
    except Conflict as error:
        return await _show(visit, flash=Flash(error.message, "bad"), status=409)
    return _after(visit, "removed")


def _set_role(tx: sa.Connection, by: Entry, org_id: str, user_id: str, role: Role) -> None:
    members.set_role(tx, by, org_id, _member(tx, org_id, user_id), role)


def _remove(tx: sa.Connection, by: Entry, org_id: str, user_id: str) -> None:
    members.remove(tx, by, org_id, _member(tx, org_id, user_id))


def _member(tx: sa.Connection, org_id: str, user_id: str) -> User:
    """NotFound also for a user of another organisation: nobody is made a member from here without having been asked."""
    user = users.by_id(tx, user_id)
    if user is None or users.role_of(tx, user_id, org_id) is None:
        raise NotFound("There is no such user in this organisation.")
    return user


def _user_id(visit: Visit) -> str:
    return visit.param("user_id")


def _after(visit: Visit, word: str) -> Response:
    """Whoever changed themselves may see this section no more."""
    return redirect("/calls") if _user_id(visit) == visit.viewer.user_id else done(_URL, word)


def _role(word: str) -> Role:
    for known in ROLES:
        if word == known:
            return known
    raise BadInput("Choose a role.")


async def _show(
    visit: Visit,
    *,
    filled: Filled | None = None,
    invited: str = "",
    link: str = "",
    flash: Flash | None = None,
    status: int = 200,
) -> Response:
    read = visit.deps.database.read
    return await show(
        visit, _URL, "users.html", status=status, flash=flash,
        filled=filled or Filled({"email": "", "role": "agent"}), invited=invited, link=link,
        members=await read(users.members, visit.org_id), about=ABOUT,
        waiting=await read(invitations.open_ones, visit.org_id, visit.deps.now()),
    )  # fmt: skip
