"""/live: the stream of server-sent events that an open page listens to."""

import math

from starlette.responses import PlainTextResponse, Response, StreamingResponse

from offhook.dashboard.live import Live, TooMany
from offhook.dashboard.visitors import Visit
from offhook.errors import Conflict

_HEADERS = {"X-Accel-Buffering": "no"}  # nginx would collect what we say
_TYPE = "text/event-stream"


async def listen(visit: Visit) -> Response:
    asked = visit.request.query_params.get("org", visit.org_id)
    if asked != visit.org_id:
        raise Conflict("You look at another organisation now. Reload the page.")
    if visit.request.method == "HEAD":
        return Response(media_type=_TYPE, headers=_HEADERS)
    room: Live = visit.request.app.state.live
    try:
        room.check(visit.viewer)
    except TooMany as error:
        return PlainTextResponse(f"{error}\n", error.status, {"Retry-After": "30"})
    after = _seen_until(visit)
    return StreamingResponse(room.stream(visit.viewer, after), media_type=_TYPE, headers=_HEADERS)


def _seen_until(visit: Visit) -> float:
    """What the browser says that it saw last (it says it when it reconnects), else when its page was made, else now."""
    said = visit.request.headers.get("last-event-id") or visit.request.query_params.get("after", "")
    try:
        at = float(said)
    except ValueError:
        return visit.deps.now()
    return at if math.isfinite(at) else visit.deps.now()
