"""What was given up, or held back: why, and the way to have it tried again."""

import re

import sqlalchemy as sa
from starlette.responses import Response

from offhook.dashboard.shell import Flash, page, redirect
from offhook.dashboard.visitors import Visit
from offhook.store import audit, effects
from offhook.store.audit import Entry
from offhook.store.effects import Status

_MOST = 200
_VIEWS = {"dead": "Given up", "suppressed": "Held back"}
_EFFECT_ID = re.compile(r"[0-9a-f]{24}", re.ASCII)


async def dead_letters(visit: Visit) -> Response:
    asked = visit.request.query_params
    status: Status = "suppressed" if asked.get("status") == "suppressed" else "dead"
    rows = await visit.deps.database.read(effects.ended, visit.org_id, status, limit=_MOST + 1)
    counts = await visit.deps.database.read(effects.unsettled, visit.org_id)
    return await page(
        visit,
        "dead_letters.html",
        rows=rows[:_MOST],
        has_more=len(rows) > _MOST,
        ended=status,
        views=[
            (f"/health/dead-letters?status={key}", words, counts.get(key, 0), key == status)
            for key, words in _VIEWS.items()
        ],
        flash=_flash(asked.get("again", "")),
    )


async def retry(visit: Visit) -> Response:
    """Those that were ticked are due again at once; what is done is not done again."""
    ids = [one for one in (await visit.form()).all("id") if _EFFECT_ID.fullmatch(one)]
    entry = visit.entry("effect_retried", "effect", ids[0] if len(ids) == 1 else None, {"effects": len(ids)})
    again = 0
    if ids:
        again = await visit.deps.database.write(_retried, visit.org_id, ids, entry)
        visit.deps.ledger.ring()
    return redirect(f"/health/dead-letters?again={again}")


def _retried(tx: sa.Connection, org_id: str, ids: list[str], entry: Entry) -> int:
    again = effects.retry(tx, org_id, ids, entry.at)
    if again:
        audit.add(tx, entry)
    return len(again)


def _flash(again: str) -> Flash | None:
    if not (again.isascii() and again.isdigit()) or len(again) > 4:
        return None
    if int(again) == 0:
        return Flash("Nothing was chosen that can be tried again.", "info")
    return Flash(f"{int(again)} due again; a server or worker takes up each within a second.")
