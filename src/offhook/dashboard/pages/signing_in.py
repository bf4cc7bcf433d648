"""The way in, and out."""

from starlette.responses import Response

from offhook.accounts import Client, TooOften
from offhook.dashboard.shell import redirect, render
from offhook.dashboard.visitors import Visit, cookie_name, hand_over, sign_in_url, take_back, way_back

_WRONG = "That email address and password do not belong together."


async def first_page(visit: Visit) -> Response:
    return redirect("/calls" if visit.found else sign_in_url(visit.request))


async def login(visit: Visit) -> Response:
    back = visit.request.query_params.get("next", "")
    return redirect(way_back(back)) if visit.found else _form(visit, back)


async def sign_in(visit: Visit) -> Response:
    form = await visit.form()
    email, settings = form["email"], visit.deps.settings
    try:
        token = await visit.deps.accounts.sign_in(email, form["password"], client_of(visit))
    except TooOften as error:
        answer = _form(visit, form["next"], email, error.message, status=error.status)
        answer.headers["Retry-After"] = str(max(1, round(error.wait_s)))
        return answer
    if token is None:
        return _form(visit, form["next"], email, _WRONG, status=401)
    return hand_over(redirect(way_back(form["next"])), token, settings)


async def sign_out(visit: Visit) -> Response:
    token = visit.request.cookies.get(cookie_name(visit.deps.settings))
    if token:
        await visit.deps.accounts.sign_out(token)
    return take_back(redirect("/login"), visit.deps.settings)


def client_of(visit: Visit) -> Client:
    return Client(visit.address, visit.request.headers.get("user-agent", ""))


def _form(visit: Visit, back: str, email: str = "", trouble: str = "", *, status: int = 200) -> Response:
    return render(visit, "login.html", status=status, back=back, email=email, trouble=trouble)
