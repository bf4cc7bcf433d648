"""A reverse proxy in front of several servers, as nginx stands there with the configuration that the README shows.

Each request gets a connection of its own, to the servers in turn. Who refuses the connection is passed over, and that is all
that is tried again: of a request that was sent nobody knows what became of it, so its sender hears 502.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Self

from tests.services import Server

_BAD_GATEWAY = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
_PIECE_BYTES = 65_536

_Wire = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Proxy:
    """Listens within a block: `async with Proxy([one, two]) as proxy`."""

    def __init__(self, servers: Sequence[Server]) -> None:
        self._servers = servers
        self._turn = 0
        self.port = 0
        self.served: Counter[int] = Counter()  #: requests that each server was given, by its place
        self.passed_over = 0  #: connections that a server refused

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=512)
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listener.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The requests of one client, one after the other."""
        try:
            while await self._pass_on((reader, writer)):
                pass
        except (OSError, EOFError):
            pass  # the client has gone
        finally:
            writer.close()

    async def _pass_on(self, client: _Wire) -> bool:
        """Whether the client may send another request."""
        head = await client[0].readuntil(b"\r\n\r\n")
        upstream = await self._connect()
        if upstream is None:
            client[1].write(_BAD_GATEWAY)
            return False
        try:
            upstream[1].write(head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
            await _copy(client[0], upstream[1], _length(head))
            answer = await upstream[0].readuntil(b"\r\n\r\n")
            body = await upstream[0].readexactly(_length(answer))
        except (OSError, EOFError):
            client[1].write(_BAD_GATEWAY)
            return False
        finally:
            upstream[1].close()
        client[1].write(_without_connection(answer) + body)
        await client[1].drain()
        return True

    async def _connect(self) -> _Wire | None:
        """To the server whose turn it is, or the next one that does not refuse; None when all do."""
        self._turn += 1
        first = self._turn
        for place in ((first + n) % len(self._servers) for n in range(len(self._servers))):
            try:
                wire = await asyncio.open_connection("127.0.0.1", self._servers[place].port)
            except ConnectionRefusedError:
                self.passed_over += 1
            else:
                self.served[place] += 1
                return wire
        return None


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, size_bytes: int) -> None:
    while size_bytes:
        piece = await reader.read(min(size_bytes, _PIECE_BYTES))
        if not piece:
            raise EOFError
        writer.write(piece)
        await writer.drain()
        size_bytes -= len(piece)


def _length(head: bytes) -> int:
    return int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)


def _without_connection(head: bytes) -> bytes:
    """The head without what it says of the connection, which is between the server and the proxy."""
    lines = head.split(b"\r\n")
    return b"\r\n".join(line for line in lines if not line.lower().startswith(b"connection:"))
