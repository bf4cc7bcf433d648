"""The ledger of effects: what is due is leased, brought about, and written down.

An effect is a row before it is an act (store/effects.py); effects.py lists every kind. How an attempt ends:

    an Outcome          done, or suppressed: it shall not be, and says why
    TryLater            again, ever later (5 s, 20 s, ... a day), until its attempts are used up: then dead, until a person
                        says `offhook effects retry`
    GiveUp              dead at once
    the worker dies     its lease runs out, and another worker takes the row

Exactly once is only possible where the receiver takes a key. Where it does not, the act itself writes down that it begins
before it begins, and asks the other side after a crash; see messages.py.
"""

import asyncio
import contextlib
import os
import random
import secrets
import socket
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Literal, NamedTuple

from prometheus_client import Counter as Metric

from offhook.errors import Fault, GiveUp, TryLater, Unavailable
from offhook.logs import log
from offhook.store import effects as effect_rows
from offhook.store.database import Database
from offhook.store.effects import Effect, Wish

LEASE_S = 60.0
_HOLD_EVERY_S = LEASE_S / 4
_MOST_IN_HAND = 8
_LOOK_EVERY_S = 1.0  #: for what other processes wished
_RETRY_S = 2.0  #: how long a database that failed is not asked
_STOP_S = 12.0
_FIRST_DELAY_S, _LONGEST_DELAY_S = 5.0, 86_400.0
FOR_EVER = 1 << 31  #: attempts
_LAST_WORDS = 3  #: attempts more than a kind has: how one ended may have been lost with the database

_ended = Metric("offhook_effects_ended_total", "Effects, by kind and how they ended", ("kind", "outcome"))


class Outcome(NamedTuple):
    """How an effect ended."""

    status: Literal["done", "suppressed"]
    word: str  #: or a sentence, for people


Deed = Callable[[Effect], Awaitable[Outcome]]


class Kind(NamedTuple):
    """One kind of effect: how it is brought about, and how patiently."""

    act: Deed
    attempts: int = 9  #: a day and a half, all in all
    every_s: float | None = None  #: a schedule: after each round it is due again
    jitter: float = 0.0  #: by up to this share of every_s a round comes earlier, so that they do not come all at once
    #: At once in this process, so that others go on while these hang; None: as many as are free.
    hands: int | None = None
    within_s: float = 600.0  #: an attempt that takes longer is broken off
    on_dead: Callable[[Effect, str], Awaitable[None]] | None = None  #: told why, before that is written down


def delay_s(attempts: int, chance: float) -> float:
    """How long to wait after so many attempts. *chance*, from 0 to 1, keeps those apart that failed together."""
    longest = min(_LONGEST_DELAY_S, _FIRST_DELAY_S * 4.0 ** min(attempts - 1, 16))
    return longest * (0.5 + chance / 2)


class Ledger:
    """Brings about what is due, as long as it is started."""

    def __init__(
        self, database: Database, kinds: Mapping[str, Kind], now: Callable[[], float], *, is_alone: bool = False
    ) -> None:
        """*is_alone*: no other process works on this database, so that leases found at the start are dead workers'."""
        self._database = database
        self._is_alone = is_alone
        self._kinds = kinds
        self._now = now
        self._worker = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._in_hand: dict[str, asyncio.Task[None]] = {}
        self._busy: Counter[str] = Counter()  #: how many of a kind are in hand
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._is_begun = False
        self._is_taking = False
        self._is_stopping = False
        self._is_waiting = False

    async def start(self) -> None:
        """Begin with what is due already."""
        self._is_begun = self._is_stopping = False
        self._tasks = [
            asyncio.create_task(self._run(), name="effects"),
            asyncio.create_task(self._hold_on(), name="effects-lease"),
        ]

    async def stop(self) -> None:
        """Finish what is in hand; what takes too long is handed back for others to begin anew."""
        if not self._tasks:
            return
        self._is_stopping = True
        self._wake.set()
        until = time.monotonic() + _STOP_S
        await asyncio.wait(self._tasks[:1], timeout=_STOP_S)  # first: what it is just leasing comes into hand
        if self._in_hand:
            await asyncio.wait(self._in_hand.values(), timeout=max(0.0, until - time.monotonic()))
        unfinished = [*self._in_hand]
        for task in (*self._in_hand.values(), *self._tasks):
            task.cancel()
        await asyncio.gather(*self._in_hand.values(), *self._tasks, return_exceptions=True)
        if unfinished:
            with contextlib.suppress(Unavailable):
                await self._database.write(effect_rows.hand_back, self._worker, unfinished)

    def ring(self) -> None:
        """Something was wished for in this process."""
        self._wake.set()

    async def standing(self) -> effect_rows.Standing:
        return await self._database.read(effect_rows.standing)

    async def drain(self) -> None:
        """Return when nothing is due any more, and nothing in hand."""
        while True:
            is_due = await self._is_something_due(self._kinds)
            if self._is_begun and not self._is_taking and not self._in_hand and not is_due:
                return
            if is_due:  # only then: who is woken again and again is never seen at rest
                self._wake.set()
            await asyncio.sleep(0.01)

    async def _run(self) -> None:
        while not self._is_stopping:
            try:
                await self._begin()
                await self._turn()
            except (Unavailable, Fault) as error:
                self._say_waiting(error.message)
                await asyncio.sleep(_RETRY_S)
            except Exception:
                log.exception("effects.fault")
                await asyncio.sleep(_RETRY_S)
            else:
                self._say_waiting(None)

    async def _begin(self) -> None:
        if self._is_begun:
            return
        await self._database.write(effect_rows.want, self._schedules(), self._now())
        if self._is_alone:
            await self._database.write(effect_rows.free_all)
        self._is_begun = True

    def _schedules(self) -> list[Wish]:
        return [Wish(kind=name, key="") for name, kind in self._kinds.items() if kind.every_s is not None]

    async def _turn(self) -> None:
        """Take what is due into hand, or wait for a ring, the next look, or a free hand."""
        self._wake.clear()
        self._is_taking = True
        try:
            has_taken = await self._take()
        finally:
            self._is_taking = False
        if not has_taken:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), _LOOK_EVERY_S)

    async def _take(self) -> bool:
        """Take into hand what is due, as far as hands are free; False when that was nothing."""
        has_taken = False
        for kinds, hands in self._shares():
            free = min(hands, _MOST_IN_HAND - len(self._in_hand))
            if free > 0 and not self._is_stopping and await self._is_something_due(kinds):
                has_taken |= await self._take_some(kinds, free)
        return has_taken

    def _shares(self) -> list[tuple[list[str], int]]:
        """Kinds, and how many of them may be in hand besides: those without a bound of their own first, and together."""
        bounds = [(name, kind.hands) for name, kind in self._kinds.items() if kind.hands is not None]
        free = [name for name, kind in self._kinds.items() if kind.hands is None]
        return [(free, _MOST_IN_HAND), *(([name], hands - self._busy[name]) for name, hands in bounds)]

    async def _take_some(self, kinds: list[str], free: int) -> bool:
        now = self._now()
        taken = await self._database.write(effect_rows.lease, self._worker, kinds, now, now + LEASE_S, free)
        for effect in taken:
            task = asyncio.create_task(self._bring_about(effect), name=f"effect-{effect.kind}")
            self._in_hand[effect.id] = task
            self._busy[effect.kind] += 1
            task.add_done_callback(lambda _, effect=effect: self._let_go(effect))  # type: ignore[misc]
        return bool(taken)

    async def _is_something_due(self, kinds: Collection[str]) -> bool:
        """A look that writes nothing: most of the time there is nothing to do."""
        return await self._database.read(effect_rows.is_due, [*kinds], self._now())

    def _let_go(self, effect: Effect) -> None:
        self._in_hand.pop(effect.id, None)
        self._busy[effect.kind] -= 1
        self._wake.set()

    async def _hold_on(self) -> None:
        """Tell other workers, as long as we live, that what is in hand is."""
        while True:
            await asyncio.sleep(_HOLD_EVERY_S)
            if not self._in_hand:
                continue
            try:
                await self._database.write(effect_rows.hold, self._worker, [*self._in_hand], self._now() + LEASE_S)
            except Unavailable:
                continue  # the lease outlasts three of these
            except Exception:
                log.exception("effects.fault")

    async def _bring_about(self, effect: Effect) -> None:
        kind = self._kinds[effect.kind]
        if effect.attempts > kind.attempts + _LAST_WORDS and kind.every_s is None:
            # Nobody lived to count them: it would go on ending workers for ever.
            await self._end(effect, "dead", f"Given up: {effect.attempts - 1} attempts ended with their worker.")
            return
        try:
            async with asyncio.timeout(kind.within_s):
                outcome = await kind.act(effect)
        except GiveUp as error:
            await self._end(effect, "dead", error.message)
        except TryLater as error:
            await self._try_later(effect, kind, error.message, error.after_s)
        except TimeoutError:
            await self._try_later(effect, kind, f"It took longer than {kind.within_s:.0f} s.")
        except Unavailable as error:
            await self._try_later(effect, kind, error.message)
        except Exception as error:
            log.exception("effect.fault", kind=effect.kind, effect=effect.id)
            await self._try_later(effect, kind, f"A fault of offhook's own: {type(error).__name__}.")
        else:
            if kind.every_s is None:
                await self._end(effect, outcome.status, outcome.word)
            else:
                await self._come_round(effect, kind.every_s, outcome)

    async def _end(self, effect: Effect, status: effect_rows.Status, outcome: str) -> None:
        if status == "dead":
            log.error("effect.dead", kind=effect.kind, effect=effect.id, call=effect.call_id, reason=outcome)
            await self._tell_dead(effect, outcome)
        _ended.labels(effect.kind, status).inc()
        await self._written(effect_rows.end, effect.id, status, outcome, self._now())

    async def _tell_dead(self, effect: Effect, reason: str) -> None:
        on_dead = self._kinds[effect.kind].on_dead
        if on_dead is None:
            return
        try:
            await on_dead(effect, reason)
        except Exception:  # it is dead all the same, and whoever looks at it must find it so
            log.exception("effect.fault", kind=effect.kind, effect=effect.id)

    async def _try_later(self, effect: Effect, kind: Kind, reason: str, after_s: float | None = None) -> None:
        if effect.attempts >= kind.attempts and kind.every_s is None:
            await self._end(effect, "dead", f"Given up after {effect.attempts} attempts: {reason}")
            return
        wait_s = delay_s(effect.attempts, random.random()) if after_s is None else after_s  # noqa: S311 - no secret
        if kind.every_s is not None:
            wait_s = min(wait_s, kind.every_s)
        log.warning("effect.later", kind=effect.kind, effect=effect.id, reason=reason, wait_s=round(wait_s))
        await self._written(effect_rows.put_back, effect.id, self._now() + wait_s, reason, self._now())

    async def _come_round(self, effect: Effect, every_s: float, outcome: Outcome) -> None:
        early_s = every_s * self._kinds[effect.kind].jitter * random.random()  # noqa: S311 - no secret
        due_at = self._now() + every_s - early_s
        await self._written(effect_rows.put_back, effect.id, due_at, outcome.word, self._now(), is_a_round=True)

    async def _written(self, statement: Callable[..., None], *args: object, **kwargs: object) -> None:
        """How it ended, written down even when the database is away for a while: the act cannot be undone."""
        until = time.monotonic() + LEASE_S / 2
        while True:
            try:
                await self._database.write(statement, self._worker, *args, **kwargs)
            except Unavailable:
                if time.monotonic() > until:
                    log.error("effect.unwritten", effect=str(args[0]))
                    return
                await asyncio.sleep(_RETRY_S)
            else:
                return

    def _say_waiting(self, reason: str | None) -> None:
        if reason and not self._is_waiting:
            log.warning("effects.wait", reason=reason)
        elif self._is_waiting and not reason:
            log.info("effects.go_on")
        self._is_waiting = bool(reason)
