"""How ElevenLabs delivers: once, with retries where they were asked for, until it gives a webhook up. Pure.

https://elevenlabs.io/docs/eleven-agents/workflows/post-call-webhooks, read 2026-10.
"""

from random import Random

import msgspec

#: After which waits a delivery is tried again, each 10 % more or less: at once, 30 s, 2, 8 and 30 min.
RETRY_AFTER_S = (0.0, 30.0, 120.0, 480.0, 1800.0)
JITTER = 0.1
MOST_WAITING = 100  #: retries of one webhook; what is beyond is dropped
FAILURES_TO_DISABLE = 10
GRACE_S = 7 * 86_400  #: so long after its last success, failures disable a webhook
_RETRIED_TYPES = frozenset({"post_call_transcription"})
_RETRIED_STATUSES = frozenset({408, 429})


class Standing(msgspec.Struct, frozen=True):
    """What a workspace shows of a webhook's deliveries."""

    failures: int = 0  #: in a row
    last_success_at: float | None = None  #: unix
    last_failure_at: float | None = None
    last_failure_status: int | None = None
    is_auto_disabled: bool = False


def after_answer(standing: Standing, status: int | None, now: float) -> Standing:
    """*standing* once a delivery was answered with *status* (None: nobody answered). Exactly 200 is success."""
    if status == 200:
        return msgspec.structs.replace(standing, failures=0, last_success_at=now)
    failures = standing.failures + 1
    is_stale = standing.last_success_at is None or now - standing.last_success_at > GRACE_S
    return msgspec.structs.replace(
        standing,
        failures=failures,
        last_failure_at=now,
        last_failure_status=status,
        is_auto_disabled=standing.is_auto_disabled or (failures >= FAILURES_TO_DISABLE and is_stale),
    )


def retry_wait_s(type: str, status: int | None, tries: int, dice: Random) -> float | None:
    """How long to wait before the next try, after *tries* that failed; None: there is none."""
    is_passing = status is None or status >= 500 or status in _RETRIED_STATUSES
    if type not in _RETRIED_TYPES or not is_passing or tries > len(RETRY_AFTER_S):
        return None
    return RETRY_AFTER_S[tries - 1] * dice.uniform(1 - JITTER, 1 + JITTER)
