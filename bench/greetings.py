"""Personalization: who is ringing, asked at fixed times whatever the server does."""

from collections.abc import Sequence
from functools import partial
from itertools import cycle

from bench import contacts
from bench.contenders import Contender, Engine, Workshop
from bench.letters import Recording, bare, questions
from bench.load import open_loop
from bench.outcome import Effort, Figures, Outcome, at_least, at_most, medians, waits

_RATE = 1000
_RATE_BESIDE_AUDIO = 200  #: the baseline answers a few hundred a second when it has nothing else to do
_LONGER = 2  #: so much longer than elsewhere the load goes on: slow rates need time for a 99th percentile
_RECORDING_BYTES = 100_000_000

Marks = tuple[float, float | None]  #: floor and goal


def greetings(shop: Workshop, effort: Effort, *, engine: Engine, p50: Marks, p99: Marks) -> Outcome:
    """A million contacts, 1,000 questions a second; compared with a route of the same server that does nothing."""
    nothing, known = [], []
    with shop.offhook(engine, furnish=partial(contacts.fill, count=effort.contacts)) as server:
        ask = partial(open_loop, server.port, rate=_RATE, seconds=_LONGER * effort.seconds)
        asked = questions(server.doors, effort.contacts)
        ask(asked)
        for _ in range(effort.rounds):
            nothing.append(waits(ask(bare("/api/health/live"))))
            known.append(waits(ask(asked)))
    before, after = medians(nothing), medians(known)
    checks = (
        at_most("p50", after["p50_ms"] / before["p50_ms"], floor=p50[0], goal=p50[1]),
        at_most("p99", after["p99_ms"] / before["p99_ms"], floor=p99[0], goal=p99[1]),
    )
    return Outcome(before, after, checks)


def greetings_beside_audio(shop: Workshop, effort: Effort) -> Outcome:
    """Recordings of 100 MB come in, one after the other, while people ring."""
    recordings = [Recording(_RECORDING_BYTES, seed=str(seed)) for seed in range(16)]
    baseline, offhook = [], []
    for _ in range(effort.rounds):
        with shop.baseline() as contender:
            baseline.append(_asked_beside(contender, recordings, effort.seconds))
        with shop.offhook() as contender:
            offhook.append(_asked_beside(contender, recordings, effort.seconds))
    before, after = medians(baseline), medians(offhook)
    return Outcome(before, after, (at_least("p99 shorter", before["p99_ms"] / after["p99_ms"], floor=30, goal=100),))


def _asked_beside(contender: Contender, recordings: Sequence[Recording], seconds: float) -> Figures:
    ask = partial(open_loop, contender.port, questions(contender.doors, callers=1000), rate=_RATE_BESIDE_AUDIO)
    ask(seconds=seconds / 2)
    arriving = (recording.request(contender.doors) for recording in cycle(recordings))
    return waits(ask(seconds=_LONGER * seconds, uploads=[arriving]))
