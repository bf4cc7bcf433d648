"""The offline ElevenLabs, served for real in the test's own event loop, with the official SDK as one of its clients."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import uvicorn
from elevenlabs import AsyncElevenLabs, WebhookHmacSettings

from offhook.twin.api import Desk, build
from offhook.twin.clock import Clock
from offhook.twin.postman import Postman
from offhook.twin.workspace import Workspace
from tests.services import listening

KEY = "twin-key"


class Twin:
    def __init__(self, url: str, desk: Desk) -> None:
        self.url = url
        self.desk = desk
        self.sdk = AsyncElevenLabs(base_url=url, api_key=KEY, timeout=10)
        self.http = httpx.AsyncClient(base_url=url)

    async def hook(self, url: str, **changes: Any) -> tuple[str, str]:
        """A webhook of the workspace for all its events: its id and secret."""
        made = await self.sdk.webhooks.create(settings=WebhookHmacSettings(name="offhook", webhook_url=url))
        if changes:
            await self.sdk.webhooks.update(made.webhook_id, is_disabled=False, name="offhook", **changes)
        await self.sdk.conversational_ai.settings.update(webhooks={"post_call_webhook_id": made.webhook_id})
        assert made.webhook_secret
        return made.webhook_id, made.webhook_secret

    async def place(self, calls: int = 1, seed: str = "0") -> list[str]:
        answer = await self.http.post("/twin/calls", json={"calls": calls, "seed": seed})
        ids: list[str] = answer.json()["conversation_ids"]
        return ids

    async def delivered(self) -> list[dict[str, Any]]:
        """What was tried, once nothing is under way or waits."""
        while True:
            said = (await self.http.get("/twin/deliveries")).json()
            if said["is_idle"]:
                return list(said["deliveries"])
            await asyncio.sleep(0.01)

    async def turn(self, seconds: float) -> None:
        await self.http.post("/twin/clock", json={"seconds": seconds})


@asynccontextmanager
async def served_twin() -> AsyncIterator[Twin]:
    clock = Clock()
    workspace = Workspace(KEY, clock())
    desk = Desk(workspace, clock, Postman(workspace, clock))
    listener = listening()
    server = uvicorn.Server(uvicorn.Config(build(desk), log_level="warning", timeout_keep_alive=75))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        await asyncio.sleep(0.01)
    twin = Twin(f"http://127.0.0.1:{listener.getsockname()[1]}", desk)
    yield twin
    await twin.http.aclose()
    server.should_exit = True
    await serving
