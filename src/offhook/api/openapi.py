"""The document at /openapi.json.

The API's part follows from the code: its answers and bodies are the types that are encoded and decoded. The webhook doors
are no FastAPI routes; `webhooks.json` beside this file says of two of them what the user's own documents say, and the
answers that we add; tool_documents.py says the rest.
"""

from collections.abc import Callable, Collection
from importlib import resources
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.responses import Response

from offhook import __version__
from offhook.api import tool_documents
from offhook.api.shapes import Json

_REF = "#/components/schemas/{name}"
_ERROR = {"application/json": {"schema": {"$ref": _REF.format(name="WebhookErrorResponse")}}}
_MP3 = {"schema": {"type": "string", "format": "binary"}}
_ERRORS = {
    400: "Something in the request cannot be used; the sentence begins with its name",
    401: "Unauthorized",
    403: "The key does not have the scope",
    503: "The database does not answer just now",
}
_ID_ERRORS = {404: "There is nothing here with that id"}
_BODY_ERRORS = {409: "It belongs to another contact already", 413: "The body is longer than 64 KiB"}
#: Of what follows from a call, and is nobody's to take away.
NOT_YOURS: dict[int, dict[str, Any]] = {409: {"description": "It is an agent's summary", "content": _ERROR}}
#: Of ids that stand in a body.
ID_ERRORS: dict[int, dict[str, Any]] = {
    code: {"description": why, "content": _ERROR} for code, why in _ID_ERRORS.items()
}
#: Of a recording: parts of it, and what a player is told that has it or asks for too much.
AUDIO_ANSWERS: dict[int, dict[str, Any]] = {
    200: {"description": "The whole recording", "content": {"audio/mpeg": _MP3}},
    206: {"description": "The range that was asked for", "content": {"audio/mpeg": _MP3}},
    304: {"description": "The bytes named by If-None-Match are still the recording"},
    416: {"description": "The range lies behind the end", "content": _ERROR},
}


def ingest_answers(answer: type[msgspec.Struct]) -> dict[int, dict[str, Any]]:
    """A call that was here before, and one that is too much."""
    content = {"application/json": {"schema": _ref(answer)}}
    return {
        200: {"description": "The same call was here before", "content": content},
        413: {
            "description": "Longer than OFFHOOK_RECORDING_LIMIT_MIB or OFFHOOK_BODY_LIMIT_MIB allows",
            "content": _ERROR,
        },
    }


#: A link is enough to hear a recording.
SIGNED_LINK = {
    "signedLink": {"type": "apiKey", "in": "query", "name": "signature", "description": "The query of a link."}
}

_described: set[type[msgspec.Struct]] = set()


def words_of(
    path: str,
    endpoint: Callable[..., Any],
    answer: type[msgspec.Struct] | None,
    *,
    status: int,
    body: type[msgspec.Struct] | None,
    answers: dict[int, dict[str, Any]] | None,
    opens_with: Collection[str],
) -> dict[str, Any]:
    """What FastAPI is told of a URL for the document; how it is served does not follow from it.

    *opens_with*: names of security schemes, any of which does as well as an API key.
    """
    errors = _ERRORS | (_ID_ERRORS if "{" in path else {}) | (_BODY_ERRORS if body else {})
    responses: dict[int | str, dict[str, Any]] = {
        code: {"description": why, "content": _ERROR} for code, why in errors.items()
    }
    if answer is not None:
        responses[status] = {"description": "Done", "content": {"application/json": {"schema": _ref(answer)}}}
    return {
        "tags": [path.split("/")[2]],
        "status_code": status,
        "response_model": None,
        "response_class": Response if answer is None else Json,
        "responses": responses | (answers or {}),
        "operation_id": endpoint.__name__,
        "summary": (endpoint.__doc__ or "").partition("\n")[0],
        "openapi_extra": {
            **(_request_body(body) if body else {}),
            "security": [{name: []} for name in opens_with],
        },
    }


def document(app: FastAPI) -> dict[str, Any]:
    """The whole document, from the routes of *app* and the two doors."""
    written = get_openapi(title="offhook", version=__version__, summary=_SUMMARY, routes=app.routes)
    doors = msgspec.json.decode((resources.files(__package__) / "webhooks.json").read_bytes(), type=dict[str, Any])
    written["paths"] = doors["paths"] | tool_documents.paths() | _tidied(written["paths"])
    schemas = msgspec.json.schema_components(sorted(_described, key=lambda kind: kind.__name__), ref_template=_REF)[1]
    components = written["components"]
    components["schemas"] = schemas | tool_documents.schemas() | doors["components"]["schemas"]
    components["securitySchemes"] |= SIGNED_LINK | doors["components"]["securitySchemes"]
    return written


_SUMMARY = "Voice calls: what was said, who rang, and the proof that nothing was lost."


def _ref(kind: type[msgspec.Struct]) -> dict[str, str]:
    _described.add(kind)
    return {"$ref": _REF.format(name=kind.__name__)}


def _request_body(kind: type[msgspec.Struct]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": _ref(kind)}}}}


def _tidied(paths: dict[str, Any]) -> dict[str, Any]:
    """FastAPI adds an answer to bad input that is not ours (400 is), titles that say nothing, and words twice."""
    for operation in (operation for operations in paths.values() for operation in operations.values()):
        operation["responses"].pop("422", None)
        operation.pop("description", None)
        for parameter in operation.get("parameters", ()):
            schema = parameter["schema"]
            for word in ("title", "description"):
                schema.pop(word, None)
            if "default" in schema:
                schema["default"] = str(schema["default"])  # parameters arrive as text
    return paths
