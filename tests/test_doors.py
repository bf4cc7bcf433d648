"""The two webhook doors as ElevenLabs meets them: a real server, each database, over HTTP, to the letter of the contract."""

import base64
import gzip
import hashlib
import http.client
import json
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from offhook import events
from tests.beside import an_organization
from tests.services import Server, eventually, signature

DOOR = "/api/webhook/elevenlabs"
GREETING_DOOR = f"{DOOR}/personalization"
UNAUTHORIZED = {"error": "Unauthorized"}
MIB = 1 << 20


@pytest.fixture
def server(shared_server: Server) -> Server:
    return shared_server


@pytest.fixture(params=["sqlite", "postgresql"])
def own_server(request: pytest.FixtureRequest, start_server: Callable[..., Server]) -> Server:
    """A server to be killed and stopped."""
    url = request.getfixturevalue("postgresql_url") if request.param == "postgresql" else ""
    return start_server(database_url=url)


def transcription(conversation_id: str = "conv_1", **data: Any) -> bytes:
    return json.dumps(
        {
            "type": "post_call_transcription",
            "event_timestamp": 1_747_580_641,
            "data": {
                "conversation_id": conversation_id,
                "agent_id": "agent_1",
                "call_duration_secs": 42,
                "transcript": [
                    {"role": "agent", "message": "Hello"},
                    {"role": "user", "message": "My address changed."},
                ],
                "analysis": {"transcript_summary": "Caller asked to update their address."},
                "metadata": {"phone_call": {"direction": "inbound", "external_number": "+14165550100"}},
                **data,
            },
        }
    ).encode()


def audio(mp3: bytes, conversation_id: str = "conv_1") -> bytes:
    data = {"agent_id": "agent_1", "conversation_id": conversation_id, "full_audio": base64.b64encode(mp3).decode()}
    return json.dumps({"type": "post_call_audio", "event_timestamp": 1_747_580_642, "data": data}).encode()


def post(server: Server, content: Any, path: str = DOOR, **headers: Any) -> httpx.Response:
    return httpx.post(server.base_url + path, content=content, headers=headers, timeout=60)


def signed_as(header: str | bytes) -> dict[str, Any]:
    return {"ElevenLabs-Signature": header}


def pieces(body: bytes, size: int = 50_000) -> Iterator[bytes]:
    """A body sent with Transfer-Encoding: chunked."""
    for start in range(0, len(body), size):
        yield body[start : start + size]


def files_of(server: Server) -> set[str]:
    kept = (server.data_dir / "recordings", server.data_dir / "bodies")
    return {str(path) for folder in kept if folder.exists() for path in folder.rglob("*") if path.is_file()}


def events_of(server: Server) -> list[dict[str, Any]]:
    return list(server.get("/api/events", limit="500").json()["data"])


def test_a_signed_event_is_answered_with_the_id_of_its_call_and_the_call_is_there(server: Server) -> None:
    answer = server.deliver(transcription())
    call_id = events.call_id(server.org_id, "conv_1")
    assert (200, {"received": True, "callId": call_id}) == (answer.status_code, answer.json())
    call = eventually(lambda: server.get(f"/api/calls/{call_id}").json().get("call"))
    assert "Caller asked to update their address." == call["summary"]


def test_the_same_event_again_is_deduplicated(server: Server) -> None:
    first, again = server.deliver(transcription()), server.deliver(transcription())
    assert {**first.json(), "deduplicated": True} == again.json()
    (event,) = events_of(server)
    assert 2 == event["deliveries"]


@pytest.mark.parametrize("header", ["ElevenLabs-Signature", "elevenlabs-signature", "ELEVENLABS-SIGNATURE"])
def test_the_signature_header_is_known_in_any_case(server: Server, header: str) -> None:
    body = transcription()
    assert (
        200
        == post(
            server, body, f"{DOOR}?org={server.org_id}", **{header: signature(server.webhook_secret, body)}
        ).status_code
    )


def test_every_refusal_looks_the_same_and_keeps_nothing(server: Server) -> None:
    body = transcription()
    good = signature(server.webhook_secret, body)
    refused = [
        post(server, body),
        post(server, body, **{"ElevenLabs-Signature": ""}),
        post(server, body, **signed_as("t=１,v0=00".encode())),
        post(server, body, **{"ElevenLabs-Signature": good[:-1] + ("0" if good[-1] != "0" else "1")}),
        post(server, body, f"{DOOR}?org={'f' * 24}", **{"ElevenLabs-Signature": good}),
        post(server, body + b" ", **{"ElevenLabs-Signature": good}),
        post(server, body, **{"ElevenLabs-Signature": signature("wrong", body)}),
        post(server, body, Authorization="Bearer wrong"),
        post(server, body, Authorization="Basic d3Jvbmc="),
        post(server, b"{", GREETING_DOOR),
        post(server, b"{", GREETING_DOOR, Authorization="Bearer wrong"),
        post(server, b"{", GREETING_DOOR, Authorization=f"Bearer {server.api_key}"),
    ]
    assert {(401, '{"error":"Unauthorized"}')} == {(answer.status_code, answer.text) for answer in refused}
    assert [] == events_of(server)
    told = httpx.get(f"{server.base_url}/api/refusals", headers={"Authorization": f"Bearer {server.api_key}"})
    assert {"credentials", "header", "signature", "organization", "token"} == {r["check"] for r in told.json()["data"]}


def test_either_proof_suffices_when_both_are_sent(server: Server) -> None:
    good, bad = transcription("conv_1"), transcription("conv_2")
    right = {"Authorization": f"Bearer {server.tool_secret}", "ElevenLabs-Signature": "t=1,v0=00"}
    assert 200 == post(server, good, **right).status_code
    signed = signature(server.webhook_secret, bad)
    assert 200 == post(server, bad, Authorization="Bearer wrong", **{"ElevenLabs-Signature": signed}).status_code


def test_a_bearer_alone_proves_too(server: Server) -> None:
    assert 200 == post(server, transcription(), Authorization=f"Bearer {server.tool_secret}").status_code
    assert "bearer" == events_of(server)[0]["proof"]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff\xfe", b"[1]", b'"x"', b'{"type":NaN}', b"[" * 100_000, b"\xef\xbb\xbf{}", gzip.compress(b"{}")],
    ids=["empty", "cut", "not utf-8", "list", "string", "NaN", "deep", "BOM", "gzip"],
)
def test_signed_rubbish_is_200_kept_and_quarantined_with_a_reason(server: Server, body: bytes) -> None:
    answer = server.deliver(body)
    assert 200 == answer.status_code
    assert (True, True) == (answer.json()["received"], answer.json()["skipped"])
    assert answer.json()["reason"].endswith(".")
    (event,) = events_of(server)
    assert ("quarantined", len(body)) == (event["status"], event["bytes"])
    assert answer.json() == server.deliver(body).json(), "each time anew"


def test_an_unknown_type_is_kept_and_skipped(server: Server) -> None:
    answer = server.deliver(b'{"type":"answering_machine_detection","data":{"conversation_id":"c"}}')
    assert {"received", "skipped", "reason"} == set(answer.json())
    assert "skipped" == events_of(server)[0]["status"]


def test_an_event_without_a_conversation_is_quarantined(server: Server) -> None:
    answer = server.deliver(b'{"type":"post_call_transcription","data":{}}')
    assert (200, True) == (answer.status_code, answer.json()["skipped"])
    assert "quarantined" == events_of(server)[0]["status"]


def test_older_payloads_without_data_are_understood(server: Server) -> None:
    body = b'{"type":"post_call_transcription","conversation_id":"old","analysis":{"transcript_summary":"Old."}}'
    call_id = server.deliver(body).json()["callId"]
    assert "Old." == eventually(lambda: server.get(f"/api/calls/{call_id}").json().get("call"))["summary"]


def test_a_signature_from_another_time_is_refused_and_the_event_kept_as_stale(server: Server) -> None:
    body = transcription()
    for at in (time.time() - 3600, time.time() + 3600):
        header = signature(server.webhook_secret, body, at)
        answer = post(server, body, f"{DOOR}?org={server.org_id}", **{"ElevenLabs-Signature": header})
        assert (401, UNAUTHORIZED) == (answer.status_code, answer.json())
    assert {"stale"} == {event["status"] for event in events_of(server)}
    assert [] == server.get("/api/calls/history").json()["calls"]
    assert "deduplicated" not in server.deliver(body).json(), "the fresh event is no repetition of a refused one"


def test_a_secret_made_beside_the_running_server_is_valid_for_the_next_request(server: Server) -> None:
    other = an_organization(server)
    body = transcription()
    assert 200 == server.deliver(body, secret=other["webhook_secret"], org_id=other["id"]).status_code
    assert 200 == post(server, b"{}", GREETING_DOOR, Authorization=f"Bearer {other['tool_secret']}").status_code


def test_a_secret_made_beside_the_running_server_is_valid_for_a_large_body_too(server: Server) -> None:
    other = an_organization(server)
    body = audio(random.Random(4).randbytes(MIB))
    header = {"ElevenLabs-Signature": signature(other["webhook_secret"], body)}
    answer = post(server, pieces(body), f"{DOOR}?org={other['id']}", **header)
    assert (200, events.call_id(other["id"], "conv_1")) == (answer.status_code, answer.json().get("callId"))


def test_a_secret_that_others_looked_up_while_a_large_body_flowed_is_valid_for_it(server: Server) -> None:
    other = an_organization(server)
    large, small = audio(random.Random(5).randbytes(MIB), "conv_5"), transcription()

    def held_up() -> Iterator[bytes]:
        yield large[: MIB // 2]
        assert 200 == server.deliver(small, secret=other["webhook_secret"], org_id=other["id"]).status_code
        yield large[MIB // 2 :]

    header = {"ElevenLabs-Signature": signature(other["webhook_secret"], large)}
    assert 200 == post(server, held_up(), f"{DOOR}?org={other['id']}", **header).status_code


def test_during_a_rotation_old_and_new_secret_are_both_valid(server: Server) -> None:
    rotated = json.loads(server.offhook("org", "rotate", server.org_id, "webhook-secret", "--overlap", "24h", "--json"))
    new = next(value for value in rotated.values() if isinstance(value, str) and value.startswith("wsec_"))
    assert 200 == server.deliver(transcription("conv_1")).status_code
    assert 200 == server.deliver(transcription("conv_2"), secret=new).status_code


def test_without_org_in_the_address_the_agent_tells_whose_event_it_is(server: Server) -> None:
    orgs = [an_organization(server) for n in range(6)]
    server.offhook("agent", "add", orgs[3]["id"], "agent_1")
    body = transcription()
    signed = {"ElevenLabs-Signature": signature(orgs[3]["webhook_secret"], body)}
    assert events.call_id(orgs[3]["id"], "conv_1") == post(server, body, **signed).json()["callId"]


def test_one_secret_of_several_organisations_is_told_apart_by_agent_number_or_earlier_events(server: Server) -> None:
    shared = "one_workspace_many_clients"
    orgs = [an_organization(server, webhook_secret=shared) for n in range(2)]
    server.offhook("number", "add", orgs[1]["id"], "+12362320246")
    # What was made beside the server a moment ago is known to it now; by itself it would look within a second.
    assert 200 == server.deliver(transcription("c0"), secret=shared, org_id=orgs[1]["id"]).status_code

    def send(body: bytes) -> dict[str, Any]:
        return dict(post(server, body, **{"ElevenLabs-Signature": signature(shared, body)}).json())

    by_number = transcription("c1", agent_id=None, metadata={"phone_call": {"agent_number": "+12362320246"}})
    assert events.call_id(orgs[1]["id"], "c1") == send(by_number)["callId"]
    later = b'{"type":"post_call_audio","data":{"conversation_id":"c1","full_audio":""}}'
    assert events.call_id(orgs[1]["id"], "c1") == send(later)["callId"]
    unknown = send(b'{"type":"post_call_audio","data":{"conversation_id":"nobody knows","full_audio":""}}')
    assert (True, None) == (unknown["skipped"], unknown.get("callId"))


@pytest.mark.parametrize("size", [200_000, 3 * MIB], ids=["in memory", "streamed"])
def test_chunked_audio_becomes_the_recording_byte_for_byte(server: Server, size: int) -> None:
    mp3 = b"\xff\xfb" + random.Random(size).randbytes(size)
    body = audio(mp3)
    header = {"ElevenLabs-Signature": signature(server.webhook_secret, body)}
    answer = post(server, pieces(body), f"{DOOR}?org={server.org_id}", **header)
    assert 200 == answer.status_code
    path = f"/api/calls/{answer.json()['callId']}"
    eventually(lambda: server.get(f"{path}/recording").status_code == 200)
    assert hashlib.sha256(mp3).hexdigest() == hashlib.sha256(server.get(f"{path}/audio").content).hexdigest()
    assert hashlib.sha256(mp3).hexdigest() == server.get(path).json()["call"]["recordings"][0]["sha256"]


def test_the_same_recording_again_leaves_one_file(server: Server) -> None:
    before = files_of(server)
    body = audio(random.Random(4).randbytes(2 * MIB))
    answers = [server.deliver(body).json() for _ in range(2)]
    assert [None, True] == [answer.get("deduplicated") for answer in answers]
    assert 1 == len(files_of(server) - before)


def test_large_audio_without_org_is_proven_from_disk_when_only_its_agent_tells_whose_it_is(server: Server) -> None:
    orgs = [an_organization(server) for n in range(6)]
    server.offhook("agent", "add", orgs[2]["id"], "agent_1")
    body = audio(random.Random(1).randbytes(2 * MIB))
    header = {"ElevenLabs-Signature": signature(orgs[2]["webhook_secret"], body)}
    assert events.call_id(orgs[2]["id"], "conv_1") == post(server, pieces(body), **header).json()["callId"]
    wrong = {"ElevenLabs-Signature": signature("wrong", body)}
    assert 401 == post(server, pieces(body), **wrong).status_code


def test_a_wrong_signature_at_the_end_of_large_audio_leaves_nothing(server: Server) -> None:
    before = files_of(server)
    body = audio(random.Random(2).randbytes(3 * MIB))
    header = {"ElevenLabs-Signature": signature("wrong", body)}
    assert 401 == post(server, pieces(body), f"{DOOR}?org={server.org_id}", **header).status_code
    assert ([], before) == (events_of(server), files_of(server))


def test_a_body_cut_short_leaves_nothing(server: Server) -> None:
    before = files_of(server)
    body = audio(random.Random(3).randbytes(3 * MIB))
    head = (
        f"POST {DOOR}?org={server.org_id} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
        f"ElevenLabs-Signature: {signature(server.webhook_secret, body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port)) as wire:
        wire.sendall(head.encode() + body[: 2 * MIB])
        eventually(lambda: files_of(server) - before)
    eventually(lambda: files_of(server) == before)
    assert [] == events_of(server)


def test_the_rest_of_a_body_beyond_its_bound_is_kept_raw_and_quarantined(start_server: Callable[..., Server]) -> None:
    server = start_server(env={"OFFHOOK_BODY_LIMIT_MIB": "1"})
    body = transcription(transcript=[{"role": "user", "message": "x" * (3 * MIB)}])
    answer = server.deliver(body)
    assert (200, True) == (answer.status_code, answer.json()["skipped"])
    (event,) = events_of(server)
    assert ("quarantined", len(body)) == (event["status"], event["bytes"])


def test_a_method_other_than_post_is_405_with_allow(server: Server) -> None:
    for path in (DOOR, GREETING_DOOR):
        answer = httpx.get(server.base_url + path)
        assert (405, "POST") == (answer.status_code, answer.headers["allow"])
        assert answer.json()["error"]


def test_senders_that_are_not_on_the_list_are_refused_and_a_trusted_proxy_is_believed(
    start_server: Callable[..., Server],
) -> None:
    server = start_server(env={"OFFHOOK_ALLOWED_SENDERS": "elevenlabs", "OFFHOOK_TRUSTED_PROXIES": "127.0.0.1/32"})
    body = transcription()
    signed = {"ElevenLabs-Signature": signature(server.webhook_secret, body)}
    path = f"{DOOR}?org={server.org_id}"
    assert 401 == post(server, body, path, **signed).status_code
    assert 200 == post(server, body, path, **signed, **{"X-Forwarded-For": "6.6.6.6, 34.67.146.145"}).status_code
    assert 401 == post(server, body, path, **signed, **{"X-Forwarded-For": "34.67.146.145, 6.6.6.6"}).status_code


def test_a_caller_who_is_known_is_greeted_by_name_and_the_request_is_filed(server: Server) -> None:
    server.offhook(
        "contact", "add", server.org_id, "--phone", "+14165550100", "--first-name", "Alex", "--last-name", "Morgan"
    )
    answer = server.ask({"caller_id": "(416) 555-0100", "called_number": "+12362320246", "call_sid": "CA1"})
    told = {"caller_name": "Alex Morgan", "caller_number": "+14165550100", "org_name": "Acme Corp"}
    assert {"type": "conversation_initiation_client_data", "dynamic_variables": told, **told} == answer.json()
    (event,) = eventually(lambda: events_of(server))
    assert ("personalization", "bearer") == (event["source"], event["proof"])


@pytest.mark.parametrize(
    "body", [b"", b"{", b"null", b"\xff", b"[" * 100_000, b"x" * MIB, b'{"caller_id":"anonymous"}']
)
def test_a_stranger_or_an_unreadable_request_gets_an_empty_greeting(server: Server, body: bytes) -> None:
    answer = post(server, body, GREETING_DOOR, Authorization=f"Bearer {server.tool_secret}")
    assert (200, {}) == (answer.status_code, answer.json())


def test_what_the_caller_was_told_stands_on_the_call_although_its_events_do_not_say_it(server: Server) -> None:
    server.ask(
        {"caller_id": "+14165550100", "called_number": "+12362320246", "call_sid": "CA77", "agent_id": "agent_1"}
    )
    body = transcription(metadata={"phone_call": {"call_sid": "CA77"}})
    call_id = server.deliver(body).json()["callId"]
    eventually(lambda: server.get(f"/api/calls/{call_id}").json().get("call"))
    # The request before the call is filed after its answer, so the call may be read before it is known who rang.
    told = {"from": "+14165550100", "to": "+12362320246"}
    eventually(lambda: told.items() <= server.get(f"/api/calls/{call_id}").json()["call"].items())


@pytest.mark.torture  # test_outages.py has the short one
def test_events_in_the_air_during_kill_9_are_all_there_once_when_acknowledged(own_server: Server) -> None:
    server = own_server
    acknowledged: set[str] = set()
    sent: set[str] = set()
    lock = threading.Lock()

    def send(numbers: range) -> None:
        for number in numbers:
            conversation = f"conv_{number}"
            for _ in range(200):  # the sender of this test, unlike ElevenLabs, tries again
                try:
                    answer = server.deliver(transcription(conversation))
                except httpx.TransportError:
                    time.sleep(0.05)
                    continue
                assert 200 == answer.status_code
                with lock:
                    acknowledged.add(answer.json()["callId"])
                break
            with lock:
                sent.add(events.call_id(server.org_id, conversation))

    threads = [threading.Thread(target=send, args=(range(start, 400, 8),)) for start in range(8)]
    for thread in threads:
        thread.start()
    for wait_s in (0.4, 0.7):
        time.sleep(wait_s)
        server.kill()
        server.start()
    for thread in threads:
        thread.join()
    assert sent == acknowledged
    eventually(lambda: server.get("/api/events", status="pending").json()["total"] == 0, within_s=30)
    assert (400, 400) == (
        server.get("/api/events").json()["total"],
        server.get("/api/calls/history").json()["total"],
    )


def test_a_stop_signal_ends_the_server_with_0_and_what_was_acknowledged_is_there(own_server: Server) -> None:
    server = own_server
    call_id = server.deliver(transcription()).json()["callId"]
    assert 0 == server.stop()
    server.start()
    assert 200 == eventually(lambda: server.get(f"/api/calls/{call_id}")).status_code


@pytest.mark.parametrize("shared_server", ["sqlite"], indirect=True)  # no database is asked
def test_a_sender_that_dawdles_is_sent_away_and_others_do_not_wait(server: Server) -> None:
    wire = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    wire.putrequest("POST", f"{DOOR}?org={server.org_id}")
    wire.putheader("ElevenLabs-Signature", signature(server.webhook_secret, b"x"))
    wire.putheader("Content-Length", "100000")
    wire.endheaders(b"{")
    begun = time.monotonic()
    assert 200 == server.deliver(transcription()).status_code
    assert time.monotonic() - begun < 1
    assert 408 == wire.getresponse().status
