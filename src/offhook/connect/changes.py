"""What is to be written into settings, tools and agents, so that nothing else of them changes. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from offhook.connect.aims import EVENTS, NEW, Aim, Wanted, has_our_events, is_our_personalization, url_of
from offhook.connect.record import Former
from offhook.connect.workspace import Thing, Workspace
from offhook.voice.elevenlabs import agents as eleven
from offhook.voice.elevenlabs.tools import FORMS, tool_config


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
    if (webhook or not aim.is_workspace_webhook) and not has_our_events(webhook or {}, aim):
        places[eleven.WEBHOOK] = post_call(webhook, aim)
    if (asked or not aim.is_workspace_personalization) and not is_our_personalization(wanted, asked, aim):
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
        yield "its own post-call webhook" + (f", instead of {url_of(there, id) or id}" if id else "")
    if eleven.PERSONALIZATION in places:
        url = (eleven.own(agent, eleven.PERSONALIZATION) or {}).get("url")
        yield "its own personalization URL" + (f", instead of {url}" if url else "")


def _tool_names(agent: Thing, there: Workspace) -> set[str]:
    attached = {str(there.tools[id].get("name")) for id in eleven.tool_ids(agent) if id in there.tools}
    return attached | {str(tool["name"]) for tool in eleven.inline_tools(agent)}


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


def tool_wanted(wanted: Wanted, aim: Aim, tool: str) -> Thing:
    """Its configuration, the bearer being the workspace's secret."""
    config = tool_config(tool, wanted.base_url)
    config["api_schema"]["request_headers"] = aim.bearer_header
    return config


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
