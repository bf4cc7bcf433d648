"""Whatever is sent: unsigned it is refused and leaves nothing, signed it is kept and answered with 200."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from random import Random

import httpx
import psutil
import pytest

from tests.malformed import Door, malformed, malformed_without_end, proven, unproven
from tests.services import Server, eventually, signature
from tests.test_doors import DOOR, GREETING_DOOR

MIB = 1 << 20
torture = pytest.mark.torture
_WARM_UP = 500


@pytest.mark.parametrize(
    ("engine", "every"),
    [
        ("sqlite", 7),
        ("postgresql", 31),
        *(pytest.param(*one, marks=torture) for one in (("sqlite", 2), ("postgresql", 2))),
    ],
)
def test_a_thousand_malformed_inputs_are_refused_unsigned_and_kept_signed(
    request: pytest.FixtureRequest, start_server: Callable[..., Server], corpora: Path, engine: str, every: int
) -> None:
    server = start_server(database_url=request.getfixturevalue("postgresql_url") if engine == "postgresql" else "")
    inputs = malformed(corpora)[::every]
    with httpx.Client(base_url=server.base_url, timeout=60) as client:

        def statuses(bodies: Sequence[bytes], path: str, prove: Callable[[bytes], dict[str, str]]) -> set[int]:
            return {client.post(path, content=body, headers=prove(body)).status_code for body in bodies}

        def signed(body: bytes) -> dict[str, str]:
            return {"ElevenLabs-Signature": signature(server.webhook_secret, body)}

        door = f"{DOOR}?org={server.org_id}"
        assert {401} == statuses(inputs, door, lambda body: {"ElevenLabs-Signature": signature("wrong", body)})
        assert {401} == statuses(inputs[::3], DOOR, lambda body: {"Authorization": "Bearer wrong"})
        assert {401} == statuses(inputs[::3], GREETING_DOOR, lambda body: signed(body))
        assert 0 == server.get("/api/events").json()["total"]

        assert {200} == statuses(inputs, door, signed)
        bearer = {"Authorization": f"Bearer {server.tool_secret}"}
        assert {200} == statuses(inputs[::3], GREETING_DOOR, lambda body: bearer)
        assert len(inputs) + len(inputs[::3]) == eventually(
            lambda: all_are_understood_or_set_aside(server), within_s=30, every_s=0.1
        )
        client.headers["Authorization"] = f"Bearer {server.api_key}"
        assert [] == [path for path in places_of_the_api(client) if client.get(path).status_code != 200]


@pytest.mark.parametrize("shared_server", ["sqlite"], indirect=True)  # no database is asked
async def test_white_space_around_a_signature_is_no_part_of_it(shared_server: Server) -> None:
    signed = signature(shared_server.webhook_secret, b"{}")
    head = f"POST {DOOR}?org={shared_server.org_id} HTTP/1.1\r\nContent-Length: 2\r\nElevenLabs-Signature:"
    for header in (f" {signed}", f"{signed}", f"\t {signed} \t", f" {signed} "):
        assert 200 == await status_of(shared_server.port, f"{head}{header}\r\n\r\n{{}}".encode()), header


@pytest.mark.torture
async def test_fifty_thousand_malformed_inputs_are_refused_unsigned_and_kept_signed(
    server: Server, corpora: Path, figure: Callable[..., None], seed: int
) -> None:
    chance = Random(seed)
    door = Door(f"{DOOR}?org={server.org_id}", server.webhook_secret)
    bodies = malformed_without_end(corpora, chance)

    def requests(write: Callable[[Door, bytes, Random], bytes], count: int) -> Iterable[bytes]:
        return (write(door, body, chance) for body in itertools.islice(bodies, count))

    await statuses_of(server, requests(unproven, 2000))
    await statuses_of(server, requests(proven, _WARM_UP))  # there are as many readers now as there will be
    await asyncio.to_thread(eventually, lambda: all_are_understood_or_set_aside(server), within_s=60)
    before_bytes = own_memory(server)
    refused = await statuses_of(server, requests(unproven, 50_000))
    stored_unproven = server.get("/api/events").json()["total"]
    taken = await statuses_of(server, requests(proven, 50_000))
    kept = await asyncio.to_thread(eventually, lambda: all_are_understood_or_set_aside(server), within_s=900, every_s=1)
    grew_bytes = own_memory(server) - before_bytes

    figure("S1: 50,000 malformed inputs, and 50,000 signed", unsigned=dict(refused), stored=stored_unproven - _WARM_UP,
           signed=dict(taken), kept=kept, memory_grew=f"{grew_bytes / MIB:.1f} MiB", seed=seed)  # fmt: skip
    assert 50_000 == sum(count for status, count in refused.items() if 400 <= status < 500)
    assert _WARM_UP == stored_unproven
    assert {200: 50_000} == taken
    assert 50_000 + _WARM_UP == kept
    assert grew_bytes <= 64 * MIB
    assert [] == [line for line in server.log.splitlines() if "webhook.failed" in line or "Traceback" in line]


async def statuses_of(server: Server, requests: Iterable[bytes], *, at_once: int = 16) -> Counter[int]:
    """What each of *requests* is answered with, 0 where it is not; each has a connection of its own."""
    statuses: Counter[int] = Counter()
    waiting = iter(requests)

    async def send() -> None:
        for request in waiting:
            statuses[await status_of(server.port, request)] += 1

    await asyncio.gather(*(send() for _ in range(at_once)))
    return statuses


async def status_of(port: int, request: bytes) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(30):
            writer.write(request)
            answer = await reader.readline()
    except (OSError, TimeoutError):
        return 0
    finally:
        writer.close()
    return int(answer.split()[1]) if answer else 0


def own_memory(server: Server) -> int:
    """What the server and its readers have for themselves, without the pages of mapped files, in bytes."""
    process = psutil.Process(server.pid)
    family = [process, *process.children(recursive=True)]
    return sum(info.rss - info.shared for info in (one.memory_info() for one in family))


def all_are_understood_or_set_aside(server: Server) -> int:
    """How many events there are, once none of them waits."""
    pending = server.get("/api/events", status="pending", limit="1").json()["total"]
    return 0 if pending else int(server.get("/api/events", limit="1").json()["total"])


def places_of_the_api(client: httpx.Client) -> list[str]:
    """Where the API shows what was sent: every list, every call, many events."""
    calls = client.get("/api/calls/history?limit=500").json()["calls"]
    shown = client.get("/api/events?limit=500").json()["data"]
    lists = [f"/api/{name}?limit=500" for name in ("calls/history", "events", "contact-notes", "contacts", "refusals")]
    return [
        *lists,
        *(f"/api/calls/{call['_id']}" for call in calls),
        *(f"/api/events/{one['_id']}" for one in shown[::3]),
    ]
