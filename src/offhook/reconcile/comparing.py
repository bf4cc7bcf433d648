"""What ElevenLabs knows beside what is here: what is missing, and the balance of each day. Pure."""

from collections.abc import Collection, Iterable
from datetime import UTC, datetime

import msgspec

from offhook.store.balances import Day, Held, What
from offhook.voice.elevenlabs.history import Known

DAY_S = 86_400.0
OVERLAP_S = DAY_S  #: how far a look goes back behind what is accounted for
FIRST_LOOK_S = 30 * DAY_S
PATIENCE_S = 600.0  #: a webhook may still bring what ended less long ago


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One conversation, there and here."""

    known: Known
    call_id: str
    held: Held
    has_recording: bool | None  #: there; None: it must be asked

    @property
    def lacking(self) -> frozenset[What]:
        """What is not here, as far as is known."""
        lacking: set[What] = set()
        if self.held.conversation in ("missing", "set_aside"):
            lacking.add("conversation")
        if self.held.recording in ("missing", "set_aside") and self.has_recording is not False:
            lacking.add("audio")
        return frozenset(lacking)

    @property
    def is_fetched(self) -> bool:
        return "fetched" in (self.held.conversation, self.held.recording)


def window_begin(reconciled_until: float | None, oldest_open: float | None, now: float) -> float:
    """From when on calls are compared (unix): the beginning of a day, so that its balance is of all of it.

    *oldest_open*: when the first of the calls began of which something is still asked for.
    """
    first = now - FIRST_LOOK_S
    if reconciled_until is None:
        return day_begin(first)
    wanted = min(reconciled_until, now) - OVERLAP_S
    if oldest_open is not None:
        wanted = min(wanted, max(oldest_open, first))
    return day_begin(wanted)


def is_due(known: Known, now: float, patience_s: float) -> bool:
    """Whether all of it should have come by now.

    Without patience what is over is due, whatever the clocks say: ElevenLabs tells whole seconds, by a clock of its own, so
    a call that has just ended may end a little after *now*.
    """
    return known.is_over and (not patience_s or now - known.ended_at >= patience_s)


def balance(cases: Iterable[Case], absent: Collection[str], now: float) -> list[Day]:
    """Of each day on which one of *cases* began; *absent*: conversations of which something is known not to come."""
    counts: dict[str, list[int]] = {}
    for case in cases:
        theirs_ours_fetched = counts.setdefault(day_of(case.known.began_at), [0, 0, 0])
        is_ours = not case.lacking and case.known.conversation_id not in absent
        for position, counted in enumerate((True, is_ours, is_ours and case.is_fetched)):
            theirs_ours_fetched[position] += counted
    return [
        Day(day=day, theirs=theirs, ours=ours, fetched=fetched, absent=theirs - ours, updated_at=now)
        for day, (theirs, ours, fetched) in sorted(counts.items())
    ]


def day_of(at: float) -> str:
    """In UTC."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d}"


def day_begin(at: float) -> float:
    return at // DAY_S * DAY_S
