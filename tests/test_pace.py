"""Bodies that come too slowly are given up, and nothing else is."""

import asyncio
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import Any

import pytest

from offhook.webhooks import pace
from offhook.webhooks.pace import Pace
from offhook.webhooks.requests import TurnedAway


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("_SILENCE_S", 0.5), ("GRACE_S", 1.0), ("_LOOK_EVERY_S", 0.02)):
        monkeypatch.setattr(pace, name, seconds)


async def _keep(kept: bytearray, piece: bytes) -> None:
    kept += piece


def _sender(pieces: AsyncIterator[bytes]) -> Callable[[], Any]:
    """What ASGI calls `receive`: each of *pieces*, and silence when there are no more."""

    async def receive() -> dict[str, Any]:
        async for piece in pieces:
            return {"type": "http.request", "body": piece, "more_body": piece != b"."}
        await asyncio.sleep(3600)
        raise AssertionError

    return receive


async def _paced(*pieces: bytes, every_s: float = 0.0) -> AsyncIterator[bytes]:
    for piece in pieces:
        await asyncio.sleep(every_s)
        yield piece


async def read(pieces: AsyncIterator[bytes]) -> bytes:
    kept = bytearray()
    await Pace().read_body(_sender(pieces), lambda piece: _keep(kept, piece))
    return bytes(kept)


async def test_a_body_that_comes_in_time_is_read_to_its_end() -> None:
    assert b"abc." == await read(_paced(b"a", b"b", b"c", b"."))


async def test_a_sender_that_falls_silent_is_turned_away() -> None:
    with pytest.raises(TurnedAway) as refused:
        await read(_paced(b"a"))
    assert ("pace", HTTPStatus.REQUEST_TIMEOUT) == (refused.value.check, refused.value.status)


async def test_a_sender_that_is_never_silent_but_too_slow_is_turned_away() -> None:
    with pytest.raises(TurnedAway, match="pace"):
        await read(_paced(*[b"a"] * 50, every_s=0.05))


async def test_a_client_that_goes_away_is_no_slow_sender() -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    with pytest.raises(TurnedAway, match="cut"):
        await Pace().read_body(receive, lambda piece: _keep(bytearray(), piece))


async def test_whoever_turned_a_slow_sender_away_can_go_on() -> None:
    """The reading is ended by a cancellation that must not linger: the next thing that is awaited is the answer."""
    with pytest.raises(TurnedAway):
        await read(_paced(b"a"))
    await asyncio.sleep(0.05)
    task = asyncio.current_task()
    assert task is not None
    assert 0 == task.cancelling()


async def test_a_cancellation_from_outside_goes_through() -> None:
    reading = asyncio.create_task(read(_paced(b"a")))
    await asyncio.sleep(0.02)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading


async def test_a_slow_disk_is_not_the_senders_fault() -> None:
    async def take(piece: bytes) -> None:
        await asyncio.sleep(0.7)

    await Pace().read_body(_sender(_paced(b"a", b".")), take)


async def test_one_slow_sender_ends_no_other() -> None:
    patience = Pace()

    async def honest() -> bytes:
        kept = bytearray()
        pieces = _paced(b"a", b"b", b"c", b".", every_s=0.05)
        await patience.read_body(_sender(pieces), lambda piece: _keep(kept, piece))
        return bytes(kept)

    async def slow() -> None:
        with pytest.raises(TurnedAway):
            await patience.read_body(_sender(_paced()), lambda piece: _keep(bytearray(), piece))

    said = tuple(await asyncio.gather(honest(), slow(), honest()))
    assert (b"abc.", None, b"abc.") == said
