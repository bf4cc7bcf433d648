"""Every URL of offhook, on one screen. The JSON API's router stands behind them, and the dashboard's table beside it."""

from collections.abc import Mapping

from starlette.routing import BaseRoute, Route, request_response
from starlette.types import ASGIApp, Receive, Scope, Send

from offhook import health
from offhook.messages import RECEIPTS_PATH
from offhook.webhooks.greeting import PersonalizationDoor
from offhook.webhooks.post_call import PostCallDoor
from offhook.webhooks.tools import ToolDoor
from offhook.webhooks.twilio import TwilioDoor

_POST_CALL = "/api/webhook/elevenlabs"
_PERSONALIZATION = "/api/webhook/elevenlabs/personalization"
_TOOLS = {
    f"/api/webhook/elevenlabs/tools/{tool}": tool
    for tool in (
        "check-availability",
        "check-business-hours",
        "lookup-contact",
        "create-note",
        "update-contact",
        "send-sms",
        "transfer",
    )
}
_TWILIO_STATUS = RECEIPTS_PATH
_TWILIO_INBOUND = "/api/webhook/twilio/inbound"
_LIVE = "/api/health/live"
_FOR_PROGRAMS = frozenset({"/api", "/metrics", "/openapi.json"})  #: beside all that begins with /api/


def doors(
    post_call: PostCallDoor, personalization: PersonalizationDoor, tools: Mapping[str, ToolDoor], twilio: TwilioDoor
) -> list[BaseRoute]:
    """What ElevenLabs, Twilio and monitors call; `api/` lists what an API key opens."""
    return [
        Route(_POST_CALL, post_call, methods=["POST"]),
        Route(_PERSONALIZATION, personalization, methods=["POST"]),
        *(Route(path, tools[tool], methods=["POST"]) for path, tool in _TOOLS.items()),
        Route(_TWILIO_STATUS, _Bare(twilio.status), methods=["POST"]),
        Route(_TWILIO_INBOUND, _Bare(twilio.inbound), methods=["POST"]),
        Route(_LIVE, health.live),
        Route("/api/health/ready", health.ready),
        Route("/api/health", health.report),
        Route("/metrics", health.metrics),
    ]


class _Bare:
    """A bare ASGI application: of a plain function Starlette believes that it wants a request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


class Entrance:
    """Leads the hot requests straight to their doors; all else goes through the framework, which knows every route.

    FastAPI's layers around a route (telemetry, body limits, exceptions, routing) take 40 us, as long as filing an event.
    """

    def __init__(
        self,
        post_call: PostCallDoor,
        personalization: PersonalizationDoor,
        tools: Mapping[str, ToolDoor],
        framework: ASGIApp,
        pages: ASGIApp,
    ) -> None:
        """*framework*: what programs call; *pages*: what people look at."""
        self._hot: dict[tuple[str, str], ASGIApp] = {
            ("POST", _POST_CALL): post_call,
            ("POST", _PERSONALIZATION): personalization,
            **{("POST", path): tools[tool] for path, tool in _TOOLS.items()},
            ("GET", _LIVE): request_response(health.live),
        }
        self._framework = framework
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        place = (scope["method"], scope["path"]) if scope["type"] == "http" else None
        door = self._hot.get(place) if place else None
        await (door or self._beyond(scope["path"]))(scope, receive, send)

    def _beyond(self, path: str) -> ASGIApp:
        return self._framework if path.startswith("/api/") or path in _FOR_PROGRAMS else self._pages
