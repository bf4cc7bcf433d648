"""docs/fields.md is what tools/fields writes, and knows every field that ElevenLabs' own SDK knows."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydantic
from elevenlabs.types.get_conversation_response_model import GetConversationResponseModel

from tests.test_payloads import KEPT_WHOLE, kinds

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/fields.md").read_text()
ROWS = dict(re.findall(r"^\| `([^`]+)` \| .*? \| .*? \| .*? \| (.*) \|$", PAGE, re.M))


def test_the_page_is_what_the_tool_writes() -> None:
    command = [sys.executable, str(ROOT / "tools/fields"), "--check"]
    ended = subprocess.run(command, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT / "src")})
    assert 0 == ended.returncode, ended.stdout + ended.stderr


def test_every_field_that_the_official_sdk_knows_is_on_the_page() -> None:
    listed = {path.replace("[]", "").replace(".{}", "") for path in ROWS}
    assert [] == sorted(set(paths(GetConversationResponseModel)) - listed)


def paths(model: Any, begin: str = "") -> Iterator[str]:
    for kind in kinds(model, pydantic.BaseModel):
        for name, field in kind.model_fields.items():
            yield f"{begin}{name}"
            if name not in KEPT_WHOLE:
                yield from paths(field.annotation, f"{begin}{name}.")


BECOMES = {
    "metadata.start_time_unix_secs": "`startTime`",
    "metadata.phone_call.external_number": "`from` or `to`, and the contact",
    "metadata.cost": "`cost`",
    "analysis.transcript_summary": "`summary`, and a note",
    "analysis.call_successful": "`successful`",
    "transcript[].message": "`message`",
    "transcript[].tool_calls[].tool_details.headers": "replaced: it may hold a secret",
    "metadata.charging.tier": "kept in `details`",
    "full_audio": "decoded to a file as it arrives: a Recording of the call",
    "failure_reason": "`failure`, `status`",
    "metadata.body.To": "`to`",
}


def test_what_becomes_of_a_field_is_what_the_code_makes_of_it() -> None:
    assert BECOMES == {path: ROWS[path] for path in BECOMES}
