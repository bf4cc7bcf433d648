"""What happened with one person, newest first, as the lines of a timeline."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import sqlalchemy as sa

from offhook.dashboard import charts, conversation
from offhook.dashboard.call_rows import said_in
from offhook.dashboard.charts import Barcode
from offhook.dashboard.outcomes import WAITS, instead_of_summary, outcome_of
from offhook.dashboard.phrases import count, duration
from offhook.store.contact_pages import History
from offhook.store.notes import HUMAN

_TEXTS = {"missed_call": "Automatic text", "tool": "Text by the agent", "reply": "Text received"}
_STATES = {
    "queued": ("Waits to be sent", ""), "sending": ("Being sent", ""), "sent": ("Sent", ""),
    "delivered": ("Delivered", "ok"), "failed": ("Not delivered", "bad"), "suppressed": ("Not sent", "warn"),
}  # fmt: skip


class Line(NamedTuple):
    """One thing that happened."""

    kind: str  #: call, text, note, follow_up, look
    at: float  #: unix
    icon: str
    tone: str
    title: str
    url: str = ""
    tag: tuple[str, str] | None = None  #: words and tone
    words: str = ""  #: what was said or written
    aside: str = ""  #: a short word beside the title, or why
    bars: Barcode | None = None
    note_id: str = ""  #: of a person's note, which can be changed
    is_ours: bool = False


def lines_of(history: History, limit: int) -> tuple[list[Line], float | None]:
    """The newest *limit*, and before what moment the next page goes on; None when there is no more."""
    all_lines = sorted(_lines(history), key=lambda line: line.at, reverse=True)
    return all_lines[:limit], all_lines[limit - 1].at if len(all_lines) > limit else None


def _lines(history: History) -> Iterable[Line]:
    yield from (_call(row, is_handed_over=row.id in history.handed_over) for row in history.calls)
    yield from (text(row) for row in history.texts)
    yield from (_note(row) for row in history.notes)
    yield from (_follow_up(row) for row in history.follow_ups)
    told = {row.id: conversation.stored(row.context).get("told") for row in history.calls}
    yield from (_look(row.received_at, told.get(row.call_id)) for row in history.looks)


def _call(row: sa.Row[Any], *, is_handed_over: bool) -> Line:
    outcome = outcome_of(row.status, row.direction, row.is_successful, is_handed_over=is_handed_over)
    length = row.duration_s or 0.0
    spoken = charts.stretches(said_in(row.transcript), length) if length else []
    way = "Call to them" if row.direction == "outbound" else "Call"
    return Line(
        "call", row.happened_at, outcome.icon, outcome.tone if outcome.tone in ("ok", "bad") else "",
        f"{way}, {duration(length)}" if length else way, f"/calls/{row.id}", (outcome.words, outcome.tone),
        row.summary or instead_of_summary(row.status, row.direction, row.failure),
        bars=charts.barcode(spoken, length, 240) if spoken else None,
    )  # fmt: skip


def text(row: sa.Row[Any]) -> Line:
    """A row of `messages`."""
    is_ours = row.kind != "reply"
    state = _STATES.get(row.status, (row.status, "")) if is_ours else None
    title = _TEXTS.get(row.kind, "Text sent" if row.status in ("sent", "delivered") else "Text")
    return Line(
        "text", row.created_at, "sms", "", title, "", state, row.body, (row.reason or "") if is_ours else "",
        is_ours=is_ours,
    )  # fmt: skip


def _note(row: sa.Row[Any]) -> Line:
    is_persons = row.type == HUMAN
    return Line(
        "note", row.created_at, "note", "", "Note" if is_persons else "Note by the agent",
        f"/calls/{row.call_id}" if row.call_id else "", None, row.note, note_id=row.id if is_persons else "",
    )  # fmt: skip


def _follow_up(row: sa.Row[Any]) -> Line:
    words, _ = WAITS.get(row.kind, WAITS["manual"])
    states = {"done": ("Done", "ok"), "snoozed": ("Snoozed", ""), "open": ("Open", "warn")}
    closer = f"by {row.closer}" if row.closer else "by a later call" if row.status == "done" else ""
    return Line(
        "follow_up", row.created_at, "inbox", "", f"Follow-up: {words.lower()}", f"/follow-ups/{row.id}",
        states.get(row.status), row.reason or "", closer,
    )  # fmt: skip


def _look(at: float, told: Any) -> Line:
    variables = told if isinstance(told, dict) else {}
    how = "Greeted by name" if variables.get("caller_name") else "Greeted"
    if not variables:
        return Line("look", at, "bolt", "", "The agent asked who is calling, and was told nothing")
    return Line("look", at, "bolt", "", f"{how}. {count(len(variables), 'variable')} sent to the agent")
