"""The API for programs: JSON over HTTP with an API key. The table below is all of it."""

from collections.abc import Callable, Collection
from typing import Any

import msgspec
from fastapi import APIRouter, FastAPI, Request
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import Response

from offhook import __version__
from offhook.api import (
    audio,
    balance,
    callbacks,
    calls,
    contacts,
    events,
    ingest,
    memory,
    messages,
    notes,
    openapi,
    refusals,
    shapes,
    staff,
    variables,
)
from offhook.api.errors import HANDLERS, error_answer
from offhook.deps import Deps
from offhook.voice.external import IngestedCall

router = APIRouter()


def _serve(
    method: str,
    path: str,
    endpoint: Callable[..., Any],
    answer: type[msgspec.Struct] | None = None,
    *,
    status: int = 200,
    body: type[msgspec.Struct] | None = None,
    answers: dict[int, dict[str, Any]] | None = None,
    opens_with: Collection[str] = (),
) -> None:
    """One line of the table. HEAD is served wherever GET is, and not worth a line in the document."""
    words = openapi.words_of(path, endpoint, answer, status=status, body=body, answers=answers, opens_with=opens_with)
    router.add_api_route(path, endpoint, methods=[method], **words)
    if method == "GET":
        router.add_api_route(path, endpoint, methods=["HEAD"], include_in_schema=False)


async def _methods_end_here(request: Request) -> Response:
    """A word is no id: what /api/calls/{callId} serves, /api/calls/ingest does not."""
    raise HTTPException(405)


_serve("GET", "/api/calls/history", calls.history, shapes.CallList)
_serve("GET", "/api/calls/statistics", calls.call_statistics, shapes.StatisticsAnswer)
_serve(
    "POST",
    "/api/calls/ingest",
    ingest.ingest,
    shapes.IngestAnswer,
    status=201,
    body=IngestedCall,
    answers=openapi.ingest_answers(shapes.IngestAnswer),
)
router.add_api_route("/api/calls/ingest", _methods_end_here, methods=["GET", "HEAD"], include_in_schema=False)
_serve("GET", "/api/calls/{callId}", calls.one_call, shapes.CallAnswer)
_serve("GET", "/api/calls/{callId}/recording", calls.recording, shapes.RecordingAnswer)
_serve("GET", "/api/calls/{callId}/audio", audio.audio, answers=openapi.AUDIO_ANSWERS, opens_with=openapi.SIGNED_LINK)
_serve("GET", "/api/contacts", contacts.list_contacts, shapes.ContactList)
_serve("POST", "/api/contacts", contacts.add_contact, shapes.ContactAnswer, status=201, body=contacts.NewContact)
_serve("GET", "/api/contacts/{contactId}", contacts.one_contact, shapes.ContactAnswer)
_serve(
    "PATCH", "/api/contacts/{contactId}", contacts.change_contact, shapes.ContactAnswer, body=contacts.ContactChanges
)
_serve(
    "POST", "/api/contacts/{contactId}/merge", contacts.merge_contact, shapes.ContactAnswer, body=contacts.OtherContact
)
_serve("DELETE", "/api/contacts/{contactId}", contacts.delete_contact, status=204)
_serve("GET", "/api/contacts/{contactId}/memory", memory.one_memory, shapes.MemoryAnswer)
_serve(
    "PATCH", "/api/contacts/{contactId}/memory", memory.change_memory, shapes.MemoryAnswer, body=memory.MemoryChanges
)
_serve("DELETE", "/api/contacts/{contactId}/memory", memory.forget_memory, status=204)
_VARIABLES = "/api/organizations/{organizationId}/variables"
_OF_AGENT = "/api/organizations/{organizationId}/agents/{agentId}/variables"
_serve("GET", _VARIABLES, variables.list_variables, shapes.VariableList)
_serve("PUT", _VARIABLES, variables.declare_variables, shapes.VariableList, body=variables.Variables)
_serve("GET", _OF_AGENT, variables.list_agent_variables, shapes.VariableList)
_serve("PUT", _OF_AGENT, variables.declare_agent_variables, shapes.VariableList, body=variables.Variables)
_serve("GET", "/api/contact-notes", notes.contact_notes, shapes.NoteList)
_serve(
    "POST",
    "/api/contact-notes",
    notes.add_note,
    shapes.NoteAnswer,
    status=201,
    body=notes.NewNote,
    answers=openapi.ID_ERRORS,
)
_serve("PATCH", "/api/contact-notes/{noteId}", notes.change_note, shapes.NoteAnswer, body=notes.NoteChanges)
_serve("DELETE", "/api/contact-notes/{noteId}", notes.delete_note, status=204, answers=openapi.NOT_YOURS)
_serve("GET", "/api/staff", staff.list_staff, shapes.StaffList)
_serve("POST", "/api/staff", staff.add_colleague, shapes.StaffAnswer, status=201, body=staff.NewColleague)
_serve("GET", "/api/staff/{staffId}", staff.one_colleague, shapes.StaffAnswer)
_serve("PATCH", "/api/staff/{staffId}", staff.change_colleague, shapes.StaffAnswer, body=staff.ColleagueChanges)
_serve("DELETE", "/api/staff/{staffId}", staff.remove_colleague, status=204)
_serve("GET", "/api/callbacks", callbacks.list_callbacks, shapes.CallbackList)
_serve(
    "PATCH",
    "/api/callbacks/{callbackId}",
    callbacks.change_callback,
    shapes.CallbackAnswer,
    body=callbacks.CallbackChanges,
)
_serve("GET", "/api/messages", messages.list_messages, shapes.MessageList)
_MISSED_CALL_MESSAGE = "/api/organizations/{organizationId}/missed-call-message"
_serve("GET", _MISSED_CALL_MESSAGE, messages.missed_call_message, shapes.MissedCallMessage)
_serve(
    "PUT",
    _MISSED_CALL_MESSAGE,
    messages.change_missed_call_message,
    shapes.MissedCallMessage,
    body=messages.MissedCallChanges,
)
_serve("GET", "/api/events", events.list_events, shapes.EventList)
_serve("GET", "/api/events/{eventId}", events.one_event, shapes.EventAnswer)
_serve("POST", "/api/events/{eventId}/replay", events.replay, shapes.EventReplayed, status=201)
_serve("GET", "/api/balance", balance.balance, shapes.BalanceAnswer)
_serve("GET", "/api/refusals", refusals.list_refusals, shapes.RefusalList)


class _App(FastAPI):
    def openapi(self) -> dict[str, Any]:
        if not self.openapi_schema:
            self.openapi_schema = openapi.document(self)
        return self.openapi_schema


def build(deps: Deps) -> FastAPI:
    """The API as an application of its own; whoever mounts it in front of more routes finds it answers every error alike."""
    app = _App(
        title="offhook",
        version=__version__,
        docs_url=None,  # FastAPI's pages load scripts from other people's servers
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers={**HANDLERS, 405: _wrong_method},
    )
    app.state.deps = deps
    app.router.routes.extend(router.routes)  # whole as they are: included, each would be made anew on the way
    return app


async def _wrong_method(request: Request, error: Exception) -> Response:
    """405 with every method of the URL: Starlette knows of the first route only, and a URL here has one for each method."""
    assert isinstance(error, HTTPException)
    allowed = sorted(_methods_of(request.url.path))
    headers = {"Allow": ", ".join(allowed)} if allowed else error.headers
    return error_answer(405, "This address does not serve that method.", code="method_not_allowed", headers=headers)


def _methods_of(path: str) -> set[str]:
    routes = [route for route in router.routes if isinstance(route, APIRoute) and route.include_in_schema]
    named = [route for route in routes if route.path == path] or [one for one in routes if one.path_regex.match(path)]
    methods = {method for route in named for method in route.methods or ()}
    return methods | {"HEAD"} if "GET" in methods else methods
