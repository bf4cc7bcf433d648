"""Texts through Apprise, to a real HTTP service of the simplest kind that it speaks to (json://)."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

import pytest

from offhook.errors import GiveUp
from offhook.sms import provider_named
from offhook.sms.contract import Text

TEXT = Text(id="m" * 24, to="+14165550100", body="Sorry we missed you, Zoë. {to} 50 % off & more")


class Service(ThreadingHTTPServer):
    status = 200

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.taken: list[tuple[str, dict[str, Any]]] = []


class _Handler(BaseHTTPRequestHandler):
    disable_nagle_algorithm = True
    server: Service

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.taken.append((unquote(self.path), body))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        return


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    with Service() as service:
        threading.Thread(target=service.serve_forever, daemon=True).start()
        monkeypatch.setenv("OFFHOOK_APPRISE_URL", f"json://127.0.0.1:{service.server_port}/texts/{{to}}")
        yield service
        service.shutdown()


async def test_a_text_reaches_the_service_with_its_number_and_its_words(service: Service) -> None:
    await provider_named("apprise").send(TEXT)
    ((path, body),) = service.taken
    assert "/texts/+14165550100" == path.rstrip("/")
    assert TEXT.body == body["message"]


async def test_what_the_service_refuses_is_given_up_and_not_sent_again(service: Service) -> None:
    service.status = 500
    with pytest.raises(GiveUp, match="did not take it"):
        await provider_named("apprise").send(TEXT)
    assert 1 == len(service.taken)
