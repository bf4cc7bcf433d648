"""offhook serve, offhook worker: the processes that go on until they are told to stop."""

from typing import Annotated

from cyclopts import Parameter, validators

from offhook import server
from offhook.settings import load


def serve(
    *,
    host: Annotated[str, Parameter(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, Parameter(help="The port to listen on.", validator=validators.Number(gte=0, lte=65_535))
    ] = 2212,
    fd: Annotated[
        int | None, Parameter(help="Serve on this inherited socket instead.", validator=validators.Number(gte=0))
    ] = None,
    worker: Annotated[bool, Parameter(negative="--no-worker", help="Also do a worker's work.")] = True,
) -> None:
    """Run the server: webhooks, API, projection and effects, until SIGTERM or Ctrl-C."""
    server.run(load(), host=host, port=port, fd=fd, with_worker=worker)


def worker() -> None:
    """Run projection and effects without HTTP, beside servers on PostgreSQL, until SIGTERM or Ctrl-C."""
    server.work(load())
