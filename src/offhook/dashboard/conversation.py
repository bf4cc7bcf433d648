"""A stored call as its page tells it: lines of the transcript, what was collected, what was checked. Pure.

Whatever a provider put into an analysis is shown as far as it can be read, and nothing of it can break the page.
"""

import contextlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from offhook.dashboard import charts
from offhook.dashboard.charts import Stretch
from offhook.dashboard.phrases import sentence
from offhook.voice.contract import ToolCall, ToolResult, Turn

_LONGEST_SHOWN = 4_000  #: characters of what a tool was asked or answered
_turns = msgspec.json.Decoder(list[Turn])


class ToolUse(NamedTuple):
    """What the agent did between two sentences."""

    name: str
    asked: str
    answered: str
    took_ms: int | None
    has_failed: bool


class Line(NamedTuple):
    """Somebody speaks, or the agent uses a tool."""

    role: str  #: agent, user, tool
    begin: float | None  #: seconds since the call began
    end: float | None
    text: str
    is_interrupted: bool = False
    tool: ToolUse | None = None


class Check(NamedTuple):
    """A criterion of the agent's, and how the call did by it."""

    words: str
    verdict: str  #: Passed, Failed, Unknown
    tone: str  #: ok, bad, "" for unknown
    why: str


def turns_of(transcript: str) -> list[Turn]:
    """What is stored of a transcript; nothing for what is not of our writing."""
    try:
        return _turns.decode(transcript)
    except msgspec.DecodeError:
        return []


def lines_of(turns: Sequence[Turn], duration_s: float) -> tuple[list[Line], list[Stretch]]:
    """The transcript line by line, and when who spoke."""
    spoken = charts.stretches(turns, duration_s)
    timed = iter(spoken)
    results = {result.request_id: result for turn in turns for result in turn.tool_results or () if result.request_id}
    lines = []
    for turn in turns:
        if turn.message:
            when = next(timed) if turn.timestamp is not None else None
            lines.append(_spoken(turn, when))
        lines += [_tool(turn, call, results.get(call.request_id or "")) for call in turn.tool_calls or ()]
        lines += [_tool(turn, None, one) for one in turn.tool_results or () if not one.request_id]
    return lines, spoken


def _spoken(turn: Turn, when: Stretch | None) -> Line:
    role = "agent" if turn.role == "agent" else "user"
    begin, end = (when.begin, when.end) if when else (None, None)
    return Line(role, begin, end, turn.message or "", is_interrupted=bool(turn.interrupted))


def _tool(turn: Turn, call: ToolCall | None, result: ToolResult | None) -> Line:
    took_s = result.latency if result else None
    use = ToolUse(
        name=(call.name if call else None) or (result.name if result else None) or "tool",
        asked=pretty(call.arguments if call else None),
        answered=pretty((result.value or result.error) if result else None),
        took_ms=round(took_s * 1000) if took_s is not None else None,
        has_failed=bool(result and result.is_error),
    )
    end = turn.timestamp + (took_s or 0) if turn.timestamp is not None else None
    return Line("tool", turn.timestamp, end, use.name, tool=use)


def pretty(text: str | None) -> str:
    """JSON with its parts on lines of their own; anything else as it is; not without end."""
    if not text:
        return ""
    with contextlib.suppress(ValueError):  # a tool may say anything
        text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def stored(text: str | None) -> dict[str, Any]:
    """A JSON object of a column; empty where there is none."""
    try:
        value = msgspec.json.decode(text or "{}")
    except msgspec.DecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def collected(analysis: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the agent was to find out, and found; fields that it did not find out are left out."""
    found = _objects(analysis.get("data_collection_results"))
    values = ((name, one.get("value") if isinstance(one, dict) else one) for name, one in found.items())
    return [(sentence(name), _words(value)) for name, value in values if value not in (None, "", [], {})]


_VERDICTS = {"success": ("Passed", "ok"), "failure": ("Failed", "bad")}


def checks(analysis: Mapping[str, Any]) -> list[Check]:
    results = _objects(analysis.get("evaluation_criteria_results"))
    found = []
    for name, one in results.items():
        result, why = (one.get("result"), one.get("rationale")) if isinstance(one, dict) else (one, None)
        verdict, tone = _VERDICTS.get(str(result), ("Unknown", ""))
        found.append(Check(sentence(name), verdict, tone, _words(why) if why else ""))
    return found


def told(context: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The variables that were given to the agent; the provider's own, which begin with system__, are left out."""
    variables = _objects(context.get("variables"))
    return [(name, _words(value)) for name, value in variables.items() if not name.startswith("system__")]


def _objects(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _words(value: Any) -> str:
    if isinstance(value, bool):
        return "Yes" if value else "No"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
