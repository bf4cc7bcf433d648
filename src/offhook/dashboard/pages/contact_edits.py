"""What can be done about one person: notes, corrections, two that are one, and erasure."""

import sqlalchemy as sa
from starlette.responses import Response

from offhook import phone
from offhook.dashboard import contact_forms
from offhook.dashboard.forms import LONG_FORM_BYTES, note_in
from offhook.dashboard.pages.contact import show
from offhook.dashboard.shell import page, redirect
from offhook.dashboard.visitors import Visit
from offhook.errors import BadInput, Conflict, NotFound
from offhook.store import audit, contacts, merging, notes
from offhook.store.contacts import Changes, Contact

_MOST_FOUND = 20


async def edit(visit: Visit) -> Response:
    """What cannot be saved is shown again as it was typed, with the reason."""
    id, typed = visit.param("contact_id"), contact_forms.typed_in(await visit.form())
    try:
        given = contact_forms.read(typed, visit.deps.directory.country_of(visit.org_id))
        changes = Changes(
            first_name=given.first_name, last_name=given.last_name, numbers=given.numbers, emails=given.emails,
            external_id=given.external_id, is_opted_out=typed.is_opted_out,
        )  # fmt: skip
        person = await visit.deps.database.write(contacts.update, visit.org_id, id, changes, now=visit.deps.now())
    except (BadInput, Conflict) as error:
        return await show(visit, typed=typed, wrong=error.message, status=error.status)
    if person is None:
        raise NotFound("There is no such contact.")
    return redirect(f"/contacts/{id}?said=saved")


async def add_note(visit: Visit) -> Response:
    id, text = visit.param("contact_id"), note_in(await visit.form(limit_bytes=LONG_FORM_BYTES))
    await visit.deps.database.write(
        notes.add, visit.org_id, contact_id=id, call_id=None, note=text, now=visit.deps.now()
    )
    return redirect(f"/contacts/{id}?said=noted")


async def change_note(visit: Visit) -> Response:
    """The form's button says whether the note is kept or removed."""
    id, note_id, form = visit.param("contact_id"), visit.param("note_id"), await visit.form(limit_bytes=LONG_FORM_BYTES)
    if "remove" in form:
        await visit.deps.database.write(notes.remove, visit.org_id, note_id)
        return redirect(f"/contacts/{id}?said=removed")
    await visit.deps.database.write(notes.change, visit.org_id, note_id, note_in(form), visit.deps.now())
    return redirect(f"/contacts/{id}?said=noted")


# Two that are one


async def choose_other(visit: Visit) -> Response:
    """Whom to merge with: people found by name, number or email, each with a button."""
    id, search = visit.param("contact_id"), visit.request.query_params.get("q", "")[:200]
    kept = await _must_be(visit, id)
    number = phone.e164(search, visit.deps.directory.country_of(visit.org_id)) if search.strip() else None
    found = await visit.deps.database.read(_others, visit.org_id, id, search, number)
    return await page(visit, "contact_merge.html", kept=kept, others=found, search=search)


def _others(tx: sa.Connection, org_id: str, id: str, search: str, number: str | None) -> list[Contact]:
    if not search.strip():
        return []
    owner = contacts.find_by_number(tx, org_id, number) if number else None
    found = [owner] if owner else contacts.page(tx, org_id, search=search, size=_MOST_FOUND)[0]
    return [one for one in found if one.id != id]


async def merge(visit: Visit) -> Response:
    id, other_id = visit.param("contact_id"), (await visit.form())["other"]
    await visit.deps.database.write(_merge, visit, id, other_id)
    return redirect(f"/contacts/{id}?said=merged")


def _merge(tx: sa.Connection, visit: Visit, id: str, other_id: str) -> None:
    merging.merge(tx, visit.org_id, id, other_id, now=visit.deps.now())
    audit.add(tx, visit.entry("contacts_merged", "contact", id, {"other": other_id}))


# Erasure


async def erase(visit: Visit) -> Response:
    id, form = visit.param("contact_id"), await visit.form()
    if not form["sure"]:
        raise BadInput("Tick the box to say that this contact shall be erased. Nothing was changed.")
    await visit.deps.database.write(_erase, visit, id)
    return redirect(f"/contacts/{id}")


def _erase(tx: sa.Connection, visit: Visit, id: str) -> None:
    if not contacts.delete(tx, visit.org_id, id):
        raise NotFound("There is no such contact.")
    audit.add(tx, visit.entry("person_erased", "contact", id))


async def _must_be(visit: Visit, id: str) -> Contact:
    person = await visit.deps.database.read(contacts.get, visit.org_id, id)
    if person is None:
        raise NotFound("There is no such contact.")
    return person
