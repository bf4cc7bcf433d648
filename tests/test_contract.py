"""The HTTP contract, row by row, as other programs meet it: a real server on each engine, nothing but HTTP.

Written after the contract and not after the code. What each room does at its edges is tested in its own file.
"""

import base64
import json
import random
import re
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from offhook import events
from tests.beside import an_organization
from tests.services import Server, eventually, signature

DOOR = "/api/webhook/elevenlabs"
ALEX = {"firstName": "Alex", "lastName": "Morgan", "phoneNumber": "+1 416 555 0100", "email": ["alex@example.com"]}
CALLER, OURS = "+14165550100", "+12362320246"
ID = re.compile(r"[0-9a-f]{24}\Z")
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\Z")
MP3 = (b"\xff\xfb\x90\x00" + bytes(413)) * 40  #: a second of silence, as frames of 128 kbit/s
DAY_S = 86_400


@pytest.fixture(params=["sqlite", "postgresql"])
def running(request: pytest.FixtureRequest, standing_server: Callable[[str], Server]) -> Server:
    """A server on each engine; the tests below do it no harm."""
    return standing_server(request.param)


class Program:
    """Another program: an organisation's key, its tool secret, and HTTP."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.org = an_organization(server, timezone="America/Toronto")
        self.org_id: str = self.org["id"]
        self.api = self._client(self.org["api_key"])
        self.agent = self._client(self.org["tool_secret"])

    def _client(self, bearer: str) -> httpx.Client:
        headers = {"Authorization": f"Bearer {bearer}"}
        return httpx.Client(base_url=self.server.base_url, headers=headers, timeout=30)

    def get(self, path: str, status: int = 200, /, **query: Any) -> Any:
        answer = self.api.get(path, params=query)
        assert status == answer.status_code, answer.text
        return answer.json()

    def send(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        answer = self.api.request(method, path, json=body)
        assert status == answer.status_code, answer.text
        return answer.json() if answer.content else None

    def use(self, tool: str, **request: Any) -> Any:
        answer = self.agent.post(f"{DOOR}/tools/{tool}", json=request)
        assert 200 == answer.status_code, answer.text
        return answer.json()

    def greet(self, **request: Any) -> Any:
        answer = self.agent.post(f"{DOOR}/personalization", json=request)
        assert 200 == answer.status_code, answer.text
        return answer.json()

    def deliver(self, type: str, **data: Any) -> Any:
        body = json.dumps({"type": type, "event_timestamp": int(time.time()), "data": data}).encode()
        answer = self.api.post(
            f"{DOOR}?org={self.org_id}",
            content=body,
            headers={"ElevenLabs-Signature": signature(self.org["webhook_secret"], body)},
        )
        assert 200 == answer.status_code, answer.text
        return answer.json()

    def call(self, **data: Any) -> str:
        """The id of a call that has ended and can be read."""
        said = self.deliver("post_call_transcription", **conversation(**data))
        id: str = said["callId"]
        eventually(lambda: self.api.get(f"/api/calls/{id}").status_code == 200)
        return id

    def missed(self, conversation_id: str, reason: str = "no-answer") -> str:
        """The id of an outbound attempt that nobody answered, once it can be read."""
        body = {"from_number": OURS, "to_number": CALLER, "sip_status_code": 480, "call_sid": f"SCL_{conversation_id}"}
        said = self.deliver(
            "call_initiation_failure", agent_id="agent_1", conversation_id=conversation_id, failure_reason=reason,
            metadata={"type": "sip", "body": body},
        )  # fmt: skip
        id: str = said["callId"]
        eventually(lambda: self.api.get(f"/api/calls/{id}").status_code == 200)
        return id

    def contact(self, **facts: Any) -> str:
        id: str = self.send("POST", "/api/contacts", {**ALEX, **facts}, 201)["data"]["_id"]
        return id

    def offhook(self, *arguments: str) -> str:
        return self.server.offhook(*arguments)


def conversation(conversation_id: str = "conv_1", **facts: Any) -> dict[str, Any]:
    begun = int(time.time()) - 60
    return {
        "agent_id": "agent_1",
        "conversation_id": conversation_id,
        "status": "done",
        "transcript": [
            {"role": "agent", "message": "Thanks for calling Acme Corp.", "time_in_call_secs": 0},
            {"role": "user", "message": "I need to update my address.", "time_in_call_secs": 4},
        ],
        "analysis": {
            "transcript_summary": "Caller asked to update their address.",
            "call_summary_title": "Address change",
            "call_successful": "success",
        },
        "metadata": {
            "start_time_unix_secs": begun,
            "call_duration_secs": 42,
            "phone_call": {
                "direction": "inbound", "external_number": CALLER, "agent_number": OURS, "call_sid": f"CA{conversation_id}",
            },
        },
        **facts,
    }  # fmt: skip


@pytest.fixture
def program(running: Server) -> Program:
    return Program(running)


def test_a_call_reads_as_the_contract_says(program: Program) -> None:
    id = program.call()
    call = program.get(f"/api/calls/{id}")["call"]
    wanted = {
        "_id": id, "callId": id, "provider": "elevenlabs", "providerCallId": "conv_1", "direction": "inbound",
        "status": "completed", "from": CALLER, "to": OURS, "conversationId": "conv_1", "organizationId": program.org_id,
        "agentId": "agent_1", "channel": "phone", "duration": 42, "summary": "Caller asked to update their address.",
        "title": "Address change", "successful": True,
    }  # fmt: skip
    assert wanted == {name: call[name] for name in wanted}
    assert all(INSTANT.match(call[name]) for name in ("startTime", "endTime", "createdAt", "updatedAt"))
    assert ID.match(call["contactId"])
    assert [("agent", 0), ("user", 4)] == [(turn["role"], turn["timestamp"]) for turn in call["transcript"]]
    assert ["ai_summary"] == [note["type"] for note in call["notes"]]


def test_history_counts_pages_and_filters(program: Program) -> None:
    ids = [program.call(conversation_id=f"conv_{n}") for n in range(3)]
    missed = program.missed("conv_missed")
    history = program.get("/api/calls/history", limit="2", offset="0")
    assert (True, 4, 2) == (history["success"], history["total"], len(history["calls"]))
    assert [missed] == [call["_id"] for call in program.get("/api/calls/history", status="no-answer")["calls"]]
    assert {*ids} == {call["_id"] for call in program.get("/api/calls/history", direction="inbound")["calls"]}
    assert 4 == len(program.get("/api/calls/history", limit="100000")["calls"])
    program.get("/api/calls/history", 400, limit="many")
    program.get("/api/calls/history", 400, **{"from": "yesterday"})


def test_statistics_count_and_average(program: Program) -> None:
    for n, duration in enumerate((10, 25)):
        program.call(
            conversation_id=f"conv_{n}",
            metadata={"start_time_unix_secs": int(time.time()) - 60, "call_duration_secs": duration},
        )
    program.missed("conv_missed")
    statistics = program.get("/api/calls/statistics")["statistics"]
    assert (3, 35) == (statistics["totalCalls"], statistics["totalDuration"])
    assert {"count": 2, "totalDuration": 35, "avgDuration": 17.5} == statistics["byStatus"]["completed"]
    assert 1 == statistics["byStatus"]["no-answer"]["count"]
    assert statistics["averageDuration"] == round(statistics["averageDuration"], 2)
    assert (
        0
        == program.get("/api/calls/statistics", startDate="2020-01-01", endDate="2020-02-01")["statistics"][
            "totalCalls"
        ]
    )
    program.get("/api/calls/statistics", 400, startDate="soon")


def test_an_ingested_call_is_a_call_and_its_id_makes_it_one(program: Program) -> None:
    told = {
        "direction": "inbound", "fromNumber": "(416) 555-0177", "toNumber": OURS, "duration": 12, "status": "completed",
        "transcript": "Hello. I am Kim.", "summary": "Kim said hello.", "externalCallId": "crm-17",
        "agentName": "Front desk", "contactName": "Kim Lee", "callStartTime": "2026-03-01T12:00:00.000Z",
        "recording": base64.b64encode(MP3).decode(), "metadata": {"queue": "sales"},
    }  # fmt: skip
    first = program.send("POST", "/api/calls/ingest", told, 201)
    id = first["callId"]
    assert (True, True) == (first["success"], bool(ID.match(id)))
    again = program.send("POST", "/api/calls/ingest", told, 200)
    assert (id, True) == (again["callId"], again["deduplicated"])
    call = eventually(lambda: program.api.get(f"/api/calls/{id}").json().get("call"))
    wanted = {
        "provider": "external", "providerCallId": "crm-17", "status": "completed", "from": "+14165550177", "to": OURS,
        "summary": "Kim said hello.", "agentName": "Front desk", "duration": 12, "startTime": "2026-03-01T12:00:00.000Z",
    }  # fmt: skip
    assert wanted == {name: call[name] for name in wanted}
    eventually(lambda: program.api.get(f"/api/calls/{id}/recording").status_code == 200)
    assert MP3 == program.api.get(f"/api/calls/{id}/audio").content
    contact = program.get(f"/api/contacts/{call['contactId']}")["data"]
    assert ("Kim", "Lee") == (contact["firstName"], contact["lastName"])
    assert 1 == program.get("/api/events", type="ingest")["total"]


@pytest.mark.parametrize("field", ["direction", "fromNumber", "toNumber", "duration", "status"])
def test_an_ingested_call_without_what_is_required_is_told_which(program: Program, field: str) -> None:
    told: dict[str, Any] = {
        "direction": "inbound",
        "fromNumber": CALLER,
        "toNumber": OURS,
        "duration": 1,
        "status": "busy",
    }
    del told[field]
    assert field in json.dumps(program.send("POST", "/api/calls/ingest", told, 400))


def test_a_recording_opens_without_a_key_and_in_ranges(program: Program) -> None:
    id = program.call()
    program.get(f"/api/calls/{id}/recording", 404)
    program.deliver(
        "post_call_audio", agent_id="agent_1", conversation_id="conv_1", full_audio=base64.b64encode(MP3).decode()
    )
    answer = eventually(lambda: (a := program.api.get(f"/api/calls/{id}/recording")).status_code == 200 and a.json())
    assert {
        "success",
        "audioUrl",
        "duration",
        "recordingId",
        "transcriptionText",
        "transcriptionData",
        "direction",
    } <= {*answer}
    assert MP3 == httpx.get(answer["audioUrl"]).content
    part = program.api.get(f"/api/calls/{id}/audio", headers={"Range": "bytes=10-19"})
    assert (206, MP3[10:20]) == (part.status_code, part.content)
    assert 401 == httpx.get(f"{program.server.base_url}/api/calls/{id}/audio").status_code


def test_contacts_are_made_found_changed_and_removed(program: Program) -> None:
    id = program.contact(externalId="crm-1")
    made = program.get(f"/api/contacts/{id}")["data"]
    wanted = {
        "firstName": "Alex",
        "lastName": "Morgan",
        "phoneNumber": CALLER,
        "email": ["alex@example.com"],
        "externalId": "crm-1",
    }
    assert wanted == {name: made[name] for name in wanted}
    for word in ("alex", "Morgan", "0100", "alex@example"):
        assert [id] == [one["_id"] for one in program.get("/api/contacts", search=word)["data"]], word
    program.send("POST", "/api/contacts", ALEX, 409)
    assert "phoneNumber" in json.dumps(program.send("POST", "/api/contacts", {**ALEX, "phoneNumber": "12"}, 400))
    assert "Sam" == program.send("PATCH", f"/api/contacts/{id}", {"firstName": "Sam"})["data"]["firstName"]
    program.send("DELETE", f"/api/contacts/{id}", status=204)
    program.get(f"/api/contacts/{id}", 404)


def test_notes_are_listed_and_added(program: Program) -> None:
    id = program.call()
    contact_id = program.get(f"/api/calls/{id}")["call"]["contactId"]
    note = program.send("POST", "/api/contact-notes", {"contactId": contact_id, "note": "Prefers mornings."}, 201)
    assert "note" == note["data"]["type"]
    listed = program.get("/api/contact-notes", contactId=contact_id)
    assert (True, {"ai_summary", "note"}) == (listed["success"], {one["type"] for one in listed["data"]})
    assert ["ai_summary"] == [one["type"] for one in program.get("/api/contact-notes", callId=id)["data"]]
    program.send("POST", "/api/contact-notes", {"contactId": "0" * 24, "note": "x"}, 404)


def test_the_missed_call_message_is_partly_put(program: Program) -> None:
    path = f"/api/organizations/{program.org_id}/missed-call-message"
    assert {"missedCallMessage": None, "missedCallAutoMessageEnabled": False} == program.get(path)
    program.send("PUT", path, {"missedCallMessage": "Sorry, {{contactName}}."})
    program.send("PUT", path, {"missedCallAutoMessageEnabled": True})
    assert {"missedCallMessage": "Sorry, {{contactName}}.", "missedCallAutoMessageEnabled": True} == program.get(path)
    assert "missedCallMessage" in json.dumps(program.send("PUT", path, {"missedCallMessage": "x" * 501}, 400))
    program.get(f"/api/organizations/{'0' * 24}/missed-call-message", 404)


def test_a_missed_call_is_texted_once_when_that_is_switched_on_and_says_why_when_not(program: Program) -> None:
    off = program.missed("conv_off")
    event = program.get("/api/events", callId=off)["data"][0]["_id"]
    effect = eventually(
        lambda: next((e for e in program.get(f"/api/events/{event}")["data"]["effects"] if e["status"] != "due"), None)
    )
    assert ("missed_call_text", "suppressed") == (effect["kind"], effect["status"])
    assert "switched off" in effect["outcome"]
    program.offhook("org", "set", program.org_id, "text-mobile-only=no")
    path = f"/api/organizations/{program.org_id}/missed-call-message"
    program.send(
        "PUT",
        path,
        {"missedCallMessage": "Sorry {{contactName}}, {{orgName}} missed you.", "missedCallAutoMessageEnabled": True},
    )
    on = program.missed("conv_on", "busy")
    message = eventually(
        lambda: next(
            (m for m in program.get("/api/messages", callId=on)["data"] if m["status"] not in ("queued", "sending")),
            None,
        )
    )
    assert ("sent", CALLER, "Sorry, Acme Corp missed you.") == (message["status"], message["to"], message["body"]), (
        message
    )
    assert {
        "_id",
        "callId",
        "contactId",
        "to",
        "from",
        "body",
        "status",
        "reason",
        "provider",
        "providerMessageId",
        "createdAt",
    } <= {*message}
    program.missed("conv_on", "busy")
    assert 1 == len(program.get("/api/messages", callId=on)["data"])


def test_events_are_listed_shown_and_replayed(program: Program) -> None:
    id = program.missed("conv_missed")
    (listed,) = program.get("/api/events", callId=id)["data"]
    wanted = {
        "type": "call_initiation_failure", "source": "webhook", "conversationId": "conv_missed", "callId": id,
        "proof": "hmac", "status": "projected", "reason": None, "deliveries": 1,
    }  # fmt: skip
    assert wanted == {name: listed[name] for name in wanted}
    event = program.get(f"/api/events/{listed['_id']}")["data"]
    assert ["missed_call_text"] == [effect["kind"] for effect in event["effects"]]
    before = program.get(f"/api/calls/{id}")
    program.send("POST", f"/api/events/{listed['_id']}/replay", status=201)
    assert before == program.get(f"/api/calls/{id}")


def test_nothing_of_another_organisation_is_there(program: Program, running: Server) -> None:
    other = Program(running)
    call_id, contact_id = other.call(), other.contact(phoneNumber="+14165550111")
    event_id = other.get("/api/events")["data"][0]["_id"]
    for path in (
        f"calls/{call_id}", f"calls/{call_id}/recording", f"calls/{call_id}/audio", f"contacts/{contact_id}",
        f"events/{event_id}", f"organizations/{other.org_id}/missed-call-message",
    ):  # fmt: skip
        program.get(f"/api/{path}", 404)
    program.send("PATCH", f"/api/contacts/{contact_id}", {"firstName": "Eve"}, 404)
    program.send("DELETE", f"/api/contacts/{contact_id}", status=404)
    program.send("POST", f"/api/events/{event_id}/replay", status=404)
    for path in ("calls/history", "contacts", "events", "messages", "contact-notes"):
        answer = program.get(
            f"/api/{path}", **({"contactId": contact_id} if path in ("messages", "contact-notes") else {})
        )
        assert [] == answer.get("data", answer.get("calls")), path


@pytest.mark.parametrize(
    "path", ["calls/history", "calls/statistics", "contacts", "contact-notes", "messages", "events", "refusals"]
)
def test_the_api_says_unauthorized_to_everybody_else(running: Server, path: str) -> None:
    for headers in ({}, {"Authorization": "Bearer ohk_wrong"}, {"Authorization": "Basic eDp5"}):
        answer = httpx.get(f"{running.base_url}/api/{path}", headers=headers)
        assert (401, "Unauthorized") == (answer.status_code, answer.json()["error"])


# The tools


def test_without_its_secret_a_tool_says_unauthorized(running: Server) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        answer = httpx.post(f"{running.base_url}{DOOR}/tools/transfer", json={}, headers=headers)
        assert (401, {"error": "Unauthorized"}) == (answer.status_code, answer.json())


def test_check_availability_counts_who_is_there(program: Program) -> None:
    nobody = program.use("check-availability", conversation_id="conv_1")
    assert (False, 0) == (nobody["agents_available"], nobody["available_count"])
    program.send(
        "POST",
        "/api/staff",
        {"name": "Robin", "phoneNumber": "+14165550199", "isOnline": True, "isAvailable": True},
        201,
    )
    program.send("POST", "/api/staff", {"name": "Sam", "isOnline": True, "isAvailable": False}, 201)
    somebody = program.use("check-availability", conversation_id="conv_1")
    assert (True, 1, 2) == (somebody["agents_available"], somebody["available_count"], somebody["online_count"])


def test_check_business_hours_tells_the_time_there(program: Program) -> None:
    answer = program.use("check-business-hours", called_id=OURS)
    assert isinstance(answer["is_open"], bool)
    assert re.match(r"[A-Z][a-z]+day \d\d:\d\d\Z", answer["current_time"])
    assert ("America/Toronto", "Acme Corp") == (answer["timezone"], answer["organization_name"])
    program.offhook("org", "set", program.org_id, "business-hours=mon-sun 00:00-24:00")
    assert eventually(
        lambda: program.use("check-business-hours", called_id=OURS, conversation_id=str(time.time()))["is_open"]
    )


def test_lookup_contact_finds_by_number_and_by_caller(program: Program) -> None:
    assert not program.use("lookup-contact", phone_number=CALLER)["found"]
    program.contact()
    for request in (
        {"phone_number": "416-555-0100"},
        {"caller_id": CALLER},
        {"phone_number": CALLER, "caller_id": "+14165550999"},
    ):
        answer = program.use("lookup-contact", **request, conversation_id=json.dumps(request))
        assert answer["found"], request
        contact = answer["contact"]
        assert ("Alex", "Morgan", "Alex Morgan", CALLER) == (
            contact["first_name"], contact["last_name"], contact["name"], contact["phone_number"],
        )  # fmt: skip
        assert {"email", "notes", "last_call"} <= {*contact}


def test_create_note_is_on_the_contact_once(program: Program) -> None:
    id = program.contact()
    request = {
        "phone_number": CALLER,
        "note": "Wants a call back.",
        "conversation_id": "conv_1",
        "tool_call_id": "tc_1",
    }
    first, second = program.use("create-note", **request), program.use("create-note", **request)
    assert (True, first["note_id"]) == (first["success"], second["note_id"])
    (note,) = program.get("/api/contact-notes", contactId=id)["data"]
    assert ("ai_summary", "Wants a call back.", first["note_id"]) == (note["type"], note["note"], note["_id"])


def test_update_contact_changes_names_adds_emails_and_never_the_number(program: Program) -> None:
    id = program.contact()
    answer = program.use("update-contact", phone_number=CALLER, first_name="Alexandra", email="a.morgan@example.com")
    assert (True, {"firstName", "email"}) == (answer["success"], {*answer["updated_fields"]})
    contact = program.get(f"/api/contacts/{id}")["data"]
    assert ("Alexandra", CALLER) == (contact["firstName"], contact["phoneNumber"])
    assert ["alex@example.com", "a.morgan@example.com"] == contact["email"]
    assert not program.use("update-contact", phone_number=CALLER)["success"]


def test_send_sms_goes_to_the_callers_own_number_only(program: Program) -> None:
    program.offhook("org", "set", program.org_id, "text-mobile-only=no")
    program.greet(caller_id=CALLER, called_number=OURS, conversation_id="conv_1", agent_id="agent_1")
    other = program.use(
        "send-sms", phone_number="+14165550999", message="Hello", conversation_id="conv_1", called_id=OURS
    )
    assert not other["success"]
    assert other["error"]
    own = eventually(
        lambda: (
            a := program.use("send-sms", phone_number=CALLER, message="Your code is 17.", conversation_id="conv_1",
                             tool_call_id=str(time.time()))
        )["success"] and a
    )  # fmt: skip
    assert "SMS sent" == own["message"]
    body = eventually(lambda: [m for m in program.get("/api/messages")["data"] if m["status"] == "sent"])[0]
    assert (CALLER, "Your code is 17.") == (body["to"], body["body"])


def test_transfer_gives_a_number_or_records_that_somebody_shall_ring_back(program: Program) -> None:
    answer = program.use("transfer", reason="Wants a person", conversation_id="conv_1", caller_id=CALLER)
    assert answer["success"]
    assert "transfer_number" not in answer or answer["transfer_number"] is None
    (callback,) = program.get("/api/callbacks")["data"]
    assert ("open", "Wants a person") == (callback["status"], callback["reason"])
    program.send(
        "POST",
        "/api/staff",
        {"name": "Robin", "phoneNumber": "+14165550199", "isOnline": True, "isAvailable": True},
        201,
    )
    answer = program.use("transfer", reason="Wants a person", conversation_id="conv_2")
    assert (True, "+14165550199") == (answer["success"], answer["transfer_number"])


def test_every_use_of_a_tool_is_on_the_calls_record(program: Program) -> None:
    program.use("check-availability", conversation_id="conv_1", tool_call_id="tc_1")
    id = program.call()
    (use,) = eventually(lambda: program.get(f"/api/calls/{id}")["call"]["toolUses"])
    assert ("check-availability", "tc_1") == (use["tool"], use["toolCallId"])
    assert use["tookMs"] >= 0
    assert 1 == program.get("/api/events", type="tool")["total"]


@pytest.mark.parametrize(
    "tool",
    [
        "check-availability",
        "check-business-hours",
        "lookup-contact",
        "create-note",
        "update-contact",
        "send-sms",
        "transfer",
    ],
)
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"phone_number": {"a": 1}, "note": 5}', b"\xff"])
def test_a_tool_that_is_asked_badly_answers_a_sentence(program: Program, tool: str, body: bytes) -> None:
    answer = program.agent.post(f"{DOOR}/tools/{tool}", content=body)
    assert 200 == answer.status_code
    said = answer.json()
    assert isinstance(said, dict)
    assert said.get("error") or "success" not in said or said["success"]


# Before the call


def test_whoever_is_known_is_greeted_by_name_and_nobody_else(program: Program) -> None:
    assert {} == program.greet(caller_id=CALLER, agent_id="agent_1")
    program.contact()
    told = {"caller_name": "Alex Morgan", "caller_number": CALLER, "org_name": "Acme Corp"}
    greeted = program.greet(caller_id="416-555-0100", called_number=OURS, agent_id="agent_1")
    assert {"type": "conversation_initiation_client_data", "dynamic_variables": told, **told} == greeted
    assert {} == program.greet(caller_id="anonymous")
    assert {} == program.agent.post(f"{DOOR}/personalization", content=b"\x00not json").json()


def test_declared_variables_are_filled_on_every_answer(program: Program) -> None:
    path = f"/api/organizations/{program.org_id}/variables"
    program.send(
        "PUT",
        path,
        {
            "variables": [
                {"name": "plan", "type": "string", "default": "basic"},
                {"name": "visits", "type": "number", "default": 0},
            ]
        },
    )
    stranger = eventually(lambda: program.greet(caller_id="+14165550999"))
    assert {"plan": "basic", "visits": 0} == stranger["dynamic_variables"]
    program.contact()
    known = program.greet(caller_id=CALLER)["dynamic_variables"]
    assert {"plan": "basic", "visits": 0, "caller_name": "Alex Morgan"}.items() <= known.items()
    program.send("PUT", path, {"variables": [{"name": "system__x"}]}, 400)


def test_what_earlier_calls_were_about_is_remembered_where_that_is_wanted(program: Program) -> None:
    program.contact()
    program.call(conversation_id="conv_1")
    assert "previous_topics" not in program.greet(caller_id=CALLER)["dynamic_variables"]
    program.offhook("org", "set", program.org_id, "memory=on")
    remembered = eventually(
        lambda: (v := program.greet(caller_id=CALLER)["dynamic_variables"]).get("previous_topics") and v
    )
    assert "Address change" in remembered["previous_topics"]
    assert 1 == remembered["call_count"]
    assert {"last_call_at", "last_call_summary", "open_items"} <= {*remembered}


def test_a_calls_id_follows_from_organisation_and_conversation(program: Program) -> None:
    assert events.call_id(program.org_id, "conv_77") == program.call(conversation_id="conv_77")


def test_a_thousand_bytes_of_noise_are_no_500_at_any_url(program: Program) -> None:
    noise = random.Random(7).randbytes(1000)
    for method, path in (
        ("POST", "/api/contacts"), ("POST", "/api/calls/ingest"), ("POST", "/api/contact-notes"), ("POST", "/api/staff"),
        ("PUT", f"/api/organizations/{program.org_id}/missed-call-message"), ("POST", "/api/webhook/twilio/status"),
        ("POST", "/api/webhook/twilio/inbound"), ("PUT", f"/api/organizations/{program.org_id}/variables"),
    ):  # fmt: skip
        answer = program.api.request(method, path, content=noise, headers={"Content-Type": "application/json"})
        assert 400 <= answer.status_code < 500, (method, path, answer.text)
        assert answer.json()["error"]
