"""What happens to calls when something breaks: servers killed, databases stopped, hung and locked, disks full.

All of it is real and happens to `offhook serve` itself. `make torture` runs the long versions. Each test says in one line
what it measured; the lines stand together at the end of the run. OUTAGE_SEED repeats a run.
"""

import asyncio
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from random import Random

import pytest

from tests.services import Postgresql, Redis, Server
from tests.traffic import (
    AUDIO,
    CALLER,
    TRANSCRIPTION,
    Answer,
    Event,
    Traffic,
    acknowledged,
    call_id_of,
    deliver_all,
    deliver_steadily,
    filed,
    left_files,
    median_s,
    other_than_200,
    p99_s,
    pages,
    settle,
    slowest_s,
    wrongly_named,
)

torture = pytest.mark.torture
Figure = Callable[..., None]
ALEX = "Alex Morgan"
MIB = 1 << 20


@pytest.fixture
def postgresql_server(durable_postgresql: Postgresql, start_server: Callable[..., Server]) -> Server:
    """A server on a PostgreSQL cluster that may be broken."""
    return start_server(database_url=durable_postgresql.url(durable_postgresql.create_database()))


def know(server: Server) -> None:
    """Make Alex, who rings in all traffic, known."""
    first_name, last_name = ALEX.split()
    server.offhook(
        "contact", "add", server.org_id, "--phone", CALLER, "--first-name", first_name, "--last-name", last_name
    )


def ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


# kill -9


@pytest.mark.parametrize("events", [100, pytest.param(2000, marks=torture)])
@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
async def test_kill_9_loses_and_doubles_nothing_that_was_acknowledged(
    request: pytest.FixtureRequest,
    start_server: Callable[..., Server],
    figure: Callable[..., None],
    seed: int,
    engine: str,
    events: int,
) -> None:
    server = request.getfixturevalue("postgresql_server") if engine == "postgresql" else start_server()
    random = Random(seed)
    wanted = [(AUDIO if n % 10 == 9 else TRANSCRIPTION, f"conv_{n}") for n in range(events)]
    answers: dict[Event, Answer] = {}
    sending = asyncio.create_task(deliver_all(server, wanted, answers))
    kills = 0
    kill_at = random.randrange(events // 2)  # events answered
    while not sending.done():
        await asyncio.sleep(0.005)
        if len(answers) >= kill_at and not sending.done():
            assert -signal.SIGKILL == await asyncio.to_thread(server.stop, signal_number=signal.SIGKILL)
            await asyncio.to_thread(server.start)
            kills += 1
            kill_at = len(answers) + random.randrange(1, 500)
    await sending
    await asyncio.to_thread(settle, server)

    there = filed(server)
    figure(f"kill -9 in the middle, {engine}", events=events, kills=kills, lost=len(set(wanted) - set(there)),
           doubled=there.total() - len(there), other_than_200=len(other_than_200(answers.values())), seed=seed)  # fmt: skip
    assert kills
    assert [] == other_than_200(answers.values())
    assert dict.fromkeys(wanted, 1) == there
    assert [] == wrongly_named(server, answers)
    assert [] == left_files(server)
    assert {"projected"} == {row["status"] for row in pages(server, "/api/events", "data")}
    assert {call_id_of(server, event) for event in wanted} == {
        call["_id"] for call in pages(server, "/api/calls/history", "calls")
    }


@torture
@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
async def test_a_kill_9_a_fifth_of_a_second_after_each_start_loses_and_doubles_nothing(
    request: pytest.FixtureRequest, start_server: Callable[..., Server], figure: Figure, engine: str
) -> None:
    server = request.getfixturevalue("postgresql_server") if engine == "postgresql" else start_server()
    wanted = [(AUDIO if n % 50 == 49 else TRANSCRIPTION, f"conv_{n}") for n in range(10_000)]
    answers: dict[Event, Answer] = {}
    tries: Counter[Event] = Counter()
    is_up = asyncio.Event()
    is_up.set()
    sending = asyncio.create_task(deliver_all(server, wanted, answers, at_once=32, is_up=is_up, tries=tries))
    kills = 0
    while not sending.done():
        await asyncio.sleep(0.2)
        is_up.clear()
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        kills += 1
        is_up.set()
    await sending
    await asyncio.to_thread(settle, server, projected_within_s=600)

    there = filed(server)
    figure(f"R1: kill -9 200 ms after each readiness, {engine}", events=len(answers), kills=kills,
           lost=len(set(wanted) - set(there)), doubled=there.total() - len(there),
           other_than_200=len(other_than_200(answers.values())), sent_again=tries.total() - len(tries),
           most_often=max(tries.values()))  # fmt: skip
    assert [] == other_than_200(answers.values())
    assert dict.fromkeys(wanted, 1) == there
    assert [] == wrongly_named(server, answers)
    assert [] == left_files(server)
    assert {"projected"} == {row["status"] for row in pages(server, "/api/events", "data")}


# The database


def kill(cluster: Postgresql) -> None:
    cluster.kill()


@pytest.mark.parametrize("outage_s", [3, pytest.param(60, marks=torture)])
@pytest.mark.parametrize("outage", ["killed", "hung"])
async def test_a_postgresql_that_is_away_costs_no_event_and_nobody_waits(
    durable_postgresql: Postgresql,
    postgresql_server: Server,
    figure: Callable[..., None],
    outage: str,
    outage_s: float,
) -> None:
    server, cluster = postgresql_server, durable_postgresql
    know(server)
    leave, come_back = (cluster.kill, cluster.start) if outage == "killed" else (cluster.freeze, cluster.thaw)
    async with Traffic(server, events_per_s=100, greetings_per_s=10, looks_per_s=4) as traffic:
        await asyncio.sleep(1)
        await asyncio.to_thread(leave)
        await asyncio.sleep(outage_s)
        await asyncio.to_thread(come_back)
        back_at = time.monotonic()
        await asyncio.sleep(1)
    drained_s = time.monotonic() - back_at + await asyncio.to_thread(settle, server)

    there, answers = filed(server), traffic.events
    figure(f"R4: PostgreSQL {outage} for {outage_s} s, 100 events a second", events=len(answers),
           other_than_200=len(other_than_200(answers.values())), lost=len(set(acknowledged(answers)) - set(there)),
           doubled=there.total() - len(there), p99=ms(p99_s(answers.values())), drained_in=f"{drained_s:.1f} s",
           greeting_p99=ms(p99_s(traffic.greetings)), live_p99=ms(p99_s(traffic.looks["live"])))  # fmt: skip
    assert [] == other_than_200(answers.values())
    assert [] == wrongly_named(server, answers)
    assert dict.fromkeys(answers, 1) == there
    tail_s, worst_s = (p99_s, slowest_s) if outage_s > 3 else (median_s, median_s)
    assert tail_s(answers.values()) <= 1
    assert drained_s <= 30
    assert [] == left_files(server)
    assert [] == other_than_200([*traffic.greetings, *traffic.looks["live"], *traffic.looks["ready"]])
    assert worst_s(traffic.greetings) <= 1.5
    assert worst_s(traffic.looks["live"]) <= 0.5
    assert worst_s(traffic.looks["ready"]) <= 0.5
    assert ALEX == server.ask({"caller_id": CALLER}).json()["caller_name"]
    assert len({event[1] for event in answers}) == server.get("/api/calls/history").json()["total"]


@pytest.mark.parametrize("locked_s", [5, pytest.param(20, marks=torture)])
async def test_an_sqlite_that_another_process_locks_costs_no_event(
    server: Server, figure: Figure, locked_s: float
) -> None:
    know(server)
    async with Traffic(server, events_per_s=100, greetings_per_s=10, looks_per_s=4) as traffic:
        await asyncio.sleep(1)
        with locked(server.data_dir / "offhook.db"):
            await asyncio.sleep(locked_s)
        unlocked_at = time.monotonic()
        await asyncio.sleep(1)
    drained_s = time.monotonic() - unlocked_at + await asyncio.to_thread(settle, server)

    there, answers = filed(server), traffic.events
    figure(f"SQLite locked for {locked_s} s, 100 events a second", events=len(answers),
           other_than_200=len(other_than_200(answers.values())), lost=len(set(answers) - set(there)),
           doubled=there.total() - len(there), p99=ms(p99_s(answers.values())), drained_in=f"{drained_s:.1f} s",
           greeting_p99=ms(p99_s(traffic.greetings)))  # fmt: skip
    assert [] == other_than_200(
        [*answers.values(), *traffic.greetings, *traffic.looks["live"], *traffic.looks["ready"]]
    )
    assert dict.fromkeys(answers, 1) == there
    tail_s = p99_s if locked_s > 5 else median_s
    assert tail_s(answers.values()) <= 1, "nobody waits for the lock"
    assert tail_s(traffic.greetings) <= 0.5
    assert {ALEX} == {answer.said.get("caller_name") for answer in traffic.greetings}
    assert [] == left_files(server)


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Another process holds the database's write lock."""
    program = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('BEGIN EXCLUSIVE'); print(); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdin
        assert holder.stdout
        assert holder.stdout.readline()
        yield
        holder.stdin.close()


# Redis

_LIMIT = "CONFIG SET maxmemory "


@pytest.mark.parametrize("times", [1, pytest.param(5, marks=torture)])
async def test_whatever_becomes_of_redis_nobody_notices(
    start_server: Callable[..., Server], redis_server: Redis, redis_url: str, figure: Figure, times: int
) -> None:
    server = start_server(redis_url=redis_url)
    know(server)
    troubles: list[tuple[Callable[[], object], float, Callable[[], object]]] = [
        (redis_server.freeze, 2, redis_server.thaw),
        (redis_server.flush, 0.5, redis_server.flush),
        (partial(redis_server.command, _LIMIT + "1"), 1, partial(redis_server.command, _LIMIT + "0")),
        (redis_server.kill, 2, redis_server.start),
        (redis_server.stop, 1, redis_server.start),
    ]
    async with Traffic(server, events_per_s=40, greetings_per_s=40) as traffic:
        for trouble, lasting_s, cure in troubles * times:
            await asyncio.to_thread(trouble)
            await asyncio.sleep(lasting_s)
            await asyncio.to_thread(cure)
            await asyncio.sleep(0.5)
    await asyncio.to_thread(settle, server)

    figure(f"R6: Redis hung, flushed, full, killed, stopped, {times} x",
           greetings=len(traffic.greetings), events=len(traffic.events),
           other_than_200=len(other_than_200([*traffic.greetings, *traffic.events.values()])),
           greeting_p99=ms(p99_s(traffic.greetings)), event_p99=ms(p99_s(traffic.events.values())))  # fmt: skip
    assert [] == other_than_200([*traffic.greetings, *traffic.events.values()])
    assert {ALEX} == {answer.said.get("caller_name") for answer in traffic.greetings}
    assert (p99_s if times > 1 else median_s)(traffic.greetings) <= 0.5
    assert dict.fromkeys(traffic.events, 1) == filed(server)


# Two servers


@pytest.mark.parametrize("events", [200, pytest.param(2000, marks=torture)])
async def test_two_servers_that_get_the_same_events_at_once_keep_each_once(
    start_server: Callable[..., Server], postgresql_url: str, figure: Figure, events: int
) -> None:
    one, two = (start_server(database_url=postgresql_url) for _ in range(2))
    two.organization = one.organization
    wanted = [(TRANSCRIPTION, f"conv_{n}") for n in range(events)]
    first: dict[Event, Answer] = {}
    second: dict[Event, Answer] = {}
    await asyncio.gather(deliver_all(one, wanted, first), deliver_all(two, wanted, second))
    await asyncio.to_thread(settle, one)

    repetitions = {
        event: [answers[event].said.get("deduplicated", False) for answers in (first, second)] for event in wanted
    }
    there = filed(one)
    figure("the same events to two servers at once", events=len(wanted), rows=there.total(),
           other_than_200=len(other_than_200([*first.values(), *second.values()])),
           deduplicated_once=sum(sorted(said) == [False, True] for said in repetitions.values()),
           won_by_the_second=sum(said == [True, False] for said in repetitions.values()))  # fmt: skip
    assert [] == other_than_200([*first.values(), *second.values()])
    assert {(False, True)} == {tuple(sorted(said)) for said in repetitions.values()}
    assert dict.fromkeys(wanted, 1) == there
    assert len(wanted) == one.get("/api/calls/history").json()["total"]


# Poison


@pytest.fixture
def poisonable_server(tmp_path: Path, secret_key: str) -> Iterator[Server]:
    """A server whose reader fails as events tell it to, see poisonous_reader.py."""
    server = Server(tmp_path / "poisonable", secret_key=secret_key)
    server.run_instead(sys.executable, "-c", _WITH_POISONOUS_READER, str(Path(__file__).parent / "poisonous_reader.py"))
    server.organization = server.create_organization()
    server.start()
    yield server
    server.kill()


_WITH_POISONOUS_READER = """
import sys
from offhook import cli
from offhook.projection import projector
poisonous = sys.argv.pop(1)
projector.reader_command = lambda recordings: (sys.executable, poisonous, str(recordings))
sys.exit(cli.main())
"""


@pytest.mark.parametrize(
    ("events", "poisons"),
    [
        (300, ["raise", "die", "hang"]),
        pytest.param(
            10_000, (["raise", "die", "hang", "eat", "sleep", "leave", "shout"] * 15)[:100], marks=torture, id="10000"
        ),
    ],
)
async def test_poison_is_set_aside_and_all_others_are_understood(
    poisonable_server: Server, figure: Figure, seed: int, events: int, poisons: list[str]
) -> None:
    server = poisonable_server
    poisonous = [(TRANSCRIPTION, f"conv_{n} poison: {kind}") for n, kind in enumerate(poisons)]
    good = [(TRANSCRIPTION, f"conv_{n} good") for n in range(events - len(poisons))]
    answers: dict[Event, Answer] = {}
    begun = time.monotonic()
    await deliver_steadily(server, Random(seed).sample([*poisonous, *good], events), answers, per_s=100)
    sent_s = time.monotonic() - begun
    await asyncio.to_thread(settle, server, projected_within_s=900)

    waited_s = sorted(seconds_to_be_understood(server))
    understood_s = waited_s[int(len(waited_s) * 0.99)]
    figure(f"R15: {len(poisons)} poisonous of {events} events, 100/s", other_than_200=len(other_than_200(answers.values())),
           sent_in=f"{sent_s:.0f} s", understood=len(standing(server, "projected")),
           quarantined=len(standing(server, "quarantined")), others_understood_within=f"{understood_s:.1f} s (p99)",
           slowest=f"{waited_s[-1]:.1f} s", seed=seed)  # fmt: skip
    assert [] == other_than_200(answers.values())
    assert {event[1] for event in good} == standing(server, "projected")
    assert {event[1] for event in poisonous} == standing(server, "quarantined")
    assert understood_s <= 10


def seconds_to_be_understood(server: Server) -> list[float]:
    """Of each event that was, from its arrival on, as the server's database on SQLite has it."""
    with closing(sqlite3.connect(server.data_dir / "offhook.db")) as database:
        rows = database.execute("SELECT projected_at - received_at FROM events WHERE status = 'projected'")
        return [seconds for (seconds,) in rows]


def standing(server: Server, status: str) -> set[str]:
    """The conversations of all events that stand so."""
    return {row["conversationId"] for row in pages(server, "/api/events", "data", status=status)}


# SIGTERM


@pytest.mark.parametrize("is_fickle", [True, False], ids=["connections used once", "connections kept"])
async def test_a_server_that_is_told_to_stop_answers_whoever_is_connected_and_ends_with_0(
    server: Server, figure: Figure, is_fickle: bool
) -> None:
    async with Traffic(server, events_per_s=80, greetings_per_s=20, is_fickle=is_fickle) as traffic:
        await asyncio.sleep(1)
        exit_code, took_s = await told_to_stop(server)
    await asyncio.to_thread(server.start)
    await asyncio.to_thread(settle, server)

    there, answers = filed(server), [*traffic.events.values(), *traffic.greetings]
    cut = [answer for answer in answers if answer.status is None and "Refused" not in answer.fault]
    figure(f"told to stop, connections {'used once' if is_fickle else 'kept'}", exit_code=exit_code,
           took=f"{took_s:.1f} s", answers_of_200=sum(answer.status == 200 for answer in answers), cut=len(cut),
           lost=sum(there[event] != 1 for event in acknowledged(traffic.events)))  # fmt: skip
    assert 0 == exit_code
    assert [] == cut
    assert {200, None} == {answer.status for answer in answers}
    assert [] == [event for event in acknowledged(traffic.events) if there[event] != 1]


@torture
async def test_a_server_that_is_told_to_stop_while_its_database_hangs_ends_with_0_too(
    durable_postgresql: Postgresql, postgresql_server: Server, figure: Figure
) -> None:
    server = postgresql_server
    async with Traffic(server, events_per_s=40, greetings_per_s=10) as traffic:
        await asyncio.sleep(1)
        await asyncio.to_thread(durable_postgresql.freeze)
        await asyncio.sleep(2)
        exit_code, took_s = await told_to_stop(server)
    await asyncio.to_thread(durable_postgresql.thaw)
    await asyncio.to_thread(server.start)
    await asyncio.to_thread(settle, server)

    there = filed(server)
    figure("told to stop while PostgreSQL hangs", exit_code=exit_code, took=f"{took_s:.1f} s",
           answers_of_200=len(acknowledged(traffic.events)),
           lost=sum(there[event] != 1 for event in acknowledged(traffic.events)))  # fmt: skip
    assert 0 == exit_code
    assert [] == [event for event in acknowledged(traffic.events) if there[event] != 1]


async def told_to_stop(server: Server) -> tuple[int, float]:
    """Its exit code, and the seconds that it took."""
    begun = time.monotonic()
    exit_code = await asyncio.to_thread(server.stop, within_s=30)
    return exit_code, time.monotonic() - begun
