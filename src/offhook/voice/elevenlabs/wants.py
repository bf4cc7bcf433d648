"""Which dynamic variables an agent uses, and where. Pure, over what ElevenLabs' API shows of agents and tools.

https://elevenlabs.io/docs/eleven-agents/customization/personalization/dynamic-variables, read 2026-10. ElevenLabs ends a call
whose agent misses one, so what looks like a variable counts as one.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

_VARIABLE = re.compile(r"\{\{\s*([^{}\s|]+)[^{}]*\}\}")
_LOCATORS = frozenset({"dynamic_variable", "variable_name", "allowed_values_dynamic_variable"})
#: Test values, tools that are read on their own, and what an answer is put into: none of them wants a value.
_NOT_READ = frozenset(
    {"dynamic_variable_placeholders", "tools", "assignments", "response_body_schema", "response_mocks"}
)
_PLACES = {
    ("agent", "first_message"): "first message",
    ("agent", "prompt"): "prompt",
    ("language_presets",): "languages",
}


def variables_of(agent: Mapping[str, Any], tools: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """By the variable's name, where *agent* or one of *tools* (their configurations) uses it."""
    used: dict[str, list[str]] = {}
    for name, place in [*_of_agent(agent), *_of_tools(tools)]:
        places = used.setdefault(name, [])
        if place not in places:
            places.append(place)
    return used


def _of_agent(agent: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for part in ("conversation_config", "workflow"):
        for path, name in _walked(agent.get(part), ()):
            yield name, _place(path) if part == "conversation_config" else "workflow"


def _of_tools(tools: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for tool in tools:
        for _, name in _walked(tool, ()):
            yield name, f"tool {tool.get('name')}"


def _place(path: tuple[str, ...]) -> str:
    for beginning, words in _PLACES.items():
        if path[: len(beginning)] == beginning:
            return words
    return " ".join(path[:2]).replace("_", " ") or "agent"


def _walked(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, str):
        yield from ((path, found) for found in _VARIABLE.findall(value))
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if key in _LOCATORS and isinstance(inner, str) and inner:
                yield path, inner
            elif key not in _NOT_READ:
                yield from _walked(inner, (*path, str(key)))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _walked(inner, path)
