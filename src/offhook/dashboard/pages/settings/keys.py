"""API keys, one for each program: made with scopes and shown once, listed with their last use, closed."""

from typing import get_args

from starlette.responses import Response

from offhook.credentials import Scope, new_secret
from offhook.dashboard.forms import Form
from offhook.dashboard.pages.settings.filled import UNUSABLE, Filled, read_filled
from offhook.dashboard.pages.settings.section import done, noted, show
from offhook.dashboard.visitors import Visit
from offhook.errors import Mistake, NotFound
from offhook.store import organizations
from offhook.typed import a_name

_URL = "/settings/keys"
#: What each scope is, to whoever chooses.
SCOPES: dict[Scope, str] = {
    "read": "calls, contacts, recordings and all else that there is",
    "write": "change contacts, notes, texts and variables",
    "admin": "add and remove staff, see what was refused at the doors",
}


async def keys(visit: Visit) -> Response:
    return await _show(visit)


async def make_key(visit: Visit) -> Response:
    """The key is in this answer, and never again."""
    form = await visit.form()
    filled = read_filled(form, {"label": lambda text: a_name(text, "the key")})
    scopes = _scopes(form)
    if not scopes:
        filled.why["scopes"] = "Choose at least one."
    made = new_secret("api_key")
    if filled.is_usable:
        label = filled.values["label"]
        entry = visit.entry("key_created", "key", None, {"label": label, "scopes": " ".join(scopes)})
        try:
            await noted(
                visit, entry, organizations.add_api_key, visit.deps.keys, visit.org_id, made,
                label=label, scopes=scopes, now=visit.deps.now(),
            )  # fmt: skip
        except UNUSABLE as error:
            filled.why["label"] = error.message
    if not filled.is_usable:
        return await _show(visit, filled=filled, scopes=scopes, status=400)
    return await _show(visit, made=made, label=filled.values["label"])


async def revoke(visit: Visit) -> Response:
    """At once: the next request with it is refused."""
    id = visit.param("key_id")
    valid = await visit.deps.database.read(organizations.api_keys_of, visit.org_id, visit.deps.now())
    label = next((one.label for one in valid if one.id == id), None)
    if label is None:
        raise NotFound("There is no key with that id, or it is closed already.")
    entry = visit.entry("key_revoked", "key", id, {"label": label})
    try:
        await noted(visit, entry, organizations.revoke_api_key, visit.org_id, id, visit.deps.now())
    except Mistake:
        raise NotFound("There is no key with that id, or it is closed already.") from None
    return done(_URL, "revoked")


def _scopes(form: Form) -> list[Scope]:
    """In their usual order."""
    known: tuple[Scope, ...] = get_args(Scope)
    return [scope for scope in known if scope in form.all("scope")]


async def _show(
    visit: Visit,
    *,
    filled: Filled | None = None,
    scopes: list[Scope] | None = None,
    made: str = "",
    label: str = "",
    status: int = 200,
) -> Response:
    rows = await visit.deps.database.read(organizations.api_keys_of, visit.org_id, visit.deps.now())
    return await show(
        visit, _URL, "keys.html", status=status, rows=rows, filled=filled or Filled({"label": ""}), about=SCOPES,
        chosen=["read"] if scopes is None else scopes, made=made, label=label,
    )  # fmt: skip
