"""What strangers may try before anything is proven, and what must not get out afterwards."""

import asyncio
import contextlib
import secrets
import socket
import subprocess
import sys
import time
import traceback
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import sqlalchemy as sa
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.server import ServerState

from offhook import events, health, inbox
from offhook.connections import BoundedConnection
from offhook.errors import Mistake
from offhook.sealing import KeyRing, new_key_text
from offhook.settings import Settings, load
from offhook.store import events as event_rows
from offhook.store import organizations
from offhook.store.database import Database
from offhook.store.tables import contacts
from offhook.voice.body import Intake
from offhook.voice.elevenlabs.envelope import FULL_AUDIO, read_envelope
from offhook.voice.elevenlabs.signature import read_signature
from offhook.voice.parts import Folders
from offhook.voice.recording import find_recording
from offhook.webhooks import post_call
from offhook.webhooks.arrival import Arrival, UnprovenQuota
from offhook.webhooks.requests import TurnedAway
from tests.api import Api, running_api
from tests.beside import an_organization
from tests.services import Server, eventually, signature
from tests.test_doors import DOOR, audio, pieces, post, transcription

MIB = 1 << 20


# Connections


class Hasty(BoundedConnection):
    """The bounds of a connection, so small that a test can wait for them."""

    head_s = 0.3
    unread_s = 0.3
    waiting_requests = 4


async def says_what_it_heard(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the headers and the size of the body."""
    size, is_more = 0, True
    while is_more:
        message = await receive()
        size += len(message.get("body", b""))
        is_more = message.get("more_body", False)
    heard = b"".join(name + b"=" + value + b" " for name, value in scope["headers"])
    body = heard + str(size).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@contextlib.asynccontextmanager
async def listening(app: ASGIApp) -> AsyncIterator[int]:
    """A server of hasty connections; the port."""
    config = uvicorn.Config(app, port=0, http=Hasty, ws="none", lifespan="off", log_config=None, timeout_keep_alive=1)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = server.force_exit = True
    await serving


class Wire:
    """One connection, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def to(cls, port: int) -> "Wire":
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def send(self, data: bytes) -> None:
        """As much of *data* as the other side takes before it hangs up."""
        with contextlib.suppress(ConnectionError):
            self.writer.write(data)
            await asyncio.wait_for(self.writer.drain(), 5)

    async def answer(self) -> bytes:
        """All that comes until the other side hangs up, which it must."""
        heard = b""
        with contextlib.suppress(ConnectionError):
            while piece := await asyncio.wait_for(self.reader.read(65536), 5):
                heard += piece
        return heard


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


async def is_cut_off(wire: Wire) -> bool:
    """Hung up, with the reason where it is not lost in what the sender had not stopped to send."""
    answer = await wire.answer()
    return not answer or HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE == status_of(answer)


class Written(asyncio.Transport):
    """What a connection writes, piece by piece."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.pieces.append(bytes(data))

    def is_closing(self) -> bool:
        return False

    def close(self) -> None: ...

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default


@pytest.mark.parametrize(
    ("body", "pieces"), [(b"{}", ["head and body"]), (b"x" * MIB, ["head", "body"])], ids=["small", "large"]
)
async def test_a_small_answer_leaves_in_one_piece(body: bytes, pieces: list[str]) -> None:
    sent = asyncio.Event()

    async def answers(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        sent.set()

    config = uvicorn.Config(answers, http=Hasty, ws="none", lifespan="off", log_config=None)
    config.load()
    connection, written = Hasty(config, ServerState(), {}), Written()
    connection.connection_made(written)
    connection.data_received(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    await asyncio.wait_for(sent.wait(), 5)
    assert len(pieces) == len(written.pieces)
    assert b"".join(written.pieces).endswith(b"\r\n\r\n" + body)
    connection.connection_lost(None)


async def test_a_head_does_not_wait_for_a_body_that_takes_its_time() -> None:
    may_go_on = asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await may_go_on.wait()
        await send({"type": "http.response.body", "body": b"ok"})

    async with listening(slow) as port:
        wire = await Wire.to(port)
        await wire.send(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        head = await asyncio.wait_for(wire.reader.readuntil(b"\r\n\r\n"), 5)
        assert 200 == status_of(head)
        may_go_on.set()
        assert b"ok" == await wire.answer()


@pytest.mark.parametrize(
    "endless",
    [b"X: " + b"a" * MIB, b"a: b\r\n" * 50_000, b"a" * MIB],
    ids=["one value", "many headers", "one name"],
)
async def test_a_head_without_end_is_cut_off(endless: bytes) -> None:
    async with listening(says_what_it_heard) as port:
        wire = await Wire.to(port)
        await wire.send(b"POST / HTTP/1.1\r\n" + endless)
        assert await is_cut_off(wire)


async def test_an_address_without_end_is_cut_off() -> None:
    async with listening(says_what_it_heard) as port:
        wire = await Wire.to(port)
        await wire.send(b"GET /" + b"a" * MIB)
        assert await is_cut_off(wire)


@pytest.mark.parametrize("begun", [b"", b"POST / HTTP/1.1\r\nHost:"], ids=["silent", "half a head"])
async def test_a_connection_without_a_request_is_closed(begun: bytes) -> None:
    async with listening(says_what_it_heard) as port:
        wire = await Wire.to(port)
        await wire.send(begun)
        answer = await wire.answer()
        assert (b"" if not begun else 408) == (answer and status_of(answer))


async def test_what_comes_behind_an_answer_and_is_no_request_is_not_waited_for() -> None:
    async def answers_at_once(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})

    async with listening(answers_at_once) as port:
        wire = await Wire.to(port)
        await wire.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
        assert b"404" in await wire.reader.readline()
        await wire.send(b"x")
        await wire.answer()


async def test_requests_are_not_hoarded_ahead_of_their_answers() -> None:
    begun = 0

    async def never_answers(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal begun
        begun += 1
        await asyncio.sleep(60)

    async with listening(never_answers) as port:
        wire = await Wire.to(port)
        await wire.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 5000)
        assert (b"", 1) == (await wire.answer(), begun)


async def test_requests_sent_ahead_are_answered_in_order() -> None:
    async with listening(says_what_it_heard) as port:
        wire = await Wire.to(port)
        await wire.send(b"".join(b"GET / HTTP/1.1\r\nN: %d\r\n\r\n" % number for number in range(4)))
        heard = await wire.answer()
        assert [b"n=0 0", b"n=1 0", b"n=2 0", b"n=3 0"] == [part[:5] for part in heard.split(b"\r\n\r\n")[1:]]


async def test_an_answer_that_nobody_reads_is_given_up() -> None:
    given_up = asyncio.Event()

    async def never_ends(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        gone = asyncio.ensure_future(receive())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while not gone.done():
            await send({"type": "http.response.body", "body": b"x" * MIB, "more_body": True})
            await asyncio.sleep(0)
        given_up.set()

    async with listening(never_ends) as port:
        wire = await Wire.to(port)
        await wire.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.wait_for(given_up.wait(), 5)


async def test_a_trailer_is_no_header() -> None:
    async with listening(says_what_it_heard) as port:
        wire = await Wire.to(port)
        await wire.send(
            b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"2\r\nok\r\n0\r\nAuthorization: Bearer x\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n"
        )
        answer = await wire.answer()
        assert 200 == status_of(answer)
        assert b"authorization" not in answer
        assert b"forwarded" not in answer


async def test_trailers_without_end_are_cut_off() -> None:
    async with listening(says_what_it_heard) as port:
        wire = await Wire.to(port)
        await wire.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n")
        await wire.send(b"X: " + b"y" * (4 * MIB))
        assert not (await wire.answer()).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("size", [10, 3 * MIB])
async def test_bodies_of_any_size_still_come_through(size: int) -> None:
    async with listening(says_what_it_heard) as port:
        wire = await Wire.to(port)
        head = b"POST / HTTP/1.1\r\nConnection: close\r\nX: %b\r\nContent-Length: %d\r\n\r\n" % (b"x" * 8000, size)
        await wire.send(head + b"b" * size)
        assert (await wire.answer()).endswith(b" %d" % size)


# What must not get out: logs


_LOG_A_FAULT = """
import sys
from offhook import logs
from offhook.settings import Settings

logs.set_up(Settings(log_format=sys.argv[1]))

def receive(tool_secret, body):
    raise ValueError("The body cannot be used.")

try:
    receive("oht_" + "5ecre7" * 4, b"+1416" + b"5550100")
except ValueError:
    logs.log.exception("webhook.failed", sender="6.6.6.6\\x9b31m\\u202e\\nINFO a line of its own")
"""


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_fault_is_logged_without_the_values_that_were_in_hand(log_format: str) -> None:
    command = [sys.executable, "-c", _LOG_A_FAULT, log_format]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stderr
    assert "The body cannot be used." in said
    assert [] == [word for word in ("5ecre7" * 4, "14165550100", "\x9b", "\u202e", "\nINFO a line") if word in said]


def _store_a_name_that_no_database_takes(tx: sa.Connection, name: str) -> None:
    row = {"id": "0" * 24, "org_id": "0" * 24, "emails": "[]", "source": "api", "created_at": 0, "updated_at": 0}
    tx.execute(contacts.insert(), [{**row, "first_name": name, "search_text": None}])


async def test_an_error_of_the_database_says_nothing_of_what_was_to_be_written(database: Database) -> None:
    name = secrets.token_hex(8)
    with pytest.raises(sa.exc.IntegrityError) as failed:
        await database.write(_store_a_name_that_no_database_takes, name)
    said = "".join(traceback.format_exception(failed.value))
    assert "search_text" in said
    assert name not in said


# Bodies that nobody has proven


@pytest.mark.parametrize(
    "body",
    [
        b'{"data":[' + b"0," * (2 * MIB) + b"0]}",
        b"{" + b'"data":{},' * 400_000 + b'"data":1}',
        b'{"type":"' + b"\\n" * (2 * MIB) + b'\\ud800"}',
        b'{"type":"\\ud800","a":"' + b"\\ud83d\\ude00" * 350_000 + b'"}',
    ],
    ids=["a list for an object", "the same key a million times", "escapes", "surrogates"],
)
def test_spite_costs_little_more_than_its_own_size_to_read(body: bytes) -> None:
    tracemalloc.start()
    begun = time.process_time()
    assert read_envelope(body).conversation_id is None
    took_s = time.process_time() - begun
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (True, True) == (took_s < 1, peak_bytes < 16 * len(body)), (took_s, peak_bytes)


def test_a_million_strings_that_read_like_the_recording_are_not_tried_one_by_one() -> None:
    body = b'{"full_audio":"QUJD","a":[' + b'"QUJD",' * 600_000 + b"0]}"
    begun = time.process_time()
    assert find_recording(body, [], FULL_AUDIO) is None
    assert time.process_time() - begun < 1
    few = b'{"a":[' + b'"QUJD",' * 100 + b'0],"full_audio":"QUJD"}'
    assert (few.rindex(b"Q"), few.rindex(b"D") + 1) == find_recording(few, [], FULL_AUDIO)


def test_a_signature_header_with_thousands_of_digests_is_none() -> None:
    assert read_signature("t=1," + ",".join(["v0=" + "0" * 64] * 10)) is not None
    assert read_signature("t=1," + ",".join(["v0=" + "0" * 64] * 1000)) is None


class Sending:
    """One body on its way in, without a socket."""

    def __init__(self, quota: UnprovenQuota, folder: Path) -> None:
        folders = Folders(folder / "recordings", folder / "bodies", KeyRing([b"k" * 32]))
        begin_intake = partial(Intake, folders, 16 * MIB, FULL_AUDIO)
        self.arrival: Arrival[Any] = Arrival(begin_intake, 16 * MIB, quota, self._nobody)

    def _nobody(self) -> None:
        return None

    async def send(self, size_bytes: int, piece: bytes = b"[" * 65536) -> bool:
        """Whether all of it was taken."""
        try:
            for _ in range(size_bytes // len(piece)):
                await self.arrival.take(piece)
        except TurnedAway as refused:
            return refused.status != HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        return True


@pytest.fixture
def quota() -> UnprovenQuota:
    return UnprovenQuota(disk_bytes=20 * MIB, memory_bytes=20 * MIB)


@pytest.mark.parametrize("piece", [b"[" * 65536, b'"' + b"QUJD" * 16384], ids=["in memory", "on disk"])
async def test_where_unproven_bodies_take_too_much_the_largest_gives_way(
    quota: UnprovenQuota, tmp_path: Path, piece: bytes
) -> None:
    flood = [Sending(quota, tmp_path) for _ in range(5)]
    honest = Sending(quota, tmp_path)
    assert await honest.send(2 * MIB, piece)
    taken = [await one.send(9 * MIB, piece) for one in flood]
    assert await honest.send(MIB, piece)
    assert 2 >= sum([await one.send(MIB, piece) for one in flood]), taken
    await honest.arrival.end()
    for one in (*flood, honest):
        await one.arrival.discard()
    assert [] == [path for path in tmp_path.rglob("*") if path.is_file()]


async def test_small_bodies_that_wait_for_their_end_take_of_the_quota_too(quota: UnprovenQuota, tmp_path: Path) -> None:
    waiting = [Sending(quota, tmp_path) for _ in range(200)]
    taken = [await one.send(192 * 1024) for one in waiting]
    assert 20 * MIB // (192 * 1024) >= sum([await one.send(65536, b"x" * 1024) for one in waiting])
    assert all(taken[:100])


async def test_a_body_that_has_come_to_its_end_gives_way_to_nobody(quota: UnprovenQuota, tmp_path: Path) -> None:
    whole, flood = Sending(quota, tmp_path), Sending(quota, tmp_path)
    assert await whole.send(15 * MIB)
    await whole.arrival.end()
    assert await flood.send(15 * MIB)
    assert 15 * MIB == (await whole.arrival.finish()).size_bytes


async def test_what_a_bearer_proved_takes_nothing_of_the_quota(quota: UnprovenQuota, tmp_path: Path) -> None:
    proven, flood = Sending(quota, tmp_path), Sending(quota, tmp_path)
    proven.arrival.is_proven = True
    assert await proven.send(30 * MIB)
    assert await flood.send(10 * MIB)


async def test_a_body_in_the_smallest_pieces_takes_no_more_memory_than_in_one(
    quota: UnprovenQuota, tmp_path: Path
) -> None:
    tracemalloc.start()
    await Sending(quota, tmp_path).send(200_000, b"ab")
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < MIB


def half_a_body(server: Server, begin: bytes) -> socket.socket:
    """A large body by somebody who knows no secret, which never ends."""
    header = f"t={int(time.time())},v0={'0' * 64}"
    head = f"POST {DOOR}?org={server.org_id} HTTP/1.1\r\nHost: x\r\nContent-Length: {1 << 30}\r\n"
    wire = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    with contextlib.suppress(ConnectionError):
        wire.sendall(f"{head}ElevenLabs-Signature: {header}\r\n\r\n".encode() + begin)
    return wire


def test_a_flood_of_unproven_bodies_keeps_to_its_quota_and_harms_no_honest_sender(
    start_server: Callable[..., Server],
) -> None:
    server = start_server(env={"OFFHOOK_UNPROVEN_QUOTA_MIB": "16"})
    flood = [half_a_body(server, b'{"data":{"full_audio":"' + b"QUJD" * (2 * MIB)) for _ in range(8)]
    body = audio(secrets.token_bytes(3 * MIB))
    header = {"ElevenLabs-Signature": signature(server.webhook_secret, body)}
    assert 200 == post(server, pieces(body), f"{DOOR}?org={server.org_id}", **header).status_code
    on_disk = sum(path.stat().st_size for path in (server.data_dir / "recordings" / "incoming").iterdir())
    assert on_disk <= 16 * MIB
    for wire in flood:
        wire.close()


def test_whoever_names_anothers_agent_in_a_signed_event_does_not_shut_it_out(
    start_server: Callable[..., Server],
) -> None:
    server = start_server()
    neighbours = [an_organization(server, name=f"Client {n}") for n in range(6)]
    greedy, robbed = neighbours[0], neighbours[1]
    first = server.deliver(
        transcription("c1", agent_id="agent_of_robbed"), secret=greedy["webhook_secret"], org_id=greedy["id"]
    )
    key = {"Authorization": f"Bearer {greedy['api_key']}"}
    eventually(lambda: httpx.get(f"{server.base_url}/api/calls/{first.json()['callId']}", headers=key).is_success)
    body = transcription("c2", agent_id="agent_of_robbed")
    answer = post(server, body, **{"ElevenLabs-Signature": signature(robbed["webhook_secret"], body)})
    assert (200, events.call_id(robbed["id"], "c2")) == (answer.status_code, answer.json().get("callId"))


# Files


def test_nothing_in_the_data_directory_is_anybody_elses_to_read(tmp_path: Path) -> None:
    ours = tmp_path / "made by the operator"
    ours.mkdir(mode=0o755)
    server = Server(tmp_path / "server", env={"OFFHOOK_DATA_DIR": str(ours)})
    server.organization = server.create_organization()
    server.start()
    server.deliver(audio(secrets.token_bytes(MIB)))
    server.ask({"caller_id": "+14165550100"})
    server.kill()
    found = {path.relative_to(ours): path.stat().st_mode & 0o077 for path in ours.rglob("*")}
    assert {Path("offhook.db"), Path("offhook.db-wal"), Path("secret.key"), Path("recordings")} <= set(found)
    assert {} == {path: oct(mode) for path, mode in found.items() if mode and path.name != "server.lock"}


# What anybody may ask


async def test_however_many_ask_how_it_stands_the_events_are_counted_once_at_a_time(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0

    def slow_look(tx: sa.Connection) -> dict[str, int]:
        nonlocal looks
        looks += 1
        time.sleep(0.3)
        return {"pending": 7}

    monkeypatch.setattr(event_rows, "count_by_status", slow_look)
    monkeypatch.setattr(inbox, "_LOOK_AGAIN_S", 60.0)
    monkeypatch.setattr(health, "_LOOK_S", 60.0)
    async with running_api(settings) as api:
        stranger = api.client_with(None)
        answers = await asyncio.gather(*(stranger.get(path) for path in ("/api/health", "/metrics") * 20))
    assert ({200}, 1) == ({answer.status_code for answer in answers}, looks)
    assert {7} == {answer.json()["events"]["pending"] for answer in answers[::2]}


async def test_what_strangers_are_shown_names_nobody_and_loads_nothing_from_elsewhere(settings: Settings) -> None:
    async with running_api(settings) as api:
        stranger = api.client_with(None)
        for path in ("/docs", "/redoc", "/docs/oauth2-redirect"):
            assert 404 == (await stranger.get(path)).status_code
        shown = [await stranger.get(path) for path in ("/api/health", "/metrics", "/openapi.json", "/api/health/ready")]
        for answer in shown:
            assert 200 == answer.status_code
            assert [] == [word for word in (api.org.id, str(settings.data_dir)) if word in answer.text]
            assert [] == [
                name for name in answer.headers if name.startswith(("access-control", "set-cookie", "server"))
            ]


# Replays and refusals


def knock(
    api: Api, body: bytes, *, at: float | None = None, query: str = "", **headers: str
) -> Awaitable[httpx.Response]:
    """A post-call event, signed with the organisation's secret *at* (unix)."""
    signed = {"ElevenLabs-Signature": signature(api.org.webhook_secret, body, at)}
    return api.client_with(None).post(f"{DOOR}?org={api.org.id}{query}", content=body, headers={**signed, **headers})


def files_of(settings: Settings) -> list[Path]:
    return [path for path in settings.recordings_dir.rglob("*") if path.is_file()]


async def test_replaying_one_stale_event_fills_neither_the_disk_nor_the_place_of_others(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(post_call, "_STALE_KEPT", 2)
    long_ago = time.time() - 86_400
    replayed, other = audio(secrets.token_bytes(1000), "c1"), audio(secrets.token_bytes(1000), "c2")
    async with running_api(settings) as api:
        answers = [await knock(api, replayed, at=long_ago) for _ in range(5)]
        answers += [await knock(api, other, at=long_ago)]
        kept = (await api.get("/api/events")).json()["data"]
    assert {401} == {answer.status_code for answer in answers}
    assert [("stale", 1), ("stale", 5)] == [(event["status"], event["deliveries"]) for event in kept]
    assert 2 == len(files_of(settings))


async def test_replaying_one_recording_fills_no_disk(settings: Settings) -> None:
    body = audio(secrets.token_bytes(MIB))
    async with running_api(settings) as api:
        answers = await asyncio.gather(*(knock(api, body) for _ in range(8)))
    assert {200} == {answer.status_code for answer in answers}
    assert 1 == len(files_of(settings))


async def test_a_refusal_remembers_little_of_what_a_stranger_wrote(settings: Settings) -> None:
    async with running_api(settings) as api:
        answer = await api.client_with(None).post(f"{DOOR}?org={'x' * 60_000}", headers={"ElevenLabs-Signature": "t=1"})
        (refusal,) = api.deps.refusals
    assert 401 == answer.status_code
    assert len(msgspec.json.encode(refusal)) < 300


async def test_every_401_of_the_doors_is_the_same_to_the_byte(settings: Settings) -> None:
    body, at = transcription(), time.time()
    good = signature("w" * 20, body)
    refused: list[dict[str, str]] = [
        {}, {"ElevenLabs-Signature": ""}, {"ElevenLabs-Signature": good}, {"Authorization": ""},
        {"Authorization": "Bearer "}, {"Authorization": "Bearer x, Bearer y"}, {"Authorization": "Digest x"},
        {"ElevenLabs-Signature": signature("", body)}, {"ElevenLabs-Signature": f"t={int(at)},v0={'0' * 64}"},
        {"ElevenLabs-Signature": "t=" + "9" * 400 + ",v0=" + "0" * 64},
        {"ElevenLabs-Signature": good.replace("v0", "v1")}, {"ElevenLabs-Signature": "v0=" * 1000},
    ]  # fmt: skip
    async with running_api(settings) as api:
        stranger = api.client_with(None)
        other = await api.add_organization(webhook_secret="another_organisations")
        refused.append({"ElevenLabs-Signature": signature(other.webhook_secret, body)})
        refused.append({"Authorization": f"Bearer {api.org.api_key}"})
        seen = {
            (answer.status_code, answer.content, *answer.headers.multi_items())
            for org in (api.org.id, other.id[:-1], "nobody", "%00")
            for headers in refused
            for answer in [await stranger.post(f"{DOOR}?org={org}", content=body, headers=headers)]
        }
        stale = await knock(api, body, at=at - 7200)
    seen.add((stale.status_code, stale.content, *stale.headers.multi_items()))
    assert 1 == len(seen), seen


# What a signed event may teach


async def test_agents_that_somebody_makes_up_are_not_learnt_without_end(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(organizations, "MAX_LEARNT_AGENTS", 3)
    greedy, modest = "a" * 24, "b" * 24
    for number in range(9):
        await database.write(organizations.learn_agent, greedy, f"agent_{number}", None, 0.0)
    await database.write(organizations.learn_agent, modest, "agent_0", None, 0.0)
    await database.write(organizations.learn_agent, greedy, "agent_0", "Reception", 0.0)
    await database.write(organizations.add_agent, greedy, "agent_of_a_person", None, 0.0)
    known = [await database.read(organizations.agents_of, org_id) for org_id in (greedy, modest)]
    assert [4, 1] == [len(agents) for agents in known]
    assert "Reception" == known[0][0].name


# What is configured


@pytest.mark.parametrize(("name", "scheme"), [("database_url", "postgresql"), ("redis_url", "redis")])
@pytest.mark.parametrize("host", ["db:port", "db:99999", "[::1:5432"])
def test_an_address_that_cannot_be_used_is_a_sentence_without_its_password(name: str, scheme: str, host: str) -> None:
    password = secrets.token_hex(6)
    with pytest.raises(Mistake) as told:
        load(secret_key=new_key_text(), **{name: f"{scheme}://user:{password}/@{host}/x"})
    assert f"OFFHOOK_{name.upper()}" in told.value.message
    assert password not in told.value.message
