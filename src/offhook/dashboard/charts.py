"""Charts as numbers: where a line goes and how high a bar is. templates/charts.html draws them as SVG.

Everything is geometry in attributes, so that a CSP without inline styles holds, paper shows it, and no script is needed.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

import msgspec

from offhook.voice.contract import Turn

WAVE_W, WAVE_H = 1000, 96
_MID = WAVE_H / 2
_CHARS_A_SECOND = 14  #: an unhurried speaker; whoever wrote less was silent before the next turn began
_LEAST_S = 0.6


class Said(msgspec.Struct):
    """As much of a stored turn as a drawing needs: what else it holds can be a hundred times as long."""

    role: str | None = None
    message: str | None = None
    timestamp: float | None = None


class Stretch(NamedTuple):
    """Somebody speaks from *begin* to *end*, seconds since the call began."""

    role: Literal["agent", "user"]
    begin: float
    end: float
    text: str


class Lanes(NamedTuple):
    """Both speakers about a line in the middle, as SVG paths in a box of WAVE_W by WAVE_H."""

    agent: str
    user: str
    quiet: str
    is_blocks: bool  #: drawn from the transcript; there is no audio, or nobody has looked at it


class Barcode(NamedTuple):
    """Who spoke when, in one glance; both empty where nobody did."""

    agent: str
    user: str
    width: int
    height: int = 18


class Bar(NamedTuple):
    kind: str  #: the class that colours it
    x: float
    y: float
    width: float
    height: float


class Spark(NamedTuple):
    line: str
    area: str


def stretches(turns: Sequence[Said | Turn], duration_s: float) -> list[Stretch]:
    """When who spoke, as far as a transcript tells: a turn has a beginning only, so it lasts as long as its words take,
    and no longer than until the next one begins."""
    spoken = [turn for turn in turns if turn.message and turn.timestamp is not None]
    begins = [min(max(0.0, turn.timestamp or 0.0), duration_s) for turn in spoken]
    found = []
    for turn, (begin, following) in zip(spoken, pairwise([*begins, duration_s]), strict=True):
        text = turn.message or ""
        end = min(max(following, begin), begin + max(_LEAST_S, len(text) / _CHARS_A_SECOND))
        found.append(Stretch("agent" if turn.role == "agent" else "user", begin, max(end, begin + 0.01), text))
    return found


def lanes(spoken: Sequence[Stretch], duration_s: float, peaks: bytes = b"", bars: int = 240) -> Lanes:
    """The waveform; without *peaks* (0-255, evenly spread over the call) blocks where somebody spoke.

    A recording has both speakers in one channel: each bar belongs to whom the transcript has speaking then. Each lane is
    scaled to its own loudest moment, because callers are quiet.
    """
    if duration_s <= 0:
        return Lanes("", "", "", is_blocks=True)
    return _waves(spoken, duration_s, peaks, bars) if peaks else _blocks(spoken, duration_s)


def _blocks(spoken: Sequence[Stretch], duration_s: float) -> Lanes:
    paths = {"agent": "", "user": ""}
    for one in spoken:
        x, until = one.begin / duration_s * WAVE_W, one.end / duration_s * WAVE_W
        top = 14.0 if one.role == "agent" else _MID + 10
        paths[one.role] += f"M{x:.1f} {top:g}H{max(until, x + 2):.1f}V{top + 24:g}H{x:.1f}Z"
    return Lanes(paths["agent"], paths["user"], "", is_blocks=True)


def _waves(spoken: Sequence[Stretch], duration_s: float, peaks: bytes, bars: int) -> Lanes:
    count = len(peaks)
    speakers = _speakers(spoken, duration_s, count)
    loudest = {role: max((p for p, who in zip(peaks, speakers, strict=True) if who == role), default=1) or 1
               for role in ("agent", "user", None)}  # fmt: skip
    paths: dict[str | None, list[str]] = {"agent": [], "user": [], None: []}
    for bar in range(bars):
        first = bar * count // bars
        loud = max(peaks[first : max(first + 1, (bar + 1) * count // bars)])
        who = speakers[min(count - 1, int((bar + 0.5) * count / bars))]
        x, length = (bar + 0.5) / bars * WAVE_W, max(1.5, min(1.0, loud / loudest[who]) * (_MID - 5))
        paths[who].append(_bar_path(who, x, length))
    return Lanes("".join(paths["agent"]), "".join(paths["user"]), "".join(paths[None]), is_blocks=False)


def _bar_path(who: str | None, x: float, length: float) -> str:
    if who == "agent":
        return f"M{x:.1f} {_MID - 1.5}v{-length:.1f}"
    return f"M{x:.1f} {_MID + 1.5}v{length:.1f}" if who == "user" else f"M{x:.1f} {_MID - 1:g}v2"


def _speakers(spoken: Sequence[Stretch], duration_s: float, count: int) -> list[Literal["agent", "user"] | None]:
    """Who speaks at each of *count* moments."""
    speakers: list[Literal["agent", "user"] | None] = [None] * count
    for one in spoken:
        for at in range(int(one.begin / duration_s * count), min(count, int(one.end / duration_s * count) + 1)):
            speakers[at] = one.role
    return speakers


def barcode(spoken: Sequence[Stretch], duration_s: float, width: int = 120) -> Barcode:
    paths = {"agent": "", "user": ""}
    for one in spoken if duration_s > 0 else ():
        x, w = one.begin / duration_s * width, max(1.2, (one.end - one.begin) / duration_s * width)
        paths[one.role] += f"M{x:.1f} {2 if one.role == 'agent' else 10}h{w:.1f}v6h{-w:.1f}z"
    return Barcode(paths["agent"], paths["user"], width)


def columns(values: Sequence[float], *, width: float = 240, height: float = 44, now: int | None = None) -> list[Bar]:
    """A bar for each value; *now* is the one under way."""
    top, step = max([*values, 1]), width / max(1, len(values))
    bars = []
    for place, value in enumerate(values):
        tall = max(3.0, value / top * (height - 2)) if value else 1.5
        kind = "zero" if not value else "now" if place == now else "bar"
        bars.append(_bar(kind, place * step, height, step, tall))
    return bars


def so_far(
    values: Sequence[float], usual: Sequence[float], now: int, width: float = 420, height: float = 40
) -> list[Bar]:
    """The day until *now* in front of what is usual."""
    top, step = max([*values, *usual, 1]), width / max(1, len(values))
    ghosts = [_bar("ghost", at * step, height, step, one / top * (height - 2)) for at, one in enumerate(usual) if one]
    today = [
        _bar("now" if at == now else "bar", at * step, height, step, max(2.0, one / top * (height - 2)))
        for at, one in enumerate(values[: now + 1])
        if one
    ]
    return ghosts + today


def stacked(good: Sequence[float], bad: Sequence[float], width: float = 960, height: float = 64) -> list[Bar]:
    """What went well, and on top of it what did not."""
    top = max([one + other for one, other in zip(good, bad, strict=True)] + [1])
    step = width / max(1, len(good))
    bars = []
    for place, (well, ill) in enumerate(zip(good, bad, strict=True)):
        base = well / top * (height - 4)
        if not well and not ill:
            bars.append(_bar("zero", place * step, height, step, 1.5))
        if well:
            bars.append(_bar("bar", place * step, height, step, base))
        if ill:
            bars.append(_bar("bad", place * step, height - base - 1, step, max(3.0, ill / top * (height - 4))))
    return bars


def spark(values: Sequence[float], *, width: float = 240, height: float = 44, cap: float = 0) -> Spark:
    """A line through the values, and what lies under it; *cap* is at least the top of the scale."""
    top, steps = max([*values, cap]) or 1, max(1, len(values) - 1)
    points = [(at * width / steps, height - 2 - one / top * (height - 6)) for at, one in enumerate(values)]
    line = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points) if points else ""
    return Spark(line, f"{line}L{width:g} {height:g}L0 {height:g}Z" if points else "")


def _bar(kind: str, x: float, bottom: float, step: float, tall: float) -> Bar:
    gap = min(3.0, step / 4)
    return Bar(kind, round(x + gap / 2, 1), round(bottom - tall, 1), round(step - gap, 1), round(tall, 1))
