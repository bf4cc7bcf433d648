"""A Twilio of our own, over real HTTP: it takes texts, lists them, and can be told to misbehave. It records what it took."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

SID, TOKEN, FROM = "AC" + "0" * 32, "twilio-auth-token", "+12362320246"

#: What happens to a request to send: before Twilio takes it, and after.
Mood = Callable[["FakeTwilio"], "tuple[int, dict[str, Any]] | None"]


class FakeTwilio:
    """`taken` are the texts it would have sent, in order."""

    def __init__(self) -> None:
        self.taken: list[dict[str, Any]] = []
        self.refuse: Mood | None = None  #: an answer instead of taking it
        self.is_silent = False  #: it takes the text, and its answer never comes
        self.takes_s = 0.0
        self.asked = 0
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @property
    def env(self) -> dict[str, str]:
        """What a server must be told to send with it."""
        return {
            "OFFHOOK_SMS": "twilio",
            "OFFHOOK_TWILIO_ACCOUNT_SID": SID,
            "OFFHOOK_TWILIO_AUTH_TOKEN": TOKEN,
            "OFFHOOK_TWILIO_FROM": FROM,
            "OFFHOOK_TWILIO_API_URL": self.url,
        }

    def take(self, form: dict[str, str]) -> tuple[int, dict[str, Any]] | None:
        """None: no answer."""
        time.sleep(self.takes_s)
        refused = self.refuse(self) if self.refuse else None
        if refused is not None:
            return refused
        with self._lock:
            sid = f"SM{len(self.taken):032x}"
            listed = {
                "sid": sid, "to": form["To"], "from": form.get("From"), "body": form["Body"], "status": "queued",
                "direction": "outbound-api", "date_created": formatdate(usegmt=True), "callback": form.get("StatusCallback"),
            }  # fmt: skip
            self.taken.append(listed)
        return None if self.is_silent else (201, listed)

    def listed(self, to: str) -> list[dict[str, Any]]:
        self.asked += 1
        with self._lock:
            return [one for one in reversed(self.taken) if one["to"] == to]


@contextmanager
def fake_twilio() -> Iterator[FakeTwilio]:
    fake = FakeTwilio()
    thread = threading.Thread(target=fake._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield fake
    fake._server.shutdown()
    fake._server.server_close()


def _handler(fake: FakeTwilio) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        disable_nagle_algorithm = True
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path != f"/2010-04-01/Accounts/{SID}/Messages.json":
                return self._say(404, {"code": 20404})
            answer = fake.take(dict(parse_qsl(body.decode())))
            if answer is None:
                self.close_connection = True
                return None
            return self._say(*answer)

        def do_GET(self) -> None:
            to = parse_qs(urlsplit(self.path).query)["To"][0]
            self._say(200, {"messages": fake.listed(to)})

        def _say(self, status: int, content: dict[str, Any]) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    return Handler
