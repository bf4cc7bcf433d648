"""The load: one thread, plain sockets, requests prepared beforehand. It takes a fraction of what any server here needs.

Two ways to send. The closed loop keeps each connection busy and asks how much the server can do. The open loop sends at
fixed times whatever the server does, and counts each wait from the time at which a request was due: a server that stalls
is charged for all who would have come meanwhile.
"""

import contextlib
import gc
import selectors
import socket
import statistics
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Self

import msgspec

_PIECE_BYTES = 65_536
_PATIENCE_S = 60.0
_clock = time.perf_counter

Pieces = Iterator[bytes]  #: a large request, never whole in memory


class Broken(Exception):
    """The server gave another answer than 200, or none: there is nothing to compare."""


class NotHere(Exception):
    """This machine lacks what the measurement needs; the sentence says what."""


class Run(msgspec.Struct, frozen=True):
    """What came of a stretch of load."""

    elapsed_s: float  #: from the first request to the last answer
    latencies_s: tuple[float, ...]  #: sorted

    @property
    def answers(self) -> int:
        return len(self.latencies_s)

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answers / self.elapsed_s

    @property
    def p50_s(self) -> float:
        return statistics.median(self.latencies_s)

    @property
    def p99_s(self) -> float:
        return self.latencies_s[int(len(self.latencies_s) * 0.99)]


def closed_loop(port: int, requests: Iterator[bytes], *, connections: int, seconds: float) -> Run:
    """Send the next request on each of *connections* as soon as its answer is there, for *seconds* or to the last one."""
    latencies_s: list[float] = []
    with _Lines(port, connections) as lines:
        begun = _clock()
        for request in islice(requests, connections):
            lines.send(request, _clock())
        while lines.are_busy:
            for line in lines.answered(_PATIENCE_S):
                latencies_s.append(line.latency_s)
                if _clock() - begun < seconds and (request := next(requests, b"")):
                    lines.send(request, _clock())
        elapsed_s = _clock() - begun
    return Run(elapsed_s, tuple(sorted(latencies_s)))


def open_loop(
    port: int,
    requests: Iterator[bytes],
    *,
    rate: float,
    seconds: float,
    connections: int = 64,
    uploads: Sequence[Iterator[Pieces]] = (),
) -> Run:
    """Send *rate* requests a second for *seconds*; meanwhile each of *uploads* sends one large request after the other.

    It spins: a timer would wake up later than these answers take.
    """
    latencies_s: list[float] = []
    count = int(rate * seconds)
    sent = 0
    with _Lines(port, connections) as lines, contextlib.ExitStack() as stack:
        trunks = [(stack.enter_context(_Lines(port, 1)), source) for source in uploads]
        begun = _clock()
        while sent < count or lines.are_busy:
            while sent < count and lines.has_room and (due_at := begun + sent / rate) <= _clock():
                lines.send(next(requests), due_at)
                sent += 1
            latencies_s += [line.latency_s for line in lines.answered(0)]
            for trunk, source in trunks:
                trunk.answered(0)
                if trunk.has_room and sent < count:
                    trunk.send(next(source), _clock())
            if _clock() - begun > seconds + _PATIENCE_S:
                raise Broken("The server left requests unanswered.")
        elapsed_s = _clock() - begun
    return Run(elapsed_s, tuple(sorted(latencies_s)))


def upload(port: int, pieces: Pieces) -> float:
    """Send one large request; the seconds until its answer."""
    with _Lines(port, 1) as lines:
        lines.send(pieces, _clock())
        while not (done := lines.answered(_PATIENCE_S)):
            pass
        return done[0].latency_s


def chunked(pieces: Iterable[bytes]) -> Pieces:
    """*pieces* in HTTP's chunked framing."""
    for piece in filter(None, pieces):  # an empty chunk would be the end
        yield b"%x\r\n%b\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


class _Lines:
    """Kept-alive connections to one server, one request on each at a time."""

    def __init__(self, port: int, count: int) -> None:
        self._selector = selectors.DefaultSelector()
        self._all = [_Line(port, self._selector) for _ in range(count)]
        self._free = list(self._all)

    def __enter__(self) -> Self:
        gc.collect()
        gc.disable()  # a pause of ours would count as the server's
        return self

    def __exit__(self, *_: object) -> None:
        gc.enable()
        for line in self._all:
            line.close()
        self._selector.close()

    @property
    def has_room(self) -> bool:
        return bool(self._free)

    @property
    def are_busy(self) -> bool:
        return len(self._free) < len(self._all)

    def send(self, request: bytes | Pieces, due_at: float) -> None:
        """Begin to send *request* on a free line; *due_at* is when its wait begins."""
        self._free.pop().send(request, due_at)

    def answered(self, patience_s: float) -> "list[_Line]":
        """Move what can be moved; the lines whose answer has just become whole, free again.

        Broken when nothing can be moved for *patience_s*, unless that is 0.
        """
        ready = self._selector.select(patience_s)
        if not ready and patience_s:
            raise Broken(f"The server was silent for {patience_s:g} s.")
        done = [key.data for key, events in ready if key.data.move(events)]
        self._free += done
        return done


class _Line:
    """One connection: a request goes out, its answer comes back."""

    def __init__(self, port: int, selector: selectors.BaseSelector) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setblocking(False)
        self._selector = selector
        self._selector.register(self._socket, selectors.EVENT_READ, self)
        self._pieces: Pieces | None = None  #: what comes after _unsent; None: nothing
        self._unsent: bytes | memoryview = b""
        self._is_sending = False
        self._answer = b""
        self._due_at = 0.0
        self.latency_s = 0.0  #: of the last answer, from when its request was due

    def send(self, request: bytes | Pieces, due_at: float) -> None:
        self._due_at, self._answer = due_at, b""
        self._unsent, self._pieces = (request, None) if isinstance(request, bytes) else (b"", request)
        self._push()

    def move(self, events: int) -> bool:
        """Whether the answer has just become whole."""
        if events & selectors.EVENT_WRITE:
            self._push()
        return bool(events & selectors.EVENT_READ) and self._pull()

    def close(self) -> None:
        self._selector.unregister(self._socket)
        self._socket.close()

    def _push(self) -> None:
        """Send one piece, or as much of it as the socket takes; the rest when it takes more."""
        if not self._unsent and self._pieces is not None:
            self._unsent = next(self._pieces, b"")
            if not self._unsent:
                self._pieces = None
        try:
            sent = self._socket.send(self._unsent)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise Broken(f"The server closed the connection in the middle of a request: {error}.") from error
        self._unsent = memoryview(self._unsent)[sent:] if sent < len(self._unsent) else b""
        self._watch(is_sending=bool(self._unsent) or self._pieces is not None)

    def _watch(self, *, is_sending: bool) -> None:
        if is_sending is not self._is_sending:
            self._is_sending = is_sending
            writing = selectors.EVENT_WRITE if is_sending else 0
            self._selector.modify(self._socket, selectors.EVENT_READ | writing, self)

    def _pull(self) -> bool:
        received = self._socket.recv(_PIECE_BYTES)
        self._answer += received
        if not received:
            raise Broken(f"The server closed the connection; it had said {self._answer[:200]!r}.")
        head, found, body = self._answer.partition(b"\r\n\r\n")
        if not found or len(body) < _content_length(head):
            return False
        if not head.startswith(b"HTTP/1.1 200 "):
            raise Broken(f"The answer was not 200: {self._answer[:300]!r}.")
        self.latency_s = _clock() - self._due_at
        return True


def _content_length(head: bytes) -> int:
    _, found, rest = head.lower().partition(b"\r\ncontent-length:")
    return int(rest.partition(b"\r\n")[0]) if found else 0
