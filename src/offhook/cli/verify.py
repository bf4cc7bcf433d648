"""offhook verify: why a signature does not match."""

import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from offhook.cli.terminal import Json, iso, print_json
from offhook.errors import Mistake
from offhook.voice.elevenlabs.verdict import judge


def verify(
    file: Annotated[
        str, Parameter(name="FILE", help="The raw body as it came; - reads standard input.", allow_leading_hyphen=True)
    ],
    /,
    *,
    secret: Annotated[str, Parameter(help="The webhook's secret.", allow_leading_hyphen=True)],
    header: Annotated[str, Parameter(help="The value of ElevenLabs-Signature.", allow_leading_hyphen=True)],
    now: Annotated[str | None, Parameter(help="Judge as of then: unix seconds or ISO 8601. [default: now]")] = None,
    json: Json = False,
) -> int:
    """Say which of secret, body, clock, header and proxy makes a signature fail; exit code 1 when one does."""
    verdict = judge(secret, header, _content(file), time.time() if now is None else _moment(now))
    if json:
        print_json({**msgspec.structs.asdict(verdict), "signed_at": iso(verdict.signed_at)})
    else:
        at_fault = f"{verdict.at_fault}: " if verdict.at_fault else ""
        print(at_fault + verdict.finding)
        if verdict.advice:
            print(verdict.advice)
    return 1 if verdict.at_fault else 0


def _content(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise Mistake(f"{file!r} cannot be read: {error.strerror or error}.") from None


def _moment(text: str) -> float:
    try:
        return float(text) if text.replace(".", "", 1).isdigit() else _iso(text)
    except ValueError:
        raise Mistake(f"--now {text!r} is no time: write it like 1747580641 or 2025-05-18T15:04:01Z.") from None


def _iso(text: str) -> float:
    at = datetime.fromisoformat(text)
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
