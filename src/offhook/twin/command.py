"""`offhook twin`, as a plain function for the command line."""

import contextlib
import socket
import sys
from typing import Annotated

import uvicorn
from cyclopts import Parameter, validators

from offhook.errors import Fault
from offhook.twin.api import Desk, build
from offhook.twin.clock import Clock
from offhook.twin.postman import Postman
from offhook.twin.workspace import Workspace

_SAID = """\
An ElevenLabs of your own, on http://{host}:{port}, until Ctrl-C. Nothing is kept.

  curl -X POST http://{host}:{port}/twin/calls -d '{{"calls": 20}}'
  curl -X PUT  http://{host}:{port}/twin/faults -d '{{"dropped": 0.2, "doubled": 0.1, "reordered_within_s": 5}}'
  curl -X POST http://{host}:{port}/twin/clock -d '{{"seconds": 604800}}'
  curl http://{host}:{port}/twin/deliveries
"""


def twin(
    *,
    host: Annotated[str, Parameter(help="Where it listens.")] = "127.0.0.1",
    port: Annotated[int, Parameter(help="Its port.", validator=validators.Number(gte=0, lte=65535))] = 2213,
    api_key: Annotated[str, Parameter(help="The key that its API wants in the header xi-api-key.")] = "twin",
    seed: Annotated[str, Parameter(help="The same seed loses and doubles the same deliveries.")] = "0",
) -> None:
    """Serve an offline ElevenLabs: its API and its deliveries, on the documented rules."""
    clock = Clock()
    workspace = Workspace(api_key, clock())
    desk = Desk(workspace, clock, Postman(workspace, clock, seed))
    with _listening(host, port) as listener, contextlib.suppress(KeyboardInterrupt):
        print(_SAID.format(host=host, port=listener.getsockname()[1]), file=sys.stderr)
        uvicorn.Server(uvicorn.Config(build(desk), log_level="warning", access_log=False)).run([listener])


def _listening(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise Fault(f"Port {port} on {host} cannot be used ({error.strerror}): choose another with --port.") from error
    return listener
