"""Every URL of offhook, on one screen. The doors come first: they are bare ASGI, and the JSON API's router stands behind."""

from starlette.routing import BaseRoute, Route

from offhook import health
from offhook.webhooks.greeting import PersonalizationDoor
from offhook.webhooks.post_call import PostCallDoor


def doors(post_call: PostCallDoor, personalization: PersonalizationDoor) -> list[BaseRoute]:
    """What ElevenLabs and monitors call; `api/` lists what an API key opens."""
    return [
        Route("/api/webhook/elevenlabs", post_call, methods=["POST"]),
        Route("/api/webhook/elevenlabs/personalization", personalization, methods=["POST"]),
        Route("/api/health/live", health.live),
        Route("/api/health/ready", health.ready),
        Route("/api/health", health.report),
        Route("/metrics", health.metrics),
    ]
