"""One organisation is reconciled: survey, settle, balance.

What could not be had is an absence, open as long as it is asked about again: whatever happens to a turn in between, the next
one finds what is missing by looking, not by remembering.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

import msgspec
from prometheus_client import Counter

from offhook.directory import Directory
from offhook.errors import ComeBackLater, Fault, GiveUp, OffhookError, TryLater
from offhook.events import call_id
from offhook.logs import log
from offhook.reconcile import comparing
from offhook.reconcile.comparing import DAY_S, Case
from offhook.reconcile.retrieving import Retrieving
from offhook.store import balances, workspaces
from offhook.store import events as event_rows
from offhook.store.balances import Absence, Day, Held, What
from offhook.store.database import Database
from offhook.voice.elevenlabs import history as words
from offhook.voice.elevenlabs.api import NotThere, WrongKey
from offhook.voice.elevenlabs.envelope import read_envelope
from offhook.voice.elevenlabs.history import History, Known, Told
from offhook.voice.json_text import Unreadable

_AT_ONCE = 4  #: conversations that are asked for side by side
_MOST_FAILURES = 5  #: in a row: then it is an outage, and the rest waits for the next turn
_ASK_AFTER_S = DAY_S / 2  #: a call that is not over after that is remembered, lest it falls out of the window
_GONE_S = DAY_S  #: what is not there may still come so long after the call
_ASKED_S = 7 * DAY_S  #: what is refused so long is not asked for any more by itself

DELETED = "ElevenLabs has deleted the conversation, and no webhook had brought it."
NO_RECORDING = "ElevenLabs has no recording of the call any more, and no webhook had brought it."
KEEPS_NOTHING = "The agent keeps nothing (zero retention): what no webhook brought is gone for good."
UNDER_WAY = "The call is not over yet: it is fetched once ElevenLabs says that it is."
UNREADABLE = "It was fetched, but cannot be read: `offhook events list --status quarantined` says why."

Progress = Callable[[str, int, int | None], None]  #: what is being done, how far, and of how much if that is known

_fetched = Counter("offhook_reconciled_total", "What no webhook brought and was fetched, by what it is", ("what",))


class Rooms(NamedTuple):
    """What a turn stands on."""

    database: Database
    directory: Directory
    retrieving: Retrieving
    now: Callable[[], float]


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """How a turn is meant."""

    since: float | None = None  #: unix; None: as far back as is needed
    patience_s: float = comparing.PATIENCE_S
    is_dry: bool = False  #: look, and change nothing
    is_thorough: bool = False  #: ask again for what was given up, too
    progress: Progress = lambda what, done, total: None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """How a turn went."""

    since: float
    until: float
    waiting: int  #: calls that are not over, or whose webhook may still come
    strangers: int  #: conversations of agents that are no known organisation's, in a workspace that several share
    missing: dict[What, int]  #: before anything was fetched
    fetched: dict[What, int]
    absences: list[Absence]
    days: list[Day]


class Turn:
    """Used once."""

    def __init__(self, rooms: Rooms, org_id: str, history: History, wish: Wish, *, is_shared: bool) -> None:
        """*is_shared*: other organisations have calls in the same workspace."""
        self._rooms = rooms
        self._database = rooms.database
        self._org_id = org_id
        self._history = history
        self._wish = wish
        self._is_shared = is_shared
        self._until = rooms.now()
        self._absences: dict[str, dict[What, Absence]] = {}
        self._listed: set[str] = set()
        self._silent: set[str] = set()  # conversations without a recording
        self._anothers: set[str] = set()
        self._under_way: set[str] = set()
        self._keep_nothing: dict[str, bool] = {}
        self._strangers = 0
        self._fetched: dict[What, int] = {"conversation": 0, "audio": 0}
        self._failures = 0
        self._broken: Exception | None = None

    async def take(self) -> Report:
        """TryLater when ElevenLabs or the disk did not go along, WrongKey when the key is no good: what was fetched by then
        is here, and the next turn goes on."""
        since = await self._since()
        cases = await self._survey(since)
        wanted = [case for case in cases if self._wanted_of(case)]
        missing: dict[What, int] = {
            what: sum(what in self._wanted_of(case) for case in wanted) for what in ("conversation", "audio")
        }
        if not self._wish.is_dry:
            await self._settle_all(cases, wanted)
        days = await self._balance(cases, since)
        return Report(
            since=since,
            until=self._until,
            waiting=sum(self._is_waiting(case) for case in cases),
            strangers=self._strangers,
            missing=missing,
            fetched=self._fetched,
            absences=[absence for _, of_one in sorted(self._absences.items()) for absence in of_one.values()],
            days=days,
        )

    # Survey

    async def _since(self) -> float:
        standing = await self._database.read(workspaces.reconciled, self._org_id)
        until = standing.until if standing is not None else None
        found = await self._database.read(balances.absences_of, self._org_id, since=self._until, with_open=True)
        oldest_open = min((one.began_at for one in found if not one.is_final), default=None)
        if self._wish.since is not None:
            return comparing.day_begin(self._wish.since)
        return comparing.window_begin(until, oldest_open, self._until)

    async def _survey(self, since: float) -> list[Case]:
        """What is known there, or should be, beside what is here."""
        known = await self._known(since)
        self._listed = set(known)
        for absence in await self._database.read(balances.absences_of, self._org_id, since=since, with_open=True):
            self._absences.setdefault(absence.conversation_id, {})[absence.what] = absence
        for conversation_id, began_at in (await self._suspected(since)).items():
            known.setdefault(
                conversation_id, Known(conversation_id=conversation_id, began_at=began_at, ended_at=began_at)
            )
        return await self._cases(list(known.values()))

    async def _known(self, since: float) -> dict[str, Known]:
        found: dict[str, Known] = {}
        async for one in self._history.between(since, self._until):
            if self._may_be_ours(one):
                found[one.conversation_id] = one
            self._wish.progress("Asking ElevenLabs", len(found), None)
        for conversation_id in await self._on_file_elsewhere(found.values()):
            del found[conversation_id]
        return found

    def _may_be_ours(self, known: Known) -> bool:
        owners = self._rooms.directory.orgs_of_agent(known.agent_id) if known.agent_id else ()
        if owners:
            return self._org_id in owners
        self._strangers += self._is_shared
        return not self._is_shared

    async def _on_file_elsewhere(self, known: Collection[Known]) -> set[str]:
        """Conversations of agents that serve several organisations and have come to another one."""
        ids: dict[str, str] = {}
        for one in known:
            owners = self._rooms.directory.orgs_of_agent(one.agent_id) if one.agent_id else ()
            others = [org_id for org_id in owners if org_id != self._org_id]
            ids |= {call_id(org_id, one.conversation_id): one.conversation_id for org_id in others}
        found = await self._database.read(event_rows.known_calls, list(ids)) if ids else []
        return {ids[one] for one in found}

    async def _suspected(self, since: float) -> dict[str, float]:
        """What is asked for although no list shows it: what was not to be had before, and recordings that came alone."""
        suspected = {
            id: next(iter(of_one.values())).began_at
            for id, of_one in self._absences.items()
            if self._wish.is_thorough or not all(one.is_final for one in of_one.values())
        }
        alone = await self._database.read(balances.unfinished, self._org_id, since)
        return suspected | {id: began_at for id, began_at in alone.items() if id not in self._absences}

    async def _cases(self, known: Collection[Known]) -> list[Case]:
        ids = {one.conversation_id: call_id(self._org_id, one.conversation_id) for one in known}
        held = await self._held(list(ids.values()))
        alone = [id for id in ids.values() if held[id].conversation != "missing" and held[id].recording == "missing"]
        details = await self._database.read(balances.details_of, alone)
        return [
            _case(one, ids[one.conversation_id], held, details, is_silent=one.conversation_id in self._silent)
            for one in known
        ]

    async def _held(self, call_ids: list[str]) -> dict[str, Held]:
        found = await self._database.read(balances.held, call_ids, words.CONVERSATION, words.RECORDING)
        return {id: found.get(id, Held()) for id in call_ids}

    # Settle

    def _wanted_of(self, case: Case) -> frozenset[What]:
        """What is to be fetched now."""
        if not self._is_due(case.known):
            return frozenset()
        known = self._absences.get(case.known.conversation_id, {})
        is_given_up = {what for what, one in known.items() if one.is_final and not self._wish.is_thorough}
        return frozenset(what for what in case.lacking if what not in is_given_up)

    def _is_due(self, known: Known) -> bool:
        return comparing.is_due(known, self._until, self._wish.patience_s)

    def _is_waiting(self, case: Case) -> bool:
        return bool(case.lacking) and not self._is_due(case.known)

    async def _settle_all(self, cases: Collection[Case], wanted: Collection[Case]) -> None:
        for case in cases:
            await self._remember(case)
        rest, total = iter(wanted), len(wanted)
        done = iter(range(1, total + 1))

        async def work() -> None:
            for case in rest:
                if self._broken is not None:
                    return
                await self._settle_or_break(case)
                self._wish.progress("Fetching", next(done), total)

        await asyncio.gather(*(work() for _ in range(min(_AT_ONCE, total))))
        if self._broken is not None:
            raise self._broken

    async def _remember(self, case: Case) -> None:
        """A name for what is not fetched for other reasons than its absence; none any more for what has come."""
        id, known = case.known.conversation_id, self._absences.get(case.known.conversation_id, {})
        if not case.known.is_over and self._until - case.known.began_at > _ASK_AFTER_S and not known:
            await self._note(id, [self._absence(case, "conversation", UNDER_WAY, is_final=False)])
        elif known and not self._wanted_of(case):
            await self._note(id, [one for what, one in known.items() if not _has_come(case, one)])

    async def _settle_or_break(self, case: Case) -> None:
        try:
            absent = await self._settle(case)
            if absent or case.known.conversation_id in self._absences:
                await self._note(case.known.conversation_id, absent)
        except (OSError, ComeBackLater) as error:
            self._broken = Fault(f"What is fetched cannot be kept just now: {error}")
        except Exception as error:  # it is raised as soon as the others have finished theirs
            self._broken = error

    async def _settle(self, case: Case) -> list[Absence]:
        """Fetch what is wanted; what is absent of it afterwards."""
        wanted, told = self._wanted_of(case), None
        kept = [one for what, one in self._known_of(case).items() if what not in wanted]
        if "conversation" in wanted and case.held.conversation == "set_aside":
            kept.append(self._absence(case, "conversation", UNREADABLE, is_final=False))
        elif "conversation" in wanted:
            told, absent = await self._had(case, "conversation")
            if told is None or absent is not None:
                return [*kept, *filter(None, [absent])]
        if "audio" in wanted and case.held.recording != "set_aside":
            kept += filter(None, [await self._audio(case, told)])
        return kept

    def _known_of(self, case: Case) -> Mapping[What, Absence]:
        return self._absences.get(case.known.conversation_id, {})

    async def _audio(self, case: Case, told: Told | None) -> Absence | None:
        has_recording = case.has_recording if told is None else told.known.has_recording
        if has_recording is False:
            self._silent.add(case.known.conversation_id)
            return None
        if told is not None and not self._is_due(told.known):
            return None
        return (await self._had(case, "audio"))[1]

    async def _had(self, case: Case, what: What) -> tuple[Told | None, Absence | None]:
        """Fetch it; if that cannot be, its absence. TryLater when it seems that nothing can be had just now."""
        fetch = self._fetch_conversation if what == "conversation" else self._fetch_recording
        try:
            had = await fetch(case)
        except WrongKey:
            raise
        except NotThere:
            return None, await self._gone(case, what)
        except GiveUp as error:
            return None, self._absence(case, what, f"ElevenLabs does not hand it out: {error.message}")
        except TryLater as error:
            return None, self._failed(case, what, f"It is asked for again: {error.message}", error)
        except (OffhookError, OSError):
            raise
        except Exception as error:  # one conversation that we cannot take must not stand before all the others for ever
            log.exception("reconcile.fault", org=self._org_id, conversation=case.known.conversation_id)
            return None, self._failed(case, what, f"A fault of offhook's own: {error!r}", error)
        self._failures = 0
        return had

    def _failed(self, case: Case, what: What, reason: str, error: Exception) -> Absence:
        """Its absence; *error* is raised when so many in a row say that nothing can be had just now."""
        self._failures += 1
        if self._failures >= _MOST_FAILURES:
            raise error
        return self._absence(case, what, reason)

    async def _fetch_conversation(self, case: Case) -> tuple[Told | None, Absence | None]:
        told = await self._history.conversation(case.known.conversation_id)
        if not told.known.is_over:
            self._under_way.add(case.known.conversation_id)
            return None, self._absence(case, "conversation", UNDER_WAY)
        if self._is_anothers(told):
            self._anothers.add(case.known.conversation_id)
            return None, None
        await self._rooms.retrieving.file_conversation(self._org_id, told)
        self._count("conversation")
        if told.is_silent and await self._keeps_nothing(told.known.agent_id):
            return told, self._absence(case, "conversation", KEEPS_NOTHING, is_final=True)
        return told, None

    async def _fetch_recording(self, case: Case) -> tuple[Told | None, Absence | None]:
        if case.has_recording is None and case.held.conversation != "missing":
            told = await self._history.conversation(case.known.conversation_id)
            if told.known.has_recording is False:
                self._silent.add(case.known.conversation_id)
                return None, None
        pieces = self._history.recording(case.known.conversation_id)
        await self._rooms.retrieving.file_recording(self._org_id, case.known, pieces)
        self._count("audio")
        return None, None

    def _count(self, what: What) -> None:
        self._fetched[what] += 1
        _fetched.labels(what).inc()

    def _is_anothers(self, told: Told) -> bool:
        """Whether the call went to a number that is another organisation's, for an agent that serves several."""
        owners = self._rooms.directory.orgs_of_agent(told.known.agent_id) if told.known.agent_id else ()
        if len(owners) < 2:
            return False
        try:
            number = read_envelope(b'{"data":%s}' % told.data).called_number
        except Unreadable:
            return False
        of_number = self._rooms.directory.orgs_of_number(number) if number else ()
        return bool(of_number) and self._org_id not in of_number

    # Absences

    async def _gone(self, case: Case, what: What) -> Absence:
        reason = DELETED if what == "conversation" else NO_RECORDING
        if await self._keeps_nothing(case.known.agent_id):
            reason = KEEPS_NOTHING
        return self._absence(case, what, reason, is_final=self._until - case.known.began_at > _GONE_S)

    async def _keeps_nothing(self, agent_id: str | None) -> bool:
        if agent_id is None:
            return False
        if agent_id not in self._keep_nothing:
            try:
                self._keep_nothing[agent_id] = await self._history.keeps_nothing(agent_id)
            except (GiveUp, TryLater):  # the key may not read agents; the reason is less exact then
                return False
        return self._keep_nothing[agent_id]

    def _absence(self, case: Case, what: What, reason: str, *, is_final: bool | None = None) -> Absence:
        """*is_final* None: once it has been asked about for long enough."""
        known = case.known
        is_old = self._until - known.began_at > _ASKED_S
        return Absence(
            conversation_id=known.conversation_id,
            what=what,
            reason=reason,
            is_final=is_old if is_final is None else is_final,
            began_at=known.began_at,
            noticed_at=self._until,
        )

    async def _note(self, conversation_id: str, absent: Collection[Absence]) -> None:
        if {one.what: one for one in absent} == self._absences.get(conversation_id, {}):
            return
        await self._database.write(balances.note_absences, self._org_id, conversation_id, absent)
        self._absences[conversation_id] = {one.what: one for one in absent}
        for one in absent:
            log.warning(
                "reconcile.absent", org=self._org_id, conversation=conversation_id, what=one.what, why=one.reason
            )

    # Balance

    async def _balance(self, cases: Collection[Case], since: float) -> list[Day]:
        """As it stands now, kept but for a dry turn."""
        counted = [case.known for case in cases if self._is_counted(case, since)]
        now_held = await self._cases(counted)
        absent = {id for id, of_one in self._absences.items() if of_one}
        days = comparing.balance([case for case in now_held if not self._is_waiting(case)], absent, self._rooms.now())
        if not self._wish.is_dry:
            first, last = comparing.day_of(since), comparing.day_of(self._until)
            await self._database.write(balances.keep, self._org_id, days, first, last)
        return days

    def _is_counted(self, case: Case, since: float) -> bool:
        """What is over and the list shows, or is known to be absent although the list does not."""
        id = case.known.conversation_id
        is_absent = bool(self._absences.get(id)) and id not in self._under_way
        is_there = case.known.is_over and (id in self._listed or is_absent)
        return is_there and id not in self._anothers and case.known.began_at >= since


def _case(
    known: Known, call_id: str, held: Mapping[str, Held], details: Mapping[str, str | None], *, is_silent: bool
) -> Case:
    has_recording = False if is_silent else known.has_recording
    if has_recording is None:
        has_recording = words.has_recording(details.get(call_id))
    return Case(known=known, call_id=call_id, held=held[call_id], has_recording=has_recording)


def _has_come(case: Case, absence: Absence) -> bool:
    """A webhook may bring what was given up; what was fetched and is incomplete for good stays named."""
    place = case.held.conversation if absence.what == "conversation" else case.held.recording
    return place == "webhook" or (place == "fetched" and not absence.is_final)
