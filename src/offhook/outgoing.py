"""What is fetched from an address that somebody else chose (SSRF): it must not reach what only this machine can reach.

    https only, ports 443 and 80                    a port scan through us shows nothing
    every address of the host must be public        not this machine, not its network, not a cloud's metadata
    the connection goes to the very address that was checked    a name that answers otherwise the second time does not matter
    no redirects, no proxies of the environment     nobody leads us elsewhere

httpx-secure was looked at for this and left: it learns a host's address by connecting to it, private ones included, which
tells whoever chose the name what listens in our network.
"""

import asyncio
import ipaddress
import re
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Any, NamedTuple

import httpcore
import httpx

from offhook import __version__
from offhook.errors import GiveUp, TryLater

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_PORTS = frozenset({443, 80})
_CONNECT_S = 10.0
_SILENCE_S = 30.0  #: between two pieces of the answer
_LONGEST_URL = 4096
_LATEST_RETRY_S = 86_400.0
_UNICAST = ipaddress.ip_network("2000::/3")  #: all that is routed of IPv6
#: Ranges that lead on to an IPv4 address inside them: 6to4 and Teredo.
_TUNNELS = (ipaddress.ip_network("2002::/16"), ipaddress.ip_network("2001::/32"))
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_HOST = re.compile(r"[a-z0-9._-]{1,253}|[0-9a-f:.]+", re.IGNORECASE | re.ASCII)
_NUMBER_AT_THE_END = re.compile(r"(?:^|\.)(?:0x[0-9a-f]*|[0-9]+)\.?$", re.IGNORECASE)
_OK, _NOT_YET = 200, frozenset({404, 408, 409, 423, 425, 429})

_FAILURES = (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError)


class Reach(NamedTuple):
    """Where requests may go beyond public addresses and the usual ports."""

    networks: Sequence[Network] = ()
    ports: frozenset[int] = frozenset()

    def includes(self, address: Address) -> bool:
        return is_public(address) or any(address in one for one in self.networks)


class Target(NamedTuple):
    """An address that may be asked, as far as it can be told before its name is looked up."""

    url: str
    host: str
    port: int


def target(url: str, reach: Reach) -> Target:
    """*url* read; GiveUp, with a sentence, when nothing may ever be fetched from there."""
    try:
        read = httpx.URL(url if len(url) <= _LONGEST_URL else "")
        host, port = read.raw_host.decode("ascii"), 443 if read.port is None else read.port
    except (httpx.InvalidURL, UnicodeError, ValueError):
        raise GiveUp("It is no address that can be read.") from None
    if read.scheme != "https" or not _HOST.fullmatch(host):
        raise GiveUp("Its address must begin with https:// and name a host.")
    if read.userinfo:
        raise GiveUp("Its address must not hold a user name or password.")
    if port not in _PORTS | reach.ports:
        raise GiveUp(f"Port {port} is not allowed; OFFHOOK_OUTGOING_PORTS allows more.")
    if (literal := _address(host)) is not None:
        _must_be_within(reach, [literal])
    elif _NUMBER_AT_THE_END.search(host):  # 2130706433, 0x7f.1 and 017700000001 are all 127.0.0.1 to some resolver
        raise GiveUp("Its address must name a host, or be an IP address as it is usually written.")
    return Target(str(read), host, port)


def is_public(address: Address) -> bool:
    """Whether anybody on the internet could reach *address*, and it is one machine's."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or (ipaddress.IPv4Address(address.packed[-4:]) if address in _NAT64 else None)
        if inner is not None:
            return is_public(inner)
        return address in _UNICAST and address.is_global and not any(address in tunnel for tunnel in _TUNNELS)
    return address.is_global and not (address.is_multicast or address.is_reserved)


async def fetch(
    url: str,
    take: Callable[[bytes], Awaitable[None]],
    *,
    reach: Reach,
    limit_bytes: int,
    within_s: float,
    tls: ssl.SSLContext | None = None,
) -> int:
    """Give *take* what is at *url*, piece by piece; how many bytes it was.

    GiveUp when it may not or cannot be had, TryLater when it may come about another time. What *take* raises passes
    through. *tls*: whom to believe; None: the authorities of httpx and SSL_CERT_FILE.
    """
    asked = target(url, reach)
    try:
        async with asyncio.timeout(within_s), _answer(asked, reach, tls) as answer:
            return await _body(answer, take, limit_bytes)
    except TimeoutError:
        raise TryLater(f"{asked.host} needed longer than {within_s:.0f} s.") from None
    except _FAILURES as error:
        raise TryLater(f"{asked.host} could not be reached: {type(error).__name__}.") from None


def _answer(asked: Target, reach: Reach, tls: ssl.SSLContext | None) -> Any:
    return _Exchange(asked, reach, tls or httpx.create_ssl_context())


class _Exchange:
    """One request and its answer, on a connection of their own."""

    def __init__(self, asked: Target, reach: Reach, tls: ssl.SSLContext) -> None:
        self._pool = httpcore.AsyncConnectionPool(ssl_context=tls, network_backend=_Guard(reach))
        self._request = httpcore.Request(
            "GET",
            asked.url,
            headers={
                "Host": httpx.URL(asked.url).netloc,
                "User-Agent": f"offhook/{__version__}",
                "Accept-Encoding": "identity",
                "Connection": "close",
            },
            extensions={
                "timeout": {"connect": _CONNECT_S, "read": _SILENCE_S, "write": _SILENCE_S, "pool": _CONNECT_S}
            },
        )

    async def __aenter__(self) -> httpcore.Response:
        await self._pool.__aenter__()
        try:
            self._answer = await self._pool.handle_async_request(self._request)
        except BaseException:
            await self._pool.aclose()
            raise
        return self._answer

    async def __aexit__(self, *_: object) -> None:
        try:
            await self._answer.aclose()
        finally:
            await self._pool.aclose()


async def _body(answer: httpcore.Response, take: Callable[[bytes], Awaitable[None]], limit_bytes: int) -> int:
    headers = {name.lower(): value.decode("latin-1") for name, value in answer.headers}
    _must_be_good(answer.status, headers)
    if _number(headers.get(b"content-length")) > limit_bytes:
        raise GiveUp(_too_long(limit_bytes))
    size = 0
    async for piece in _stream(answer):
        size += len(piece)
        if size > limit_bytes:
            raise GiveUp(_too_long(limit_bytes))
        await take(piece)
    return size


def _stream(answer: httpcore.Response) -> AsyncIterator[bytes]:
    return answer.aiter_stream()


def _must_be_good(status: int, headers: dict[bytes, str]) -> None:
    if status == _OK:
        if headers.get(b"content-encoding", "identity").lower() != "identity":
            raise GiveUp("It came compressed, although that was not asked for.")
        return
    if 300 <= status < 400:
        raise GiveUp("It is somewhere else (a redirect), and offhook goes only where it was told to.")
    if status in _NOT_YET or status >= 500:
        wait_s = _number(headers.get(b"retry-after"))
        raise TryLater(f"It was answered with {status}.", after_s=min(float(wait_s), _LATEST_RETRY_S) or None)
    raise GiveUp(f"It was answered with {status}.")


class _Guard(httpcore.AsyncNetworkBackend):
    """Connects to addresses that it has checked itself, and to nothing else."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        addresses = await _looked_up(host, port, timeout)
        _must_be_within(self._reach, addresses)
        failure: Exception = TryLater(f"{host} has no address.")
        for address in addresses:
            try:
                return await self._network.connect_tcp(str(address), port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure


async def _looked_up(host: str, port: int, timeout: float | None) -> list[Address]:
    """Each address of *host* once, in the order of the resolver; TryLater when it has none just now."""
    try:
        async with asyncio.timeout(timeout):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise TryLater(f"The name {host} cannot be looked up.") from None
    addresses = [_address(str(one[4][0])) for one in found]
    return list(dict.fromkeys(address for address in addresses if address is not None))


def _must_be_within(reach: Reach, addresses: Sequence[Address]) -> None:
    """All of them: a name that is public and private at once is a trap, or will be."""
    if not all(map(reach.includes, addresses)):
        raise GiveUp("Its address is not public; OFFHOOK_OUTGOING_NETWORKS allows networks of your own.")


def _address(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _number(word: str | None) -> int:
    return int(word) if word is not None and word.isascii() and word.isdigit() and len(word) < 16 else 0


def _too_long(limit_bytes: int) -> str:
    return f"It is longer than the {limit_bytes >> 20} MiB that OFFHOOK_RECORDING_LIMIT_MIB allows."
