"""Fixtures for every test: both databases, Redis, the corpora, and offhook as a process. What they start is real."""

import copy
import gc
import importlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import hypothesis
import pytest
import structlog

from offhook import logs, sealing
from offhook.settings import Settings
from offhook.store import migrations
from offhook.store.database import Database
from offhook.store.engine import open_database
from tests.beside import an_organization
from tests.services import Missing, Postgresql, Redis, Server, run_apart
from tests.twins import Twin, served_twin

hypothesis.settings.register_profile("offhook", deadline=None)  # a machine that is busy is no fault
hypothesis.settings.load_profile("offhook")

CORPORA = Path(__file__).parents[2] / "shared" / "corpora"
_SERVERS = pytest.StashKey[list[Server]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--screenshots", type=Path, help="Keep the pictures of the pages in this folder.")


def pytest_configure() -> None:
    """A shell starts what runs in its background deaf to Ctrl-C, and so would be every program that a test starts.

    And a traceback as structlog draws it unasked, with every local variable, takes five seconds.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    drawn = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], drawn])
    os.environ.setdefault("OFFHOOK_BALLAST_MIB", "0")  # hundreds of data directories at 64 MiB each would fill a disk
    os.environ.setdefault("OFFHOOK_PASSWORD_MEMORY_KIB", "8")  # a password that takes no time to try is a test's alone
    os.environ.setdefault("OFFHOOK_PASSWORD_ROUNDS", "1")


def pytest_collection_finish() -> None:
    """Thousands of tests and all that they import are there to stay: to go through them for rubbish is a tenth of a run."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


@pytest.fixture(autouse=True)
def _logs_stay_as_they_were() -> Iterator[None]:
    """A command that ran in this process logs to this test's standard error, which is closed for the next."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)
    vars(logs.log).pop("bind", None)  # where structlog keeps a logger that it was told to cache


def _absent(sentence: str) -> NoReturn:
    """Skip where the developer has not installed a thing; where CI promised it, its absence is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(sentence, pytrace=False)
    pytest.skip(sentence)


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The folder of test data that nobody on this project wrote."""
    if not CORPORA.is_dir():
        _absent("The test corpora are not beside the project (../shared/corpora): the tests that read them do not run.")
    return CORPORA


@pytest.fixture(scope="session")
def secret_key() -> str:
    return sealing.new_key_text()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Postgresql]:
    """This worker's cluster; fsync is off in it. Do not stop it: a test that does wants `durable_postgresql`."""
    yield from _postgresql(is_durable=False)


@pytest.fixture
def durable_postgresql() -> Iterator[Postgresql]:
    """A cluster of the test's own, with fsync on, to be stopped, killed and frozen at will."""
    yield from _postgresql(is_durable=True)


def _postgresql(*, is_durable: bool) -> Iterator[Postgresql]:
    try:
        cluster = Postgresql(is_durable=is_durable)
    except Missing as missing:
        _absent(f"{missing} Until then the tests on PostgreSQL do not run.")
    cluster.start()
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Redis]:
    """This worker's Redis. Tests that stop or freeze it start it again."""
    try:
        server = Redis()
    except Missing as missing:
        _absent(f"{missing} Until then the tests on Redis do not run.")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_url(redis_server: Redis) -> str:
    """The address of an empty Redis."""
    redis_server.flush()
    return redis_server.url


@pytest.fixture(scope="session")
def _migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = Settings(data_dir=tmp_path_factory.mktemp("migrated"))
    run_apart(migrations.upgrade(settings))
    return settings.sqlite_path


@pytest.fixture(scope="session")
def _migrated_postgresql(postgresql: Postgresql, secret_key: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    name = postgresql.create_database()
    url = postgresql.url(name)
    data_dir = tmp_path_factory.mktemp("migrated")
    settings = Settings(data_dir=data_dir, database_url=url, secret_key=secret_key)
    run_apart(migrations.upgrade(settings))
    return name


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def sqlite_url(data_dir: Path, _migrated_sqlite: Path) -> str:
    """A fresh, migrated SQLite database, where a server on `data_dir` expects it."""
    shutil.copy(_migrated_sqlite, data_dir / "offhook.db")
    return f"sqlite:///{data_dir}/offhook.db"


@pytest.fixture(scope="session")
def _spare_postgresql() -> list[str]:
    """Databases that a test has left as it found them."""
    return []


@pytest.fixture
def postgresql_url(postgresql: Postgresql, _migrated_postgresql: str, _spare_postgresql: list[str]) -> Iterator[str]:
    """A fresh, migrated PostgreSQL database."""
    spare = _spare_postgresql
    name = spare.pop() if spare else postgresql.create_database(template=_migrated_postgresql)
    yield postgresql.url(name)
    if postgresql.emptied(name, _migrated_postgresql):
        spare.append(name)
    else:
        postgresql.drop_database(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A fresh, migrated database; a test that asks for it runs once on each engine."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def settings(data_dir: Path, database_url: str, secret_key: str) -> Settings:
    """Settings for a fresh database, once for each engine."""
    return Settings(data_dir=data_dir, database_url=database_url, secret_key=secret_key)


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    """An open, migrated, empty database, once for each engine."""
    opened = open_database(settings)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
def start_server(
    request: pytest.FixtureRequest, tmp_path: Path, secret_key: str, _migrated_sqlite: Path
) -> Iterator[Callable[..., Server]]:
    """`start_server(database_url=..., env=...)` makes an organisation and starts `offhook serve`, once a call."""
    servers: list[Server] = []

    def start(**wishes: object) -> Server:
        folder = tmp_path / f"server-{len(servers)}"
        server = Server(folder, **{"secret_key": secret_key, **wishes})  # type: ignore[arg-type]
        servers.append(server)
        _blame(request, server)
        server.data_dir.mkdir(mode=0o700, exist_ok=True)
        if "OFFHOOK_DATABASE_URL" not in server.env:
            shutil.copy(_migrated_sqlite, server.data_dir / "offhook.db")
        server.organization = an_organization(server)
        server.start()
        return server

    yield start
    for server in servers:
        server.kill()


@pytest.fixture(scope="session")
def standing_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, secret_key: str
) -> Iterator[Callable[[str], Server]]:
    """`standing_server("postgresql")`: this worker's server on that engine, for tests that do it no harm."""
    servers: dict[str, Server] = {}

    def standing(engine: str) -> Server:
        if engine not in servers:
            url = ""
            if engine == "postgresql":
                cluster: Postgresql = request.getfixturevalue("postgresql")
                url = cluster.url(cluster.create_database())
            servers[engine] = Server(tmp_path_factory.mktemp(engine), database_url=url, secret_key=secret_key)
            servers[engine].start()
        return servers[engine]

    yield standing
    for server in servers.values():
        server.kill()


@pytest.fixture(params=["sqlite", "postgresql"])
def shared_server(request: pytest.FixtureRequest, standing_server: Callable[[str], Server]) -> Server:
    """A server that other tests share, once on each engine, as an organisation of this test's own."""
    view = copy.copy(standing_server(request.param))
    view.organization = an_organization(view)
    _blame(request, view)
    return view


def _blame(request: pytest.FixtureRequest, server: Server) -> None:
    """If this test fails, show what *server* logged."""
    request.node.stash.setdefault(_SERVERS, []).append(server)


@pytest.fixture
def server(start_server: Callable[..., Server]) -> Server:
    """`offhook serve` on SQLite with its defaults."""
    return start_server()


@pytest.fixture
async def twin() -> AsyncIterator[Twin]:
    """An offline ElevenLabs."""
    async with served_twin() as twin:
        yield twin


@pytest.fixture
def small_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """48 MiB in memory, or as much as the test says and of a file system that it says ("512 ext4"), for the data directory of
    the first server and all that is in it."""
    disk = tmp_path / "server-0" / "data"
    disk.mkdir(parents=True)
    if os.geteuid() != 0:
        pytest.skip("Only root may mount a small disk: this test does not run.")
    size_mib, kind = f"{getattr(request, 'param', 48)} tmpfs".split()[:2]
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size_mib}m", "tmpfs", str(disk)]
    if kind != "tmpfs":
        image = tmp_path / "disk"
        with image.open("wb") as file:
            file.truncate(int(size_mib) << 20)
        subprocess.run([f"mkfs.{kind}", "-q", "-m", "0", image], check=True)
        mount = ["mount", "-o", "loop", str(image), str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("No disk can be mounted here: this test does not run.")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


@pytest.fixture
def seed() -> int:
    """For what a test leaves to chance; OUTAGE_SEED repeats a run."""
    return int(os.environ.get("OUTAGE_SEED", time.time_ns() % 1_000_000))


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """`figure("database hung 20 s", lost=0, ...)` says in the run's last lines what was measured."""

    def say(what: str, **figures: object) -> None:
        measured = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in figures.items())
        record_property("figure", f"{what:<52} {measured}")

    return say


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """A failed test shows what its servers logged."""
    report: pytest.TestReport = yield  # type: ignore[assignment]
    if report.failed:
        for server in item.stash.get(_SERVERS, []):
            report.sections.append((f"log of {server}", server.log[-20_000:]))
    return report  # type: ignore[return-value]


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Any]:
    """A tests.api.Api: the application in this process and a client with an organisation's key, once for each engine."""
    async with importlib.import_module("tests.api").running_api(settings) as running:
        yield running


@pytest.fixture(scope="session")
def _office(standing_server: Callable[[str], Server]) -> Server:
    return importlib.import_module("tests.browser").an_office(standing_server("sqlite"))  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def _visitor(_office: Server) -> Iterator[Any]:
    """A browser for each module: while it runs, no other event loop may in this thread."""
    browsing = importlib.import_module("tests.browser")
    executable = browsing.chromium()
    if executable is None:
        _absent("Chromium is not installed (apt-get install chromium): the tests in a browser do not run.")
    with browsing.a_browser(executable) as browser:
        yield browsing.Visitor(browser, _office)


@pytest.fixture
def visit(_visitor: Any) -> Iterator[Any]:
    """A tests.browser.Visitor: `visit("/calls")` opens a page in Chromium, and the test fails when that complains."""
    with _visitor.one_test():
        yield _visitor


@pytest.fixture(scope="session")
def screenshots(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pictures go: to where --screenshots says, else away with this run."""
    folder: Path = request.config.getoption("--screenshots") or tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What tests measured, a line each: a table to read under the dots."""
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.stats.get(outcome, [])]
    figures = [value for report in reports for name, value in report.user_properties if name == "figure"]
    if figures:
        terminalreporter.section("measured")
    for figure in figures:
        terminalreporter.write_line(str(figure))
