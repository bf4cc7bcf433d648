"""`offhook twin`, as a plain function for the command line."""

import sys
from typing import Annotated

import uvicorn
from cyclopts import Parameter, validators

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
    print(_SAID.format(host=host, port=port, key=api_key), file=sys.stderr)
    uvicorn.run(build(desk), host=host, port=port, log_level="warning", access_log=False)
