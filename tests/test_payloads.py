"""What ElevenLabs sends is understood field by field, whatever became of the other fields."""

import json
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec
import pydantic
import pytest
from elevenlabs.types.get_conversation_response_model import GetConversationResponseModel
from hypothesis import given, settings
from hypothesis import strategies as st

from offhook.voice import lenient
from offhook.voice.contract import CallEnded, CallFailed, Other, RecordingArrived
from offhook.voice.elevenlabs import payloads
from offhook.voice.elevenlabs.payloads import Payload
from offhook.voice.elevenlabs.translation import translated
from offhook.voice.json_text import Unreadable
from tests.payloads import BOOKING, names, payload


def said(content: Any) -> Any:
    """What the event of a fixture, or a changed one, says."""
    content = payload(content) if isinstance(content, str) else content
    return translated(content["type"], json.dumps(content).encode())


def booking(*changes: tuple[str, Any]) -> CallEnded:
    ended = said(payload(BOOKING, *changes))
    assert isinstance(ended, CallEnded)
    return ended


# The fields and their meanings


def structs() -> list[type[Payload]]:
    return [kind for kind in vars(payloads).values() if isinstance(kind, type) and issubclass(kind, Payload)]


@pytest.mark.parametrize("kind", structs(), ids=lambda kind: kind.__name__)
def test_every_field_says_what_it_means(kind: type[Payload]) -> None:
    for name, hint in get_type_hints(kind, include_extras=True).items():
        assert get_origin(hint) is Annotated, name
        assert hint.__metadata__[0].description.endswith((".", "...")), name


@pytest.mark.parametrize("kind", structs(), ids=lambda kind: kind.__name__)
def test_every_field_may_be_missing(kind: type[Payload]) -> None:
    assert kind() == lenient.read(kind, {})


def test_the_names_are_those_of_the_official_sdk() -> None:
    """Ours are allowed to be more: older payloads, and what the SDK does not know."""
    assert [] == list(missing(GetConversationResponseModel, payloads.Conversation, "data"))


#: Where we keep an object as it comes, because it is another program's or is different for every tool.
KEPT_WHOLE = ("conversation_config_override", "result", "json_schema", "guardrail_details", "platform_metadata")


def missing(theirs: Any, ours: Any, path: str) -> Iterator[str]:
    """Paths of fields that the SDK's model has and ours has not."""
    for kind in kinds(theirs, pydantic.BaseModel):
        mine = next(iter(kinds(ours, msgspec.Struct)), None)
        known = get_type_hints(mine) if mine else {}
        for name, field in kind.model_fields.items():
            if name not in known:
                yield f"{path}.{name}"
            elif name not in KEPT_WHOLE:
                yield from missing(field.annotation, known[name], f"{path}.{name}")


def kinds(hint: Any, base: type) -> list[Any]:
    """The classes of *base* within a type such as dict[str, A | B] | None."""
    if isinstance(hint, type) and not isinstance(hint, types.GenericAlias) and issubclass(hint, base):
        return [hint]
    return [kind for argument in get_args(hint) for kind in kinds(argument, base)]


def test_the_fixture_with_every_block_is_read_to_the_last_field() -> None:
    data = payload(BOOKING)["data"]
    read = msgspec.to_builtins(lenient.read(payloads.Conversation, data))
    assert [] == list(lost(data, read, "data"))


def lost(sent: Any, read: Any, path: str) -> Iterator[str]:
    if isinstance(sent, dict):
        for name, value in sent.items():
            yield from lost(value, read.get(name), f"{path}.{name}") if isinstance(read, dict) else [path]
    elif isinstance(sent, list):
        for n, value in enumerate(sent):
            yield from lost(value, read[n], f"{path}.{n}") if isinstance(read, list) else [path]
    elif sent != read:
        yield path


def test_the_fixture_with_every_block_is_what_the_sdk_reads() -> None:
    theirs = GetConversationResponseModel(**payload(BOOKING)["data"])
    assert theirs.metadata.phone_call is not None
    assert theirs.metadata.phone_call.external_number == booking().person


# What each event says


def test_a_phone_call_is_told_in_our_own_words() -> None:
    ended = booking()
    assert "inbound" == ended.direction
    assert ("+14165550100", "+12362320246") == (ended.person, ended.ours)
    assert "phone" == ended.channel
    assert (1763741042.0, 1763741043.0, 26.0) == (ended.started_at, ended.answered_at, ended.duration_s)
    assert (184.0, 0.0368) == (ended.cost_credits, ended.cost_usd)
    assert "CA1234567890abcdef1234567890abcdef" == ended.call_sid
    assert ("Emergency appointment at 15:40", True) == (ended.title, ended.is_successful)
    assert ended.summary is not None
    assert ended.summary.startswith("Alex chipped a tooth")
    assert ended.has_failed is False


def test_a_turn_keeps_its_words_tools_and_time() -> None:
    turns = booking().transcript
    assert turns is not None
    assert [0, 5, 9, 10, 11, 15, 19, 22, 24] == [turn.timestamp for turn in turns]
    assert ("user", "Hello, I chipped a tooth. Can somebody see me today?") == (turns[1].role, turns[1].message)
    assert (True, "Doctor Lindqvist has three forty this afternoon. Shall I") == (
        turns[4].interrupted,
        turns[4].message,
    )
    call, result = (turns[2].tool_calls or [])[0], (turns[3].tool_results or [])[0]
    assert ("check_availability", "webhook", True) == (call.name, call.kind, call.was_called)
    assert (call.request_id, 0.318, False) == (result.request_id, result.latency, result.is_error)


def test_fields_that_nobody_knows_yet_are_kept() -> None:
    ended = booking(
        ("data.brand_new", {"a": 1}),
        ("data.metadata.newer", "b"),
        ("data.transcript.1.newest", "c"),
        ("data.analysis.fresh", "d"),
        ("data.transcript.2.tool_calls.0.recent", "e"),
    )
    assert ended.details
    assert ended.analysis
    assert ended.transcript
    assert {"a": 1} == ended.details["brand_new"]
    assert "b" == ended.details["metadata"]["newer"]
    assert "c" == (ended.transcript[1].more or {})["newest"]
    assert "d" == ended.analysis["fresh"]
    assert "e" == ((ended.transcript[2].tool_calls or [])[0].more or {})["recent"]


def test_older_payloads_have_everything_at_the_top() -> None:
    ended = said("post_call_transcription__inlined")
    assert ("14165550100", "+12362320246", 42.0) == (ended.caller, ended.called, ended.duration_s)
    assert 1747580590.0 == ended.started_at
    assert ["agent", "user"] == [turn.role for turn in ended.transcript]
    assert ended.analysis is None
    assert ended.summary is None


@pytest.mark.parametrize("data", [None, "", 1, [], True])
def test_data_that_is_no_object_is_as_good_as_missing(data: Any) -> None:
    content = {**payload("post_call_transcription__inlined"), "data": data}
    assert "+12362320246" == said(content).called


def test_the_seeds_own_example_is_understood() -> None:
    ended = said("post_call_transcription__older")
    assert ("+14165550100", "+12362320246", 42.0) == (ended.person, ended.ours, ended.duration_s)
    assert "Caller asked to update their shipping address." == ended.summary
    assert ended.started_at is None


@pytest.mark.parametrize(
    ("name", "channel", "direction", "person"),
    [
        ("post_call_transcription__outbound_sip", "phone", "outbound", "020 7946 0456"),
        ("post_call_transcription__widget", "web", None, None),
        ("post_call_transcription__whatsapp", "whatsapp", "inbound", "+14165550177"),
        ("post_call_transcription__sms", "sms", "outbound", "+14165550133"),
    ],
)
def test_every_channel_is_told_from_the_others(name: str, channel: str, direction: str, person: str) -> None:
    ended = said(name)
    assert (channel, direction, person) == (ended.channel, ended.direction, ended.person)


def test_a_conversation_that_failed_says_why() -> None:
    ended = said("post_call_transcription__failed")
    assert ended.has_failed is True
    assert ended.failure.startswith("Missing required dynamic variables")


def test_an_event_of_another_type_says_nothing() -> None:
    assert Other() == said("answering_machine_detection")


def test_a_recording_says_no_more_than_that_it_came() -> None:
    assert RecordingArrived(agent_id="agent_01jx5w8n2mf4tv6z3kq9e7rhyd") == said("post_call_audio")


def test_twilio_says_who_was_rung_and_that_the_line_was_busy() -> None:
    failed = said("call_initiation_failure__twilio_busy")
    assert ("busy", "outbound") == (failed.status, failed.direction)
    assert ("+12362320246", "+14165550155") == (failed.caller, failed.called)
    assert ("CAaaaabbbbccccddddeeeeffff00001111", 0.0) == (failed.call_sid, failed.duration_s)


def test_a_sip_trunk_says_who_was_rung_and_that_nobody_answered() -> None:
    failed = said("call_initiation_failure__sip_no_answer")
    assert ("no-answer", None) == (failed.status, failed.direction)
    assert ("+12362320246", "14165550166") == (failed.caller, failed.called)
    assert ("SCL_aB3dE5fG7hJ9", "Temporarily Unavailable") == (failed.call_sid, failed.failure)


def test_an_older_failure_says_at_least_that_it_failed() -> None:
    failed = said("call_initiation_failure__older")
    assert ("failed", "The carrier refused the call.") == (failed.status, failed.failure)


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ([("data.failure_reason", "no_answer")], "no-answer"),
        ([("data.failure_reason", "No Answer")], "no-answer"),
        ([("data.failure_reason", "BUSY")], "busy"),
        ([("data.failure_reason", "unknown")], "failed"),  # whatever the carrier says
        ([("data.failure_reason", "a word of tomorrow")], "failed"),
        ([("data.failure_reason", 7)], "failed"),
        ([("data.failure_reason", ...)], "busy"),  # the carrier says it
        ([("data.failure_reason", None), ("data.reason", "no-answer")], "no-answer"),
        ([("data.failure_reason", ...), ("data.metadata.body.CallStatus", ...)], "busy"),  # SIP 486
        ([("data.failure_reason", ...), ("data.metadata", None)], "failed"),
    ],
)
def test_a_failure_is_busy_no_answer_or_failed(changes: list[tuple[str, Any]], status: str) -> None:
    failed = said(payload("call_initiation_failure__twilio_busy", *changes))
    assert isinstance(failed, CallFailed)
    assert status == failed.status


# Drift


@pytest.mark.parametrize(
    ("path", "sent", "field", "read"),
    [
        ("data.metadata.start_time_unix_secs", "1763741042", "started_at", 1763741042.0),
        ("data.metadata.start_time_unix_secs", 1763741042.5, "started_at", 1763741042.5),
        ("data.metadata.call_duration_secs", "26", "duration_s", 26.0),
        ("data.metadata.cost", "184", "cost_credits", 184.0),
        ("data.metadata.phone_call.external_number", 14165550100, "person", "14165550100"),
        ("data.agent_name", 42, "agent_name", "42"),
        ("data.user_id", 4711, "user_id", "4711"),
        ("data.metadata.start_time_unix_secs", 1763741042500, "started_at", 1763741042.5),  # milliseconds
        ("data.metadata.start_time_unix_secs", "soon", "started_at", None),
        ("data.metadata.start_time_unix_secs", -5, "started_at", None),
        ("data.metadata.start_time_unix_secs", 1e300, "started_at", None),
        ("data.metadata.start_time_unix_secs", {"at": 1}, "started_at", None),
        ("data.metadata.call_duration_secs", -1, "duration_s", None),
        ("data.metadata.cost", [], "cost_credits", None),
        ("data.metadata.cost_fiat", "nan", "cost_usd", None),
        ("data.analysis", None, "summary", None),
        ("data.analysis", "good", "summary", None),
        ("data.analysis.call_successful", "unknown", "is_successful", None),
        ("data.analysis.call_successful", "failure", "is_successful", False),
        ("data.transcript", {"0": "hello"}, "transcript", None),
        ("data.transcript", [], "transcript", []),
        ("data.agent_id", False, "agent_id", None),
    ],
)
def test_a_field_of_another_kind_is_read_or_lost_alone(path: str, sent: Any, field: str, read: Any) -> None:
    ended, unchanged = booking((path, sent)), booking()
    assert read == getattr(ended, field)
    apart = {field, "details"} | ({"analysis", "title", "summary", "is_successful"} if "analysis" in path else set())
    others = [name for name in ended.__struct_fields__ if name not in apart]
    assert [getattr(unchanged, name) for name in others] == [getattr(ended, name) for name in others]


def test_a_turn_that_is_none_is_lost_alone() -> None:
    turns = booking(("data.transcript.0", "Hello"), ("data.transcript.1.message", ["a"])).transcript
    assert turns is not None
    assert 8 == len(turns)
    assert (5.0, None) == (turns[0].timestamp, turns[0].message)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def paths(content: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to everything in *content* but its type."""
    for step in content if isinstance(content, dict) else range(len(content)) if isinstance(content, list) else ():
        if way or step != "type":
            yield (*way, step)
            yield from paths(content[step], (*way, step))


@settings(max_examples=300)
@given(st.data())
def test_no_drift_anywhere_raises(data: st.DataObject) -> None:
    content = payload(data.draw(st.sampled_from(names())))
    for _ in range(data.draw(st.integers(1, 6))):
        *way, last = data.draw(st.sampled_from(list(paths(content)) or [("data",)]))
        place = content
        for step in way:
            place = place[step]
        place[last] = data.draw(JUNK)
    translated(content["type"], json.dumps(content).encode())


@given(JUNK)
def test_data_that_is_anything_at_all_does_not_raise(junk: Any) -> None:
    for type in payloads.EVENTS:
        translated(type, json.dumps({"type": type, "data": junk}).encode())


def test_every_json_that_is_valid_may_stand_in_an_unknown_field(corpora: Path) -> None:
    for path in sorted((corpora / "json").glob("y_*.json")):
        body = b'{"conversation_id": "conv_1", "novelty": ' + path.read_bytes() + b"}"
        assert isinstance(translated("post_call_transcription", body), CallEnded), path.name


def test_naughty_strings_come_through_unharmed(corpora: Path) -> None:
    naughty = json.loads((corpora / "strings" / "blns.json").read_text())
    turns = [{"role": "user", "message": line, "time_in_call_secs": 0} for line in naughty]
    ended = booking(("data.transcript", turns))
    assert ended.transcript is not None
    assert [line.replace("\x00", "") for line in naughty] == [turn.message for turn in ended.transcript]


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (rb"a\ud800b", "a\ufffdb"),
        (rb"a\udc00\ud800b", "a\ufffd\ufffdb"),
        (rb"\ud83d\ude00", "\U0001f600"),
        (rb"a\u0000b", "ab"),
        (rb"\\ud800", r"\ud800"),
        (rb"\\u0000", r"\u0000"),
    ],
)
def test_text_that_no_database_takes_is_mended_and_the_call_kept(text: bytes, read: str) -> None:
    body = b'{"transcript": [{"role": "user", "message": "' + text + b'", "time_in_call_secs": 1}]}'
    ended = translated("post_call_transcription", body)
    assert isinstance(ended, CallEnded)
    assert ended.transcript is not None
    assert read == ended.transcript[0].message


@pytest.mark.parametrize("number", [b"1e999", b"-1e999", b"9" * 30, b"9" * 5000, b"-" + b"9" * 5000, b"1E400"])
def test_a_number_beyond_all_bounds_costs_its_own_field(number: bytes) -> None:
    ended = translated("post_call_transcription", b'{"call_duration_secs": %b, "agent_id": "agent_1"}' % number)
    assert isinstance(ended, CallEnded)
    assert (None, "agent_1") == (ended.duration_s, ended.agent_id)
    assert msgspec.json.encode(ended.details)


def test_what_is_nested_too_deeply_for_anybody_is_left_out() -> None:
    deep = b'{"agent_id": "agent_1", "novelty": ' + b"[" * 300 + b"]" * 300 + b"}"
    ended = translated("post_call_transcription", deep)
    assert isinstance(ended, CallEnded)
    assert "agent_1" == ended.agent_id


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b'"text"', b"[]", b"null", b'{"a": NaN}', b'{"a": "\xff"}', b"[" * 100_000, b'{"a":' * 100_000],
    ids=lambda body: repr(body[:12]),
)
def test_what_is_no_json_object_is_unreadable_and_says_so(body: bytes) -> None:
    with pytest.raises(Unreadable) as refused:
        translated("post_call_transcription", body)
    assert refused.value.message.startswith("The body ")


def test_of_duplicate_keys_the_last_wins() -> None:
    ended = translated("post_call_transcription", b'{"agent_id": "first", "agent_id": "last"}')
    assert isinstance(ended, CallEnded)
    assert "last" == ended.agent_id
