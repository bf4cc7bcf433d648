"""One person: what happened, who they are, and what the agent will be told the next time they call."""

from typing import Any

from starlette.responses import Response

from offhook.dashboard import contact_forms, timeline
from offhook.dashboard.shell import Flash, page, redirect
from offhook.dashboard.visitors import Visit
from offhook.errors import NotFound
from offhook.store import contact_pages, contacts, merging
from offhook.store.contacts import Contact

_ONE_LOOK_S = 600.0
_LINES = 50
_FLASHES = {
    "added": Flash("The contact is added."),
    "saved": Flash("The changes are saved."),
    "merged": Flash("The two are one contact now."),
    "moved": Flash("That contact was merged into this one.", "info"),
    "noted": Flash("The note is saved."),
    "removed": Flash("The note is removed."),
}


async def contact(visit: Visit) -> Response:
    return await show(visit)


async def show(
    visit: Visit, *, typed: contact_forms.Typed | None = None, wrong: str = "", status: int = 200
) -> Response:
    """*typed*: an edit that could not be saved, and why (*wrong*)."""
    id = visit.param("contact_id")
    person = await visit.deps.database.read(contacts.get, visit.org_id, id)
    if person is None:
        return await _gone(visit, id)
    await visit.note("contact_read", "contact", id, once_in_s=_ONE_LOOK_S)
    before = _before(visit.request.query_params.get("before", ""))
    history = await visit.deps.database.read(
        contact_pages.history, visit.org_id, id, before=before or 1e12, limit=_LINES + 1
    )
    lines, older = timeline.lines_of(history, _LINES)
    return await page(
        visit,
        "contact.html",
        status=status,
        flash=Flash(wrong, "bad") if wrong else _FLASHES.get(visit.request.query_params.get("said", "")),
        person=person,
        name=person.name or "",
        number=person.numbers[0] if person.numbers else None,
        lines=lines,
        older=None if older is None else f"/contacts/{id}?before={older!r}",
        is_first=before is None,
        typed=typed or _as_typed(person),
        is_editing=typed is not None,
        **await _next_time(visit, person),
    )


async def _next_time(visit: Visit, person: Contact) -> dict[str, Any]:
    """What the answer to the agent's request would hold if they rang now: the very code that answers it."""
    agent_id = await visit.deps.database.read(contact_pages.latest_agent, visit.org_id, person.id)
    caller = person.numbers[0] if person.numbers else None
    told = await visit.deps.personalization.preview(
        visit.org_id, caller=caller, user_id=person.external_id, agent_id=agent_id
    )
    agent = visit.deps.directory.agent_name(visit.org_id, agent_id) or agent_id
    return {"told": [(name, _value(value)) for name, value in told.items()], "agent": agent}


def _value(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


async def _gone(visit: Visit, id: str) -> Response:
    """Merged into another, erased, or never there."""
    kept = await visit.deps.database.read(merging.kept_of, visit.org_id, id)
    if kept is not None:
        return redirect(f"/contacts/{kept}?said=moved")
    erased = await visit.deps.database.read(contact_pages.erasure, visit.org_id, id)
    if erased is None:
        raise NotFound("There is no such contact.")
    return await page(visit, "contact_erased.html", status=410, erased=erased)


def _as_typed(person: Contact) -> contact_forms.Typed:
    return contact_forms.Typed(
        person.first_name or "", person.last_name or "", "\n".join(person.numbers), "\n".join(person.emails),
        person.external_id or "", person.is_opted_out,
    )  # fmt: skip


def _before(typed: str) -> float | None:
    try:
        at = float(typed)
    except ValueError:
        return None
    return at if 0 < at < 1e12 else None
