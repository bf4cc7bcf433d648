"""Staff: the people to whom an agent may hand a call over, and whether they are there."""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
import sqlalchemy as sa
from fastapi import Query, Request
from msgspec import UNSET, Meta, UnsetType
from starlette.responses import Response

from offhook import phone
from offhook.api import shapes
from offhook.api.access import Admin, Here, Reader, Writer
from offhook.api.bodies import read_body
from offhook.api.queries import Page, StaffId
from offhook.api.shapes import Json
from offhook.deps import Deps
from offhook.errors import BadInput, NotFound
from offhook.store import staff

_SAYS_SOMETHING = {"pattern": r"[^\s\x00]"}  # told, not checked: whoever sends spaces is told so in words
_Name = Annotated[str, Meta(min_length=1, max_length=200, extra_json_schema=_SAYS_SOMETHING)]
_Number = Annotated[str, Meta(description="In any spelling; kept in E.164.", examples=["+14165550123"])]

_COLUMNS = {"name": "name", "phone_number": "number", "is_online": "is_online", "is_available": "is_available"}


class NewColleague(msgspec.Struct, rename="camel", kw_only=True):
    """Who is added. Without a number nobody can be put through."""

    name: _Name
    phone_number: _Number | None = None
    is_online: bool = True
    is_available: bool = True


class ColleagueChanges(msgspec.Struct, rename="camel", kw_only=True):
    """What is changed: a field that is absent stays."""

    name: _Name | UnsetType = UNSET
    phone_number: _Number | UnsetType | None = UNSET
    is_online: bool | UnsetType = UNSET
    is_available: bool | UnsetType = UNSET


async def list_staff(deps: Here, key: Reader, asked: Annotated[Page, Query()]) -> Json:
    """The organisation's people, the newest first."""
    rows, total = await deps.database.read(staff.page, key.org_id, **asked.bounds)
    return Json(shapes.StaffList(data=[shapes.colleague(row) for row in rows], total=total))


async def one_colleague(deps: Here, key: Reader, staff_id: StaffId) -> Json:
    """One of them."""
    return _answer(await deps.database.read(staff.get, key.org_id, staff_id))


async def add_colleague(deps: Here, key: Admin, request: Request) -> Json:
    """Add somebody."""
    new = _row(deps, key.org_id, msgspec.structs.asdict(await read_body(request, NewColleague)))
    return _answer(await deps.database.write(staff.add, key.org_id, **new, now=deps.now()), 201)


async def change_colleague(deps: Here, key: Writer, staff_id: StaffId, request: Request) -> Json:
    """Change somebody, or say whether they are there."""
    asked = msgspec.structs.asdict(await read_body(request, ColleagueChanges))
    facts = _row(deps, key.org_id, {name: value for name, value in asked.items() if value is not UNSET})
    return _answer(await deps.database.write(staff.change, key.org_id, staff_id, facts, deps.now()))


async def remove_colleague(deps: Here, key: Admin, staff_id: StaffId) -> Response:
    """Take somebody off the list."""
    if not await deps.database.write(staff.remove, key.org_id, staff_id):
        raise NotFound("There is nobody with that id.")
    return Response(status_code=204)


def _answer(row: sa.Row[Any] | None, status: int = 200) -> Json:
    if row is None:
        raise NotFound("There is nobody with that id.")
    return Json(shapes.StaffAnswer(data=shapes.colleague(row)), status)


def _row(deps: Deps, org_id: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """*facts* as columns of store.tables.staff."""
    row = {_COLUMNS[name]: value for name, value in facts.items()}
    if "name" in row:
        row["name"] = _name(row["name"])
    if row.get("number") is not None:
        row["number"] = _number(deps, org_id, row["number"])
    return row


def _name(text: str) -> str:
    name = text.replace("\0", "").strip()
    if not name:
        raise BadInput("name cannot be used: it is empty.", details={"field": "name"})
    return name


def _number(deps: Deps, org_id: str, spelling: str) -> str:
    number = phone.e164(spelling, deps.directory.country_of(org_id))
    if number is None:
        raise BadInput(
            "phoneNumber is no telephone number; write it like +14165550123.", details={"field": "phoneNumber"}
        )
    return number
