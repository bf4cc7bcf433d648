"""What a workspace holds: agents, numbers, tools, secrets, webhooks, settings, conversations. Gone with the process.

Objects are kept as the JSON that the API shows; only what decides about deliveries has fields of its own.
"""

import secrets
from typing import Any

import msgspec

from offhook.simulator.calls import Attempt, Call, answered, attempted
from offhook.simulator.scenarios import SCENARIOS, Failure, Scenario
from offhook.twin.rules import Standing

Json = dict[str, Any]

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
ALL_EVENTS = ("transcript", "audio", "call_initiation_failure")


class Webhook(msgspec.Struct):
    """A workspace webhook and how its deliveries went."""

    id: str
    name: str
    url: str
    secret: str
    created_at: float
    request_headers: dict[str, str | None] = {}
    events: list[str] = []
    is_disabled: bool = False
    is_retried: bool = False
    waiting_retries: int = 0
    standing: Standing = Standing()

    @property
    def is_open(self) -> bool:
        return not (self.is_disabled or self.standing.is_auto_disabled)


class Conversation(msgspec.Struct):
    """A conversation as the API shows it, and its recording."""

    data: Json
    mp3: bytes
    started_at: int  #: unix

    @property
    def id(self) -> str:
        return str(self.data["conversation_id"])


class Workspace:
    """One workspace, with an agent and a number for each business of the simulator."""

    def __init__(self, api_key: str, now: float) -> None:
        self.api_key = api_key
        self.agents: dict[str, Json] = {}
        self.phone_numbers: dict[str, Json] = {}
        self.tools: dict[str, Json] = {}
        self.secrets: dict[str, tuple[str, str]] = {}  # id -> name, value
        self.webhooks: dict[str, Webhook] = {}
        self.settings: Json = {"conversation_initiation_client_data_webhook": None, "webhooks": {}}
        self.conversations: dict[str, Conversation] = {}
        self._now = now
        for scenario in SCENARIOS:
            self._employ(scenario)

    def call_of(self, card: Scenario | Failure, seed: str, ended_at: float) -> Call | Attempt:
        """A call for one of this workspace's agents."""
        if isinstance(card, Failure):
            return attempted(card, seed, ended_at, self.api_key)
        return answered(card, seed, ended_at, self.api_key)

    def _employ(self, scenario: Scenario) -> None:
        line, business = self.call_of(scenario, "0", self._now).line, scenario.business
        self.agents[line.agent_id] = _agent(line.agent_id, business.agent_name, self._now)
        self.phone_numbers[line.phone_number_id] = {
            "provider": business.carrier, "phone_number": business.number, "label": business.name,
            "phone_number_id": line.phone_number_id, "supports_inbound": True, "supports_outbound": True,
            "assigned_agent": {"agent_id": line.agent_id, "agent_name": business.agent_name},
        }  # fmt: skip

    def keep(self, call: Call, data: Json) -> Conversation:
        conversation = Conversation(data, call.spoken.mp3, call.started_at)
        self.conversations[conversation.id] = conversation
        return conversation

    def post_call_webhook(self, agent_id: str) -> tuple[Webhook | None, tuple[str, ...]]:
        """The webhook for events of this agent's calls, its own or the workspace's, and which events it wants."""
        agent = self.agents.get(agent_id, {})
        own = agent.get("platform_settings", {}).get("workspace_overrides", {}).get("webhooks") or {}
        chosen = own if own.get("post_call_webhook_id") else self.settings.get("webhooks") or {}
        webhook = self.webhooks.get(chosen.get("post_call_webhook_id") or "")
        return webhook, tuple(chosen.get("events") or ALL_EVENTS)

    def header_value(self, value: Any) -> str:
        """A header as it is sent: literal, or the value of a workspace secret."""
        if isinstance(value, dict) and "secret_id" in value:
            return self.secrets.get(value["secret_id"], ("", ""))[1]
        return str(value)


def new_id(kind: str) -> str:
    return f"{kind}_" + "".join(secrets.choice(_ALPHABET) for _ in range(26))


def is_asked_before(agent: Json) -> bool:
    """Whether the workspace's personalization webhook is asked when a call for this agent comes in."""
    overrides = agent.get("platform_settings", {}).get("overrides", {})
    return bool(overrides.get("enable_conversation_initiation_client_data_from_webhook"))


def merged(old: Any, new: Any) -> Any:
    """What a PATCH makes of *old*: objects are merged, all else is replaced."""
    if isinstance(old, dict) and isinstance(new, dict):
        return {**old, **{name: merged(old.get(name), value) for name, value in new.items()}}
    return new


def newest_first(conversations: dict[str, Conversation]) -> list[Conversation]:
    return sorted(conversations.values(), key=lambda one: (-one.started_at, one.id))


def _agent(agent_id: str, name: str, now: float) -> Json:
    return {
        "agent_id": agent_id,
        "name": name,
        "conversation_config": {
            "agent": {
                "first_message": "Hello {{caller_name}}, this is " + name + ".",
                "language": "en",
                "dynamic_variables": {"dynamic_variable_placeholders": {}},
                "prompt": {"prompt": f"You are {name}. You speak with {{{{caller_name}}}}.", "tool_ids": []},
            }
        },
        "metadata": {"created_at_unix_secs": int(now), "updated_at_unix_secs": int(now)},
        "platform_settings": {
            "overrides": {"enable_conversation_initiation_client_data_from_webhook": False},
            "workspace_overrides": {"webhooks": None, "conversation_initiation_client_data_webhook": None},
        },
        "phone_numbers": [],
        "tags": [],
    }
