"""Calls: the list, one call, and the way to its recording."""

from typing import Annotated

from fastapi import Query, Request
from pydantic import BaseModel, Field

from offhook import recordings
from offhook.api import shapes
from offhook.api.access import Here, Reader
from offhook.api.queries import CallId, FilterId, Moment, Nothing, Page, Words, unix
from offhook.api.shapes import Json
from offhook.deps import Deps
from offhook.errors import NotFound
from offhook.store import calls, statistics
from offhook.voice.contract import CallStatus, Direction


class History(Page):
    contact_id: FilterId | Nothing = Field(None, alias="contactId", description="Of this contact only.")
    status: CallStatus | Nothing = Field(None, description="In this state only.")
    direction: Direction | Nothing = None
    agent_id: Words | Nothing = Field(None, alias="agentId", description="Answered or placed by this agent only.")
    since: Moment | Nothing = Field(
        None, alias="from", description="Started then or later; without an offset in the organisation's time zone."
    )
    until: Moment | Nothing = Field(None, alias="to", description="Started before then.")
    q: Words | Nothing = Field(None, description="Words in the numbers, the agent, the title, the summary or the name.")


async def history(deps: Here, key: Reader, asked: Annotated[History, Query()]) -> Json:
    """The organisation's calls, newest first."""
    zone = _zone(deps, key.org_id)
    wanted = calls.CallFilter(
        contact_id=asked.contact_id,
        status=asked.status,
        direction=asked.direction,
        agent_id=asked.agent_id,
        since=unix(asked.since, zone, "from"),
        until=unix(asked.until, zone, "to"),
        words=asked.q,
    )
    page = await deps.database.read(calls.page, key.org_id, wanted, **asked.bounds)
    listed = [shapes.call(row, page.recordings.get(row.id, ())) for row in page.rows]
    return Json(shapes.CallList(calls=listed, total=page.total))


class Period(BaseModel):
    start_date: Moment | Nothing = Field(
        None, alias="startDate", description="Started then or later; without an offset in the organisation's time zone."
    )
    end_date: Moment | Nothing = Field(None, alias="endDate", description="Started before then.")


async def call_statistics(deps: Here, key: Reader, asked: Annotated[Period, Query()]) -> Json:
    """How many calls there were, of each status, and how long they lasted."""
    zone = _zone(deps, key.org_id)
    since, until = unix(asked.start_date, zone, "startDate"), unix(asked.end_date, zone, "endDate")
    tallies = await deps.database.read(statistics.by_status, key.org_id, since=since, until=until)
    return Json(shapes.StatisticsAnswer(statistics=shapes.statistics(tallies)))


async def one_call(deps: Here, key: Reader, call_id: CallId) -> Json:
    """One call with its transcript, analysis, notes, context and what the agent did."""
    whole = await deps.database.read(calls.whole, key.org_id, call_id)
    if whole is None:
        raise NotFound("There is no call with that id.")
    return Json(shapes.CallAnswer(call=shapes.call_detail(whole.row, whole.recordings, whole.notes, whole.tool_uses)))


async def recording(deps: Here, key: Reader, call_id: CallId, request: Request) -> Json:
    """Where the recording of the call is heard (an address that opens without a key for an hour), and what was said."""
    row, kept = await deps.database.read(calls.heard, key.org_id, call_id)
    if row is None:
        raise NotFound("There is no call with that id.")
    if kept is None:
        raise NotFound("There is no recording of this call.")
    return Json(shapes.recording_answer(row, kept, _audio_url(deps, call_id, request)))


def _audio_url(deps: Deps, call_id: str, request: Request) -> str:
    query = recordings.link_query(deps.keys, call_id, deps.now())
    base = deps.settings.public_url or str(request.base_url).rstrip("/")
    return f"{base}/api/calls/{call_id}/audio?expires={query['expires']}&signature={query['signature']}"


def _zone(deps: Deps, org_id: str) -> str:
    organization = deps.directory.organization(org_id)
    return organization.timezone if organization else "UTC"
