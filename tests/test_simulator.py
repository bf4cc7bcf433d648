"""The simulator tells what ElevenLabs tells: proven with the official SDK, heard with decoders, sent over real sockets."""

import asyncio
import base64
import hashlib
import hmac
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from elevenlabs.core.unchecked_base_model import construct_type
from elevenlabs.types import (
    ConversationHistoryTranscriptOtherToolsResultCommonModel,
    ConversationHistoryTranscriptSystemToolResultCommonModelOutput,
    GetConversationResponseModel,
)
from elevenlabs.webhooks_custom import WebhooksClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from offhook.errors import Mistake
from offhook.phone import e164
from offhook.simulator.bodies import AudioBody, failure_body, personalization_body, transcription_body
from offhook.simulator.calls import Call, answered, attempted, deck, random_of
from offhook.simulator.command import simulate
from offhook.simulator.deliveries import SPELLINGS, Delivery, after, before, disturbed, signature, with_repeats
from offhook.simulator.report import Tally
from offhook.simulator.scenarios import FAILURES, SCENARIOS, Failure, Scenario
from offhook.simulator.sender import Sender, Target, place_calls
from offhook.simulator.speech import FRAME_BYTES, FRAME_S, index, silence, spoken, voice_of, words_sha256
from tests.services import Server, eventually, listening

WEBHOOK_SECRET = "wsec_receiver"
TOOL_SECRET = "oht_receiver"
SENT_AT = 1_780_000_000

each_scenario = pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
each_failure = pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.name)


def call_of(scenario: Scenario, seed: str = "seed") -> Call:
    return answered(scenario, seed, SENT_AT - 3)


def transcription_of(scenario: Scenario, greeting: dict[str, Any] | None = None) -> dict[str, Any]:
    return after(call_of(scenario), SENT_AT, TOOL_SECRET, greeting)[0].payload


# What is told


@each_scenario
def test_the_official_sdk_knows_every_field_of_a_transcription(scenario: Scenario) -> None:
    data = transcription_of(scenario)["data"]
    for turn in data["transcript"]:
        turn["tool_results"] = [read_tool_result(result) for result in turn["tool_results"]]
    read = construct_type(type_=GetConversationResponseModel, object_=data)
    assert [] == sorted(unknown_fields(read))


def read_tool_result(result: dict[str, Any]) -> Any:
    """The SDK's unchecked union takes the first member for every result; their `type` tells them apart."""
    kinds = {"system": ConversationHistoryTranscriptSystemToolResultCommonModelOutput}
    kind = kinds.get(result["type"], ConversationHistoryTranscriptOtherToolsResultCommonModel)
    return construct_type(type_=kind, object_=result)


def unknown_fields(read: Any, path: str = "") -> Iterator[str]:
    if isinstance(read, list):
        for value in read:
            yield from unknown_fields(value, f"{path}[]")
    elif isinstance(read, dict):
        for key, value in read.items():
            yield from unknown_fields(value, f"{path}.{key}")
    elif hasattr(read, "model_extra"):
        yield from (f"{path}.{name}" for name in read.model_extra or {})
        for name in type(read).model_fields:
            yield from unknown_fields(getattr(read, name), f"{path}.{name}")


@each_scenario
def test_a_transcription_has_every_block(scenario: Scenario) -> None:
    data = transcription_of(scenario)["data"]
    wanted = {"charging", "deletion_settings", "feedback", "phone_call", "cost", "cost_fiat", "termination_reason"}
    assert wanted <= {name for name, block in data["metadata"].items() if block is not None}
    assert {"evaluation_criteria_results", "data_collection_results", "transcript_summary"} <= data["analysis"].keys()
    assert all(turn["conversation_turn_metrics"]["metrics"] for turn in data["transcript"])
    variables = data["conversation_initiation_client_data"]["dynamic_variables"]
    assert {"system__call_sid", "system__caller_id", "system__called_number"} <= variables.keys()


def test_the_tool_secret_shows_up_in_the_headers_of_tool_calls() -> None:
    calls = [call for turn in transcription_of(SCENARIOS[0])["data"]["transcript"] for call in turn["tool_calls"]]
    assert {f"Bearer {TOOL_SECRET}"} == {call["tool_details"]["headers"]["Authorization"] for call in calls}


def test_the_variables_of_the_greeting_come_back_in_the_transcription() -> None:
    told = transcription_of(SCENARIOS[0], {"dynamic_variables": {"caller_name": "Alex Morgan"}})
    variables = told["data"]["conversation_initiation_client_data"]["dynamic_variables"]
    assert "Alex Morgan" == variables["caller_name"]


@each_scenario
def test_who_calls_whom_follows_from_the_direction(scenario: Scenario) -> None:
    call = call_of(scenario)
    data = transcription_of(scenario)["data"]
    variables = data["conversation_initiation_client_data"]["dynamic_variables"]
    theirs = "anonymous" if scenario.is_withheld else scenario.person.number
    ends = [variables["system__caller_id"], variables["system__called_number"]]
    assert [theirs, scenario.business.number] == (ends if scenario.direction == "inbound" else ends[::-1])
    assert (theirs, scenario.business.number) == (
        data["metadata"]["phone_call"]["external_number"],
        data["metadata"]["phone_call"]["agent_number"],
    )
    assert bool(before(call)) == (scenario.direction == "inbound")


def test_the_scenarios_cover_what_a_receiver_must_bear() -> None:
    assert {"inbound", "outbound"} == {scenario.direction for scenario in SCENARIOS}
    assert {"twilio", "sip_trunking"} == {scenario.business.carrier for scenario in SCENARIOS}
    assert {"en", "fr", "uk"} == {scenario.business.language for scenario in SCENARIOS}
    assert {True, False} == {scenario.is_withheld for scenario in SCENARIOS}
    kinds = {turn.tool.kind for scenario in SCENARIOS for turn in scenario.turns if turn.tool}
    assert {"webhook", "client", "system"} == kinds
    assert {"busy", "no-answer", "unknown"} == {failure.reason for failure in FAILURES}
    assert 120 < max(spoken(scenario).duration_s for scenario in SCENARIOS)


def test_every_number_is_reserved_for_fiction() -> None:
    cases = (*SCENARIOS, *FAILURES)
    numbers = {number for case in cases for number in (case.person.number, case.business.number)}
    assert [] == [number for number in numbers if e164(number) != number]
    assert [] == [number for number in numbers if number[5:10] != "55501" and not number.startswith("+442079460")]


@each_failure
def test_a_failed_attempt_tells_its_numbers_as_its_carrier_does(failure: Failure) -> None:
    data = after(attempted(failure, "seed", SENT_AT - 1), SENT_AT, TOOL_SECRET)[0].payload["data"]
    body = data["metadata"]["body"]
    assert failure.reason == data["failure_reason"]
    if data["metadata"]["type"] == "twilio":
        assert (failure.business.number, failure.person.number) == (body["From"], body["To"])
        assert all(isinstance(value, str) for value in body.values())
    else:
        assert (failure.business.number, failure.person.number) == (body["from_number"], body["to_number"])
        assert failure.sip_status_code == body["sip_status_code"]


def test_the_same_seed_makes_the_same_call_and_another_another() -> None:
    assert transcription_of(SCENARIOS[0]) == transcription_of(SCENARIOS[0])
    one, other = (call_of(SCENARIOS[0], seed).line for seed in ("one", "other"))
    assert one.conversation_id != other.conversation_id
    assert one.agent_id == other.agent_id


def test_two_workspaces_never_share_an_agent() -> None:
    ours, theirs = (answered(SCENARIOS[0], "seed", SENT_AT, workspace).line for workspace in ("ours", "theirs"))
    assert ours.agent_id != theirs.agent_id


def test_a_deck_deals_every_scenario_and_one_failure_a_round() -> None:
    cards = deck("seed")
    for _ in range(3):
        dealt = list(islice(cards, len(SCENARIOS) + 1))
        assert {card.name for card in SCENARIOS} == {card.name for card in dealt if isinstance(card, Scenario)}
        assert 1 == sum(isinstance(card, Failure) for card in dealt)
        assert isinstance(dealt[0], Scenario)


# What is heard


@each_scenario
def test_each_turn_sounds_as_it_reads(scenario: Scenario) -> None:
    words = [words_sha256(voice_of(scenario, turn.role), turn.words) for turn in scenario.turns]
    made_of = [clip.words_sha256 for clip in index()[scenario.name]]
    assert words == made_of, "the words have changed: run tools/make_speech.py"


@each_scenario
def test_the_transcript_follows_the_recording(scenario: Scenario) -> None:
    call = call_of(scenario)
    data = transcription_of(scenario)["data"]
    assert [int(moment.starts_s) for moment in call.moments] == [t["time_in_call_secs"] for t in data["transcript"]]
    assert round(call.spoken.duration_s) == data["metadata"]["call_duration_secs"]
    assert call.started_at + data["metadata"]["call_duration_secs"] <= SENT_AT


@each_scenario
def test_a_decoder_reads_the_whole_recording(scenario: Scenario, tmp_path: Path) -> None:
    sound = spoken(scenario)
    samples = decoded(sound.mp3, tmp_path)
    assert sound.duration_s == pytest.approx(len(samples) / 16_000, abs=2 * FRAME_S)


def test_there_is_speech_where_the_transcript_says_so_and_silence_between(tmp_path: Path) -> None:
    call = call_of(next(scenario for scenario in SCENARIOS if scenario.name == "no-heating"))
    samples = decoded(call.spoken.mp3, tmp_path)
    held = next(moment for moment in call.moments if moment.turn.pause_s > 60)
    hold = samples[round((held.starts_s - 60) * 16_000) : round((held.starts_s - 1) * 16_000)]
    assert 0 == max(hold)
    for moment in call.moments:
        begin, end = (round(at * 16_000) for at in (moment.starts_s, moment.starts_s + moment.lasts_s))
        assert 5_000 < max(samples[begin:end]), moment.turn.words


def decoded(mp3: bytes, folder: Path) -> memoryview:
    """16-bit samples, by lame, which wrote the frames but never saw them joined."""
    if shutil.which("lame") is None:
        pytest.skip("lame is not installed: nothing here decodes MP3 (apt-get install lame).")
    (folder / "call.mp3").write_bytes(mp3)
    command = ["lame", "--quiet", "--decode", "-t", str(folder / "call.mp3"), str(folder / "call.raw")]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert (0, "") == (ended.returncode, ended.stderr)
    return memoryview((folder / "call.raw").read_bytes()).cast("h")


def test_every_frame_stands_alone() -> None:
    for scenario in SCENARIOS:
        mp3 = spoken(scenario).mp3
        frames = [mp3[at : at + FRAME_BYTES] for at in range(0, len(mp3), FRAME_BYTES)]
        assert {(b"\xff\xf3\x38", 0)} == {(frame[:3], frame[4]) for frame in frames}


def test_the_recordings_stay_below_a_megabyte() -> None:
    folder = Path(sys.modules[spoken.__module__].__file__ or "").parent / "speech"
    assert 1_000_000 > sum(file.stat().st_size for file in folder.iterdir())


def test_silence_is_as_long_as_was_asked_for() -> None:
    assert 1.0 == pytest.approx(len(silence(1.0)) / FRAME_BYTES * FRAME_S, abs=FRAME_S / 2)


# How it is spelled and proven


@each_scenario
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_means_the_same(scenario: Scenario, spelling: Any) -> None:
    for plain in after(call_of(scenario), SENT_AT, TOOL_SECRET):
        said = json.loads(Delivery(plain.kind, plain.payload, spelling).body)
        said["event_timestamp"] = int(said["event_timestamp"])
        if "data" not in said:
            said = {**{key: said.pop(key) for key in ("type", "event_timestamp")}, "data": said}
        assert plain.payload == said


def test_spellings_differ_in_their_bytes() -> None:
    audio = after(call_of(SCENARIOS[0]), SENT_AT, TOOL_SECRET)[1]
    bodies = {
        spelling: Delivery("audio", audio.payload, spelling).body for spelling in SPELLINGS if spelling != "ascii"
    }
    assert len(bodies) == len(set(bodies.values()))
    assert b'"full_audio"' not in bodies["escaped"]
    ukrainian = transcription_of(next(scenario for scenario in SCENARIOS if scenario.business.language == "uk"))
    assert Delivery("transcription", ukrainian, "ascii").body.isascii()


def test_the_official_sdk_accepts_the_signature() -> None:
    for delivery in after(call_of(SCENARIOS[0]), SENT_AT, TOOL_SECRET):
        header = signature([delivery.body], WEBHOOK_SECRET)
        event = WebhooksClient.construct_event(None, delivery.body.decode(), header, WEBHOOK_SECRET)  # type: ignore[arg-type]
        assert delivery.payload == event


def test_the_signature_of_pieces_is_the_signature_of_the_whole() -> None:
    assert signature([b"pie", b"ces"], "secret", at=7) == signature([b"pieces"], "secret", at=7)
    digest = hmac.digest(b"secret", b"7.pieces", "sha256").hex()
    assert f"t=7,v0={digest}" == signature([b"pieces"], "secret", at=7)


def test_repeats_are_the_very_same_bytes() -> None:
    deliveries = after(call_of(SCENARIOS[0]), SENT_AT, TOOL_SECRET)
    every_one_twice = with_repeats(deliveries, random_of("seed"), share=1.0)
    assert [False, True, False, True] == [delivery.is_repeat for delivery in every_one_twice]
    assert every_one_twice[0].body == every_one_twice[1].body
    assert deliveries == with_repeats(deliveries, random_of("seed"), share=0.0)


def test_chaos_loses_nothing_and_marks_what_comes_again() -> None:
    call = call_of(SCENARIOS[0])
    news = [*before(call), *after(call, SENT_AT, TOOL_SECRET)]
    orders = set()
    for seed in range(20):
        scattered = disturbed(news, random_of(str(seed)))
        first = [delivery.kind for delivery in scattered if not delivery.is_repeat]
        assert ["audio", "personalization", "transcription"] == sorted(first)
        assert sorted(delivery.after_s for delivery in scattered) == [delivery.after_s for delivery in scattered]
        orders.add(tuple(first))
    assert 6 == len(orders)


# Bodies of a wanted size


@pytest.mark.parametrize("size_bytes", [8_000, 10_240, 51_200, 1_000_000])
def test_a_transcription_has_just_the_size_that_was_asked_for(size_bytes: int) -> None:
    body = transcription_body(size_bytes)
    assert size_bytes == len(body)
    assert "post_call_transcription" == json.loads(body)["type"]


def test_a_transcription_too_small_for_its_blocks_is_refused() -> None:
    with pytest.raises(ValueError, match=r"takes \d+ bytes at least"):
        transcription_body(1_000)


def test_bodies_of_other_seeds_are_other_conversations() -> None:
    ids = [json.loads(transcription_body(seed=str(n)))["data"]["conversation_id"] for n in range(100)]
    assert 100 == len(set(ids))
    assert json.loads(failure_body(seed="1"))["data"]["conversation_id"] in ids
    assert json.loads(personalization_body(seed="1", caller="+14165550123"))["caller_id"] == "+14165550123"


@pytest.mark.parametrize("mp3_bytes", [0, 108, 5_000_000])
def test_an_audio_body_streams_what_it_says(mp3_bytes: int) -> None:
    body = AudioBody(mp3_bytes)
    whole = b"".join(body)
    mp3 = base64.b64decode(json.loads(whole)["data"]["full_audio"], validate=True)
    assert len(body) == len(whole)
    assert b"".join(body.mp3()) == mp3
    assert hashlib.sha256(mp3).hexdigest() == body.mp3_sha256()
    assert mp3_bytes - FRAME_BYTES < len(mp3) == body.mp3_bytes <= mp3_bytes
    assert all(len(chunk) <= 65_536 for chunk in body)


# Over the wire


class Receiver:
    """A stranger's webhook: proves every sender by itself, and remembers."""

    def __init__(self, org_id: str = "") -> None:
        self.url = ""
        self.seen: list[dict[str, Any]] = []
        self._known: set[tuple[Any, ...]] = set()
        self.org_id = org_id
        self.delay_s = 0.0

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/api/webhook/elevenlabs", self.post_call, methods=["POST"]),
                Route("/api/webhook/elevenlabs/personalization", self.personalization, methods=["POST"]),
            ]
        )

    async def personalization(self, request: Request) -> JSONResponse:
        if request.headers.get("authorization") != f"Bearer {TOOL_SECRET}":
            return JSONResponse({"error": "Unauthorized"}, 401)
        self.seen.append({"kind": "personalization", "body": await request.json()})
        return JSONResponse({"dynamic_variables": {"caller_name": "Alex Morgan"}})

    async def post_call(self, request: Request) -> JSONResponse:
        body = await request.body()
        await asyncio.sleep(self.delay_s)
        fields = dict(field.split("=", 1) for field in request.headers["elevenlabs-signature"].split(","))
        proof = hmac.digest(WEBHOOK_SECRET.encode(), fields["t"].encode() + b"." + body, "sha256").hex()
        if proof != fields["v0"] or abs(time.time() - int(fields["t"])) > 60:
            return JSONResponse({"error": "Unauthorized"}, 401)
        event = json.loads(body)
        data = event.get("data", event)
        key = (event["type"], data["conversation_id"], int(event["event_timestamp"]))
        self.seen.append(
            {
                "kind": event["type"],
                "body": event,
                "is_chunked": request.headers.get("transfer-encoding") == "chunked",
                "org": request.query_params.get("org"),
                "is_known": key in self._known,
            }
        )
        self._known.add(key)
        return JSONResponse(
            {"received": True, "callId": "5f7b1c2e8a1d4e0012c3b4a5", "deduplicated": self.seen[-1]["is_known"]}
        )

    def kinds(self) -> Counter[str]:
        return Counter(entry["kind"] for entry in self.seen)


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    listener = listening()
    receiver.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server = uvicorn.Server(uvicorn.Config(receiver.app(), log_level="error", lifespan="off"))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    yield receiver
    server.should_exit = True
    await serving


async def simulated(receiver: Receiver, calls: int = 18, **wishes: Any) -> Tally:
    target = Target(receiver.url, wishes.pop("webhook_secret", WEBHOOK_SECRET), TOOL_SECRET, wishes.pop("org_id", None))
    tally = Tally(target)
    told: dict[str, Any] = {
        "rate": 0,
        "seed": "seed",
        "heard": tally.hear,
        "may_go_on": tally.is_worth_going_on,
    } | wishes
    async with Sender(target) as sender:
        await place_calls(sender, islice(deck("seed"), calls), **told)
    return tally


async def test_every_call_arrives_whole_and_proven() -> None:
    async with receiving() as receiver:
        tally = await simulated(receiver, org_id="5f7b1c2e8a1d4e0012c3b4a5")
    kinds = receiver.kinds()
    conversations = {entry["body"]["data"]["conversation_id"] for entry in receiver.seen if "is_known" in entry}
    assert (True, 18, 18) == (tally.is_good, tally.calls, len(conversations))
    assert 2 == len({entry["body"]["data"]["conversation_id"] for entry in receiver.seen if "failure" in entry["kind"]})
    inbound = sum(scenario.direction == "inbound" for scenario in SCENARIOS)
    assert 2 * inbound == kinds["personalization"]
    assert {"5f7b1c2e8a1d4e0012c3b4a5"} == {entry["org"] for entry in receiver.seen if "org" in entry}
    for entry in receiver.seen:
        if "is_known" in entry:
            assert (entry["kind"] == "post_call_audio") == entry["is_chunked"]


async def test_the_question_who_is_ringing_comes_first_and_its_answer_comes_back() -> None:
    async with receiving() as receiver:
        await simulated(receiver, calls=9)
    asked: set[str] = set()
    for entry in receiver.seen:
        if entry["kind"] == "personalization":
            asked.add(entry["body"]["conversation_id"])
        elif entry["kind"] == "post_call_transcription" and entry["body"]["data"]["conversation_id"] in asked:
            variables = entry["body"]["data"]["conversation_initiation_client_data"]["dynamic_variables"]
            assert "Alex Morgan" == variables["caller_name"]
    assert sum(scenario.direction == "inbound" for scenario in SCENARIOS) == len(asked)


async def test_repeats_are_counted_as_the_receiver_says() -> None:
    async with receiving() as receiver:
        tally = await simulated(receiver, calls=36)
    repeats = sum(entry.get("is_known", False) for entry in receiver.seen)
    assert 0 < repeats == sum(count.deduplicated for count in tally.counts.values())


async def test_chaos_is_accepted_too() -> None:
    async with receiving() as receiver:
        tally = await simulated(receiver, calls=9, is_chaotic=True)
    assert tally.is_good
    shapes = {"data" in entry["body"] for entry in receiver.seen if "is_known" in entry}
    assert {True, False} == shapes


async def test_calls_come_at_the_rate_that_was_asked_for() -> None:
    begun = time.monotonic()
    async with receiving() as receiver:
        await simulated(receiver, calls=6, rate=20)
    assert 5 / 20 <= time.monotonic() - begun < 5


async def test_a_wrong_secret_ends_early_with_one_sentence() -> None:
    async with receiving() as receiver:
        tally = await simulated(receiver, calls=100_000, rate=50, webhook_secret="wsec_wrong")
    assert "--webhook-secret" in (tally.advice() or "")
    assert (False, True) == (tally.is_good, tally.calls < 100)


async def test_nobody_there_is_one_sentence() -> None:
    receiver = Receiver()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        receiver.url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    tally = await simulated(receiver, calls=100_000, rate=50)
    assert "Nothing answers at" in (tally.advice() or "")
    assert not tally.is_good


async def test_another_program_at_that_address_is_one_sentence() -> None:
    async with receiving() as receiver:
        receiver.url += "/elsewhere"
        tally = await simulated(receiver, calls=100_000, rate=50)
    assert "is no offhook" in (tally.advice() or "")


# The command


async def command(*arguments: str, stop_once: Callable[[], Any] | None = None) -> tuple[int | None, str, str]:
    """Exit code, standard output, standard error."""
    script = "import sys; from cyclopts import App; from offhook.simulator.command import simulate; app = App();"
    script += "app.default(simulate); sys.exit(app(result_action='return_value'))"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    if stop_once is not None:
        await asyncio.to_thread(eventually, stop_once, within_s=30)
        process.send_signal(signal.SIGINT)
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


def secrets_of(webhook_secret: str = WEBHOOK_SECRET) -> list[str]:
    return ["--webhook-secret", webhook_secret, "--tool-secret", TOOL_SECRET]


async def test_the_command_says_how_it_went() -> None:
    async with receiving() as receiver:
        code, out, err = await command("--url", receiver.url, *secrets_of(), "--calls", "9", "--rate", "0")
    assert (0, "") == (code, err)
    for word in ("personalization", "transcription", "audio", "failure", "deduplicated", "slowest", "9 calls of seed"):
        assert word in out


async def test_the_command_in_json_prints_one_object_and_the_same_seed_the_same_calls() -> None:
    async with receiving() as receiver:
        wishes = ["--url", receiver.url, *secrets_of(), "--calls", "3", "--rate", "0", "--seed", "again", "--json"]
        first, second = await command(*wishes), await command(*wishes)
    summary = json.loads(first[1])
    assert (0, 3, "again", 0) == (first[0], summary["calls"], summary["seed"], summary["refused"])
    assert summary["sent"] == summary["accepted"] == json.loads(second[1])["sent"]
    conversations = {entry["body"]["data"]["conversation_id"] for entry in receiver.seen if "is_known" in entry}
    assert 3 == len(conversations)


async def test_the_address_that_org_create_prints_is_understood() -> None:
    async with receiving() as receiver:
        url = f"{receiver.url}/api/webhook/elevenlabs?org=5f7b1c2e8a1d4e0012c3b4a5"
        code, _, _ = await command("--url", url, *secrets_of(), "--calls", "1", "--rate", "0")
    assert 0 == code
    assert {"5f7b1c2e8a1d4e0012c3b4a5"} == {entry["org"] for entry in receiver.seen if "org" in entry}


async def test_a_refusal_is_exit_code_one_and_a_sentence() -> None:
    async with receiving() as receiver:
        code, _, err = await command("--url", receiver.url, *secrets_of("wsec_wrong"), "--calls", "50")
    assert (1, 1) == (code, len(err.splitlines()))
    assert "check that --webhook-secret" in err


async def test_ctrl_c_ends_with_the_summary() -> None:
    async with receiving() as receiver:
        wishes = ["--url", receiver.url, *secrets_of(), "--calls", "100000", "--rate", "20"]
        code, out, err = await command(*wishes, stop_once=lambda: receiver.kinds()["post_call_audio"])
    assert (0, "Stopped.\n") == (code, err)
    assert "transcription" in out


@pytest.mark.parametrize(
    ("wishes", "sentence"),
    [
        ({}, "Say whose calls they are"),
        ({"webhook_secret": "w"}, "--tool-secret"),
        ({"org": "Acme", "webhook_secret": "w"}, "but not both"),
        ({"calls": 0}, "at least 1"),
        ({"rate": -1.0}, "at least 0"),
        ({"url": "ftp://example.com", "webhook_secret": "w", "tool_secret": "t"}, "is no address"),
        ({"url": "http://", "webhook_secret": "w", "tool_secret": "t"}, "is no address"),
        ({"url": "http://localhost:x", "webhook_secret": "w", "tool_secret": "t"}, "is no address"),
        ({"url": "http://[::1", "webhook_secret": "w", "tool_secret": "t"}, "is no address"),
    ],
)
def test_what_is_typed_wrong_is_one_sentence(wishes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Mistake, match=sentence):
        simulate(**wishes)


def test_an_organisation_of_no_database_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFHOOK_DATA_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(Mistake, match="There is no offhook database at"):
        simulate(org="Acme Corp")
    assert [] == os.listdir(tmp_path)


# A real offhook


@pytest.mark.parametrize(
    "disturbance", [pytest.param([], marks=pytest.mark.torture), ["--chaos"]], ids=["orderly", "chaos"]
)
def test_a_real_offhook_understands_every_call_whole(server: Server, disturbance: list[str]) -> None:
    wishes = ["--org", server.org_id, "--url", server.base_url, "--calls", "18", "--rate", "0", "--json"]
    summary = json.loads(server.offhook("simulate", *wishes, *disturbance))
    assert (18, summary["sent"], 0) == (summary["calls"], summary["accepted"], summary["skipped"])
    calls = eventually(lambda: whole_calls(server, 18))
    assert {"completed": 16} == {status: n for status, n in Counter(c["status"] for c in calls).items() if n > 2}
    heard = {hashlib.sha256(spoken(scenario).mp3).hexdigest() for scenario in SCENARIOS}
    assert heard == {recording["sha256"] for call in calls for recording in call["recordings"]}


def whole_calls(server: Server, wanted: int) -> list[dict[str, Any]]:
    """Every call, once all are there with what belongs to them; else none."""
    calls: list[dict[str, Any]] = server.get("/api/calls/history", limit="500").json()["calls"]
    is_whole = all(
        call["summary"] and call["recordings"] for call in calls if call["status"] in ("completed", "in-progress")
    )
    return calls if is_whole and len(calls) == wanted else []


def test_the_lent_secret_expires_and_the_organisations_own_stays(server: Server) -> None:
    server.offhook("simulate", "--org", server.org_id, "--url", server.base_url, "--calls", "1", "--rate", "0")
    secrets = json.loads(server.offhook("org", "show", server.org_id, "--json"))["secrets"]
    tools = {secret["label"]: secret for secret in secrets if secret["secret"] == "tool-secret"}
    assert {"", "simulate"} == tools.keys()
    assert (None, True) == (tools[""]["expires_at"], tools["simulate"]["expires_at"] is not None)
