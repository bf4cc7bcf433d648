"""One's own account: password, where one is signed in, and which organisation one looks at."""

from starlette.responses import Response

from offhook.accounts.sign_ins import TooOften
from offhook.dashboard.shell import Flash, page, redirect
from offhook.dashboard.visitors import Visit, client_of, hand_over
from offhook.errors import BadInput, Mistake, NotFound
from offhook.store import sessions


async def account(visit: Visit) -> Response:
    saved = "password" in visit.request.query_params
    return await _show(visit, flash=Flash("The password is changed. Every other session has ended.") if saved else None)


async def change_password(visit: Visit) -> Response:
    form, viewer = await visit.form(), visit.viewer
    try:
        token = await visit.deps.sign_ins.change_password(
            viewer.user_id, form["old"], form["new"], client_of(visit), stay=viewer.token_hash
        )
    except (Mistake, BadInput, TooOften) as error:
        return await _show(visit, trouble=error.message, status=400)
    return hand_over(redirect("/account?password=changed"), token, visit.deps.settings)


async def sign_out_elsewhere(visit: Visit) -> Response:
    await visit.deps.database.write(sessions.end_all, visit.viewer.user_id, but=visit.viewer.token_hash)
    return redirect("/account")


async def switch(visit: Visit) -> Response:
    """Look at another of one's organisations, from its list of calls: what is open belongs to the one before."""
    wanted = (await visit.form())["org"]
    if wanted not in {one.org_id for one in visit.viewer.orgs}:
        raise NotFound("You belong to no such organisation.")
    await visit.deps.database.write(sessions.switch, visit.viewer.token_hash, wanted)
    return redirect("/calls")


async def _show(visit: Visit, *, trouble: str = "", status: int = 200, flash: Flash | None = None) -> Response:
    signed_in = await visit.deps.database.read(sessions.of_user, visit.viewer.user_id, visit.deps.now())
    return await page(visit, "account.html", status=status, sessions=signed_in, trouble=trouble, flash=flash)
