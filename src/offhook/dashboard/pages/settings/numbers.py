"""The telephone numbers that callers ring."""

import sqlalchemy as sa
from starlette.responses import Response

from offhook.dashboard.pages.settings.filled import Filled, optional, read_filled
from offhook.dashboard.pages.settings.section import changed, done, noted, show
from offhook.dashboard.visitors import Visit
from offhook.errors import Conflict, NotFound
from offhook.phone import country_of
from offhook.store import organizations
from offhook.typed import a_name, a_number

_URL = "/settings/numbers"


async def numbers(visit: Visit) -> Response:
    return await _show(visit, Filled({"number": "", "label": ""}))


async def add_number(visit: Visit) -> Response:
    country = visit.deps.directory.country_of(visit.org_id)
    readers = {
        "number": lambda text: a_number(text, country),
        "label": optional(lambda text: a_name(text, "the number")),
    }
    filled = read_filled(await visit.form(), readers)
    if filled.is_usable:
        try:
            await _add(visit, **filled.values)
        except Conflict as error:
            filled.why["number"] = error.message
    return done(_URL, "added") if filled.is_usable else await _show(visit, filled, status=400)


async def remove_number(visit: Visit) -> Response:
    number = (await visit.form())["number"]
    await noted(visit, changed(visit, "numbers", {"removed": number[:40]}), _remove, visit.org_id, number)
    return done(_URL, "removed")


async def _add(visit: Visit, number: str, label: str | None) -> None:
    entry = changed(visit, "numbers", {"added": number, "label": label})
    await noted(visit, entry, _add_own, visit.org_id, number, label, visit.deps.now())


def _add_own(tx: sa.Connection, org_id: str, number: str, label: str | None, now: float) -> None:
    """A number tells whose a call or a reply is: nobody takes another's from here."""
    if organizations.is_number_of_another(tx, org_id, number):
        raise Conflict(f"{number} is another organisation's here: whoever runs offhook can let you share it.")
    organizations.add_number(tx, org_id, number, label, now)


def _remove(tx: sa.Connection, org_id: str, number: str) -> None:
    if not organizations.remove_number(tx, org_id, number):
        raise NotFound("That is no number of this organisation.")


async def _show(visit: Visit, filled: Filled, *, status: int = 200) -> Response:
    known = await visit.deps.database.read(organizations.numbers_of, visit.org_id)
    rows = [(row, country_of(row.number)) for row in known]
    country = visit.deps.directory.country_of(visit.org_id)
    return await show(visit, _URL, "numbers.html", status=status, rows=rows, filled=filled, country=country)
