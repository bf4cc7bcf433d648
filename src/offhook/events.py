"""The words every room shares: what is filed in the inbox, and the ids derived from it.

Ids are derived, never drawn: the same call, event or caller gets the same id on every path (webhook, spool, reconcile,
replay), so that a thing that arrives twice arrives at the same row, and the answer can name the call before it exists.
"""

import hashlib
from typing import Final, Literal

import msgspec

PERSONALIZATION: Final = "personalization"  #: source and type of the requests that make a context, and no call
INGEST: Final = "ingest"  #: source and type of calls that a program told us of
INGEST_RECORDING: Final = "ingest_recording"  #: type of the recording of such a call, fetched from where it said
TOOL: Final = "tool"  #: source and type of what an agent did during a call
ASIDES: Final = frozenset({PERSONALIZATION, TOOL})  #: sources of what is said beside a call, and makes none
UNASSIGNED = "0" * 24  #: the organisation of what belongs to none yet; not NULL, because NULLs never conflict in a key

Source = Literal["webhook", "reconciled", "spool", "ingest", "personalization", "tool"]
Proof = Literal["hmac", "bearer", "none"]
Status = Literal["pending", "projected", "skipped", "quarantined", "unassigned", "stale"]
PartEncoding = Literal["base64", "raw"]
RecordingState = Literal["ready", "not_playable", "undecodable"]


class Part(msgspec.Struct, frozen=True):
    """A stretch of a body that lies in a file instead of the row."""

    offset: int  #: where it was cut out: an index into the bytes that stayed
    encoding: PartEncoding
    file: str  #: base64: in the recordings folder, and canonical base64 of its first bytes is the text;
    #: raw: in the bodies folder, sealed, and it holds the text as it came
    size_bytes: int  #: of those first bytes; of the text
    sha256: str  #: hex, of the same


class Audio(msgspec.Struct, frozen=True):
    """The decoded `full_audio` of a post-call audio event."""

    file: str  #: name in the recordings folder; ours, never made from anything that was sent
    size_bytes: int
    sha256: str  #: hex
    is_decoded: bool = True  #: False: no base64, however forgiving; the file holds the text as it came
    duration_s: float | None = None  #: from the MP3 frames; None when the bytes are no MP3


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the inbox: something that was said about a call, as it came."""

    id: str  #: 24 hex digits, see event_id
    org_id: str
    type: str  #: the sender's word, e.g. post_call_transcription; for our own sources their name; "" when unreadable
    source: Source
    proof: Proof
    sha256: str  #: hex, of the whole body as it came
    size_bytes: int  #: of the whole body as it came
    received_at: float  #: unix, UTC
    body: bytes  #: what stayed of the body after the parts were cut out; sealed in the store, open in memory
    answer: bytes | None = (
        None  #: what was said back, where the call depends on it; sealed in the store, open in memory
    )
    parts: tuple[Part, ...] = ()
    audio: Audio | None = None
    conversation_id: str | None = None
    call_id: str | None = None
    agent_id: str | None = None
    event_timestamp: float | None = None  #: unix; when the sender says that it was sent
    status: Status = "pending"
    reason: str | None = None  #: one sentence, when the status needs one


class Filed(msgspec.Struct, frozen=True):
    """The inbox's answer: the event is durable, and this is what is known of it."""

    event_id: str
    deduplicated: bool | None  #: the same event was there before, in whatever bytes; None: spooled, nobody can tell
    is_new: bool = True  #: False: these very bytes were there before, and the files of that row are the ones that count


def derived_id(*parts: str) -> str:
    """24 hex digits that follow from *parts* and from nothing else."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:24]


def call_id(org_id: str, conversation_id: str, provider: str = "elevenlabs") -> str:
    return derived_id("call", org_id, provider, conversation_id)


def event_id(org_id: str, sha256: str, salt: str = "") -> str:
    """The same bytes for the same organisation are the same event; *salt* sets stale and our own sources apart."""
    return derived_id("event", org_id, sha256, salt)


def contact_id(org_id: str, known_by: str) -> str:
    """*known_by* is the E.164 number, or "user:" and the provider's user id, that made the contact."""
    return derived_id("contact", org_id, known_by)


def note_id(call: str, kind: str) -> str:
    return derived_id("note", call, kind)


def recording_id(call: str, sha256: str) -> str:
    return derived_id("recording", call, sha256)
