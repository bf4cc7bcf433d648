"""A process that serves, or works, until it is told to stop."""

import asyncio
import contextlib
import errno
import fcntl
import gc
import os
import resource
import signal
import socket
import time
from collections.abc import Callable, Coroutine, Iterator

import uvicorn
import uvloop

from offhook import logs
from offhook.accounts.joining import PATHS, SETUP_S
from offhook.app import build, house
from offhook.connections import BoundedConnection
from offhook.deps import Deps
from offhook.errors import AlreadyRunning, Fault, Mistake, Unavailable
from offhook.logs import log
from offhook.settings import Settings

_LAST_REQUESTS_S = 1.0  #: how long connections are served after we were told to stop
_DRAIN_S = 25  #: what is in hand when we are told to stop may take this long
_KEEP_ALIVE_S = 75  #: longer than a proxy keeps its side open, so that it never writes into a closing connection
_BACKLOG = 2048
_FIRST_FD = 3  #: where systemd puts what it hands over
_GARBAGE = 10_000  #: new objects between two looks of the collector; Python's 700 are a few requests
_MOST_FILES = 65_536  #: open at once, connections among them


def run(
    settings: Settings,
    *,
    host: str = "127.0.0.1",
    port: int = 2212,
    fd: int | None = None,
    with_worker: bool = True,
) -> None:
    """Serve until SIGTERM or SIGINT. Fault when the port is busy or another server has the data directory.

    *fd*: an inherited socket, which systemd may also hand over (LISTEN_FDS). It outlives this process: whoever connects
    while no server runs waits in its queue for the next one.
    """
    logs.set_up(settings)
    fd = _handed_over() if fd is None else fd
    _allow_many_files()
    with _the_only_server(settings), _listening(host, port, fd) as listener:
        _run(_serve(settings, listener, with_worker=with_worker))


def work(settings: Settings) -> None:
    """Project, without HTTP, until SIGTERM or SIGINT."""
    if settings.is_sqlite:
        raise Mistake("On SQLite the server does the work itself: `offhook worker` is for PostgreSQL.")
    logs.set_up(settings)
    _run(_work(settings))


async def _serve(settings: Settings, listener: socket.socket, *, with_worker: bool) -> None:
    async with house(settings, is_server=True, with_worker=with_worker) as deps:
        await asyncio.to_thread(deps.folders.sweep)
        app, filings = build(deps)
        server = _Server(
            uvicorn.Config(
                app,
                http=BoundedConnection,
                ws="none",
                lifespan="off",
                access_log=False,
                log_config=None,
                server_header=False,
                proxy_headers=False,
                backlog=_BACKLOG,
                timeout_keep_alive=_KEEP_ALIVE_S,
                timeout_graceful_shutdown=_DRAIN_S,
            )
        )
        _on_signal(lambda: _stop(server, deps))
        _leave_garbage_to_requests()
        host, port = listener.getsockname()[:2] if listener.family != socket.AF_UNIX else ("unix", 0)
        log.info("server.ready", host=host, port=port, database=deps.database.name)
        invitation = asyncio.create_task(_invite_the_first(deps, f"http://{host}:{port}"))
        await server.serve(sockets=[listener])
        invitation.cancel()
        await filings.finish()
    log.info("server.stopped")


def _stop(server: "_Server", deps: Deps) -> None:
    deps.stopping.set()
    server.stop()


async def _invite_the_first(deps: Deps, here: str) -> None:
    """Say once how the first user gets in; *here*: where we listen. A start after its link has expired says it anew."""
    try:
        token = await deps.joining.first_link()
    except Unavailable:
        return
    if token is not None:
        url = f"{deps.settings.public_url or here}{PATHS['setup']}/{token}"
        log.warning("setup.link", url=url, valid_hours=round(SETUP_S / 3600))


async def _work(settings: Settings) -> None:
    told_to_stop = asyncio.Event()
    _on_signal(told_to_stop.set)
    async with house(settings, is_server=False):
        log.info("worker.ready")
        await told_to_stop.wait()
    log.info("worker.stopped")


class _Server(uvicorn.Server):
    """uvicorn, told to stop by us: it would end a finished process by the signal that stopped it, and 0 is the truth."""

    def stop(self) -> None:
        self.force_exit = self.should_exit  # told twice: somebody is in a hurry
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen no more, and serve whoever is connected a moment longer: a request may have been sent and be unread."""
        spare = [listener.dup() for listener in sockets or ()]
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()
        for connection in [one for listener in spare for one in _waiting(listener)]:
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, connection)
        self.server_state.default_headers = [*self.server_state.default_headers, (b"connection", b"close")]
        until = time.monotonic() + _LAST_REQUESTS_S
        while self.server_state.connections and time.monotonic() < until and not self.force_exit:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        await super().shutdown(sockets)

    def _protocol(self) -> asyncio.Protocol:
        return BoundedConnection(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _waiting(listener: socket.socket) -> list[socket.socket]:
    """The connections that nobody has accepted yet; then *listener* is closed, and the kernel resets what it still holds."""
    waiting = []
    listener.setblocking(False)
    with listener, contextlib.suppress(OSError):
        while True:
            waiting.append(listener.accept()[0])
    return waiting


def _leave_garbage_to_requests() -> None:
    """What was made until now stays: a collector that goes through all of it makes somebody wait 50 ms, again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GARBAGE)


def _on_signal(stop: Callable[[], None]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)


def _run(main: Coroutine[None, None, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


def _allow_many_files() -> None:
    """A thousand idle connections would fill the usual allowance; what the machine's owner allows at most is the bound."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


@contextlib.contextmanager
def _listening(host: str, port: int, fd: int | None) -> Iterator[socket.socket]:
    if fd is not None:
        with _inherited(fd) as listener:
            yield listener
        return
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except (OSError, OverflowError) as error:
            raise _cannot_listen(host, port, error) from error
        listener.setblocking(False)
        yield listener


def _handed_over() -> int | None:
    """The socket that systemd opened for this very process; None when there is none. The variables go no further.

    https://www.freedesktop.org/software/systemd/man/latest/sd_listen_fds.html
    """
    pid, count = os.environ.pop("LISTEN_PID", ""), os.environ.pop("LISTEN_FDS", "0")
    os.environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or count == "0":
        return None
    if count != "1":
        raise Mistake(
            f"systemd handed over {count} sockets, and offhook serves one: leave one ListenStream= in the unit."
        )
    return _FIRST_FD


def _inherited(fd: int) -> socket.socket:
    try:
        listener = socket.socket(fileno=fd)
        is_listening = listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise Mistake(f"--fd {fd} is not a socket that this process inherited.") from error
    if listener.type != socket.SOCK_STREAM or not is_listening:
        raise Mistake(
            f"--fd {fd} is not a stream socket that listens: bind it, and call listen(), before it is handed over."
        )
    listener.set_inheritable(False)  # the reader of bodies has no business with it
    listener.setblocking(False)
    return listener


def _cannot_listen(host: str, port: int, error: OSError | OverflowError) -> Fault:
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return Fault(
            f"Port {port} on {host} is already in use: stop what listens there, or choose another with --port."
        )
    return Fault(f"Cannot listen on {host} port {port}: {error}.")


@contextlib.contextmanager
def _the_only_server(settings: Settings) -> Iterator[None]:
    """Hold the data directory's lock: a second SQLite writer with its own checkpoints could damage the database."""
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = open(settings.data_dir / "server.lock", "w")  # noqa: SIM115 - held until the end
    except OSError as error:
        raise Fault(f"The data directory {settings.data_dir} cannot be used: {error.strerror}.") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise AlreadyRunning(
                f"Another offhook server is running on the data directory {settings.data_dir}: "
                "stop it, or set OFFHOOK_DATA_DIR to another folder."
            ) from None
        yield
