"""Answers that have no end, read piece by piece: httpx's own transport for ASGI would wait for the last one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
import msgspec


class Told(NamedTuple):
    """A server-sent event."""

    event: str
    data: dict[str, Any]
    id: str


class Stream:
    """An answer that has begun."""

    def __init__(self) -> None:
        self.status = 0
        self.sent: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.reads = asyncio.Event()  #: while it is not set, nobody takes what is sent
        self.reads.set()
        self._text = ""

    async def next(self, *, within_s: float = 3.0) -> Told | None:
        """The next event; None at the end."""
        async with asyncio.timeout(within_s):
            while True:
                block, mark, rest = self._text.partition("\n\n")
                if not mark:
                    piece = await self.sent.get()
                    if piece is None:
                        return None
                    self._text += piece.decode()
                    continue
                self._text = rest
                fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
                if "event" in fields:
                    return Told(fields["event"], msgspec.json.decode(fields["data"]), fields.get("id", ""))

    async def until(self, event: str, **data: Any) -> Told:
        """The next *event* that has this in its data."""
        while (told := await self.next()) is not None:
            if told.event == event and data.items() <= told.data.items():
                return told
        raise AssertionError(f"the stream ended without {event} {data}")


@asynccontextmanager
async def opened(browser: httpx.AsyncClient, app: Any, path: str, **headers: str) -> AsyncIterator[Stream]:
    """GET *path* of *app* with the cookies of *browser*."""
    request = browser.build_request("GET", path, headers=headers)
    stream, begun, gone = Stream(), asyncio.Event(), asyncio.Event()

    async def receive() -> dict[str, Any]:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            stream.status = message["status"]
            begun.set()
            return
        await stream.reads.wait()
        stream.sent.put_nowait(message.get("body", b""))
        if not message.get("more_body"):
            stream.sent.put_nowait(None)

    place = urlsplit(str(request.url))
    told = [(name.lower(), value) for name, value in request.headers.raw]
    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": "GET",
        "scheme": "http", "path": place.path, "raw_path": place.path.encode(), "query_string": place.query.encode(),
        "root_path": "", "headers": told, "client": ("192.0.2.1", 1), "server": ("calls.example", 80),
    }  # fmt: skip
    task = asyncio.create_task(app(scope, receive, send))
    await asyncio.wait_for(begun.wait(), 3)
    try:
        yield stream
    finally:
        gone.set()
        stream.reads.set()
        await asyncio.wait_for(task, 3)
