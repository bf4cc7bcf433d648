"""The guardian at work: every hour it looks at each organisation, at once it says that our own door fails, and it alerts."""

import asyncio
import contextlib
from collections.abc import Callable

import msgspec

from offhook.alerts import Alerts
from offhook.errors import Unavailable
from offhook.guardian import verdict
from offhook.guardian.alert import Alert
from offhook.guardian.lookout import Lookout, Seen
from offhook.guardian.verdict import AT_OUR_DOOR
from offhook.ledger import Outcome
from offhook.logs import log
from offhook.store import organizations, warnings
from offhook.store.database import Database
from offhook.store.effects import Effect
from offhook.store.warnings import Change
from offhook.streaks import Streaks

EVERY_S = 3600.0
ROUND_S = 3000.0  #: a round may take so long
_AT_ONCE = 8
_GATHER_S = 1.0
_RETRY_S = 5.0


class Guardian:
    """Looks, says, tells."""

    def __init__(
        self,
        database: Database,
        lookout: Lookout,
        streaks: Streaks,
        alerts: Alerts | None,
        now: Callable[[], float],
    ) -> None:
        self._database = database
        self._lookout = lookout
        self._streaks = streaks
        self._alerts = alerts
        self._now = now
        self._following: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Begin to say what is wrong at this process's own door."""
        self._following = asyncio.create_task(self._follow_streaks(), name="guardian-streaks")

    async def close(self) -> None:
        if self._following is not None:
            self._following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._following

    async def guard(self, _: Effect) -> Outcome:
        """Look at every organisation; Unavailable when the database went away meanwhile."""
        found = await self._database.read(organizations.list_all)
        turns = asyncio.Semaphore(_AT_ONCE)

        async def look_at(org_id: str) -> None:
            async with turns:
                _say(org_id, await self._lookout.look_at(org_id))

        ended = await asyncio.gather(*(look_at(one.id) for one in found), return_exceptions=True)
        for fault in ended:
            if isinstance(fault, BaseException):
                raise fault
        return Outcome("done", f"{len(found)} looked at")

    async def tell(self, effect: Effect) -> Outcome:
        """Alert somebody."""
        alert = msgspec.convert(effect.payload, Alert)
        if self._alerts is None:
            return Outcome("suppressed", "OFFHOOK_ALERT_URL is not set.")
        if not alert.is_over and not await self._is_so_still(alert):
            return Outcome("suppressed", "It was over before anybody was told.")
        await self._alerts.tell(alert.title, alert.body, kind=alert.kind)
        if not alert.is_over:
            await self._database.write(warnings.stamp_told, alert.org_id, alert.code, alert.since, self._now())
        return Outcome("done", "told")

    async def _is_so_still(self, alert: Alert) -> bool:
        standing = await self._database.read(warnings.get, alert.org_id, alert.code)
        return standing is not None and standing.since == alert.since

    async def _follow_streaks(self) -> None:
        """For ever: a streak that is long enough, or over, is on file within seconds, if the database is there."""
        while True:
            org_ids = await self._streaks.changed()
            try:
                for org_id in sorted(org_ids):
                    await self._keep_streak(org_id)
            except Unavailable:
                self._streaks.mark(org_ids)
                await asyncio.sleep(_RETRY_S)
            except Exception:
                log.exception("guardian.fault")
            await asyncio.sleep(_GATHER_S)  # a door that fails and goes on by turns costs a write a second

    async def _keep_streak(self, org_id: str) -> None:
        streak = self._streaks.long().get(org_id)
        findings = [verdict.of_streak(streak)] if streak is not None else []
        _say(org_id, await self._lookout.keep(org_id, Seen(AT_OUR_DOOR, findings)))


def _say(org_id: str, change: Change) -> None:
    """Each once: when it has begun or become worse, and when it is over."""
    for one in change.begun:
        say = log.error if one.severity == "error" else log.warning
        say("guardian.warns", org=org_id, code=one.code, message=one.message, remedy=one.remedy, **one.details)
    for one in change.over:
        log.info("guardian.over", org=org_id, code=one.code)
