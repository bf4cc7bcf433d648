"""Whether every variable that an agent uses is filled, and by whom. Pure.

ElevenLabs ends a call whose agent misses a variable, so what is told only of people who are known counts as missing.
"""

from collections.abc import Collection, Mapping, Sequence

import msgspec

from offhook import memory
from offhook.rules import Rules, Variable

_TOLD_OF_KNOWN = ("caller_name", "caller_number", "org_name")
_SUGGESTED = {"caller_name": "there"}


class Use(msgspec.Struct, frozen=True):
    """A variable of an agent."""

    name: str
    used_in: Sequence[str]
    filled_by: str | None  #: "ElevenLabs", "declared", "memory"; None: it is missing
    advice: str | None  #: what to do when it is missing


def uses_of(
    used: Mapping[str, Sequence[str]], rules: Rules, own: Collection[Variable], org_name: str, *, is_asked: bool
) -> list[Use]:
    """*used* by name; *own* are declared for the agent; *is_asked*: offhook is asked before its calls."""
    declared = {one.name for one in (*rules.variables, *own)}
    remembered = {one.name for one in memory.DECLARED}
    uses = []
    for name in sorted(used):
        filled_by = _filled_by(name, declared, remembered if rules.memory else frozenset(), is_asked=is_asked)
        advice = None if filled_by else _advice(name, declared, remembered, org_name, has_memory=rules.memory)
        uses.append(Use(name, used[name], filled_by, advice))
    return uses


def _filled_by(name: str, declared: Collection[str], remembered: Collection[str], *, is_asked: bool) -> str | None:
    if name.startswith("system__"):
        return "ElevenLabs"
    if not is_asked or name.startswith("secret__"):
        return None
    return "declared" if name in declared else "memory" if name in remembered else None


def _advice(
    name: str, declared: Collection[str], remembered: Collection[str], org_name: str, *, has_memory: bool
) -> str:
    if name.startswith("secret__"):
        return "offhook tells no secrets: use a secret of the workspace in its place"
    if name in declared or (name in remembered and has_memory):
        return "it would be told, but offhook is not asked before this agent's calls: `offhook connect`"
    if name in remembered:
        return f'`offhook org set "{org_name}" memory=on`'
    default = f" --default {_SUGGESTED[name]}" if name in _SUGGESTED else ""
    only = " (it is told of people who are known, and of no others)" if name in _TOLD_OF_KNOWN else ""
    return f'`offhook variable set "{org_name}" {name}{default}`{only}'
