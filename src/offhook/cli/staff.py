"""offhook staff: the people to whom an agent may hand a call over."""

import time
from typing import Annotated, Any

import sqlalchemy as sa
from cyclopts import Parameter

from offhook.cli.group import group
from offhook.cli.installation import installation
from offhook.cli.org import Org
from offhook.cli.terminal import Json, iso, print_json, print_table
from offhook.errors import Mistake
from offhook.store import organizations, staff
from offhook.typed import a_name, a_number

_MOST = 10_000  #: listed

Who = Annotated[str, Parameter(name="WHO", help="An id, or a name where only one has it.")]
Phone = Annotated[str | None, Parameter(help="In E.164, or as dialled in the organisation's country.")]
Online = Annotated[bool | None, Parameter(help="Whether they are at work.")]
Available = Annotated[bool | None, Parameter(help="Whether they take calls just now.")]

app = group("staff")


@app.command(
    help_epilogue="""\
Examples:
  offhook staff add Acme "Sam Lee" --phone +14165550123
  offhook staff add Acme "Sam Lee" --no-available

Agents see at once who is there, and put callers through to them.
"""
)
async def add(
    org: Org,
    name: Annotated[str, Parameter(name="NAME", help="An agent may say the name to callers.")],
    /,
    *,
    phone: Phone = None,
    online: Online = True,
    available: Available = True,
    json: Json = False,
) -> None:
    """Add somebody, online and available unless you say otherwise."""
    called = a_name(name, "the person")
    async with installation() as here:
        found = await here.database.read(organizations.find, org)
        row = await here.database.write(
            staff.add,
            found.id,
            name=called,
            number=None if phone is None else a_number(phone, found.country),
            is_online=online is not False,
            is_available=available is not False,
            now=time.time(),
        )
    _show(row, as_json=json)


@app.command(name="list", help_epilogue="Example:\n  offhook staff list Acme --json\n")
async def list_(org: Org, /, *, json: Json = False) -> None:
    """List them, the newest first."""
    async with installation() as here:
        found = await here.database.read(organizations.find, org)
        rows, _ = await here.database.read(staff.page, found.id, limit=_MOST, offset=0)
    if json:
        print_json([_facts(row) for row in rows])
    else:
        _print(rows)


@app.command(
    name="set",
    help_epilogue="""\
Examples:
  offhook staff set Acme "Sam Lee" --no-available
  offhook staff set Acme "Sam Lee" --online --available --phone +14165550124
""",
)
async def set_(
    org: Org,
    who: Who,
    /,
    *,
    name: Annotated[str | None, Parameter(help="What they are called now.")] = None,
    phone: Phone = None,
    online: Online = None,
    available: Available = None,
    json: Json = False,
) -> None:
    """Change somebody, or say whether they are there."""
    async with installation() as here:
        found = await here.database.read(organizations.find, org)
        facts = {
            "name": None if name is None else a_name(name, "the person"),
            "number": None if phone is None else a_number(phone, found.country),
            "is_online": online,
            "is_available": available,
        }
        said = {column: value for column, value in facts.items() if value is not None}
        if not said:
            raise Mistake("Say what to change: --name, --phone, --[no-]online or --[no-]available.")
        row = await here.database.write(_change, found.id, who, said, time.time())
    _show(row, as_json=json)


@app.command(help_epilogue='Example:\n  offhook staff remove Acme "Sam Lee"\n')
async def remove(org: Org, who: Who, /, *, json: Json = False) -> None:
    """Take somebody off the list."""
    async with installation() as here:
        found = await here.database.read(organizations.find, org)
        row = await here.database.write(_remove, found.id, who)
    if json:
        print_json(_facts(row))
    else:
        print(f"{row.name} is no longer on the list of {found.name}.")


def _change(tx: sa.Connection, org_id: str, who: str, facts: dict[str, Any], now: float) -> sa.Row[Any]:
    changed = staff.change(tx, org_id, staff.find(tx, org_id, who).id, facts, now)
    assert changed is not None  # it was found in this transaction
    return changed


def _remove(tx: sa.Connection, org_id: str, who: str) -> sa.Row[Any]:
    row = staff.find(tx, org_id, who)
    staff.remove(tx, org_id, row.id)
    return row


def _show(row: sa.Row[Any], *, as_json: bool) -> None:
    if as_json:
        print_json(_facts(row))
    else:
        _print([row])


def _print(rows: Any) -> None:
    print_table(
        ("id", "name", "phone", "online", "available"),
        ((row.id, row.name, row.number, _word(row.is_online), _word(row.is_available)) for row in rows),
    )


def _word(is_so: bool) -> str:
    return "yes" if is_so else "no"


def _facts(row: sa.Row[Any]) -> dict[str, Any]:
    return {
        "id": row.id,
        "org_id": row.org_id,
        "name": row.name,
        "phone": row.number,
        "is_online": row.is_online,
        "is_available": row.is_available,
        "created_at": iso(row.created_at),
        "updated_at": iso(row.updated_at),
    }
