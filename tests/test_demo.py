"""`offhook demo` on a fresh folder: calls come in, are understood, are kept, and everything ends cleanly."""

import hashlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest

from offhook.errors import Mistake
from offhook.simulator.demo import demo
from offhook.simulator.scenarios import SCENARIOS
from offhook.simulator.speech import spoken
from tests.services import eventually, free_port


class Demo:
    """`offhook demo` as a process whose output is read."""

    def __init__(self, folder: Path, *arguments: str, env: dict[str, str] | None = None) -> None:
        self.port = free_port()
        self.folder = folder
        bare = {name: value for name, value in os.environ.items() if not name.startswith("OFFHOOK_")}
        command = [
            sys.executable,
            "-m",
            "offhook",
            "demo",
            "--port",
            str(self.port),
            "--folder",
            str(folder),
            *arguments,
        ]
        self._output = folder.with_suffix(f".{self.port}.out")
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=bare | (env or {})
            )

    @property
    def said(self) -> str:
        return self._output.read_text()

    def wait(self) -> int:
        return self.process.wait(60)

    def until_said(self, word: str) -> None:
        eventually(lambda: word in self.said or self.process.poll() is not None, within_s=30)
        assert word in self.said

    def servers(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def history(self) -> httpx.Response:
        key = re.search(r"ohk_\w+", self.said)
        assert key
        headers = {"Authorization": f"Bearer {key[0]}"}
        return httpx.get(f"http://127.0.0.1:{self.port}/api/calls/history", headers=headers)


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_every_call_of_a_round_is_understood_with_its_recording(tmp_path: Path) -> None:
    demo = Demo(tmp_path / "demo", "--calls", "10", "--rate", "4")
    assert 0 == demo.wait(), demo.said
    assert "knew Alex Morgan" in demo.said
    assert "Understood: 9 calls, 9 recordings, 1 missed." in demo.said
    kept = {hashlib.sha256(file.read_bytes()).hexdigest() for file in files(demo.folder / "recordings")}
    assert {hashlib.sha256(spoken(scenario).mp3).hexdigest() for scenario in SCENARIOS} <= kept


def test_the_next_demo_goes_on_from_the_folder(tmp_path: Path) -> None:
    first = Demo(tmp_path / "demo", "--calls", "2", "--rate", "0")
    assert 0 == first.wait(), first.said
    second = Demo(tmp_path / "demo")
    second.until_said("recording")
    assert 3 <= second.history().json()["total"]
    second.process.send_signal(signal.SIGINT)
    assert 0 == second.wait(), second.said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_server_too_with_a_summary(tmp_path: Path, number: signal.Signals) -> None:
    demo = Demo(tmp_path / "demo")
    demo.until_said("greeting")
    servers = demo.servers()
    demo.process.send_signal(number)
    assert 0 == demo.wait(), demo.said
    assert "Understood" in demo.said.splitlines()[-1]
    assert servers
    assert [] == [server for server in servers if server.is_running()]


def test_the_environment_leads_nowhere_else(tmp_path: Path) -> None:
    elsewhere = {
        "OFFHOOK_DATA_DIR": str(tmp_path / "elsewhere"),
        "OFFHOOK_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing",
        "OFFHOOK_REDIS_URL": "redis://127.0.0.1:1",
        "OFFHOOK_SPOOL_DIR": str(tmp_path / "spool"),
    }
    demo = Demo(tmp_path / "demo", "--calls", "1", "--rate", "0", env=elsewhere)
    assert 0 == demo.wait(), demo.said
    assert not (tmp_path / "elsewhere").exists()
    assert not (tmp_path / "spool").exists()


def test_a_busy_port_is_one_sentence_and_nothing_is_made(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "offhook", "demo", "--port", str(port), "--folder", str(tmp_path / "demo")]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (1, 1) == (ended.returncode, len(ended.stderr.splitlines()))
    assert f"Port {port} cannot be used" in ended.stderr
    assert not (tmp_path / "demo").exists()


def test_a_second_demo_on_the_folder_is_one_sentence(tmp_path: Path) -> None:
    first = Demo(tmp_path / "demo")
    first.until_said("greeting")
    second = Demo(tmp_path / "demo", "--calls", "1")
    assert 1 == second.wait(), second.said
    assert "Another offhook server is running on the data directory" in second.said
    assert 1 == len(second.said.splitlines())
    first.process.send_signal(signal.SIGINT)
    assert 0 == first.wait(), first.said


def test_a_server_that_dies_ends_the_demo_with_one_sentence(tmp_path: Path) -> None:
    demo = Demo(tmp_path / "demo")
    demo.until_said("greeting")
    for server in demo.servers():
        server.kill()
    began = time.monotonic()
    assert 1 == demo.wait()
    assert 10 > time.monotonic() - began
    assert "server ended with exit code -9" in demo.said.splitlines()[-1]


@pytest.mark.parametrize("wishes", [{"calls": 0}, {"rate": -1.0}, {"rate": float("nan")}])
def test_what_is_typed_wrong_is_one_sentence(wishes: dict[str, float]) -> None:
    with pytest.raises(Mistake, match="must be at least"):
        demo(**wishes)  # type: ignore[arg-type]
