"""Long recordings: how fast they are taken, and how much memory that takes."""

import hashlib

from bench.contenders import Contender, MemoryGrowth, Workshop
from bench.letters import Recording
from bench.load import Broken, upload
from bench.outcome import Effort, Figures, Outcome, at_least, at_most, medians

_MIB = 1 << 20


def audio(shop: Workshop, effort: Effort) -> Outcome:
    """One long recording at a time. What is kept must be what was sent."""
    warm_up, long = Recording(_MIB, seed="warm-up"), Recording(256 * _MIB)
    baseline, offhook = [], []
    for _ in range(effort.rounds):
        with shop.baseline() as contender:
            baseline.append(_taken(contender, warm_up, long))
        with shop.offhook() as contender:
            offhook.append(_taken(contender, warm_up, long))
    before, after = medians(baseline), medians(offhook)
    checks = (
        at_least("rate", before["elapsed_s"] / after["elapsed_s"], floor=3, goal=4.3),
        at_most("memory", after["growth_mib"], "MiB", floor=16, goal=4),
    )
    return Outcome(before, after, checks)


def _taken(contender: Contender, warm_up: Recording, long: Recording) -> Figures:
    upload(contender.port, warm_up.request(contender.doors))
    contender.rest(1)  # what is drawn of the first recording would be counted with the second
    growth = MemoryGrowth(contender)
    elapsed_s = upload(contender.port, long.request(contender.doors))
    figures = {"elapsed_s": elapsed_s, "growth_mib": growth.peak_bytes() / _MIB}
    contender.settle(2)
    kept = hashlib.sha256()
    for piece in contender.kept_audio(long.body.conversation_id):
        kept.update(piece)
    if kept.hexdigest() != long.body.mp3_sha256():
        raise Broken("The recording that was kept is not the one that was sent.")
    return figures
