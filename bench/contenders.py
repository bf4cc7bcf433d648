"""The two that are compared, each started anew for each round, on a fresh copy of what was prepared once.

Whatever serves (the server, its children, its PostgreSQL) runs on the first core, the load on the second.
"""

import asyncio
import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import asyncpg
import httpx
import psutil

from bench import baseline
from bench.letters import SECRET, TOOL_SECRET, Doors
from bench.load import Broken, NotHere
from offhook.sealing import new_key_text
from tests.services import Postgresql, Process, Server, free_port, new_folder

Engine = Literal["sqlite", "postgresql"]
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []  #: given to us at our start
_SETTLING_PATIENCE_S = 120.0


class Offhook(Server):
    """`offhook serve` with its defaults."""

    label = "offhook"

    @property
    def doors(self) -> Doors:
        events = f"/api/webhook/elevenlabs?org={self.org_id}"
        return Doors(events=events, greetings="/api/webhook/elevenlabs/personalization")

    def settle(self, events: int, status: str = "projected") -> float:
        """Wait until all *events* that were answered with 200 are there in that *status*; the seconds it took."""
        begun = time.monotonic()
        while (status != "pending" and self._count("pending")) or self._count(status) < events:
            if time.monotonic() - begun > _SETTLING_PATIENCE_S:
                raise Broken(f"Of {events} events answered with 200, {self._count(status)} are {status}.")
            time.sleep(0.02)
        return time.monotonic() - begun

    def rest(self, events: int) -> None:
        """Wait until nothing is left to do of *events*: no waveform either, which a process of its own draws."""
        self.settle(events)
        until = time.monotonic() + _SETTLING_PATIENCE_S
        while self._ask("SELECT count(*) FROM effects WHERE status = 'due' AND call_id IS NOT NULL"):
            if time.monotonic() > until:
                raise Broken("What events bring about was not done in time.")
            time.sleep(0.02)

    def kept_audio(self, conversation_id: str) -> Iterator[bytes]:
        """The recording, fetched as a program with an API key does."""
        calls = self.get("/api/calls/history").json()["calls"]
        call_id = next(call["_id"] for call in calls if call["providerCallId"] == conversation_id)
        key = {"Authorization": f"Bearer {self.api_key}"}
        with httpx.stream("GET", f"{self.base_url}/api/calls/{call_id}/audio", headers=key, timeout=60) as answer:
            yield from answer.iter_bytes()

    def _count(self, status: str) -> int:
        return self._ask(f"SELECT count(*) FROM events WHERE status = '{status}'")

    def _ask(self, sql: str) -> int:
        """Of the database itself, so that it costs the server nothing."""
        url = self.env.get("OFFHOOK_DATABASE_URL")
        return asyncio.run(_ask_postgresql(url, sql)) if url else _ask_sqlite(self.data_dir / "offhook.db", sql)


class Baseline(Process):
    """The documented handler; see baseline.py."""

    label = "baseline"
    doors = Doors(events="/webhook", greetings="/personalization")

    def __init__(self, folder: Path, database_url: str, env: Mapping[str, str]) -> None:
        folder.mkdir()
        self.port = free_port()
        self.folder = folder
        told = {
            "port": self.port, "database-url": database_url or f"sqlite:///{folder}/calls.db", "secret": SECRET,
            "tool-secret": TOOL_SECRET, "recordings-dir": folder,
        }  # fmt: skip
        command = [sys.executable, baseline.__file__, *(f"--{name}={value}" for name, value in told.items())]
        super().__init__(command, folder / "log", env={**os.environ, **env})

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/openapi.json", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def settle(self, events: int) -> float:
        """Nothing is left to do after its answers."""
        return 0.0

    def rest(self, events: int) -> None:
        """It does nothing when nobody asks."""

    def kept_audio(self, conversation_id: str) -> Iterator[bytes]:
        with (self.folder / f"{conversation_id}.mp3").open("rb") as file:
            while piece := file.read(1 << 20):
                yield piece


Contender = Offhook | Baseline


class Workshop:
    """Makes contenders. Everything lies in one folder, which goes with the process."""

    def __init__(self) -> None:
        _run_on(1)
        self._folder = new_folder("bench")
        self._rounds = 0
        self._key = new_key_text()
        self._organizations: dict[Engine, dict[str, Any]] = {}
        self._prepared_database = ""

    @contextlib.contextmanager
    def offhook(
        self,
        engine: Engine = "sqlite",
        *,
        env: Mapping[str, str] | None = None,
        arguments: Sequence[str] = (),
        furnish: Callable[[Offhook], None] | None = None,
    ) -> Iterator[Offhook]:
        """A running server with one organisation. *furnish* may fill its database before the start."""
        if engine not in self._organizations:
            self._prepare(engine)
        folder = self._round_folder()
        with self._database(engine, self._prepared_database) as url:
            server = self._server(folder, url, env, arguments)
            if engine == "sqlite":
                shutil.copytree(self._folder / "prepared-sqlite" / "data", server.data_dir)
            server.organization = self._organizations[engine]
            if furnish:
                furnish(server)
            with _running(server, folder):
                yield server

    @contextlib.contextmanager
    def baseline(self, engine: Engine = "sqlite", *, env: Mapping[str, str] | None = None) -> Iterator[Baseline]:
        """A running handler."""
        folder = self._round_folder()
        with self._database(engine, "template0") as url:
            contender = Baseline(folder, url, env or {})
            with _running(contender, folder):
                yield contender

    @cached_property
    def slow_fsync(self) -> Mapping[str, str]:
        """The environment in which each fsync takes 5 ms longer."""
        if sys.platform != "linux" or not shutil.which("gcc"):
            raise NotHere("it takes Linux and gcc.")
        library = self._folder / "slow_fsync.so"
        source = Path(__file__).with_name("slow_fsync.c")
        subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-o", library, source, "-ldl"], check=True)
        return {"LD_PRELOAD": str(library)}

    @cached_property
    def postgresql(self) -> Postgresql:
        """Our own cluster, with fsync on. tests.services.Missing when PostgreSQL is not installed."""
        cluster = Postgresql(is_durable=True)
        with on_the_serving_core():
            cluster.start()
        return cluster

    def _prepare(self, engine: Engine) -> None:
        """Make, once, the data folder and database that each round gets a copy of."""
        if engine == "postgresql":
            self._prepared_database = self.postgresql.create_database()
        url = self.postgresql.url(self._prepared_database) if engine == "postgresql" else ""
        server = self._server(self._folder / f"prepared-{engine}", url, None, ())
        secrets = ("--webhook-secret", SECRET, "--tool-secret", TOOL_SECRET)
        self._organizations[engine] = server.create_organization("Benchmark", *secrets)

    def _server(self, folder: Path, url: str, env: Mapping[str, str] | None, arguments: Sequence[str]) -> Offhook:
        return Offhook(folder, database_url=url, secret_key=self._key, env=env, arguments=arguments)

    @contextlib.contextmanager
    def _database(self, engine: Engine, template: str) -> Iterator[str]:
        """The address of a fresh copy of *template*; empty for SQLite, whose database lies in the data folder."""
        if engine == "sqlite":
            yield ""
            return
        name = self.postgresql.create_database(template)
        yield self.postgresql.url(name)
        self.postgresql.drop_database(name)

    def _round_folder(self) -> Path:
        self._rounds += 1
        return self._folder / f"round-{self._rounds}"


@contextlib.contextmanager
def _running(contender: Contender, folder: Path) -> Iterator[None]:
    with on_the_serving_core():
        contender.start()
    try:
        yield
    finally:
        contender.kill()
        shutil.rmtree(folder)


@contextlib.contextmanager
def on_the_serving_core() -> Iterator[None]:
    """What is started meanwhile runs on the first core; we ourselves go to the second afterwards."""
    _run_on(0)
    try:
        yield
    finally:
        _run_on(1)


def _run_on(place: int) -> None:
    if len(CORES) > 1:
        os.sched_setaffinity(0, {CORES[place]})


def cpu_s(contender: Contender) -> float:
    """The processor time that it and its children, also those that ended, have used so far."""
    family = _family(contender)
    used = [process.cpu_times() for process in family]
    return sum(t.user + t.system for t in used) + sum(t.children_user + t.children_system for t in used)


class MemoryGrowth:
    """How far resident memory rose above where it stood at the beginning, at its highest; the children's too. Linux only."""

    def __init__(self, contender: Contender) -> None:
        self._contender = contender
        self._before = sum(_status_bytes(process, "VmRSS") for process in _family(contender))
        for process in _family(contender):
            Path(f"/proc/{process.pid}/clear_refs").write_text("5")  # the peak begins anew

    def peak_bytes(self) -> int:
        return sum(_status_bytes(process, "VmHWM") for process in _family(self._contender)) - self._before


def _family(contender: Contender) -> list[psutil.Process]:
    parent = psutil.Process(contender.pid)
    return [parent, *parent.children(recursive=True)]


def _status_bytes(process: psutil.Process, field: str) -> int:
    status = Path(f"/proc/{process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024


def _ask_sqlite(path: Path, sql: str) -> int:
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return int(connection.execute(sql).fetchone()[0])


async def _ask_postgresql(url: str, sql: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval(sql))
    finally:
        await connection.close()
