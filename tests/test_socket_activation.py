"""A listening socket that outlives the server: whoever rings during a restart waits, and is not refused."""

import asyncio
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from offhook import server as serving
from offhook.errors import Mistake
from tests.services import Server
from tests.traffic import Traffic, acknowledged, filed, left_files, other_than_200, settle

Figure = Callable[..., None]
#: As systemd does it: the socket is descriptor 3, and the variables say for which process.
AS_SYSTEMD = 'exec 3<&{fd}; export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=offhook.socket; exec "$0" "$@"'
AS_ANYBODY = 'exec "$0" "$@" --fd {fd}'


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        listener.set_inheritable(True)
        yield listener


@pytest.mark.parametrize(
    ("how", "restarts"),
    [(AS_SYSTEMD, 1), *(pytest.param(how, 3, marks=pytest.mark.torture) for how in (AS_SYSTEMD, AS_ANYBODY))],
    ids=["systemd", "systemd, 3", "fd, 3"],
)
async def test_restarts_on_a_socket_that_was_handed_over_refuse_nobody(
    server: Server, listener: socket.socket, figure: Figure, how: str, restarts: int
) -> None:
    hand_over(server, listener, how)
    await asyncio.to_thread(server.start)
    exit_codes = []
    async with Traffic(server, events_per_s=20, greetings_per_s=5, is_fickle=True) as traffic:
        for _ in range(restarts):
            await asyncio.sleep(0.5)
            exit_codes.append(await asyncio.to_thread(server.stop))
            await asyncio.to_thread(server.start)
    await asyncio.to_thread(settle, server)

    there, answers = filed(server), [*traffic.events.values(), *traffic.greetings]
    figure(f"{restarts} restarts on a socket that was handed over", answers=len(answers),
           other_than_200=len(other_than_200(answers)), slowest=f"{max(one.took_s for one in answers):.1f} s",
           lost=sum(there[event] != 1 for event in acknowledged(traffic.events)))  # fmt: skip
    assert [0] * restarts == exit_codes
    assert [] == other_than_200(answers)
    assert dict.fromkeys(traffic.events, 1) == there
    assert [] == left_files(server)


@pytest.fixture
def server(tmp_path: Path, secret_key: str) -> Iterator[Server]:
    """One with an organisation, to be started otherwise than by itself."""
    server = Server(tmp_path / "server", secret_key=secret_key)
    server.organization = server.create_organization()
    yield server
    server.kill()


def hand_over(server: Server, listener: socket.socket, how: str) -> None:
    """Have *server* started with the socket, which stays open here as it does in systemd."""
    server.port = listener.getsockname()[1]
    server.base_url = f"http://127.0.0.1:{server.port}"
    server.run_instead("bash", "-c", how.format(fd=listener.fileno()), sys.executable, "-m", "offhook")
    server.inherited = (listener.fileno(),)


def test_what_systemd_hands_to_another_process_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_PID", str(os.getpid() + 1))
    monkeypatch.setenv("LISTEN_FDS", "1")
    assert serving._handed_over() is None
    assert "LISTEN_FDS" not in os.environ, "what we start is not to take it for its own"


def test_one_socket_is_served_and_several_are_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    for count, expected in (("1", 3), ("0", None)):
        monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
        monkeypatch.setenv("LISTEN_FDS", count)
        assert expected == serving._handed_over()
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", "2")
    with pytest.raises(Mistake, match="ListenStream"):
        serving._handed_over()


def test_what_does_not_listen_is_a_mistake(tmp_path: Path) -> None:
    with socket.socket() as idle, pytest.raises(Mistake, match="listens"):
        serving._inherited(os.dup(idle.fileno()))
    with (tmp_path / "file").open("w") as file, pytest.raises(Mistake, match="not a socket"):
        serving._inherited(os.dup(file.fileno()))


def test_a_descriptor_that_is_not_there_is_a_mistake() -> None:
    with pytest.raises(Mistake, match="--fd 7777 is not a socket"):
        serving._inherited(7777)
