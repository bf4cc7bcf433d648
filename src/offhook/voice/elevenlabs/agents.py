"""An agent as ElevenLabs' API has it: what offhook reads of it, and the PATCH that changes just that.

https://elevenlabs.io/docs/api-reference/agents/update and the SDK's types, read 2026-10. A PATCH merges objects; those below
`platform_settings` are sent whole all the same, as they were read, so that nothing beside the change depends on it.
"""

from typing import Any

WEBHOOK = "webhooks"  #: an agent's own place for post-call events, or the workspace's
PERSONALIZATION = "conversation_initiation_client_data_webhook"

_FLAG = "enable_conversation_initiation_client_data_from_webhook"

Agent = dict[str, Any]


def tool_ids(agent: Agent) -> list[str]:
    return list(_prompt(agent).get("tool_ids") or ())


def inline_tools(agent: Agent) -> list[dict[str, Any]]:
    """The tools that the API shows within the agent: those of before there were ids, and ElevenLabs' own."""
    return [tool for tool in _prompt(agent).get("tools") or () if isinstance(tool, dict) and tool.get("name")]


def is_asked_before(agent: Agent) -> bool:
    """Whether a personalization webhook is asked when somebody rings this agent."""
    return bool((_platform(agent).get("overrides") or {}).get(_FLAG))


def own(agent: Agent, name: str) -> dict[str, Any] | None:
    """The agent's own WEBHOOK or PERSONALIZATION, in place of the workspace's; None where it has none."""
    found = (_platform(agent).get("workspace_overrides") or {}).get(name)
    if not isinstance(found, dict) or not (found.get("url") or found.get("post_call_webhook_id")):
        return None
    return found


def patch(
    agent: Agent,
    *,
    tools: list[str] | None = None,
    is_asked_before: bool | None = None,
    places: dict[str, dict[str, Any] | None] | None = None,
) -> dict[str, Any]:
    """What to PATCH *agent* with, so that it has just those tools, that flag, and those *places* (by WEBHOOK and
    PERSONALIZATION) of its own. None leaves what there is."""
    body: dict[str, Any] = {}
    if tools is not None:
        body["conversation_config"] = {"agent": {"prompt": {"tool_ids": tools}}}
    platform: dict[str, Any] = {}
    if is_asked_before is not None:
        platform["overrides"] = {**(_platform(agent).get("overrides") or {}), _FLAG: is_asked_before}
    if places:
        platform["workspace_overrides"] = {**(_platform(agent).get("workspace_overrides") or {}), **places}
    return body | ({"platform_settings": platform} if platform else {})


def _prompt(agent: Agent) -> dict[str, Any]:
    found = ((agent.get("conversation_config") or {}).get("agent") or {}).get("prompt")
    return found if isinstance(found, dict) else {}


def _platform(agent: Agent) -> dict[str, Any]:
    return agent.get("platform_settings") or {}
