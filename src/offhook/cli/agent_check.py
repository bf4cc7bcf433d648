"""offhook agent check: whether every variable that an agent uses is filled."""

from collections.abc import Sequence
from typing import Any

import msgspec

from offhook.connect.variables import Use, uses_of
from offhook.connect.workspace import Workspace
from offhook.settings import Settings
from offhook.store.organizations import Agent, Organization
from offhook.voice.elevenlabs import agents as eleven
from offhook.voice.elevenlabs.wants import variables_of


class Checked(msgspec.Struct, frozen=True):
    """One agent."""

    agent_id: str
    name: str
    is_asked: bool  #: offhook is asked before its calls
    uses: Sequence[Use]

    @property
    def is_complete(self) -> bool:
        return all(use.filled_by for use in self.uses)


def checked(
    agent_id: str, there: Workspace, organization: Organization, known: Sequence[Agent], settings: Settings
) -> Checked:
    agent = there.agents[agent_id]
    tools = [there.tools[id] for id in eleven.tool_ids(agent) if id in there.tools] + eleven.inline_tools(agent)
    own = next((one.variables for one in known if one.agent_id == agent_id), ())
    is_asked = _is_asked(agent, there, settings)
    uses = uses_of(variables_of(agent, tools), organization.rules, own, organization.name, is_asked=is_asked)
    return Checked(agent_id, str(agent.get("name") or agent_id), is_asked, uses)


def _is_asked(agent: dict[str, Any], there: Workspace, settings: Settings) -> bool:
    """Whether offhook fills the variables of its calls; without OFFHOOK_PUBLIC_URL any address may be ours."""
    place = eleven.own(agent, eleven.PERSONALIZATION) or there.settings.get(eleven.PERSONALIZATION) or {}
    url = str(place.get("url") or "")
    return eleven.is_asked_before(agent) and bool(url) and url.startswith(settings.public_url)


def facts(one: Checked) -> dict[str, Any]:
    variables = [msgspec.structs.asdict(use) for use in one.uses]
    return {
        "agent_id": one.agent_id,
        "name": one.name,
        "is_asked": one.is_asked,
        "is_complete": one.is_complete,
        "variables": variables,
    }
