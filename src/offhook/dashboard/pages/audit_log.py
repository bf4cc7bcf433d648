"""The audit log: who looked at what, and who changed what matters."""

from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import msgspec
from starlette.datastructures import QueryParams
from starlette.responses import Response

from offhook.dashboard.asked import span
from offhook.dashboard.pages.settings.section import tabs
from offhook.dashboard.shell import page, zone_of
from offhook.dashboard.visitors import Visit
from offhook.store import audit, users
from offhook.store.audit import ACTIONS, Wanted

URL = "/settings/audit"
_ON_A_PAGE = 100


async def audit_log(visit: Visit) -> Response:
    asked, read = visit.request.query_params, visit.deps.database.read
    before = asked.get("before", "")
    rows = await read(
        audit.page, visit.org_id, chosen(asked, zone_of(visit)), limit=_ON_A_PAGE + 1, before=_seq(before)
    )
    return await page(
        visit,
        "audit_log.html",
        rows=[(row, msgspec.json.decode(row.details) if row.details else {}) for row in rows[:_ON_A_PAGE]],
        older=_address(asked, before=rows[_ON_A_PAGE - 1].seq) if len(rows) > _ON_A_PAGE else None,
        address=_address(asked),
        asked=asked,
        sections=tabs(visit),
        here=URL,
        people=[("", "Everybody"), *((one.id, one.name) for one in await read(users.members, visit.org_id))],
        actions=ACTIONS,
    )


def chosen(asked: QueryParams, zone: ZoneInfo) -> Wanted:
    """What is typed wrong filters nothing."""
    since, until = span(asked.get("from", ""), asked.get("to", ""), zone)
    action = asked.get("action")
    return Wanted(
        user_id=asked.get("user") or None,
        action=action if action in ACTIONS else None,
        object_id=asked.get("object") or None,
        since=since,
        until=until,
    )


def _seq(typed: str) -> int | None:
    return int(typed) if typed.isascii() and typed.isdigit() and len(typed) < 19 else None


def _address(asked: QueryParams, **more: int) -> str:
    """This page as it is filtered, from its beginning unless *more* says before what."""
    kept = [(name, value) for name, value in asked.multi_items() if name != "before"]
    return f"{URL}?" + urlencode([*kept, *more.items()])
