"""What became of a simulation: counted as the answers come, shown as a table, with a sentence where something is amiss."""

import statistics
import sys
import time
from typing import Any

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from offhook.simulator.calls import Attempt, Call
from offhook.simulator.deliveries import Kind
from offhook.simulator.sender import Answer, Target

_PIPED_WIDTH = 160
KINDS: tuple[Kind, ...] = ("personalization", "transcription", "audio", "failure")

_REFUSED = (
    "The {proof} was refused (401): check that {option} is of an organisation there (`offhook org rotate ORG {name}` "
    "makes a new one; with --org, that the server runs on this very database), and that the clocks of both machines agree."
)


class Count(msgspec.Struct):
    """The answers to one kind of request."""

    sent: int = 0
    accepted: int = 0  #: 200
    deduplicated: int = 0  #: of those, known to the receiver already
    skipped: int = 0  #: of those, kept but not usable
    refused: int = 0  #: any other status
    unanswered: int = 0
    statuses: dict[int, int] = msgspec.field(default_factory=dict)
    latencies_s: list[float] = msgspec.field(default_factory=list)

    def add(self, answer: Answer) -> None:
        self.sent += 1
        self.latencies_s.append(answer.latency_s)
        self.accepted += answer.is_accepted
        self.deduplicated += bool(answer.said.get("deduplicated"))
        self.skipped += bool(answer.said.get("skipped"))
        self.unanswered += answer.status is None
        self.refused += not answer.is_accepted and answer.status is not None
        if answer.status is not None:
            self.statuses[answer.status] = self.statuses.get(answer.status, 0) + 1

    @property
    def median_ms(self) -> float | None:
        return round(statistics.median(self.latencies_s) * 1000, 1) if self.latencies_s else None

    @property
    def slowest_ms(self) -> float | None:
        return round(max(self.latencies_s) * 1000, 1) if self.latencies_s else None


class Tally:
    """Everything that was answered."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._began = time.monotonic()
        self._calls: set[str] = set()
        self._last_fault: str | None = None
        self.counts: dict[Kind, Count] = {kind: Count() for kind in KINDS}

    def hear(self, call: Call | Attempt, answer: Answer) -> None:
        self._calls.add(call.line.conversation_id)
        self._last_fault = answer.fault or self._last_fault
        self.counts[answer.delivery.kind].add(answer)

    @property
    def calls(self) -> int:
        return len(self._calls)

    @property
    def sent(self) -> int:
        return sum(count.sent for count in self.counts.values())

    @property
    def requests_per_second(self) -> float:
        return self.sent / max(time.monotonic() - self._began, 0.001)

    @property
    def is_good(self) -> bool:
        """Something was sent, and every answer was 200."""
        return 0 < self.sent == sum(count.accepted for count in self.counts.values())

    def is_worth_going_on(self) -> bool:
        """False once it is plain that every answer will be a refusal."""
        return self.advice() is None

    def advice(self) -> str | None:
        """What to check, where one cause explains that nothing at all, or nothing of one proof, was taken."""
        answered = {status for count in self.counts.values() for status in count.statuses}
        if self.sent and not answered:
            return (
                f"Nothing answers at {self._target.base_url} ({self._last_fault}): start it with `offhook serve`, "
                "or say with --url where it is."
            )
        if answered and answered <= {404, 405}:
            return f"What answers at {self._target.base_url} is no offhook: say with --url where it is."
        if self._is_shut("transcription", "audio", "failure"):
            return _REFUSED.format(proof="signature", option="--webhook-secret", name="webhook-secret")
        if self._is_shut("personalization"):
            return _REFUSED.format(proof="bearer", option="--tool-secret", name="tool-secret")
        return None

    def _is_shut(self, *kinds: Kind) -> bool:
        counts = [self.counts[kind] for kind in kinds]
        return any(401 in count.statuses for count in counts) and not any(count.accepted for count in counts)

    def as_json(self) -> dict[str, Any]:
        total = _sum(list(self.counts.values()))
        by_kind = {kind: _facts(count) for kind, count in self.counts.items() if count.sent}
        rates = {
            "seconds": round(time.monotonic() - self._began, 3),
            "requests_per_second": round(self.requests_per_second, 1),
        }
        return {"calls": self.calls, **_facts(total), **rates, "by_kind": by_kind, "advice": self.advice()}

    def print(self) -> None:
        """A table for people; where nobody watches it is wide enough for everything."""
        table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
        table.add_column("request", no_wrap=True)
        for heading in ("sent", "accepted", "deduplicated", "refused", "median", "slowest"):
            table.add_column(heading, justify="right", no_wrap=True)
        for kind, count in self.counts.items():
            if count.sent:
                table.add_row(kind, *_cells(count))
        table.add_section()
        table.add_row("all", *_cells(_sum(list(self.counts.values()))), style="bold")
        Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH).print(table)


def _sum(counts: list[Count]) -> Count:
    total = Count()
    for name in ("sent", "accepted", "deduplicated", "skipped", "refused", "unanswered"):
        setattr(total, name, sum(getattr(count, name) for count in counts))
    total.latencies_s = [latency for count in counts for latency in count.latencies_s]
    for count in counts:
        for status, times in count.statuses.items():
            total.statuses[status] = total.statuses.get(status, 0) + times
    return total


def _facts(count: Count) -> dict[str, Any]:
    known = {
        name: getattr(count, name) for name in ("sent", "accepted", "deduplicated", "skipped", "refused", "unanswered")
    }
    return {**known, "statuses": count.statuses, "median_ms": count.median_ms, "slowest_ms": count.slowest_ms}


def _cells(count: Count) -> list[str]:
    accepted = f"{count.accepted} ({count.skipped} skipped)" if count.skipped else str(count.accepted)
    refused = [f"{times} x {status}" for status, times in sorted(count.statuses.items()) if status != 200]
    refused += [f"{count.unanswered} unanswered"] if count.unanswered else []
    known = [str(count.sent), accepted, str(count.deduplicated), ", ".join(refused) or "0"]
    return [*known, _ms(count.median_ms), _ms(count.slowest_ms)]


def _ms(milliseconds: float | None) -> str:
    return "-" if milliseconds is None else f"{milliseconds:,.1f} ms"
