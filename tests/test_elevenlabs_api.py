"""Asking ElevenLabs: against the twin, served for real, with its faults."""

from collections.abc import AsyncIterator

import pytest

from offhook.errors import TryLater
from offhook.voice.elevenlabs.api import ElevenLabs, NotThere, WrongKey
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
