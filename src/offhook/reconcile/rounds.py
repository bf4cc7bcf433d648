"""When is reconciled: every quarter of an hour each connected organisation, and one of them when somebody asks.

The schedule is an effect (effects.py), so one process at a time goes round, however many there are; who asks by hand may do
so beside it, because what is fetched twice is the same event.
"""

import asyncio
from collections.abc import Callable

from offhook.directory import Directory
from offhook.errors import Damaged, Mistake, OffhookError, Unavailable
from offhook.inbox import Inbox
from offhook.ledger import Outcome
from offhook.logs import log
from offhook.reconcile.comparing import FIRST_LOOK_S
from offhook.reconcile.retrieving import Retrieving
from offhook.reconcile.turn import Report, Rooms, Turn, Wish
from offhook.sealing import KeyRing
from offhook.settings import Settings
from offhook.store import workspaces
from offhook.store.database import Database
from offhook.store.effects import Effect
from offhook.store.workspaces import Connected
from offhook.voice.elevenlabs.api import ElevenLabs
from offhook.voice.elevenlabs.history import History
from offhook.voice.parts import Folders

EVERY_S = 900.0
JITTER = 0.1  #: of that, more or less, so that installations do not ask ElevenLabs all at once
WITHIN_S = 6 * 3_600.0  #: a first round over a month of calls; the lease is held as long as the process lives
_AT_ONCE = 2  #: organisations

_SCHEDULED = Wish()


class Reconcile:
    """Compares what ElevenLabs knows with what is here, and fetches what is missing."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        keys: KeyRing,
        directory: Directory,
        inbox: Inbox,
        now: Callable[[], float],
    ) -> None:
        folders = Folders(settings.recordings_dir, settings.bodies_dir, keys)
        retrieving = Retrieving(inbox, folders, now, limit_bytes=settings.body_limit_mib << 20)
        self._rooms = Rooms(database, directory, retrieving, now)
        self._database = database
        self._keys = keys
        self._url = settings.elevenlabs_url
        self._now = now

    async def go_round(self, _: Effect) -> Outcome:
        """Each connected organisation; what fails with one is written down there, and stops no other."""
        turns = asyncio.Semaphore(_AT_ONCE)

        async def turn(org_id: str) -> int | None:
            async with turns:
                return await self._turn_that_may_fail(org_id)

        org_ids = await self._database.read(workspaces.org_ids)
        fetched = await asyncio.gather(*map(turn, org_ids))
        words = f"{len(org_ids)} organisations, {sum(filter(None, fetched))} fetched"
        return Outcome("done", f"{words}, {fetched.count(None)} to be tried again.")

    async def reconcile(self, org_id: str, wish: Wish) -> Report:
        """One organisation now. Mistake when it is not connected; what else goes wrong is kept with it, and raised."""
        connected = await self._database.read(workspaces.get, self._keys, org_id)
        if connected is None:
            raise Mistake(
                "The organisation is not connected to ElevenLabs: `offhook connect` does it, with an API key."
            )
        try:
            report = await self._taken(connected, wish)
        except Unavailable:
            raise
        except Exception as error:
            trouble = error.message if isinstance(error, OffhookError) else f"A fault of offhook's own: {error!r}"
            await self._database.write(workspaces.stamp_trouble, org_id, trouble)
            raise
        if not wish.is_dry:
            await self._stamp(connected, report)
        return report

    async def _taken(self, connected: Connected, wish: Wish) -> Report:
        is_shared = await self._is_shared(connected)
        async with ElevenLabs(connected.api_key, base_url=self._url) as elevenlabs:
            turn = Turn(self._rooms, connected.org_id, History(elevenlabs), wish, is_shared=is_shared)
            return await turn.take()

    async def _stamp(self, connected: Connected, report: Report) -> None:
        """What is accounted for grows on, if nothing was left out between then and the beginning of this look."""
        until = connected.reconciled_until
        is_whole = report.since <= until if until is not None else report.until - report.since >= FIRST_LOOK_S
        at = self._now()
        await self._database.write(
            workspaces.stamp_reconciled, connected.org_id, report.until if is_whole else None, at
        )

    async def _turn_that_may_fail(self, org_id: str) -> int | None:
        """How much was fetched; None when it has to be tried again."""
        try:
            report = await self.reconcile(org_id, _SCHEDULED)
        except (Mistake, Damaged) as error:  # disconnected meanwhile, or sealed with a key that is not here
            log.warning("reconcile.left_out", org=org_id, reason=error.message)
            return None
        except OffhookError as error:
            log.warning("reconcile.later", org=org_id, reason=error.message)
            return None
        except Exception:
            log.exception("reconcile.fault", org=org_id)
            return None
        fetched = sum(report.fetched.values())
        if fetched:
            log.warning("reconcile.fetched", org=org_id, **report.fetched)
        return fetched

    async def _is_shared(self, connected: Connected) -> bool:
        """Whether other organisations have calls in this workspace: they share its webhook secret, or its API key."""
        secrets = self._rooms.directory.webhook_secrets(connected.org_id)
        if any(len(set(secret.org_ids)) > 1 for secret in secrets):
            return True
        return await self._database.read(workspaces.is_key_shared, self._keys, connected)
