"""Every URL of offhook, on one screen. The JSON API's router stands behind them."""

from starlette.routing import BaseRoute, Route, request_response
from starlette.types import ASGIApp, Receive, Scope, Send

from offhook import health
from offhook.webhooks.greeting import PersonalizationDoor
from offhook.webhooks.post_call import PostCallDoor

_POST_CALL = "/api/webhook/elevenlabs"
_PERSONALIZATION = "/api/webhook/elevenlabs/personalization"
_LIVE = "/api/health/live"


def doors(post_call: PostCallDoor, personalization: PersonalizationDoor) -> list[BaseRoute]:
    """What ElevenLabs and monitors call; `api/` lists what an API key opens."""
    return [
        Route(_POST_CALL, post_call, methods=["POST"]),
        Route(_PERSONALIZATION, personalization, methods=["POST"]),
        Route(_LIVE, health.live),
        Route("/api/health/ready", health.ready),
        Route("/api/health", health.report),
        Route("/metrics", health.metrics),
    ]


class Entrance:
    """Leads the hot requests straight to their doors; all else goes through the framework, which knows every route.

    FastAPI's layers around a route (telemetry, body limits, exceptions, routing) take 40 us, as long as filing an event.
    """

    def __init__(self, post_call: PostCallDoor, personalization: PersonalizationDoor, framework: ASGIApp) -> None:
        self._hot: dict[tuple[str, str], ASGIApp] = {
            ("POST", _POST_CALL): post_call,
            ("POST", _PERSONALIZATION): personalization,
            ("GET", _LIVE): request_response(health.live),
        }
        self._framework = framework

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        place = (scope["method"], scope["path"]) if scope["type"] == "http" else None
        door = self._hot.get(place, self._framework) if place else self._framework
        await door(scope, receive, send)
