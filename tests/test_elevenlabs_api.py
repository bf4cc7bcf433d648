"""Asking ElevenLabs: against the twin, served for real, with its faults."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from offhook.errors import GiveUp, OffhookError, TryLater
from offhook.voice.elevenlabs import api
from offhook.voice.elevenlabs.api import ElevenLabs, NotThere, WrongKey
from offhook.voice.elevenlabs.history import History, Known
from tests.services import free_port
from tests.twins import KEY, Twin


@pytest.fixture
async def elevenlabs(twin: Twin) -> AsyncIterator[ElevenLabs]:
    async with ElevenLabs(KEY, base_url=twin.url) as asked:
        yield asked


async def test_every_page_of_a_list_is_asked_for(twin: Twin, elevenlabs: ElevenLabs) -> None:
    await twin.place(40)
    found = [one async for one in elevenlabs.each("/v1/convai/conversations", "conversations", page_size=7)]
    assert set(twin.desk.workspace.conversations) == {one["conversation_id"] for one in found}
    assert len(twin.desk.workspace.conversations) == len(found)


async def test_a_recording_streams(twin: Twin, elevenlabs: ElevenLabs) -> None:
    await twin.place(3)
    one = next(iter(twin.desk.workspace.conversations.values()))
    pieces = [piece async for piece in elevenlabs.stream(f"/v1/convai/conversations/{one.id}/audio")]
    assert one.mp3 == b"".join(pieces)


async def test_what_is_not_there_and_a_wrong_key_have_words_of_their_own(twin: Twin, elevenlabs: ElevenLabs) -> None:
    with pytest.raises(NotThere, match="404"):
        await elevenlabs.get("/v1/convai/conversations/conv_none")
    with pytest.raises(NotThere):
        await anext(elevenlabs.stream("/v1/convai/conversations/conv_none/audio"))
    await elevenlabs.delete("/v1/convai/secrets/none")
    async with ElevenLabs("wrong", base_url=twin.url) as stranger:
        with pytest.raises(WrongKey, match="401"):
            await stranger.get("/v1/convai/conversations")


async def test_a_moment_of_trouble_is_waited_out_and_a_longer_one_is_not(twin: Twin, elevenlabs: ElevenLabs) -> None:
    await twin.http.put("/twin/faults", json={"api": [503, 429]})
    assert [] == (await elevenlabs.get("/v1/convai/conversations"))["conversations"]
    await twin.http.put("/twin/faults", json={"api": [500, 502, 503, 504]})
    with pytest.raises(TryLater, match="504"):
        await elevenlabs.get("/v1/convai/conversations")


async def test_what_may_have_been_done_is_not_asked_for_twice(twin: Twin, elevenlabs: ElevenLabs) -> None:
    await twin.http.put("/twin/faults", json={"api": [500]})
    with pytest.raises(TryLater, match="500"):
        await elevenlabs.post("/v1/convai/secrets", {"type": "new", "name": "offhook", "value": "s3cret"})
    await twin.http.put("/twin/faults", json={"api": [429]})
    made = await elevenlabs.post("/v1/convai/secrets", {"type": "new", "name": "offhook", "value": "s3cret"})
    assert made["secret_id"]


async def test_nobody_there_is_a_reason_to_try_later() -> None:
    async with ElevenLabs(KEY, base_url=f"http://127.0.0.1:{free_port()}") as nobody:
        with pytest.raises(TryLater, match="cannot be reached"):
            await nobody.get("/v1/convai/conversations")


# Answers that no ElevenLabs should give


@asynccontextmanager
async def answering(answer: Callable[[str], bytes], head: str = "200 OK") -> AsyncIterator[ElevenLabs]:
    """Somebody who answers each request, given its first line, with that body."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, *_ = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        body = answer(first)
        writer.write(f"HTTP/1.1 {head}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    async with server, ElevenLabs(KEY, base_url=f"http://{host}:{port}") as asked:
        yield asked


async def all_of(asked: ElevenLabs) -> list[object]:
    return [one async for one in asked.each("/v1/convai/tools", "tools")]


@pytest.mark.parametrize(
    ("body", "head", "kind"),
    [
        (b"<html>Sign in to this network</html>", "200 OK", TryLater),
        (b"\x1f\x8bnothing of the kind", "200 OK\r\ncontent-encoding: gzip", TryLater),
        (b"[1, 2]", "200 OK", TryLater),
        (b'{"tools": {"no": "list"}}', "200 OK", TryLater),
        (b"x" * 2000, "200 OK", GiveUp),
        (b"", "302 Found\r\nlocation: https://elsewhere.example.com/", GiveUp),
    ],
)
async def test_an_answer_that_makes_no_sense_is_a_sentence(
    body: bytes, head: str, kind: type[OffhookError], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "_WAITS_S", ())
    monkeypatch.setattr(api, "_MOST_BYTES", 1000)
    async with answering(lambda _: body, head) as asked:
        with pytest.raises(kind, match="ElevenLabs"):
            await all_of(asked)


@pytest.mark.parametrize("is_new", [False, True], ids=["the same page again", "another page each time"])
async def test_a_list_that_does_not_end_is_given_up(*, is_new: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "_MOST_PAGES", 5)
    asked_for: list[str] = []

    def page(first: str) -> bytes:
        asked_for.append(first)
        cursor = f"c{len(asked_for)}" if is_new else "c"
        return json.dumps({"tools": [], "has_more": True, "next_cursor": cursor}).encode()

    async with answering(page) as asked:
        with pytest.raises(GiveUp, match="does not end"):
            await all_of(asked)
    assert len(asked_for) <= 6


async def test_an_id_is_no_path(twin: Twin, elevenlabs: ElevenLabs) -> None:
    for id in ("../tools", "a/b", "a?b=c", "a\nb", "\N{SNOWMAN}"):
        with pytest.raises(NotThere):
            await elevenlabs.get(api.at("/v1/convai/agents", id))


async def test_a_call_of_no_calendars_time_is_a_call_all_the_same() -> None:
    began = [1.7e12, -5, 1e300, None, 1_790_000_000]
    page = {"conversations": [{"conversation_id": f"c{at}", "start_time_unix_secs": at} for at in began]}
    async with answering(lambda _: json.dumps(page).encode()) as asked:
        found: list[Known] = [one async for one in History(asked).between(0, 1)]
    assert [0.0, 0.0, 0.0, 0.0, 1_790_000_000.0] == [one.began_at for one in found]
