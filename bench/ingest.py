"""Transcriptions, as fast as they are answered."""

from collections.abc import Callable
from functools import partial

from bench.contenders import Contender, Engine, Offhook, Workshop, cpu_s
from bench.letters import Transcriptions
from bench.load import closed_loop
from bench.outcome import Check, Effort, Figures, Outcome, at_least, at_most, medians, waits

_KB = 1024
_WARM_UP = 200  #: events before the clock starts
_CPU_LESS = 1527 / 150  #: the floor is 150 µs to accept, on the machine on which the baseline takes 1,527
_FASTEST_BYTES_PER_S = 15_000 * 10 * _KB  #: more is never prepared, and nothing here takes more

Checks = Callable[[Figures, Figures], tuple[Check, ...]]  #: of the baseline's figures and offhook's


def ingest(
    shop: Workshop,
    effort: Effort,
    *,
    checks: Checks,
    engine: Engine = "sqlite",
    size_bytes: int = 10 * _KB,
    connections: int = 32,
    has_slow_fsync: bool = False,
    is_taken_apart: bool = False,
) -> Outcome:
    """*is_taken_apart*: measure besides what accepting alone costs, with nobody to project."""
    letters = Transcriptions(size_bytes, _WARM_UP + int(_FASTEST_BYTES_PER_S * effort.seconds / size_bytes))
    env = shop.slow_fsync if has_slow_fsync else {}
    send = partial(_sent, letters=letters, connections=connections, seconds=effort.seconds)
    baseline, offhook, accepting = [], [], []
    for _ in range(effort.rounds):
        with shop.baseline(engine, env=env) as contender:
            baseline.append(send(contender))
        with shop.offhook(engine, env=env) as contender:
            offhook.append(send(contender))
        if is_taken_apart:
            with shop.offhook(engine, env=env, arguments=["--no-worker"]) as contender:
                accepting.append(send(contender, ends_as="pending"))
    before, after = medians(baseline), medians(offhook)
    if is_taken_apart:
        after["accept_cpu_us"] = medians(accepting)["cpu_us"]
    return Outcome(before, after, checks(before, after))


def _sent(
    contender: Contender, *, letters: Transcriptions, connections: int, seconds: float, ends_as: str = "projected"
) -> Figures:
    send = partial(closed_loop, contender.port, connections=connections, seconds=seconds)
    warm_up = send(letters.requests(contender.doors, 0, _WARM_UP))
    begun_s = cpu_s(contender)
    run = send(letters.requests(contender.doors, _WARM_UP, len(letters)))
    answered_s = cpu_s(contender)
    figures = {"rate": run.rate, **waits(run), "cpu_us": (answered_s - begun_s) / run.answers * 1e6}
    if isinstance(contender, Offhook):
        settling_s = contender.settle(warm_up.answers + run.answers, ends_as)
        figures["settled_rate"] = run.answers / (run.elapsed_s + settling_s)
        figures["settled_cpu_us"] = (cpu_s(contender) - begun_s) / run.answers * 1e6
    return figures


def faster(*, floor: float, goal: float | None = None) -> Checks:
    return lambda baseline, offhook: (at_least("rate", offhook["rate"] / baseline["rate"], floor=floor, goal=goal),)


def faster_and_steady(*, floor: float, goal: float, p99_floor: float) -> Checks:
    """*p99_floor*: how many times shorter the longest waits must be."""

    def checks(baseline: Figures, offhook: Figures) -> tuple[Check, ...]:
        shorter = baseline["p99_ms"] / offhook["p99_ms"]
        return (*faster(floor=floor, goal=goal)(baseline, offhook), at_least("p99 shorter", shorter, floor=p99_floor))

    return checks


def faster_steady_and_cheap(baseline: Figures, offhook: Figures) -> tuple[Check, ...]:
    return (
        *faster_and_steady(floor=8, goal=15, p99_floor=20)(baseline, offhook),
        at_most("p99", offhook["p99_ms"], "ms", goal=12),
        at_least("CPU less", baseline["cpu_us"] / offhook["accept_cpu_us"], floor=_CPU_LESS),
    )
