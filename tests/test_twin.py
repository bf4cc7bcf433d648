"""The offline ElevenLabs: the official SDK is its client, a plain HTTP server what it delivers to."""

import asyncio
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Any

import pytest
from elevenlabs import AsyncElevenLabs
from elevenlabs.core.api_error import ApiError
from hypothesis import given
from hypothesis import strategies as st

from offhook.twin.rules import GRACE_S, Standing, after_answer, retry_wait_s
from offhook.voice.elevenlabs.signature import Prover, read_signature
from tests.twins import KEY, Twin


class Receiver:
    """A webhook receiver that answers what it is told to, and remembers what came."""

    def __init__(self) -> None:
        self.came: list[tuple[dict[str, str], bytes]] = []
        self.status = 200
        self.greeting: dict[str, Any] = {}
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            disable_nagle_algorithm = True
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self._chunked() if self.headers.get("Transfer-Encoding") else self._plain()
                receiver.came.append(({name.lower(): value for name, value in self.headers.items()}, body))
                answer = json.dumps(receiver.greeting).encode()
                self.send_response(receiver.status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def _plain(self) -> bytes:
                return self.rfile.read(int(self.headers["Content-Length"]))

            def _chunked(self) -> bytes:
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hook"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def types(self) -> list[str]:
        return sorted(json.loads(body).get("type", "personalization") for _, body in self.came)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


async def test_the_sdk_pages_through_conversations_and_fetches_each_with_its_audio(twin: Twin) -> None:
    placed = await twin.place(30)
    api, found, cursor = twin.sdk.conversational_ai.conversations, [], None
    while True:
        page = await api.list(page_size=7, cursor=cursor)
        found += [one.conversation_id for one in page.conversations]
        cursor = page.next_cursor
        if not page.has_more:
            break
    answered = set(twin.desk.workspace.conversations)
    assert answered == set(found)
    assert answered < set(placed)  # attempts that nobody answered are no conversations
    one = await api.get(found[0])
    assert found[0] == one.conversation_id
    assert one.transcript
    audio = b"".join([piece async for piece in api.audio.get(found[0])])
    assert twin.desk.workspace.conversations[found[0]].mp3 == audio
    await api.delete(found[0])
    with pytest.raises(ApiError) as refusal:
        await api.get(found[0])
    assert 404 == refusal.value.status_code


async def test_the_sdk_finds_conversations_by_their_time(twin: Twin) -> None:
    await twin.place(5, "old")
    await twin.turn(86_400)
    await twin.place(5, "new")
    since = int(twin.desk.clock()) - 3_600
    page = await twin.sdk.conversational_ai.conversations.list(call_start_after_unix=since, page_size=100)
    assert {one.id for one in twin.desk.workspace.conversations.values() if one.started_at >= since} == {
        one.conversation_id for one in page.conversations
    }


async def test_a_wrong_key_is_refused(twin: Twin) -> None:
    with pytest.raises(ApiError) as refusal:
        await AsyncElevenLabs(base_url=twin.url, api_key="wrong").webhooks.list()
    assert 401 == refusal.value.status_code


async def test_everything_that_a_set_up_needs_can_be_made_shown_changed_and_removed(twin: Twin) -> None:
    ai = twin.sdk.conversational_ai
    secret = await ai.secrets.create(name="offhook", value="s3cret")
    assert ["offhook"] == [one.name for one in (await ai.secrets.list()).secrets]
    await ai.settings.update(
        conversation_initiation_client_data_webhook={
            "url": "https://calls.example/p", "request_headers": {"Authorization": {"secret_id": secret.secret_id}},
        }
    )  # fmt: skip
    assert "https://calls.example/p" == (await ai.settings.get()).conversation_initiation_client_data_webhook.url
    agents = (await ai.agents.list()).agents
    numbers = await ai.phone_numbers.list()
    assert {one.agent_id for one in agents} == {one.assigned_agent.agent_id for one in numbers}
    flag = {"overrides": {"enable_conversation_initiation_client_data_from_webhook": True}}
    await ai.agents.update(agents[0].agent_id, platform_settings=flag)
    agent = await ai.agents.get(agents[0].agent_id)
    assert agent.platform_settings.overrides.enable_conversation_initiation_client_data_from_webhook
    assert agent.conversation_config.agent.prompt.prompt
    await ai.secrets.delete(secret.secret_id)
    assert [] == (await ai.secrets.list()).secrets


async def test_events_are_signed_and_audio_comes_chunked(twin: Twin, receiver: Receiver) -> None:
    _, secret = await twin.hook(receiver.url)
    await twin.place()
    await twin.delivered()
    assert ["post_call_audio", "post_call_transcription"] == receiver.types()
    for headers, body in receiver.came:
        signed = read_signature(headers["elevenlabs-signature"])
        assert signed is not None
        prover = Prover(signed, [secret.encode()])
        prover.update(body)
        assert 0 == prover.proven()
        assert ("post_call_audio" in body[:60].decode()) == (headers.get("transfer-encoding") == "chunked")


async def test_without_retries_a_failure_is_the_end_of_it(twin: Twin, receiver: Receiver) -> None:
    await twin.hook(receiver.url)
    receiver.status = 503
    await twin.place()
    await twin.delivered()
    await twin.turn(86_400)
    assert 2 == len(await twin.delivered())


async def test_with_retries_a_transcription_is_tried_six_times_and_audio_once(twin: Twin, receiver: Receiver) -> None:
    await twin.hook(receiver.url, retry_enabled=True)
    receiver.status = 503
    await twin.place()
    for _ in range(6):
        await asyncio.sleep(0.1)
        await twin.turn(2_000)
    log = await twin.delivered()
    assert {"transcription": 6, "audio": 1} == {
        kind: sum(one["kind"] == kind for one in log) for kind in ("transcription", "audio")
    }


async def test_ten_failures_without_a_success_switch_the_webhook_off_until_it_is_switched_on(
    twin: Twin, receiver: Receiver
) -> None:
    id, _ = await twin.hook(receiver.url)
    receiver.status = 500
    await twin.place(6, "a")
    await twin.delivered()
    (shown,) = (await twin.sdk.webhooks.list()).webhooks
    assert (True, 500) == (shown.is_auto_disabled, shown.most_recent_failure_error_code)
    receiver.came.clear()
    await twin.place(1, "b")
    assert {"disabled"} == {one["outcome"] for one in (await twin.delivered())[-2:]}
    receiver.status = 200
    await twin.sdk.webhooks.update(id, is_disabled=False, name="offhook")
    await twin.place(1, "c")
    await twin.delivered()
    assert receiver.came


async def test_who_asks_before_a_call_is_told_and_the_answer_comes_back_in_the_event(
    twin: Twin, receiver: Receiver
) -> None:
    receiver.greeting = {"dynamic_variables": {"caller_name": "Alex Morgan"}}
    await twin.hook(receiver.url)
    ai = twin.sdk.conversational_ai
    secret = await ai.secrets.create(name="bearer", value="Bearer t0ken")
    await ai.settings.update(
        conversation_initiation_client_data_webhook={
            "url": receiver.url, "request_headers": {"Authorization": {"secret_id": secret.secret_id}},
        }
    )  # fmt: skip
    for agent in (await ai.agents.list()).agents:
        flag = {"overrides": {"enable_conversation_initiation_client_data_from_webhook": True}}
        await ai.agents.update(agent.agent_id, platform_settings=flag)
    await twin.place(12)
    await twin.delivered()
    asked = [headers for headers, body in receiver.came if "type" not in json.loads(body)]
    assert asked
    assert {"Bearer t0ken"} == {headers["authorization"] for headers in asked}
    assert any(b'"caller_name":"Alex Morgan"' in body for _, body in receiver.came)


async def test_deliveries_are_lost_and_doubled_as_often_as_was_asked_for(twin: Twin, receiver: Receiver) -> None:
    await twin.hook(receiver.url)
    await twin.http.put("/twin/faults", json={"dropped": 0.2, "doubled": 0.1, "reordered_within_s": 0.2})
    await twin.place(150)
    log = await twin.delivered()
    dropped = sum(one["outcome"] == "dropped" for one in log)
    bodies = [hashlib.sha256(body).digest() for _, body in receiver.came]
    events = dropped + len(set(bodies))
    assert 0.08 < dropped / events < 0.32
    assert 0.01 < (len(bodies) - len(set(bodies))) / events < 0.19  # over four standard deviations


async def test_the_api_fails_as_often_as_it_is_told_to(twin: Twin) -> None:
    await twin.http.put("/twin/faults", json={"api": [429, 500]})
    statuses = [
        (await twin.http.get("/v1/workspace/webhooks", headers={"xi-api-key": KEY})).status_code for _ in range(3)
    ]
    assert [429, 500, 200] == statuses


@pytest.mark.parametrize(
    ("path", "body"), [("/twin/calls", {"call": 1}), ("/twin/faults", {"dropped": 2}), ("/twin/clock", {})]
)
async def test_what_is_asked_wrong_is_said(twin: Twin, path: str, body: dict[str, Any]) -> None:
    answer = await twin.http.request("PUT" if path.endswith("faults") else "POST", path, json=body)
    assert 422 == answer.status_code
    assert answer.json()["detail"]["message"]


@given(st.lists(st.sampled_from([200, 500, 404, None]), max_size=40), st.floats(0, 30 * 86_400))
def test_a_webhook_is_given_up_after_ten_failures_in_a_row_and_a_week_without_success(
    statuses: list[int | None], apart_s: float
) -> None:
    standing, now, given_up = Standing(), 1_700_000_000.0, False
    failures, success_at = 0, None
    for status in statuses:
        now += apart_s
        standing = after_answer(standing, status, now)
        failures, success_at = (0, now) if status == 200 else (failures + 1, success_at)
        given_up = given_up or (failures >= 10 and (success_at is None or now - success_at > GRACE_S))
        assert given_up == standing.is_auto_disabled


@pytest.mark.parametrize("status", [200, 400, 401, 404, 301])
def test_only_what_may_pass_is_tried_again(status: int) -> None:
    assert retry_wait_s("post_call_transcription", status, 1, Random(0)) is None


def test_the_waits_are_those_of_the_documentation() -> None:
    waits = [retry_wait_s("post_call_transcription", 503, tries, Random(0)) for tries in range(1, 7)]
    assert [True] * 5 == [
        0.9 * wanted <= (wait or 0.0) <= 1.1 * wanted
        for wait, wanted in zip(waits[:5], (0, 30, 120, 480, 1800), strict=True)
    ]
    assert waits[5] is None
