"""What is fetched from addresses that others chose: nothing private is ever connected to, whatever a name says it is."""

import asyncio
import ipaddress
import json
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpcore
import pytest

from offhook.errors import GiveUp, TryLater
from offhook.outgoing import Reach, fetch, is_public, target
from tests.https import Site, site
from tests.services import Server, eventually
from tests.test_ingest import MP3, TOLD, known, tell

PRIVATE = [
    "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
    "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::1", "::127.0.0.1", "fe80::1",
    "fc00::1", "fd00:ec2::254", "ff02::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1",
    "2002:7f00:1::", "2001:0:7f00:1::", "2001:db8::1", "100::1", "fec0::1",
]  # fmt: skip
PUBLIC = ["8.8.8.8", "93.184.216.34", "2606:4700:4700::1111", "2a00:1450:4001:80e::200e", "64:ff9b::808:808"]
NOWHERE = Reach()


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_of_this_network_is_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_internet_is(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


REFUSED = [
    "http://files.example.com/a", "ftp://files.example.com/a", "file:///etc/passwd", "gopher://127.0.0.1/", "", "https://",
    "https:///a", "//files.example.com/a", "https://user@files.example.com/", "https://u:p@files.example.com/",
    "https://files.example.com:8080/", "https://files.example.com:22/", "https://files.example.com:0/",
    "https://127.0.0.1/", "https://[::1]/", "https://[::ffff:10.0.0.1]/", "https://169.254.169.254/", "https://2130706433/",
    "https://0x7f000001/", "https://0177.0.0.1/", "https://127.1/", "https://0x7f.1/", "https://127.0.0.1./",
    "https://a b/", "https://files.example.com\r\nHost: x/", "https://" + "a" * 5000, "https://exa\0mple.com/",
]  # fmt: skip


@pytest.mark.parametrize("url", REFUSED)
def test_an_address_that_can_only_be_wrong_is_refused_before_anything_is_asked(url: str) -> None:
    with pytest.raises(GiveUp):
        target(url, NOWHERE)


def test_the_usual_addresses_are_taken() -> None:
    for url in ("https://files.example.com/a?b=c", "https://files.example.com:443/", "https://FILES.example.com:80/a"):
        assert target(url, NOWHERE).host.lower() == "files.example.com"
    assert 8443 == target("https://files.example.com:8443/", Reach(ports=frozenset({8443}))).port


class Network:
    """Stands in for the resolver and the sockets of this process: answers names, and notes who was connected to."""

    def __init__(self, answers: list[list[str]]) -> None:
        self._answers = answers
        self.asked = 0
        self.connected: list[str] = []

    async def getaddrinfo(self, host: str, port: int, **_: Any) -> list[Any]:
        answer = self._answers[min(self.asked, len(self._answers) - 1)]
        self.asked += 1
        if not answer:
            raise socket.gaierror("no such name")
        families = {4: socket.AF_INET, 6: socket.AF_INET6}
        return [(families[ipaddress.ip_address(one).version], socket.SOCK_STREAM, 6, "", (one, port)) for one in answer]


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Network]:
    def install(*answers: list[str]) -> Network:
        made = Network(list(answers))
        loop = asyncio.get_running_loop()

        async def connect(self: Any, host: str, port: int, *rest: Any) -> Any:
            made.connected.append(host)
            raise httpcore.ConnectError("nobody is there")

        monkeypatch.setattr(loop, "getaddrinfo", made.getaddrinfo)
        monkeypatch.setattr(httpcore.AnyIOBackend, "connect_tcp", connect)
        return made

    return install


async def nothing(_: bytes) -> None:
    raise AssertionError("something came")


async def fetched(url: str, reach: Reach = NOWHERE, **wishes: Any) -> int:
    return await fetch(
        url, wishes.pop("take", nothing), reach=reach, **{"limit_bytes": 1 << 20, "within_s": 5, **wishes}
    )


@pytest.mark.parametrize("address", PRIVATE)
async def test_a_name_that_leads_into_this_network_is_not_connected_to(network: Any, address: str) -> None:
    seen = network([address])
    with pytest.raises(GiveUp):
        await fetched("https://files.example.com/a.mp3")
    assert [] == seen.connected


async def test_a_name_that_is_public_and_private_at_once_is_not_connected_to(network: Any) -> None:
    seen = network(["93.184.216.34", "10.0.0.1"])
    with pytest.raises(GiveUp):
        await fetched("https://files.example.com/a.mp3")
    assert [] == seen.connected


async def test_a_name_is_looked_up_once_and_the_connection_goes_to_what_was_checked(network: Any) -> None:
    """DNS rebinding: the second answer would lead to this machine."""
    seen = network(["93.184.216.34"], ["127.0.0.1"])
    with pytest.raises(TryLater):
        await fetched("https://files.example.com/a.mp3")
    assert (1, ["93.184.216.34"]) == (seen.asked, seen.connected)


async def test_a_name_that_nobody_knows_is_tried_again_later(network: Any) -> None:
    network([])
    with pytest.raises(TryLater):
        await fetched("https://files.example.com/a.mp3")


# A real server; this machine is allowed for it

GIVEN: dict[str, tuple[int, dict[str, str], bytes]] = {
    "/a.mp3": (200, {"Content-Type": "audio/mpeg"}, MP3),
    "/page": (200, {"Content-Type": "text/html"}, b"<html>This link has expired</html>"),
    "/moved": (302, {"Location": "https://127.0.0.1/a.mp3"}, b""),
    "/gone": (410, {}, b""),
    "/yet": (404, {}, b""),
    "/busy": (503, {"Retry-After": "17"}, b""),
    "/said-long": (200, {"Content-Length": str(1 << 40)}, b""),
    "/long": (200, {}, bytes(3 << 20)),
    "/zip": (200, {"Content-Encoding": "gzip"}, b"\x1f\x8b"),
}


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path, GIVEN.__getitem__) as running:
        yield running


def reach_of(here: Site) -> Reach:
    return Reach((ipaddress.ip_network("127.0.0.0/8"),), frozenset({here.port}))


async def test_what_is_there_comes_whole(here: Site) -> None:
    got = bytearray()

    async def take(piece: bytes) -> None:
        got.extend(piece)

    tls = ssl.create_default_context(cafile=here.certificate)
    assert len(MP3) == await fetched(here.url(), reach_of(here), take=take, tls=tls)
    assert MP3 == got


@pytest.mark.parametrize("path", ["/moved", "/gone", "/said-long", "/long", "/zip"])
async def test_what_will_never_be_had_is_given_up(here: Site, path: str) -> None:
    async def take(_: bytes) -> None:
        pass

    tls = ssl.create_default_context(cafile=here.certificate)
    with pytest.raises(GiveUp):
        await fetched(here.url(path), reach_of(here), take=take, tls=tls)
    assert [path] == here.asked


@pytest.mark.parametrize(("path", "after_s"), [("/yet", None), ("/busy", 17.0)])
async def test_what_may_be_there_later_is_tried_later(here: Site, path: str, after_s: float | None) -> None:
    tls = ssl.create_default_context(cafile=here.certificate)
    with pytest.raises(TryLater) as later:
        await fetched(here.url(path), reach_of(here), tls=tls)
    assert after_s == later.value.after_s


async def test_who_cannot_prove_their_name_is_not_asked(here: Site) -> None:
    with pytest.raises(TryLater):
        await fetched(here.url(), reach_of(here))
    assert [] == here.asked


# The whole way


@pytest.fixture(params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest, start_server: Callable[..., Server], here: Site) -> Server:
    url = request.getfixturevalue("postgresql_url") if request.param == "postgresql" else ""
    allowed = {"OFFHOOK_OUTGOING_NETWORKS": "127.0.0.0/8", "OFFHOOK_OUTGOING_PORTS": str(here.port)}
    return start_server(database_url=url, env={**allowed, "SSL_CERT_FILE": str(here.certificate)})


def test_a_recording_is_fetched_from_where_it_is_said_to_be(server: Server, here: Site) -> None:
    answer = tell(server, {**TOLD, "externalCallId": "crm-7", "recording": here.url()})
    assert 201 == answer.status_code, answer.text
    call_id = answer.json()["callId"]
    (kept,) = eventually(lambda: known(server, call_id)["recordings"])
    assert (len(MP3), "ready") == (kept["bytes"], kept["state"])
    again = tell(server, {**TOLD, "externalCallId": "crm-7", "recording": here.url(), "summary": "Another."})
    assert again.json()["deduplicated"] is True
    eventually(lambda: known(server, call_id)["summary"] == "Another.")
    assert ["/a.mp3"] == here.asked
    found = server.get("/api/events", callId=call_id, type="ingest_recording").json()["data"]
    assert [("ingest", "none", "projected")] == [(one["source"], one["proof"], one["status"]) for one in found]
    body = json.loads(server.offhook("events", "show", found[0]["_id"], "--body"))
    assert here.url() == body["url"]


def test_a_page_is_no_recording(start_server: Callable[..., Server], here: Site) -> None:
    allowed = {"OFFHOOK_OUTGOING_NETWORKS": "127.0.0.0/8", "OFFHOOK_OUTGOING_PORTS": str(here.port)}
    server = start_server(env={**allowed, "SSL_CERT_FILE": str(here.certificate)})
    call_id = tell(server, {**TOLD, "recording": here.url("/page")}).json()["callId"]
    eventually(lambda: "effect.dead" in server.log and "no MP3" in server.log)
    assert [] == known(server, call_id)["recordings"]
    assert [] == [path for path in (server.data_dir / "recordings").rglob("*") if path.is_file()]
