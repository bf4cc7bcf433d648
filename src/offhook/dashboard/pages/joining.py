"""Getting in by a link: set-up, invitation, a new password. To look at one changes nothing; its form uses it."""

from collections.abc import Awaitable, Callable

from starlette.responses import Response

from offhook.accounts.joining import Newcomer
from offhook.dashboard.forms import Form
from offhook.dashboard.shell import page, redirect
from offhook.dashboard.visitors import Visit, client_of, hand_over
from offhook.errors import BadInput, Conflict, Mistake
from offhook.places import typed_timezone
from offhook.store.invitations import Kind

_LONGEST_NAME = 200


async def setup_form(visit: Visit) -> Response:
    return await _form(visit, "setup")


async def set_up(visit: Visit) -> Response:
    return await _follow(visit, "setup", _set_up)


async def invitation_form(visit: Visit) -> Response:
    return await _form(visit, "invitation")


async def accept(visit: Visit) -> Response:
    return await _follow(visit, "invitation", _accept)


async def password_form(visit: Visit) -> Response:
    return await _form(visit, "password")


async def renew(visit: Visit) -> Response:
    return await _follow(visit, "password", _renew)


async def _form(
    visit: Visit, kind: Kind, filled: Form | None = None, trouble: str = "", *, status: int = 200
) -> Response:
    asked = await visit.deps.joining.look(kind, visit.param("token"))
    return await page(visit, f"{kind}.html", status=status, asked=asked, filled=filled or Form(()), trouble=trouble)


async def _follow(visit: Visit, kind: Kind, use: Callable[[Visit, Form], Awaitable[str]]) -> Response:
    """Use the link; what cannot be used of its form is said above it."""
    form = await visit.form()
    try:
        session = await use(visit, form)
    except (Mistake, BadInput, Conflict) as error:
        return await _form(visit, kind, form, error.message, status=400)
    return hand_over(redirect("/calls"), session, visit.deps.settings)


async def _set_up(visit: Visit, form: Form) -> str:
    who = Newcomer(
        name=_name(form["name"], "Say what you are called."),
        password=form["password"],
        email=form["email"],
        organization=form["organization"].strip()[:_LONGEST_NAME],
        timezone=typed_timezone(form["timezone"] or "UTC"),
    )
    return await visit.deps.joining.set_up(visit.param("token"), who, client_of(visit))


async def _accept(visit: Visit, form: Form) -> str:
    asked = await visit.deps.joining.look("invitation", visit.param("token"))
    name = "" if asked.is_known else _name(form["name"], "Say what you are called.")
    who = Newcomer(name=name, password=form["password"])
    return await visit.deps.joining.accept(visit.param("token"), who, client_of(visit))


async def _renew(visit: Visit, form: Form) -> str:
    return await visit.deps.joining.renew(visit.param("token"), form["password"], client_of(visit))


def _name(text: str, otherwise: str) -> str:
    name = " ".join(text.split())
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise BadInput(otherwise)
    return name
