"""Senders who are only in the way, as a process of their own: `python -m tests.flood slow|uploads PORT ORG`.

They begin again whenever they are sent away, until standard input ends; then it prints how often each answer came, and how
much was sent.
"""

import asyncio
import contextlib
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable

from tests.traffic import DOOR

_PIECE = b"QUJD" * 65_536
_WITHIN_S = 15.0  #: they do not all come in the same instant
_EVERY_S = 0.5  #: a hundred uploads make 50 MiB a second: it is not the machine that is to be measured


class Flood:
    def __init__(self, port: int, org_id: str) -> None:
        self._port = port
        self._head = f"POST {DOOR}?org={org_id} HTTP/1.1\r\nHost: offhook\r\n".encode()
        self.answers: Counter[str] = Counter()  #: by status; "" where there was none
        self.sent_bytes = 0

    async def idle(self) -> None:
        await self._send(b"", b"", 1)

    async def slow_head(self) -> None:
        await self._send(self._head, b"X", 1)

    async def slow_body(self) -> None:
        await self._send(self._begin(1_000_000) + b"[", b"[", 1)

    async def upload(self) -> None:
        begin = self._begin(1 << 30) + b'{"type":"post_call_audio","data":{"full_audio":"'
        await self._send(begin, _PIECE, _EVERY_S)

    def _begin(self, size_bytes: int) -> bytes:
        proof = f"ElevenLabs-Signature: t={int(time.time())},v0={'0' * 64}\r\n"
        return self._head + f"{proof}Content-Length: {size_bytes}\r\n\r\n".encode()

    async def _send(self, begin: bytes, piece: bytes, every_s: float) -> None:
        """Send *begin*, and a *piece* now and then, until the other side has enough of it."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        said = asyncio.ensure_future(reader.read(4096))
        try:
            writer.write(begin)
            while not said.done():
                writer.write(piece)
                self.sent_bytes += len(piece)
                await asyncio.wait([said], timeout=every_s)
                await asyncio.wait_for(writer.drain(), 60)
        finally:
            with contextlib.suppress(OSError, TimeoutError):
                self.answers[(await asyncio.wait_for(said, 5))[9:12].decode()] += 1
            writer.close()


async def _flood(kind: str, port: int, org_id: str) -> None:
    flood = Flood(port, org_id)
    senders = {
        "slow": ((1000, flood.idle), (250, flood.slow_head), (250, flood.slow_body)),
        "uploads": ((100, flood.upload),),
    }
    tasks = [asyncio.create_task(_again(send)) for count, send in senders[kind] for _ in range(count)]
    await asyncio.to_thread(sys.stdin.read)
    print(json.dumps({"answers": flood.answers, "sent_bytes": flood.sent_bytes}), flush=True)
    for task in tasks:
        task.cancel()


async def _again(send: Callable[[], Awaitable[None]]) -> None:
    await asyncio.sleep(random.random() * _WITHIN_S)
    while True:
        with contextlib.suppress(OSError, EOFError, TimeoutError):
            await send()
        await asyncio.sleep(0.02)


if __name__ == "__main__":
    asyncio.run(_flood(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
