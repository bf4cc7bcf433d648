"""Calls that a program tells us of: filed like any event, folded like any call, on a running server and both databases."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from offhook import events
from tests.api import Api
from tests.services import Server, eventually

MP3 = (b"\xff\xfb\x90\x00" + bytes(413)) * 8  #: frames of 128 kbit/s, silent
TOLD = {
    "direction": "inbound",
    "fromNumber": "(416) 555-0100",
    "toNumber": "+12362320246",
    "duration": 42.5,
    "status": "completed",
    "callStartTime": "2025-05-18T15:04:01Z",
    "agentName": "Night desk",
    "summary": "The caller moved.",
    "transcript": [
        {"role": "assistant", "message": "Hello?", "timestamp": 0},
        {"role": "customer", "message": "I moved.", "timestamp": 3.5},
    ],
    "metadata": {"ticket": 7},
}


@pytest.fixture
def server(shared_server: Server) -> Server:
    return shared_server


def tell(server: Server, body: dict[str, Any] | bytes) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {server.api_key}"}
    return httpx.post(f"{server.base_url}/api/calls/ingest", content=content, headers=headers, timeout=60)


def known(server: Server, call_id: str) -> dict[str, Any]:
    """The call, once it is there."""
    return dict(eventually(lambda: server.get(f"/api/calls/{call_id}").json().get("call")))


def test_a_call_that_was_told_of_is_a_call_like_any_other(server: Server) -> None:
    answer = tell(server, {**TOLD, "externalCallId": "crm-7", "contactName": "Alex van der Berg"})
    assert (201, True) == (answer.status_code, answer.json()["success"])
    assert "deduplicated" not in answer.json()
    call = known(server, answer.json()["callId"])
    assert ("external", "crm-7", None, "completed", "inbound", "phone") == tuple(
        call[key] for key in ("provider", "providerCallId", "conversationId", "status", "direction", "channel")
    )
    assert ("+14165550100", "+12362320246", 42.5, "Night desk", "The caller moved.") == tuple(
        call[key] for key in ("from", "to", "duration", "agentName", "summary")
    )
    assert ("2025-05-18T15:04:01.000Z", "2025-05-18T15:04:43.500Z") == (call["startTime"], call["endTime"])
    assert [("agent", "Hello?", 0), ("user", "I moved.", 3.5)] == [
        (turn["role"], turn["message"], turn["timestamp"]) for turn in call["transcript"]
    ]
    assert {"metadata": {"ticket": 7}} == call["details"]
    assert ["ai_summary"] == [note["type"] for note in call["notes"]]
    contact = server.get(f"/api/contacts/{call['contactId']}").json()["data"]
    assert ("Alex", "van der Berg") == (contact["firstName"], contact["lastName"])
    (event,) = server.get("/api/events", callId=call["_id"]).json()["data"]
    assert ("ingest", "ingest", "bearer", "crm-7", "projected") == tuple(
        event[key] for key in ("type", "source", "proof", "conversationId", "status")
    )


def test_the_same_external_id_is_the_same_call_and_a_correction_is_taken(server: Server) -> None:
    told = {**TOLD, "externalCallId": "crm-7"}
    first, again = tell(server, told), tell(server, told)
    corrected = tell(server, {**told, "summary": "The caller did not move."})
    assert [None, True, True] == [one.json().get("deduplicated") for one in (first, again, corrected)]
    assert 1 == len({one.json()["callId"] for one in (first, again, corrected)})
    eventually(lambda: "not" in known(server, first.json()["callId"])["summary"])
    assert 1 == server.get("/api/calls/history").json()["total"]
    other = tell(server, {**told, "externalCallId": "crm-8"}).json()
    assert "deduplicated" not in other
    assert first.json()["callId"] != other["callId"]


def test_without_an_id_the_same_request_is_the_same_call(server: Server) -> None:
    first, again, other = tell(server, TOLD), tell(server, TOLD), tell(server, {**TOLD, "duration": 43})
    assert [201, 200, 201] == [one.status_code for one in (first, again, other)]
    assert first.json()["callId"] == again.json()["callId"] != other.json()["callId"]
    assert known(server, first.json()["callId"])["providerCallId"] is None


@pytest.mark.parametrize("status", ["no-answer", "busy", "failed"])
def test_an_attempt_is_told_of_without_a_conversation(server: Server, status: str) -> None:
    told = {name: TOLD[name] for name in ("fromNumber", "toNumber", "callStartTime")}
    answer = tell(server, {**told, "direction": "outbound", "duration": 0, "status": status, "agentName": "Desk"})
    call = known(server, answer.json()["callId"])
    assert (status, "outbound", "+12362320246", 0, "Desk", "2025-05-18T15:04:01.000Z") == tuple(
        call[key] for key in ("status", "direction", "to", "duration", "agentName", "startTime")
    )


SENT_AS = [
    base64.b64encode(MP3).decode(),
    "data:audio/mpeg;base64," + base64.b64encode(MP3).decode(),
    base64.urlsafe_b64encode(MP3).decode().rstrip("="),
]


@pytest.mark.parametrize("recording", SENT_AS, ids=["base64", "data-uri", "base64url"])
def test_a_recording_comes_along_and_is_kept_byte_for_byte(server: Server, recording: str, tmp_path: Any) -> None:
    told = json.dumps({**TOLD, "recording": recording, "externalCallId": "crm-7"}).encode()
    answer = tell(server, told)
    call = known(server, answer.json()["callId"])
    assert [(len(MP3), hashlib.sha256(MP3).hexdigest(), "ready")] == [
        (kept["bytes"], kept["sha256"], kept["state"]) for kept in call["recordings"]
    ]
    link = server.get(f"/api/calls/{call['_id']}/recording").json()["audioUrl"]
    assert MP3 == httpx.get(link).content
    (event,) = server.get("/api/events", callId=call["_id"]).json()["data"]
    assert told.decode() == server.offhook("events", "show", event["_id"], "--body")


def test_a_long_recording_streams_to_disk(server: Server) -> None:
    content = MP3 * 6000
    told = json.dumps({"recording": base64.b64encode(content).decode(), **TOLD}).encode()
    assert len(told) > 20 << 20  # more than a body without its recording may have
    before = files_of(server)
    call = known(server, tell(server, told).json()["callId"])
    assert hashlib.sha256(content).hexdigest() == call["recordings"][0]["sha256"]
    again = tell(server, told)
    assert again.json()["deduplicated"] is True
    assert 1 == len(files_of(server) - before)


def files_of(server: Server) -> set[Path]:
    return {path for path in (server.data_dir / "recordings").iterdir() if path.is_file()}


def test_a_call_is_replayed_from_what_was_told(server: Server) -> None:
    call = known(server, tell(server, {**TOLD, "recording": SENT_AS[0]}).json()["callId"])
    (event,) = server.get("/api/events", callId=call["_id"]).json()["data"]
    headers = {"Authorization": f"Bearer {server.api_key}"}
    replayed = httpx.post(f"{server.base_url}/api/events/{event['_id']}/replay", headers=headers, timeout=60)
    assert (201, "projected") == (replayed.status_code, replayed.json()["data"]["status"])
    assert call == known(server, call["_id"])


def test_a_name_that_somebody_gave_stays(server: Server) -> None:
    headers = {"Authorization": f"Bearer {server.api_key}"}
    named = {"phoneNumber": "+14165550100", "firstName": "Sam"}
    contact = httpx.post(f"{server.base_url}/api/contacts", json=named, headers=headers).json()["data"]
    call = known(server, tell(server, {**TOLD, "contactName": "Alex Morgan"}).json()["callId"])
    assert contact["_id"] == call["contactId"]
    found = server.get(f"/api/contacts/{contact['_id']}").json()["data"]
    assert ("Sam", None) == (found["firstName"], found["lastName"])


def test_a_transcript_may_be_a_text(server: Server) -> None:
    text = "Agent: Hello,\nwho is there?\n\nCaller: Alex: it is me."
    call = known(server, tell(server, {**TOLD, "transcript": text}).json()["callId"])
    assert [("agent", "Hello, who is there?"), ("user", "Alex: it is me.")] == [
        (turn["role"], turn["message"]) for turn in call["transcript"]
    ]


UNUSABLE: list[tuple[str, Any]] = [
    ("direction", ...), ("direction", "sideways"), ("direction", None), ("fromNumber", ...), ("fromNumber", ""),
    ("fromNumber", 14165550100), ("toNumber", ...), ("toNumber", "9" * 300), ("duration", ...), ("duration", -1),
    ("duration", "long"), ("duration", 1e300), ("duration", True), ("status", ...), ("status", "ringing"),
    ("transcript", 7), ("transcript", [7]), ("summary", ["x"]), ("recording", 7), ("recording", "%%% no base64"),
    ("recording", "http://files.example.com/a.mp3"), ("recording", "https://127.0.0.1/a.mp3"),
    ("recording", "https://[::1]/a.mp3"), ("recording", "https://files.example.com:22/a.mp3"),
    ("recording", "https://user:secret@files.example.com/a.mp3"), ("recording", "https://2130706433/a.mp3"),
    ("recording", "https://"), ("recording", "https://169.254.169.254/latest/meta-data"),
    ("externalCallId", ""), ("externalCallId", "x" * 257), ("externalCallId", 7), ("agentName", "x" * 201),
    ("metadata", "x"), ("contactName", 7), ("callStartTime", "yesterday"), ("callStartTime", "2025-05-18T15:04:01"),
    ("callStartTime", -1), ("callStartTime", 1e300),
]  # fmt: skip


async def test_what_cannot_be_used_is_refused_by_its_name_and_leaves_nothing(api: Api) -> None:
    for field, value in UNUSABLE:
        told = {name: one for name, one in {**TOLD, field: value}.items() if one is not ...}
        answer = await api.client.post("/api/calls/ingest", json=told)
        said = answer.json()
        assert (400, "bad_input", field) == (
            answer.status_code, said.get("code"), said["details"]["field"].partition("[")[0],
        ), (field, value, said)  # fmt: skip
        assert said["error"].startswith(field), said
    assert 0 == (await api.get("/api/events")).json()["total"]
    assert [] == [path for path in api.deps.settings.recordings_dir.rglob("*") if path.is_file()]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff", b'{"direction": NaN}', b'{"a":' * 5000])
async def test_what_is_no_json_object_is_refused(api: Api, body: bytes) -> None:
    answer = await api.client.post("/api/calls/ingest", content=body)
    assert (400, "bad_input", False) == (answer.status_code, answer.json()["code"], answer.json()["success"])


async def test_what_is_too_long_is_refused(api: Api) -> None:
    limit = api.deps.settings.body_limit_mib << 20
    answer = await api.client.post("/api/calls/ingest", json={**TOLD, "summary": "x" * (limit + 1)})
    assert (413, "too_large") == (answer.status_code, answer.json()["code"])
    assert [] == [path for path in api.deps.settings.recordings_dir.rglob("*") if path.is_file()]


async def test_text_that_no_database_takes_is_mended(api: Api) -> None:
    body = json.dumps({**TOLD, "externalCallId": "a\0b", "summary": "\ud83d broken \0 off", "agentName": "😀"})
    answer = await api.client.post("/api/calls/ingest", content=body.encode())
    assert 201 == answer.status_code
    assert events.call_id(api.org.id, "ab", "external") == answer.json()["callId"]


async def test_the_id_follows_from_organisation_and_external_id(api: Api) -> None:
    answer = await api.client.post("/api/calls/ingest", json={**TOLD, "externalCallId": "crm-7"})
    assert events.call_id(api.org.id, "crm-7", "external") == answer.json()["callId"]
    assert events.call_id(api.org.id, "crm-7") != answer.json()["callId"]


def test_what_is_nested_as_deeply_as_a_parser_takes_is_kept_and_shown(server: Server) -> None:
    for depth in (500, 900):
        nested = b'{"a":' * depth + b'"\\u0000"' + b"}" * depth
        told = json.dumps({**TOLD, "externalCallId": f"deep-{depth}", "metadata": {}}).encode()
        answer = tell(server, told.replace(b'"metadata": {}', b'"metadata": ' + nested))
        assert 201 == answer.status_code, answer.text
        assert "completed" == known(server, answer.json()["callId"])["status"]
