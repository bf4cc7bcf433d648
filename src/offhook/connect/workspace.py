"""What is in a workspace, as ElevenLabs' API shows it."""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from offhook.voice.elevenlabs.api import ElevenLabs, NotThere, at

Thing = dict[str, Any]


class Workspace(msgspec.Struct, kw_only=True):
    """By id. Deeds keep it up with what they change."""

    webhooks: dict[str, Thing] = {}
    settings: Thing = {}
    secrets: dict[str, str] = {}  #: their names
    tools: dict[str, Thing] = {}  #: their configurations
    agent_names: dict[str, str] = {}  #: all of them
    agents: dict[str, Thing] = {}  #: in full, those that were wanted
    numbers: list[Thing] = []


async def read(asked: ElevenLabs) -> Workspace:
    """All but the agents in full."""
    return Workspace(
        webhooks={one["webhook_id"]: one for one in (await asked.get("/v1/workspace/webhooks"))["webhooks"]},
        settings=await asked.get("/v1/convai/settings"),
        secrets={one["secret_id"]: one["name"] async for one in asked.each("/v1/convai/secrets", "secrets")},
        tools={one["id"]: one["tool_config"] async for one in asked.each("/v1/convai/tools", "tools")},
        agent_names={one["agent_id"]: one["name"] async for one in asked.each("/v1/convai/agents", "agents")},
        numbers=await asked.get("/v1/convai/phone-numbers"),
    )


async def read_agents(asked: ElevenLabs, there: Workspace, ids: Iterable[str], on_each: Callable[[], None]) -> None:
    """Add those agents in full; one that was deleted meanwhile is not there any more."""
    for id in ids:
        try:
            there.agents[id] = await asked.get(at("/v1/convai/agents", id))
        except NotThere:
            there.agent_names.pop(id, None)
        on_each()
