"""No calls where there usually are some. Pure.

The same hours of the four weeks before the last call are the measure: eight calls or more on average, and some in each of
them. By chance alone that is one hour in three thousand; nights, weekends and slow lines expect less and are never said.
"""

from collections.abc import Mapping
from typing import NamedTuple

HOUR_S = 3600
_WEEK = 168  #: hours
_WEEKS = 4
_FEWEST_WEEKS = 2  #: of traffic, before anything is usual
_EXPECTED = 8.0
LOOK_BACK_S = 2 * _WEEKS * _WEEK * HOUR_S  #: a silence of four weeks is compared with the four before it


class Silence(NamedTuple):
    hours: int  #: that passed without a call
    expected: float  #: calls that the same hours usually have


def unusual_silence(by_hour: Mapping[int, int], now: float) -> Silence | None:
    """*by_hour*: how many calls began in each hour (unix time / 3600) since LOOK_BACK_S. None when nothing is unusual.

    The hour that is not over yet does not count, and of a long silence the first week is enough.
    """
    hour = int(now // HOUR_S)
    if not by_hour:
        return None
    silent = range(max(by_hour) + 1, hour)
    if not 0 < len(silent) <= _WEEK * _WEEKS:
        return None
    usual = _usual(by_hour, silent[:_WEEK])
    expected = sum(usual) / max(len(usual), 1)
    if len(usual) < _FEWEST_WEEKS or expected < _EXPECTED or not all(usual):
        return None
    return Silence(len(silent), expected)


def _usual(by_hour: Mapping[int, int], silent: range) -> list[int]:
    """The calls in the same hours of each week before, as far as there was traffic at all."""
    first = min(by_hour)
    weeks = [range(silent.start - back * _WEEK, silent.stop - back * _WEEK) for back in range(1, _WEEKS + 1)]
    return [sum(by_hour.get(hour, 0) for hour in week) for week in weeks if week.start >= first]
