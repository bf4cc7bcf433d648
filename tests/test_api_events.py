"""The inbox over the API: facts, what was said (scrubbed, without audio), replay, and who was turned away."""

import hashlib
import json
from typing import Any

from offhook import events
from offhook.events import UNASSIGNED, Event, Part
from offhook.refusals import Refusal
from offhook.store.events import FILED_COLUMNS, filed_values, sealed
from offhook.store.tables import events as table
from tests.api import NOW, Api, hex_id

KEYS = {
    "_id", "type", "source", "conversationId", "callId", "eventTimestamp", "receivedAt", "bytes", "proof", "status",
    "reason", "deliveries", "effects",
}  # fmt: skip


async def file(api: Api, body: bytes = b"{}", **facts: Any) -> str:
    """File an event as the inbox would; its id."""
    digest = hashlib.sha256(body + repr(sorted(facts.items())).encode()).hexdigest()
    given: dict[str, Any] = {
        "id": events.event_id(api.org.id, digest), "org_id": api.org.id, "type": "post_call_transcription",
        "source": "webhook", "proof": "hmac", "sha256": digest, "size_bytes": len(body), "received_at": NOW, "body": body,
        "conversation_id": "conv_1", "call_id": events.call_id(api.org.id, "conv_1"), "event_timestamp": NOW - 1,
        "status": "projected",
    }  # fmt: skip
    event = Event(**{**given, **facts})
    values = filed_values(sealed(event, api.deps.keys))
    await api.insert(table, dict(zip(FILED_COLUMNS, values, strict=True)))
    return event.id


async def detail(api: Api, event_id: str) -> dict[str, Any]:
    answer = await api.get(f"/api/events/{event_id}")
    assert 200 == answer.status_code, answer.text
    return dict(answer.json()["data"])


async def test_an_event_has_every_key_of_the_contract(api: Api) -> None:
    event_id = await file(api, b'{"type": "post_call_transcription"}')
    answer = (await api.get("/api/events")).json()
    (event,) = answer["data"]
    assert {"data", "total"} == set(answer)
    assert {
        "_id": event_id, "type": "post_call_transcription", "source": "webhook", "conversationId": "conv_1",
        "callId": events.call_id(api.org.id, "conv_1"), "eventTimestamp": "2025-05-18T15:04:00.250Z",
        "receivedAt": "2025-05-18T15:04:01.250Z", "bytes": 35, "proof": "hmac", "status": "projected", "reason": None,
        "deliveries": 1, "effects": [],
    } == event  # fmt: skip


async def test_events_are_newest_first_and_found_by_type_status_and_call(api: Api) -> None:
    call = hex_id(9)
    first = await file(api, type="post_call_audio", call_id=call)
    second = await file(api, status="quarantined", reason="It is not JSON.")

    async def found(**query: str) -> list[str]:
        answer = await api.get("/api/events", **query)
        assert len(answer.json()["data"]) == answer.json()["total"]
        return [event["_id"] for event in answer.json()["data"]]

    assert [second, first] == await found()
    assert [first] == await found(type="post_call_audio")
    assert [second] == await found(status="quarantined")
    assert [first] == await found(callId=call)
    assert [] == await found(type="no\0thing")
    assert [first] == [e["_id"] for e in (await api.get("/api/events", limit="1", offset="1")).json()["data"]]


UNUSABLE = [("status", "lost"), ("callId", "1"), ("limit", "all"), ("type", "x" * 201)]


async def test_what_cannot_be_used_is_refused_by_its_name(api: Api) -> None:
    for field, value in UNUSABLE:
        answer = await api.get("/api/events", **{field: value})
        assert (400, True) == (answer.status_code, answer.json()["error"].startswith(field))


async def test_one_event_tells_what_it_said_without_its_secrets(api: Api) -> None:
    secret = api.org.tool_secret
    headers = {"Authorization": f"Bearer {secret}"}
    said = {"type": "x", "data": {"transcript": [{"tool_calls": [{"tool_details": {"headers": headers, "url": "u"}}]}]}}
    answer = json.dumps({"dynamic_variables": {"caller_name": "Alex"}}).encode()
    answer_text = await api.get(f"/api/events/{await file(api, json.dumps(said).encode(), answer=answer)}")
    event = answer_text.json()["data"]
    assert set(event) == KEYS | {"payload", "payloadNote", "answer"}
    assert secret not in answer_text.text
    assert "u" == event["payload"]["data"]["transcript"][0]["tool_calls"][0]["tool_details"]["url"]
    assert {"dynamic_variables": {"caller_name": "Alex"}} == event["answer"]
    assert event["payloadNote"] is None


async def test_audio_is_left_out_with_its_size(api: Api) -> None:
    head, tail = b'{"data":{"full_audio":"', b'","extra":"'
    end = b'"}}'
    parts = (
        Part(len(head), "base64", "a", 1234, "0" * 64),
        Part(len(head) + len(tail), "raw", "b", 99, "0" * 64),
    )
    event = await detail(api, await file(api, head + tail + end, parts=parts, size_bytes=2000))
    assert {"full_audio": "[1234 bytes of audio]", "extra": "[99 bytes of text]"} == event["payload"]["data"]


async def test_a_lone_surrogate_is_shown_as_the_replacement_character(api: Api) -> None:
    event = await detail(api, await file(api, rb'{"data": "\ud800!\u0000"}'))
    assert {"data": "\ufffd!\0"} == event["payload"]


async def test_a_body_beyond_measure_is_not_shown(api: Api) -> None:
    event = await detail(api, await file(api, b"[" + b"0," * (3 << 20) + b"0]"))
    assert (None, "The body is longer than the 4 MiB that are shown.") == (event["payload"], event["payloadNote"])


UNREADABLE = [b"", b"{", b"\xff", b"[" * 100_000, b'{"a": NaN}', b"\x1f\x8b\x08"]


async def test_a_body_that_is_no_json_is_not_shown(api: Api) -> None:
    for body in UNREADABLE:
        event = await detail(api, await file(api, body, status="quarantined", reason="The body is no JSON."))
        assert (None, "The body is no JSON.") == (event["payload"], event["reason"])
        assert event["payloadNote"]


async def test_a_body_whose_seal_is_broken_is_said_not_guessed(api: Api) -> None:
    event_id = await file(api)
    await api.deps.database.write(lambda tx: tx.execute(table.update().values(body=b"\x01" + bytes(40))).rowcount)
    event = await detail(api, event_id)
    assert (None, True) == (event["payload"], bool(event["payloadNote"]))


async def test_events_of_another_organisation_and_unassigned_ones_are_not_there(api: Api) -> None:
    event_id, unassigned = await file(api), await file(api, org_id=UNASSIGNED)
    assert 404 == (await api.get(f"/api/events/{unassigned}")).status_code
    other = await api.add_organization()
    async with api.client_with(other.api_key) as stranger:
        assert 404 == (await stranger.get(f"/api/events/{event_id}")).status_code
        assert 404 == (await stranger.post(f"/api/events/{event_id}/replay")).status_code
        assert 0 == (await stranger.get("/api/events")).json()["total"]


async def test_a_refused_request_is_shown_to_whom_it_may_concern(api: Api) -> None:
    other = await api.add_organization()
    await api.deps.directory.refresh()

    def refuse(at: float, org_id: str | None) -> None:
        api.deps.refusals.add(Refusal(NOW + at, "/api/webhook/elevenlabs", "192.0.2.7", 812, "signature", org_id))

    refuse(0, None)
    refuse(1, api.org.id)
    refuse(2, other.id)
    refuse(3, "mistyped")
    answer = (await api.get("/api/refusals")).json()
    assert 3 == answer["total"]
    assert [f"2025-05-18T15:04:0{second}.250Z" for second in (4, 2, 1)] == [refusal["at"] for refusal in answer["data"]]
    assert {
        "at": "2025-05-18T15:04:04.250Z", "path": "/api/webhook/elevenlabs", "sender": "192.0.2.7", "bytes": 812,
        "check": "signature",
    } == answer["data"][0]  # fmt: skip
    assert 1 == len((await api.get("/api/refusals", limit="1", offset="1")).json()["data"])
