"""Calls: who rang, and what they wanted."""

from starlette.responses import Response

from offhook.dashboard.shell import render
from offhook.dashboard.visitors import Visit


async def calls(visit: Visit) -> Response:
    return render(visit, "calls.html")
