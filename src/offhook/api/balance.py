"""What ElevenLabs knows against what is here, day by day, and why what is absent is."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Query
from pydantic import Field

from offhook.api import shapes
from offhook.api.access import Here, Reader
from offhook.api.queries import Moment, Nothing, Page, unix
from offhook.api.shapes import Json
from offhook.store import balances, workspaces


class Days(Page):
    since: Moment | Nothing = Field(None, alias="from", description="Calls that began on this day (UTC) or later.")
    until: Moment | Nothing = Field(None, alias="to", description="Calls that began before then.")


async def balance(deps: Here, key: Reader, asked: Annotated[Days, Query()]) -> Json:
    """The organisation's balance of each day, newest first; all null and empty when it is not connected to ElevenLabs."""
    since, until = unix(asked.since, "UTC", "from"), unix(asked.until, "UTC", "to")
    standing = await deps.database.read(workspaces.reconciled, key.org_id) or workspaces.Reconciled()
    days, total = await deps.database.read(
        balances.page, key.org_id, since=_day(since), until=_last_day(until), **asked.bounds
    )
    absent = await deps.database.read(balances.absences_of, key.org_id, since=since, until=until)
    return Json(shapes.balance(days, total, absent, standing, key.org_id))


def _day(at: float | None) -> str | None:
    return None if at is None else f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d}"


def _last_day(until: float | None) -> str | None:
    """The day of the last instant before *until*."""
    return None if until is None else _day(until - 0.001)
