"""ElevenLabs' payloads for tests: the fixtures as they are, changed, and as filed events."""

import copy
import hashlib
import json
from pathlib import Path
from typing import Any

from offhook import events
from offhook.events import Event

FIXTURES = Path(__file__).parent / "fixtures"
ORG = "a" * 24
RECEIVED_AT = 1763741200.0

BOOKING = "post_call_transcription__booking"
SECRETS = (
    "oht_5ecre7t00l5ecre7t00l5ecre7t00l5ecre7",
    "custom-secret-9120",
    "query-token-5512",
    "body-api-key-7731",
    "result-token-2087",
    "variable-secret-6604",
    "file-signature-3319",
)  #: what BOOKING holds and nobody may see


def names() -> list[str]:
    return sorted(path.stem for path in FIXTURES.glob("*.json"))


def payload(name: str, *changes: tuple[str, Any]) -> dict[str, Any]:
    """The fixture with each path ("data.metadata.cost") of *changes* set to a value; ... takes it out."""
    content: dict[str, Any] = json.loads((FIXTURES / f"{name}.json").read_text())
    for path, value in changes:
        put(content, path, value)
    return content


def put(content: dict[str, Any], path: str, value: Any) -> None:
    *way, last = path.split(".")
    place: Any = content
    for step in way:
        place = place[int(step)] if isinstance(place, list) else place[step]
    if value is ...:
        del place[last]
    else:
        place[int(last) if isinstance(place, list) else last] = copy.deepcopy(value)


def event(content: dict[str, Any] | bytes, **facts: Any) -> Event:
    """*content* as the inbox files it; *facts* say otherwise."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    envelope: dict[str, Any] = {} if isinstance(content, bytes) else content
    data = envelope["data"] if isinstance(envelope.get("data"), dict) else envelope
    sha256 = hashlib.sha256(body).hexdigest()
    org_id = facts.get("org_id", ORG)
    conversation_id = facts.get("conversation_id", data.get("conversation_id", "conv_1"))
    sent_at = envelope.get("event_timestamp")
    known: dict[str, Any] = {
        "id": events.event_id(org_id, sha256),
        "org_id": org_id,
        "type": envelope.get("type", "post_call_transcription"),
        "source": "webhook",
        "proof": "hmac",
        "sha256": sha256,
        "size_bytes": len(body),
        "received_at": RECEIVED_AT,
        "body": body,
        "conversation_id": conversation_id,
        "call_id": events.call_id(org_id, conversation_id) if conversation_id else None,
        "agent_id": data.get("agent_id"),
        "event_timestamp": None if sent_at is None else float(sent_at),
    }
    return Event(**{**known, **facts})
