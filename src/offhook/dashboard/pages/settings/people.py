"""The people to whom an agent may hand a call over, and whether they are there."""

from typing import Any

import sqlalchemy as sa
from starlette.responses import Response

from offhook.dashboard.pages.settings.filled import Filled, Reader, optional, read_filled, ticked
from offhook.dashboard.pages.settings.section import done, noted, show
from offhook.dashboard.visitors import Visit
from offhook.errors import NotFound
from offhook.store import staff
from offhook.store.audit import Entry
from offhook.typed import a_name, a_number

_URL = "/settings/people"
_MOST = 1_000  #: shown
_EMPTY = Filled({"name": "", "number": "", "is_online": "1", "is_available": "1"})


async def people(visit: Visit) -> Response:
    return await _show(visit, _EMPTY)


async def add_person(visit: Visit) -> Response:
    filled = read_filled(await visit.form(), _fields(visit))
    if not filled.is_usable:
        return await _show(visit, filled, status=400)
    entry = _entry(visit, None, {"added": filled.values["name"]})
    await noted(visit, entry, staff.add, visit.org_id, **filled.values, now=visit.deps.now())
    return done(_URL, "added")


async def person(visit: Visit) -> Response:
    """One of them, to be changed."""
    row = await _found(visit)
    typed = {"name": row.name, "number": row.number or ""}
    typed |= {"is_online": "1" if row.is_online else "", "is_available": "1" if row.is_available else ""}
    return await show(visit, _URL, "person.html", row=row, filled=Filled(typed))


async def change_person(visit: Visit) -> Response:
    form = await visit.form()
    row = await _found(visit)
    fields = _fields(visit)
    if "only" in form:  # a button in the list, which changes this alone
        fields = {name: read for name, read in fields.items() if name == form["only"]}
    filled = read_filled(form, fields)
    if not filled.is_usable:
        return await show(visit, _URL, "person.html", status=400, row=row, filled=filled)
    facts = {name: value for name, value in filled.values.items() if getattr(row, name) != value}
    if facts:
        told = {name: _told(value) for name, value in facts.items()}
        await noted(visit, _entry(visit, row.id, told), staff.change, visit.org_id, row.id, facts, visit.deps.now())
    return done(_URL, "saved")


async def remove_person(visit: Visit) -> Response:
    row = await _found(visit)
    await noted(visit, _entry(visit, row.id, {"removed": row.name}), _remove, visit.org_id, row.id)
    return done(_URL, "removed")


def _remove(tx: sa.Connection, org_id: str, id: str) -> None:
    if not staff.remove(tx, org_id, id):
        raise NotFound("There is nobody with that id.")


def _told(value: Any) -> str:
    """Whether somebody is there is told with its value; of names and numbers only that they are others."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "changed"


def _fields(visit: Visit) -> dict[str, Reader]:
    country = visit.deps.directory.country_of(visit.org_id)
    return {
        "name": lambda text: a_name(text, "the person"),
        "number": optional(lambda text: a_number(text, country)),
        "is_online": ticked,
        "is_available": ticked,
    }


def _entry(visit: Visit, id: str | None, details: dict[str, Any]) -> Entry:
    return visit.entry("settings_changed", "colleague", id, details)


async def _found(visit: Visit) -> sa.Row[Any]:
    row = await visit.deps.database.read(staff.get, visit.org_id, visit.param("staff_id"))
    if row is None:
        raise NotFound("There is nobody with that id.")
    return row


async def _show(visit: Visit, filled: Filled, *, status: int = 200) -> Response:
    rows, total = await visit.deps.database.read(staff.page, visit.org_id, limit=_MOST, offset=0)
    return await show(visit, _URL, "people.html", status=status, rows=rows, total=total, filled=filled)
