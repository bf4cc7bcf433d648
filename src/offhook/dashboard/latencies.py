"""How long callers waited for their greeting, as this process has counted it since it started."""

from collections.abc import Sequence
from typing import NamedTuple

from prometheus_client import REGISTRY

_GREETING = "offhook_greeting_seconds"


class Waits(NamedTuple):
    """Both are upper bounds: a histogram knows buckets."""

    callers: int
    typical_s: float
    worst_s: float  #: infinite when the last bucket was not enough


def greetings() -> Waits | None:
    """None when nobody was greeted yet."""
    samples = [
        one for metric in REGISTRY.restricted_registry([f"{_GREETING}_bucket"]).collect() for one in metric.samples
    ]
    return waits([(float(one.labels["le"]), int(one.value)) for one in samples if one.name == f"{_GREETING}_bucket"])


def waits(buckets: Sequence[tuple[float, int]]) -> Waits | None:
    """*buckets*: how many took at most so many seconds, cumulative, in ascending order."""
    total = buckets[-1][1] if buckets else 0
    if not total:
        return None
    typical = next(bound for bound, count in buckets if count * 2 >= total)
    worst = next(bound for bound, count in buckets if count == total)
    return Waits(total, typical, worst)
