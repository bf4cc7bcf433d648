"""Every address of the server by who asks: nobody, each role, a key of each scope, somebody of another organisation.

What is expected is declared here, once, and not taken from the tables that the server is made of: an address without a row
fails.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from fastapi.routing import APIRoute
from starlette.routing import Route

from offhook.api import router
from offhook.dashboard import PAGES
from offhook.dashboard.visitors import cookie_name
from offhook.roles import ROLES
from offhook.store.tables import metadata
from tests.api import Api
from tests.people import signed_in, stranger
from tests.world import World, furnished

_MARK = "Zanzibar 7"  #: what only one organisation has
_NOWHERE = "0" * 24

#: The pages, by the roles that they open to.
_ANYBODY = """
GET /  GET /login  POST /login  POST /logout  GET /setup/{token}  POST /setup/{token}  GET /invitation/{token}
POST /invitation/{token}  GET /password/{token}  POST /password/{token}
"""
PAGES_OF: Mapping[str, str] = {
    "owner manager agent auditor, none": """
        GET /account  POST /account/password  POST /account/sessions/end  POST /organization
    """,
    "owner manager agent auditor": """
        GET /calls  GET /calls/{call_id}  GET /media/{call_id}.mp3  GET /follow-ups  GET /follow-ups/{follow_up_id}
        GET /contacts  GET /contacts/{contact_id}  GET /search.json  GET /live
    """,
    "owner manager agent": """
        POST /calls/{call_id}/summary  POST /calls/{call_id}/notes  POST /calls/{call_id}/notes/{note_id}
        POST /follow-ups  POST /follow-ups/{follow_up_id}/done  POST /follow-ups/{follow_up_id}/reopen
        POST /follow-ups/{follow_up_id}/snooze  POST /follow-ups/{follow_up_id}/assign
        POST /follow-ups/{follow_up_id}/note  POST /follow-ups/{follow_up_id}/text
        POST /contacts  POST /contacts/{contact_id}  POST /contacts/{contact_id}/notes
        POST /contacts/{contact_id}/notes/{note_id}  GET /contacts/{contact_id}/merge  POST /contacts/{contact_id}/merge
    """,
    "owner manager auditor": """
        GET /events  GET /events/{event_id}  GET /events/replays
        GET /health  GET /health/dead-letters  GET /settings  GET /settings/hours
        GET /settings/people  GET /settings/people/{staff_id}  GET /settings/numbers  GET /settings/agents
        GET /settings/agent  GET /settings/texts  GET /settings/secrets  GET /settings/users  GET /settings/keys
        GET /calls.csv  GET /calls.json  GET /contacts.csv  GET /contacts.json  GET /contacts/{contact_id}/export
        GET /follow-ups.csv  GET /follow-ups.json  GET /events.csv  GET /events.json
    """,
    "owner manager": """
        POST /events/{event_id}/replay  GET /events/replay  POST /events/replay
        POST /health/check  POST /health/dead-letters/retry  POST /settings  POST /settings/hours
        POST /settings/people  POST /settings/people/{staff_id}  POST /settings/people/{staff_id}/remove
        POST /settings/numbers  POST /settings/numbers/remove  POST /settings/agents  POST /settings/agents/remove
        POST /settings/agents/memory  POST /settings/variables  POST /settings/variables/remove  POST /settings/texts
    """,
    "owner auditor": "GET /settings/audit  GET /settings/audit.csv  GET /settings/audit.json",
    "owner": """
        GET /events/{event_id}/body  POST /contacts/{contact_id}/erase  POST /settings/secrets/api-key
        POST /settings/secrets/{kind}  POST /settings/secrets/{secret_id}/remove  POST /settings/users
        POST /settings/users/{user_id}/role  POST /settings/users/{user_id}/remove
        POST /settings/invitations/{invitation_id}/withdraw  POST /settings/keys  POST /settings/keys/{key_id}/revoke
    """,
}  # fmt: skip

#: What programs call, by the scope of the key that opens it.
CALLS_OF: Mapping[str, str] = {
    "read": """
        GET /api/calls/history  GET /api/calls/statistics  GET /api/calls/{callId}  GET /api/calls/{callId}/recording
        GET /api/calls/{callId}/audio  GET /api/contacts  GET /api/contacts/{contactId}
        GET /api/contacts/{contactId}/memory  GET /api/organizations/{organizationId}/variables
        GET /api/organizations/{organizationId}/agents/{agentId}/variables  GET /api/contact-notes  GET /api/staff
        GET /api/staff/{staffId}  GET /api/callbacks  GET /api/messages
        GET /api/organizations/{organizationId}/missed-call-message  GET /api/events  GET /api/events/{eventId}
        GET /api/balance
    """,
    "write": """
        POST /api/calls/ingest  POST /api/contacts  PATCH /api/contacts/{contactId}  POST /api/contacts/{contactId}/merge
        DELETE /api/contacts/{contactId}  PATCH /api/contacts/{contactId}/memory  DELETE /api/contacts/{contactId}/memory
        PUT /api/organizations/{organizationId}/variables
        PUT /api/organizations/{organizationId}/agents/{agentId}/variables  POST /api/contact-notes
        PATCH /api/contact-notes/{noteId}  DELETE /api/contact-notes/{noteId}  PATCH /api/callbacks/{callbackId}
        PUT /api/organizations/{organizationId}/missed-call-message  POST /api/events/{eventId}/replay
        PATCH /api/staff/{staffId}
    """,
    "admin": """
        POST /api/staff  DELETE /api/staff/{staffId}  GET /api/refusals
    """,
}  # fmt: skip
#: What asks for no key: monitors, and doors that ask for a proof of their own and say 401 without it.
_OPEN = "GET /api/health/live  GET /api/health/ready  GET /api/health  GET /metrics  GET /openapi.json"
_DOORS = """
POST /api/webhook/elevenlabs  POST /api/webhook/elevenlabs/personalization  POST /api/webhook/twilio/status
POST /api/webhook/twilio/inbound  POST /api/webhook/elevenlabs/tools/check-availability
POST /api/webhook/elevenlabs/tools/check-business-hours  POST /api/webhook/elevenlabs/tools/lookup-contact
POST /api/webhook/elevenlabs/tools/create-note  POST /api/webhook/elevenlabs/tools/update-contact
POST /api/webhook/elevenlabs/tools/send-sms  POST /api/webhook/elevenlabs/tools/transfer
"""

Address = tuple[str, str]


def _rows(text: str) -> list[Address]:
    words = text.split()
    return list(zip(words[::2], words[1::2], strict=True))


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """Who may do what is decided before any database is asked: one engine shows it."""
    return sqlite_url


def test_every_address_has_a_row_here(api: Api) -> None:
    pages = {*_rows(_ANYBODY), *(row for text in PAGES_OF.values() for row in _rows(text))}
    calls = {*_rows(_OPEN), *_rows(_DOORS), *(row for text in CALLS_OF.values() for row in _rows(text))}
    for served, declared in (({(page.method, page.path) for page in PAGES}, pages), (_served(api), calls)):
        assert set() == served - declared, "Say above who may see it."
        assert set() == declared - served


async def test_each_page_opens_to_its_roles_and_to_nobody_else(api: Api) -> None:
    for role in (*ROLES, None):
        browser = await signed_in(api, role)
        for roles, text in PAGES_OF.items():
            is_open = (role or "none") in re.findall(r"\w+", roles)
            for address in _rows(text):
                status = (await _visit(browser, address)).status_code
                assert (403 == status) == (not is_open), (role, address, status)
                assert status < 500, (role, address)


async def test_without_a_session_every_page_leads_to_the_sign_in_whatever_key_is_shown(api: Api) -> None:
    for visitor in (stranger(api), api.client):
        visitor.headers["Origin"] = "http://calls.example"
        for text in PAGES_OF.values():
            for address in _rows(text):
                answer = await _visit(visitor, address)
                assert (303, "/login") == (answer.status_code, answer.headers["location"].partition("?")[0]), address
        for method, path in _rows(_ANYBODY):
            assert (await _visit(visitor, (method, path))).status_code in (200, 303, 401, 404), (method, path)


async def test_each_call_of_the_api_opens_to_its_scope_and_to_no_session(api: Api) -> None:
    session = await signed_in(api, "owner")
    assert session.cookies[cookie_name(api.deps.settings)]
    keys = {scope: api.client_with(await api.add_key(scope)) for scope in CALLS_OF}
    await api.deps.directory.refresh()
    for scope, text in CALLS_OF.items():
        for address in _rows(text):
            for stranger_ in (session, stranger(api), api.client_with("ohk_" + "x" * 40)):
                assert 401 == (await _call(stranger_, address)).status_code, address
            for held, client in keys.items():
                status = (await _call(client, address)).status_code
                assert (403 == status) == (held != scope), (held, address, status)
                assert status < 500, address
    for address in _rows(_DOORS):
        for visitor in (session, stranger(api), keys["admin"]):
            assert (await _call(visitor, address)).status_code in (401, 403), address
    for address in _rows(_OPEN):
        assert 200 == (await _call(stranger(api), address)).status_code, address


# Another organisation


async def test_nobody_reaches_what_is_another_organisations(api: Api) -> None:
    theirs = await furnished(api, api.org.id, ["Alex", _MARK])
    ours = await furnished(api, (await api.add_organization()).id, ["Alex", "Maya"])
    owner = await signed_in(api, "owner", "owner@acme.example")
    for address in _pages():
        if address[0] == "GET" and "{" in address[1]:
            assert 200 == (await _visit(owner, address, theirs.ids)).status_code, address
    before = await _kept(api, theirs)

    intruder = await signed_in(api, "owner", "owner@globex.example", org_id=ours.org_id)
    for address in _pages():
        if address[1] in ("/organization", "/live"):
            continue
        answer = await _visit(intruder, address, theirs.ids, theirs.forms)
        if "{" in address[1] and address[1] != "/settings/secrets/{kind}":
            says_first_what_is_wrong = address[1].endswith(("/assign", "/text", "/merge", "/summary"))
            assert answer.status_code in ((400, 404) if says_first_what_is_wrong else (404,)), (
                address,
                answer.status_code,
            )
        assert _MARK not in answer.text, address
        named = await _visit(intruder, address, ours.ids, theirs.forms)
        assert named.status_code < 500, address
        assert _MARK not in named.text, address
    assert 404 == (await intruder.post("/organization", data={"org": theirs.org_id})).status_code
    assert before == await _kept(api, theirs)


async def test_no_key_reaches_what_is_another_organisations(api: Api) -> None:
    theirs = await furnished(api, api.org.id, ["Alex", _MARK])
    other = await api.add_organization()
    await api.deps.directory.refresh()
    before = await _kept(api, theirs)
    intruder = api.client_with(other.api_key)
    ids = {re.sub(r"_(\w)", lambda found: found[1].upper(), name): id for name, id in theirs.ids.items()}
    ids |= {"organizationId": theirs.org_id, "agentId": "agent_1"}
    for text in CALLS_OF.values():
        for address in _rows(text):
            answer = await _call(intruder, address, ids)
            if "{" in address[1]:
                assert answer.status_code in (403, 404), (address, answer.status_code, answer.text)
            assert _MARK not in answer.text, address
    assert before == await _kept(api, theirs)


# Helpers


def _pages() -> Iterable[Address]:
    return (row for text in PAGES_OF.values() for row in _rows(text))


def _served(api: Api) -> set[Address]:
    """What the framework behind /api answers, and the entrance before it; HEAD comes with each GET."""
    own = {(method, route.path) for route in router.routes if isinstance(route, APIRoute) and route.include_in_schema
           for method in route.methods or ()}  # fmt: skip
    framework: Any = api.app
    doors = {(method, route.path) for route in framework._framework.routes
             if isinstance(route, Route) and not isinstance(route, APIRoute) for method in route.methods or ()}  # fmt: skip
    hot = set(framework._hot)
    return {one for one in own | doors | hot if one[0] != "HEAD"}


async def _visit(
    browser: httpx.AsyncClient, address: Address, ids: Mapping[str, str] = {}, form: Mapping[str, str] = {}
) -> httpx.Response:
    method, path = address
    if path == "/live":  # its answer has no end, but its head says all that is asked here
        return await browser.head("/live")
    place = _filled(path, ids)
    if path == "/settings/agent":
        place += f"?id={form.get('agent', '')}"
    return await browser.request(method, place, data=dict(form) if method == "POST" else None)


async def _call(client: httpx.AsyncClient, address: Address, ids: Mapping[str, str] = {}) -> httpx.Response:
    method, path = address
    body = _BODIES.get(address, {}) if method in ("POST", "PUT", "PATCH") else None
    return await client.request(method, _filled(path, ids), json=body)


#: Where an empty body would be refused before anybody looks whose it is.
_BODIES: Mapping[Address, Any] = {
    ("PATCH", "/api/contact-notes/{noteId}"): {"note": "mine"},
    ("PATCH", "/api/callbacks/{callbackId}"): {"status": "done"},
    ("POST", "/api/contacts/{contactId}/merge"): {"contactId": _NOWHERE},
    ("PUT", "/api/organizations/{organizationId}/variables"): {"variables": []},
    ("PUT", "/api/organizations/{organizationId}/agents/{agentId}/variables"): {"variables": []},
    ("PUT", "/api/organizations/{organizationId}/missed-call-message"): {"message": "mine"},
}


def _filled(path: str, ids: Mapping[str, str]) -> str:
    return re.sub(r"{(\w+)}", lambda found: ids.get(found[1], _NOWHERE), path)


async def _kept(api: Api, world: World) -> dict[str, list[Any]]:
    """Every row of the organisation, by table."""

    def read(tx: sa.Connection) -> dict[str, list[Any]]:
        tables = {name: table for name, table in metadata.tables.items() if "org_id" in table.c}
        rows = {
            name: tx.execute(table.select().where(table.c.org_id == world.org_id)) for name, table in tables.items()
        }
        return {name: sorted(map(repr, found)) for name, found in rows.items() if name != "sessions"}

    return await api.deps.database.read(read)
