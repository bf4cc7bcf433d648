"""The real programs the tests run against: PostgreSQL, Redis and offhook itself, each on a free port of 127.0.0.1.

Each worker of pytest-xdist has its own PostgreSQL cluster and its own Redis, so workers share nothing. What a run
starts lies in one folder (`offhook-tests-<pid>` in the temporary directory), ends with the run, and is swept by the
next run when this one was killed.
"""

import asyncio
import atexit
import contextlib
import hmac
import io
import json
import os
import random
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TextIO, TypeVar
from unittest import mock

import asyncpg
import httpx
import psutil

from offhook import cli, logs

T = TypeVar("T")

#: An httpx client reads the system's authorities when it is made, though nobody here speaks TLS: 50 ms each time, or once.
ssl.create_default_context = cache(ssl.create_default_context)  # type: ignore[assignment]

START_S = 30  #: a program that is not ready by then will not be
_FOLDER_PREFIX = "offhook-tests-"


class Missing(Exception):
    """A program that the tests need is not installed."""


class Process:
    """A program that a test may stop, kill, freeze and start again."""

    def __init__(
        self, command: Sequence[str], log_path: Path, *, user: str | None = None, env: Mapping[str, str] | None = None
    ):
        """*user*: who it runs as, when we are root; None: as ourselves."""
        self._command = command
        self._user = user
        self._env = env
        self.inherited: tuple[int, ...] = ()  #: descriptors that it gets from us
        self._popen: subprocess.Popen[bytes] | None = None
        self.log_path = log_path

    def __repr__(self) -> str:
        return Path(self._command[0]).name

    @property
    def pid(self) -> int:
        return self._running.pid

    @property
    def is_running(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def start(self) -> None:
        with self.log_path.open("ab") as log:
            self._popen = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._env,
                cwd=self.log_path.parent, pass_fds=self.inherited, **as_user(self._user),
            )  # fmt: skip
        _remember(self._popen.pid)
        self._wait_until_ready()

    def stop(self, *, signal_number: int = signal.SIGTERM, within_s: float = START_S) -> int:
        """Ask it to end; its exit code. It is killed when it has not ended *within_s*, and that fails the test."""
        if not self.is_running:
            return self._popen.returncode if self._popen else 0
        self._running.send_signal(signal.SIGCONT)
        self._running.send_signal(signal_number)
        try:
            return self._running.wait(within_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self} did not end within {within_s} s of signal {signal_number}") from None

    def kill(self) -> None:
        """kill -9, its children too."""
        if self.is_running:
            family = self._family()
            for process in family:
                _quietly(process.kill)
            self._running.wait(START_S)
            eventually(lambda: all(_is_over(process) for process in family), within_s=START_S, every_s=0.005)

    def restart(self) -> None:
        self.stop()
        self.start()

    def freeze(self) -> None:
        """SIGSTOP, its children too: it takes connections and answers nothing."""
        for process in self._family():
            _quietly(process.suspend)

    def thaw(self) -> None:
        for process in self._family():
            _quietly(process.resume)

    def is_ready(self) -> bool:
        return True

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        assert self._popen is not None, f"{self} was never started"
        return self._popen

    def _family(self) -> list[psutil.Process]:
        try:
            parent = psutil.Process(self.pid)
            return [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_S
        while not self.is_ready():
            if not self.is_running:
                raise AssertionError(f"{self} ended at once with exit code {self._running.returncode}:\n{self.log}")
            if time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"{self} was not ready within {START_S} s:\n{self.log}")
            time.sleep(0.05)


_CUT_OFF_OTHERS = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
"""

#: All that has a name and columns, and what hangs on it.
_SCHEMA = """
SELECT concat_ws(' ',
    (SELECT string_agg(format('%s %s %s', relname, relkind, relnatts), ',' ORDER BY relname) FROM pg_class
     WHERE relnamespace = 'public'::regnamespace),
    (SELECT string_agg(format('%s %s', tgname, tgenabled), ',' ORDER BY tgname) FROM pg_trigger),
    (SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace),
    (SELECT count(*) FROM pg_db_role_setting JOIN pg_database ON setdatabase = pg_database.oid
     WHERE datname = current_database()))
"""

#: A table that has grown is cut off: what is deleted row by row is still read past.
_EMPTY = """
DO $$
DECLARE one record; is_full boolean;
BEGIN
    SET LOCAL session_replication_role = replica;
    FOR one IN SELECT oid::regclass AS name, pg_relation_size(oid) AS bytes FROM pg_class
               WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace LOOP
        IF one.bytes > 1000000 THEN
            EXECUTE format('TRUNCATE %s', one.name);
        ELSIF one.bytes > 0 THEN
            EXECUTE format('DELETE FROM %s', one.name);
        END IF;
    END LOOP;
    PERFORM setval(format('%I', sequencename)::regclass, start_value, false)
        FROM pg_sequences WHERE schemaname = 'public' AND last_value IS NOT NULL;
END $$
"""

_HAVE_ROWS = """
SELECT relname FROM pg_class
WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND pg_relation_size(oid) > 0
"""


class Model(NamedTuple):
    """What an emptied database is like."""

    schema: str
    rows: list[tuple[str, str]]  #: tables, and what lies in them as JSON


async def _model(url: str) -> Model:
    connection = await asyncpg.connect(url)
    try:
        schema = await connection.fetchval(_SCHEMA)
        rows: list[tuple[str, str]] = []
        for (table,) in await connection.fetch(_HAVE_ROWS):
            found = await connection.fetch(f"SELECT to_json(one)::text FROM {table} AS one")
            rows += [(table, row) for (row,) in found]
        return Model(schema, rows)
    finally:
        await connection.close()


class Postgresql(Process):
    """A cluster of its own; as root it runs as user `postgres`, because PostgreSQL refuses root."""

    def __init__(self, *, is_durable: bool = False):
        """*is_durable*: fsync is left on, as torture needs it; else off, which makes the plain suite faster."""
        self._bin = postgresql_bin()
        self.port = free_port()
        folder = new_folder("postgresql")
        user = "postgres" if os.geteuid() == 0 else None
        self._models: dict[str, Model] = {}  # of templates, which nobody changes
        if user:
            shutil.chown(folder, user, user)
        self._initdb(folder / "cluster", user)
        hasty = ["-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"]
        command = [
            str(self._bin / "postgres"), "-D", str(folder / "cluster"), "-p", str(self.port), "-h", "127.0.0.1",
            "-c", "unix_socket_directories=", "-c", "max_connections=200", *([] if is_durable else hasty),
        ]  # fmt: skip
        super().__init__(command, folder / "log", user=user)

    def url(self, name: str) -> str:
        return f"postgresql://offhook@127.0.0.1:{self.port}/{name}"

    def create_database(self, template: str = "template0") -> str:
        """The name of a new database, a copy of *template*, to which nobody may be connected just now."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        self._tell(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def drop_database(self, name: str) -> None:
        self._tell(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def emptied(self, name: str, template: str) -> bool:
        """Make it what *template* is again, which takes a tenth of a new copy; False when its schema is another by now."""
        return run_apart(self._empty(name, template))

    async def _empty(self, name: str, template: str) -> bool:
        if template not in self._models:
            self._models[template] = await _model(self.url(template))
        model = self._models[template]
        connection = await asyncpg.connect(self.url(name))
        try:
            await connection.execute(_CUT_OFF_OTHERS)
            if await connection.fetchval(_SCHEMA) != model.schema:
                return False
            await connection.execute(_EMPTY)
            for table, row in model.rows:
                await connection.execute(
                    f"INSERT INTO {table} SELECT * FROM json_populate_record(NULL::{table}, $1)", row
                )
            return True
        finally:
            await connection.close()

    def is_ready(self) -> bool:
        return self._run("pg_isready", "--quiet", "--dbname=postgres", check=False) == 0

    def stop(self, *, signal_number: int = signal.SIGINT, within_s: float = START_S) -> int:
        """SIGINT is PostgreSQL's fast shutdown: connections are cut; SIGTERM would wait for the clients to leave."""
        return super().stop(signal_number=signal_number, within_s=within_s)

    def _initdb(self, cluster: Path, user: str | None) -> None:
        command = [
            str(self._bin / "initdb"), "-D", str(cluster), "--username=offhook", "--auth=trust", "--encoding=UTF8",
            "--locale=C", "--no-sync",
        ]  # fmt: skip
        made = subprocess.run(command, capture_output=True, text=True, cwd=cluster.parent, **as_user(user))
        assert 0 == made.returncode, made.stderr

    def _tell(self, statement: str) -> None:
        async def tell() -> None:
            connection = await asyncpg.connect(self.url("postgres"))
            await connection.execute(statement)
            await connection.close()

        run_apart(tell())

    def _run(self, program: str, *arguments: str, check: bool = True) -> int:
        command = [str(self._bin / program), "-h", "127.0.0.1", "-p", str(self.port), "-U", "offhook", *arguments]
        ended = subprocess.run(command, capture_output=True, text=True)
        assert not check or 0 == ended.returncode, ended.stderr
        return ended.returncode


class Redis(Process):
    """A Redis that keeps nothing on disk."""

    def __init__(self) -> None:
        program = shutil.which("redis-server")
        if program is None:
            raise Missing("Redis is not installed; `apt-get install redis-server` brings it.")
        self.port = free_port()
        folder = new_folder("redis")
        command = [
            program, "--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(folder), "--save", "",
            "--appendonly", "no",
        ]  # fmt: skip
        super().__init__(command, folder / "log")

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def is_ready(self) -> bool:
        return self.command("PING") == b"+PONG\r\n"

    def flush(self) -> None:
        assert self.command("FLUSHALL") == b"+OK\r\n"

    def command(self, line: str) -> bytes:
        """The answer to one inline command; empty when nobody listens."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                connection.sendall(line.encode() + b"\r\n")
                return connection.recv(65536)
        except OSError:
            return b""


class Server(Process):
    """`offhook serve` as a process, with one organisation made by `offhook org create`."""

    def __init__(
        self,
        folder: Path,
        *,
        database_url: str = "",
        redis_url: str = "",
        secret_key: str = "",
        env: Mapping[str, str] | None = None,
        arguments: Sequence[str] = (),
    ):
        """*folder* takes the data directory and the log; *env*: more OFFHOOK_ variables; *arguments* go to `serve`."""
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.data_dir = folder / "data"
        told = {
            "OFFHOOK_DATA_DIR": str(self.data_dir),
            "OFFHOOK_DATABASE_URL": database_url,
            "OFFHOOK_REDIS_URL": redis_url,
            "OFFHOOK_SECRET_KEY": secret_key,
            "OFFHOOK_PUBLIC_URL": self.base_url,
            "OFFHOOK_BALLAST_MIB": "0",
            **(env or {}),
        }
        bare = {name: value for name, value in os.environ.items() if not name.startswith("OFFHOOK_")}
        self.env = {**bare, **{name: value for name, value in told.items() if value}}
        command = [sys.executable, "-m", "offhook", "serve", "--port", str(self.port), *arguments]
        super().__init__(command, folder / "serve.log", env=self.env)
        self.organization: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"offhook serve on {self.base_url}"

    @property
    def org_id(self) -> str:
        return str(self.organization["id"])

    @property
    def webhook_secret(self) -> str:
        return str(self.organization["webhook_secret"])

    @property
    def tool_secret(self) -> str:
        return str(self.organization["tool_secret"])

    @property
    def api_key(self) -> str:
        return str(self.organization["api_key"])

    def run_instead(self, *command: str) -> None:
        """Start it with *command*, which gets the arguments of `offhook`."""
        self._command = [*command, *self._command[3:]]

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.base_url}/api/health/ready", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def offhook(self, *arguments: str, exit_code: int = 0) -> str:
        """What the command prints on standard output in the server's environment; run here, a process would take 2 s."""
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
        with ThreadPoolExecutor(1) as thread:  # an event loop may be running in this one
            ended_with = thread.submit(_command, self.env, arguments, out, err).result()
        said, complained = (one.buffer.getvalue().decode() for one in (out, err))
        assert exit_code == ended_with, f"offhook {' '.join(arguments)}: {said}{complained}"
        return str(said)

    def create_organization(self, name: str = "Acme Corp", *arguments: str) -> dict[str, Any]:
        created = json.loads(self.offhook("org", "create", name, *arguments, "--json"))
        assert isinstance(created, dict)
        return created

    def deliver(self, body: bytes, *, secret: str | None = None, org_id: str | None = None) -> httpx.Response:
        """Send *body* as ElevenLabs does after a call: signed, to the organisation's own address."""
        headers = {"ElevenLabs-Signature": signature(secret or self.webhook_secret, body)}
        query = {"org": org_id or self.org_id}
        return httpx.post(
            f"{self.base_url}/api/webhook/elevenlabs", content=body, headers=headers, params=query, timeout=60
        )

    def ask(self, request: Mapping[str, Any]) -> httpx.Response:
        """Ask who is ringing, as ElevenLabs does before a call."""
        headers = {"Authorization": f"Bearer {self.tool_secret}"}
        url = f"{self.base_url}/api/webhook/elevenlabs/personalization"
        return httpx.post(url, json=dict(request), headers=headers, timeout=10)

    def get(self, path: str, **query: str) -> httpx.Response:
        """The API's answer to the organisation's own key."""
        headers = {"Authorization": f"Bearer {self.api_key}"}
        return httpx.get(self.base_url + path, headers=headers, params=query, timeout=30)


def _command(env: Mapping[str, str], arguments: Sequence[str], out: TextIO, err: TextIO) -> int:
    """Run one command line of offhook in *env*; its exit code. Its logs are nobody's."""
    with (
        mock.patch.dict(os.environ, env, clear=True),
        mock.patch.object(logs, "set_up"),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        return cli.run(arguments)


def signature(secret: str, body: bytes, at: float | None = None) -> str:
    """The header ElevenLabs would send; *at* (unix) is when it says it signed, now by default."""
    t = str(int(time.time() if at is None else at))
    digest = hmac.digest(secret.encode(), t.encode() + b"." + body, "sha256").hex()
    return f"t={t},v0={digest}"


def eventually(holds: Callable[[], Any], *, within_s: float = 10, every_s: float = 0.02) -> Any:
    """What *holds* returned as soon as it was true; fails the test when it is not within *within_s*."""
    deadline = time.monotonic() + within_s
    while not (seen := holds()):
        assert time.monotonic() < deadline, f"it did not come true within {within_s} s: {holds}"
        time.sleep(every_s)
    return seen


def _is_over(process: psutil.Process) -> bool:
    """Whether it runs no more; whoever inherits its orphans may take seconds to ask for their exit codes."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def run_apart(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run it to its end, even where an event loop is running: in a thread with a loop of its own."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


def as_user(name: str | None) -> dict[str, Any]:
    """What subprocess must be told to run a program as *name*; nothing for None."""
    return {"user": name, "group": name, "extra_groups": []} if name else {}


def listening() -> socket.socket:
    """A socket on a free port, for a server of asyncio's: that leaves Nagle's algorithm on, and each answer takes 40 ms."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def free_port() -> int:
    """A port below the range that the kernel hands out for connections, so that a restart finds it free again."""
    while True:
        port = random.randint(12_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


def postgresql_bin() -> Path:
    """The folder with PostgreSQL's programs, the newest version's; Debian keeps them out of PATH."""
    on_path = shutil.which("initdb")
    folders = [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/usr/pgsql").glob("*/bin")]
    folders.sort(key=lambda folder: int(folder.parent.name), reverse=True)
    for folder in (*([Path(on_path).resolve().parent] if on_path else []), *folders):
        if (folder / "postgres").exists():
            return folder
    raise Missing("PostgreSQL is not installed; `apt-get install postgresql` brings it.")


def new_folder(name: str) -> Path:
    return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=_run_folder()))


@cache
def _run_folder() -> Path:
    """Everything this run starts lies here; what runs that were killed left behind is swept first."""
    _sweep()
    folder = Path(tempfile.gettempdir(), f"{_FOLDER_PREFIX}{os.getpid()}")
    folder.mkdir(mode=0o755)
    atexit.register(_end, folder)
    return folder


def _remember(pid: int) -> None:
    with (_run_folder() / "started").open("a") as file:
        file.write(f"{pid} {psutil.Process(pid).create_time()}\n")


def _sweep() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDER_PREFIX}*"):
        owner = folder.name.removeprefix(_FOLDER_PREFIX)
        with contextlib.suppress(FileNotFoundError):  # another run sweeps too
            if folder.stat().st_uid == os.geteuid() and not psutil.pid_exists(int(owner)):
                _end(folder)


def _end(folder: Path) -> None:
    started = folder / "started"
    for line in started.read_text().splitlines() if started.exists() else ():
        pid, create_time = line.split()
        _kill_if_still_the_same(int(pid), float(create_time))
    shutil.rmtree(folder, ignore_errors=True)


def _kill_if_still_the_same(pid: int, create_time: float) -> None:
    try:
        process = psutil.Process(pid)
        if process.create_time() == create_time:
            family = [process, *process.children(recursive=True)]
            for member in family:
                _quietly(member.kill)
            psutil.wait_procs(family, timeout=START_S)
    except psutil.NoSuchProcess:
        return


def _quietly(act: Callable[[], None]) -> None:
    try:
        act()
    except psutil.NoSuchProcess:
        return
