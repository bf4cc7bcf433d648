"""All that a filter shows, understood again: asked first, done in the background, and what came of it."""

import secrets
from typing import NamedTuple

import msgspec
import sqlalchemy as sa
from starlette.responses import Response

from offhook import replaying
from offhook.dashboard.pages.events import chosen
from offhook.dashboard.shell import Flash, page, redirect, zone_of
from offhook.dashboard.visitors import Visit
from offhook.errors import BadInput, Conflict
from offhook.store import audit, effects, event_lists, replays
from offhook.store.event_lists import Wanted

_MOST_REPORTS = 50
_BEGUN = Flash("It is begun. A server or worker takes it up within a second; what came of it will stand here.", "info")


class Report(NamedTuple):
    """One replay, however far it is."""

    at: float
    by: str
    address: str  #: of the events, as they were filtered
    events: int
    tone: str
    words: str
    detail: str


async def ask(visit: Visit) -> Response:
    """How many there are, before anything is done."""
    choice = chosen(visit.request.query_params)
    wanted = _wanted(visit)
    count = await visit.deps.database.read(event_lists.count_replayable, visit.org_id, wanted, replaying.MOST)
    return await page(
        visit, "replay.html", count=count, most=replaying.MOST, back=choice.address(), is_any=choice.is_any,
        here=choice.address().replace("/events", "/events/replay", 1), leaves_stale=wanted.status != "stale",
    )  # fmt: skip


async def begin(visit: Visit) -> Response:
    await visit.deps.database.write(_begin, visit, _wanted(visit))
    visit.deps.ledger.ring()
    return redirect("/events/replays?done=begun")


async def reports(visit: Visit) -> Response:
    rows = await visit.deps.database.read(replays.latest, visit.org_id, _MOST_REPORTS)
    flash = _BEGUN if visit.request.query_params.get("done") == "begun" else None
    return await page(visit, "replays.html", flash=flash, reports=[_report(row) for row in rows])


def _wanted(visit: Visit) -> Wanted:
    """What the address asks for, as far as it has come by now."""
    wanted, now = chosen(visit.request.query_params).wanted(zone_of(visit)), visit.deps.now()
    return msgspec.structs.replace(wanted, until=now if wanted.until is None else min(wanted.until, now))


def _begin(tx: sa.Connection, visit: Visit, wanted: Wanted) -> None:
    """One at a time: two would only wait for each other."""
    replays.begin_alone(tx, visit.org_id)
    if replays.is_under_way(tx, visit.org_id):
        raise Conflict("Another replay is under way. See what comes of it first.")
    count = event_lists.count_replayable(tx, visit.org_id, wanted, replaying.MOST)
    if not 0 < count <= replaying.MOST:
        raise BadInput(f"A replay takes 1 to {replaying.MOST:,} events. Go back, and choose others.")
    query = chosen(visit.request.query_params).address().partition("?")[2]
    wish = replaying.wish(visit.org_id, secrets.token_hex(12), wanted, count, by=visit.viewer.name, query=query)
    effects.want(tx, [wish], visit.deps.now())
    audit.add(tx, visit.entry("events_replayed", "replay", wish.id, {"events": count, "filters": query[:500]}))


def _report(row: sa.Row[tuple[object, ...]]) -> Report:
    told = msgspec.json.decode(row.payload)
    tone, words = _standing(row)
    address = f"/events?{told['query']}" if told["query"] else "/events"
    return Report(row.created_at, told["by"], address, told["events"], tone, words, row.outcome or "")


def _standing(row: sa.Row[tuple[object, ...]]) -> tuple[str, str]:
    if row.status == "due":
        return ("info", "Under way") if row.leased_by else ("", "Waiting")
    return ("ok", "Done") if row.status == "done" else ("bad", "Given up")
