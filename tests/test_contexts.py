"""A call's context is found again: in the table on both engines, in a real Redis, and without the Redis that was there."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from offhook.contexts import Asked, Context, Contexts, Wanted
from offhook.errors import Unavailable
from offhook.store import contexts, tables
from offhook.store.database import Database
from tests.services import Redis, eventually

ORG, OTHER_ORG = "a" * 24, "b" * 24
ALEX, ACME = "+14165550100", "+12362320246"
START = 1_790_000_000.0
DAY_S = 24 * 3600.0


def asked(number: int = 1, asked_at: float = START, org_id: str = ORG, **facts: Any) -> Asked:
    """Request *number*; it says everything unless *facts* say otherwise."""
    said = {
        "conversation_id": f"conv_{number}",
        "call_sid": f"CA{number}",
        "agent_id": "agent_1",
        "caller": ALEX,
        "called": ACME,
        "variables": {"caller_name": f"Alex {number}"},
    }
    return Asked(f"{number:024}", org_id, Context(asked_at=asked_at, **{**said, **facts}))


def wanted(**facts: Any) -> Wanted:
    return Wanted(**{"org_id": ORG, **facts})


def by_numbers(at: float, until: float | None = None, **facts: Any) -> Wanted:
    said = {"agent_id": "agent_1", "caller": ALEX, "called": ACME, "at": at, "until": until}
    return wanted(**{**said, **facts})


async def recalled(database: Database, *calls: Wanted) -> list[str | None]:
    """The names that the agents of those calls were told."""
    return names(await database.read(contexts.recall, calls))


def names(found: list[Context | None]) -> list[Any]:
    return [context and context.variables["caller_name"] for context in found]


# The table


async def test_a_context_comes_back_as_it_was_kept(database: Database) -> None:
    kept = asked()
    await database.write(contexts.remember, [kept])
    assert [kept.context] == await database.read(contexts.recall, [wanted(call_sid="CA1")])


async def test_call_sid_says_more_than_the_conversation_and_that_more_than_the_numbers(database: Database) -> None:
    await database.write(contexts.remember, [asked(1), asked(2), asked(3, START + 1)])
    all_three = by_numbers(START + 60, call_sid="CA1", conversation_id="conv_2")
    no_such_sid = by_numbers(START + 60, call_sid="CA9", conversation_id="conv_2")
    neither = by_numbers(START + 60, call_sid="CA9", conversation_id="conv_9")
    assert ["Alex 1", "Alex 2", "Alex 3"] == await recalled(database, all_three, no_such_sid, neither)


async def test_a_context_belongs_to_its_organisation(database: Database) -> None:
    await database.write(contexts.remember, [asked()])
    call = by_numbers(START, org_id=OTHER_ORG, call_sid="CA1", conversation_id="conv_1")
    assert [None] == await recalled(database, call)


async def test_a_request_that_is_repeated_replaces_the_one_before(database: Database) -> None:
    first, again = asked(1), asked(2, START + 1, call_sid="CA1", conversation_id=None)
    await database.write(contexts.remember, [again])
    await database.write(contexts.remember, [first])
    await database.write(contexts.remember, [first])
    assert ["Alex 2", "Alex 1"] == await recalled(database, wanted(call_sid="CA1"), wanted(conversation_id="conv_1"))


async def test_each_of_two_calls_a_day_has_its_own_context(database: Database) -> None:
    requests = asked(1, START), asked(2, START + 3600), asked(3, START + 7200)
    await database.write(contexts.remember, requests)
    calls = [by_numbers(START + at) for at in (0, 1, 3599, 3600, 3630, 7199.9, 7200, DAY_S)]
    expected = ["Alex 1", "Alex 1", "Alex 2", "Alex 2", "Alex 2", "Alex 3", "Alex 3", "Alex 3"]
    assert expected == await recalled(database, *calls)


@pytest.mark.parametrize(
    ("expected", "start", "until"),
    [
        (["Alex 1"], START + DAY_S, None),
        ([None], START + DAY_S + 1, None),
        (["Alex 1"], START - 4, None),  # two clocks, and whole seconds
        ([None], START - 60, None),
        ([None], START - 60, START - 1),
        (["Alex 1"], START - 60, START + 42),  # while the call went on
        ([None], None, None),
    ],
)
async def test_numbers_find_a_request_of_the_day_before_the_call_or_while_it_went_on(
    database: Database, expected: list[str | None], start: float | None, until: float | None
) -> None:
    await database.write(contexts.remember, [asked()])
    assert expected == await recalled(database, by_numbers(start, until))  # type: ignore[arg-type]


@pytest.mark.parametrize("unknown", ["agent_id", "caller", "called"])
async def test_withheld_callers_are_not_taken_for_each_other(database: Database, unknown: str) -> None:
    await database.write(contexts.remember, [asked(1, START, ORG, **{unknown: None})])
    assert [None] == await recalled(database, by_numbers(START, **{unknown: None}))


async def test_requests_that_come_late_do_not_change_what_a_replay_finds(database: Database) -> None:
    await database.write(contexts.remember, [asked(1)])
    call = by_numbers(START + 1, START + 43)
    before = await recalled(database, call)
    await database.write(contexts.remember, [asked(2, START + 30), asked(3, START + 3600)])
    assert before == await recalled(database, call)


async def test_endless_ids_find_their_call_and_only_theirs(database: Database) -> None:
    endless = "x" * 50_000
    await database.write(contexts.remember, [asked(call_sid=endless + "1", conversation_id="💥" * 9_000)])
    assert ["Alex 1", None] == await recalled(database, wanted(call_sid=endless + "1"), wanted(call_sid=endless + "2"))


async def test_a_request_that_says_nothing_leaves_no_row(database: Database) -> None:
    nothing = asked(1, START, ORG, conversation_id=None, call_sid=None, caller=None)
    await database.write(contexts.remember, [nothing])
    assert [] == await database.read(_rows)


def _rows(tx: sa.Connection) -> Sequence[sa.Row[Any]]:
    return tx.execute(sa.select(tables.contexts)).all()


# Redis


@asynccontextmanager
async def opened(database: Database, redis_url: str) -> AsyncIterator[Contexts]:
    contexts = Contexts(database, redis_url)
    await contexts.open()
    try:
        yield contexts
    finally:
        await contexts.close()


class NoDatabase:
    """A database that is down."""

    def __init__(self) -> None:
        self.asked = 0

    async def read(self, *_: Any) -> Any:
        self.asked += 1
        raise Unavailable


@pytest.fixture
def no_database(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Redis alone must answer, and a busy machine may take its time."""
    monkeypatch.setattr("offhook.context_cache._ASK_S", 5.0)
    return NoDatabase()


def key_count(server: Redis) -> int:
    return int(server.command("DBSIZE").strip().lstrip(b":"))


async def eventually_holds(server: Redis, keys: int) -> None:
    await asyncio.to_thread(eventually, lambda: keys == key_count(server))


async def recall_one(held: Contexts, call: Wanted) -> Context | None:
    return (await held.recall_all([call]))[0]


async def test_what_redis_holds_is_found_without_the_database(
    no_database: Any, redis_server: Redis, redis_url: str
) -> None:
    async with opened(no_database, redis_url) as held:
        held.remember_soon(asked())
        await eventually_holds(redis_server, 2)
        assert asked().context == await recall_one(held, wanted(call_sid="CA1"))
        assert asked().context == await recall_one(held, wanted(call_sid="CA9", conversation_id="conv_1"))
        assert 0 == no_database.asked
        with pytest.raises(Unavailable):
            await recall_one(held, wanted(org_id=OTHER_ORG, call_sid="CA1"))


async def test_redis_keeps_a_context_for_a_day(database: Database, redis_server: Redis, redis_url: str) -> None:
    async with opened(database, redis_url) as held:
        held.remember_soon(asked(conversation_id=None))
        await eventually_holds(redis_server, 1)
        (key,) = [line for line in redis_server.command("KEYS *").split() if line.startswith(b"offhook:")]
        left_s = int(redis_server.command(f"TTL {key.decode()}").strip().lstrip(b":"))
        assert DAY_S - 10 < left_s <= DAY_S


async def test_what_waits_when_we_stop_is_still_kept(database: Database, redis_server: Redis, redis_url: str) -> None:
    async with opened(database, redis_url) as held:
        for number in range(600):
            held.remember_soon(asked(number))
    assert 1200 == key_count(redis_server)


async def test_calls_that_redis_does_not_know_are_found_in_the_table(
    database: Database, redis_server: Redis, redis_url: str
) -> None:
    await database.write(contexts.remember, [asked(1), asked(3, START + 1)])
    async with opened(database, redis_url) as held:
        held.remember_soon(asked(2))
        await eventually_holds(redis_server, 2)
        calls = [wanted(call_sid="CA2"), wanted(call_sid="CA1"), wanted(call_sid="CA9"), by_numbers(START + 60)]
        assert ["Alex 2", "Alex 1", None, "Alex 3"] == names(await held.recall_all(calls))


async def test_what_another_version_wrote_into_redis_is_passed_over(
    database: Database, redis_server: Redis, redis_url: str
) -> None:
    await database.write(contexts.remember, [asked()])
    key = contexts.exact_keys(ORG, "CA1", None).call_sid
    redis_server.command(f"SET offhook:context:{key} rubbish")
    async with opened(database, redis_url) as held:
        assert asked().context == await recall_one(held, wanted(call_sid="CA1"))


async def test_a_redis_that_hangs_costs_one_short_wait_and_nothing_after_it(
    database: Database, redis_server: Redis, redis_url: str
) -> None:
    await database.write(contexts.remember, [asked()])
    async with opened(database, redis_url) as held:
        held.remember_soon(asked())
        await eventually_holds(redis_server, 2)
        redis_server.freeze()
        try:
            first_s = await seconds_to_recall(held)
            later_s = max([await seconds_to_recall(held) for _ in range(20)])
            held.remember_soon(asked(2))
        finally:
            redis_server.thaw()
    assert first_s < 0.5
    assert later_s < 0.1


async def seconds_to_recall(held: Contexts) -> float:
    begun = time.perf_counter()
    assert asked().context == await recall_one(held, wanted(call_sid="CA1"))
    return time.perf_counter() - begun


async def test_a_redis_that_comes_back_is_used_again(
    no_database: Any, redis_server: Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("offhook.context_cache._REST_S", 0.05)
    async with opened(no_database, redis_url) as held:
        redis_server.stop()
        with pytest.raises(Unavailable):
            await recall_one(held, wanted(call_sid="CA1"))
        redis_server.start()
        await asyncio.sleep(0.1)
        held.remember_soon(asked())
        await eventually_holds(redis_server, 2)
        assert asked().context == await recall_one(held, wanted(call_sid="CA1"))


async def test_a_full_redis_is_nobodys_problem(database: Database, redis_server: Redis, redis_url: str) -> None:
    await database.write(contexts.remember, [asked()])
    redis_server.command("CONFIG SET maxmemory 1")
    try:
        async with opened(database, redis_url) as held:
            held.remember_soon(asked())
            await asyncio.sleep(0.1)
            assert asked().context == await recall_one(held, wanted(call_sid="CA1"))
    finally:
        redis_server.command("CONFIG SET maxmemory 0")


async def test_without_a_redis_there_is_the_table(database: Database) -> None:
    await database.write(contexts.remember, [asked()])
    for url in "", "redis://127.0.0.1:1/0":
        async with opened(database, url) as held:
            held.remember_soon(asked())
            assert asked().context == await recall_one(held, wanted(call_sid="CA1"))
