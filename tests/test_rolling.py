"""Two servers on one PostgreSQL behind a proxy are restarted in turn, as an upgrade does it, and no sender notices."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.proxy import Proxy
from tests.services import Server
from tests.test_outages import ALEX, know
from tests.traffic import Traffic, filed, left_files, other_than_200, p99_s, pages, settle, wrongly_named

Figure = Callable[..., None]


@pytest.fixture
def replicas(start_server: Callable[..., Server], postgresql_url: str, tmp_path: Path) -> tuple[Server, Server]:
    """Two servers of one organisation, which share the database and the recordings."""
    shared = {"OFFHOOK_STORAGE_URL": f"file://{tmp_path}/recordings"}
    one, two = (start_server(database_url=postgresql_url, env=shared) for _ in range(2))
    two.organization = one.organization
    know(one)
    return one, two


@pytest.mark.parametrize(
    ("rounds", "events_per_s"), [(1, 20), pytest.param(10, 50, marks=pytest.mark.torture, id="20-restarts")]
)
async def test_two_replicas_restarted_in_turn_behind_a_proxy_answer_nobody_but_with_200(
    replicas: tuple[Server, Server], figure: Figure, rounds: int, events_per_s: float
) -> None:
    exit_codes = []
    async with (
        Proxy(replicas) as proxy,
        Traffic(replicas[0], port=proxy.port, events_per_s=events_per_s, greetings_per_s=10) as traffic,
    ):
        for server in replicas * rounds:
            exit_codes.append(await asyncio.to_thread(server.stop))
            await asyncio.to_thread(server.start)
            served = proxy.served.copy()
            while len(proxy.served - served) < len(replicas):  # it has its share of the traffic again
                await asyncio.sleep(0.05)
    await asyncio.to_thread(settle, replicas[0])

    there, answers = filed(replicas[0]), [*traffic.events.values(), *traffic.greetings]
    figure(f"R12: {2 * rounds} rolling restarts of two replicas", answers=len(answers),
           other_than_200=len(other_than_200(answers)), lost=len(set(traffic.events) - set(there)),
           doubled=there.total() - len(there), p99=f"{p99_s(answers) * 1000:.0f} ms",
           slowest=f"{max(answer.took_s for answer in answers):.1f} s", passed_over=proxy.passed_over)  # fmt: skip
    assert [0] * 2 * rounds == exit_codes
    assert [] == other_than_200(answers)
    assert {ALEX} == {answer.said.get("caller_name") for answer in traffic.greetings}
    assert dict.fromkeys(traffic.events, 1) == there
    assert [] == wrongly_named(replicas[0], traffic.events)
    assert {"projected"} == {row["status"] for row in pages(replicas[0], "/api/events", "data")}
    assert proxy.passed_over, "a server was away"
    assert [] == [left for server in replicas for left in left_files(server)]
