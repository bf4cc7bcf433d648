"""Whoever only wants to be in the way is not noticed by those who have something to say."""

import asyncio
import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.services import Server, eventually
from tests.traffic import Answer, Traffic, filed, left_files, other_than_200, p99_s, settle

pytestmark = pytest.mark.torture  # test_doors.py and test_hardening.py have the short ones
Figure = Callable[..., None]
MIB = 1 << 20
QUOTA_MIB = 256


def ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


async def honest(server: Server, name: str, seconds: float) -> Traffic:
    async with Traffic(server, events_per_s=40, greetings_per_s=20, name=name) as traffic:
        await asyncio.sleep(seconds)
    return traffic


def answers_of(traffic: Traffic) -> list[Answer]:
    return [*traffic.events.values(), *traffic.greetings]


@contextmanager
def flood(server: Server, kind: str, counted: dict[str, Any]) -> Iterator[None]:
    """See flood.py; at its end *counted* is what it printed."""
    command = [sys.executable, "-m", "tests.flood", kind, str(server.port), server.org_id]
    root = Path(__file__).parents[1]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        yield
        counted |= json.loads(process.communicate()[0])


async def test_slow_senders_and_idle_connections_keep_no_honest_sender_waiting(server: Server, figure: Figure) -> None:
    """A thousand connections are idle, and five hundred senders give a byte a second, of a head or a body."""
    await honest(server, "warm", 2)
    before = await honest(server, "before", 20)
    counted: dict[str, Any] = {}
    with flood(server, "slow", counted):
        await asyncio.sleep(20)
        during = await honest(server, "during", 45)
    await asyncio.to_thread(settle, server)

    there, answers = filed(server), answers_of(during)
    figure("S12: 1,500 idle and slow connections", answers=len(answers), other_than_200=len(other_than_200(answers)),
           p99_before=ms(p99_s(answers_of(before))), p99_during=ms(p99_s(answers)),
           slowest=ms(max(one.took_s for one in answers)), sent_away=counted["answers"])  # fmt: skip
    assert [] == other_than_200([*answers_of(before), *answers])
    assert [] == [event for event in during.events if there[event] != 1]
    assert counted["answers"]["408"] > 100
    assert p99_s(answers) <= p99_s(answers_of(before)) + 0.1


async def test_a_hundred_unsigned_uploads_keep_to_their_quota_and_harm_no_honest_sender(
    start_server: Callable[..., Server], figure: Figure
) -> None:
    """Each wants to send 1 GiB of what looks like a recording, and begins again when it is sent away."""
    server = start_server(env={"OFFHOOK_UNPROVEN_QUOTA_MIB": str(QUOTA_MIB)})
    await honest(server, "warm", 2)
    counted: dict[str, Any] = {}
    with most_unproven(server) as most, flood(server, "uploads", counted):
        await asyncio.to_thread(eventually, lambda: most[-1] > QUOTA_MIB * MIB / 2, within_s=120)
        during = await honest(server, "during", 45)
    await asyncio.to_thread(eventually, lambda: [] == left_files(server), within_s=60)
    await asyncio.to_thread(settle, server)

    there, answers = filed(server), answers_of(during)
    figure("S13: 100 unsigned uploads of 1 GiB at once", sent=f"{counted['sent_bytes'] / MIB:.0f} MiB",
           sent_away=counted["answers"], most_on_disk=f"{max(most) / MIB:.0f} of {QUOTA_MIB} MiB", honest=len(answers),
           other_than_200=len(other_than_200(answers)), p99=ms(p99_s(answers)),
           lost=sum(there[event] != 1 for event in during.events))  # fmt: skip
    assert [] == other_than_200(answers)
    assert [] == [event for event in during.events if there[event] != 1]
    assert p99_s(answers) <= 1
    assert max(most) <= QUOTA_MIB * MIB
    assert counted["answers"]["413"]
    assert {"413", "408", ""} >= counted["answers"].keys()


@contextmanager
def most_unproven(server: Server) -> Iterator[list[int]]:
    """A list of how many bytes of bodies on their way in lay on disk, which grows within the block."""
    seen, is_over = [0], threading.Event()

    def watch() -> None:
        while not is_over.wait(0.05):
            seen.append(unproven_bytes(server))

    watching = threading.Thread(target=watch)
    watching.start()
    yield seen
    is_over.set()
    watching.join()


def unproven_bytes(server: Server) -> int:
    size_bytes = 0
    for path in (server.data_dir / "recordings" / "incoming").iterdir():
        with contextlib.suppress(FileNotFoundError):
            size_bytes += path.stat().st_size
    return size_bytes
