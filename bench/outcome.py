"""What a row finds: figures of both contenders, each held to the floor that must not be missed and the goal to reach."""

import statistics
from collections.abc import Callable, Sequence

import msgspec

from bench.contenders import Workshop
from bench.load import Run

Figures = dict[str, float]  #: named with their unit


class Effort(msgspec.Struct, frozen=True):
    """How much is measured."""

    rounds: int
    seconds: float  #: of load, for each contender in each round
    contacts: int


class Check(msgspec.Struct, frozen=True):
    """One figure that counts."""

    what: str
    value: float
    unit: str  #: of value, floor and goal; "x": a ratio
    is_more_better: bool
    floor: float | None  #: None: it only has a goal
    goal: float | None  #: None: it only has a floor

    @property
    def is_held(self) -> bool:
        return self.floor is None or self._reaches(self.floor)

    @property
    def is_at_goal(self) -> bool:
        return self.goal is None or self._reaches(self.goal)

    def _reaches(self, mark: float) -> bool:
        return self.value >= mark if self.is_more_better else self.value <= mark


class Outcome(msgspec.Struct, frozen=True):
    """Medians over the rounds, and what they come to."""

    baseline: Figures
    offhook: Figures
    checks: tuple[Check, ...]

    @property
    def verdict(self) -> str:
        """As good as the worst of its figures."""
        if missed := [check.what for check in self.checks if not check.is_held]:
            return f"floor NOT held: {', '.join(missed)}"
        return "goal reached" if all(check.is_at_goal for check in self.checks) else "floor held"


class Row(msgspec.Struct, frozen=True):
    """A row of the table."""

    name: str
    work: str
    measure: Callable[[Workshop, Effort], Outcome]  #: load.NotHere when this machine lacks what it needs


class Line(msgspec.Struct, frozen=True):
    """A row that was measured, or not."""

    row: Row
    outcome: Outcome | None
    said: str  #: the verdict, or why there is none
    is_broken: bool


def at_least(what: str, value: float, unit: str = "x", *, floor: float | None, goal: float | None = None) -> Check:
    return Check(what, value, unit, is_more_better=True, floor=floor, goal=goal)


def at_most(
    what: str, value: float, unit: str = "x", *, floor: float | None = None, goal: float | None = None
) -> Check:
    return Check(what, value, unit, is_more_better=False, floor=floor, goal=goal)


def waits(run: Run) -> Figures:
    return {"p50_ms": run.p50_s * 1e3, "p99_ms": run.p99_s * 1e3}


def medians(rounds: Sequence[Figures]) -> Figures:
    return {name: statistics.median(figures[name] for figures in rounds) for name in rounds[0]}
