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

from offhook import __version__
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
BELIEVES_NOBODY = ssl.SSLContext(
    ssl.PROTOCOL_TLS_CLIENT
)  #: made once: reading every authority takes a tenth of a second


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


UNREADABLE = "It is no address that can be read."
NO_HTTPS = "Its address must begin with https:// and name a host."
A_USER = "Its address must not hold a user name or password."
A_NUMBER = "Its address must name a host, or be an IP address as it is usually written."
NOT_PUBLIC = "Its address is not public; OFFHOOK_OUTGOING_NETWORKS allows networks of your own."


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("https://exa\0mple.com/", UNREADABLE),
        ("https://files.example.com:port/", UNREADABLE),
        ("https://files.example.com/" + "a" * 5000, NO_HTTPS),
        ("http://files.example.com/", NO_HTTPS),
        ("https:///a", NO_HTTPS),
        ("https://a b/", NO_HTTPS),
        ("https://[fe80::1%25eth0]/", NO_HTTPS),
        ("https://user@files.example.com/", A_USER),
        ("https://:password@files.example.com/", A_USER),
        ("https://files.example.com:22/", "Port 22 is not allowed; OFFHOOK_OUTGOING_PORTS allows more."),
        ("https://0177.0.0.1/", UNREADABLE),
        ("https://2130706433/", A_NUMBER),
        ("https://files.0x7f/", A_NUMBER),
        ("https://127.0.0.1./", A_NUMBER),
        ("https://127.0.0.1/", NOT_PUBLIC),
        ("https://[::1]/", NOT_PUBLIC),
    ],
)
def test_an_address_that_is_refused_says_what_is_wrong_with_it(url: str, sentence: str) -> None:
    with pytest.raises(GiveUp) as given_up:
        target(url, NOWHERE)
    assert sentence == str(given_up.value)


def test_an_address_may_have_4096_characters() -> None:
    url = "https://files.example.com/"
    assert url.ljust(4096, "a") == target(url.ljust(4096, "a"), NOWHERE).url
    with pytest.raises(GiveUp):
        target(url.ljust(4097, "a"), NOWHERE)


def test_a_target_is_the_address_as_it_is_asked_its_host_and_its_port() -> None:
    assert ("https://files.example.com/a?b=c", "files.example.com", 443) == target(
        "https://FILES.example.com/a?b=c", NOWHERE
    )
    assert ("https://files.example.com:80/", "files.example.com", 80) == target(
        "https://files.example.com:80/", NOWHERE
    )
    assert ("https://8.8.8.8/", "8.8.8.8", 443) == target("https://8.8.8.8:443/", NOWHERE)
    assert ("https://xn--bcher-kva.example/", "xn--bcher-kva.example", 443) == target(
        "https://bücher.example/", NOWHERE
    )


def test_networks_and_ports_of_ones_own_are_within_reach_and_no_others() -> None:
    ours = Reach((ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8")), frozenset({8443}))
    assert "10.1.2.3" == target("https://10.1.2.3:8443/", ours).host
    assert "fd00::1" == target("https://[fd00::1]/", ours).host
    for url in ("https://11.0.0.1:8444/", "https://192.168.1.1/", "https://[fe80::1]/", "https://10.0.0.1:22/"):
        with pytest.raises(GiveUp):
            target(url, ours)


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
        self.questions: list[tuple[Any, ...]] = []
        self.connected: list[str] = []
        self.ways: list[tuple[Any, ...]] = []  #: port and limits of the same

    async def getaddrinfo(self, host: str, port: int, **wishes: Any) -> list[Any]:
        self.questions.append((host, port, wishes))
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
            made.ways.append((port, *rest))
            raise httpcore.ConnectError("nobody is there")

        monkeypatch.setattr(loop, "getaddrinfo", made.getaddrinfo)
        monkeypatch.setattr(httpcore.AnyIOBackend, "connect_tcp", connect)
        return made

    return install


async def nothing(_: bytes) -> None:
    raise AssertionError("something came")


async def fetched(url: str, reach: Reach = NOWHERE, **wishes: Any) -> int:
    usual = {"limit_bytes": 1 << 20, "within_s": 5, "tls": BELIEVES_NOBODY}
    return await fetch(url, wishes.pop("take", nothing), reach=reach, **{**usual, **wishes})


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
    with pytest.raises(TryLater, match=r"The name files.example.com cannot be looked up\."):
        await fetched("https://files.example.com/a.mp3")


async def test_a_name_without_an_address_is_tried_again_later(network: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = network([])

    async def none(*_: object, **__: object) -> list[Any]:
        return [(1, 1, 6, "", ("not an address", 443))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", none)
    with pytest.raises(TryLater, match=r"^files.example.com has no address\.$"):
        await fetched("https://files.example.com/a.mp3")
    assert [] == seen.connected


async def test_each_address_of_a_name_is_tried_once_in_its_order(network: Any) -> None:
    seen = network(["93.184.216.35", "2606:4700:4700::1111", "93.184.216.34", "93.184.216.35"])
    with pytest.raises(TryLater, match=r"^files.example.com could not be reached: ConnectError\.$"):
        await fetched("https://files.example.com/a.mp3")
    assert ["93.184.216.35", "2606:4700:4700::1111", "93.184.216.34"] == seen.connected
    assert {(443, 10.0, None)} == {way[:3] for way in seen.ways}
    assert [("files.example.com", 443, {"type": socket.SOCK_STREAM})] == seen.questions


async def test_an_address_that_is_silent_is_followed_by_the_next(network: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = network(["93.184.216.35", "93.184.216.34"])

    async def connect(_: object, host: str, *__: object) -> Any:
        seen.connected.append(host)
        raise httpcore.ConnectTimeout("it is silent")

    monkeypatch.setattr(httpcore.AnyIOBackend, "connect_tcp", connect)
    with pytest.raises(TryLater, match="ConnectTimeout"):
        await fetched("https://files.example.com:80/a.mp3")
    assert ["93.184.216.35", "93.184.216.34"] == seen.connected


async def test_what_takes_too_long_is_tried_again_later(network: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    network(["93.184.216.35"])

    async def connect(*_: object) -> Any:
        await asyncio.sleep(60)

    monkeypatch.setattr(httpcore.AnyIOBackend, "connect_tcp", connect)
    with pytest.raises(TryLater, match=r"^files.example.com needed longer than 0 s\.$"):
        await fetched("https://files.example.com/a.mp3", within_s=0.05)


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
    "/plain": (200, {"Content-Encoding": "Identity"}, b"plain"),
    "/limit": (200, {"Content-Length": str(1 << 20)}, bytes(1 << 20)),
    "/limit-unsaid": (200, {}, bytes(1 << 20)),
    "/over": (200, {"Content-Length": str((1 << 20) + 1)}, bytes((1 << 20) + 1)),
    "/over-unsaid": (200, {}, bytes((1 << 20) + 1)),
    "/forbidden": (403, {"Retry-After": "17"}, b""),
    "/multiple": (300, {}, b""),
    "/not-modified": (399, {}, b""),
    "/empty": (204, {}, b""),
    "/mistaken": (400, {}, b""),
    "/broken": (500, {}, b""),
    "/too-many": (429, {"Retry-After": "999999"}, b""),
    "/a-date": (503, {"Retry-After": "Fri, 31 Dec 2027 23:59:59 GMT"}, b""),
    "/at-once": (503, {"Retry-After": "0"}, b""),
    "/digits": (503, {"Retry-After": "1" * 16}, b""),
    "/arabic": (503, {"Retry-After": "\xb2"}, b""),
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


async def test_what_is_asked_says_who_asks_and_nothing_of_us(here: Site) -> None:
    tls = ssl.create_default_context(cafile=here.certificate)
    await fetched(here.url("/plain"), reach_of(here), take=ignored, tls=tls)
    wanted = {
        "Host": f"127.0.0.1:{here.port}",
        "User-Agent": f"offhook/{__version__}",
        "Accept-Encoding": "identity",
        "Connection": "close",
    }
    assert [wanted] == here.headers


@pytest.mark.parametrize(("path", "size"), [("/plain", 5), ("/limit", 1 << 20), ("/limit-unsaid", 1 << 20)])
async def test_as_much_as_the_limit_may_come(here: Site, path: str, size: int) -> None:
    tls = ssl.create_default_context(cafile=here.certificate)
    assert size == await fetched(here.url(path), reach_of(here), take=ignored, tls=tls)


MOVED = "It is somewhere else (a redirect), and offhook goes only where it was told to."
TOO_LONG = "It is longer than the 1 MiB that OFFHOOK_RECORDING_LIMIT_MIB allows."
ZIPPED = "It came compressed, although that was not asked for."


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/moved", MOVED),
        ("/multiple", MOVED),
        ("/not-modified", MOVED),
        ("/gone", "It was answered with 410."),
        ("/forbidden", "It was answered with 403."),
        ("/empty", "It was answered with 204."),
        ("/mistaken", "It was answered with 400."),
        ("/said-long", TOO_LONG),
        ("/long", TOO_LONG),
        ("/over", TOO_LONG),
        ("/over-unsaid", TOO_LONG),
        ("/zip", ZIPPED),
    ],
)
async def test_what_will_never_be_had_is_given_up(here: Site, path: str, sentence: str) -> None:
    got = 0

    async def take(piece: bytes) -> None:
        nonlocal got
        got += len(piece)

    tls = ssl.create_default_context(cafile=here.certificate)
    with pytest.raises(GiveUp) as given_up:
        await fetched(here.url(path), reach_of(here), take=take, tls=tls)
    assert (sentence, [path]) == (str(given_up.value), here.asked)
    assert got <= (0 if path in ("/over", "/said-long") else 1 << 20)


@pytest.mark.parametrize(
    ("path", "status", "after_s"),
    [
        ("/yet", 404, None),
        ("/busy", 503, 17.0),
        ("/broken", 500, None),
        ("/too-many", 429, 86_400.0),
        ("/a-date", 503, None),
        ("/at-once", 503, None),
        ("/digits", 503, None),
        ("/arabic", 503, None),
    ],
)
async def test_what_may_be_there_later_is_tried_later(
    here: Site, path: str, status: int, after_s: float | None
) -> None:
    tls = ssl.create_default_context(cafile=here.certificate)
    with pytest.raises(TryLater) as later:
        await fetched(here.url(path), reach_of(here), tls=tls)
    assert (f"It was answered with {status}.", after_s) == (str(later.value), later.value.after_s)


async def ignored(_: bytes) -> None:
    pass


async def test_who_cannot_prove_their_name_is_not_asked(here: Site) -> None:
    with pytest.raises(TryLater):
        await fetched(here.url(), reach_of(here), tls=None)
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
