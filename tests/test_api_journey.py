"""One call on its way from the doors to a program with an API key, on a running server."""

import base64
import hashlib
import json
from typing import Any

import httpx
import pytest

from offhook import events
from tests.services import Server, eventually

MP3 = bytes(range(256)) * 2000


@pytest.fixture
def server(shared_server: Server) -> Server:
    return shared_server


def body(type: str, **data: Any) -> bytes:
    said = {"conversation_id": "conv_1", "agent_id": "agent_1", **data}
    return json.dumps({"type": type, "event_timestamp": 1_747_580_700, "data": said}).encode()


TRANSCRIPTION = body(
    "post_call_transcription",
    transcript=[
        {"role": "agent", "message": "Hello, how can I help?", "time_in_call_secs": 0},
        {"role": "user", "message": "I moved.", "time_in_call_secs": 3},
    ],
    analysis={"transcript_summary": "The caller moved.", "call_successful": "success"},
    metadata={
        "start_time_unix_secs": 1_747_580_641,
        "call_duration_secs": 42,
        "cost": 120,
        "phone_call": {"direction": "inbound", "external_number": "+14165550100", "agent_number": "+12362320246"},
    },
)
AUDIO = body("post_call_audio", full_audio=base64.b64encode(MP3).decode())


def test_a_call_is_heard_read_and_replayed(server: Server) -> None:
    call_id = events.call_id(server.org_id, "conv_1")
    assert [200, 200] == [server.deliver(sent).status_code for sent in (TRANSCRIPTION, AUDIO)]
    call = eventually(lambda: the_whole(server, call_id))
    assert ("completed", "inbound", "+14165550100", "+12362320246", 42, "The caller moved.", True, 120) == tuple(
        call[key] for key in ("status", "direction", "from", "to", "duration", "summary", "successful", "cost")
    )
    assert ("2025-05-18T15:04:01.000Z", "phone", "conv_1") == (
        call["startTime"], call["channel"], call["conversationId"],
    )  # fmt: skip
    assert [("agent", "Hello, how can I help?", 0), ("user", "I moved.", 3)] == [
        (turn["role"], turn["message"], turn["timestamp"]) for turn in call["transcript"]
    ]
    assert [hashlib.sha256(MP3).hexdigest()] == [kept["sha256"] for kept in call["recordings"]]
    assert [("ai_summary", "The caller moved.")] == [(note["type"], note["note"]) for note in call["notes"]]
    assert "+14165550100" == server.get(f"/api/contacts/{call['contactId']}").json()["data"]["phoneNumber"]
    assert call["notes"] == server.get("/api/contact-notes", contactId=call["contactId"]).json()["data"]
    listed = server.get("/api/calls/history", q="moved").json()["calls"]
    assert [{key: call[key] for key in listed[0]}] == listed

    link = server.get(f"/api/calls/{call_id}/recording").json()["audioUrl"]
    assert MP3 == httpx.get(link).content
    part = httpx.get(link, headers={"Range": "bytes=1000-1999"})
    assert (206, MP3[1000:2000]) == (part.status_code, part.content)

    found = server.get("/api/events", callId=call_id).json()["data"]
    assert {"post_call_audio", "post_call_transcription"} == {event["type"] for event in found}
    payloads = [server.get(f"/api/events/{event['_id']}").json()["data"]["payload"] for event in found]
    assert f"[{len(MP3)} bytes of audio]" in [payload["data"].get("full_audio") for payload in payloads]
    for event in found:
        replayed = replay(server, event["_id"])
        assert (201, "projected") == (replayed.status_code, replayed.json()["data"]["status"])
    again = server.get(f"/api/calls/{call_id}").json()["call"]
    assert {**call, "updatedAt": None} == {**again, "updatedAt": None}


def test_what_cannot_be_read_stays_set_aside_when_replayed(server: Server) -> None:
    assert {"received": True, "skipped": True}.items() <= server.deliver(b"{not json").json().items()
    (event,) = server.get("/api/events", status="quarantined").json()["data"]
    replayed = replay(server, event["_id"]).json()["data"]
    assert ("quarantined", event["reason"]) == (replayed["status"], replayed["reason"])


def the_whole(server: Server, call_id: str) -> dict[str, Any] | None:
    """The call, once both its events have arrived in it."""
    call = server.get(f"/api/calls/{call_id}").json().get("call", {})
    return dict(call) if call.get("recordings") and call.get("transcript") else None


def replay(server: Server, event_id: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {server.api_key}"}
    return httpx.post(f"{server.base_url}/api/events/{event_id}/replay", headers=headers, timeout=60)
