"""What differs between a workspace and what offhook wants of it. Pure: the plan that is shown is the plan that is done.

What people made stays theirs: another webhook or personalization URL of the workspace is left alone, and the connected agents
get ours as their own; a tool of an agent's own is never replaced.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

import msgspec

from offhook.connect.record import Former, SetUp
from offhook.connect.workspace import Thing, Workspace
from offhook.credentials import hash_of
from offhook.phone import e164
from offhook.voice.elevenlabs import agents as eleven
from offhook.voice.elevenlabs.tools import FORMS, tool_config

EVENTS = ("transcript", "audio", "call_initiation_failure")
NEW = "(new)"  #: in the place of an id that is not there yet

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


# The secret


def _secret_id(wanted: Wanted, there: Workspace, done: SetUp) -> str | None:
    if done.secret_id in there.secrets:
        return done.secret_id
    return next((id for id, name in there.secrets.items() if name == wanted.secret_name), None)


def _secret(wanted: Wanted, there: Workspace, aim: Aim) -> Row:
    if aim.secret_id is None:
        return Row("secret", "make", f"{wanted.secret_name}: the bearer of personalization and tools", "make_secret")
    if not wanted.has_tool_secret:
        return Row("secret", "change", "nobody here knows its value: it gets a new one", "renew_secret", aim.secret_id)
    return Row("secret", "stays", there.secrets[aim.secret_id])


# The webhook


def _webhook_id(wanted: Wanted, there: Workspace, done: SetUp) -> str | None:
    """The one that events can come by: at our address, and its secret is known here."""
    ours = [id for id in there.webhooks if _url(there, id) == wanted.webhook_url]
    if done.webhook_id in ours and (wanted.has_webhook_secret or done.webhook_id not in done.made):
        return done.webhook_id
    found = [id for id in ours if id not in done.made and there.webhooks[id]["name"] != wanted.name]
    return found[0] if found and wanted.has_proven_secret else None


def _webhook(wanted: Wanted, there: Workspace, done: SetUp, aim: Aim) -> Row:
    if aim.webhook_id is None:
        return Row("webhook", "make", f"{wanted.webhook_url}{_why_new(wanted, there, done)}", "make_webhook")
    changes = list(_untuned(wanted, there.webhooks[aim.webhook_id], done))
    if changes:
        return Row("webhook", "change", ", ".join(changes), "tune_webhook", aim.webhook_id)
    found = "" if aim.webhook_id in done.made else ", which connect did not make"
    return Row("webhook", "stays", f"{wanted.webhook_url}{found}")


def _why_new(wanted: Wanted, there: Workspace, done: SetUp) -> str:
    if done.webhook_id in there.webhooks and _url(there, done.webhook_id) != wanted.webhook_url:
        return f" (it was {_url(there, done.webhook_id)})"
    if any(_url(there, id) == wanted.webhook_url for id in there.webhooks):
        return " (the one that is there has a secret that nobody here knows)"
    return ""


def _untuned(wanted: Wanted, webhook: Thing, done: SetUp) -> Iterator[str]:
    if webhook.get("is_disabled") or webhook.get("is_auto_disabled"):
        yield "is switched on again"
    has_retries = webhook.get("retry_enabled", done.has_retries)
    if has_retries is not (not wanted.is_hipaa):
        yield "retries off" if wanted.is_hipaa else "retries on"


# The workspace's settings


def _settings(wanted: Wanted, there: Workspace, aim: Aim) -> Iterator[Row]:
    yield _post_call(wanted, there, aim) if aim.is_workspace_webhook else _left_webhook(there)
    is_ours = aim.is_workspace_personalization
    yield _personalization(wanted, there, aim) if is_ours else _left_personalization(wanted, there)


def _post_call(wanted: Wanted, there: Workspace, aim: Aim) -> Row:
    now = there.settings.get(eleven.WEBHOOK) or {}
    if _has_our_events(now, aim):
        return Row("post-call webhook", "stays", "of the workspace, with " + ", ".join(EVENTS))
    former = now.get("post_call_webhook_id")
    instead = f", instead of {_url(there, former) or former}" if former not in (None, "", aim.webhook_id) else ""
    return Row("post-call webhook", "change", f"for {', '.join(EVENTS)}{instead}", "set_post_call")


def _left_webhook(there: Workspace) -> Row:
    id = (there.settings.get(eleven.WEBHOOK) or {})["post_call_webhook_id"]
    return Row(
        "post-call webhook", "leave", f"of the workspace: {_url(there, id)}; the agents below get ours as their own"
    )


def _personalization(wanted: Wanted, there: Workspace, aim: Aim) -> Row:
    now = there.settings.get(eleven.PERSONALIZATION)
    if _is_our_personalization(wanted, now, aim):
        return Row("personalization URL", "stays", wanted.personalization_url)
    instead = f", instead of {now['url']}" if now and now.get("url") != wanted.personalization_url else ""
    return Row("personalization URL", "change", f"{wanted.personalization_url}{instead}", "set_personalization")


def _left_personalization(wanted: Wanted, there: Workspace) -> Row:
    url = there.settings[eleven.PERSONALIZATION]["url"]
    other = f"{url} with another bearer" if url == wanted.personalization_url else url
    return Row("personalization URL", "leave", f"of the workspace: {other}; the agents below get ours as their own")


def _is_post_call_free(wanted: Wanted, there: Workspace, done: SetUp, webhook_id: str | None) -> bool:
    """Whether the workspace's place is empty, ours, or held by what was deleted."""
    id = (there.settings.get(eleven.WEBHOOK) or {}).get("post_call_webhook_id")
    if not id or id == webhook_id or id not in there.webhooks or id in done.made:
        return True
    return there.webhooks[id]["name"] == wanted.name or _url(there, id) == wanted.webhook_url


def _is_personalization_free(wanted: Wanted, there: Workspace, done: SetUp, secret_id: str | None) -> bool:
    now = there.settings.get(eleven.PERSONALIZATION)
    if not now or not now.get("url"):
        return True
    bearer = (now.get("request_headers") or {}).get("Authorization")
    id = secret_of(bearer)
    if id is None:
        return _is_our_bearer(bearer, wanted)
    return id == secret_id or id in done.made or (id not in there.secrets and now["url"] == wanted.personalization_url)


def _has_our_events(now: Thing, aim: Aim) -> bool:
    return now.get("post_call_webhook_id") == aim.webhook_id is not None and {*EVENTS} <= {*(now.get("events") or ())}


def _is_our_personalization(wanted: Wanted, now: Thing | None, aim: Aim) -> bool:
    if not now or now.get("url") != wanted.personalization_url:
        return False
    bearer = (now.get("request_headers") or {}).get("Authorization")
    return (secret_of(bearer) or NEW) == aim.secret_id or _is_our_bearer(bearer, wanted)


def _is_our_bearer(header: Any, wanted: Wanted) -> bool:
    """Whether a person wrote a valid tool secret of the organisation into the header itself."""
    return isinstance(header, str) and hash_of(header.removeprefix("Bearer ").strip()) in wanted.bearers


def post_call(now: Thing | None, aim: Aim) -> Thing:
    """*now* with our webhook and our events in it, the others as they were."""
    events = list((now or {}).get("events") or ())
    return {
        **(now or {}),
        "post_call_webhook_id": aim.webhook_id or NEW,
        "events": events + [event for event in EVENTS if event not in events],
    }


def personalization(wanted: Wanted, aim: Aim) -> Thing:
    return {"url": wanted.personalization_url, "request_headers": aim.bearer_header}


# Tools


def tool_wanted(wanted: Wanted, aim: Aim, tool: str) -> Thing:
    config = tool_config(tool, wanted.base_url)
    config["api_schema"]["request_headers"] = aim.bearer_header
    return config


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
    return has_our_secret(found, secret_id) or _is_our_bearer(_bearer(found), wanted)


def has_our_secret(tool: Thing, secret_id: str | None) -> bool:
    """Only connect makes such a tool: by hand one writes the bearer itself."""
    return secret_id is not None and secret_of(_bearer(tool)) == secret_id


def secret_of(header: Any) -> str | None:
    """The id of the workspace secret that *header* takes its value from; None where it has its own."""
    return header.get("secret_id") if isinstance(header, dict) else None


def _tool(wanted: Wanted, there: Workspace, aim: Aim, tool: str) -> Row:
    config, id = tool_wanted(wanted, aim, tool), aim.tool_ids.get(tool)
    what = f"tool {config['name']}"
    if id is None:
        return Row(what, "make", config["api_schema"]["url"], "make_tool", tool)
    if _is_our_bearer(_bearer(there.tools[id]), wanted):
        return Row(what, "stays", "as somebody made it")
    if contains(there.tools[id], config):
        return Row(what, "stays", config["api_schema"]["url"])
    return Row(what, "change", "address, bearer or fields differ", "change_tool", tool)


def _bearer(tool: Thing) -> Any:
    return (_schema(tool).get("request_headers") or {}).get("Authorization")


def _schema(tool: Thing) -> Thing:
    return tool.get("api_schema") or {}


def contains(found: Any, wanted: Any) -> bool:
    """Whether *found* is as *wanted*, whatever else the API or a person adds to its objects."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(contains(found.get(key), value) for key, value in wanted.items())
    if wanted == []:
        return found in ([], None)
    return bool(found == wanted)


def merged(old: Any, new: Any) -> Any:
    """*old* with what *new* says over it."""
    if isinstance(old, dict) and isinstance(new, dict):
        return {**old, **{key: merged(old.get(key), value) for key, value in new.items()}}
    return new


# Agents and numbers


class Change(msgspec.Struct, frozen=True):
    """What is to be changed on an agent."""

    words: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    patch: Thing = {}
    former: Former = Former()


def change_of(agent: Thing, wanted: Wanted, there: Workspace, aim: Aim) -> Change:
    """Attach what is missing, switch personalization on, and send its events here; *former* is how it was."""
    has, taken = eleven.tool_ids(agent), _tool_names(agent, there)
    ours = {tool: aim.tool_ids.get(tool, NEW) for tool in FORMS}
    left = [name for tool, id in ours.items() if (name := tool_config(tool, "")["name"]) in taken and id not in has]
    missing = [id for tool, id in ours.items() if id not in has and tool_config(tool, "")["name"] not in left]
    places = _places(agent, wanted, aim)
    is_asked = eleven.is_asked_before(agent)
    return Change(
        words=tuple(_words(agent, missing, is_asked, places, there)),
        left=tuple(left),
        patch=eleven.patch(
            agent,
            tools=[*has, *missing] if missing else None,
            is_asked_before=None if is_asked else True,
            places=places,
        ),
        former=Former(
            attached=missing,
            is_asked_before=msgspec.UNSET if is_asked else False,
            places={name: eleven.own(agent, name) for name in places},
        ),
    )


def _places(agent: Thing, wanted: Wanted, aim: Aim) -> dict[str, Thing | None]:
    """What it needs of its own: where the workspace's is somebody else's, or where its own is."""
    own = {name: eleven.own(agent, name) for name in (eleven.WEBHOOK, eleven.PERSONALIZATION)}
    webhook, asked = own[eleven.WEBHOOK], own[eleven.PERSONALIZATION]
    places: dict[str, Thing | None] = {}
    if (webhook or not aim.is_workspace_webhook) and not _has_our_events(webhook or {}, aim):
        places[eleven.WEBHOOK] = post_call(webhook, aim)
    if (asked or not aim.is_workspace_personalization) and not _is_our_personalization(wanted, asked, aim):
        places[eleven.PERSONALIZATION] = personalization(wanted, aim)
    return places


def _words(
    agent: Thing, missing: list[str], is_asked: bool, places: Mapping[str, Thing | None], there: Workspace
) -> Iterator[str]:
    if missing:
        yield f"gets {len(missing)} tools" if len(missing) > 1 else "gets 1 tool"
    if not is_asked:
        yield "personalization on"
    if eleven.WEBHOOK in places:
        id = (eleven.own(agent, eleven.WEBHOOK) or {}).get("post_call_webhook_id")
        yield "its own post-call webhook" + (f", instead of {_url(there, id) or id}" if id else "")
    if eleven.PERSONALIZATION in places:
        url = (eleven.own(agent, eleven.PERSONALIZATION) or {}).get("url")
        yield "its own personalization URL" + (f", instead of {url}" if url else "")


def _tool_names(agent: Thing, there: Workspace) -> set[str]:
    attached = {str(there.tools[id].get("name")) for id in eleven.tool_ids(agent) if id in there.tools}
    return attached | {str(tool["name"]) for tool in eleven.inline_tools(agent)}


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


def _url(there: Workspace, id: str | None) -> str:
    return str(there.webhooks.get(id or "", {}).get("webhook_url") or "")


def to_do(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if row.deed is not None]
