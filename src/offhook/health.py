"""Alive, ready, keeping up.

Ready means that some store, database or spool, can keep an event: a balancer that took a replica out because its database
is down would turn an outage into lost calls.
"""

import asyncio
import math
from collections import Counter
from datetime import UTC, datetime
from typing import Any, get_args

from prometheus_client import CONTENT_TYPE_LATEST, Gauge, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from offhook import __version__
from offhook.deps import Deps
from offhook.disks import Disk
from offhook.errors import Unavailable
from offhook.guardian import verdict
from offhook.spool import Spool
from offhook.store import balances, warnings
from offhook.store.warnings import Finding, Standing

_LOOK_S = 1.0
_RECENT_S = 7 * 86_400.0  #: absences of calls that began before are no news

_pending = Gauge("offhook_events_pending", "Events that wait for their projection")
_due = Gauge("offhook_effects_due", "Effects that wait for their time, or for a worker")
_dead = Gauge("offhook_effects_dead", "Effects that were given up")
_overdue_s = Gauge("offhook_effects_overdue_seconds", "For how long the effect that is most overdue has been")
_warnings = Gauge("offhook_warnings", "What the guardian found and is still so", ("code", "severity"))
_organizations = Gauge(
    "offhook_reconcile_organizations",
    "Connected organisations, by how they stand with what ElevenLabs knows",
    ["state"],
)
_spooled = Gauge("offhook_events_spooled", "Events that wait in the spool for the database")


async def live(_: Request) -> Response:
    """The process runs and its event loop turns."""
    return JSONResponse({"status": "live"})


async def ready(request: Request) -> Response:
    """200 while an event can be kept somewhere, else 503."""
    deps: Deps = request.app.state.deps
    is_ready = deps.inbox.is_database_trusted or await asyncio.to_thread(lambda: deps.spool.can_keep)
    return JSONResponse({"status": "ready" if is_ready else "not ready"}, 200 if is_ready else 503)


async def report(request: Request) -> Response:
    """How it stands, for people and monitors; always 200 while the process can say it. No secret, no payload."""
    deps: Deps = request.app.state.deps
    reconciled = await _reconciled(deps)
    worst = next((state for state, count in reconciled.items() if count), None)
    facts = {**await asyncio.to_thread(_of_this_process, deps), **await _of_the_database(deps)}
    return JSONResponse({**facts, "reconcile": {"worst": worst, "organizations": reconciled}})


async def _reconciled(deps: Deps) -> dict[str, int]:
    """How many organisations stand how with what ElevenLabs knows; none when the database does not answer."""
    now = deps.now()
    recently = f"{datetime.fromtimestamp(now - _RECENT_S, UTC):%Y-%m-%d}"
    try:
        async with asyncio.timeout(_LOOK_S):
            states = await deps.database.read(balances.states, now, recently)
    except (Unavailable, TimeoutError):
        return {}
    return {state: sum(one == state for one in states.values()) for state in get_args(balances.State)}


async def metrics(request: Request) -> Response:
    """Prometheus' text format."""
    deps: Deps = request.app.state.deps
    known = await _of_the_database(deps)
    _pending.set(known["events"].get("pending", 0) if known["status"] == "ok" else math.nan)  # unknown is not none
    _spooled.set(await asyncio.to_thread(lambda: deps.inbox.spooled))
    _due.set(known["effects"].get("due", 0) if known["status"] == "ok" else math.nan)
    _dead.set(known["effects"].get("dead", 0) if known["status"] == "ok" else math.nan)
    _overdue_s.set(known["mostOverdueSeconds"] or 0 if known["status"] == "ok" else math.nan)
    _warnings.clear()
    for (code, severity), count in Counter((one["code"], one["severity"]) for one in known["warnings"]).items():
        _warnings.labels(code, severity).set(count)
    for state, count in (await _reconciled(deps)).items():
        _organizations.labels(state).set(count)
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


def _of_this_process(deps: Deps) -> dict[str, Any]:
    """In a thread: it looks at disks, which may keep us waiting."""
    spool = _spool(deps.spool)
    return {
        "version": __version__,
        "spooled": sum(folder["waiting"] for folder in spool),
        "spool": spool,
        "disks": [_disk(disk) for disk in deps.disks.found],
        "recordings": "refused" if deps.folders.is_tight() else "accepted",
        "refusals": dict(deps.refusals.counts),
        "secretsAreCurrent": deps.directory.is_current,
    }


async def _of_the_database(deps: Deps) -> dict[str, Any]:
    facts: dict[str, Any] = {"database": deps.database.name, "events": {}, "oldestPendingSeconds": None}
    facts |= {"warnings": [_shown(verdict.of_streak(streak)) for streak in deps.streaks.long().values()]}
    facts |= {"effects": {}, "deadEffects": {}, "mostOverdueSeconds": None}
    try:
        async with asyncio.timeout(_LOOK_S):
            standing = await deps.inbox.standing()
            ledger = await deps.ledger.standing()
            found = await deps.database.read(warnings.standing)
    except (Unavailable, TimeoutError):
        return {"status": "spooling", **facts}
    if standing.oldest_pending_at is not None:
        facts["oldestPendingSeconds"] = round(max(0.0, deps.now() - standing.oldest_pending_at), 3)
    if ledger.due_at is not None and ledger.due_at < deps.now():
        facts["mostOverdueSeconds"] = round(deps.now() - ledger.due_at, 3)
    facts["warnings"] = [_shown(one) for one in found]
    of_effects = {"effects": ledger.by_status, "deadEffects": ledger.dead}
    return {"status": "ok", **facts, "events": standing.by_status, **of_effects}


def _spool(spool: Spool) -> list[dict[str, Any]]:
    """By their places in the order: where they lie is nobody's business."""
    return [
        {
            "place": folder.place,
            "state": folder.state,
            "waiting": len(folder.files()),
            "ballast": "released" if folder.has_released else "kept" if folder.has_ballast else "none",
        }
        for folder in spool.folders
    ]


def _disk(disk: Disk) -> dict[str, Any]:
    full = {"percentFull": round(disk.percent, 1), "freeMib": disk.free_bytes >> 20, "level": disk.level}
    return {"holds": disk.folders, **full}


def _shown(finding: Finding) -> dict[str, Any]:
    """Without its organisation and its details: strangers may look."""
    since = None
    if isinstance(finding, Standing):
        since = datetime.fromtimestamp(finding.since, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    told = {"code": finding.code, "severity": finding.severity, "message": finding.message}
    return {**told, "remedy": finding.remedy, "since": since}
