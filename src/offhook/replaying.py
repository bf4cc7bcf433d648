"""Events sent back a few at a time, so that what is live waits behind them for a second at most; and the effect `replay`,
which does so with all events that a filter shows."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from typing import Any

import msgspec

from offhook.events import Status
from offhook.ledger import Outcome
from offhook.store import event_lists, events, replays
from offhook.store.database import Database
from offhook.store.effects import Effect, Wish
from offhook.store.event_lists import Wanted

KIND = replays.KIND
MOST = 10_000  #: events of one replay: some minutes
WITHIN_S = 3600.0
BATCH = 200  #: events sent back together
_UNDER_WAY = 100  #: of those before, that may still wait when the next are sent
_LOOK_EVERY_S = 0.1
_WAIT_S = 60.0  #: in which no event comes to its end, until they are left to whoever comes
_TOLD: dict[str, str] = {
    "projected": "understood",
    "quarantined": "set aside again",
    "pending": "still waiting",
    "skipped": "skipped",
}

Standing = tuple[Status, str | None]  #: with its reason
Advance = Callable[[int], None]


async def sent_back(
    database: Database, batches: AsyncIterable[Sequence[str]], wait_s: float, advance: Advance
) -> dict[str, Standing]:
    """How each of these events stands afterwards; all at once when nobody has taken one up for *wait_s*."""
    outcomes: dict[str, Standing] = {}
    watch = _Watch(database, wait_s, advance)
    async for ids in batches:
        await database.write(events.send_back, ids)
        outcomes |= dict.fromkeys(ids, ("pending", None))
        outcomes |= await watch.until_few_wait(ids, _UNDER_WAY)
    return outcomes | await watch.until_few_wait((), 0)


class _Watch:
    """What was sent back and has not come to its end."""

    def __init__(self, database: Database, wait_s: float, advance: Advance) -> None:
        self._database = database
        self._wait_s = wait_s
        self._advance = advance
        self._waiting: dict[str, None] = {}

    async def until_few_wait(self, more: Sequence[str], few: int) -> dict[str, Standing]:
        """Those that came to an end meanwhile; nobody is waited for any more after `wait_s` in which none did."""
        self._waiting |= dict.fromkeys(more)
        ended: dict[str, Standing] = {}
        until = time.monotonic() + self._wait_s
        while len(self._waiting) > few:
            news = await self._look()
            ended |= news
            if news:
                until = time.monotonic() + self._wait_s
            elif time.monotonic() >= until:
                self._wait_s = 0.0
                break
            else:
                await asyncio.sleep(_LOOK_EVERY_S)
        return ended

    async def _look(self) -> dict[str, Standing]:
        ended: dict[str, Standing] = {}
        waiting = list(self._waiting)
        for begin in range(0, len(waiting), 500):
            standing = await self._database.read(events.standing, waiting[begin : begin + 500])
            ended |= {id: one for id, one in standing.items() if one[0] != "pending"}
        for id in ended:
            del self._waiting[id]
        self._advance(len(ended))
        return ended


# All that a filter shows


def wish(org_id: str, key: str, wanted: Wanted, count: int, **facts: str) -> Wish:
    """That the events that *wanted* shows, *count* of them, are understood again; *facts* for whoever reads of it."""
    payload: dict[str, Any] = {"wanted": msgspec.to_builtins(wanted), "events": count, **facts}
    return Wish(kind=KIND, key=key, org_id=org_id, payload=payload)


class Replays:
    """Brings about effects of the kind replay."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def replay(self, effect: Effect) -> Outcome:
        """Begun again after a stop, it takes what the filter still shows: an event understood twice is the same call."""
        wanted = msgspec.convert(effect.payload["wanted"], Wanted)
        ids = await self._database.read(event_lists.replayable, effect.org_id or "", wanted, MOST)
        outcomes = await sent_back(self._database, _batches(ids), _WAIT_S, lambda _: None)
        return Outcome("done", _report(outcomes))


async def _batches(ids: Sequence[str]) -> AsyncIterator[Sequence[str]]:
    for begin in range(0, len(ids), BATCH):
        yield ids[begin : begin + BATCH]


def _report(outcomes: dict[str, Standing]) -> str:
    counts = Counter(status for status, _ in outcomes.values())
    told = ", ".join(f"{count:,} {_TOLD.get(status, status)}" for status, count in counts.most_common())
    return f"{len(outcomes):,} replayed: {told}." if told else "Nothing was left to be replayed."
