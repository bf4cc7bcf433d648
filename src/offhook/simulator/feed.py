"""Calls, shown in a terminal as an offhook understands them: what it answers, and what its API then knows of them."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import httpx
import msgspec
from rich.console import Console
from rich.text import Text

from offhook.simulator.calls import Attempt, Call
from offhook.simulator.payloads import Json
from offhook.simulator.sender import Answer

PATIENCE_S = 15.0  #: what is not visible by then will not be
_LOOK_EVERY_S = 0.02


class Understood(msgspec.Struct):
    """How much of what was told has shown up."""

    calls: int = 0
    recordings: int = 0
    missed: int = 0
    faults: int = 0  #: answers but 200, and what never showed up

    @property
    def told(self) -> int:
        """Calls and attempts of which everything is there."""
        return min(self.calls, self.recordings) + self.missed


class Feed:
    """Prints a line for each thing that happens. `hear` is for `place_calls`; *watching* takes what goes on behind it."""

    def __init__(
        self, api: httpx.AsyncClient, console: Console, watching: asyncio.TaskGroup, understood: Understood
    ) -> None:
        """*api* knows the base URL and the key; *understood* is counted up."""
        self.understood = understood
        self._api = api
        self._console = console
        self._watching = watching

    def hear(self, call: Call | Attempt, answer: Answer) -> None:
        kind, latency = answer.delivery.kind, _ms(answer.latency_s)
        if not answer.is_accepted:
            self.understood.faults += 1
            self._say("refused", call, f"{kind}: {answer.status or answer.fault}", "red")
        elif kind == "personalization":
            self._say("greeting", call, f"{_greeted(answer.said)}, {latency}", "cyan")
        elif answer.delivery.is_repeat:
            known = "deduplicated" if answer.said.get("deduplicated") else "not recognised"
            self._say("again", call, f"{kind}: {known}, {latency}", "dim")
        else:
            self._watching.create_task(self._show(call, answer))

    async def _show(self, call: Call | Attempt, answer: Answer) -> None:
        """Wait until the API knows what *answer* acknowledged, and say it."""
        sight = _SIGHTS[answer.delivery.kind]
        begun = time.monotonic()
        while not (seen := sight.is_in(known := await self._known(answer.said.get("callId")))):
            if time.monotonic() > begun + PATIENCE_S:
                break
            await asyncio.sleep(_LOOK_EVERY_S)
        if seen:
            setattr(self.understood, sight.counted_as, getattr(self.understood, sight.counted_as) + 1)
            self._say(sight.word, call, f"{sight.said_of(known)}, in {_ms(time.monotonic() - begun)}", sight.style)
        else:
            self.understood.faults += 1
            self._say("lost", call, f"the {answer.delivery.kind} was acknowledged and did not show up", "red")

    async def _known(self, call_id: str | None) -> Json:
        """The call as the API has it; empty while there is none."""
        if call_id is None:
            return {}
        try:
            response = await self._api.get(f"/api/calls/{call_id}")
        except httpx.TransportError:
            return {}
        return msgspec.json.decode(response.content, type=Json)["call"] if response.status_code == 200 else {}

    def _say(self, word: str, call: Call | Attempt, what: str, style: str) -> None:
        """The news first: on a narrow terminal it is the two ends of the line that are cut short."""
        clock = time.strftime("%H:%M:%S")
        line = Text.assemble((clock, "dim"), "  ", (f"{word:<9}", style), f"  {what:<46}  ", (_who(call), "dim"))
        if self._console.is_terminal:
            self._console.print(line, no_wrap=True, overflow="ellipsis", crop=True)
        else:
            self._console.print(line, soft_wrap=True)


class _Sight(msgspec.Struct, frozen=True):
    """What to look for in a call after an event was acknowledged, and how to say that it is there."""

    word: str
    style: str
    counted_as: str
    is_in: Callable[[Json], Any]
    said_of: Callable[[Json], str]


def _said_of_call(known: Json) -> str:
    return f"{known['title'] or known['summary']} ({_clock(known['duration'])})"


def _said_of_recording(known: Json) -> str:
    recording = known["recordings"][0]
    return f"{_clock(recording['duration'])}, {recording['bytes'] / 1024:,.0f} KiB"


_SIGHTS = {
    "transcription": _Sight("call", "bold green", "calls", lambda known: known.get("summary"), _said_of_call),
    "audio": _Sight("recording", "green", "recordings", lambda known: known.get("recordings"), _said_of_recording),
    "failure": _Sight(
        "missed", "yellow", "missed", lambda known: known.get("status") in ("busy", "no-answer", "failed"),
        lambda known: known["status"],
    ),
}  # fmt: skip


def _greeted(said: Json) -> str:
    name = said.get("dynamic_variables", {}).get("caller_name")
    return f"knew {name}" if name else "a stranger"


def _who(call: Call | Attempt) -> str:
    """The two ends, in the direction of the call."""
    if isinstance(call, Attempt):
        return f"{call.failure.business.name} → {call.failure.person.number}"
    person = "withheld" if call.scenario.is_withheld else call.scenario.person.number
    ends = [person, call.scenario.business.name]
    return " → ".join(ends if call.scenario.direction == "inbound" else reversed(ends))


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:,.0f} ms"


def _clock(seconds: float | None) -> str:
    if seconds is None:
        return "no duration"
    return f"{round(seconds) // 60}:{round(seconds) % 60:02}"
