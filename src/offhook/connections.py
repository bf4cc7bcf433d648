"""Connections, with bounds where the HTTP server has none: until a request is whole enough to be looked at, it is nobody's.

A stranger may send a head that has no end, or none at all; pile up requests and read no answer; or say behind the body what
belongs in front of it. Each of these ends the connection, and none of them costs anybody else.
"""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_JOINED_BYTES = 16 * 1024  #: to copy so much costs less than to write twice
_ANSWER = b"HTTP/1.1 %d %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b"


class BoundedConnection(HttpToolsProtocol):
    """One connection of uvicorn's."""

    head_bytes: ClassVar[int] = 64 * 1024  #: of address and headers; also of whatever else brings a request no further
    head_s: ClassVar[float] = 20.0  #: how long a head may take, from the beginning of the connection or from its own
    waiting_requests: ClassVar[int] = 16  #: sent ahead, while an earlier answer is on its way
    unread_s: ClassVar[float] = 60.0  #: how long an answer may lie unread

    _is_getting_on = False  #: what came last brought a request further
    _idle_bytes = 0  #: that came since something did
    _fed_bytes = 0  #: no head is longer
    _refusal = HTTPStatus.BAD_REQUEST

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        self._head_alarm = _Alarm(self.loop, self.head_s, self._miss_head)
        self._unread_alarm = _Alarm(self.loop, self.unread_s, self.transport.abort)
        self._head_alarm.set()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._head_alarm.call_off()
        self._unread_alarm.call_off()

    def data_received(self, data: bytes) -> None:
        self._is_getting_on = False
        self._fed_bytes = self._idle_bytes + len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        self._idle_bytes = 0 if self._is_getting_on else self._fed_bytes
        if self._idle_bytes > self.head_bytes:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        elif self.cycle is None or self.cycle.response_complete:
            self._head_alarm.set()

    # What the parser finds

    def on_headers_complete(self) -> None:
        self._is_getting_on = True
        self._head_alarm.call_off()
        if self._fed_bytes > self.head_bytes and self._head_size_bytes() > self.head_bytes:
            self._refusal = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            raise _TooMuch
        super().on_headers_complete()
        self.cycle.transport = _Outlet(self.transport, self.loop)  # type: ignore[assignment]
        self.headers = []  # for what follows the body: a trailer proves nothing, and is nobody's address
        if len(self.pipeline) > self.waiting_requests:
            raise _TooMuch

    def on_body(self, body: bytes) -> None:
        self._is_getting_on = True
        super().on_body(body)

    # Whoever does not read

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread_alarm.set()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._unread_alarm.call_off()

    # The end

    def send_400_response(self, msg: str) -> None:
        """What uvicorn does about what it cannot parse on, be it because we do not want to."""
        self._refuse(self._refusal)

    def _head_size_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _miss_head(self) -> None:
        if self._idle_bytes:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)
        else:
            self.transport.close()

    def _refuse(self, status: HTTPStatus) -> None:
        """Close the connection; with an answer, unless an earlier one is still on its way."""
        is_free = self.cycle is None or self.cycle.response_complete
        if is_free or not (self.pipeline or self.cycle.response_started):
            phrase = status.phrase.encode()
            body = b'{"error":"%b"}' % phrase
            self.transport.write(_ANSWER % (status, phrase, len(body), body))
        self.transport.close()


class _Outlet:
    """Where an answer is written: its head waits for what follows in the same turn of the loop, and both leave as one.

    Two writes are two calls of the kernel's, two segments on the wire, and wake the reader twice.
    """

    __slots__ = ("_head", "_is_begun", "_loop", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._is_begun = False
        self._head = b""

    def write(self, data: bytes) -> None:
        if not self._is_begun:
            self._is_begun = True
            self._head = data
            self._loop.call_soon(self._flush)
        elif self._head and len(data) <= _JOINED_BYTES:
            data, self._head = self._head + data, b""
            self._transport.write(data)
        else:
            self._flush()
            self._transport.write(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def _flush(self) -> None:
        if self._head and not self._transport.is_closing():
            self._transport.write(self._head)
        self._head = b""


class _TooMuch(Exception):
    """Ends the parsing of what a sender has no end of."""


class _Alarm:
    """Rings once some time after it was set, unless it is called off."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float, ring: Callable[[], object]) -> None:
        self._loop = loop
        self._seconds = seconds
        self._ring = ring
        self._timer: asyncio.TimerHandle | None = None

    def set(self) -> None:
        """From now on; one that is set already is left as it is."""
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._go_off)

    def call_off(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _go_off(self) -> None:
        self._timer = None
        self._ring()
