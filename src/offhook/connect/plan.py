"""What differs between a workspace and what offhook wants of it. Pure: the plan that is shown is the plan that is done.

What people made stays theirs: another webhook or personalization URL of the workspace is left alone, and the connected agents
get ours as their own; a tool of an agent's own is never replaced.
"""

from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec

from offhook.connect.aims import (
    EVENTS,
    Aim,
    Wanted,
    aim_of,
    bearer_of,
    has_our_events,
    is_our_bearer,
    is_our_personalization,
    url_of,
)
from offhook.connect.changes import change_of, contains, tool_wanted
from offhook.connect.record import SetUp, on_record
from offhook.connect.workspace import Thing, Workspace
from offhook.phone import e164
from offhook.voice.elevenlabs import agents as eleven
from offhook.voice.elevenlabs.tools import FORMS

Verb = Literal["stays", "make", "change", "import", "remove", "leave"]
Deed = Literal[
    "make_secret", "renew_secret", "make_webhook", "tune_webhook", "drop_webhook", "set_post_call", "set_personalization",
    "make_tool", "change_tool", "change_agent", "import_agent", "import_number",
]  # fmt: skip


class Row(msgspec.Struct, frozen=True):
    """One thing of the plan."""

    what: str
    verb: Verb
    detail: str
    deed: Deed | None = None  #: None: nothing is to be done
    target: str = ""


def plan(wanted: Wanted, there: Workspace, done: SetUp) -> list[Row]:
    """Every row, in the order in which they are to be done."""
    aim = aim_of(wanted, there, done)
    return [
        _secret(wanted, there, aim),
        _webhook(wanted, there, done, aim),
        *_settings(wanted, there, aim),
        *(_tool(wanted, there, aim, tool) for tool in FORMS),
        *_agents(wanted, there, aim),
        *_numbers(wanted, there),
        *_leftovers(wanted, there, done, aim),
    ]


def gone(there: Workspace, done: SetUp) -> list[str]:
    """What connect set up and somebody deleted since, in words."""
    missing = [f"the webhook {done.webhook_id}"] if done.webhook_id not in (None, *there.webhooks) else []
    missing += [f"the secret {done.secret_id}"] if done.secret_id not in (None, *there.secrets) else []
    return missing + [f"the tool {tool}" for tool, id in done.tool_ids.items() if id not in there.tools]


def is_another_workspace(there: Workspace, done: SetUp) -> bool:
    """Whether nothing that is on record is there, not even an agent."""
    known = on_record(done)
    return bool(known) and known.isdisjoint({*there.webhooks, *there.secrets, *there.tools, *there.agent_names})


def _secret(wanted: Wanted, there: Workspace, aim: Aim) -> Row:
    if aim.secret_id is None:
        return Row("secret", "make", f"{wanted.secret_name}: the bearer of personalization and tools", "make_secret")
    if not wanted.has_tool_secret:
        return Row("secret", "change", "nobody here knows its value: it gets a new one", "renew_secret", aim.secret_id)
    return Row("secret", "stays", there.secrets[aim.secret_id])


def _webhook(wanted: Wanted, there: Workspace, done: SetUp, aim: Aim) -> Row:
    if aim.webhook_id is None:
        return Row("webhook", "make", f"{wanted.webhook_url}{_why_new(wanted, there, done)}", "make_webhook")
    changes = list(_untuned(wanted, there.webhooks[aim.webhook_id], done))
    if changes:
        return Row("webhook", "change", ", ".join(changes), "tune_webhook", aim.webhook_id)
    found = "" if aim.webhook_id in done.made else ", which connect did not make"
    return Row("webhook", "stays", f"{wanted.webhook_url}{found}")


def _why_new(wanted: Wanted, there: Workspace, done: SetUp) -> str:
    if done.webhook_id in there.webhooks and url_of(there, done.webhook_id) != wanted.webhook_url:
        return f" (it was {url_of(there, done.webhook_id)})"
    if any(url_of(there, id) == wanted.webhook_url for id in there.webhooks):
        return " (the one that is there has a secret that nobody here knows)"
    return ""


def _untuned(wanted: Wanted, webhook: Thing, done: SetUp) -> Iterator[str]:
    if webhook.get("is_disabled") or webhook.get("is_auto_disabled"):
        yield "is switched on again"
    has_retries = webhook.get("retry_enabled", done.has_retries)
    if has_retries is not (not wanted.is_hipaa):
        yield "retries off" if wanted.is_hipaa else "retries on"


def _settings(wanted: Wanted, there: Workspace, aim: Aim) -> Iterator[Row]:
    yield _post_call(wanted, there, aim) if aim.is_workspace_webhook else _left_webhook(there)
    is_ours = aim.is_workspace_personalization
    yield _personalization(wanted, there, aim) if is_ours else _left_personalization(wanted, there)


def _post_call(wanted: Wanted, there: Workspace, aim: Aim) -> Row:
    now = there.settings.get(eleven.WEBHOOK) or {}
    if has_our_events(now, aim):
        return Row("post-call webhook", "stays", "of the workspace, with " + ", ".join(EVENTS))
    former = now.get("post_call_webhook_id")
    instead = f", instead of {url_of(there, former) or former}" if former not in (None, "", aim.webhook_id) else ""
    return Row("post-call webhook", "change", f"for {', '.join(EVENTS)}{instead}", "set_post_call")


def _left_webhook(there: Workspace) -> Row:
    id = (there.settings.get(eleven.WEBHOOK) or {})["post_call_webhook_id"]
    return Row(
        "post-call webhook", "leave", f"of the workspace: {url_of(there, id)}; the agents below get ours as their own"
    )


def _personalization(wanted: Wanted, there: Workspace, aim: Aim) -> Row:
    now = there.settings.get(eleven.PERSONALIZATION)
    if is_our_personalization(wanted, now, aim):
        return Row("personalization URL", "stays", wanted.personalization_url)
    instead = f", instead of {now['url']}" if now and now.get("url") != wanted.personalization_url else ""
    return Row("personalization URL", "change", f"{wanted.personalization_url}{instead}", "set_personalization")


def _left_personalization(wanted: Wanted, there: Workspace) -> Row:
    url = there.settings[eleven.PERSONALIZATION]["url"]
    other = f"{url} with another bearer" if url == wanted.personalization_url else url
    return Row("personalization URL", "leave", f"of the workspace: {other}; the agents below get ours as their own")


def _tool(wanted: Wanted, there: Workspace, aim: Aim, tool: str) -> Row:
    config, id = tool_wanted(wanted, aim, tool), aim.tool_ids.get(tool)
    what = f"tool {config['name']}"
    if id is None:
        return Row(what, "make", config["api_schema"]["url"], "make_tool", tool)
    if is_our_bearer(bearer_of(there.tools[id]), wanted):
        return Row(what, "stays", "as somebody made it")
    if contains(there.tools[id], config):
        return Row(what, "stays", config["api_schema"]["url"])
    return Row(what, "change", "address, bearer or fields differ", "change_tool", tool)


def _agents(wanted: Wanted, there: Workspace, aim: Aim) -> Iterator[Row]:
    for id in wanted.agent_ids:
        if id in there.agents:
            yield from _agent(id, there.agents[id], wanted, there, aim)
    for id, name in there.agent_names.items():
        if id not in wanted.agent_ids and id in wanted.elsewhere:
            yield Row(f"agent {name}", "leave", f"it belongs to {wanted.elsewhere[id]}")


def _agent(id: str, agent: Thing, wanted: Wanted, there: Workspace, aim: Aim) -> Iterator[Row]:
    what, change = f"agent {agent.get('name') or id}", change_of(agent, wanted, there, aim)
    if change.left:
        yield Row(what, "leave", f"it has tools of its own called {', '.join(change.left)}")
    if change.words:
        yield Row(what, "change", "; ".join(change.words), "change_agent", id)
    else:
        yield Row(what, "stays", "has its tools and is asked for before a call")
    if id not in wanted.known_agents:
        yield Row(what, "import", f"{id} becomes known here", "import_agent", id)


def _numbers(wanted: Wanted, there: Workspace) -> Iterator[Row]:
    for one in there.numbers:
        if (one.get("assigned_agent") or {}).get("agent_id") not in wanted.agent_ids:
            continue
        number = number_of(one, wanted.country)
        if number is None:
            yield Row(f"number {one.get('phone_number')}", "leave", "it cannot be read as a telephone number")
        elif number in wanted.elsewhere:
            yield Row(f"number {number}", "leave", f"it belongs to {wanted.elsewhere[number]}")
        elif number not in wanted.known_numbers:
            yield Row(f"number {number}", "import", one.get("label") or "becomes known here", "import_number", number)


def number_of(one: Thing, country: str) -> str | None:
    """E.164; None when it is none, as a SIP address may be."""
    return e164(str(one.get("phone_number") or ""), country)


def _leftovers(wanted: Wanted, there: Workspace, done: SetUp, aim: Aim) -> Iterator[Row]:
    for id, webhook in there.webhooks.items():
        if id != aim.webhook_id and (id in done.made or webhook["name"] == wanted.name):
            yield Row("webhook", "remove", f"{webhook['webhook_url']}, an earlier one of connect's", "drop_webhook", id)


def to_do(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if row.deed is not None]
