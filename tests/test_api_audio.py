"""The way to a recording: its link, its bytes whole and in part, and what a cache may do with them."""

import hashlib
from urllib.parse import parse_qs, urlsplit

import pytest

from offhook.settings import Settings
from tests.api import Api, hex_id, running_api

CALL = hex_id(1)
AUDIO = f"/api/calls/{CALL}/audio"
MP3 = bytes(range(256)) * 4000  # longer than one piece
ETAG = f'"{hashlib.sha256(MP3).hexdigest()}"'


@pytest.fixture
async def recorded(api: Api) -> Api:
    """An API whose first call has a recording."""
    turns = '[{"role":"agent","message":"Hello"},{"role":"agent","message":null},{"role":"user","message":"Hi"}]'
    await api.add_calls({"id": CALL, "transcript": turns.replace("}", ',"timestamp":1.0,"interrupted":true}')})
    await api.add_recording(CALL, MP3)
    return api


async def link(api: Api) -> str:
    return str((await api.get(f"/api/calls/{CALL}/recording")).json()["audioUrl"])


async def test_the_recording_is_told_to_the_letter(recorded: Api) -> None:
    answer = (await recorded.get(f"/api/calls/{CALL}/recording")).json()
    assert answer.pop("audioUrl").startswith(f"http://calls.example{AUDIO}?expires=")
    turns = [("agent", "Hello"), ("agent", None), ("user", "Hi")]
    assert {
        "success": True,
        "duration": 41.5,
        "recordingId": hashlib.sha256(MP3).hexdigest()[:24],
        "transcriptionText": "agent: Hello\nuser: Hi",
        "transcriptionData": [{"role": role, "message": message, "timestamp": 1} for role, message in turns],
        "direction": "inbound",
        "from": "+14165550100",
        "to": "+12362320246",
    } == answer


async def test_without_a_recording_there_is_none_to_tell(api: Api) -> None:
    await api.add_calls({"id": CALL})
    for path in ("recording", "audio"):
        answer = await api.get(f"/api/calls/{CALL}/{path}")
        assert (404, "There is no recording of this call.") == (answer.status_code, answer.json()["error"])


async def test_the_link_opens_without_a_key(recorded: Api) -> None:
    async with recorded.client_with(None) as stranger:
        answer = await stranger.get(await link(recorded))
    assert (200, MP3) == (answer.status_code, answer.content)


async def test_the_link_stands_on_the_public_url(settings: Settings) -> None:
    public = settings.model_copy(update={"public_url": "https://offhook.example/phone"})
    async with running_api(public) as api:
        await api.add_calls({"id": CALL})
        await api.add_recording(CALL, MP3)
        assert (await link(api)).startswith(f"https://offhook.example/phone{AUDIO}?expires=")


CHANGES = [
    ("expires", "99999999999"), ("expires", ""), ("expires", "-1"), ("expires", "٣"), ("expires", "1e9"),
    ("signature", ""), ("signature", "0" * 64), ("signature", "é" * 64),
]  # fmt: skip


async def test_a_changed_link_opens_nothing(recorded: Api) -> None:
    await recorded.add_calls({"id": hex_id(2)})
    await recorded.add_recording(hex_id(2), b"another")
    url = urlsplit(await link(recorded))
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    changed = [(url.path, {**query, name: value}) for name, value in CHANGES]
    async with recorded.client_with(None) as stranger:
        for path, words in [*changed, (f"/api/calls/{hex_id(2)}/audio", query)]:
            answer = await stranger.get(path, params=words)
            assert (401, '{"error":"Unauthorized"}') == (answer.status_code, answer.text)


async def test_the_link_ends_after_an_hour(recorded: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    url = urlsplit(await link(recorded))
    expires = int(parse_qs(url.query)["expires"][0])
    clock = {"now": expires - 1.0}
    object.__setattr__(recorded.deps, "now", lambda: clock["now"])
    async with recorded.client_with(None) as stranger:
        assert 200 == (await stranger.get(f"{url.path}?{url.query}")).status_code
        clock["now"] = float(expires)
        assert 401 == (await stranger.get(f"{url.path}?{url.query}")).status_code


async def test_the_whole_recording(recorded: Api) -> None:
    answer = await recorded.get(AUDIO)
    assert (200, MP3) == (answer.status_code, answer.content)
    assert {
        "content-type": "audio/mpeg",
        "content-length": str(len(MP3)),
        "accept-ranges": "bytes",
        "etag": ETAG,
        "x-content-type-options": "nosniff",
    }.items() <= dict(answer.headers).items()
    assert "private" in answer.headers["cache-control"]


PARTS = [
    ("bytes=0-0", 0, 0),
    ("bytes=0-", 0, len(MP3) - 1),
    ("bytes=100-299999", 100, 299_999),
    ("bytes=1000000-", 1_000_000, len(MP3) - 1),
    ("bytes=500-99999999999", 500, len(MP3) - 1),
    ("bytes=-1", len(MP3) - 1, len(MP3) - 1),
    ("bytes=-99999999", 0, len(MP3) - 1),
    ("Bytes = 5 - 9 ", 5, 9),
]


async def test_a_part_of_the_recording(recorded: Api) -> None:
    for asked, first, last in PARTS:
        answer = await recorded.client.get(AUDIO, headers={"Range": asked})
        assert (206, MP3[first : last + 1]) == (answer.status_code, answer.content)
        assert (f"bytes {first}-{last}/{len(MP3)}", str(last + 1 - first)) == (
            answer.headers["content-range"], answer.headers["content-length"],
        )  # fmt: skip
        assert ("audio/mpeg", ETAG) == (answer.headers["content-type"], answer.headers["etag"])


async def test_a_part_behind_the_end_is_416(recorded: Api) -> None:
    for asked in (f"bytes={len(MP3)}-", "bytes=999999999-", f"bytes={len(MP3)}-{len(MP3) + 5}", "bytes=-0"):
        answer = await recorded.client.get(AUDIO, headers={"Range": asked})
        assert (416, f"bytes */{len(MP3)}") == (answer.status_code, answer.headers["content-range"])
        assert "range_not_satisfiable" == answer.json()["code"]


UNUSABLE_RANGES = [
    "",
    "bytes",
    "bytes=",
    "bytes=-",
    "bytes=a-b",
    "items=0-5",
    "bytes=9-5",
    "bytes=0-1,5-6",
    "bytes=٣-٤",
]


async def test_a_range_that_says_nothing_usable_gives_the_whole(recorded: Api) -> None:
    for asked in (*UNUSABLE_RANGES, f"bytes={'1' * 99}-"):
        answer = await recorded.client.get(AUDIO, headers=[(b"Range", asked.encode())])
        assert (200, len(MP3)) == (answer.status_code, len(answer.content))


async def test_if_range_gives_the_part_only_of_the_very_bytes(recorded: Api) -> None:
    same = await recorded.client.get(AUDIO, headers={"Range": "bytes=0-9", "If-Range": ETAG})
    other = await recorded.client.get(AUDIO, headers={"Range": "bytes=0-9", "If-Range": '"other"'})
    dated = await recorded.client.get(
        AUDIO, headers={"Range": "bytes=0-9", "If-Range": "Sat, 29 Oct 1994 19:43:31 GMT"}
    )
    weak = await recorded.client.get(AUDIO, headers={"Range": "bytes=0-9", "If-Range": f"W/{ETAG}"})
    assert [206, 200, 200, 200] == [answer.status_code for answer in (same, other, dated, weak)]


async def test_who_has_the_bytes_is_told_so(recorded: Api) -> None:
    for tags in (ETAG, f"W/{ETAG}", f'"other", {ETAG}', "*"):
        answer = await recorded.client.get(AUDIO, headers={"If-None-Match": tags, "Range": "bytes=0-9"})
        assert (304, b"", ETAG) == (answer.status_code, answer.content, answer.headers["etag"])


async def test_head_says_all_but_the_bytes(recorded: Api) -> None:
    answer = await recorded.client.head(AUDIO, headers={"Range": "bytes=0-9"})
    assert (200, b"", str(len(MP3))) == (answer.status_code, answer.content, answer.headers["content-length"])
    assert ("audio/mpeg", ETAG) == (answer.headers["content-type"], answer.headers["etag"])


async def test_the_newest_that_plays_is_played(recorded: Api) -> None:
    await recorded.add_recording(CALL, b"newer", created_at=9e9)
    await recorded.add_recording(CALL, b"newest, no mp3", created_at=9e9 + 1, state="not_playable")
    await recorded.add_recording(CALL, b"@@@", created_at=9e9 + 2, state="undecodable")
    assert b"newer" == (await recorded.get(AUDIO)).content
    (call,) = (await recorded.get("/api/calls/history")).json()["calls"]
    assert ["undecodable", "not_playable", "ready", "ready"] == [kept["state"] for kept in call["recordings"]]


async def test_bytes_that_are_no_mp3_are_served_as_they_are(api: Api) -> None:
    await api.add_calls({"id": CALL})
    await api.add_recording(CALL, b"<script>", state="not_playable", duration_s=None)
    answer = await api.get(AUDIO)
    assert (b"<script>", "audio/mpeg", "nosniff") == (
        answer.content, answer.headers["content-type"], answer.headers["x-content-type-options"],
    )  # fmt: skip
    assert 42 == (await api.get(f"/api/calls/{CALL}/recording")).json()["duration"]


async def test_text_that_could_not_be_decoded_is_not_played(api: Api) -> None:
    await api.add_calls({"id": CALL})
    await api.add_recording(CALL, b"@@@", state="undecodable")
    assert [404, 404] == [(await api.get(f"/api/calls/{CALL}/{path}")).status_code for path in ("recording", "audio")]


async def test_an_empty_recording_has_no_part(api: Api) -> None:
    await api.add_calls({"id": CALL})
    await api.add_recording(CALL, b"", state="not_playable")
    assert (200, b"") == ((await api.get(AUDIO)).status_code, (await api.get(AUDIO)).content)
    assert 416 == (await api.client.get(AUDIO, headers={"Range": "bytes=0-"})).status_code


async def test_a_file_that_is_gone_is_said(recorded: Api) -> None:
    for file in recorded.deps.settings.recordings_dir.iterdir():
        if file.is_file():
            file.unlink()
    answer = await recorded.get(AUDIO)
    assert (404, "The file of this recording is not here.") == (answer.status_code, answer.json()["error"])
