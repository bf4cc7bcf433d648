"""The tools of an agent: how ElevenLabs is told of them, and how it asks for one.

Follows https://elevenlabs.io/docs/eleven-agents/customization/tools/server-tools and the types of its SDK, read 2026-10. A
value comes from the model, which may write anything, or from a system variable, which it cannot touch: who is calling, and
in which conversation, is never left to the model.
"""

from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from offhook.voice import json_text, lenient
from offhook.voice.contract import ToolWanted

_RESPONSE_TIMEOUT_S = 10  #: twice what we allow ourselves
_LONGEST_WORDS = 4_000


class Field(NamedTuple):
    """A value that a tool is given."""

    about: str  #: for the model, which writes it, or for people, where a variable fills it
    variable: str | None = None  #: the dynamic variable that fills it
    is_required: bool = False


class Form(NamedTuple):
    """A tool as the model sees it."""

    about: str  #: what it does, and when to use it
    fields: dict[str, Field]


_CALL = {
    "conversation_id": Field("The conversation.", "system__conversation_id"),
    "agent_id": Field("The agent.", "system__agent_id"),
    "caller_id": Field("Number that rings.", "system__caller_id"),
    "called_number": Field("Number that is rung.", "system__called_number"),
}
_PERSON = Field("The person's telephone number as they said it. Leave it out for the number they are calling from.")

FORMS: dict[str, Form] = {
    "check-availability": Form(
        "Tells whether somebody of the team can take the call now. Use it before you offer to put the caller through.",
        _CALL,
    ),
    "check-business-hours": Form(
        "Tells whether the office is open now. Use it before you promise that somebody will answer.", _CALL
    ),
    "lookup-contact": Form(
        "Tells who the caller is, and what was noted about them. Use it once, when you need to know.",
        {"phone_number": _PERSON, **_CALL},
    ),
    "create-note": Form(
        "Writes down something that the team should know about the caller.",
        {
            "note": Field("What to write down, in one or two sentences.", is_required=True),
            "phone_number": _PERSON,
            **_CALL,
        },
    ),
    "update-contact": Form(
        "Keeps the caller's name or email address. Use it when they tell you, and spell it back to them first.",
        {
            "first_name": Field("The caller's first name."),
            "last_name": Field("The caller's family name."),
            "email": Field("The caller's email address."),
            "phone_number": _PERSON,
            **_CALL,
        },
    ),
    "send-sms": Form(
        "Sends a text message to the caller's own number. Ask the caller first.",
        {
            "message": Field("The text, in at most a few sentences.", is_required=True),
            "phone_number": _PERSON,
            **_CALL,
        },
    ),
    "transfer": Form(
        "Finds somebody who can take the call and gives their number, or records that the caller wants to be rung back.",
        {"reason": Field("What the caller needs, in one sentence.", is_required=True), **_CALL},
    ),
}


def tool_config(tool: str, base_url: str) -> dict[str, Any]:
    """What ElevenLabs is told of the tool, as its API and the JSON editor of its pages take it."""
    form = FORMS[tool]
    return {
        "type": "webhook",
        "name": tool.replace("-", "_"),
        "description": form.about,
        "response_timeout_secs": _RESPONSE_TIMEOUT_S,
        "api_schema": {
            "url": f"{base_url}/api/webhook/elevenlabs/tools/{tool}",
            "method": "POST",
            "request_headers": {"Authorization": "Bearer <tool secret>"},
            "request_body_schema": {
                "type": "object",
                "description": form.about,
                "required": [name for name, field in form.fields.items() if field.is_required],
                "properties": {name: _property(field) for name, field in form.fields.items()},
            },
        },
    }


def _property(field: Field) -> dict[str, str]:
    """Of the two only one may be said."""
    source = {"dynamic_variable": field.variable} if field.variable else {"description": field.about}
    return {"type": "string", **source}


# Answers


class Availability(msgspec.Struct, frozen=True):
    """Who is there just now."""

    agents_available: bool
    available_count: int
    online_count: int


class BusinessHours(msgspec.Struct, frozen=True):
    """Whether the office is open."""

    is_open: bool
    current_time: str  #: "Monday 14:32", in the organisation's time zone
    timezone: str
    organization_name: str


class KnownContact(msgspec.Struct, frozen=True):
    """What the agent may be told of somebody."""

    first_name: str | None
    last_name: str | None
    name: str | None
    email: str | None
    phone_number: str | None
    notes: list[str]  #: the newest first
    last_call: str | None  #: when it was, ISO 8601 UTC


class ContactFound(msgspec.Struct, frozen=True):
    """Who it is."""

    found: bool
    contact: KnownContact | None


class NoteSaved(msgspec.Struct, frozen=True):
    """It is written down."""

    note_id: str
    message: str = "Note saved"
    success: bool = True


class ContactUpdated(msgspec.Struct, frozen=True):
    """It is kept."""

    updated_fields: list[str]
    message: str = "Contact updated"
    success: bool = True


class TextSent(msgspec.Struct, frozen=True):
    """It is on its way."""

    message: str = "SMS sent"
    success: bool = True


class Transferred(msgspec.Struct, frozen=True):
    """Somebody takes the call, or will ring back."""

    message: str
    transfer_number: str | UnsetType = UNSET  #: E.164; absent when nobody is available
    success: bool = True


class ToolFailed(msgspec.Struct, frozen=True):
    """It was not done, and this is what the agent can say."""

    error: str
    success: bool = False


Told = Availability | BusinessHours | ContactFound | NoteSaved | ContactUpdated | TextSent | Transferred | ToolFailed

ANSWERS: dict[str, type[msgspec.Struct]] = {
    "check-availability": Availability,
    "check-business-hours": BusinessHours,
    "lookup-contact": ContactFound,
    "create-note": NoteSaved,
    "update-contact": ContactUpdated,
    "send-sms": TextSent,
    "transfer": Transferred,
}


# Requests


class _Request(msgspec.Struct, frozen=True, kw_only=True):
    tool_call_id: str | None = None
    conversation_id: str | None = None
    call_sid: str | None = None
    agent_id: str | None = None
    caller_id: str | None = None
    called_number: str | None = None
    called_id: str | None = None
    phone_number: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    email: str | None = None
    note: str | None = None
    message: str | None = None
    reason: str | None = None


_object = msgspec.json.Decoder(dict[str, Any])


def read_request(body: bytes) -> tuple[ToolWanted, dict[str, Any]]:
    """What is wanted, and all that was sent; Unreadable when *body* is no JSON object. A field of another type is None."""
    sent = json_text.decode(body, _object)
    request = lenient.read(_Request, sent) or _Request()
    return ToolWanted(
        tool_call_id=_id(request.tool_call_id),
        conversation_id=_id(request.conversation_id),
        call_sid=_id(request.call_sid),
        agent_id=_id(request.agent_id),
        caller=_words(request.caller_id),
        called=_words(request.called_number) or _words(request.called_id),
        number=_words(request.phone_number),
        first_name=_words(request.first_name),
        last_name=_words(request.last_name),
        email=_words(request.email),
        note=_words(request.note),
        message=_words(request.message),
        reason=_words(request.reason),
    ), sent


def _words(text: str | None) -> str | None:
    """*text* as a database keeps it, and no longer than anybody means it."""
    return text.replace("\0", "").strip()[:_LONGEST_WORDS] or None if text else None


def _id(text: str | None) -> str | None:
    return text.replace("\0", "") or None if text else None
