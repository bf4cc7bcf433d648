"""The tools' part of the document at /openapi.json: what ElevenLabs is told of them, and their answers."""

from typing import Any

import msgspec

from offhook.voice.elevenlabs.tools import ANSWERS, FORMS, ToolFailed

_REF = "#/components/schemas/{name}"
_ERROR = {"application/json": {"schema": {"$ref": _REF.format(name="WebhookErrorResponse")}}}
_ERRORS = {
    "401": "Unauthorized",
    "405": "Only POST is served here",
    "413": "The body is longer than any request of this kind",
    "503": "The database that knows this token is down",
}


def paths() -> dict[str, Any]:
    return {f"/api/webhook/elevenlabs/tools/{tool}": {"post": _operation(tool)} for tool in FORMS}


def schemas() -> dict[str, Any]:
    return msgspec.json.schema_components([*ANSWERS.values(), ToolFailed], ref_template=_REF)[1]


def _operation(tool: str) -> dict[str, Any]:
    answers = {"anyOf": [{"$ref": _REF.format(name=kind.__name__)} for kind in (ANSWERS[tool], ToolFailed)]}
    done = {"description": "Done, or why not", "content": {"application/json": {"schema": answers}}}
    errors = {code: {"description": why, "content": _ERROR} for code, why in _ERRORS.items()}
    return {
        "tags": ["Webhooks"],
        "summary": FORMS[tool].about,
        "operationId": f"post_webhook_elevenlabs_tools_{tool.replace('-', '_')}",
        "requestBody": {"required": True, "content": {"application/json": {"schema": _request(tool)}}},
        "responses": {"200": done, **errors},
        "security": [{"toolSecret": []}],
    }


def _request(tool: str) -> dict[str, Any]:
    fields = FORMS[tool].fields
    return {
        "type": "object",
        "required": [name for name, field in fields.items() if field.is_required],
        "properties": {
            **{name: {"type": "string", "description": field.about} for name, field in fields.items()},
            "tool_call_id": {"type": "string", "description": "The same use again has the same."},
        },
    }
