"""One organisation is looked at: its workspace at ElevenLabs, and its calls here. What was found is kept and told."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime

import msgspec
import sqlalchemy as sa

from offhook.errors import Damaged, GiveUp, TryLater
from offhook.guardian import verdict
from offhook.guardian.alert import alerts_for
from offhook.guardian.silence import LOOK_BACK_S, unusual_silence
from offhook.guardian.verdict import AT_ELEVENLABS, IN_OUR_CALLS, Expected
from offhook.guardian.workspace import look
from offhook.logs import log
from offhook.sealing import KeyRing
from offhook.store import effects, organizations, warnings, workspaces
from offhook.store.database import Database
from offhook.store.warnings import Change, Finding
from offhook.store.workspaces import Connected
from offhook.voice.elevenlabs.api import ElevenLabs, WrongKey

_PATIENCE_S = 90.0  #: for one workspace


class Seen(msgspec.Struct, frozen=True):
    """What a look has shown."""

    codes: Collection[str]  #: of what was looked at: what is not found is over
    findings: Sequence[Finding]


class Lookout:
    def __init__(
        self,
        database: Database,
        keys: KeyRing,
        now: Callable[[], float],
        *,
        public_url: str,
        elevenlabs_url: str,
        is_telling: bool,
    ) -> None:
        """*is_telling*: somebody wants to be alerted."""
        self._database = database
        self._keys = keys
        self._now = now
        self._public_url = public_url
        self._elevenlabs_url = elevenlabs_url
        self._is_telling = is_telling

    async def look_at(self, org_id: str) -> Change:
        """Look, and keep what was found; Unavailable when the database does not answer."""
        connected = await self._connected(org_id)
        there = await self._at_elevenlabs(connected) if connected else Seen(AT_ELEVENLABS, [])
        here = await self._in_our_calls(org_id, connected)
        return await self.keep(org_id, Seen({*there.codes, *here.codes}, [*there.findings, *here.findings]))

    async def keep(self, org_id: str, seen: Seen) -> Change:
        """Write down what was found and what is over, and have it told. Where all is well nothing is written."""
        if not seen.findings and await self._database.read(warnings.is_clear, org_id):
            return Change([], [])
        return await self._database.write(_kept, org_id, seen, self._now(), is_telling=self._is_telling)

    async def _connected(self, org_id: str) -> Connected | None:
        try:
            return await self._database.read(workspaces.get, self._keys, org_id)
        except Damaged as damage:
            log.error("guardian.key_unreadable", org=org_id, reason=damage.message)
            return None

    # At ElevenLabs

    async def _at_elevenlabs(self, connected: Connected) -> Seen:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                findings = await self._in_workspace(connected)
        except WrongKey as error:
            return Seen({"api_key_refused", "unreachable"}, [verdict.of_refused_key(error.message)])
        except (TryLater, GiveUp) as error:
            return await self._no_answer(connected.org_id, error.message)
        except TimeoutError:
            return await self._no_answer(connected.org_id, f"It took longer than {_PATIENCE_S:.0f} s.")
        except (msgspec.MsgspecError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.exception("guardian.unread", org=connected.org_id)
            return await self._no_answer(
                connected.org_id, f"An answer that offhook cannot read: {type(error).__name__}."
            )
        return Seen(AT_ELEVENLABS, findings)

    async def _in_workspace(self, connected: Connected) -> list[Finding]:
        set_up = connected.set_up
        agent_ids = set_up.get("agent_ids") or await self._known_agents(connected.org_id)
        async with ElevenLabs(connected.api_key, base_url=self._elevenlabs_url) as elevenlabs:
            there = await look(elevenlabs, agent_ids)
        expected = Expected(
            org_id=connected.org_id,
            public_url=self._public_url,
            is_hipaa=bool(set_up.get("is_hipaa")),
            has_retries=set_up.get("has_retries"),
        )
        return verdict.of_workspace(there, expected, self._now())

    async def _known_agents(self, org_id: str) -> list[str]:
        return [agent.agent_id for agent in await self._database.read(organizations.agents_of, org_id)]

    async def _no_answer(self, org_id: str, words: str) -> Seen:
        """What was found before stands: nobody knows better."""
        before = await self._database.read(warnings.get, org_id, "unreachable")
        silent_s = self._now() - before.since if before else 0.0
        return Seen({"unreachable"}, [verdict.of_no_answer(words, silent_s)])

    # Here

    async def _in_our_calls(self, org_id: str, connected: Connected | None) -> Seen:
        now = self._now()
        silence = unusual_silence(await self._database.read(warnings.calls_by_hour, org_id, now - LOOK_BACK_S), now)
        found = [verdict.of_silence(silence)] if silence else []
        if connected is not None:
            # What was said before it was connected could only be fetched.
            since = _day(max(now, connected.created_at + 2 * verdict.DAY_S) - verdict.DAY_S)
            found += verdict.of_undelivered(*await self._database.read(warnings.undelivered, org_id, since))
        return Seen(IN_OUR_CALLS, found)


def _kept(tx: sa.Connection, org_id: str, seen: Seen, now: float, *, is_telling: bool) -> Change:
    change = warnings.settle(tx, org_id, seen.codes, seen.findings, now)
    if is_telling:
        untold = [
            one for one in warnings.standing(tx, org_id) if one.told_at is None
        ]  # also from before they were wanted
        wishes = alerts_for([*untold, *change.begun], change.over, name=_name(tx, org_id))
        effects.want(tx, wishes, now)
    return change


def _day(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d}"


def _name(tx: sa.Connection, org_id: str) -> str:
    return next((one.name for one in organizations.list_all(tx) if one.id == org_id), org_id)
