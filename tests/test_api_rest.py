"""Statistics and people's notes over the API, and what each scope of a key opens."""

import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from offhook.api import router
from offhook.store.tables import contacts
from tests.api import NOW, Api, hex_id
from tests.services import Server


async def statistics(api: Api, **query: str) -> dict[str, Any]:
    answer = await api.get("/api/calls/statistics", **query)
    assert 200 == answer.status_code, answer.text
    assert answer.json()["success"] is True
    return dict(answer.json()["statistics"])


async def test_calls_are_counted_by_status(api: Api) -> None:
    await api.add_calls(
        {"id": hex_id(1), "duration_s": 10.0},
        {"id": hex_id(2), "duration_s": 10.0},
        {"id": hex_id(3), "duration_s": 11.5},
        {"id": hex_id(4), "duration_s": None, "status": "busy"},
    )
    assert {
        "totalCalls": 4,
        "totalDuration": 31.5,
        "averageDuration": 7.88,
        "byStatus": {
            "busy": {"count": 1, "totalDuration": 0, "avgDuration": 0},
            "completed": {"count": 3, "totalDuration": 31.5, "avgDuration": 10.5},
        },
    } == await statistics(api)


async def test_no_calls_are_counted_as_none(api: Api) -> None:
    none = {"totalCalls": 0, "totalDuration": 0, "averageDuration": 0, "byStatus": {}}
    assert none == await statistics(api)
    assert none == await statistics(api, startDate="2026-01-01", endDate="2025-01-01")


async def test_bare_dates_of_statistics_are_in_the_organisations_zone(api: Api) -> None:
    midnight = 1_747_627_200.0  # 2025-05-19T00:00:00 in Toronto
    moments = {1: NOW - 86_400, 2: midnight - 1, 3: midnight}
    await api.add_calls(*({"id": hex_id(n), "happened_at": at} for n, at in moments.items()))
    assert 3 == (await statistics(api))["totalCalls"]
    assert 1 == (await statistics(api, startDate="2025-05-18", endDate="2025-05-19"))["totalCalls"]
    assert 1 == (await statistics(api, startDate="2025-05-19"))["totalCalls"]
    assert 2 == (await statistics(api, endDate="2025-05-19T04:00:00Z"))["totalCalls"]


async def test_calls_of_others_are_not_counted(api: Api) -> None:
    await api.add_calls({"id": hex_id(1)})
    other = await api.add_organization()
    async with api.client_with(other.api_key) as stranger:
        assert 0 == (await stranger.get("/api/calls/statistics")).json()["statistics"]["totalCalls"]


@pytest.mark.parametrize("field", ["startDate", "endDate"])
async def test_a_date_that_is_none_is_refused_by_its_name(api: Api, field: str) -> None:
    answer = await api.get("/api/calls/statistics", **{field: "tomorrow"})
    assert (400, field) == (answer.status_code, answer.json()["details"]["field"])


@pytest.mark.torture
async def test_a_hundred_thousand_calls_are_counted_in_a_blink(api: Api, figure: Callable[..., None]) -> None:
    words = "The caller asked to move the appointment. " * 40
    statuses = ("completed", "busy", "no-answer", "failed")
    await api.add_calls(
        *(
            {"id": hex_id(n), "happened_at": NOW + n, "status": statuses[n % 4], "transcript": words}
            for n in range(100_000)
        )
    )
    await api.settle()
    begun = time.perf_counter()
    assert 100_000 == (await statistics(api))["totalCalls"]
    took_s = time.perf_counter() - begun
    figure("statistics of 100,000 calls", took_ms=round(took_s * 1000))
    assert took_s < 0.5


# Notes


async def person(api: Api, id: str) -> None:
    row = {"id": id, "org_id": api.org.id, "emails": "[]", "source": "api", "search_text": ""}
    await api.insert(contacts, {**row, "created_at": NOW, "updated_at": NOW})


async def test_a_note_on_a_call_is_one_on_its_contact_too(api: Api) -> None:
    await person(api, hex_id(7))
    await api.add_calls({"id": hex_id(1), "contact_id": hex_id(7)})
    answer = await api.client.post("/api/contact-notes", json={"callId": hex_id(1), "note": " Wants an offer. "})
    note = answer.json()["data"]
    assert (201, True) == (answer.status_code, answer.json()["success"])
    assert ("Wants an offer.", "note", hex_id(1), hex_id(7)) == tuple(
        note[key] for key in ("note", "type", "callId", "contactId")
    )
    assert [note] == (await api.get("/api/contact-notes", contactId=hex_id(7))).json()["data"]
    assert [note] == (await api.get(f"/api/calls/{hex_id(1)}")).json()["call"]["notes"]


async def test_a_persons_note_can_be_changed_and_deleted(api: Api) -> None:
    await person(api, hex_id(7))
    made = await api.client.post("/api/contact-notes", json={"contactId": hex_id(7), "note": "First"})
    id = made.json()["data"]["_id"]
    changed = await api.client.patch(f"/api/contact-notes/{id}", json={"note": "Second"})
    assert (200, "Second", id) == (changed.status_code, changed.json()["data"]["note"], changed.json()["data"]["_id"])
    assert 204 == (await api.client.delete(f"/api/contact-notes/{id}")).status_code
    assert 404 == (await api.client.delete(f"/api/contact-notes/{id}")).status_code
    assert 0 == (await api.get("/api/contact-notes")).json()["total"]


async def test_an_agents_summary_is_nobodys_to_change(api: Api) -> None:
    await api.add_note(id=hex_id(9), type="ai_summary")
    for method, body in (("PATCH", {"note": "x"}), ("DELETE", None)):
        answer = await api.client.request(method, f"/api/contact-notes/{hex_id(9)}", json=body)
        assert (409, "conflict") == (answer.status_code, answer.json()["code"])


NO_NOTES: list[tuple[dict[str, Any], int, str]] = [
    ({"contactId": hex_id(7)}, 400, "note"),
    ({"contactId": hex_id(7), "note": ""}, 400, "note"),
    ({"contactId": hex_id(7), "note": " \0 "}, 400, "note"),
    ({"contactId": hex_id(7), "note": 7}, 400, "note"),
    ({"contactId": hex_id(7), "note": "x" * 10_001}, 400, "note"),
    ({"note": "on nobody"}, 400, "contactId"),
    ({"contactId": "7", "note": "x"}, 400, "contactId"),
    ({"callId": hex_id(404), "note": "x"}, 404, "callId"),
    ({"contactId": hex_id(404), "note": "x"}, 404, "contactId"),
]


async def test_a_note_that_cannot_be_is_refused_by_the_name_of_its_field(api: Api) -> None:
    await person(api, hex_id(7))
    for body, status, field in NO_NOTES:
        answer = await api.client.post("/api/contact-notes", json=body)
        assert (status, field) == (answer.status_code, answer.json()["details"]["field"])


async def test_notes_of_another_organisation_are_not_there(api: Api) -> None:
    await person(api, hex_id(7))
    await api.add_note(id=hex_id(9), contact_id=hex_id(7))
    other = await api.add_organization()
    async with api.client_with(other.api_key) as stranger:
        answers = [
            await stranger.post("/api/contact-notes", json={"contactId": hex_id(7), "note": "x"}),
            await stranger.patch(f"/api/contact-notes/{hex_id(9)}", json={"note": "x"}),
            await stranger.delete(f"/api/contact-notes/{hex_id(9)}"),
        ]
    assert [404, 404, 404] == [answer.status_code for answer in answers]


# Scopes

#: Where the method does not tell: what only administrators may see or do.
SCOPES = {
    ("GET", "/api/refusals"): "admin",
    ("POST", "/api/staff"): "admin",
    ("DELETE", "/api/staff/{staffId}"): "admin",
}


def table() -> list[tuple[str, str]]:
    """Every URL of the API, from the table that serves them."""
    routes = [route for route in router.routes if isinstance(route, APIRoute)]
    routes = [route for route in routes if route.endpoint.__name__ != "_methods_end_here"]
    return sorted((method, route.path) for route in routes for method in route.methods or ())


def needed(method: str, path: str) -> str:
    asked = "GET" if method == "HEAD" else method
    return SCOPES.get((asked, path), "read" if asked == "GET" else "write")


async def test_each_url_of_the_table_is_opened_by_its_own_scope_alone(api: Api) -> None:
    clients = {scope: api.client_with(await api.add_key(scope)) for scope in ("read", "write", "admin")}
    opened = {
        (method, path): [
            scope
            for scope, client in clients.items()
            if (await client.request(method, path.replace("{", "").replace("}", ""))).status_code not in (401, 403)
        ]
        for method, path in table()
        if path != "/api/calls/{callId}/audio"  # a link opens it, too; see below
    }
    assert {url: [needed(*url)] for url in opened} == opened


async def test_a_recording_is_opened_by_a_key_that_reads(api: Api) -> None:
    statuses = {}
    for scope in ("read", "write", "admin"):
        async with api.client_with(await api.add_key(scope)) as client:
            statuses[scope] = (await client.get(f"/api/calls/{hex_id(1)}/audio")).status_code
    assert {"read": 404, "write": 403, "admin": 403} == statuses


def test_a_key_is_made_for_one_program_and_taken_away_from_it_alone(server: Server) -> None:
    made = json.loads(
        server.offhook("key", "create", "Acme Corp", "--label", "crm", "--scopes", "read,write", "--json")
    )
    assert ["read", "write"] == made["scopes"]
    headers = {"Authorization": f"Bearer {made['api_key']}"}
    assert 200 == httpx.get(f"{server.base_url}/api/calls/statistics", headers=headers).status_code
    assert 403 == httpx.get(f"{server.base_url}/api/refusals", headers=headers).status_code
    listed = json.loads(server.offhook("key", "list", "Acme Corp", "--json"))
    assert {"crm", ""} == {key["label"] for key in listed}
    assert made["api_key"] not in str(listed)
    server.offhook("key", "create", "Acme Corp", "--label", "crm", exit_code=2)
    server.offhook("key", "create", "Acme Corp", "--label", "other", "--scopes", "read,fly", exit_code=2)
    server.offhook("key", "revoke", "Acme Corp", "crm")
    time.sleep(1.5)  # what other processes change is seen each second
    assert 401 == httpx.get(f"{server.base_url}/api/calls/statistics", headers=headers).status_code
    assert 200 == server.get("/api/calls/statistics").status_code
    server.offhook("key", "revoke", "Acme Corp", "crm", exit_code=2)
