"""What happens to bodies on their way to disk: recordings of any size, bodies cut short, full disks, failing fsyncs.

All of it is real and happens to `offhook serve` itself, as in test_outages.py.
"""

import asyncio
import contextlib
import hashlib
import http.client
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Self

import httpx
import psutil
import pytest

from tests.services import Server, eventually, signature
from tests.traffic import (
    AUDIO,
    DOOR,
    TRANSCRIPTION,
    Answer,
    Event,
    LongRecording,
    Traffic,
    acknowledged,
    body_of,
    call_id_of,
    deliver_all,
    filed,
    left_files,
    other_than_200,
    pages,
    recording_of,
    settle,
)

torture = pytest.mark.torture
Figure = Callable[..., None]
MIB = 1 << 20


# Large recordings


@pytest.mark.parametrize(("size_mib", "may_grow_mib"), [(256, 16), pytest.param(1024, 32, marks=torture)])
def test_a_recording_of_any_size_is_kept_whole_in_little_memory(
    server: Server, figure: Figure, size_mib: int, may_grow_mib: int
) -> None:
    warm_up = LongRecording("conv_warm", 8 * MIB)
    assert 200 == upload(server, warm_up, server.webhook_secret)
    eventually(lambda: server.get(f"/api/calls/{call_id_of(server, warm_up.event)}/audio").status_code == 200)
    recording = LongRecording("conv_long", size_mib * MIB)
    with MemoryOf(server) as memory:
        begun = time.monotonic()
        assert 200 == upload(server, recording, server.webhook_secret)
        took_s = time.monotonic() - begun
        path = f"/api/calls/{call_id_of(server, recording.event)}"
        eventually(lambda: server.get(f"{path}/recording").status_code == 200)
        sha256, size_bytes = audio_of(server, path)

    figure(f"R9: a recording of {size_mib} MiB, chunked", took=f"{took_s:.1f} s",
           memory_grew=f"{memory.grew_bytes / MIB:.1f} MiB",
           sha256="equal" if sha256 == recording.sha256 else "different")  # fmt: skip
    assert (recording.sha256, recording.size_bytes) == (sha256, size_bytes)
    assert memory.grew_bytes <= may_grow_mib * MIB


@torture
def test_eight_recordings_at_once_are_kept_whole_in_little_memory(server: Server, figure: Figure) -> None:
    warm_up = LongRecording("conv_warm", 8 * MIB)
    assert 200 == upload(server, warm_up, server.webhook_secret)
    recordings = [LongRecording(f"conv_{n}", 256 * MIB) for n in range(8)]
    with MemoryOf(server) as memory, ThreadPoolExecutor(8) as senders:
        begun = time.monotonic()
        statuses = list(senders.map(lambda one: upload(server, one, server.webhook_secret), recordings))
        took_s = time.monotonic() - begun
        paths = [f"/api/calls/{call_id_of(server, one.event)}" for one in recordings]
        eventually(lambda: {200} == {server.get(f"{path}/recording").status_code for path in paths}, within_s=60)
    kept = [audio_of(server, path) for path in paths]
    equal = sum(one == (sent.sha256, sent.size_bytes) for one, sent in zip(kept, recordings, strict=True))
    figure("R9: 8 recordings of 256 MiB at once, chunked", took=f"{took_s:.1f} s", answers_of_200=statuses.count(200),
           memory_grew=f"{memory.grew_bytes / MIB:.1f} MiB", sha256_equal=equal)  # fmt: skip
    assert ([200] * 8, 8) == (statuses, equal)
    assert memory.grew_bytes <= 128 * MIB


def test_a_wrong_signature_at_the_end_of_a_large_recording_leaves_nothing(server: Server, figure: Figure) -> None:
    with MemoryOf(server) as memory:
        assert 401 == upload(server, LongRecording("conv_wrong", 256 * MIB), "not the secret")
    left = [*bodies_and_recordings(server), *left_files(server)]
    figure("256 MiB with a wrong signature at the end", rows=len(pages(server, "/api/events", "data")), files=len(left),
           most_on_disk=f"{memory.most_on_disk_bytes / MIB:.0f} MiB")  # fmt: skip
    assert memory.most_on_disk_bytes > 64 * MIB, "it flowed to disk"
    assert ([], []) == (pages(server, "/api/events", "data"), left)


@pytest.mark.parametrize("times", [20, pytest.param(200, marks=torture)])
def test_a_body_cut_short_anywhere_leaves_nothing(server: Server, figure: Figure, seed: int, times: int) -> None:
    random = Random(seed)
    answered = [answer for _ in range(times) if (answer := cut_short(server, random))]
    eventually(lambda: not [*bodies_and_recordings(server), *left_files(server)])
    rows = pages(server, "/api/events", "data")
    figure(f"R10: {times} recordings cut short at random", answers_of_200=answered.count(200), rows=len(rows),
           bytes_left=bytes_on_disk(server), seed=seed)  # fmt: skip
    assert [] == rows
    assert 200 not in answered
    assert 200 == server.deliver(body_of((AUDIO, "conv_whole"))).status_code


def upload(server: Server, recording: LongRecording, secret: str) -> int:
    """Send a recording with Transfer-Encoding: chunked; the answer's status."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    headers = {"ElevenLabs-Signature": recording.signature(secret), "Transfer-Encoding": "chunked"}
    url = f"{DOOR}?org={server.org_id}"
    connection.request("POST", url, body=recording.pieces(), headers=headers, encode_chunked=True)
    status = connection.getresponse().status
    connection.close()
    return status


def audio_of(server: Server, path: str) -> tuple[str, int]:
    """sha256 and size of a call's recording, as GET audio gives it."""
    sha256, size_bytes = hashlib.sha256(), 0
    headers = {"Authorization": f"Bearer {server.api_key}"}
    with httpx.stream("GET", f"{server.base_url}{path}/audio", headers=headers, timeout=60) as answer:
        assert 200 == answer.status_code
        for piece in answer.iter_raw(MIB):
            sha256.update(piece)
            size_bytes += len(piece)
    return sha256.hexdigest(), size_bytes


def cut_short(server: Server, random: Random) -> int | None:
    """Send a random part of a recording and go away; the status of the answer, if there was one before."""
    body = body_of((AUDIO, f"conv_{random.random()}"))
    part = body[: random.randrange(len(body))]
    is_chunked, is_rude = random.random() < 0.5, random.random() < 0.5
    length = "Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {len(body)}"
    proof = f"ElevenLabs-Signature: {signature(server.webhook_secret, body)}"
    head = f"POST {DOOR}?org={server.org_id} HTTP/1.1\r\nHost: offhook\r\n{length}\r\n{proof}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as wire:
        wire.sendall(head + (b"%x\r\n%b" % (len(body), part) if is_chunked else part))
        if is_rude:
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close() resets
            return None
        wire.shutdown(socket.SHUT_WR)
        answer = wire.recv(1000)
    return int(answer.split()[1]) if answer else None


def bodies_and_recordings(server: Server) -> list[Path]:
    kept = (server.data_dir / "recordings", server.data_dir / "bodies")
    return [path for folder in kept for path in folder.rglob("*") if path.is_file()]


def bytes_on_disk(server: Server) -> int:
    size_bytes = 0
    for path in bodies_and_recordings(server):
        with contextlib.suppress(FileNotFoundError):  # it is gone already
            size_bytes += path.stat().st_size
    return size_bytes


class MemoryOf:
    """How much a server's memory, its children's included, grows within the block, and how much lies in its files."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._is_over = threading.Event()
        self._watching = threading.Thread(target=self._watch)
        self.most_on_disk_bytes = 0

    def __enter__(self) -> Self:
        self._before_bytes = self._most_bytes = self._now_bytes()
        self._watching.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._watching.join()

    @property
    def grew_bytes(self) -> int:
        return self._most_bytes - self._before_bytes

    def _watch(self) -> None:
        while not self._is_over.wait(0.02):
            self._most_bytes = max(self._most_bytes, self._now_bytes())
            self.most_on_disk_bytes = max(self.most_on_disk_bytes, bytes_on_disk(self._server))

    def _now_bytes(self) -> int:
        server = psutil.Process(self._server.pid)
        return sum(process.memory_info().rss for process in [server, *server.children(recursive=True)])


# Disks


@pytest.mark.parametrize("full_s", [4, pytest.param(30, marks=torture)])
async def test_a_full_disk_is_503_loses_nothing_and_is_over_when_there_is_space(
    small_disk: Path, start_server: Callable[..., Server], figure: Figure, full_s: float
) -> None:
    server = start_server()
    async with Traffic(server, events_per_s=30, looks_per_s=2) as traffic:
        await asyncio.sleep(1)
        filler = await asyncio.to_thread(fill, small_disk)
        await asyncio.sleep(full_s)
        filler.unlink()
        await asyncio.sleep(2)
    await asyncio.to_thread(settle, server)

    there, answers = filed(server), list(traffic.events.values())
    whole = [event for event in acknowledged(traffic.events) if event[0] == TRANSCRIPTION or is_whole(server, event)]
    figure(f"disk full for {full_s} s, 30 events a second", events=len(answers),
           answers_of_200=sum(answer.status == 200 for answer in answers),
           answers_of_503=sum(answer.status == 503 for answer in answers),
           others=sum(answer.status not in (200, 503) for answer in answers),
           lost=len(acknowledged(traffic.events)) - len(whole), doubled=there.total() - len(there))  # fmt: skip
    assert {200, 503} == {answer.status for answer in answers}
    assert [] == [event for event in acknowledged(traffic.events) if there[event] != 1]
    assert acknowledged(traffic.events) == whole
    assert there.total() == len(there)
    assert [] == other_than_200(answers[-20:])
    assert {"projected"} == {row["status"] for row in pages(server, "/api/events", "data")}
    assert [] == other_than_200(traffic.looks["live"])
    assert [] == left_files(server)


@pytest.mark.parametrize(
    ("small_disk", "small_events"),
    [("256", 1000), pytest.param("512 ext4", 8000, marks=torture)],
    indirect=["small_disk"],
)
async def test_on_a_full_disk_a_thousand_small_events_are_taken_after_recordings_are_refused(
    small_disk: Path, start_server: Callable[..., Server], figure: Figure, small_events: int
) -> None:
    """With the default ballast, of which a small disk gives an eighth; what has no room in the end is answered with 503."""
    server = start_server(env={"OFFHOOK_BALLAST_MIB": "64"})
    eventually(lambda: (small_disk / "spool" / "ballast").exists())
    filler = await asyncio.to_thread(fill, small_disk)
    eventually(lambda: "refused" == server.get("/api/health").json()["recordings"])
    assert 503 == server.deliver(body_of((AUDIO, "conv_refused"))).status_code

    answers: dict[Event, Answer] = {}
    await deliver_all(server, [(TRANSCRIPTION, f"conv_{n}") for n in range(small_events)], answers)
    refused = server.deliver(body_of((AUDIO, "conv_refused"))).status_code
    health = server.get("/api/health").json()
    assert ["released"] == [folder["ballast"] for folder in health["spool"]]
    assert "ok" not in [disk["level"] for disk in health["disks"]]
    filler.unlink()
    eventually(lambda: (small_disk / "spool" / "ballast").exists(), within_s=60)
    await asyncio.to_thread(settle, server)
    taken, there = acknowledged(answers), filed(server)
    figure(f"R8: {small_events} small events, disk full, 64 MiB of ballast", answers_of_200=len(taken),
           answers_of_503=sum(answer.status == 503 for answer in answers.values()), a_recording=refused,
           lost=sum(there[event] != 1 for event in taken), doubled=there.total() - len(there))  # fmt: skip
    assert 503 == refused
    assert len(taken) >= 1000
    assert {200, 503} >= {answer.status for answer in answers.values()}
    assert dict.fromkeys(taken, 1) == there
    eventually(lambda: 200 == server.deliver(body_of((AUDIO, "conv_refused"))).status_code)


def fill(disk: Path) -> Path:
    """Leave not a byte free."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size_bytes in (MIB, 4096, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size_bytes))
    return filler


def is_whole(server: Server, event: Event) -> bool:
    """Whether the recording is there as it was sent."""
    sha256, _ = audio_of(server, f"/api/calls/{call_id_of(server, event)}")
    return sha256 == hashlib.sha256(recording_of(event[1])).hexdigest()


# fsync

#: What strace makes fail, and what is answered then. SQLite calls fdatasync, all else fsync. A spool folder that failed once
#: is left alone, so one fsync that fails is enough.
FAULTS: dict[str, tuple[tuple[str, ...], dict[str, int]]] = {
    "everything": (("fsync,fdatasync:error=EIO",), {TRANSCRIPTION: 503, AUDIO: 503}),
    "all but the database": (("fsync:error=EIO",), {TRANSCRIPTION: 200, AUDIO: 503}),
    "the database": (("fdatasync:error=EIO",), {TRANSCRIPTION: 200, AUDIO: 200}),
    "the database and the first spool": (("fdatasync:error=EIO", "fsync:error=EIO:when=1"), {TRANSCRIPTION: 200}),
}


async def test_what_cannot_be_made_durable_is_never_acknowledged(
    start_server: Callable[..., Server], tmp_path: Path, figure: Figure
) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed, which makes fsync fail: this test does not run.")
    spools = tmp_path / "spool-1", tmp_path / "spool-2"
    server = start_server(env={"OFFHOOK_SPOOL_DIR": ",".join(map(str, spools))})
    said: dict[Event, Answer] = {}
    for number, (injected, expected) in enumerate(FAULTS.values()):
        wanted = [(type, f"conv_{number}_{n}") for n in range(10) for type in expected]
        with failing(server, *injected):
            answers: dict[Event, Answer] = {}
            await deliver_all(server, wanted, answers)
        assert expected == {type: answer.status for (type, _), answer in answers.items()}, injected
        said |= answers
    await asyncio.to_thread(settle, server)

    there, kept = filed(server), acknowledged(said)
    figure("fsync fails: " + ", ".join(FAULTS), events=len(said), answers_of_200=len(kept),
           answers_of_503=sum(answer.status == 503 for answer in said.values()),
           lost=sum(there[event] != 1 for event in kept), doubled=there.total() - len(there))  # fmt: skip
    assert [] == [event for event in kept if there[event] != 1]
    assert [] == [event for event in kept if event[0] == AUDIO and not is_whole(server, event)]
    assert there.total() == len(there)
    assert [] == left_files(server)
    assert [] == [path for spool in spools for path in spool.iterdir()]
    assert "spool-1" in server.log, "the second took over from the first"


@contextmanager
def failing(server: Server, *faults: str) -> Iterator[None]:
    """System calls of the server fail, as strace's *faults* say."""
    faults = tuple(word for fault in faults for word in ("-e", f"inject={fault}"))
    command = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", *faults, "-p", str(server.pid)]
    with subprocess.Popen(command) as tracer:
        eventually(lambda: traced_threads(server) == {True})
        yield
        tracer.send_signal(signal.SIGINT)
    eventually(lambda: traced_threads(server) == {False})


def traced_threads(server: Server) -> set[bool]:
    """Whether the server's threads are traced."""
    threads = Path(f"/proc/{server.pid}/task").glob("*/status")
    return {"TracerPid:\t0\n" not in status.read_text() for status in threads}
