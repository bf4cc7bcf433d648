"""How a call ended, in the words of a front desk. Pure."""

from collections.abc import Collection
from typing import NamedTuple

from offhook.voice.contract import CallStatus, Direction


class Outcome(NamedTuple):
    words: str
    tone: str  #: of the tag: "", ok, warn, bad, info; nothing that went as it should has a colour
    icon: str


_ANSWERED = Outcome("Answered", "", "phone")
_RESOLVED = Outcome("Resolved", "ok", "phone")
_UNRESOLVED = Outcome("Not resolved", "warn", "alert")
_HANDED_OVER = Outcome("Handed over", "warn", "hand")
_NOT_CONNECTED: dict[tuple[CallStatus, bool], Outcome] = {  # by status, and whether we rang
    ("no-answer", False): Outcome("Missed", "bad", "missed"),
    ("no-answer", True): Outcome("No answer", "bad", "out"),
    ("busy", False): Outcome("Line busy", "bad", "missed"),
    ("busy", True): Outcome("Line busy", "bad", "out"),
    ("failed", False): Outcome("Not connected", "bad", "missed"),
    ("failed", True): Outcome("Not connected", "bad", "out"),
    ("in-progress", False): Outcome("In progress", "info", "clock"),
    ("in-progress", True): Outcome("In progress", "info", "clock"),
}
#: Choices of the filter, in words; store.call_lists.OUTCOMES says which calls they are.
CHOICES = {
    "answered": "Answered",
    "unresolved": "Not resolved",
    "missed": "Missed or busy",
    "failed": "Not connected",
    "in-progress": "In progress",
}
WAITS = {
    "missed": ("Missed call", "bad"), "failed": ("Not connected", "bad"), "callback": ("Call back", "warn"),
    "handoff": ("Wants a person", "warn"), "manual": ("Follow-up", "warn"),
}  # fmt: skip


def outcome_of(
    status: CallStatus, direction: Direction | None, is_successful: bool | None, *, is_handed_over: bool = False
) -> Outcome:
    if status != "completed":
        return _NOT_CONNECTED[status, direction == "outbound"]
    if is_handed_over:
        return _HANDED_OVER
    return _ANSWERED if is_successful is None else _RESOLVED if is_successful else _UNRESOLVED


def waits_for(kinds: Collection[str]) -> tuple[str, str] | None:
    """What somebody waits for, and its tone; None when nobody does."""
    kind = next((kind for kind in WAITS if kind in kinds), None)
    return WAITS[kind] if kind else None


def instead_of_summary(status: CallStatus, direction: Direction | None, failure: str | None) -> str:
    """What a row says of a call that nobody has summed up."""
    if status == "in-progress":
        return "The recording is here; the transcript is still to come."
    if status == "completed":
        return "The summary is still to come."
    reason = f" The provider says: {failure}." if failure and failure != status else ""
    nobody = {"no-answer": "Nobody answered.", "busy": "The line was busy.", "failed": "The call was not connected."}
    return (
        nobody[status] if direction == "outbound" or status != "no-answer" else "The caller hung up first."
    ) + reason
