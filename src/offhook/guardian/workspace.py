"""What ElevenLabs shows of a workspace, as far as it decides whether calls arrive.

https://elevenlabs.io/docs/api-reference/webhooks, .../workspace, .../agents, read 2026-10.
"""

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from offhook.voice.elevenlabs.api import ElevenLabs, NotThere, WrongKey, at

_HOOKS = "/v1/workspace/webhooks"


class Hook(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook of the workspace."""

    webhook_id: str
    webhook_url: str = ""
    is_disabled: bool = False
    is_auto_disabled: bool = False
    retry_enabled: bool | None = None  #: None: ElevenLabs does not say
    most_recent_failure_error_code: int | None = None
    most_recent_failure_timestamp: float | None = None  #: unix


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """Where post-call events go, and which."""

    post_call_webhook_id: str | None = None
    events: tuple[str, ...] | None = None  #: None: ElevenLabs does not say
    transcript_format: str | None = None
    exclude_transcript: bool | None = None


class Agent(msgspec.Struct, frozen=True, kw_only=True):
    agent_id: str
    name: str
    own_route: Route | None  #: None: the workspace's
    own_personalization_url: str | None  #: None: the workspace's
    is_personalized: bool  #: it has us asked who is ringing


class Workspace(msgspec.Struct, frozen=True, kw_only=True):
    """As it stands at ElevenLabs."""

    hooks: Mapping[str, Hook]  #: by id
    route: Route
    personalization_url: str | None
    agents: tuple[Agent, ...]  #: those of the organisation


async def look(elevenlabs: ElevenLabs, agent_ids: Collection[str]) -> Workspace:
    """Read it, and those of *agent_ids* that are there. TryLater, WrongKey or GiveUp as ElevenLabs has it."""
    settings = await elevenlabs.get("/v1/convai/settings")
    hooks = [msgspec.convert(hook, Hook, strict=False) for hook in (await _webhooks(elevenlabs))["webhooks"]]
    return Workspace(
        hooks={hook.webhook_id: hook for hook in hooks},
        route=_route(settings.get("webhooks")) or Route(),
        personalization_url=_url(settings),
        agents=tuple([agent for id in sorted(agent_ids) if (agent := await _agent(elevenlabs, id)) is not None]),
    )


async def _webhooks(elevenlabs: ElevenLabs) -> Any:
    """With their usages where the key is an administrator's: only then all is shown."""
    try:
        return await elevenlabs.get(_HOOKS, include_usages="true")
    except WrongKey:
        return await elevenlabs.get(_HOOKS)


async def _agent(elevenlabs: ElevenLabs, agent_id: str) -> Agent | None:
    """None when it is gone, or was put away: nobody rings it any more."""
    try:
        said = await elevenlabs.get(at("/v1/convai/agents", agent_id))
    except NotThere:
        return None
    platform = said.get("platform_settings") or {}
    if platform.get("archived"):
        return None
    overrides, own = platform.get("overrides") or {}, platform.get("workspace_overrides") or {}
    route = _route(own.get("webhooks"))
    return Agent(
        agent_id=agent_id,
        name=said.get("name") or agent_id,
        own_route=route if route is not None and route.post_call_webhook_id else None,
        own_personalization_url=_url(own),
        is_personalized=bool(overrides.get("enable_conversation_initiation_client_data_from_webhook")),
    )


def _route(said: Any) -> Route | None:
    return None if said is None else msgspec.convert(said, Route, strict=False)


def _url(said: Mapping[str, Any]) -> str | None:
    webhook = said.get("conversation_initiation_client_data_webhook") or {}
    return webhook.get("url") or None
