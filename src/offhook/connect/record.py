"""What connect made and changed in a workspace: enough to go on after a crash, to mend it and to undo it."""

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

LABEL = "connect"  #: of the webhook and tool secrets that connect made


class Former(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an agent was like before; what is unset was not changed."""

    attached: list[str] = []  #: ids of tools that it has through connect
    is_asked_before: bool | UnsetType = UNSET
    places: dict[str, Any] = {}  #: its own webhook and personalization; None: it had none


class SetUp(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One organisation's. Kept as JSON in `workspaces.set_up`; an empty one is that of a first run."""

    mark: str = ""  #: another one each time that this is written: by it a run knows that it is alone
    is_hipaa: bool = False
    webhook_id: str | None = None  #: by which its events come
    has_retries: bool | None = None  #: of the webhook, as set last: not every answer of ElevenLabs shows it
    secret_id: str | None = None  #: the workspace secret that is the bearer
    tool_ids: dict[str, str] = {}  #: offhook's name of a tool -> its id
    agent_ids: list[str] = []  #: those that are connected
    made: list[str] = []  #: ids of webhooks, secrets and tools that connect made; the others were found
    former_retries: bool | UnsetType = UNSET  #: of a webhook that was found
    former_settings: dict[str, Any] = {}  #: of the workspace
    former_agents: dict[str, Former] = {}
    imported_agents: list[str] = []
    imported_numbers: list[str] = []


def read(set_up: dict[str, Any] | None) -> SetUp:
    return msgspec.convert(set_up or {}, SetUp)


def on_record(set_up: SetUp) -> set[str]:
    """The ids of all in the workspace that connect has to do with."""
    ids = {set_up.webhook_id, set_up.secret_id, *set_up.made, *set_up.tool_ids.values()}
    return {id for id in ids if id is not None} | {*set_up.agent_ids, *set_up.former_agents}


def written(set_up: SetUp) -> dict[str, Any]:
    made: dict[str, Any] = msgspec.to_builtins(set_up)
    return made
