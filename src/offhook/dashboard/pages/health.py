"""Health: whether every call arrives, and will go on arriving."""

import asyncio
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from starlette.responses import Response

from offhook import __version__
from offhook.dashboard import charts, latencies, phrases, verdicts
from offhook.dashboard.event_words import RECOVERED
from offhook.dashboard.latencies import Waits
from offhook.dashboard.shell import Flash, page, redirect
from offhook.dashboard.visitors import Visit
from offhook.deps import Deps
from offhook.events import call_id
from offhook.store import audit, effects
from offhook.store import health as healths
from offhook.store.audit import Entry
from offhook.store.event_lists import SET_ASIDE
from offhook.store.health import Health

_RECENT_S = 7 * 86_400.0  #: as /api/health: absences of calls that began before are no news
_MOST_ABSENCES = 50
_FAST_S = 0.25
_SCHEDULES = ("guard", "reconcile")  #: rows of effects.py: what is compared with ElevenLabs
_REST_S = 60.0  #: between two rounds, however often somebody asks: ElevenLabs counts our questions
_ASKED = Flash("It is being compared with ElevenLabs and looked at. Open this page again in a moment.", "info")

#: What the guardian looks at in ElevenLabs, and by which codes it says that it is not so.
_SETUP = (
    ("The API key works", {"api_key_refused", "unreachable"}),
    ("The webhook is on and leads here", {
        "webhook_missing", "webhook_disabled", "webhook_auto_disabled", "webhook_url_wrong", "webhook_url_without_org",
    }),
    ("Transcripts, recordings and failures are sent", {"events_missing", "transcripts_unreadable"}),
    ("A failed delivery is tried again", {"retries_off"}),
    ("Deliveries succeed", {"delivery_failed", "deliveries_missing", "answers_failing"}),
    ("Agents ask who is ringing", {"personalization_url_wrong", "personalization_off"}),
)  # fmt: skip


class Folder(NamedTuple):
    """A spool folder, by its place: where it lies is nobody's business."""

    place: int
    state: str
    waiting: int
    has_released: bool  #: its disk is full, and recordings are refused


class Delivery(NamedTuple):
    """A cell of the strip."""

    words: str
    kind: str  #: "", bad, recovered


async def check(visit: Visit) -> Response:
    """Have the guardian and reconcile come round now, and not when it is their time."""
    await visit.deps.database.write(_check, visit.entry("looked_now"))
    visit.deps.ledger.ring()
    return redirect("/health?done=asked")


def _check(tx: sa.Connection, entry: Entry) -> None:
    """Only what was hastened is noted: whoever keeps asking would fill the log."""
    if effects.hasten(tx, _SCHEDULES, entry.at, rest_s=_REST_S):
        audit.add(tx, entry)


async def health(visit: Visit) -> Response:
    deps, now = visit.deps, visit.deps.now()
    recently = f"{datetime.fromtimestamp(now - _RECENT_S, UTC):%Y-%m-%d}"
    found = await deps.database.read(healths.look, visit.org_id, now, recently)
    fuse = verdicts.fuse_of(found, deps.streaks.of(visit.org_id), now)
    return await page(
        visit,
        "health.html",
        flash=_ASKED if visit.request.query_params.get("done") == "asked" else None,
        health=found,
        fuse=fuse,
        verdict=verdicts.verdict_of(found, fuse, now),
        span=phrases.span,
        setup=_setup(found),
        strip=_strip(found.latest),
        balance=_balance(found),
        absences=[(one, call_id(visit.org_id, one.conversation_id)) for one in found.absences[:_MOST_ABSENCES]],
        spool=await asyncio.to_thread(_spool, deps),
        damaged=len(await asyncio.to_thread(deps.spool.damaged)),
        disks=deps.disks.found,
        takes_recordings=not await asyncio.to_thread(deps.folders.is_tight),
        greetings=_told(latencies.greetings()),
        version=__version__,
    )


def _setup(found: Health) -> list[tuple[str, str | None]]:
    """What should be so at ElevenLabs, and what is wrong with it; nothing is known of one that is not connected."""
    if found.connected_at is None:
        return []
    return [
        (words, next((one.message for one in found.findings if one.code in codes), None)) for words, codes in _SETUP
    ]


def _strip(latest: Sequence[sa.Row[Any]]) -> list[Delivery]:
    """Oldest first."""
    return [_delivery(row) for row in reversed(latest)]


def _delivery(row: sa.Row[Any]) -> Delivery:
    if row.status in SET_ASIDE:
        return Delivery("Set aside", "bad")
    return Delivery(RECOVERED.words, "recovered") if row.source == "reconciled" else Delivery("Accepted", "")


def _balance(found: Health) -> dict[str, Any]:
    """The days' sums, and their drawing, the oldest day first."""
    days = found.days[::-1]
    return {
        "theirs": sum(day.theirs for day in days),
        "ours": sum(day.ours for day in days),
        "fetched": sum(day.fetched for day in days),
        "absent": sum(day.absent for day in days),
        "bars": charts.stacked([day.ours for day in days], [day.absent for day in days], 480, 44),
    }


def _spool(deps: Deps) -> list[Folder]:
    """In a thread: it looks at disks, which may keep us waiting."""
    return [
        Folder(folder.place, folder.state, len(folder.files()), folder.has_released) for folder in deps.spool.folders
    ]


def _told(waits: Waits | None) -> dict[str, Any] | None:
    if waits is None:
        return None
    return {
        "count": waits.callers,
        "typical": _milliseconds(waits.typical_s),
        "worst": _milliseconds(waits.worst_s),
        "is_fast": waits.typical_s <= _FAST_S,
    }


def _milliseconds(seconds: float) -> str:
    """ "20 ms", "1.5 s"; beyond the last bucket nobody has counted."""
    if math.isinf(seconds):
        return "over 1.5 s"
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:g} s"
