"""The ring of refusals: who was turned away and by which check. Never a body: what was not proven is not kept."""

from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import Literal

import msgspec
from prometheus_client import Counter as Metric

from offhook.logs import log

Check = Literal[
    "sender",  # the address is not on the allow-list
    "credentials",  # neither a signature nor a bearer came
    "header",  # the signature header cannot be read
    "organization",  # ?org= names none, or it has no secret
    "signature",  # no secret of the organisation signed these bytes
    "clock",  # signed, but the time is more than 30 minutes off
    "token",  # nobody's tool secret
    "quota",  # too many unproven bytes at once
    "cut",  # the body did not come to its end
    "pace",  # the body came too slowly
]

_KEPT = 1000
_refused = Metric("offhook_refusals_total", "Webhook requests refused, by failed check", ["check"])


class Refusal(msgspec.Struct, frozen=True):
    at: float  #: unix
    path: str
    sender: str  #: address
    size_bytes: int  #: of the body, as far as it came
    check: Check
    org_id: str | None = None  #: as claimed by ?org=, proven by nothing


class Refusals:
    """The last thousand of this process, newest first."""

    def __init__(self) -> None:
        self._ring: deque[Refusal] = deque(maxlen=_KEPT)
        self.counts: Counter[str] = Counter()

    def add(self, refusal: Refusal) -> None:
        self._ring.appendleft(refusal)
        self.counts[refusal.check] += 1
        _refused.labels(refusal.check).inc()
        log.info("webhook.refused", check=refusal.check, sender=refusal.sender, bytes=refusal.size_bytes)

    def concerning(self, org_id: str, is_organization: Callable[[str], bool]) -> list[Refusal]:
        """Newest first, without those that claimed another organisation that there is. A claim that names nobody is among
        them: a mistyped webhook address is what one looks here for."""
        return [
            one for one in self._ring if one.org_id is None or one.org_id == org_id or not is_organization(one.org_id)
        ]

    def __iter__(self) -> Iterator[Refusal]:
        return iter(self._ring)
