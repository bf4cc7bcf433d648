"""Follow-ups: the queue of people who wait, and beside it one of them, with what was said and what can be done."""

from datetime import datetime, time, timedelta
from secrets import token_hex
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from starlette.responses import Response

from offhook.dashboard import charts, phrases
from offhook.dashboard.asked import address, behind, place_of
from offhook.dashboard.call_rows import said_in
from offhook.dashboard.charts import Barcode
from offhook.dashboard.outcomes import WAITS, instead_of_summary
from offhook.dashboard.shell import Flash, page, redirect, zone_of
from offhook.dashboard.visitors import Visit
from offhook.errors import NotFound
from offhook.store import follow_up_lists, users
from offhook.store.follow_up_lists import Person, Place, View
from offhook.texts import MAX_CHARS

PAGE_ROWS = 60
_DUE_SOON_S = 3600.0
_ONE_LOOK_S = 600.0
VIEWS: dict[View, str] = {"open": "Open", "mine": "Mine", "snoozed": "Snoozed", "done": "Done"}
_FLASHES = {
    "reopened": Flash("It waits again.", "info"),
    "snoozed": Flash("Snoozed. It comes back by itself."),
    "assigned": Flash("Assigned."),
    "noted": Flash("The note is saved."),
    "added": Flash("The follow-up is in the queue."),
    "texted": Flash("The text is on its way."),
}
_ICONS = {"missed": "missed", "failed": "out", "callback": "phone", "handoff": "hand", "manual": "note"}


class Due(NamedTuple):
    """When somebody should have answered, in words."""

    words: str
    tone: str


class Item(NamedTuple):
    row: sa.Row[Any]
    name: str
    why: str
    icon: str
    due: Due


class Pane(NamedTuple):
    """The person of one follow-up."""

    item: Item
    person: Person
    summary: str
    bars: Barcode | None
    texts: list["Bubble"]
    may_not_text: str  #: why no text can be sent; "" when one can
    warning: str  #: what to know before one is sent
    nonce: str  #: of this page: its form sends one text, however often it is sent
    is_done: bool
    is_snoozed: bool


class Bubble(NamedTuple):
    body: str
    at: float
    is_ours: bool
    words: str  #: whose it is, and what became of it
    tone: str
    reason: str


class Words(NamedTuple):
    """A text that could not be sent, as it was typed, and why."""

    typed: str
    wrong: str


async def follow_ups(visit: Visit) -> Response:
    return await show(visit, None)


async def follow_up(visit: Visit) -> Response:
    return await show(visit, visit.param("follow_up_id"))


async def show(visit: Visit, id: str | None, *, words: Words | None = None, status: int = 200) -> Response:
    """The queue, and beside it that follow-up; without one the first."""
    view, after = chosen_view(visit), behind(visit.request.query_params, Place)
    read, now = visit.deps.database.read, visit.deps.now()
    asked: dict[str, Any] = {"user_id": visit.viewer.user_id, "now": now}
    rows = await read(follow_up_lists.page, visit.org_id, view, limit=PAGE_ROWS + 1, after=after, **asked)
    shown = rows[:PAGE_ROWS]
    counts = await read(follow_up_lists.counts, visit.org_id, **asked)
    current = id or (shown[0].id if shown else None)
    pane = None if current is None else await _pane(visit, current)
    if id is not None and pane is None:
        raise NotFound("There is no such follow-up.")
    return await page(
        visit,
        "follow_ups.html",
        status=status,
        flash=Flash(words.wrong, "bad") if words else _FLASHES.get(visit.request.query_params.get("said", "")),
        items=[_item(row, now, zone_of(visit)) for row in shown],
        pane=pane,
        is_picked=id is not None,
        view=view,
        views=[(_address(name), text, _count(counts, name), name == view) for name, text in VIEWS.items()],
        suffix="" if view == "open" else f"?view={view}",
        older=_address(view, after=_cursor(view, shown[-1])) if len(rows) > PAGE_ROWS else None,
        waiting=await read(follow_up_lists.people_waiting, visit.org_id, now),
        undo=visit.request.query_params.get("undo", "")[:24],
        last=await read(follow_up_lists.last_closed, visit.org_id) if not shown else None,
        members=await read(users.members, visit.org_id),
        typed=words.typed if words else "",
        longest_text=MAX_CHARS,
        canned=_canned(visit),
    )


async def _pane(visit: Visit, id: str) -> Pane | None:
    found = await visit.deps.database.read(follow_up_lists.person, visit.org_id, id)
    if found is None:
        return None
    if found.row.contact_id is not None:
        await visit.note("contact_read", "contact", found.row.contact_id, once_in_s=_ONE_LOOK_S)
    now = visit.deps.now()
    may_not, warning = await _about_texting(visit, found)
    call = found.call
    return Pane(
        item=_item(found.row, now, zone_of(visit)),
        person=found,
        summary=(call.summary or instead_of_summary(call.status, call.direction, call.failure)) if call else "",
        bars=_bars(call),
        texts=[bubble(text) for text in found.texts],
        may_not_text=may_not,
        warning=warning,
        nonce=token_hex(12),
        is_done=found.row.status == "done",
        is_snoozed=found.row.status == "snoozed" and found.row.snoozed_until > now,
    )


async def _about_texting(visit: Visit, found: Person) -> tuple[str, str]:
    """Why no text can be sent, and what to know when one can."""
    if found.row.number is None:
        return "There is no number to text.", ""
    if found.is_opted_out:
        return "This number has asked not to be texted (STOP). Only a call is possible.", ""
    permission = await visit.deps.messages.may_be_texted(visit.org_id, found.row.number)
    if not permission.is_allowed:
        return permission.sentence, ""
    if not visit.deps.messages.is_delivering:
        return "Texts are not set up here, so only a call is possible. An owner sets OFFHOOK_SMS.", ""
    return "", permission.sentence


def _item(row: sa.Row[Any], now: float, zone: ZoneInfo) -> Item:
    words, _ = WAITS.get(row.kind, WAITS["manual"])
    return Item(
        row=row,
        name=phrases.full_name(row.first_name, row.last_name),
        why=row.reason if row.reason and row.kind not in ("missed", "failed") else words,
        icon=_ICONS.get(row.kind, "inbox"),
        due=_due(row, now, zone),
    )


def _due(row: sa.Row[Any], now: float, zone: ZoneInfo) -> Due:
    if row.status == "done":
        return Due(f"Done by {row.closer}" if row.done_by and row.closer else "Done", "ok")
    if row.status == "snoozed" and row.snoozed_until > now:
        return Due(f"Back {phrases.moment(row.snoozed_until, zone, now, 'day').text}", "")
    left = row.due_at - now
    if left < 0:
        return Due(f"Overdue by {_span(-left)}", "bad")
    return Due(f"Due in {_span(left)}", "warn" if left < _DUE_SOON_S else "")


def _span(seconds: float) -> str:
    """Roughly how long: "26 min", "3 h", "2 days"."""
    minutes = max(1, round(seconds / 60))
    if minutes < 60:
        return f"{minutes} min"
    hours = round(minutes / 60)
    return f"{hours} h" if hours < 48 else phrases.count(round(hours / 24), "day")


def bubble(text: sa.Row[Any]) -> Bubble:
    """A text of `messages`, with what became of it."""
    if text.kind == "reply":
        return Bubble(text.body, text.created_at, False, "Text received", "", "")
    whose = {"missed_call": "Automatic text", "tool": "Text by the agent"}.get(text.kind, "Text")
    stood = {
        "queued": ("waits to be sent", ""), "sending": ("is being sent", ""), "sent": ("sent", ""),
        "delivered": ("delivered", "ok"), "failed": ("not delivered", "bad"), "suppressed": ("not sent", "warn"),
    }  # fmt: skip
    state, tone = stood.get(text.status, (text.status, ""))
    return Bubble(text.body, text.created_at, True, f"{whose}, {state}", tone, text.reason or "")


def _bars(call: sa.Row[Any] | None) -> Barcode | None:
    if call is None or not call.duration_s:
        return None
    spoken = charts.stretches(said_in(call.transcript), call.duration_s)
    return charts.barcode(spoken, call.duration_s, 300) if spoken else None


def _canned(visit: Visit) -> list[str]:
    return ["When is a good time to call you back?", "We tried to reach you. Please call us when it suits you.",
            f"This is {visit.viewer.org_name}. How can we help?"]  # fmt: skip


def chosen_view(visit: Visit) -> View:
    asked = visit.request.query_params.get("view", "")
    return next((name for name in VIEWS if name == asked), "open")


def _address(view: View, **more: str) -> str:
    return address("/follow-ups", {"view": "" if view == "open" else view, **more})


def _count(counts: follow_up_lists.Counts, view: View) -> int | None:
    return None if view == "done" else int(getattr(counts, view))


def _cursor(view: View, row: sa.Row[Any]) -> str:
    return place_of(row.updated_at if view == "done" else row.due_at, row.id)


def next_morning(now: float, zone: ZoneInfo, days: int) -> float:
    """Nine o'clock, so many days on."""
    day = datetime.fromtimestamp(now, zone).date() + timedelta(days=days)
    return datetime.combine(day, time(9), zone).timestamp()


def back_to(visit: Visit, id: str, said: str) -> Response:
    return redirect(f"/follow-ups/{id}?said={said}")
