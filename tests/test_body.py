"""A body comes in whole: its recording is decoded to a file, the rest stays, and together they give it back byte for byte.

The oracle for what the recording is, is the standard library's JSON: nothing here reads it with what it tests.
"""

import base64
import errno
import hashlib
import itertools
import json
import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offhook.drafts import INCOMING
from offhook.errors import Damaged
from offhook.sealing import KeyRing
from offhook.voice import long_strings
from offhook.voice.base64_text import ForgivingDecoder, Undecodable, without_data_url
from offhook.voice.body import Body, Intake
from offhook.voice.elevenlabs.envelope import FULL_AUDIO, read_envelope
from offhook.voice.json_text import Unreadable
from offhook.voice.parts import Folders, rebuild

LIMIT_BYTES = 16 << 20
MIB = 1 << 20


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path / "recordings", tmp_path / "bodies", KeyRing([b"k" * 32]))


@pytest.fixture
def short_strings_are_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that depends on the length of strings happens at lengths that a test can try by the thousand."""
    monkeypatch.setattr(long_strings, "LONG_BYTES", 64)
    monkeypatch.setattr(long_strings, "_STEP_BYTES", 1)
    monkeypatch.setattr(long_strings, "_PIECE_BYTES", 16)
    monkeypatch.setattr(long_strings, "_LONGEST_STAYING_BYTES", 96)


def in_pieces(content: bytes, size: int) -> list[bytes]:
    return [content[begin : begin + size] for begin in range(0, len(content), size)]


def taken(folders: Folders, pieces: Sequence[bytes], limit_bytes: int = LIMIT_BYTES) -> tuple[Intake, Body]:
    intake = Intake(folders, limit_bytes, FULL_AUDIO)
    for piece in pieces:
        intake.feed(piece)
    return intake, intake.finish()


def kept(folders: Folders, *pieces: bytes, limit_bytes: int = LIMIT_BYTES) -> Body:
    intake, body = taken(folders, pieces, limit_bytes)
    assert b"".join(pieces) == b"".join(intake.raw_pieces())
    intake.keep()
    assert b"".join(pieces) == b"".join(rebuild(body.inline, body.parts, folders))
    assert hashlib.sha256(b"".join(pieces)).hexdigest() == body.sha256
    assert len(b"".join(pieces)) == body.size_bytes
    return body


def recording(folders: Folders, body: Body) -> bytes | None:
    if body.audio is None:
        return None
    content = (folders.recordings / body.audio.file).read_bytes()
    assert len(content) == body.audio.size_bytes
    assert hashlib.sha256(content).hexdigest() == body.audio.sha256
    return content


def files(folders: Folders) -> list[Path]:
    return [path for folder in folders[:2] for path in folder.rglob("*") if path.is_file()]


def audio_event(mp3: bytes, **more: Any) -> bytes:
    data = {"agent_id": "agent_1", "conversation_id": "conv_1", "full_audio": base64.b64encode(mp3).decode(), **more}
    return json.dumps({"type": "post_call_audio", "event_timestamp": 1747580641, "data": data}).encode()


# Small bodies


def test_a_body_without_a_recording_stays_whole_and_touches_no_disk(folders: Folders) -> None:
    event = b'{"type":"post_call_transcription","data":{"conversation_id":"conv_1"}}'
    intake, body = taken(folders, [event])
    assert Body(event, (), None, hashlib.sha256(event).hexdigest(), len(event), False) == body
    assert not intake.has_files
    intake.keep()
    assert [] == files(folders)


def test_a_recording_lies_decoded_in_a_file_and_leaves_an_empty_string(folders: Folders) -> None:
    body = kept(folders, b'{"data":{"full_audio":"QUJD","agent_id":"a"}}')
    assert b'{"data":{"full_audio":"","agent_id":"a"}}' == body.inline
    assert b"ABC" == recording(folders, body)
    assert [("base64", 23, 3)] == [(part.encoding, part.offset, part.size_bytes) for part in body.parts]
    assert 1 == len(files(folders))


def test_what_stays_is_an_envelope_like_before(folders: Folders) -> None:
    body = kept(folders, audio_event(b"ID3" * 1000))
    assert ("agent_1", "conv_1", False) == (
        (read := read_envelope(body.inline)).agent_id,
        read.conversation_id,
        read.has_audio_text,
    )


@pytest.mark.parametrize(
    "event",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b'{"data":{"full_audio":""}}',
        b'{"data":{"full_audio":null}}',
        b'{"data":{"full_audio":5}}',
        b'{"data":{"full_audio":["QUJD"]}}',
        b'{"data":{"full_audio":" "}}',
        b'{"data":{"full_audio":"data:audio/mpeg;base64,"}}',
        b'{"data":{},"full_audio":"QUJD"}',
        b'{"data":{"metadata":{"full_audio":"QUJD"}}}',
        b'{"data":{"full_audio":"QUJD","full_audio":null}}',
        b'{"data":{"full_audio":"QUJD"},"data":{}}',
        b'{"data":{"full_audio":"QUJD"}',
        b'{"data":{"full_audio":"QUJD"}} x',
        b'{"data":{"full_audio":"QU\nJD"}}',
        b'{"data":{"full_audio":"QUJD\xff"}}',
        b'{"data":{"full_audio":"QUJD\\x"}}',
        b'{"data":{"full_audio":"QUJD',
        b"not JSON, but it says full_audio",
        b'{"data":{"note":"full_audio"}}',
    ],
)
def test_a_body_that_has_no_recording_or_cannot_be_read_stays_as_it_is(folders: Folders, event: bytes) -> None:
    body = kept(folders, event)
    assert (event, (), None) == (body.inline, body.parts, body.audio)
    assert [] == files(folders)


@pytest.mark.parametrize(
    ("event", "inline"),
    [
        (b'{"full_audio":"QUJD"}', b'{"full_audio":""}'),
        (b'{"data":null,"full_audio":"QUJD"}', b'{"data":null,"full_audio":""}'),
        (b'{"d\\u0061ta":{"full\\u005faudio":"QUJD"}}', b'{"d\\u0061ta":{"full\\u005faudio":""}}'),
        (
            b'{"\\u0064\\u0061\\u0074\\u0061":{"full_audio":"QUJD"}}',
            b'{"\\u0064\\u0061\\u0074\\u0061":{"full_audio":""}}',
        ),
        (b'{"data":{"\\u0066ull_audio":"QUJD"}}', b'{"data":{"\\u0066ull_audio":""}}'),
        (b'{"data":{"full_audi\\u006f":"QUJD"}}', b'{"data":{"full_audi\\u006f":""}}'),
        (b'{"data":{"full_aud\\u0069\\u006F":"QUJD"}}', b'{"data":{"full_aud\\u0069\\u006F":""}}'),
        (b'{"a":"QUJD","data":{"b":"QUJD","full_audio":"QUJD","c":"QUJD"}}',) * 1
        + (b'{"a":"QUJD","data":{"b":"QUJD","full_audio":"","c":"QUJD"}}',),
        (b'{"data":{"QUJD":{"QUJD" : 1},"full_audio":"QUJD"}}', b'{"data":{"QUJD":{"QUJD" : 1},"full_audio":""}}'),
        (b'{"data":{"a":"\\"QUJD","full_audio" : "QUJD" }}', b'{"data":{"a":"\\"QUJD","full_audio" : "" }}'),
        (b'{"data":{"full_audio":"QUJB","full_audio":"QUJD"}}', b'{"data":{"full_audio":"QUJB","full_audio":""}}'),
        (b'{"data":{"full_audio":"QUJD","full_audio":"QUJD"}}', b'{"data":{"full_audio":"QUJD","full_audio":""}}'),
        (b'{"data":{"full_audio":"QUJD"},"data":{"full_audio":"QUJD"}}',) * 1
        + (b'{"data":{"full_audio":"QUJD"},"data":{"full_audio":""}}',),
        (b'{"full_audio":"QUJD","data":{"full_audio":"QUJD"}}', b'{"full_audio":"QUJD","data":{"full_audio":""}}'),
        (b'{"a":"\\ud800","data":{"full_audio":"QUJD"}}', b'{"a":"\\ud800","data":{"full_audio":""}}'),
    ],
)
def test_the_recording_is_found_where_it_stands_and_nowhere_else(folders: Folders, event: bytes, inline: bytes) -> None:
    body = kept(folders, event)
    assert inline == body.inline
    assert b"ABC" == recording(folders, body)


def test_a_recording_whose_text_is_a_key_is_found(folders: Folders) -> None:
    body = kept(folders, b'{"data":{"full_audio":"full_audio"}}')
    assert b'{"data":{"full_audio":""}}' == body.inline
    body = kept(folders, b'{"data":{"full_audio":"data"}}')
    assert base64.b64decode("data") == recording(folders, body)


# Texts of recordings


@pytest.mark.parametrize(
    ("text", "decoded"),
    [
        (r"QUJD", b"ABC"),
        (r"QUJDRA==", b"ABCD"),
        (r"QUJDRA", b"ABCD"),
        (r"QUJDRA=\n=\n", b"ABCD"),
        (r"QUJDRB==", b"ABCD"),
        (r"QUJD\n", b"ABC"),
        (r"QUJD\r\nQUJD\r\n", b"ABCABC"),
        (r" Q U J D ", b"ABC"),
        (r"\t\fQUJD", b"ABC"),
        (r"\u0051UJ\u0044", b"ABC"),
        (r"\/\/\/\/", b"\xff\xff\xff"),
        ("____", b"\xff\xff\xff"),
        ("----", b"\xfb\xef\xbe"),
        ("++--//__", b"\xfb\xef\xbe\xff\xff\xff"),
        ("data:audio/mpeg;base64,QUJD", b"ABC"),
        (r"data:audio\/mpeg;base64,QUJD", b"ABC"),
        (r"\n DATA:audio/mpeg;charset=x;BASE64,QUJD", b"ABC"),
        ("data:;base64,QUJDRA", b"ABCD"),
        ("data:;base64,data", base64.b64decode("data")),
        ("dataQUJD", base64.b64decode("dataQUJD")),
    ],
)
def test_base64_is_decoded_forgivingly(folders: Folders, text: str, decoded: bytes) -> None:
    body = kept(folders, b'{"data":{"full_audio":"%b"}}' % text.encode())
    assert decoded == recording(folders, body)
    assert body.audio is not None
    assert body.audio.is_decoded
    assert b'{"data":{"full_audio":""}}' == body.inline


@pytest.mark.parametrize(
    "text",
    [
        "Q",
        "QUJDQ",
        "QUJDR===",
        "QUJDRA=",
        "QUJD=",
        "QUJD====",
        "QU=JD",
        "QUJDRA==QUJD",
        "QU.JD",
        r"QUJD\u0000",
        r"QUJD\ud800",
        r"\ud83d\ude00",
        "Grüße",
        "data:audio/mpeg,QUJD",
        "data:audio/mpeg;base64",
        "QUJDdata:;base64,QUJD",
        r"say \"cheese\"",
        r"\\",
        "=",
    ],
)
def test_what_cannot_be_decoded_is_kept_as_it_came(folders: Folders, text: str) -> None:
    body = kept(folders, b'{"data":{"full_audio":"%b"}}' % text.encode())
    assert text.encode() == recording(folders, body)
    assert body.audio is not None
    assert not body.audio.is_decoded
    assert body.audio.duration_s is None


def test_text_that_encoding_would_give_back_is_stored_once(folders: Folders) -> None:
    body = kept(folders, audio_event(os.urandom(10_001)))
    assert ["base64"] == [part.encoding for part in body.parts]
    assert 1 == len(files(folders))


def test_only_what_encoding_would_not_give_back_is_stored_twice_and_sealed(folders: Folders) -> None:
    text = base64.b64encode(b"ABCD" * 300_001).rstrip(b"=")
    body = kept(folders, *in_pieces(b'{"data":{"full_audio":"%b"}}' % text, 100_000))
    assert ["base64", "raw"] == [part.encoding for part in body.parts]
    head, tail = body.parts
    assert body.audio is not None
    assert head.file == body.audio.file
    assert tail.size_bytes < 4
    assert text[-tail.size_bytes :] not in (folders.bodies / tail.file).read_bytes()
    assert b"ABCD" * 300_001 == recording(folders, body)


def test_the_duration_of_an_mp3_is_told(folders: Folders, corpora: Path) -> None:
    mp3 = (corpora / "mp3" / "speech_64k.mp3").read_bytes()
    body = kept(folders, audio_event(mp3))
    assert mp3 == recording(folders, body)
    assert body.audio is not None
    assert 6.77 == pytest.approx(body.audio.duration_s, abs=0.01)


def test_the_vectors_of_the_web_platform_are_decoded_as_browsers_do(corpora: Path) -> None:
    for text, expected in json.loads((corpora / "base64" / "base64.json").read_bytes()):
        wanted = None if expected is None else bytes(expected)
        assert wanted == decoded_in_pieces(in_pieces(text.encode("utf-8", "surrogatepass"), 1)), text
        assert wanted == decoded_in_pieces([text.encode("utf-8", "surrogatepass")]), text


def test_the_vectors_become_recordings_or_are_kept_as_they_came(folders: Folders, corpora: Path) -> None:
    for text, expected in json.loads((corpora / "base64" / "base64.json").read_bytes()):
        if not expected and expected is not None:
            continue
        body = kept(folders, json.dumps({"data": {"full_audio": text}}).encode())
        assert body.audio is not None
        assert (expected is not None) == body.audio.is_decoded, text
        wanted = json.dumps(text)[1:-1].encode() if expected is None else bytes(expected)
        assert wanted == recording(folders, body), text


def decoded_in_pieces(pieces: Sequence[bytes]) -> bytes | None:
    decoder = ForgivingDecoder()
    try:
        return b"".join([*[decoder.feed(piece) for piece in pieces], decoder.finish()])
    except Undecodable:
        return None


def plainly_decoded(text: bytes) -> bytes | None:
    """Forgiving base64 by the letter of the standard, with the URL-safe alphabet."""
    text = text.translate(bytes.maketrans(b"-_", b"+/"), b" \t\n\f\r")
    if len(text) % 4 == 0:
        text = text[:-2] + text[-2:].rstrip(b"=") if text.endswith(b"=") else text
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    if len(text) % 4 == 1 or text.strip(alphabet):
        return None
    return base64.b64decode(text + b"=" * (-len(text) % 4)) if not text.translate(None, alphabet) else None


@settings(max_examples=300)
@given(st.text("AQ/+-_= \n.", max_size=14).map(str.encode), st.integers(1, 5))
def test_base64_in_pieces_is_decoded_by_the_letter_of_the_standard(text: bytes, size: int) -> None:
    assert plainly_decoded(text) == decoded_in_pieces(in_pieces(text, size))


def test_a_prefix_that_never_ends_is_none() -> None:
    text = b"data:" + b"x" * 2000 + b";base64,QUJD"
    assert text == without_data_url(text)


# Large bodies


def test_a_large_recording_flows_to_disk(folders: Folders) -> None:
    mp3 = os.urandom(3 * MIB + 1)
    body = kept(folders, *in_pieces(audio_event(mp3), 256 * 1024))
    assert mp3 == recording(folders, body)
    assert len(body.inline) < 200
    assert 1 == len(files(folders))


@pytest.mark.parametrize("size", [1000, 64 * 1024 + 1, 256 * 1024, 1 << 20, 1 << 30])
def test_a_large_recording_is_the_same_in_whatever_pieces_it_comes(folders: Folders, size: int) -> None:
    mp3 = random.Random(1).randbytes(2 * MIB)
    event = audio_event(mp3, note='a "quoted" \\ word', transcript=[{"message": "hello " * 10} for _ in range(300)])
    body = kept(folders, *in_pieces(event, size))
    assert mp3 == recording(folders, body)
    assert json.loads(event) | {"data": json.loads(event)["data"] | {"full_audio": ""}} == json.loads(body.inline)


@pytest.mark.parametrize("line_end", [rb"\n", rb"\r\n"])
def test_a_large_recording_with_line_ends_is_decoded(folders: Folders, line_end: bytes) -> None:
    mp3 = os.urandom(MIB)
    text = line_end.join(in_pieces(base64.b64encode(mp3), 76))
    body = kept(folders, *in_pieces(b'{"data":{"full_audio":"%b"}}' % text, 65_537))
    assert mp3 == recording(folders, body)


def test_a_large_recording_with_escaped_slashes_is_decoded(folders: Folders) -> None:
    mp3 = os.urandom(MIB)
    event = b'{"full_audio":"%b"}' % base64.b64encode(mp3).replace(b"/", rb"\/")
    assert mp3 == recording(folders, kept(folders, *in_pieces(event, 65_537)))


def test_a_large_recording_behind_a_data_prefix_is_decoded(folders: Folders) -> None:
    mp3 = os.urandom(MIB)
    event = b'{"full_audio":"data:audio/mpeg;base64,%b"}' % base64.b64encode(mp3)
    assert mp3 == recording(folders, kept(folders, *in_pieces(event, 65_537)))


def test_a_large_text_that_is_no_base64_is_kept_as_it_came(folders: Folders) -> None:
    text = base64.b64encode(os.urandom(MIB)) + b"!" + base64.b64encode(os.urandom(MIB))
    body = kept(folders, *in_pieces(b'{"full_audio":"%b"}' % text, 65_537))
    assert body.audio is not None
    assert not body.audio.is_decoded
    assert text == recording(folders, body)


def test_other_long_strings_are_put_back(folders: Folders) -> None:
    summary, mp3 = "A long word. " * 100_000, os.urandom(MIB)
    event = audio_event(mp3, analysis={"transcript_summary": summary, "base64": base64.b64encode(bytes(MIB)).decode()})
    body = kept(folders, *in_pieces(event, 256 * 1024))
    assert mp3 == recording(folders, body)
    assert summary == json.loads(body.inline)["data"]["analysis"]["transcript_summary"]
    assert 1 == len(body.parts)
    assert 1 == len(files(folders))


def test_a_long_transcript_without_a_recording_stays_whole(folders: Folders) -> None:
    event = json.dumps({"data": {"transcript": [{"message": f"turn {n}"} for n in range(100_000)], "note": "x" * MIB}})
    body = kept(folders, *in_pieces(event.encode(), 256 * 1024))
    assert event.encode() == body.inline
    assert [] == files(folders)


def test_of_two_long_recordings_the_last_counts_and_the_first_is_put_back(folders: Folders) -> None:
    first, last = base64.b64encode(os.urandom(MIB)), os.urandom(MIB)
    event = b'{"data":{"full_audio":"%b","full_audio":"%b"}}' % (first, base64.b64encode(last))
    body = kept(folders, *in_pieces(event, 256 * 1024))
    assert last == recording(folders, body)
    assert b'{"data":{"full_audio":"%b","full_audio":""}}' % first == body.inline


def test_a_long_recording_at_the_top_counts_only_without_data(folders: Folders) -> None:
    text = base64.b64encode(os.urandom(MIB))
    for more, is_recording in ((b"", True), (b',"data":null', True), (b',"data":{}', False), (b',"data":[]', False)):
        body = kept(folders, *in_pieces(b'{"full_audio":"%b"%b}' % (text, more), 256 * 1024))
        assert is_recording == (body.audio is not None)
        assert (b'{"full_audio":"%b"%b}' % (b"" if is_recording else text, more)) == body.inline


@pytest.mark.parametrize(
    "rubbish", [b'"} x', b'"', b"", b'","a":NaN}', b'\x01"}', b'\\x"}', b'\xff"}', b'\xc3"}', b"\\"]
)
def test_a_large_body_that_is_no_json_has_no_recording_and_stays_unreadable(folders: Folders, rubbish: bytes) -> None:
    event = b'{"full_audio":"%b%b' % (base64.b64encode(os.urandom(MIB)), rubbish)
    body = kept(folders, *in_pieces(event, 256 * 1024))
    assert (event, (), None) == (body.inline, body.parts, body.audio)
    with pytest.raises(Unreadable):
        read_envelope(body.inline)


# The limit


@pytest.mark.parametrize(("more", "is_over"), [(0, False), (1, True)])
def test_the_limit_is_for_what_is_no_recording(folders: Folders, more: int, is_over: bool) -> None:
    event = audio_event(os.urandom(100_000), note="")
    rest_bytes = len(event) - len(json.loads(event)["data"]["full_audio"])
    body = kept(folders, event.replace(b'"note": "', b'"note": "' + b"x" * more), limit_bytes=rest_bytes)
    assert is_over == body.is_over_limit
    assert is_over == (body.audio is None)


def test_what_is_far_too_large_goes_on_into_a_sealed_file(folders: Folders) -> None:
    event = json.dumps({"data": {"transcript": [{"message": f"turn {n}"} for n in range(200_000)]}}).encode()
    body = kept(folders, *in_pieces(event, 256 * 1024), limit_bytes=100_000)
    assert body.is_over_limit
    assert len(body.inline) < 2 * MIB
    assert ["raw"] == [part.encoding for part in body.parts]
    assert b"turn 199999" not in (folders.bodies / body.parts[0].file).read_bytes()


@pytest.mark.parametrize("size", [1000, 256 * 1024, 1 << 30])
def test_a_recording_beyond_the_limit_is_kept_raw(folders: Folders, size: int) -> None:
    turns = json.dumps([{"message": f"turn {n}"} for n in range(200_000)])
    event = b'{"data":{"transcript":%b,"full_audio":"%b"}}' % (turns.encode(), base64.b64encode(os.urandom(2 * MIB)))
    body = kept(folders, *in_pieces(event, size), limit_bytes=100_000)
    assert body.is_over_limit
    assert body.audio is None


def test_several_long_strings_may_be_too_much_too(folders: Folders) -> None:
    event = json.dumps({name: name * 2 * MIB for name in "abc"}).encode()
    body = kept(folders, *in_pieces(event, 256 * 1024), limit_bytes=MIB)
    assert body.is_over_limit


def test_a_string_without_end_is_too_much_and_lost_nowhere(folders: Folders) -> None:
    event = b'{"a":"' + b"\\" * (3 * MIB) + b"x" * (3 * MIB)
    assert kept(folders, *in_pieces(event, 256 * 1024), limit_bytes=MIB).is_over_limit


# Any body in any pieces

TEXTS = (
    *("", "QUJD", "QUJDRA==", "QUJDRA", "full_audio", '"full_audio":"QUJD"', "a\\", '"', "data:;base64,QUJD"),
    *("QUJD" * 40, "QUJDRA==" * 20, "QUJD\n" * 20, "//8/" * 30 + "QQ==", "QUJD" * 30 + "QQ", "-_QU" * 30, "ABCDE" * 21),
    *(
        "data:;base64," + "QUJD" * 30,
        "QUJD" * 20 + "!" + "QUJD" * 20,
        "\\" * 80,
        '"' * 80,
        "text, long. " * 10,
        " " * 90,
    ),
)
KEYS = ("data", "full_audio", "full_audio", "note", "QUJD", '"', "a long key with QUJDRA== in it")
CHARACTERS = 'AB="\\/:,{} 😀é\ud800'


class Pairs(list[Any]):
    """An object that may have a key twice."""


def some_body(chance: random.Random) -> bytes:
    """JSON in many spellings: keys twice, escapes anywhere, white space; sometimes with something broken."""
    top, data = some_pairs(chance, 1), some_pairs(chance, 1)
    data.insert(chance.randint(0, len(data)), ("full_audio", some_text(chance)))
    top.insert(chance.randint(0, len(top)), ("data", chance.choice((data, data, data, None))))
    body = spelled(top, chance).encode("utf-8", "surrogatepass")
    at = chance.randint(0, len(body))
    return chance.choice(
        (
            *(body,) * 6,
            body[:at],
            body + chance.choice((b"x", b"{}", b'"', b"\\", b"\0")),
            body[:at] + chance.choice((b'"', b"\\", b"\xff", b"{", b"\x01", b",")) + body[at + 1 :],
        )
    )


def some_pairs(chance: random.Random, depth: int) -> Pairs:
    return Pairs((chance.choice(KEYS), some_value(chance, depth)) for _ in range(chance.randint(0, 3)))


def some_value(chance: random.Random, depth: int) -> Any:
    if depth < 4 and chance.random() < 0.3:
        return chance.choice((some_pairs(chance, depth + 1), [some_value(chance, depth + 1) for _ in range(2)]))
    return chance.choice((some_text(chance), some_text(chance), None, True, -1.5))


def some_text(chance: random.Random) -> str:
    return chance.choice((chance.choice(TEXTS), "".join(chance.choices(CHARACTERS, k=chance.choice((3, 30, 100))))))


def spelled(value: Any, chance: random.Random) -> str:
    space = chance.choice(("", "", " ", "\n\t"))
    if isinstance(value, Pairs):
        members = (f"{spelled(key, chance)}{space}:{spelled(item, chance)}" for key, item in value)
        return f"{space}{{{f'{space},'.join(members)}}}{space}"
    if isinstance(value, list):
        return f"[{','.join(spelled(item, chance) for item in value)}]{space}"
    if not isinstance(value, str):
        return f"{json.dumps(value)}{space}"
    is_escaped = chance.random() < 0.3
    characters = (
        escaped(character) if is_escaped and chance.random() < 0.5 else plain(character) for character in value
    )
    return f'{space}"{"".join(characters)}"{space}'


def escaped(character: str) -> str:
    return "\\/" if character == "/" else "".join(f"\\u{unit:04x}" for unit in utf16(character))


def plain(character: str) -> str:
    return (
        json.dumps(character)[1:-1]
        if character in '"\\' or character < " " or 0xD800 <= ord(character) < 0xE000
        else character
    )


def utf16(character: str) -> Iterator[int]:
    units = character.encode("utf-16-be", "surrogatepass")
    return (int.from_bytes(units[at : at + 2], "big") for at in range(0, len(units), 2))


def full_audio(event: bytes) -> str | None:
    """The recording's text by the standard library; None without one, or where the body is no JSON."""
    try:
        top = json.loads(event.decode(), parse_constant=lambda word: 1 / 0)
    except (ValueError, ZeroDivisionError):
        return None
    if not isinstance(top, dict):
        return None
    data = top.get("data")
    found = top.get("full_audio") if data is None else data.get("full_audio") if isinstance(data, dict) else None
    return found if isinstance(found, str) and found else None


@pytest.mark.usefixtures("short_strings_are_long")
@pytest.mark.parametrize("seed", range(6))
def test_any_body_in_any_pieces_gives_the_recording_and_itself_back(folders: Folders, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(100):
        event = some_body(chance)
        intake, body = taken(folders, in_random_pieces(event, chance))
        assert event == b"".join(intake.raw_pieces())
        text = full_audio(event)
        wanted = None if text is None else without_prefix_decoded(text.encode("utf-8", "surrogatepass"))
        if text is None or wanted == b"":
            assert (event, (), None) == (body.inline, body.parts, body.audio)
        else:
            assert body.audio is not None, event
            assert (wanted is not None) == body.audio.is_decoded, event
            if wanted is not None:
                assert hashlib.sha256(wanted).hexdigest() == body.audio.sha256, event
            assert pairs_but_recordings(event) == pairs_but_recordings(body.inline)
        intake.discard()
    assert [] == files(folders)


def in_random_pieces(content: bytes, chance: random.Random) -> list[bytes]:
    places = sorted({0, len(content), *(chance.randint(0, len(content)) for _ in range(chance.randint(0, 20)))})
    return [content[begin:end] for begin, end in itertools.pairwise(places)]


def without_prefix_decoded(text: bytes) -> bytes | None:
    return plainly_decoded(text.removeprefix(b"data:;base64,"))


def pairs_but_recordings(event: bytes) -> Any:
    return json.loads(event, object_pairs_hook=without_recording)


def without_recording(pairs: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    return [(key, value) for key, value in pairs if key != "full_audio"]


@pytest.mark.usefixtures("short_strings_are_long")
@pytest.mark.parametrize("seed", range(6))
def test_no_limit_loses_a_byte(folders: Folders, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(100):
        event, limit_bytes = some_body(chance), chance.choice((0, 50, 100, 200, 500))
        verdicts = set()
        for pieces in ([event], in_random_pieces(event, chance)):
            intake, body = taken(folders, pieces, limit_bytes)
            assert event == b"".join(intake.raw_pieces())
            verdicts.add(body.is_over_limit)
            intake.discard()
        assert 1 == len(verdicts), event
        if full_audio(event) is None:
            assert {len(event) > limit_bytes} == verdicts, event
    assert [] == files(folders)


# What lies on disk


def test_nothing_is_seen_before_it_is_kept(folders: Folders) -> None:
    intake, body = taken(folders, in_pieces(audio_event(os.urandom(MIB)), 256 * 1024))
    assert body.audio is not None
    assert [folders.recordings / INCOMING / body.audio.file] == files(folders)
    intake.keep()
    assert [folders.recordings / body.audio.file] == files(folders)
    assert not intake.has_files


def test_what_is_not_proven_leaves_nothing(folders: Folders) -> None:
    event = b'{"full_audio":"%b","b":"%b"}' % (base64.b64encode(os.urandom(MIB)) + b"\\n", b"text, long. " * 100_000)
    for end in (len(event), len(event) // 2, 600_000):
        intake, _ = taken(folders, in_pieces(event[:end], 100_000))
        assert intake.has_files
        assert files(folders)
        intake.discard()
        assert [] == files(folders)
        assert not intake.has_files


def test_a_body_given_up_half_way_leaves_nothing_and_takes_nothing_more(folders: Folders) -> None:
    intake = Intake(folders, LIMIT_BYTES, FULL_AUDIO)
    event = audio_event(os.urandom(2 * MIB))
    intake.feed(event[:MIB])
    intake.discard()
    intake.feed(event[MIB:])
    intake.feed(event)
    assert [] == files(folders)


def test_giving_up_waits_for_the_thread_that_still_works(folders: Folders) -> None:
    pieces = in_pieces(audio_event(os.urandom(8 * MIB)), 256 * 1024)
    for _ in range(10):
        intake = Intake(folders, LIMIT_BYTES, FULL_AUDIO)
        worker = threading.Thread(target=lambda intake=intake: [intake.feed(piece) for piece in pieces])
        worker.start()
        intake.discard()
        worker.join()
        assert [] == files(folders)


def test_what_is_kept_stays_when_the_rest_is_discarded(folders: Folders) -> None:
    intake, body = taken(folders, [audio_event(b"ABC")])
    intake.keep()
    intake.discard()
    assert b"ABC" == recording(folders, body)


def test_what_was_kept_can_be_taken_back(folders: Folders) -> None:
    first = kept(folders, audio_event(b"ABC"))
    intake, _ = taken(folders, [audio_event(b"ABC")])
    intake.keep()
    assert 2 == len(files(folders))
    intake.take_back()
    intake.take_back()
    assert b"ABC" == recording(folders, first)
    assert 1 == len(files(folders))


def test_the_same_recording_twice_lies_there_twice(folders: Folders) -> None:
    first, second = kept(folders, audio_event(b"ABC")), kept(folders, audio_event(b"ABC"))
    assert first.audio is not None
    assert second.audio is not None
    assert first.audio.file != second.audio.file
    assert first.audio.sha256 == second.audio.sha256


def test_a_failed_fsync_is_told_and_nothing_stays(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def fails_the_second_time(fd: int) -> None:
        calls.append(fd)
        if len(calls) == 2:
            raise OSError(errno.EIO, "Input/output error")

    text = base64.b64encode(os.urandom(MIB)) + b"\\n"
    intake, _ = taken(folders, in_pieces(b'{"full_audio":"%b"}' % text, 100_000))
    assert 2 == len(files(folders))
    monkeypatch.setattr(os, "fsync", fails_the_second_time)
    with pytest.raises(OSError):
        intake.keep()
    intake.discard()
    assert [] == files(folders)


def test_a_changed_file_is_noticed_when_the_body_is_wanted_back(folders: Folders) -> None:
    body = kept(folders, audio_event(b"ABC" * 1000))
    assert body.audio is not None
    (folders.recordings / body.audio.file).write_bytes(b"ABD" * 1000)
    with pytest.raises(Damaged):
        list(rebuild(body.inline, body.parts, folders))
    (folders.recordings / body.audio.file).write_bytes(b"ABC" * 999)
    with pytest.raises(Damaged):
        list(rebuild(body.inline, body.parts, folders))


def test_a_crash_leaves_only_what_the_next_start_sweeps(folders: Folders) -> None:
    script = """
import base64, os, sys
from pathlib import Path
from offhook.sealing import KeyRing
from offhook.voice.body import Intake
from offhook.voice.elevenlabs.envelope import FULL_AUDIO
from offhook.voice.parts import Folders
folders = Folders(Path(sys.argv[1]), Path(sys.argv[2]), KeyRing([b"k" * 32]))
intake = Intake(folders, 1 << 20, FULL_AUDIO)
for _ in range(20):
    intake.feed(b'"' + base64.b64encode(os.urandom(1 << 20)) + b'\\\\n",')
os._exit(9)
"""
    subprocess.run([sys.executable, "-c", script, str(folders.recordings), str(folders.bodies)], check=False)
    left = files(folders)
    assert len(left) > 1
    assert {INCOMING} == {path.parent.name for path in left}
    assert len(left) == folders.sweep()
    assert [] == files(folders)


def test_a_quarter_of_a_gibibyte_needs_no_memory(tmp_path: Path) -> None:
    script = """
import hashlib, resource, sys
from pathlib import Path
from offhook.sealing import KeyRing
from offhook.voice.body import Intake
from offhook.voice.elevenlabs.envelope import FULL_AUDIO
from offhook.voice.parts import Folders
folders = Folders(Path(sys.argv[1]) / "r", Path(sys.argv[1]) / "b", KeyRing([b"k" * 32]))
intake = Intake(folders, 16 << 20, FULL_AUDIO)
intake.feed(b'{"type":"post_call_audio","data":{"conversation_id":"c","full_audio":"')
piece = b"QUJD" * 65_280
begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for _ in range(1028):
    intake.feed(piece)
intake.feed(b'"}}')
body = intake.finish()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - begun)
sha256 = hashlib.sha256()
for _ in range(1028):
    sha256.update(b"ABC" * 65_280)
assert sha256.hexdigest() == body.audio.sha256
intake.discard()
"""
    ran = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert int(ran.stdout) <= 16 * 1024
