"""Contacts: everyone who has called, and the people who were added. Found by name, number or email."""

from starlette.responses import Response

from offhook import phone
from offhook.dashboard import contact_forms
from offhook.dashboard.asked import address, behind, place_of
from offhook.dashboard.shell import page, redirect
from offhook.dashboard.visitors import Visit
from offhook.errors import BadInput, Conflict
from offhook.store import contact_pages, contacts
from offhook.store.contact_pages import Place

PAGE_ROWS = 48
_LONGEST_SEARCH = 200
_NOTHING = contact_forms.Typed()


async def contact_list(visit: Visit) -> Response:
    return await _show(visit)


async def _show(visit: Visit, *, typed: contact_forms.Typed = _NOTHING, wrong: str = "", status: int = 200) -> Response:
    asked, read = visit.request.query_params, visit.deps.database.read
    search = " ".join(asked.get("q", "")[:_LONGEST_SEARCH].split())
    after = behind(asked, Place)
    number = phone.e164(search, visit.deps.directory.country_of(visit.org_id)) if search else None
    found = await read(contact_pages.page, visit.org_id, search=search, number=number, limit=PAGE_ROWS + 1, after=after)
    shown = found[:PAGE_ROWS]
    return await page(
        visit,
        "contacts.html",
        status=status,
        people=shown,
        last_calls=await read(contact_pages.last_calls, visit.org_id, [one.id for one in shown]),
        search=search,
        has_any=bool(shown) or await read(contact_pages.has_any, visit.org_id),
        is_first=after is None,
        newest=_address(search),
        older=_address(search, shown[-1]) if len(found) > PAGE_ROWS else None,
        typed=typed,
        wrong=wrong,
    )


async def add(visit: Visit) -> Response:
    """A new contact, then its page; what cannot be added is shown again with the reason."""
    typed = contact_forms.typed_in(await visit.form())
    try:
        given = contact_forms.read(typed, visit.deps.directory.country_of(visit.org_id))
        person = await visit.deps.database.write(
            contacts.create, visit.org_id, first_name=given.first_name, last_name=given.last_name,
            numbers=given.numbers, emails=given.emails, external_id=given.external_id, source="dashboard",
            now=visit.deps.now(),
        )  # fmt: skip
    except (BadInput, Conflict) as error:
        return await _show(visit, typed=typed, wrong=error.message, status=error.status)
    return redirect(f"/contacts/{person.id}?said=added")


def _address(search: str, last: contacts.Contact | None = None) -> str:
    return address("/contacts", {"q": search, "after": place_of(last.created_at, last.id) if last else ""})
