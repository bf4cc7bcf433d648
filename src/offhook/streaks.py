"""How often in a row the post-call door has answered an organisation's sender with something else than 200, in this process.

ElevenLabs counts the same, and says nothing: ten failures in a row, a week after the last success, switch its webhook off.
"""

import asyncio
from http import HTTPStatus
from typing import NamedTuple

from offhook.logs import log

WARN_AT, ERROR_AT = 3, 6
_AGAIN_EVERY = 10  #: another process, whose own door is well, may have called it over


class Streak(NamedTuple):
    answers: int  #: in a row that were not 200
    status: int  #: the last of them


class Streaks:
    """By organisation. Counting costs a look into a set."""

    def __init__(self) -> None:
        self._streaks: dict[str, Streak] = {}
        self._well: set[str] = set()  #: whose last answer was 200
        self._changed: set[str] = set()
        self._has_changed = asyncio.Event()

    def note(self, org_id: str, status: int) -> None:
        """The door has answered the sender of an organisation that there is."""
        if status != HTTPStatus.OK:
            self._count(org_id, status)
        elif org_id not in self._well:  # also the first time: the process before this one may have left a streak
            self._well.add(org_id)
            self._streaks.pop(org_id, None)
            self.mark({org_id})

    def long(self) -> dict[str, Streak]:
        """Those that are long enough to be said, by organisation."""
        return {org_id: streak for org_id, streak in self._streaks.items() if streak.answers >= WARN_AT}

    def of(self, org_id: str) -> Streak | None:
        """However short; None when its last answer was 200, or nothing was answered here."""
        return self._streaks.get(org_id)

    async def changed(self) -> set[str]:
        """Wait for organisations whose streak has become long, or longer, or is over; which they are."""
        await self._has_changed.wait()
        self._has_changed.clear()
        changed, self._changed = self._changed, set()
        return changed

    def mark(self, org_ids: set[str]) -> None:
        """Something about them is to be said, or could not be said before."""
        self._changed |= org_ids
        self._has_changed.set()

    def _count(self, org_id: str, status: int) -> None:
        self._well.discard(org_id)
        before = self._streaks.get(org_id)
        counted = Streak(before.answers + 1 if before else 1, status)
        self._streaks[org_id] = counted
        if counted.answers in (WARN_AT, ERROR_AT) or counted.answers % _AGAIN_EVERY == 0:
            log.error("webhook.failing", org=org_id, answers=counted.answers, status=status)
            self.mark({org_id})
