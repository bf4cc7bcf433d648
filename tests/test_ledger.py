"""Effects: a row first, leased by one, ended with a word."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.errors import GiveUp, TryLater
from offhook.ledger import LEASE_S, Kind, Ledger, Outcome, delay_s
from offhook.store import effects
from offhook.store.database import Database
from offhook.store.effects import Effect, Wish

DONE = Outcome("done", "sent")
Deed = Callable[[Effect], Awaitable[Outcome]]


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def ledger_of(database: Database, clock: Clock, act: Deed, **words: Any) -> Ledger:
    return Ledger(database, {"text": Kind(act, **words)}, clock)


async def brought_about(ledger: Ledger) -> None:
    await ledger.start()
    try:
        async with asyncio.timeout(20):
            await ledger.drain()
    finally:
        await ledger.stop()


async def row_of(database: Database, key: str) -> Any:
    rows, _ = await database.read(effects.page, None)
    return next(row for row in rows if row.key == key)


async def test_what_was_wished_for_many_times_happens_once(database: Database, clock: Clock) -> None:
    happened: list[str] = []

    async def act(effect: Effect) -> Outcome:
        happened.append(effect.key)
        return DONE

    wish = Wish(kind="text", key="call 1", payload={"body": "Hello"})
    for _ in range(3):
        await database.write(effects.want, [wish], clock())
        await brought_about(ledger_of(database, clock, act))
    assert ["call 1"] == happened
    row = await row_of(database, "call 1")
    assert ("done", "sent", 1) == (row.status, row.outcome, row.attempts)


async def test_what_fails_is_tried_again_ever_later_and_then_given_up(database: Database, clock: Clock) -> None:
    begun: list[float] = []

    async def act(effect: Effect) -> Outcome:
        begun.append(clock())
        raise TryLater("The receiver is down.")

    await database.write(effects.want, [Wish(kind="text", key="1")], clock())
    ledger = ledger_of(database, clock, act, attempts=4)
    while (row := await row_of(database, "1")).status == "due":
        clock.now = max(clock.now, row.due_at)
        await brought_about(ledger)
    waits = [later - earlier for earlier, later in pairwise(begun)]
    assert [True] * 3 == [low <= wait <= 2 * low for wait, low in zip(waits, (2.5, 10, 40), strict=True)]
    assert ("dead", "Given up after 4 attempts: The receiver is down.") == (row.status, row.outcome)


async def test_what_will_never_come_about_is_not_tried_again_until_a_person_says_so(
    database: Database, clock: Clock
) -> None:
    answers: list[Outcome | Exception] = [GiveUp("There is no such number."), DONE]

    async def act(effect: Effect) -> Outcome:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    await database.write(effects.want, [Wish(kind="text", key="1", org_id="a" * 24)], clock())
    await brought_about(ledger_of(database, clock, act))
    row = await row_of(database, "1")
    assert ("dead", "There is no such number.") == (row.status, row.outcome)
    assert [] == await database.write(effects.retry, "b" * 24, [row.id], clock())
    assert [row.id] == await database.write(effects.retry, "a" * 24, [row.id], clock())
    await brought_about(ledger_of(database, clock, act))
    assert "done" == (await row_of(database, "1")).status


async def test_a_dead_workers_lease_passes_on_and_its_late_word_counts_no_more(
    database: Database, clock: Clock
) -> None:
    await database.write(effects.want, [Wish(kind="text", key="1")], clock())

    async def lease(worker: str) -> list[Effect]:
        return await database.write(effects.lease, worker, ["text"], clock(), clock() + LEASE_S, 8)

    (effect,) = await lease("the one that dies")
    assert [] == await lease("another")
    clock.now += LEASE_S + 1
    assert [(effect.id, 2)] == [(one.id, one.attempts) for one in await lease("another")]
    await database.write(effects.end, "the one that dies", effect.id, "done", "sent", clock())
    assert "due" == (await row_of(database, "1")).status
    await database.write(effects.end, "another", effect.id, "done", "sent", clock())
    assert "done" == (await row_of(database, "1")).status


async def test_what_ends_every_worker_is_given_up(database: Database, clock: Clock) -> None:
    """Else a server that it takes down goes down at each start."""
    happened: list[str] = []

    async def act(effect: Effect) -> Outcome:
        happened.append(effect.key)
        return DONE

    await database.write(effects.want, [Wish(kind="text", key="1")], clock())
    for _ in range(7):
        await database.write(effects.lease, "one that dies", ["text"], clock(), clock() + LEASE_S, 8)
        clock.now += LEASE_S + 1
    await brought_about(ledger_of(database, clock, act, attempts=4))
    row = await row_of(database, "1")
    assert ("dead", "Given up: 7 attempts ended with their worker.") == (row.status, row.outcome)
    assert [] == happened


async def test_many_workers_share_the_work_and_none_does_what_another_does(database: Database, clock: Clock) -> None:
    happened: Counter[str] = Counter()

    async def act(effect: Effect) -> Outcome:
        happened[effect.key] += 1
        await asyncio.sleep(0.001)
        return DONE

    await database.write(effects.want, [Wish(kind="text", key=str(n)) for n in range(100)], clock())
    await asyncio.gather(*(brought_about(ledger_of(database, clock, act)) for _ in range(4)))
    assert {str(n): 1 for n in range(100)} == happened


async def test_the_end_is_seen_at_once_also_where_each_look_takes_long(
    database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = database.read

    async def slowly(*asked: Any) -> Any:
        await asyncio.sleep(0.01)
        return await read(*asked)

    async def act(effect: Effect) -> Outcome:
        return DONE

    monkeypatch.setattr(database, "read", slowly)
    ledger = Ledger(database, {f"kind {number}": Kind(act, hands=1) for number in range(8)}, clock)
    await database.write(effects.want, [Wish(kind="kind 1", key="1")], clock())
    async with asyncio.timeout(2):
        await brought_about(ledger)
    assert "done" == (await row_of(database, "1")).status


async def test_a_schedule_puts_itself_back(database: Database, clock: Clock) -> None:
    rounds: list[float] = []

    async def act(effect: Effect) -> Outcome:
        rounds.append(clock())
        return DONE

    for _ in range(3):
        await brought_about(ledger_of(database, clock, act, every_s=3600))
        clock.now += 3600
    assert 3 == len(rounds)


async def test_a_schedules_rounds_come_a_little_early_by_chance(database: Database, clock: Clock) -> None:
    async def act(effect: Effect) -> Outcome:
        return DONE

    await brought_about(ledger_of(database, clock, act, every_s=3600, jitter=0.1))
    wait_s = (await row_of(database, "")).due_at - clock()
    assert 0.9 * 3600 <= wait_s < 3600


async def test_a_schedule_is_nothing_that_waits(database: Database, clock: Clock) -> None:
    async def act(effect: Effect) -> Outcome:
        return DONE

    await brought_about(ledger_of(database, clock, act, every_s=3600))
    assert {} == (await database.read(effects.standing)).by_status


async def test_what_hangs_keeps_busy_only_as_many_hands_as_its_kind_has(database: Database, clock: Clock) -> None:
    begun: Counter[str] = Counter()
    may_end = asyncio.Event()

    async def hang(effect: Effect) -> Outcome:
        begun["alert"] += 1
        await may_end.wait()
        return DONE

    async def act(effect: Effect) -> Outcome:
        begun["text"] += 1
        if begun["text"] == 30:
            may_end.set()
            assert 2 == begun["alert"]
        return DONE

    wishes = [Wish(kind="alert", key=str(n)) for n in range(20)] + [Wish(kind="text", key=str(n)) for n in range(30)]
    await database.write(effects.want, wishes, clock())
    await brought_about(Ledger(database, {"alert": Kind(hang, hands=2), "text": Kind(act)}, clock))
    assert {"alert": 20, "text": 30} == begun
    assert {"done": 50} == (await database.read(effects.standing)).by_status


async def test_what_is_in_hand_at_a_stop_is_handed_back_and_costs_no_attempt(
    database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("offhook.ledger._STOP_S", 0.1)
    begun = asyncio.Event()

    async def act(effect: Effect) -> Outcome:
        begun.set()
        await asyncio.sleep(3600)
        return DONE

    await database.write(effects.want, [Wish(kind="text", key="1")], clock())
    ledger = ledger_of(database, clock, act)
    await ledger.start()
    await asyncio.wait_for(begun.wait(), 10)
    await ledger.stop()
    row = await row_of(database, "1")
    assert ("due", 0, None) == (row.status, row.attempts, row.leased_by)


async def test_a_fault_of_our_own_is_tried_again_and_ends_nothing_else(database: Database, clock: Clock) -> None:
    async def act(effect: Effect) -> Outcome:
        if effect.key == "bad":
            raise ZeroDivisionError
        return DONE

    await database.write(effects.want, [Wish(kind="text", key="bad"), Wish(kind="text", key="good")], clock())
    await brought_about(ledger_of(database, clock, act))
    assert "done" == (await row_of(database, "good")).status
    bad = await row_of(database, "bad")
    assert ("due", "A fault of offhook's own: ZeroDivisionError.") == (bad.status, bad.outcome)


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_no_wait_is_longer_than_a_day_or_shorter_than_some_seconds(attempts: int, chance: float) -> None:
    assert 2.5 <= delay_s(attempts, chance) <= 86_400
