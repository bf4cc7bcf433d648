"""What is told of an event in words: how it stands, how it was proven, on which way it came, what became of it. Pure."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from offhook.dashboard import phrases
from offhook.events import INGEST, PERSONALIZATION, TOOL, UNASSIGNED
from offhook.voice.elevenlabs.signature import TOLERANCE_S

Tone = Literal["", "ok", "warn", "bad", "info"]


class Standing(NamedTuple):
    words: str
    tone: Tone
    icon: str


STANDINGS: Mapping[str, Standing] = {
    "pending": Standing("Waiting", "warn", "clock"),
    "projected": Standing("Understood", "ok", "check"),
    "skipped": Standing("Kept only", "", "lock"),
    "quarantined": Standing("Quarantined", "bad", "x"),
    "unassigned": Standing("Unassigned", "warn", "alert"),
    "stale": Standing("Wrong time", "bad", "clock"),
}
RECOVERED = Standing("Recovered", "info", "download")
SOURCES: Mapping[str, str] = {
    "webhook": "Webhook", "spool": "Webhook, through the spool", "reconciled": "Fetched by reconcile",
    PERSONALIZATION: "Before a call", TOOL: "Tool", INGEST: "A program",
}  # fmt: skip
PROOFS: Mapping[str, str] = {"hmac": "Signature", "bearer": "Bearer token", "none": "Fetched by us"}

#: By status: the banner at the head of the page. Tone, what is so, what to do.
BANNERS: Mapping[str, tuple[Tone, str, str]] = {
    "pending": (
        "warn", "Kept safe, not understood yet.",
        "ElevenLabs already got its 200, so this does not count towards auto-disable. It is taken up by itself; "
        "if it stays so, `offhook doctor` says why.",
    ),
    "quarantined": (
        "bad", "Set aside: it could not be understood.",
        "Nothing is lost: it is kept byte for byte, and ElevenLabs got its 200. When an upgrade of offhook has learnt to "
        "read it, replay it.",
    ),
    "unassigned": (
        "warn", "It belongs to no organisation yet.",
        "Several organisations share the secret that signed it. `offhook agent add ORG AGENT` says whose agent this is; "
        "then it moves there by itself, and so does all that comes later.",
    ),
    "stale": (
        "bad", "Refused, because of the clock.",
        "Either this machine's clock is wrong, or an old delivery was sent again. `offhook doctor` compares the clock. Where "
        "it was ours that was wrong, set it right and replay this.",
    ),
    "skipped": ("info", "Kept, and nothing is made of it.", "No call follows from an event of this type."),
}  # fmt: skip

#: By the check that a refused request failed.
CHECKS: Mapping[str, str] = {
    "sender": "The sender's address is not on the allow-list",
    "credentials": "It had neither a signature nor a token",
    "header": "The signature header cannot be read",
    "organization": "Its address names no organisation that has a secret",
    "signature": "No secret of the organisation signed these bytes",
    "clock": "Signed, but its time is more than 30 minutes off",
    "token": "Nobody's token",
    "quota": "Too many unproven bytes at once",
    "cut": "It broke off before its end",
    "pace": "It came too slowly",
}


class Step(NamedTuple):
    """A place of the progress strip."""

    words: str
    detail: str
    state: Literal["", "bad", "warn", "todo"]


class Check(NamedTuple):
    """One thing that was looked at before the event was believed."""

    words: str
    detail: str
    is_good: bool


def standing_of(status: str, source: str) -> Standing:
    if source == "reconciled" and status == "projected":
        return RECOVERED
    return STANDINGS.get(status, Standing(status, "", "events"))


def note_of(row: Any) -> str | None:
    """What a row of the list says beside the type."""
    if row.reason:
        return str(row.reason)
    if row.source == "reconciled":
        return "Never delivered; reconcile fetched it"
    return f"Delivered {phrases.count(row.deliveries, 'time')}, kept once" if row.deliveries > 1 else None


# The event's way


def steps_of(row: Any) -> list[Step]:
    """Received, proven, stored, answered, understood, with the times that are known."""
    fetched = row.source == "reconciled"
    return [
        Step("Fetched" if fetched else "Received", "", ""),  # with the clock, which the template writes
        _proven(row),
        *_kept_and_answered(row),
        _understood(row),
    ]


def _kept_and_answered(row: Any) -> list[Step]:
    """Before a call the answer goes first, because a caller waits for it; all else is on disk before its answer."""
    if row.source == PERSONALIZATION:
        return [Step("Answered 200", "at once: a caller waits", ""), Step("Stored", "after the answer", "")]
    if row.source == "reconciled":
        return [Step("Stored", "in one commit", ""), Step("Nobody to answer", "we asked for it", "")]
    if row.status == "stale":
        return [Step("Stored", "all the same", ""), Step("Answered 401", "the clock refuses it", "bad")]
    place = "in the spool, then in the database" if row.source == "spool" else "in one commit"
    return [Step("Stored", place, ""), Step(f"Answered {status_code_of(row)}", "once it was on disk", "")]


def _proven(row: Any) -> Step:
    if row.status == "stale":
        return Step("Signature right, time wrong", "", "bad")
    words = {"hmac": "Signature valid", "bearer": "Token valid", "none": "Our own request"}.get(row.proof, row.proof)
    return Step(words, "HMAC-SHA256" if row.proof == "hmac" else "", "")


def _understood(row: Any) -> Step:
    if row.status == "projected":
        took = None if row.projected_at is None else max(0.0, row.projected_at - row.received_at)
        return Step("Understood", "" if took is None else f"+{_span(took)}", "")
    if row.status == "pending":
        return Step("Waiting", f"{phrases.count(row.attempts, 'attempt')} so far" if row.attempts else "", "warn")
    words = {"quarantined": "Not understood", "skipped": "Nothing to understand"}.get(row.status, "Not looked at")
    return Step(words, "", "bad" if row.status == "quarantined" else "todo")


def _span(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else phrases.duration(seconds)


# Why it was believed


def checks_of(row: Any) -> list[Check]:
    """Each check as it went; what was not proven is no event, so only the clock can have failed."""
    if row.proof == "hmac":
        return [*_of_signature(row), _first_seen(row)]
    if row.proof == "bearer":
        return [
            Check("The token is the organisation's", "Compared with its hash, in constant time", True),
            _first_seen(row),
        ]
    detail = "offhook asked ElevenLabs for it over TLS, with the organisation's API key; nobody signs an answer"
    return [Check("There is no signature to check", detail, True)]


def _of_signature(row: Any) -> list[Check]:
    is_fresh = row.status != "stale"
    limit = f"limit {TOLERANCE_S // 60} min"
    sent = _sent(row)
    return [
        Check("Header is well formed", "ElevenLabs-Signature: t=unix seconds, v0=64 hex digits", True),
        Check("HMAC-SHA256 matches", 'Over t + "." + the raw body, with a secret of the organisation', True),
        Check(
            "Timestamp is fresh" if is_fresh else "Timestamp is off", f"{sent}, {limit}" if sent else limit, is_fresh
        ),
    ]


def _sent(row: Any) -> str:
    if row.event_timestamp is None:
        return ""
    late = row.received_at - row.event_timestamp
    return f"Says it was sent {phrases.span(abs(late))} {'before' if late >= 0 else 'after'} it came"


def _first_seen(row: Any) -> Check:
    if row.deliveries > 1:
        return Check(f"Delivered {phrases.count(row.deliveries, 'time')}", "The same bytes are the same event", True)
    return Check("First time seen", "The same bytes would be the same event", True)


# What was answered


def status_code_of(row: Any) -> int:
    """Of our answer; meaningless for what we fetched."""
    return 401 if row.status == "stale" else 201 if row.source == INGEST else 200


def answer_of(row: Any) -> Any:
    """What we said back where no answer is kept, because it follows from the event; None where it does not."""
    if row.source == PERSONALIZATION:
        return {}  # a greeting without variables, which is not worth keeping
    if row.source in (TOOL, INGEST, "reconciled"):
        return None
    if row.status == "stale":
        return {"error": "Unauthorized"}
    if row.status == "skipped" or row.call_id is None or row.org_id == UNASSIGNED:
        return {"received": True, "skipped": True, "reason": row.reason}
    return {"received": True, "callId": row.call_id}
