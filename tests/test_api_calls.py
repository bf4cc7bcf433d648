"""Calls over the API: the list, its filters, one call, and who may not see it."""

import time

from offhook.store.tables import contacts
from tests.api import NOW, Api, hex_id

KEYS = {
    "_id", "callId", "provider", "providerCallId", "direction", "status", "from", "to", "contactId", "conversationId",
    "organizationId", "agentId", "agentName", "channel", "startTime", "answerTime", "endTime", "duration", "summary",
    "title", "successful", "recordings", "cost", "costUsd", "createdAt", "updatedAt",
}  # fmt: skip


async def listed(api: Api, **query: str) -> list[str]:
    answer = await api.get("/api/calls/history", **query)
    assert 200 == answer.status_code, answer.text
    return [call["_id"] for call in answer.json()["calls"]]


async def test_a_call_has_every_key_of_the_contract(api: Api) -> None:
    await api.add_calls({"id": hex_id(1), "is_successful": True, "cost_credits": 120.0, "cost_usd": 0.035})
    answer = await api.get("/api/calls/history")
    (call,) = answer.json()["calls"]
    assert set(call) == KEYS
    assert {"success": True, "total": 1} == {key: answer.json()[key] for key in ("success", "total")}
    assert (hex_id(1), hex_id(1), "conv_1", "conv_1") == (
        call["_id"], call["callId"], call["providerCallId"], call["conversationId"],
    )  # fmt: skip
    assert ("2025-05-18T15:04:01.250Z", "2025-05-18T15:04:43.250Z", None) == (
        call["startTime"], call["endTime"], call["answerTime"],
    )  # fmt: skip
    assert (42, True, 120, 0.035) == (call["duration"], call["successful"], call["cost"], call["costUsd"])


async def test_an_external_call_has_no_conversation(api: Api) -> None:
    await api.add_calls({"id": hex_id(1), "provider": "external", "provider_call_id": "crm-7"})
    (call,) = (await api.get("/api/calls/history")).json()["calls"]
    assert ("crm-7", None) == (call["providerCallId"], call["conversationId"])


async def test_lists_are_newest_first_and_cut_into_pages(api: Api) -> None:
    await api.add_calls(*({"id": hex_id(n), "happened_at": NOW + n} for n in range(1, 8)))
    assert [hex_id(n) for n in (7, 6, 5, 4, 3, 2, 1)] == await listed(api)
    assert [hex_id(5), hex_id(4)] == await listed(api, limit="2", offset="2")
    answer = await api.get("/api/calls/history", limit="2", offset="100")
    assert ([], 7) == (answer.json()["calls"], answer.json()["total"])


async def test_calls_of_one_instant_are_on_one_page_each(api: Api) -> None:
    await api.add_calls(*({"id": hex_id(n)} for n in range(1, 6)))
    pages = [await listed(api, limit="1", offset=str(offset)) for offset in range(5)]
    assert sorted(hex_id(n) for n in range(1, 6)) == sorted(page[0] for page in pages)


FOUND_BY: list[tuple[dict[str, str], set[int]]] = [
    ({"status": "busy"}, {2}),
    ({"status": "completed"}, {1, 3}),
    ({"direction": "outbound"}, {3}),
    ({"agentId": "agent_2"}, {3}),
    ({"agentId": "agent_\0" + "2"}, {3}),
    ({"contactId": hex_id(77)}, {1}),
    ({"contactId": hex_id(78)}, set()),
    ({"q": "ADDRESS"}, {1}),
    ({"q": "Refund"}, {3}),
    ({"q": "(604) 555"}, {3}),
    ({"q": "+1 604-555-0199"}, {3}),
    ({"q": "back office"}, {3}),
    ({"q": "morgan"}, {1}),
    ({"q": "100%"}, set()),
    ({"q": ""}, {1, 2, 3}),
    ({"q": "address", "status": "busy"}, set()),
    ({"unknown": "is ignored"}, {1, 2, 3}),
]


async def test_calls_are_found_by_every_filter(api: Api) -> None:
    person = {"id": hex_id(77), "org_id": api.org.id, "first_name": "Alex", "last_name": "Morgan", "emails": "[]"}
    more = {"source": "call", "created_at": NOW, "updated_at": NOW, "search_text": "alex morgan"}
    await api.insert(contacts, {**person, **more})
    await api.add_calls(
        {"id": hex_id(1), "contact_id": hex_id(77), "summary": "Caller asked to update the address."},
        {"id": hex_id(2), "status": "busy"},
        {"id": hex_id(3), "direction": "outbound", "agent_id": "agent_2", "agent_name": "Back Office",
         "to_number": "+16045550199", "title": "A refund"},
    )  # fmt: skip
    for query, found in FOUND_BY:
        assert (query, {hex_id(n) for n in found}) == (query, set(await listed(api, **query)))


BETWEEN: list[tuple[dict[str, str], set[int]]] = [
    ({"from": "2025-05-18T15:04:01.250Z"}, {2, 3}),
    ({"to": "2025-05-18T15:04:01.250Z"}, {1}),
    ({"from": "2025-05-18T11:04:01.250-04:00", "to": "2025-05-18T17:04:02+02:00"}, {2}),
    ({"from": "2025-05-18T11:04:01.250"}, {2, 3}),
    ({"from": "2025-05-18 11:04:01"}, {2, 3}),
    ({"from": "2025-05-18"}, {2, 3}),
    ({"from": "2025-05-19"}, {3}),
    ({"to": "2025-05-19"}, {1, 2}),
    ({"from": "2025-05-19", "to": "2025-05-19"}, set()),
]


async def test_times_are_inclusive_and_exclusive_and_bare_dates_are_in_the_organisations_zone(api: Api) -> None:
    midnight = 1_747_627_200.0  # 2025-05-19T00:00:00 in Toronto
    moments = {1: NOW - 86_400, 2: NOW, 3: midnight}
    await api.add_calls(*({"id": hex_id(n), "happened_at": at, "started_at": at} for n, at in moments.items()))
    for query, found in BETWEEN:
        assert (query, {hex_id(n) for n in found}) == (query, set(await listed(api, **query)))


async def test_a_plus_that_was_not_escaped_is_still_an_offset(api: Api) -> None:
    await api.add_calls({"id": hex_id(1)})
    answer = await api.client.get("/api/calls/history?from=2025-05-18T17:04:01.250+02:00")
    assert 1 == answer.json()["total"]


UNUSABLE = [
    ("limit", "ten"), ("limit", "-1"), ("limit", "1.5"), ("limit", ""), ("limit", "٣"), ("limit", "0x10"),
    ("offset", "x"), ("offset", "-1"), ("status", "ringing"), ("direction", "sideways"), ("contactId", "7"),
    ("contactId", ""), ("contactId", "G" * 24), ("from", "yesterday"), ("to", "2025-02-30"), ("from", ""),
    ("from", "9999999999"), ("q", "x" * 201),
]  # fmt: skip


async def test_what_cannot_be_used_is_refused_by_its_name(api: Api) -> None:
    for field, value in UNUSABLE:
        answer = await api.get("/api/calls/history", **{field: value})
        said = answer.json()
        assert (400, field) == (answer.status_code, said["error"][: len(field)])
        assert ("bad_input", False, {"field": field}) == (said["code"], said["success"], said["details"])


async def test_a_limit_above_500_gives_500_and_numbers_beyond_measure_are_taken(api: Api) -> None:
    await api.add_calls(*({"id": hex_id(n)} for n in range(1, 504)))
    assert 500 == len(await listed(api, limit="501"))
    assert 500 == len(await listed(api, limit="9" * 40))
    assert [] == await listed(api, limit="0")
    assert [] == await listed(api, offset="9" * 40)


async def test_the_last_page_of_many_calls_costs_little_more_than_the_first(api: Api) -> None:
    words = "The caller asked to move the appointment. " * 40
    await api.add_calls(*({"id": hex_id(n), "happened_at": NOW + n, "transcript": words} for n in range(50_000)))
    await api.settle()
    first, last = await took_s(api, offset="0"), await took_s(api, offset="49900")
    assert last < 8 * first  # 2 to 3 times where the index alone cuts out the page, 45 times where rows are passed over


async def took_s(api: Api, **query: str) -> float:
    """The quickest of five."""
    took = []
    for _ in range(5):
        begun = time.perf_counter()
        assert 50 == len(await listed(api, **query))
        took.append(time.perf_counter() - begun)
    return min(took)


async def test_one_call_has_its_transcript_analysis_notes_and_context(api: Api) -> None:
    await api.add_calls(
        {
            "id": hex_id(1),
            "transcript": '[{"role":"agent","message":"Hello","timestamp":0.0},{"role":"user","message":null,"timestamp":2}]',
            "analysis": '{"call_successful":"success"}',
            "context": '{"caller_name":"Alex Morgan"}',
            "details": '{"termination_reason":"hung up"}',
            "failure": "no-answer",
        }
    )
    await api.add_note(id=hex_id(8), call_id=hex_id(1), note="Caller asked for a call back.", type="ai_summary")
    answer = await api.get(f"/api/calls/{hex_id(1)}")
    call = answer.json()["call"]
    assert (200, True) == (answer.status_code, answer.json()["success"])
    assert set(call) == KEYS | {"transcript", "analysis", "context", "details", "failure", "notes", "toolUses"}
    assert {"role": "agent", "message": "Hello", "timestamp": 0} == call["transcript"][0]
    assert {"call_successful": "success"} == call["analysis"]
    assert {"caller_name": "Alex Morgan"} == call["context"]
    assert [("Caller asked for a call back.", "ai_summary")] == [(note["note"], note["type"]) for note in call["notes"]]


async def test_recordings_stand_in_lists_and_in_the_call(api: Api) -> None:
    await api.add_calls({"id": hex_id(1)}, {"id": hex_id(2), "happened_at": NOW - 1})
    await api.add_recording(hex_id(1), b"\xff\xfb mp3")
    (kept,) = (await api.get("/api/calls/history")).json()["calls"][0]["recordings"]
    assert {"_id", "bytes", "sha256", "duration", "state"} == set(kept)
    assert (6, 41.5, "ready") == (kept["bytes"], kept["duration"], kept["state"])
    assert [kept] == (await api.get(f"/api/calls/{hex_id(1)}")).json()["call"]["recordings"]
    assert [] == (await api.get(f"/api/calls/{hex_id(2)}")).json()["call"]["recordings"]


async def test_calls_of_another_organisation_are_not_there(api: Api) -> None:
    await api.add_calls({"id": hex_id(1)})
    other = await api.add_organization()
    async with api.client_with(other.api_key) as stranger:
        assert 0 == (await stranger.get("/api/calls/history")).json()["total"]
        for path in ("", "/recording", "/audio"):
            answer = await stranger.get(f"/api/calls/{hex_id(1)}{path}")
            assert (404, "not_found") == (answer.status_code, answer.json()["code"])


async def test_an_id_that_is_none_is_not_found(api: Api) -> None:
    for call_id in (hex_id(404), "history2", "A" * 24, "%00" * 24, "..%2f..", "1" * 25, "é" * 24):
        for path in ("", "/recording", "/audio"):
            answer = await api.client.get(f"/api/calls/{call_id}{path}")
            assert (404, False) == (answer.status_code, answer.json()["success"])


async def test_times_that_no_calendar_knows_are_null(api: Api) -> None:
    await api.add_calls({"id": hex_id(1), "started_at": 1e300, "ended_at": -1e18})
    (call,) = (await api.get("/api/calls/history")).json()["calls"]
    assert (None, None) == (call["startTime"], call["endTime"])
