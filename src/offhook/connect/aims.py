"""What an organisation wants of its workspace, and by which ids: what connect made, or people did. Pure."""

from collections.abc import Mapping
from typing import Any

import msgspec

from offhook.connect.record import SetUp
from offhook.connect.workspace import Thing, Workspace
from offhook.credentials import hash_of
from offhook.voice.elevenlabs import agents as eleven
from offhook.voice.elevenlabs.tools import FORMS, tool_config

EVENTS = ("transcript", "audio", "call_initiation_failure")
NEW = "(new)"  #: in the place of an id that is not there yet


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What an organisation wants of its workspace, and what is known of it here."""

    org_id: str
    country: str
    base_url: str
    agent_ids: tuple[str, ...]  #: to be connected
    is_hipaa: bool = False
    bearers: frozenset[str] = frozenset()  #: hashes of its valid tool secrets
    has_tool_secret: bool = False  #: the one that connect made, and it is valid
    has_webhook_secret: bool = False
    has_proven_secret: bool = False  #: another webhook secret, by which events were proven
    known_agents: frozenset[str] = frozenset()
    known_numbers: frozenset[str] = frozenset()
    elsewhere: Mapping[str, str] = {}  #: agents and numbers of other organisations here, and the names of those

    @property
    def webhook_url(self) -> str:
        return f"{self.base_url}/api/webhook/elevenlabs?org={self.org_id}"

    @property
    def personalization_url(self) -> str:
        return f"{self.base_url}/api/webhook/elevenlabs/personalization"

    @property
    def name(self) -> str:
        """What webhook and secret are called there; nobody else would call them so."""
        return f"offhook {self.org_id}"

    @property
    def secret_name(self) -> str:
        return f"offhook_{self.org_id}"


class Aim(msgspec.Struct, frozen=True, kw_only=True):
    """By which ids it is to be, as far as there are any yet."""

    webhook_id: str | None
    secret_id: str | None
    tool_ids: dict[str, str]
    is_workspace_webhook: bool  #: else the agents get it as their own
    is_workspace_personalization: bool

    @property
    def bearer_header(self) -> dict[str, Any]:
        return {"Authorization": {"secret_id": self.secret_id or NEW}}


def aim_of(wanted: Wanted, there: Workspace, done: SetUp) -> Aim:
    secret_id = _secret_id(wanted, there, done)
    webhook_id = _webhook_id(wanted, there, done)
    tools = {tool: _tool_id(wanted, there, done, secret_id, tool) for tool in FORMS}
    return Aim(
        webhook_id=webhook_id,
        secret_id=secret_id,
        tool_ids={tool: id for tool, id in tools.items() if id is not None},
        is_workspace_webhook=_is_post_call_free(wanted, there, done, webhook_id),
        is_workspace_personalization=_is_personalization_free(wanted, there, done, secret_id),
    )


def noted(aim: Aim, there: Workspace, done: SetUp) -> SetUp:
    """*done* with what *aim* found; what a run before a crash made, and could not record, counts as made by connect."""
    made = [aim.secret_id, *(id for id in aim.tool_ids.values() if has_our_secret(there.tools[id], aim.secret_id))]
    return msgspec.structs.replace(
        done,
        webhook_id=aim.webhook_id,
        secret_id=aim.secret_id,
        tool_ids=aim.tool_ids,
        made=done.made + [id for id in made if id is not None and id not in done.made],
    )


def _secret_id(wanted: Wanted, there: Workspace, done: SetUp) -> str | None:
    if done.secret_id in there.secrets:
        return done.secret_id
    return next((id for id, name in there.secrets.items() if name == wanted.secret_name), None)


def _webhook_id(wanted: Wanted, there: Workspace, done: SetUp) -> str | None:
    """The one that events can come by: at our address, and its secret is known here."""
    ours = [id for id in there.webhooks if url_of(there, id) == wanted.webhook_url]
    if done.webhook_id in ours and (wanted.has_webhook_secret or done.webhook_id not in done.made):
        return done.webhook_id
    found = [id for id in ours if id not in done.made and there.webhooks[id]["name"] != wanted.name]
    return found[0] if found and wanted.has_proven_secret else None


def _is_post_call_free(wanted: Wanted, there: Workspace, done: SetUp, webhook_id: str | None) -> bool:
    """Whether the workspace's place is empty, ours, or held by what was deleted."""
    id = (there.settings.get(eleven.WEBHOOK) or {}).get("post_call_webhook_id")
    if not id or id == webhook_id or id not in there.webhooks or id in done.made:
        return True
    return there.webhooks[id]["name"] == wanted.name or url_of(there, id) == wanted.webhook_url


def _is_personalization_free(wanted: Wanted, there: Workspace, done: SetUp, secret_id: str | None) -> bool:
    now = there.settings.get(eleven.PERSONALIZATION)
    if not now or not now.get("url"):
        return True
    bearer = (now.get("request_headers") or {}).get("Authorization")
    id = secret_of(bearer)
    if id is None:
        return is_our_bearer(bearer, wanted)
    return id == secret_id or id in done.made or (id not in there.secrets and now["url"] == wanted.personalization_url)


def _tool_id(wanted: Wanted, there: Workspace, done: SetUp, secret_id: str | None, tool: str) -> str | None:
    known = done.tool_ids.get(tool)
    if known in there.tools and (known in done.made or _is_like(there.tools[known], tool, wanted, secret_id)):
        return known
    return next((id for id, one in there.tools.items() if _is_like(one, tool, wanted, secret_id)), None)


def _is_like(found: Thing, tool: str, wanted: Wanted, secret_id: str | None) -> bool:
    """Whether it is our tool, made before a crash or by a person's hands."""
    config = tool_config(tool, wanted.base_url)
    if found.get("name") != config["name"] or _schema(found).get("url") != config["api_schema"]["url"]:
        return False
    return has_our_secret(found, secret_id) or is_our_bearer(bearer_of(found), wanted)


def url_of(there: Workspace, id: str | None) -> str:
    """Of the webhook; "" when there is none."""
    return str(there.webhooks.get(id or "", {}).get("webhook_url") or "")


def has_our_events(now: Thing, aim: Aim) -> bool:
    """Whether *now*, a workspace's or an agent's, sends our webhook all that it wants."""
    return now.get("post_call_webhook_id") == aim.webhook_id is not None and {*EVENTS} <= {*(now.get("events") or ())}


def is_our_personalization(wanted: Wanted, now: Thing | None, aim: Aim) -> bool:
    if not now or now.get("url") != wanted.personalization_url:
        return False
    bearer = (now.get("request_headers") or {}).get("Authorization")
    return (secret_of(bearer) or NEW) == aim.secret_id or is_our_bearer(bearer, wanted)


def has_our_secret(tool: Thing, secret_id: str | None) -> bool:
    """Only connect makes such a tool: by hand one writes the bearer itself."""
    return secret_id is not None and secret_of(bearer_of(tool)) == secret_id


def is_our_bearer(header: Any, wanted: Wanted) -> bool:
    """Whether a person wrote a valid tool secret of the organisation into the header itself."""
    return isinstance(header, str) and hash_of(header.removeprefix("Bearer ").strip()) in wanted.bearers


def secret_of(header: Any) -> str | None:
    """The id of the workspace secret that *header* takes its value from; None where it has its own."""
    return header.get("secret_id") if isinstance(header, dict) else None


def bearer_of(tool: Thing) -> Any:
    return (_schema(tool).get("request_headers") or {}).get("Authorization")


def _schema(tool: Thing) -> Thing:
    return tool.get("api_schema") or {}
