"""The way in, and out."""

from starlette.responses import Response

from offhook.accounts.sign_ins import TooOften
from offhook.dashboard.shell import page, redirect
from offhook.dashboard.visitors import (
    Visit,
    client_of,
    cookie_name,
    hand_over,
    sign_in_url,
    take_back,
    way_back,
)  # fmt: skip

_WRONG = "That email address and password do not belong together."


async def first_page(visit: Visit) -> Response:
    return redirect("/calls" if visit.found else sign_in_url(visit.request))


async def login(visit: Visit) -> Response:
    back = visit.request.query_params.get("next", "")
    return redirect(way_back(back)) if visit.found else await _form(visit, back)


async def sign_in(visit: Visit) -> Response:
    form = await visit.form()
    email, settings = form["email"], visit.deps.settings
    try:
        token = await visit.deps.sign_ins.sign_in(email, form["password"], client_of(visit))
    except TooOften as error:
        answer = await _form(visit, form["next"], email, error.message, status=error.status)
        answer.headers["Retry-After"] = str(max(1, round(error.wait_s)))
        return answer
    if token is None:
        return await _form(visit, form["next"], email, _WRONG, status=401)
    return hand_over(redirect(way_back(form["next"])), token, settings)


async def sign_out(visit: Visit) -> Response:
    token = visit.request.cookies.get(cookie_name(visit.deps.settings))
    if token:
        await visit.deps.sign_ins.sign_out(token)
    return take_back(redirect("/login"), visit.deps.settings)


async def _form(visit: Visit, back: str, email: str = "", trouble: str = "", *, status: int = 200) -> Response:
    return await page(visit, "login.html", status=status, back=back, email=email, trouble=trouble)
