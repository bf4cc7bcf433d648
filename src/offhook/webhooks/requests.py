"""A webhook request as it stands at the door: what its headers claim, its bytes as they come, the plain answers.

These routes are bare ASGI: a framework's request object costs more than all the work of filing a small event.
"""

import ipaddress
from collections.abc import Sequence
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import parse_qs

import msgspec
from starlette.requests import HTTPConnection
from starlette.types import Scope, Send

from offhook.refusals import Check, Refusal, Refusals
from offhook.settings import Network

_LONGEST_CLAIM = 64  #: of what an unproven head says, as it is remembered

UNAUTHORIZED = b'{"error":"Unauthorized"}'


class TurnedAway(Exception):
    """The request is refused; *check* is for our eyes, the sender only sees *status*."""

    def __init__(self, check: Check, status: HTTPStatus = HTTPStatus.UNAUTHORIZED) -> None:
        super().__init__(check)
        self.check: Check = check
        self.status = status


class Knock(msgspec.Struct, frozen=True):
    """What a request says of itself before its body is read. None of it is proven."""

    path: str
    sender: str  #: address; of the first untrusted hop where a trusted proxy stands in front
    org_claim: str | None  #: ?org=
    signature: str | None  #: the ElevenLabs-Signature header
    bearer: str | None  #: what follows "Bearer " in Authorization


class Senders:
    """Knows whose address a request has, and whether that address may send."""

    def __init__(self, trusted_proxies: Sequence[Network], allowed: Sequence[Network]) -> None:
        self._trusted = trusted_proxies
        self._allowed = allowed

    def address(self, scope: Scope, forwarded_for: str | None) -> str:
        """The peer's address, or the right-most of X-Forwarded-For that no trusted proxy owns: what stands further left
        is the sender's own writing."""
        peer: str = (scope.get("client") or ("",))[0]
        if not (forwarded_for and self._trusted and _is_in(peer, self._trusted)):
            return peer
        hops = [hop.strip() for hop in forwarded_for.split(",")]
        return next((hop for hop in reversed(hops) if not _is_in(hop, self._trusted)), hops[0])

    def address_of(self, request: HTTPConnection) -> str:
        """The same of a request whose headers somebody else has read."""
        return self.address(request.scope, ",".join(request.headers.getlist("x-forwarded-for")) or None)

    def may_send(self, address: str) -> bool:
        return not self._allowed or _is_in(address, self._allowed)


def read_knock(scope: Scope, senders: Senders) -> Knock:
    """Read *scope* without ever failing: a header that makes no sense is a header that proves nothing."""
    found: dict[bytes, str] = {}
    for name, value in scope["headers"]:
        if name in _HEADERS:
            text = value.decode("latin-1").strip(" \t")  # the parser leaves the white space behind a value
            found[name] = f"{found[name]},{text}" if name in found else text
    query: bytes = scope["query_string"]
    scheme, _, token = found.get(b"authorization", "").partition(" ")
    return Knock(
        path=scope["path"],
        sender=senders.address(scope, found.get(b"x-forwarded-for")),
        org_claim=_org_of(query) if query else None,
        signature=found.get(b"elevenlabs-signature"),
        bearer=token.strip() if scheme.lower() == "bearer" else None,
    )


class Answer(NamedTuple):
    """One answer, JSON unless it says otherwise."""

    status: HTTPStatus
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()
    content_type: bytes = b"application/json"


def come_back_later(why: str) -> Answer:
    """503: where retries are enabled ElevenLabs sends it again; any 4xx would lose the event for good."""
    body = msgspec.json.encode({"error": why})
    return Answer(HTTPStatus.SERVICE_UNAVAILABLE, body, ((b"retry-after", b"5"),))


def refuse(refusals: Refusals, knock: Knock, refused: TurnedAway, *, size_bytes: int, at: float) -> Answer:
    """Note the refusal and answer it. Every 401 is alike: which check failed is nobody's business but ours."""
    refusals.add(
        Refusal(
            at=at,
            path=knock.path,
            sender=knock.sender[:_LONGEST_CLAIM],
            size_bytes=size_bytes,
            check=refused.check,
            org_id=knock.org_claim and knock.org_claim[:_LONGEST_CLAIM],
        )
    )
    is_401 = refused.status == HTTPStatus.UNAUTHORIZED
    body = UNAUTHORIZED if is_401 else msgspec.json.encode({"error": refused.status.phrase})
    return Answer(refused.status, body, ((b"connection", b"close"),))  # what is left of the body is not read


async def send_answer(send: Send, answer: Answer) -> None:
    length = str(len(answer.body)).encode()
    headers = [(b"content-type", answer.content_type), (b"content-length", length), *answer.headers]
    await send({"type": "http.response.start", "status": int(answer.status), "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


_HEADERS = frozenset({b"authorization", b"elevenlabs-signature", b"x-forwarded-for"})


def _org_of(query: bytes) -> str | None:
    if query.startswith(b"org=") and query[4:].isalnum():  # as our own webhook_url spells it
        return query[4:].decode("ascii", "replace")
    values = parse_qs(query.decode("latin-1"), max_num_fields=32).get("org") if query.count(b"&") < 32 else None
    return values[0] if values else None


def _is_in(address: str, networks: Sequence[Network]) -> bool:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    return any(ip.version == network.version and ip in network for network in networks)
