"""What is known of a body before it is filed, whatever its shape; and what can be no body, in one sentence."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offhook.voice.elevenlabs.envelope import Envelope, audio_text, read_envelope
from offhook.voice.json_text import StringReader, Unreadable, mended

NOTHING = Envelope(
    type="",
    event_timestamp=None,
    conversation_id=None,
    agent_id=None,
    called_number=None,
    call_sid=None,
    has_audio_text=False,
)


def envelope(body: Any) -> Envelope:
    return read_envelope(body if isinstance(body, bytes) else json.dumps(body).encode())


def complaint(body: bytes) -> str:
    with pytest.raises(Unreadable) as refused:
        read_envelope(body)
    return str(refused.value)


# Shapes


def test_a_transcription_says_all_there_is_to_know() -> None:
    body = {
        "type": "post_call_transcription",
        "event_timestamp": 1747580641,
        "data": {
            "conversation_id": "conv_1",
            "agent_id": "agent_1",
            "transcript": [{"role": "agent", "message": "Hello"}],
            "metadata": {
                "phone_call": {
                    "direction": "inbound",
                    "agent_number": "+12362320246",
                    "external_number": "+14165550100",
                    "call_sid": "CA1",
                }
            },
        },
    }
    assert envelope(body) == Envelope(
        type="post_call_transcription",
        event_timestamp=1747580641.0,
        conversation_id="conv_1",
        agent_id="agent_1",
        called_number="+12362320246",
        call_sid="CA1",
        has_audio_text=False,
    )


def test_older_payloads_say_it_at_the_top_level() -> None:
    body = {
        "type": "post_call_transcription",
        "event_timestamp": 1747580641,
        "conversation_id": "conv_1",
        "agent_id": "agent_1",
        "call_sid": "CA1",
        "metadata": {"called_id": "+12362320246"},
    }
    read = envelope(body)
    assert ("conv_1", "agent_1", "CA1") == (read.conversation_id, read.agent_id, read.call_sid)
    assert "+12362320246" == read.called_number


def test_data_is_believed_before_the_top_level_field_by_field() -> None:
    read = envelope(
        {"conversation_id": "top", "agent_id": "top", "data": {"conversation_id": "data", "agent_id": None}}
    )
    assert ("data", "top") == (read.conversation_id, read.agent_id)


@pytest.mark.parametrize("data", [None, [], ["x"], "text", "", 1, 1.5, True, False, 10**30])
def test_data_that_is_no_object_hides_nothing(data: Any) -> None:
    assert "conv_1" == envelope({"data": data, "conversation_id": "conv_1"}).conversation_id


def test_an_empty_object_says_nothing() -> None:
    assert envelope({}) == NOTHING


def test_of_duplicate_keys_the_last_wins() -> None:
    read = envelope(b'{"type":"a","data":{"agent_id":"1"},"type":"b","data":{"agent_id":"2","agent_id":"3"}}')
    assert ("b", "3") == (read.type, read.agent_id)


def test_the_last_data_wins_even_when_it_is_no_object() -> None:
    assert envelope(b'{"data":{"agent_id":"1"},"data":[]}').agent_id is None


def test_keys_may_be_escaped() -> None:
    assert "a" == envelope(b'{"\\u0064ata":{"agent\\u005fid":"a"}}').agent_id


@pytest.mark.parametrize("kind", ["", None, 5, True, [], {}, ["post_call_audio"]])
def test_a_type_that_is_no_text_is_none(kind: Any) -> None:
    assert "" == envelope({"type": kind}).type


def test_a_type_is_the_senders_word_with_what_no_database_takes_left_out() -> None:
    assert "post_call\ufffd_audio " == envelope({"type": "post\0_call\ud800_audio "}).type


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("conv_1", "conv_1"),
        (123, "123"),
        (-5, "-5"),
        (10**25, "1" + "0" * 25),
        (123.0, "123"),
        (1.5, "1.5"),
        ("", None),
        (None, None),
        (True, None),
        ([], None),
        ({}, None),
        ({"id": 1}, None),
        ("x" * 4096, "x" * 4096),
        ("x" * 4097, None),
        ("a\0b", "ab"),
        ("\0", None),
        ("Grüße", "Grüße"),
        ("😀", "😀"),
        ("\ud800", "\ufffd"),
        ("a\udfffb\ud83d", "a\ufffdb\ufffd"),
    ],
)
def test_ids_come_as_texts_and_numbers(sent: Any, read: str | None) -> None:
    assert read == envelope({"data": {"conversation_id": sent}}).conversation_id
    assert read == envelope({"conversation_id": sent}).conversation_id


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (1747580641, 1747580641.0),
        (1747580641.25, 1747580641.25),
        ("1747580641", 1747580641.0),
        (" 1747580641.5 ", 1747580641.5),
        (1747580641123, 1747580641.123),
        ("1747580641123", 1747580641.123),
        (1, 1.0),
        (99_999_999_999, 99_999_999_999.0),
        (10**11, 10**8),
        (0, None),
        ("0", None),
        (-1, None),
        ("-1", None),
        (10**14, None),
        (1e300, None),
        (10**400, None),
        (True, None),
        (None, None),
        ("", None),
        ("soon", None),
        ("NaN", None),
        ("inf", None),
        ("1e9", None),
        ("1_000", None),
        ("١٧٤٧٥٨٠٦٤١", None),
        ("2025-05-18T15:04:01Z", None),
        ("1" * 500, None),
        ([1747580641], None),
        ({"seconds": 1747580641}, None),
    ],
)
def test_a_moment_is_unix_seconds_or_nothing(sent: Any, read: float | None) -> None:
    assert read == envelope({"event_timestamp": sent}).event_timestamp


def test_a_number_that_nothing_can_hold_costs_no_more_than_itself() -> None:
    read = envelope(b'{"event_timestamp":1e999,"agent_id":-1e999,"conversation_id":"conv_1","cost":1e999}')
    assert (None, None, "conv_1") == (read.event_timestamp, read.agent_id, read.conversation_id)


def test_a_moment_inside_data_counts_when_there_is_none_outside() -> None:
    assert 5.0 == envelope({"data": {"event_timestamp": 5}}).event_timestamp
    assert 6.0 == envelope({"event_timestamp": 6, "data": {"event_timestamp": 5}}).event_timestamp


# Whose number


def called(data: dict[str, Any], **top: Any) -> str | None:
    return envelope({"data": data, **top}).called_number


OURS, THEIRS = "+12362320246", "+14165550100"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param({"metadata": {"phone_call": {"agent_number": OURS, "external_number": THEIRS}}}, id="phone call"),
        pytest.param({"metadata": {"phone_call": {"agent_number": 12362320246}}}, id="phone call, as a number"),
        pytest.param({"metadata": {"phone_call": {"agent_number": "(236) 232-0246"}}}, id="national"),
        pytest.param({"metadata": {"phone_call": {"agent_number": "x"}, "called_id": OURS}}, id="no number, then one"),
        pytest.param({"metadata": {"caller_id": THEIRS, "called_id": OURS}}, id="caller and called"),
        pytest.param({"metadata": {"called_number": OURS}}, id="called number"),
        pytest.param(
            {"metadata": {"phone_call": {"direction": "outbound"}, "caller_id": OURS, "called_id": THEIRS}},
            id="outbound, caller and called",
        ),
        pytest.param({"direction": "outbound", "caller_id": OURS, "called_id": THEIRS}, id="outbound, in data"),
        pytest.param({"caller_id": THEIRS, "called_id": OURS}, id="in data"),
        pytest.param({"agent_number": OURS}, id="agent's number in data"),
        pytest.param(
            {"metadata": {"type": "twilio", "body": {"From": OURS, "To": THEIRS, "Direction": "outbound-api"}}},
            id="twilio outbound",
        ),
        pytest.param({"metadata": {"body": {"From": OURS, "To": THEIRS}}}, id="twilio without a direction"),
        pytest.param({"metadata": {"body": {"From": THEIRS, "To": OURS, "Direction": "inbound"}}}, id="twilio inbound"),
        pytest.param({"metadata": {"body": {"from_number": OURS, "to_number": THEIRS}}}, id="sip"),
        pytest.param({"metadata": {"body": {"from_number": 12362320246}}}, id="sip, as a number"),
        pytest.param(
            {"metadata": {"body": {"direction": "inbound", "from_number": THEIRS, "to_number": OURS}}}, id="sip inbound"
        ),
        pytest.param({"metadata": {"body": {"from_number": f"sip:{OURS}@example.com"}}}, id="sip address"),
    ],
)
def test_the_called_number_is_ours_whichever_way_the_call_went(data: dict[str, Any]) -> None:
    assert OURS == called(data)
    assert OURS == envelope(data).called_number


def test_a_number_at_the_top_level_is_found_beside_data() -> None:
    assert OURS == called({"conversation_id": "conv_1"}, called_number=OURS)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"metadata": None},
        {"metadata": []},
        {"metadata": {"phone_call": None, "body": "x"}},
        {"called_id": "anonymous"},
    ],
)
def test_without_a_readable_number_there_is_none(data: dict[str, Any]) -> None:
    assert called(data) is None


@pytest.mark.parametrize(
    "data",
    [
        {"metadata": {"phone_call": {"call_sid": "CA1"}}},
        {"metadata": {"body": {"CallSid": "CA1"}}},
        {"metadata": {"body": {"call_sid": "CA1"}}},
        {"call_sid": "CA1"},
    ],
)
def test_the_carriers_id_is_found_wherever_it_stands(data: dict[str, Any]) -> None:
    assert "CA1" == envelope({"data": data}).call_sid
    assert "CA1" == envelope(data).call_sid


# The recording's text


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"data":{"full_audio":"QUJD"}}', b"QUJD"),
        (b'{"data":{"full_audio":"QU\\/D\\n"}}', b"QU\\/D\\n"),
        (b'{"full_audio":"QUJD"}', b"QUJD"),
        (b'{"data":null,"full_audio":"QUJD"}', b"QUJD"),
        (b'{"full_audio":"top","data":{"full_audio":"data"}}', b"data"),
        (b'{"full_audio":"top","data":{}}', b""),
        (b'{"full_audio":"top","data":{"full_audio":null}}', b""),
        (b'{"full_audio":"top","data":[]}', b""),
        (b'{"full_audio":"top","data":"x"}', b""),
        (b'{"data":{"full_audio":""}}', b""),
        (b'{"data":{"full_audio":null}}', b""),
        (b'{"data":{"full_audio":5}}', b""),
        (b'{"data":{"full_audio":["QUJD"]}}', b""),
        (b'{"data":{"full_audio":{"full_audio":"QUJD"}}}', b""),
        (b'{"data":{"metadata":{"full_audio":"QUJD"}}}', b""),
        (b'{"data":{"data":{"full_audio":"QUJD"}}}', b""),
        (b'{"data":{"note":"\\"full_audio\\":\\"QUJD\\""}}', b""),
        (b'{"data":{"Full_Audio":"QUJD"}}', b""),
        (b'{"data":{"full_audio":"one","full_audio":"two"}}', b"two"),
        (b'{"data":{"full_audio":"one"},"data":{}}', b""),
        (b'{"data":{"full_audio":"one","full_audio":null}}', b""),
        (b'{"d\\u0061ta":{"full\\u005faudio":"QUJD"}}', b"QUJD"),
        (b' { "data" : { "full_audio" : "QUJD" } } ', b"QUJD"),
    ],
)
def test_the_recording_is_the_full_audio_of_data_or_of_the_top_level_without_data(body: bytes, text: bytes) -> None:
    assert text == audio_text(body)
    assert (text != b"") == read_envelope(body).has_audio_text


# What is no body


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "The body is empty."),
        (b'{"type":"a"', "The body ends in the middle of its JSON."),
        (b"[]", "The body is not a JSON object."),
        (b"null", "The body is not a JSON object."),
        (b'"text"', "The body is not a JSON object."),
        (b"5", "The body is not a JSON object."),
        (b"\xef\xbb\xbf{}", "The body begins with a byte order mark, which JSON does not allow."),
        (b"\x1f\x8b\x08\x00\x00", "The body is compressed (gzip); send it as it is."),
        (b'{"a":"\xff"}', "The body is not UTF-8 (byte 6)."),
        (b'{"a":"\xed\xa0\x80"}', "The body is not UTF-8 (byte 6)."),
        (b'{"a":"\xc0\xaf"}', "The body is not UTF-8 (byte 6)."),
        (b'{"a":NaN}', "The body is not JSON: invalid character (byte 5)."),
        (b'{"a":Infinity}', "The body is not JSON: invalid character (byte 5)."),
        (b'{"a":1} x', "The body goes on behind the end of its JSON."),
        (b'{"a":1}{"b":2}', "The body goes on behind the end of its JSON."),
        (b"1e999", "The body holds a number that is out of range."),
        (b"a=1&b=2", "The body is not JSON: invalid character (byte 0)."),
    ],
)
def test_what_is_no_body_is_told_in_one_sentence(body: bytes, sentence: str) -> None:
    assert sentence == complaint(body)


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"data":', b"}"), (b"[", b""), (b'{"a":[', b"]}")])
def test_endless_nesting_is_told_too(opening: bytes, closing: bytes) -> None:
    body = b'{"a":%b1%b}' % (opening * 100_000, closing * 100_000)
    assert "The body is nested too deeply to be read." == complaint(body)


@settings(max_examples=200)
@given(st.binary(max_size=64) | st.text(alphabet='{}[]":,\\u0d8a1e.-tfn \n', max_size=64).map(str.encode))
def test_rubbish_is_an_envelope_or_a_sentence(body: bytes) -> None:
    if not is_readable(body):
        assert complaint(body).endswith(".")


ANYTHING = st.sampled_from((None, True, 0, -1, 1e300, 10**30, "", "x", "+12362320246", "\ud800", [], {}, [1], {"x": 1}))
NAMES = st.sampled_from(
    (
        "type",
        "event_timestamp",
        "data",
        "conversation_id",
        "agent_id",
        "full_audio",
        "metadata",
        "phone_call",
        "body",
        "From",
    )
)


OBJECTS = st.dictionaries(NAMES, ANYTHING, max_size=4)


@settings(max_examples=200)
@given(st.dictionaries(NAMES, ANYTHING | OBJECTS | st.dictionaries(NAMES, ANYTHING | OBJECTS, max_size=4), max_size=6))
def test_no_shape_is_unreadable(body: dict[str, Any]) -> None:
    assert isinstance(envelope(body), Envelope)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(NAMES, ANYTHING | OBJECTS, max_size=6))
def test_a_long_body_says_what_a_short_one_says(body: dict[str, Any]) -> None:
    short = json.dumps(body).encode()
    assert read_envelope(short) == read_envelope(short + b" " * 300_000)


# Corpora


def test_what_must_parse_parses_and_what_must_not_does_not(corpora: Path) -> None:
    read: dict[str, set[bool]] = {"y": set(), "n": set()}
    for file in sorted((corpora / "json").glob("*.json")):
        verdict = is_readable(b'{"field":%b}' % file.read_bytes())
        assert ("y" == file.name[0]) == verdict, file.name
        read[file.name[0]].add(verdict)
    assert {"y": {True}, "n": {False}} == read


def test_no_document_that_must_not_parse_is_accepted_as_a_body(corpora: Path) -> None:
    accepted = [file.name for file in (corpora / "json").glob("n_*.json") if is_readable(file.read_bytes())]
    assert [] == accepted


def test_documents_that_must_parse_are_bodies_when_they_are_objects(corpora: Path) -> None:
    for file in (corpora / "json").glob("y_*.json"):
        assert isinstance(json.loads(file.read_bytes()), dict) == is_readable(file.read_bytes()), file.name


def test_invalid_utf8_is_never_accepted_and_valid_always(corpora: Path) -> None:
    judged = 0
    for line in (corpora / "utf8" / "utf8tests.bin").read_bytes().splitlines():
        number, _, rest = line.partition(b":")
        verdict, _, text = rest.partition(b":")
        if verdict not in (b"valid", b"invalid") or any(byte < 0x20 or byte in b'"\\' for byte in text):
            continue
        assert (verdict == b"valid") == is_readable(b'{"field":"%b"}' % text), number
        judged += 1
    assert judged > 80


def test_naughty_strings_come_through_as_they_are(corpora: Path) -> None:
    for text in json.loads((corpora / "strings" / "blns.json").read_bytes()):
        assert (text.replace("\0", "") or None) == envelope({"conversation_id": text}).conversation_id


def is_readable(body: bytes) -> bool:
    try:
        read_envelope(body)
    except Unreadable:
        return False
    return True


# JSON text


@pytest.mark.parametrize(
    ("sent", "cured"),
    [
        (rb'"\ud800"', rb'"\ufffd"'),
        (rb'"\uDFFF"', rb'"\ufffd"'),
        (rb'"\ud83d\ude00"', rb'"\ud83d\ude00"'),
        (rb'"\ud83d\ud83d\ude00"', rb'"\ufffd\ud83d\ude00"'),
        (rb'"\ude00\ud83d"', rb'"\ufffd\ufffd"'),
        (rb'"\ud83d\u0041"', rb'"\ufffd\u0041"'),
        (rb'"\\ud800"', rb'"\\ud800"'),
        (rb'"\\\ud800"', rb'"\\\ufffd"'),
        (rb'"\u00e9"', rb'"\u00e9"'),
    ],
)
def test_lone_surrogates_are_replaced_and_nothing_else_moves(sent: bytes, cured: bytes) -> None:
    assert cured == mended(sent)


def in_pieces(text: bytes, cut: Callable[[int], int]) -> list[bytes]:
    places = sorted({0, len(text), *(cut(number) % (len(text) + 1) for number in range(5))})
    return [text[begin:end] for begin, end in itertools.pairwise(places)]


@settings(max_examples=200)
@given(st.text(), st.booleans(), st.randoms(use_true_random=False))
def test_a_string_says_the_same_in_whatever_pieces_it_comes(text: str, is_ascii: bool, chance: Any) -> None:
    raw = json.dumps(text, ensure_ascii=is_ascii).encode()[1:-1]
    reader = StringReader()
    pieces = [reader.feed(piece) for piece in in_pieces(raw, lambda _: chance.randrange(10_000))]
    said = b"".join((*pieces, reader.finish())).decode()
    if any(ord(character) > 0xFFFF for character in text) and is_ascii:
        said, text = (word.replace("\ufffd\ufffd", "\ufffd") for word in (said, text))  # a pair may be cut in two
        assert len(said) >= len(text)
    else:
        assert text == said


@settings(max_examples=200)
@given(st.binary(max_size=24).filter(lambda raw: b'"' not in raw), st.randoms(use_true_random=False))
def test_what_json_does_not_allow_in_a_string_is_noticed_in_whatever_pieces_it_comes(raw: bytes, chance: Any) -> None:
    try:
        msgspec.json.decode(mended(b'"%b"' % raw), type=str)
        is_legal = True
    except (msgspec.DecodeError, UnicodeDecodeError):
        is_legal = False
    reader = StringReader()
    try:
        for piece in in_pieces(raw, lambda _: chance.randrange(10_000)):
            reader.feed(piece)
        reader.finish()
        assert is_legal
    except Unreadable:
        assert not is_legal
