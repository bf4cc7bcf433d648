"""Reconcile: whatever the wire loses, what ElevenLabs knows ends up here, or its absence has a name."""

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from offhook.app import build, house
from offhook.cli import run
from offhook.deps import Deps
from offhook.events import call_id
from offhook.reconcile import turn
from offhook.reconcile.retrieving import Retrieving
from offhook.reconcile.rounds import Reconcile
from offhook.reconcile.turn import Report, Wish
from offhook.settings import Settings
from offhook.simulator.deliveries import Delivery
from offhook.store import balances, organizations, workspaces
from offhook.store.balances import Absence, Day
from offhook.store.organizations import NewOrganization
from offhook.store.tables import calls, effects, events, recordings
from offhook.twin.postman import Faults, Postman
from offhook.voice.elevenlabs import api
from offhook.voice.elevenlabs.history import Told
from tests.twins import KEY, Twin

HOUR_S = 3_600.0
WEBHOOK_SECRET = "wsec_reconcile"


class House:
    """The application in this process, connected to a twin, an hour after the twin's calls."""

    def __init__(self, deps: Deps, twin: Twin) -> None:
        self.deps = deps
        self.twin = twin
        self.later_s = HOUR_S
        self.org = NewOrganization(name="Acme Corp", timezone="America/Toronto", country="CA")
        self.reconciling = Reconcile(
            deps.settings, deps.database, deps.keys, deps.directory, deps.inbox, lambda: time.time() + self.later_s
        )
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(build(deps)[0]), base_url="http://offhook")

    async def move_in(self) -> None:
        await self.deps.database.write(organizations.create, self.deps.keys, self.org, time.time())
        await self.connect(self.org.id)

    async def connect(self, org_id: str, key: str = KEY) -> None:
        await self.deps.database.write(workspaces.keep, self.deps.keys, org_id, key, {}, time.time())

    async def hook(self) -> None:
        """Have the twin's deliveries come in through this application's own door."""
        _, secret = await self.twin.hook(f"http://offhook/api/webhook/elevenlabs?org={self.org.id}")
        await self.deps.database.write(
            organizations.rotate, self.deps.keys, self.org.id, "webhook", secret, time.time(), overlap_s=0
        )
        await self.deps.directory.refresh()
        self.twin.desk.postman._client = self.http

    async def reconcile(self, **wish: Any) -> Report:
        return await self.reconciling.reconcile(self.org.id, Wish(**wish))

    async def round(self) -> str:
        return (await self.reconciling.go_round(None)).word  # type: ignore[arg-type]

    async def rows(self, table: sa.Table) -> list[Any]:
        await self.deps.projector.drain()
        return await self.deps.database.read(_rows, table)

    async def balance(self) -> list[Day]:
        return (await self.deps.database.read(balances.page, self.org.id))[0]

    async def absences(self) -> list[Absence]:
        return await self.deps.database.read(balances.absences_of, self.org.id)

    async def standing(self) -> Any:
        return await self.deps.database.read(workspaces.reconciled, self.org.id)


def _rows(tx: sa.Connection, table: sa.Table) -> list[Any]:
    return list(tx.execute(sa.select(table)).all())


@pytest.fixture
async def home(data_dir: Path, sqlite_url: str, twin: Twin, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    async with lived_in(Settings(data_dir=data_dir, database_url=sqlite_url), twin, monkeypatch) as home:
        yield home


@pytest.fixture
async def either_home(settings: Settings, twin: Twin, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    """Once on each engine."""
    async with lived_in(settings, twin, monkeypatch) as home:
        yield home


@asynccontextmanager
async def lived_in(settings: Settings, twin: Twin, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    monkeypatch.setattr(api, "_WAITS_S", (0.0, 0.0, 0.0))
    told = settings.model_copy(update={"elevenlabs_url": twin.url})
    async with house(told, is_server=True, with_worker=False) as deps:  # a round begins when a test says so
        deps.inbox.on_filed.append(deps.projector.ring)
        await deps.projector.start()
        home = House(deps, twin)
        await home.move_in()
        async with home.http:
            yield home
        await deps.projector.stop()


async def test_calls_that_no_webhook_brought_are_fetched_with_their_recordings(either_home: House) -> None:
    home = either_home
    await home.twin.place(8)
    theirs = home.twin.desk.workspace.conversations
    report = await home.reconcile()
    assert {"conversation": len(theirs), "audio": len(theirs)} == report.fetched
    assert {call_id(home.org.id, id) for id in theirs} == {row.id for row in await home.rows(calls)}
    kept = {row.call_id: (row.sha256, row.state) for row in await home.rows(recordings)}
    assert len(theirs) == len(kept)
    assert {"ready"} == {state for _, state in kept.values()}
    (day,) = await home.balance()
    assert (len(theirs), len(theirs), len(theirs), 0) == (day.theirs, day.ours, day.fetched, day.absent)
    again = await home.reconcile()
    assert {"conversation": 0, "audio": 0} == again.fetched


@pytest.mark.parametrize("lost", ["post_call_transcription", "post_call_audio", "both"])
async def test_whichever_half_of_a_call_was_lost_is_fetched_and_the_other_is_not(home: House, lost: str) -> None:
    await home.hook()
    lose(home.twin, *([] if lost == "both" else [lost]))
    await home.twin.place(5)
    await home.twin.delivered()
    theirs = home.twin.desk.workspace.conversations
    report = await home.reconcile()
    fetched = {"conversation": len(theirs), "audio": len(theirs)}
    if lost != "both":
        fetched["audio" if lost == "post_call_transcription" else "conversation"] = 0
    assert fetched == report.fetched
    (day,) = await home.balance()
    assert (len(theirs), len(theirs), len(theirs), 0) == (day.theirs, day.ours, day.fetched, day.absent)
    assert len(theirs) == len(await home.rows(recordings))


async def test_a_fetched_call_has_the_very_rows_that_its_webhook_would_have_made(either_home: House) -> None:
    """Whatever came first: the webhook's events that come later change nothing, and are no effects again."""
    home = either_home
    await home.hook()
    late = lose(home.twin)
    await home.twin.place(8)
    await home.reconcile()
    fetched = await facts_of(home)
    for delivery in late[::-1]:
        Postman._post(home.twin.desk.postman, delivery)
    await home.twin.delivered()
    delivered = await facts_of(home)
    failures = {id: facts for id, facts in delivered.items() if id not in fetched}
    assert {"busy", "no-answer", "failed"} >= {facts["status"] for facts in failures.values()}
    assert fetched == {id: facts for id, facts in delivered.items() if id in fetched}
    assert len(fetched) == len(await home.rows(recordings))


async def test_a_call_that_was_missed_long_ago_is_fetched_and_nobody_is_texted(home: House) -> None:
    await home.twin.place(1)
    (theirs,) = home.twin.desk.workspace.conversations.values()
    theirs.data["status"], theirs.started_at = "failed", theirs.started_at - 3 * 86_400
    theirs.data["metadata"]["start_time_unix_secs"] = theirs.started_at
    await home.reconcile()
    await home.reconcile()
    assert ["failed"] == [row.status for row in await home.rows(calls)]
    assert {"missed_call_text", "waveform"} == {row.kind for row in await home.rows(effects) if row.org_id}
    assert [] == [row for row in await home.rows(effects) if row.org_id and row.status == "done"]


async def test_what_a_webhook_may_still_bring_is_waited_for(home: House) -> None:
    home.later_s = 60.0
    await home.twin.place(3)
    assert "1 organisations, 0 fetched, 0 to be tried again." == await home.round()
    assert [] == await home.balance()
    home.later_s = 700.0
    assert "1 organisations, 6 fetched, 0 to be tried again." == await home.round()
    assert [3] == [day.ours for day in await home.balance()]


async def test_a_call_that_is_not_over_is_waited_for_however_long_it_takes(home: House) -> None:
    await home.twin.place(1)
    (theirs,) = home.twin.desk.workspace.conversations.values()
    theirs.data["status"] = "in-progress"
    report = await home.reconcile()
    assert (1, [], 0) == (report.waiting, report.days, report.fetched["conversation"])
    home.later_s = 20 * HOUR_S
    await home.reconcile()
    assert [(turn.UNDER_WAY, False)] == [(one.reason, one.is_final) for one in await home.absences()]
    home.later_s = 60 * HOUR_S
    await home.reconcile()
    theirs.data["status"] = "done"
    home.later_s = 120 * HOUR_S
    await home.reconcile()
    assert ([], 1) == (await home.absences(), len(await home.rows(recordings)))


async def test_an_outage_costs_nothing_but_time(either_home: House) -> None:
    """Whatever was fetched before stays, what is accounted for does not grow, and the next turn finishes."""
    home = either_home
    await home.twin.place(20)
    theirs = len(home.twin.desk.workspace.conversations)
    home.twin.desk.faults = Outage(begins_after=12, lasts=100)
    assert "1 organisations, 0 fetched, 1 to be tried again." == await home.round()
    standing = await home.standing()
    assert None is standing.until
    assert "503" in standing.trouble
    there = len([row for row in await home.rows(events) if row.type == "post_call_transcription"])
    assert 0 < there < theirs
    home.twin.desk.faults = []
    await home.round()
    standing = await home.standing()
    assert (None, True) == (standing.trouble, standing.until > time.time())
    assert [(theirs, theirs, 0)] == [(day.theirs, day.ours, day.absent) for day in await home.balance()]
    assert (theirs, theirs, []) == (
        len(await home.rows(calls)),
        len(await home.rows(recordings)),
        await home.absences(),
    )


async def test_a_conversation_over_which_we_stumble_is_named_and_keeps_no_other_away(
    home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await home.twin.place(8)
    poison, *others = sorted(home.twin.desk.workspace.conversations)
    honest = Retrieving.file_conversation

    async def file_conversation(self: Retrieving, org_id: str, told: Told) -> None:
        if told.known.conversation_id == poison:
            raise ZeroDivisionError("a fault of ours")
        await honest(self, org_id, told)

    with monkeypatch.context() as patched:
        patched.setattr(Retrieving, "file_conversation", file_conversation)
        assert len(others) == (await home.reconcile()).fetched["conversation"]
    [absence] = await home.absences()
    assert (poison, False) == (absence.conversation_id, absence.is_final)
    assert "ZeroDivisionError" in absence.reason
    await home.reconcile()
    assert [] == await home.absences()


async def test_a_moment_of_faults_is_not_even_noticed(home: House) -> None:
    await home.twin.place(6)
    home.twin.desk.faults = [429, 503, 500]
    await home.reconcile()
    assert [0] == [day.absent for day in await home.balance()]


async def test_a_key_that_is_refused_is_said_and_stops_no_other_organisation(home: House) -> None:
    other = NewOrganization(name="Globex", timezone="UTC", country="CA")
    await home.deps.database.write(organizations.create, home.deps.keys, other, time.time())
    await home.connect(other.id, "wrong")
    await home.twin.place(2)
    assert "2 organisations, 4 fetched, 1 to be tried again." == await home.round()
    standing = await home.deps.database.read(workspaces.reconciled, other.id)
    assert standing is not None
    assert "401" in (standing.trouble or "")
    states = await home.deps.database.read(balances.states, time.time() + HOUR_S, "2000-01-01")
    assert {home.org.id: "ok", other.id: "failing"} == states


async def test_a_recording_that_is_gone_has_its_absence_named_until_it_is_given_up(either_home: House) -> None:
    home = either_home
    await home.twin.place(1)
    (theirs,) = home.twin.desk.workspace.conversations.values()
    mp3, theirs.mp3 = theirs.mp3, b""
    await home.reconcile()
    (absence,) = await home.absences()
    assert ("audio", False) == (absence.what, absence.is_final)
    assert [(1, 0, 1)] == [(day.theirs, day.ours, day.absent) for day in await home.balance()]
    theirs.mp3 = mp3
    await home.reconcile()
    assert ([], [(1, 1, 0)]) == (
        await home.absences(),
        [(day.theirs, day.ours, day.absent) for day in await home.balance()],
    )


async def test_a_conversation_that_was_deleted_there_is_named_and_given_up_after_a_day(home: House) -> None:
    """It is known by its recording alone, which a webhook has brought."""
    await home.hook()
    lose(home.twin, "post_call_transcription")
    await home.twin.place(2)
    await home.twin.delivered()
    await home.deps.projector.drain()
    gone = next(iter(home.twin.desk.workspace.conversations))
    del home.twin.desk.workspace.conversations[gone]
    await home.reconcile()
    assert [(gone, "conversation", turn.DELETED, False)] == [
        (one.conversation_id, one.what, one.reason, one.is_final) for one in await home.absences()
    ]
    assert [(2, 1, 1)] == [(day.theirs, day.ours, day.absent) for day in await home.balance()]
    home.later_s = 26 * HOUR_S
    await home.reconcile()
    assert [True] == [one.is_final for one in await home.absences()]


async def test_an_agent_that_keeps_nothing_is_the_reason_that_is_given(home: House) -> None:
    await home.twin.place(1)
    (theirs,) = home.twin.desk.workspace.conversations.values()
    home.twin.desk.workspace.agents[theirs.data["agent_id"]]["platform_settings"]["privacy"] = {
        "zero_retention_mode": True
    }
    theirs.data |= {"transcript": [], "has_audio": False, "analysis": None}
    await home.reconcile()
    await home.reconcile()
    assert [(turn.KEEPS_NOTHING, True)] == [(one.reason, one.is_final) for one in await home.absences()]
    assert [1] == [day.absent for day in await home.balance()]
    assert 1 == len(await home.rows(calls))  # that there was a call is known all the same


async def test_a_conversation_without_a_recording_lacks_none(home: House) -> None:
    await home.hook()
    lose(home.twin, "post_call_audio")
    await home.twin.place(1)
    await home.twin.delivered()
    await home.deps.projector.drain()
    (theirs,) = home.twin.desk.workspace.conversations.values()
    theirs.data["has_audio"] = False
    other = await home.reconcile()
    assert other.fetched["audio"] <= 1
    assert [0] == [day.absent for day in await home.balance()]


async def test_a_dry_run_finds_the_same_and_changes_nothing(home: House) -> None:
    await home.twin.place(4)
    count = len(home.twin.desk.workspace.conversations)
    report = await home.reconcile(is_dry=True)
    assert {"conversation": count, "audio": count} == report.missing
    assert [(count, 0, count)] == [(day.theirs, day.ours, day.absent) for day in report.days]
    assert ([], [], []) == (await home.rows(events), await home.balance(), await home.absences())
    assert None is (await home.standing()).at


async def test_calls_of_another_organisation_in_the_same_workspace_are_left_to_it(home: House) -> None:
    other = NewOrganization(name="Globex", timezone="UTC", country="CA")
    await home.deps.database.write(organizations.create, home.deps.keys, other, time.time())
    await home.connect(other.id)
    await home.twin.place(8)
    theirs = home.twin.desk.workspace.conversations.values()
    agents = sorted({one.data["agent_id"] for one in theirs})
    await register(home, other.id, agents[0])
    await register(home, home.org.id, agents[1])
    await home.deps.directory.refresh()
    report = await home.reconcile()
    mine = {one.id for one in theirs if one.data["agent_id"] == agents[1]}
    assert {call_id(home.org.id, id) for id in mine} == {row.id for row in await home.rows(calls)}
    assert report.strangers == len([one for one in theirs if one.data["agent_id"] not in agents[:2]])


async def test_two_turns_at_once_bring_everything_once(either_home: House) -> None:
    home = either_home
    await home.twin.place(10)
    await asyncio.gather(home.reconcile(), home.reconcile())
    theirs = len(home.twin.desk.workspace.conversations)
    assert (theirs, theirs) == (len(await home.rows(calls)), len(await home.rows(recordings)))
    files = [path for path in home.deps.settings.recordings_dir.iterdir() if path.is_file()]
    assert theirs == len(files)


async def test_a_hundred_calls_over_a_bad_wire_balance(either_home: House) -> None:
    home = either_home
    await bad_wire(home, 100)


async def bad_wire(home: House, count: int) -> None:
    await home.hook()
    home.twin.desk.postman.faults = Faults(dropped=0.2, doubled=0.1, reordered_within_s=0.5)
    placed = set(await home.twin.place(count, "wire"))
    sent = await home.twin.delivered()
    while home.deps.inbox.spooled:
        await asyncio.sleep(0.05)
    assert 0.1 < sum(one["outcome"] == "dropped" for one in sent) / len(sent) < 0.3
    theirs = home.twin.desk.workspace.conversations
    for _ in range(3):  # a busy machine files what was fetched in the spool: it is counted once it is in the database
        await home.reconcile()
        while home.deps.inbox.spooled:
            await asyncio.sleep(0.05)
        if not any(day.absent for day in await home.balance()):
            break
    assert [(len(theirs), len(theirs), 0)] == [(day.theirs, day.ours, day.absent) for day in await home.balance()]
    here = {row.provider_call_id: row.status for row in await home.rows(calls)}
    assert set(theirs) <= set(here) <= placed
    assert {"completed"} == {here[id] for id in theirs}
    sha256 = {id: hashlib.sha256(one.mp3).hexdigest() for id, one in theirs.items()}
    kept = sorted((row.call_id, row.sha256) for row in await home.rows(recordings))
    assert kept == sorted((call_id(home.org.id, id), sha256[id]) for id in theirs)
    assert {"conversation": 0, "audio": 0} == (await home.reconcile()).fetched


@pytest.mark.torture
async def test_a_thousand_calls_over_a_bad_wire_balance(home: House, figure: Callable[..., None]) -> None:
    begun = time.monotonic()
    await bad_wire(home, 1000)
    (day,) = await home.balance()
    figure("1,000 calls, 20 % lost, 10 % doubled, reordered", theirs=day.theirs, here=day.ours, fetched=day.fetched,
           absent=day.absent, seconds=round(time.monotonic() - begun))  # fmt: skip


# How it is shown


async def test_a_program_reads_the_balance_and_why_something_is_absent(home: House) -> None:
    await home.twin.place(3)
    gone = next(iter(home.twin.desk.workspace.conversations.values()))
    gone.mp3 = b""
    await home.reconcile()
    count = len(home.twin.desk.workspace.conversations)
    home.http.headers["Authorization"] = f"Bearer {home.org.api_key}"
    said = (await home.http.get("/api/balance")).json()
    (day,) = said["data"]
    assert (1, count, count - 1, count - 1, 1) == (
        said["total"], day["theirs"], day["ours"], day["fetched"], day["absent"],
    )  # fmt: skip
    assert [(call_id(home.org.id, gone.id), "audio", False)] == [
        (one["callId"], one["what"], one["isFinal"]) for one in said["absences"]
    ]
    assert None is said["trouble"]
    of_that_day = {"from": day["day"], "to": said["reconciledUntil"]}
    assert said["data"] == (await home.http.get("/api/balance", params=of_that_day)).json()["data"]
    before = (await home.http.get("/api/balance", params={"to": day["day"]})).json()
    assert ([], [], 0) == (before["data"], before["absences"], before["total"])
    health = (await home.http.get("/api/health")).json()
    assert ("absent", 1) == (health["reconcile"]["worst"], health["reconcile"]["organizations"]["absent"])
    assert 'offhook_reconcile_organizations{state="absent"} 1.0' in (await home.http.get("/metrics")).text


async def test_the_commands_fetch_what_is_missing_and_show_the_balance(
    home: House, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A call that has just ended is fetched, too: whoever asks by hand wants it now."""
    monkeypatch.setenv("OFFHOOK_DATA_DIR", str(home.deps.settings.data_dir))
    monkeypatch.setenv("OFFHOOK_ELEVENLABS_URL", home.twin.url)
    await home.twin.place(4)
    for conversation in home.twin.desk.workspace.conversations.values():
        conversation.started_at += 1  # by rounding, and by a clock that is a little ahead of ours
        conversation.data["metadata"]["start_time_unix_secs"] += 1
    count = len(home.twin.desk.workspace.conversations)
    dry = await told(capsys, 1, "reconcile", "Acme Corp", "--since", "7d", "--dry-run", "--json")
    assert {"conversations": count, "recordings": count} == dry["missing"]
    done = await told(capsys, 0, "reconcile", home.org.id, "--json")
    assert {"conversations": count, "recordings": count} == done["fetched"]
    shown = await told(capsys, 0, "balance", "Acme Corp", "--json")
    assert [(count, count)] == [(one["theirs"], one["ours"]) for one in shown["days"]]
    assert shown["days"] == [one for one in done["days"] if one["theirs"]]
    assert 0 == await asyncio.to_thread(run, ["balance", "Acme Corp"])
    assert "accounted for until" in capsys.readouterr().out


async def test_an_organisation_that_is_not_connected_is_told_what_to_do(
    home: House, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OFFHOOK_DATA_DIR", str(home.deps.settings.data_dir))
    await home.deps.database.write(workspaces.forget, home.org.id)
    for command in ("reconcile", "balance"):
        assert 2 == await asyncio.to_thread(run, [command, "Acme Corp"])
        assert "offhook connect" in capsys.readouterr().err


async def told(capsys: pytest.CaptureFixture[str], code: int, *words: str) -> Any:
    capsys.readouterr()
    ended = await asyncio.to_thread(run, words)
    said = capsys.readouterr()
    assert code == ended, said.err
    return json.loads(said.out)


class Outage(list[int]):
    """The API's faults: none at first, then 503 to everything."""

    def __init__(self, begins_after: int, lasts: int) -> None:
        super().__init__([503] * lasts)
        self._calm = begins_after

    def __bool__(self) -> bool:
        self._calm -= 1
        return self._calm < 0 and len(self) > 0


def lose(twin: Twin, *types: str) -> list[Delivery]:
    """The wire swallows deliveries of these types, without any all of them; what it has swallowed."""
    lost: list[Delivery] = []
    postman = twin.desk.postman

    def _post(delivery: Delivery) -> None:
        if not types or delivery.payload["type"] in types:
            lost.append(delivery)
        else:
            Postman._post(postman, delivery)

    postman._post = _post  # type: ignore[method-assign]
    return lost


async def register(home: House, org_id: str, agent_id: str) -> None:
    await home.deps.database.write(organizations.add_agent, org_id, agent_id, None, time.time())


async def facts_of(home: House) -> dict[str, dict[str, Any]]:
    """The calls as they stand, but for when we heard of them."""
    when = ("created_at", "updated_at", "happened_at")
    return {row.id: {k: v for k, v in row._mapping.items() if k not in when} for row in await home.rows(calls)}
