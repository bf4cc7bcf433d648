"""Schemathesis drives a running server by the user's own two documents and by ours: no 500, every answer in schema."""

import base64
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from offhook import events
from tests.services import Server, eventually

SEEDS = ("000", "002")
_FOLDER = Path(__file__).parents[2] / "shared" / "seeds"
_PROGRAM = str(Path(sys.executable).with_name("schemathesis"))
#: What an answer may be. Whether bad input is refused is not asked at the doors: by contract they take whatever is proven.
_CHECKS = ",".join(
    (
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
    )
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, secret_key: str) -> Iterator[Server]:
    """One for all these tests: none of them expects to find it new."""
    server = Server(tmp_path_factory.mktemp("driven"), secret_key=secret_key)
    server.organization = server.create_organization()
    server.start()
    yield server
    server.kill()


@pytest.fixture(params=[1, pytest.param(3, marks=pytest.mark.torture)])
def times(request: pytest.FixtureRequest) -> int:
    """So many times the examples that there is time for beside other tests."""
    return int(request.param)


def seed_document(number: str) -> str:
    """The OpenAPI document (YAML) inside one of the user's two pages."""
    page = next(iter(_FOLDER.glob(f"{number}_*.txt")), None)
    if page is None:
        pytest.skip("The user's documents are not beside the project (../shared/seeds): what reads them does not run.")
    found = re.search(r"^````yaml.*?\n(.*?)^````", page.read_text(), re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[1]


def drive(server: Server, folder: Path, document: str, *arguments: str, config: str = "") -> None:
    """Run schemathesis by *document* (file or URL); what it found is the test's failure."""
    folder.joinpath("schemathesis.toml").write_text(config)
    command = [_PROGRAM, "run", document, "--url", server.base_url, "--seed", "1"]
    ended = subprocess.run(
        [*command, "--continue-on-failure", *arguments], cwd=folder, capture_output=True, text=True, timeout=600
    )
    assert 0 == ended.returncode, ended.stdout[-8000:] + ended.stderr[-2000:]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("presents", ["the tool secret", "nothing"])
def test_the_doors_keep_to_the_users_documents(
    server: Server, tmp_path: Path, seed: str, presents: str, times: int
) -> None:
    document = tmp_path / "seed.yaml"
    document.write_text(seed_document(seed))
    proof = ["--header", f"Authorization: Bearer {server.tool_secret}"] if presents == "the tool secret" else []
    examples = str((15 if proof else 10) * times)
    drive(server, tmp_path, str(document), "--checks", _CHECKS, "--max-examples", examples, *proof)


def test_the_doors_keep_to_our_document(server: Server, tmp_path: Path, times: int) -> None:
    config = f'auth.openapi.toolSecret.bearer = "{server.tool_secret}"'
    arguments = ("--include-tag", "Webhooks", "--checks", _CHECKS, "--max-examples", str(8 * times))
    drive(server, tmp_path, f"{server.base_url}/openapi.json", *arguments, config=config)


def test_the_api_keeps_to_our_document(server: Server, tmp_path: Path, times: int) -> None:
    ids = _a_call_with_all_that_belongs_to_it(server)
    numbers = (
        "|staff" if times > 1 else ""
    )  # among so many requests are some whose number is none, and nothing else is wrong
    parameters = "\n".join(f'{name} = "{value}"' for name, value in ids.items())
    config = f"""
        auth.openapi.apiKey.bearer = "{server.api_key}"
        [parameters]
        {parameters}
        [[operations]]  # which texts are numbers or recordings, which ids there are, what fits a type, no schema can say
        include-path-regex = "^/api/(contact|calls/ingest|organizations/.*variables{numbers})"
        checks.positive_data_acceptance.enabled = false
    """
    document = f"{server.base_url}/openapi.json"
    ours = ("--exclude-tag", "Webhooks", "--max-examples", str(4 * times))
    drive(server, tmp_path, document, *ours, "--phases", "examples,coverage,fuzzing", config=config)
    # In the last phase what one request made is the next one's: there contacts are merged away, and exceptions do not count.
    unsure = "positive_data_acceptance,ensure_resource_availability"
    drive(server, tmp_path, document, *ours, "--phases", "stateful", "--exclude-checks", unsure, config=config)


def _a_call_with_all_that_belongs_to_it(server: Server) -> dict[str, str]:
    """The ids of a call with a recording, of the person who rang, and of the event that told of it."""
    data = {
        "conversation_id": "conv_1",
        "agent_id": "agent_1",
        "transcript": [{"role": "user", "message": "I moved.", "time_in_call_secs": 2}],
        "analysis": {"transcript_summary": "The caller moved."},
        "metadata": {"phone_call": {"direction": "inbound", "external_number": "+14165550100"}},
    }
    audio = {"conversation_id": "conv_1", "full_audio": base64.b64encode(b"\xff\xfb" * 500).decode()}
    for kind, said in (("post_call_transcription", data), ("post_call_audio", audio)):
        body = json.dumps({"type": kind, "event_timestamp": 1_747_580_641, "data": said}).encode()
        assert 200 == server.deliver(body).status_code
    call_id = events.call_id(server.org_id, "conv_1")
    eventually(lambda: server.get(f"/api/calls/{call_id}/recording").status_code == 200)
    call = server.get(f"/api/calls/{call_id}").json()["call"]
    event = server.get("/api/events").json()["data"][0]
    return {"callId": call_id, "contactId": call["contactId"], "eventId": event["_id"]}
