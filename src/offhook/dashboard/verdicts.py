"""Whether every call arrives, and will go on arriving, in one sentence. Pure.

ElevenLabs switches a webhook off when BOTH hold: ten failures in a row or more, and no success for seven days (or ever).
https://elevenlabs.io/docs/eleven-agents/workflows/post-call-webhooks, read 2026-10.
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Literal, NamedTuple

from offhook.dashboard import phrases
from offhook.store.health import Health
from offhook.store.pulse import OFF_AT
from offhook.store.warnings import Standing
from offhook.streaks import Streak

_DAY_S = 86_400.0
QUIET_S = 7 * _DAY_S
_RED_AT, _RED_QUIET_S = 5, 5 * _DAY_S
AMBER_AT = 3
_SWITCHED_OFF = ("webhook_auto_disabled", "webhook_disabled", "webhook_missing")

State = Literal["ok", "warn", "bad", "unknown"]


class Fuse(NamedTuple):
    """How far ElevenLabs is from switching the webhook off, as far as can be told from here."""

    failures: (
        int  #: in a row: our answers that were not 200, or conversations that came only because they were asked for
    )
    last_status: int | None  #: of our last answer that was not 200
    quiet_s: float | None  #: since the last success; None: there never was one

    @property
    def cells(self) -> int:
        return min(self.failures, OFF_AT)

    @property
    def has_many_failures(self) -> bool:
        return self.failures >= OFF_AT

    @property
    def is_quiet(self) -> bool:
        return self.quiet_s is None or self.quiet_s > QUIET_S

    @property
    def left_s(self) -> float:
        """Until the second condition holds, too."""
        return max(0.0, QUIET_S - self.quiet_s) if self.quiet_s is not None else 0.0


class Verdict(NamedTuple):
    state: State
    headline: str
    sentence: str
    remedies: list[str]  #: what to do; commands stand between backticks


def fuse_of(health: Health, streak: Streak | None, now: float) -> Fuse:
    """One call that failed is a bad answer and is fetched later: the two counts are not added."""
    said = next((one.details for one in health.findings if one.code == "answers_failing"), {})
    answers = max(streak.answers if streak else 0, int(said.get("answers", 0)))
    status = streak.status if streak else said.get("status")
    if status == HTTPStatus.UNAUTHORIZED and health.reconcile == "ok":
        answers = 0  # ElevenLabs was asked lately, and has no call that is not here: whom we refused was somebody else
    quiet_s = None if health.last_success_at is None else max(0.0, now - health.last_success_at)
    return Fuse(max(answers, health.fetched_since), status, quiet_s)


def verdict_of(health: Health, fuse: Fuse, now: float) -> Verdict:
    return (
        _switched_off(health.findings)
        or _burning(fuse)
        or _found(health.findings, "error", "bad", "Calls may be lost")
        or _failing(fuse)
        or _found(health.findings, "warning", "warn", "Worth a look")
        or _out_of_balance(health)
        or _unknown(health, fuse)
        or Verdict("ok", "Every call arrives", _well(fuse), [])
    )


def _switched_off(findings: Sequence[Standing]) -> Verdict | None:
    found = next((one for code in _SWITCHED_OFF for one in findings if one.code == code), None)
    if found is None:
        return None
    by_itself = found.code == "webhook_auto_disabled"
    headline = "ElevenLabs has switched this webhook off" if by_itself else "No call is delivered"
    return Verdict("bad", headline, found.message, [found.remedy])


def is_burning(failures: int, quiet_s: float | None) -> bool:
    """Whether so many failures in a row, so long after the last success, are a danger."""
    return failures >= _RED_AT or (failures > 0 and quiet_s is not None and quiet_s > _RED_QUIET_S)


def _burning(fuse: Fuse) -> Verdict | None:
    if not is_burning(fuse.failures, fuse.quiet_s):
        return None
    failed = "The last delivery" if fuse.failures == 1 else f"{fuse.failures} deliveries in a row"
    sentence = (
        f"{failed} failed. At {OFF_AT} failures without a success for 7 "
        "days ElevenLabs stops sending: calls still connect, but no transcript arrives."
    )
    return Verdict("bad", _how_long(fuse), sentence, [_what_fails(fuse)])


def _how_long(fuse: Fuse) -> str:
    if fuse.has_many_failures and fuse.is_quiet:
        return "ElevenLabs may switch this webhook off at any moment"
    if fuse.is_quiet:
        more = phrases.count(OFF_AT - fuse.failures, "failure")
        return f"ElevenLabs could switch this webhook off after {more} more"
    return f"ElevenLabs could switch this webhook off in {phrases.span(fuse.left_s)}"


def _failing(fuse: Fuse) -> Verdict | None:
    if fuse.failures < AMBER_AT:
        return None
    sentence = f"The last {fuse.failures} deliveries failed. One good delivery resets the count."
    return Verdict("warn", "Deliveries are failing", sentence, [_what_fails(fuse)])


def _what_fails(fuse: Fuse) -> str:
    if fuse.last_status == 401:
        return (
            "We answer 401: the secret here is not the one at ElevenLabs. Events, Refused, says which check failed; `offhook "
            "verify` says why. `offhook org rotate ORG webhook-secret --value wsec_...` gives the right one."
        )
    if fuse.last_status is not None:
        because = ": nothing here can keep an event" if fuse.last_status == 503 else ""
        return f"We answer {fuse.last_status}{because}. `offhook doctor` and the log of that time say why."
    return (
        "No delivery reaches this server: open its webhook address from outside, and look at the proxy in front, its "
        "certificate, and the address in ElevenLabs. What is missing is fetched meanwhile."
    )


def _found(findings: Sequence[Standing], severity: str, state: State, headline: str) -> Verdict | None:
    found = [one for one in findings if one.severity == severity]
    if not found:
        return None
    return Verdict(state, headline, " ".join(one.message for one in found[:3]), [])


def _out_of_balance(health: Health) -> Verdict | None:
    """Also what was given up, and waits for a person."""
    if health.reconcile == "failing":
        return Verdict("warn", "ElevenLabs cannot be asked what is missing", health.trouble or "", [])
    if health.reconcile == "behind":
        return Verdict("warn", "Nobody has looked for missing calls lately", "The last comparison is over an hour old.",
                       ["Whether a server or worker runs: `offhook doctor`."])  # fmt: skip
    if health.reconcile == "absent":
        return Verdict("warn", "Something of the last 7 days is absent", "The balance below says what, and why.", [])
    if health.quarantined:
        words = phrases.count(health.quarantined, "event is", "events are")
        return Verdict("warn", f"{words} quarantined", "Kept, and not understood. Events, Quarantined, says why.", [])
    if dead := health.effects.get("dead", 0):
        words = phrases.count(dead, "thing was", "things were")
        return Verdict("warn", f"{words} given up", "The dead letters say what, and why; they can be tried again.", [])
    return None


def _unknown(health: Health, fuse: Fuse) -> Verdict | None:
    if health.connected_at is None:
        headline = "Deliveries arrive" if fuse.quiet_s is not None else "Nothing has arrived yet"
        sentence = (
            "Whether all of them do cannot be told: without an API key nobody can ask ElevenLabs which calls there were, "
            "whether the webhook is switched on, and what failed on its way."
        )
        return Verdict("unknown", f"{headline}; whether every call does is unknown" if fuse.quiet_s is not None else headline,
                       sentence, ["`offhook connect ORG` finds out, and keeps finding out."])  # fmt: skip
    if fuse.quiet_s is None:
        return Verdict("unknown", "Nothing has arrived yet", "ElevenLabs is connected; the first call will tell.", [])
    return None


def _well(fuse: Fuse) -> str:
    assert fuse.quiet_s is not None
    ago = phrases.ago(-fuse.quiet_s) or f"{phrases.span(fuse.quiet_s)} ago"
    return (
        f"The last delivery was accepted {ago}. It would take {OFF_AT} failures in a row and 7 days without a success before "
        "ElevenLabs switches the webhook off."
    )
