"""What connect made and changed in a workspace, and is to be undone. Pure. What people changed since is left as it is."""

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from offhook.connect.aims import secret_of
from offhook.connect.plan import Verb
from offhook.connect.record import Former, SetUp
from offhook.connect.workspace import Thing, Workspace
from offhook.voice.elevenlabs import agents as eleven

Undeed = Literal[
    "restore_settings", "restore_agent", "restore_retries", "delete_tool", "delete_webhook", "delete_secret",
    "forget_agent", "forget_number",
]  # fmt: skip

_SAID = {eleven.WEBHOOK: "post-call webhook", eleven.PERSONALIZATION: "personalization URL"}


class Unrow(msgspec.Struct, frozen=True):
    """One thing of the way back."""

    what: str
    verb: Verb
    detail: str
    deed: Undeed | None = None
    target: str = ""


def undoing(there: Workspace, done: SetUp) -> list[Unrow]:
    """Every row, in the order in which they are to be done: nothing is deleted while something uses it."""
    return [
        *_settings(there, done),
        *_agents(there, done),
        *_retries(there, done),
        *_made(there, done),
        *(Unrow(f"agent {id}", "remove", "from offhook's own list", "forget_agent", id) for id in done.imported_agents),
        *(Unrow(f"number {one}", "remove", "from offhook's own list", "forget_number", one)
          for one in done.imported_numbers),
    ]  # fmt: skip


def _settings(there: Workspace, done: SetUp) -> Iterator[Unrow]:
    for name, former in done.former_settings.items():
        if _is_by_connect(name, there.settings.get(name), done):
            yield Unrow(_SAID[name], "change", f"of the workspace: {_as_it_was(former)}", "restore_settings", name)
        else:
            yield Unrow(_SAID[name], "leave", "of the workspace: somebody has changed it since")


def _as_it_was(former: Any) -> str:
    value = (former or {}).get("url") or (former or {}).get("post_call_webhook_id")
    return f"again {value}" if value else "none, as it was"


def _is_by_connect(name: str, now: Thing | None, done: SetUp) -> bool:
    if name == eleven.WEBHOOK:
        return (now or {}).get("post_call_webhook_id") in {*done.made, done.webhook_id} - {None}
    bearer = ((now or {}).get("request_headers") or {}).get("Authorization")
    return secret_of(bearer) in {*done.made, done.secret_id} - {None}


def settings_before(name: str, there: Workspace, done: SetUp) -> Thing | None:
    """What the workspace's settings are to be again; a webhook that was deleted meanwhile is none."""
    former = done.former_settings[name]
    if name != eleven.WEBHOOK:
        return dict(former) if former else None
    return _webhook_before(former, there) or {"post_call_webhook_id": None, "events": None}


def _webhook_before(former: Any, there: Workspace) -> Thing | None:
    is_there = bool(former) and former.get("post_call_webhook_id") in there.webhooks
    return {"events": None, **former} if is_there else None


def _agents(there: Workspace, done: SetUp) -> Iterator[Unrow]:
    for id, former in done.former_agents.items():
        if id in there.agents and agent_before(there.agents[id], former, there, done):
            name = there.agent_names.get(id) or id
            yield Unrow(f"agent {name}", "change", "as it was before", "restore_agent", id)


def agent_before(agent: Thing, former: Former, there: Workspace, done: SetUp) -> Thing:
    """The PATCH that takes back what connect changed and nobody changed since; {} where there is nothing."""
    has = eleven.tool_ids(agent)
    kept = [id for id in has if id not in former.attached]
    is_flag_ours = former.is_asked_before is False and eleven.is_asked_before(agent)
    places = {
        name: (_webhook_before(before, there) if name == eleven.WEBHOOK else before)
        for name, before in former.places.items()
        if _is_by_connect(name, eleven.own(agent, name), done)
    }
    return eleven.patch(
        agent,
        tools=kept if kept != has else None,
        is_asked_before=False if is_flag_ours else None,
        places=places,
    )


def _retries(there: Workspace, done: SetUp) -> Iterator[Unrow]:
    if done.former_retries is not msgspec.UNSET and done.webhook_id in there.webhooks:
        yield Unrow("webhook", "change", f"retries {_ON[done.former_retries]}, as it was", "restore_retries")


_ON = {True: "on", False: "off"}


def _made(there: Workspace, done: SetUp) -> Iterator[Unrow]:
    for id in done.made:
        if id in there.tools:
            yield Unrow(f"tool {there.tools[id].get('name')}", "remove", "connect made it", "delete_tool", id)
    for id in done.made:
        if id in there.webhooks:
            yield Unrow("webhook", "remove", str(there.webhooks[id].get("webhook_url")), "delete_webhook", id)
    for id in done.made:
        if id in there.secrets:
            yield Unrow("secret", "remove", there.secrets[id], "delete_secret", id)
