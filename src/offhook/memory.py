"""What an agent is told of somebody's earlier calls. Pure: from what is stored to variables in their grammar.

Titles, summaries and reasons come from what callers said. Without the organisation's consent to longer text (rules.free_text)
they are told as topics, in the narrow grammar of variables.topic, and summaries are not told at all.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from offhook.declared import Value
from offhook.rules import Variable
from offhook.variables import prose, topic

MAX_CHARS = 600  #: of each variable
LAST_CALLS = 5
MOST_COUNTED = 1000  #: a count that would take long is of no use to anybody

_TOPIC_CHARS = 64
_ITEM_CHARS = 200  #: where longer text is allowed
_CALL_BACK = "call back"

#: With memory switched on, agents may use these: a stranger's call must not end because one of them is missing.
DECLARED = (
    Variable(name="previous_topics"),
    Variable(name="last_call_summary"),
    Variable(name="last_call_at"),
    Variable(name="call_count", type="number", default=0),
    Variable(name="open_items"),
)


class PastCall(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation that has ended."""

    happened_at: float  #: unix
    title: str | None = None
    summary: str | None = None


class CallBack(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody is to be rung back, and was not yet."""

    asked_at: float  #: unix
    reason: str | None = None


class Edit(msgspec.Struct, frozen=True, kw_only=True):
    """What a person wrote, in the place of all that was known until then; what comes later is told before it."""

    text: str
    at: float  #: unix


class Remembered(msgspec.Struct, frozen=True, kw_only=True):
    """All that is stored of one contact and not forgotten."""

    calls: tuple[PastCall, ...] = ()  #: the last few, newest first
    call_count: int = 0
    call_backs: tuple[CallBack, ...] = ()  #: open ones, newest first
    collected: dict[str, Any] | None = None  #: the analysis of the last call
    previous_topics: Edit | None = None
    last_call_summary: Edit | None = None
    open_items: Edit | None = None
    forgotten_before: float | None = None  #: unix


def variables(remembered: Remembered, zone: str, *, free_text: bool) -> dict[str, Value]:
    """The five variables, each always there; *zone* (IANA) is where times are read."""
    last = remembered.calls[0] if remembered.calls else None
    return {
        "previous_topics": _previous_topics(remembered, free_text=free_text),
        "last_call_summary": _last_summary(last, remembered.last_call_summary, free_text=free_text),
        "last_call_at": _local_time(last.happened_at, zone) if last else "",
        "call_count": remembered.call_count,
        "open_items": _open_items(remembered, free_text=free_text),
    }


def edit_text(text: str) -> str:
    """What a person wrote, as it is kept: in the grammar of longer text, bounded."""
    return prose(text, MAX_CHARS) or ""


def _previous_topics(remembered: Remembered, *, free_text: bool) -> str:
    edit = remembered.previous_topics
    spoken = [(call.happened_at, call.title) for call in remembered.calls]
    return _listed(_since(spoken, edit), edit, free_text=free_text)


def _last_summary(last: PastCall | None, edit: Edit | None, *, free_text: bool) -> str:
    if edit is not None and (last is None or last.happened_at <= edit.at):
        return _whole(edit.text, free_text=free_text)
    return (prose(last.summary or "", MAX_CHARS) or "") if last is not None and free_text else ""


def _open_items(remembered: Remembered, *, free_text: bool) -> str:
    edit = remembered.open_items
    asked = [(one.asked_at, one.reason or _CALL_BACK) for one in remembered.call_backs]
    if remembered.calls:
        asked += [(remembered.calls[0].happened_at, item) for item in _collected(remembered.collected)]
    return _listed(_since(asked, edit), edit, free_text=free_text)


def _since(happened: Iterable[tuple[float, str | None]], edit: Edit | None) -> list[str]:
    return [text for at, text in happened if text and (edit is None or at > edit.at)]


def _listed(items: Iterable[str], edit: Edit | None, *, free_text: bool) -> str:
    """As many of *items* as fit, each once, and what a person wrote after them."""
    told = list(dict.fromkeys(filter(None, (_item(item, free_text=free_text) for item in items))))
    if edit is not None and (written := _whole(edit.text, free_text=free_text)):
        told.append(written)
    text = ""
    for item in told:
        longer = f"{text}, {item}" if text else item
        if len(longer) <= MAX_CHARS:
            text = longer
    return text


def _item(text: str, *, free_text: bool) -> str | None:
    item = prose(text, _ITEM_CHARS) if free_text else topic(text, _TOPIC_CHARS)
    return item.strip(" ,.;") or None if item else None


def _whole(text: str, *, free_text: bool) -> str:
    return (prose if free_text else topic)(text, MAX_CHARS) or ""


def _collected(analysis: dict[str, Any] | None) -> list[str]:
    """What ElevenLabs' data collection found under the name `open_items`: a text, or a list of them."""
    try:
        value = (analysis or {})["data_collection_results"]["open_items"]["value"]
    except (KeyError, TypeError, IndexError):
        return []
    found = value if isinstance(value, list) else [value]
    return [item for item in found if isinstance(item, str)][:LAST_CALLS]


def _local_time(at: float, zone: str) -> str:
    """ISO 8601 with the zone's offset, to the second; nothing for a time that no calendar knows."""
    try:
        return datetime.fromtimestamp(at, ZoneInfo(zone)).isoformat(timespec="seconds")
    except (OverflowError, ValueError, OSError, ZoneInfoNotFoundError):
        return ""
