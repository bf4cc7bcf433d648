"""The part of ElevenLabs' API that offhook uses, as `AsyncElevenLabs(base_url=...)` calls it, and the twin's own switches.

Below /v1 it is ElevenLabs' (paths and fields as in the official SDK, elevenlabs 2.78); below /twin it is ours: calls to
place, faults to make, the clock to turn, what was delivered.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import islice
from typing import Any, TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from offhook.simulator.calls import deck
from offhook.twin.clock import Clock
from offhook.twin.postman import Faults, Postman
from offhook.twin.workspace import Conversation, Json, Webhook, Workspace, merged, new_id, newest_first

T = TypeVar("T")
Answer = Callable[["Desk", Request], Awaitable[Response]]

_ACCESS = {"is_creator": True, "creator_name": "Twin", "creator_email": "twin@example.com", "role": "admin"}
_MOST_PLACED = 10_000


class Refusal(Exception):
    """An answer in ElevenLabs' way of saying no."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        self.message = message


class Placed(msgspec.Struct, forbid_unknown_fields=True):
    """Calls to place."""

    calls: int = 1
    seed: str = "0"
    tool_secret: str = "twin"  # noqa: S105 - shows up where tools' headers are logged


class Turned(msgspec.Struct, forbid_unknown_fields=True):
    """How far the clock is turned on."""

    seconds: float


class Desk:
    """What the answers are given from."""

    def __init__(self, workspace: Workspace, clock: Clock, postman: Postman) -> None:
        self.workspace = workspace
        self.clock = clock
        self.postman = postman
        self.faults: list[int] = []  #: statuses that the next requests below /v1 are answered with


def build(desk: Desk) -> Starlette:
    """The application; *desk*'s clock goes as long as it runs."""

    @contextlib.asynccontextmanager
    async def running(_: Starlette) -> AsyncIterator[None]:
        clockwork = asyncio.create_task(desk.clock.run(), name="twin-clock")
        yield
        clockwork.cancel()
        await desk.postman.close()

    routes = [Route(path, _served(desk, answer), methods=[method]) for method, path, answer in ROUTES]
    return Starlette(routes=routes, lifespan=running)


# Conversations


async def list_conversations(desk: Desk, request: Request) -> Response:
    asked = request.query_params
    size = min(max(int(asked.get("page_size") or 30), 1), 100)
    wanted = [one for one in newest_first(desk.workspace.conversations) if _is_wanted(one, asked)]
    begin = int(asked.get("cursor") or 0)
    page, has_more = wanted[begin : begin + size], len(wanted) > begin + size
    cursor = str(begin + size) if has_more else None
    return JSONResponse({"conversations": [_summary(one) for one in page], "next_cursor": cursor, "has_more": has_more})


async def get_conversation(desk: Desk, request: Request) -> Response:
    return JSONResponse(_conversation(desk, request).data)


async def get_audio(desk: Desk, request: Request) -> Response:
    return Response(_conversation(desk, request).mp3, media_type="audio/mpeg")


async def delete_conversation(desk: Desk, request: Request) -> Response:
    del desk.workspace.conversations[_conversation(desk, request).id]
    return JSONResponse({})


# Webhooks


async def list_webhooks(desk: Desk, request: Request) -> Response:
    is_with_usage = request.query_params.get("include_usages") == "true"
    shown = [_shown(desk, webhook, is_with_usage=is_with_usage) for webhook in desk.workspace.webhooks.values()]
    return JSONResponse({"webhooks": shown})


async def create_webhook(desk: Desk, request: Request) -> Response:
    settings = (await _object(request)).get("settings")
    if not isinstance(settings, dict) or not settings.get("name") or not settings.get("webhook_url"):
        raise Refusal(422, "settings needs a name and a webhook_url")
    webhook = Webhook(
        new_id("wh"), settings["name"], settings["webhook_url"], new_id("wsec"), desk.clock(),
        request_headers=settings.get("request_headers") or {},
    )  # fmt: skip
    desk.workspace.webhooks[webhook.id] = webhook
    return JSONResponse({"webhook_id": webhook.id, "webhook_secret": webhook.secret})


async def update_webhook(desk: Desk, request: Request) -> Response:
    webhook, asked = _webhook(desk, request), await _object(request)
    if "is_disabled" not in asked or "name" not in asked:
        raise Refusal(422, "is_disabled and name are required")
    webhook.name, webhook.is_disabled = asked["name"], bool(asked["is_disabled"])
    webhook.is_retried = bool(asked.get("retry_enabled", webhook.is_retried))
    webhook.request_headers = asked.get("request_headers") or webhook.request_headers
    webhook.events = asked.get("events") or webhook.events
    if not webhook.is_disabled:  # so that a webhook that was given up is taken up again
        webhook.standing = msgspec.structs.replace(webhook.standing, is_auto_disabled=False, failures=0)
    return JSONResponse({"status": "ok"})


async def delete_webhook(desk: Desk, request: Request) -> Response:
    del desk.workspace.webhooks[_webhook(desk, request).id]
    return JSONResponse({"status": "ok"})


# Settings, secrets, tools, agents, numbers


async def get_settings(desk: Desk, _: Request) -> Response:
    return JSONResponse(desk.workspace.settings)


async def update_settings(desk: Desk, request: Request) -> Response:
    asked = {name: value for name, value in (await _object(request)).items() if name != "type"}
    webhook_id = (asked.get("webhooks") or {}).get("post_call_webhook_id")
    if webhook_id is not None and webhook_id not in desk.workspace.webhooks:
        raise Refusal(422, f"There is no webhook {webhook_id}")
    desk.workspace.settings = merged(desk.workspace.settings, asked)
    return JSONResponse(desk.workspace.settings)


async def list_secrets(desk: Desk, _: Request) -> Response:
    used_by: dict[str, list[str]] = {"tools": [], "agents": [], "others": [], "phone_numbers": []}
    shown = [
        {"type": "stored", "secret_id": id, "name": name, "used_by": used_by}
        for id, (name, _) in desk.workspace.secrets.items()
    ]
    return JSONResponse({"secrets": shown, "next_cursor": None, "has_more": False})


async def create_secret(desk: Desk, request: Request) -> Response:
    asked = await _object(request)
    if any(name == asked.get("name") for name, _ in desk.workspace.secrets.values()):
        raise Refusal(422, "A secret of that name exists already")
    id = new_id("secret")
    desk.workspace.secrets[id] = (asked["name"], asked["value"])
    return JSONResponse({"type": "stored", "secret_id": id, "name": asked["name"]})


async def update_secret(desk: Desk, request: Request) -> Response:
    id, asked = request.path_params["id"], await _object(request)
    _found(desk.workspace.secrets, id)
    desk.workspace.secrets[id] = (asked["name"], asked["value"])
    return JSONResponse({"type": "stored", "secret_id": id, "name": asked["name"]})


async def delete_secret(desk: Desk, request: Request) -> Response:
    _found(desk.workspace.secrets, request.path_params["id"])
    del desk.workspace.secrets[request.path_params["id"]]
    return Response(status_code=204)


async def list_tools(desk: Desk, _: Request) -> Response:
    return JSONResponse({"tools": [*desk.workspace.tools.values()], "next_cursor": None, "has_more": False})


async def create_tool(desk: Desk, request: Request) -> Response:
    id = new_id("tool")
    desk.workspace.tools[id] = {
        "id": id, "tool_config": (await _object(request))["tool_config"], "access_info": _ACCESS,
        "usage_stats": {"total_calls": 0, "avg_latency_secs": 0.0},
    }  # fmt: skip
    return JSONResponse(desk.workspace.tools[id])


async def get_tool(desk: Desk, request: Request) -> Response:
    return JSONResponse(_found(desk.workspace.tools, request.path_params["id"]))


async def update_tool(desk: Desk, request: Request) -> Response:
    tool = _found(desk.workspace.tools, request.path_params["id"])
    tool["tool_config"] = (await _object(request))["tool_config"]
    return JSONResponse(tool)


async def delete_tool(desk: Desk, request: Request) -> Response:
    _found(desk.workspace.tools, request.path_params["id"])
    del desk.workspace.tools[request.path_params["id"]]
    return JSONResponse({})


async def list_agents(desk: Desk, _: Request) -> Response:
    return JSONResponse(
        {
            "agents": [_agent_summary(one) for one in desk.workspace.agents.values()],
            "next_cursor": None,
            "has_more": False,
        }
    )


async def get_agent(desk: Desk, request: Request) -> Response:
    return JSONResponse(_found(desk.workspace.agents, request.path_params["id"]))


async def update_agent(desk: Desk, request: Request) -> Response:
    id = request.path_params["id"]
    desk.workspace.agents[id] = merged(_found(desk.workspace.agents, id), await _object(request))
    return JSONResponse(desk.workspace.agents[id])


async def list_numbers(desk: Desk, _: Request) -> Response:
    return JSONResponse([*desk.workspace.phone_numbers.values()])


async def get_number(desk: Desk, request: Request) -> Response:
    return JSONResponse(_found(desk.workspace.phone_numbers, request.path_params["id"]))


async def update_number(desk: Desk, request: Request) -> Response:
    number, asked = _found(desk.workspace.phone_numbers, request.path_params["id"]), await _object(request)
    if "agent_id" in asked:
        agent = _found(desk.workspace.agents, asked["agent_id"]) if asked["agent_id"] else None
        number["assigned_agent"] = agent and {"agent_id": agent["agent_id"], "agent_name": agent["name"]}
    number["label"] = asked.get("label") or number["label"]
    return JSONResponse(number)


# The twin's own


async def place_calls(desk: Desk, request: Request) -> Response:
    asked = msgspec.convert(await _object(request), Placed)
    if not 1 <= asked.calls <= _MOST_PLACED:
        raise Refusal(422, f"calls must be from 1 to {_MOST_PLACED}")
    ids = []
    for number, card in enumerate(islice(deck(asked.seed), asked.calls)):
        call = desk.workspace.call_of(card, f"{asked.seed}/{number}", desk.clock())
        await desk.postman.tell(call, asked.tool_secret)
        ids.append(call.line.conversation_id)
    return JSONResponse({"conversation_ids": ids})


async def set_faults(desk: Desk, request: Request) -> Response:
    asked = await _object(request)
    desk.faults = [int(status) for status in asked.pop("api", [])]
    desk.postman.faults = msgspec.convert(asked, Faults)
    return JSONResponse({**msgspec.to_builtins(desk.postman.faults), "api": desk.faults})


async def turn_clock(desk: Desk, request: Request) -> Response:
    desk.clock.turn(msgspec.convert(await _object(request), Turned).seconds)
    return JSONResponse({"now": desk.clock()})


async def show_deliveries(desk: Desk, _: Request) -> Response:
    return JSONResponse({"deliveries": msgspec.to_builtins(desk.postman.log), "is_idle": desk.postman.is_idle})


#: Every URL; what stands first serves.
ROUTES: list[tuple[str, str, Answer]] = [
    ("GET", "/v1/convai/conversations", list_conversations),
    ("GET", "/v1/convai/conversations/{id}", get_conversation),
    ("DELETE", "/v1/convai/conversations/{id}", delete_conversation),
    ("GET", "/v1/convai/conversations/{id}/audio", get_audio),
    ("GET", "/v1/workspace/webhooks", list_webhooks),
    ("POST", "/v1/workspace/webhooks", create_webhook),
    ("PATCH", "/v1/workspace/webhooks/{id}", update_webhook),
    ("DELETE", "/v1/workspace/webhooks/{id}", delete_webhook),
    ("GET", "/v1/convai/settings", get_settings),
    ("PATCH", "/v1/convai/settings", update_settings),
    ("GET", "/v1/convai/secrets", list_secrets),
    ("POST", "/v1/convai/secrets", create_secret),
    ("PATCH", "/v1/convai/secrets/{id}", update_secret),
    ("DELETE", "/v1/convai/secrets/{id}", delete_secret),
    ("GET", "/v1/convai/tools", list_tools),
    ("POST", "/v1/convai/tools", create_tool),
    ("GET", "/v1/convai/tools/{id}", get_tool),
    ("PATCH", "/v1/convai/tools/{id}", update_tool),
    ("DELETE", "/v1/convai/tools/{id}", delete_tool),
    ("GET", "/v1/convai/agents", list_agents),
    ("GET", "/v1/convai/agents/{id}", get_agent),
    ("PATCH", "/v1/convai/agents/{id}", update_agent),
    ("GET", "/v1/convai/phone-numbers", list_numbers),
    ("GET", "/v1/convai/phone-numbers/{id}", get_number),
    ("PATCH", "/v1/convai/phone-numbers/{id}", update_number),
    ("POST", "/twin/calls", place_calls),
    ("PUT", "/twin/faults", set_faults),
    ("POST", "/twin/clock", turn_clock),
    ("GET", "/twin/deliveries", show_deliveries),
]


def _served(desk: Desk, answer: Answer) -> Callable[[Request], Awaitable[Response]]:
    async def serve(request: Request) -> Response:
        try:
            if request.url.path.startswith("/v1/"):
                _admit(desk, request)
            return await answer(desk, request)
        except Refusal as refusal:
            return _refused(refusal.status, refusal.message)
        except (msgspec.ValidationError, ValueError, KeyError) as error:
            return _refused(422, str(error))

    return serve


def _admit(desk: Desk, request: Request) -> None:
    if request.headers.get("xi-api-key") != desk.workspace.api_key:
        raise Refusal(401, "Invalid API key")
    if desk.faults:
        raise Refusal(desk.faults.pop(0), "As it was told to")


def _refused(status: int, message: str) -> Response:
    return JSONResponse({"detail": {"status": "refused", "message": message}}, status)


def _is_wanted(conversation: Conversation, asked: Any) -> bool:
    after, before = asked.get("call_start_after_unix"), asked.get("call_start_before_unix")
    return (
        (not asked.get("agent_id") or conversation.data["agent_id"] == asked["agent_id"])
        and (after is None or conversation.started_at >= int(after))
        and (before is None or conversation.started_at <= int(before))
    )


def _summary(conversation: Conversation) -> Json:
    data = conversation.data
    metadata, analysis = data["metadata"], data.get("analysis") or {}
    return {
        "agent_id": data["agent_id"],
        "agent_name": data.get("agent_name"),
        "conversation_id": conversation.id,
        "start_time_unix_secs": conversation.started_at,
        "call_duration_secs": metadata["call_duration_secs"],
        "message_count": len(data["transcript"]),
        "status": data["status"],
        "call_successful": analysis.get("call_successful", "unknown"),
        "transcript_summary": analysis.get("transcript_summary"),
        "call_summary_title": analysis.get("call_summary_title"),
        "direction": (metadata.get("phone_call") or {}).get("direction"),
    }


def _agent_summary(agent: Json) -> Json:
    made = agent["metadata"]
    return {
        "agent_id": agent["agent_id"],
        "name": agent["name"],
        "voice_id": "twin",
        "tags": agent["tags"],
        "created_at_unix_secs": made["created_at_unix_secs"],
        "updated_at_unix_secs": made["updated_at_unix_secs"],
        "access_info": _ACCESS,
    }


def _shown(desk: Desk, webhook: Webhook, *, is_with_usage: bool) -> Json:
    standing = webhook.standing
    is_used = (desk.workspace.settings.get("webhooks") or {}).get("post_call_webhook_id") == webhook.id
    return {
        "name": webhook.name,
        "webhook_id": webhook.id,
        "webhook_url": webhook.url,
        "is_disabled": webhook.is_disabled,
        "is_auto_disabled": standing.is_auto_disabled,
        "created_at_unix": int(webhook.created_at),
        "auth_type": "hmac",
        "usage": [{"usage_type": "ConvAI Settings"}] if is_with_usage and is_used else [],
        "events": webhook.events,
        "retry_enabled": webhook.is_retried,
        "request_headers": webhook.request_headers,
        "most_recent_failure_error_code": standing.last_failure_status,
        "most_recent_failure_timestamp": standing.last_failure_at and int(standing.last_failure_at),
    }


def _conversation(desk: Desk, request: Request) -> Conversation:
    return _found(desk.workspace.conversations, request.path_params["id"])


def _webhook(desk: Desk, request: Request) -> Webhook:
    return _found(desk.workspace.webhooks, request.path_params["id"])


def _found(things: dict[str, T], id: str) -> T:
    if id not in things:
        raise Refusal(404, f"There is no {id}")
    return things[id]


async def _object(request: Request) -> Json:
    try:
        said = msgspec.json.decode(await request.body() or b"{}")
    except msgspec.DecodeError as error:
        raise Refusal(422, str(error)) from None
    if not isinstance(said, dict):
        raise Refusal(422, "A JSON object is wanted")
    return said
