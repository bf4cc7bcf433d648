"""The guardian: what is wrong at the offline ElevenLabs, or at our own door, is found, said, told and forgotten."""

import asyncio
import copy
import json
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from offhook import alerts, app
from offhook.cli import run
from offhook.errors import Mistake
from offhook.guardian.lookout import Lookout
from offhook.guardian.rounds import Guardian
from offhook.guardian.silence import HOUR_S
from offhook.ledger import Kind, Ledger
from offhook.settings import Settings
from offhook.store import effects, organizations, warnings, workspaces
from offhook.store.database import Database
from offhook.store.effects import Effect
from offhook.store.organizations import NewOrganization
from offhook.store.tables import balances, calls
from offhook.streaks import Streaks
from offhook.twin.workspace import Webhook
from tests.api import Api, call_row, hex_id
from tests.services import free_port, signature
from tests.test_apprise import Service
from tests.test_ledger import Clock, brought_about
from tests.twins import KEY, Twin

DOOR = "/api/webhook/elevenlabs"
URL = "https://calls.example.com"


class Watched:
    """An organisation, its workspace at the twin, and what guards it."""

    def __init__(self, database: Database, settings: Settings, twin: Twin, clock: Clock) -> None:
        self.database = database
        self.twin = twin
        self.clock = clock
        self.keys = settings.key_ring()
        self.org = NewOrganization(name="Acme Corp")
        self.elevenlabs_url = twin.url
        self.public_url = URL
        self.alert_url = ""
        self.agent_id = next(iter(twin.desk.workspace.agents))

    async def set_up(self) -> None:
        """All is well."""
        await self.database.write(organizations.create, self.keys, self.org, self.clock())
        await self.connect(KEY)
        await self.twin.hook(f"{self.public_url}{DOOR}?org={self.org.id}", retry_enabled=True)
        personalization = {"url": f"{self.public_url}{DOOR}/personalization", "request_headers": {}}
        self.workspace.settings["conversation_initiation_client_data_webhook"] = personalization
        self.ask(is_asked=True)

    @property
    def workspace(self) -> Any:
        return self.twin.desk.workspace

    @property
    def hook(self) -> Webhook:
        (hook,) = self.workspace.webhooks.values()
        assert isinstance(hook, Webhook)
        return hook

    def ask(self, *, is_asked: bool) -> None:
        overrides = self.workspace.agents[self.agent_id]["platform_settings"]["overrides"]
        overrides["enable_conversation_initiation_client_data_from_webhook"] = is_asked

    async def connect(self, api_key: str, **set_up: Any) -> None:
        known = {"agent_ids": [self.agent_id], **set_up}
        await self.database.write(workspaces.keep, self.keys, self.org.id, api_key, known, self.clock())

    def guardian(self) -> Guardian:
        lookout = Lookout(
            self.database, self.keys, self.clock, public_url=self.public_url, elevenlabs_url=self.elevenlabs_url,
            is_telling=bool(self.alert_url),
        )  # fmt: skip
        return Guardian(self.database, lookout, Streaks(), alerts.opened(self.alert_url), self.clock)

    async def is_warned(self) -> bool:
        return bool(await self.database.read(warnings.standing, self.org.id))

    async def is_well(self) -> bool:
        return not await self.is_warned()

    async def found(self) -> dict[str, str]:
        """What stands after another look, an hour later."""
        await self.guardian().guard(ROUND)
        standing = await self.database.read(warnings.standing, self.org.id)
        self.clock.now += 3600
        return {one.code: one.severity for one in standing}

    async def tell(self) -> None:
        """Have done what alerts are due."""
        await brought_about(Ledger(self.database, {"alert": Kind(self.guardian().tell, hands=1)}, self.clock))

    async def insert(self, table: sa.Table, *rows: dict[str, Any]) -> None:
        await self.database.write(lambda tx: tx.execute(table.insert(), list(rows)) and None)


ROUND = Effect(id="", org_id=None, kind="guard", key="", call_id=None, payload={}, attempts=1, created_at=0.0)


@pytest.fixture
def clock(twin: Twin) -> Clock:
    clock = Clock()
    clock.now = twin.desk.clock()
    return clock


@pytest.fixture
async def watched(database: Database, settings: Settings, twin: Twin, clock: Clock) -> Watched:
    watched = Watched(database, settings, twin, clock)
    await watched.set_up()
    return watched


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as service:
        threading.Thread(target=service.serve_forever, daemon=True).start()
        yield service
        service.shutdown()


def told(service: Service) -> list[tuple[str, str]]:
    return [(body["title"], body["type"]) for _, body in service.taken]


# At ElevenLabs


def switched_off(watched: Watched) -> None:
    watched.hook.is_disabled = True


def without_retries(watched: Watched) -> None:
    watched.hook.is_retried = False


def led_astray(watched: Watched) -> None:
    watched.hook.url = f"https://old.example.com{DOOR}?org={watched.org.id}"


def anonymous(watched: Watched) -> None:
    watched.hook.url = URL + DOOR


def anothers(watched: Watched) -> None:
    watched.hook.url = f"{URL}{DOOR}?org={'b' * 24}"


def failing_once(watched: Watched) -> None:
    standing = watched.hook.standing
    watched.hook.standing = type(standing)(failures=1, last_failure_at=watched.clock() - 60, last_failure_status=503)


def unhooked(watched: Watched) -> None:
    watched.workspace.settings["webhooks"] = {}


def without_audio(watched: Watched) -> None:
    watched.workspace.settings["webhooks"]["events"] = ["transcript", "call_initiation_failure"]


def without_transcripts(watched: Watched) -> None:
    watched.workspace.settings["webhooks"]["events"] = ["audio"]


def told_as_traces(watched: Watched) -> None:
    watched.workspace.settings["webhooks"]["transcript_format"] = "opentelemetry"


def asked_elsewhere(watched: Watched) -> None:
    watched.workspace.settings["conversation_initiation_client_data_webhook"]["url"] = "https://old.example.com/ask"


def not_asked(watched: Watched) -> None:
    watched.ask(is_asked=False)


HARMS: list[tuple[Callable[[Watched], None], str, str]] = [
    (switched_off, "webhook_disabled", "error"),
    (without_retries, "retries_off", "warning"),
    (led_astray, "webhook_url_wrong", "error"),
    (anonymous, "webhook_url_without_org", "warning"),
    (anothers, "webhook_url_wrong", "error"),
    (failing_once, "delivery_failed", "warning"),
    (unhooked, "webhook_missing", "error"),
    (without_audio, "events_missing", "warning"),
    (without_transcripts, "events_missing", "error"),
    (told_as_traces, "transcripts_unreadable", "error"),
    (asked_elsewhere, "personalization_url_wrong", "warning"),
    (not_asked, "personalization_off", "warning"),
]


async def test_what_is_wrong_in_a_workspace_is_found_and_forgotten_when_it_is_mended(watched: Watched) -> None:
    assert {} == await watched.found()
    well = copy.deepcopy((watched.workspace.webhooks, watched.workspace.settings, watched.workspace.agents))
    for harm, code, severity in HARMS:
        harm(watched)
        assert {code: severity} == await watched.found(), harm.__name__
        watched.workspace.webhooks, watched.workspace.settings, watched.workspace.agents = copy.deepcopy(well)
    assert {} == await watched.found()


async def test_a_webhook_that_elevenlabs_has_given_up_is_found(watched: Watched, twin: Twin) -> None:
    watched.public_url = f"http://127.0.0.1:{free_port()}"
    watched.hook.url = f"{watched.public_url}{DOOR}?org={watched.org.id}"
    watched.hook.is_retried = False
    await watched.connect(KEY, is_hipaa=True)
    await twin.place(10)
    await twin.delivered()
    watched.workspace.settings["conversation_initiation_client_data_webhook"]["url"] = (
        f"{watched.public_url}{DOOR}/personalization"
    )
    assert {"webhook_auto_disabled": "error", "delivery_failed": "warning"} == await watched.found()
    (gone, _) = await watched.database.read(warnings.standing, watched.org.id)
    assert "`offhook connect ORG --repair`" in gone.remedy


async def test_what_is_over_is_found_no_more_and_what_stays_keeps_its_beginning(watched: Watched) -> None:
    switched_off(watched)
    without_retries(watched)
    began = watched.clock()
    assert {"webhook_disabled": "error", "retries_off": "warning"} == await watched.found()
    watched.hook.is_disabled = False
    assert {"retries_off": "warning"} == await watched.found()
    (standing,) = await watched.database.read(warnings.standing)
    assert (began, watched.clock() - 3600) == (standing.since, standing.seen_at)


async def test_an_elevenlabs_that_is_away_is_no_finding_for_six_hours_and_hides_none(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("offhook.voice.elevenlabs.api._WAITS_S", ())
    without_retries(watched)
    assert {"retries_off": "warning"} == await watched.found()
    watched.elevenlabs_url = f"http://127.0.0.1:{free_port()}"
    assert {"retries_off": "warning"} == await watched.found()
    watched.clock.now += 5 * 3600 - 1
    assert {"retries_off": "warning"} == await watched.found()
    watched.clock.now += 1 - 3600
    assert {"retries_off": "warning", "unreachable": "warning"} == await watched.found()
    watched.elevenlabs_url = watched.twin.url
    assert {"retries_off": "warning"} == await watched.found()


async def test_a_key_that_elevenlabs_refuses_is_found_at_once_and_an_answer_that_makes_no_sense_is_not(
    watched: Watched,
) -> None:
    await watched.connect("stale")
    assert {"api_key_refused": "error"} == await watched.found()
    await watched.connect(KEY)
    watched.workspace.settings["webhooks"]["events"] = {"transcript": True}
    assert {"api_key_refused": "error"} == await watched.found()
    watched.workspace.settings["webhooks"]["events"] = None
    assert {} == await watched.found()


async def test_who_is_connected_no_more_has_nothing_wrong_there(watched: Watched) -> None:
    switched_off(watched)
    assert {"webhook_disabled": "error"} == await watched.found()
    await watched.database.write(workspaces.forget, watched.org.id)
    assert {} == await watched.found()


# In our calls


async def test_silence_and_calls_that_no_webhook_brought_are_found(watched: Watched) -> None:
    now = watched.clock()
    ages = [day * 24 + hour for day in range(1, 30) for hour in range(24)]
    rows = [call_row(watched.org.id, id=hex_id(age), happened_at=now - age * HOUR_S) for age in ages]
    await watched.insert(calls, *rows)
    assert {"silence": "warning"} == await watched.found()
    await watched.insert(calls, call_row(watched.org.id, id=hex_id(0), happened_at=watched.clock()))
    day = {"org_id": watched.org.id, "theirs": 10, "ours": 10, "absent": 0, "updated_at": now}
    today = f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d}"
    await watched.insert(balances, {**day, "day": today, "fetched": 4}, {**day, "day": "2020-01-01", "fetched": 9})
    assert {} == await watched.found(), "it has just been connected"
    await watched.database.write(workspaces.forget, watched.org.id)
    watched.clock.now -= 3 * 86_400
    await watched.connect(KEY)
    watched.clock.now += 3 * 86_400
    assert {"deliveries_missing": "warning"} == await watched.found()


# Alerts


async def test_a_finding_is_told_once_and_so_is_its_end(watched: Watched, service: Service) -> None:
    switched_off(watched)
    await watched.found()
    watched.alert_url = f"json://127.0.0.1:{service.server_port}/alerts"
    for _ in range(2):
        await watched.found()
        await watched.tell()
    assert [("offhook: Acme Corp: webhook_disabled", "failure")] == told(service)
    assert f"`offhook connect {watched.org.id} --repair`" in service.taken[0][1]["message"]
    (standing,) = await watched.database.read(warnings.standing)
    assert standing.told_at is not None
    watched.hook.is_disabled = False
    for _ in range(2):
        await watched.found()
        await watched.tell()
    assert [("offhook: Acme Corp: webhook_disabled is over", "success")] == told(service)[1:]


async def test_an_alert_service_that_fails_is_tried_again_and_what_is_over_meanwhile_is_not_told(
    watched: Watched, service: Service
) -> None:
    watched.alert_url = f"json://127.0.0.1:{service.server_port}/alerts"
    service.status = 500
    switched_off(watched)
    without_retries(watched)
    await watched.found()
    await watched.tell()
    watched.hook.is_disabled = False
    service.status = 200
    service.taken.clear()
    await watched.found()
    await watched.tell()
    assert [("offhook: Acme Corp: retries_off", "warning")] == told(service)
    rows, _ = await watched.database.read(effects.page, watched.org.id)
    assert {"done", "suppressed"} == {row.status for row in rows}


async def test_what_becomes_worse_is_told_again(watched: Watched, service: Service) -> None:
    watched.alert_url = f"json://127.0.0.1:{service.server_port}/alerts"
    without_audio(watched)
    await watched.found()
    await watched.tell()
    without_transcripts(watched)
    await watched.found()
    await watched.tell()
    assert ["warning", "failure"] == [type for _, type in told(service)]


def test_alerts_that_cannot_be_had_are_said_at_the_start_without_their_address(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert None is alerts.opened("")
    with pytest.raises(Mistake, match="OFFHOOK_ALERT_URL cannot be used") as unknown:
        alerts.opened("nosuchservice://s3cret")
    assert "s3cret" not in unknown.value.message + caplog.text
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(Mistake, match=r"pip install apprise"):
        alerts.opened("json://127.0.0.1/s3cret")


# Our own door


async def knock(api: Api, *, secret: str | None = None, org_id: str | None = None) -> int:
    body = json.dumps({"type": "post_call_transcription", "data": {"conversation_id": "conv_1"}}).encode()
    headers = {"ElevenLabs-Signature": signature(secret or api.org.webhook_secret, body)}
    query = {"org": org_id or api.org.id}
    return (await api.client_with(None).post(DOOR, content=body, headers=headers, params=query)).status_code


async def shown(api: Api, is_awaited: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
    """The warnings of /api/health, as soon as they are so."""
    async with asyncio.timeout(10):
        while True:
            found: list[dict[str, Any]] = (await api.client_with(None).get("/api/health")).json()["warnings"]
            if is_awaited(found):
                return found
            await asyncio.sleep(0.02)


async def test_a_door_that_refuses_again_and_again_is_said_within_seconds_until_it_takes_again(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("offhook.guardian.rounds._GATHER_S", 0.05)
    for _ in range(2):
        assert 401 == await knock(api, secret="wsec_of_before")
    assert 200 == await knock(api)
    for _ in range(3):
        await knock(api, secret="wsec_of_before")
    (finding,) = await shown(api, bool)
    assert ("answers_failing", "warning") == (finding["code"], finding["severity"])
    assert {"code", "severity", "message", "remedy", "since"} == finding.keys()
    metrics = (await api.client_with(None).get("/metrics")).text
    assert 'offhook_warnings{code="answers_failing",severity="warning"} 1.0' in metrics
    for _ in range(3):
        await knock(api, secret="wsec_of_before")
    (finding,) = await shown(api, lambda found: found[0]["severity"] == "error")
    assert api.org.id not in json.dumps(finding)
    assert 200 == await knock(api)
    assert [] == await shown(api, lambda found: not found)
    assert "offhook_warnings{" not in (await api.client_with(None).get("/metrics")).text


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_door_that_goes_on_failing_is_said_again_after_another_process_called_it_over(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that has just started beside it, answers with 200, and knows of no streak."""
    monkeypatch.setattr("offhook.guardian.rounds._GATHER_S", 0.02)
    failing, well = watched.guardian(), watched.guardian()
    await failing.open()
    await well.open()
    for _ in range(6):
        failing._streaks.note(watched.org.id, 503)
    await until(watched.is_warned)
    well._streaks.note(watched.org.id, 200)
    await until(watched.is_well)
    for _ in range(4):
        failing._streaks.note(watched.org.id, 503)
    await until(watched.is_warned)
    await failing.close()
    await well.close()


async def until(look: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await look():
            await asyncio.sleep(0.02)


async def test_strangers_make_no_streak(api: Api) -> None:
    for _ in range(8):
        await knock(api, org_id="b" * 24)
        await api.client_with(None).post(DOOR, content=b"{}", params={"org": api.org.id})
    assert {} == api.deps.streaks.long()


async def test_a_server_at_work_looks_by_itself_and_tells_what_its_own_door_does(
    settings: Settings, service: Service
) -> None:
    wanted = settings.model_copy(update={"alert_url": f"json://127.0.0.1:{service.server_port}/alerts"})
    async with app.house(wanted, is_server=True) as deps, asyncio.timeout(20):
        api = Api(deps)
        await deps.database.write(organizations.create, deps.keys, api.org, deps.now())
        await deps.directory.refresh()
        for _ in range(3):
            assert 401 == await knock(api, secret="wsec_of_before")
        rounds: list[str | None] = [None]
        while not service.taken or rounds[0] is None:
            await asyncio.sleep(0.05)
            rounds = [row.outcome for row in (await deps.database.read(effects.page, None, kind="guard"))[0]] or [None]
        await api.client.aclose()
    assert [("offhook: Acme Corp: answers_failing", "warning")] == told(service)
    assert ["looked at"] == [outcome[2:] for outcome in rounds if outcome]


# By hand


@pytest.fixture
def by_hand(watched: Watched, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Awaitable[int]]:
    """`await by_hand("guardian", "Acme Corp")`: the exit code of a command, typed beside the twin."""
    for name in ("data_dir", "database_url", "secret_key"):
        monkeypatch.setenv(f"OFFHOOK_{name.upper()}", str(getattr(settings, name)))
    monkeypatch.setenv("OFFHOOK_ELEVENLABS_URL", watched.twin.url)
    monkeypatch.setenv("OFFHOOK_PUBLIC_URL", URL)

    async def typed(*words: str) -> int:
        return await asyncio.to_thread(run, words)

    return typed


async def test_what_connect_has_set_up_is_well_and_what_it_shall_mend_it_mends(
    watched: Watched, by_hand: Callable[..., Awaitable[int]], capsys: pytest.CaptureFixture[str]
) -> None:
    await watched.database.write(workspaces.forget, watched.org.id)
    watched.workspace.webhooks, watched.workspace.settings = {}, {"webhooks": {}}
    connect = ("connect", "Acme Corp", "--api-key", KEY, "--repair", "--yes")
    assert 0 == await by_hand(*connect), capsys.readouterr().err
    assert 0 == await by_hand("guardian", "Acme Corp"), capsys.readouterr().out
    for harms in ((switched_off, without_retries, without_audio, asked_elsewhere, not_asked), (unhooked,)):
        for harm in harms:
            harm(watched)
        assert 1 == await by_hand("guardian", "Acme Corp")
        assert len(harms) == capsys.readouterr().out.count("`offhook connect")
        assert 0 == await by_hand(*connect)
        assert 0 == await by_hand("guardian", "Acme Corp"), capsys.readouterr().out


async def test_by_hand_one_is_told_what_is_wrong_and_the_exit_code_says_whether(
    watched: Watched, by_hand: Callable[..., Awaitable[int]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert 0 == await by_hand("guardian", "Acme Corp")
    assert "Nothing is wrong with Acme Corp.\n" == capsys.readouterr().out
    led_astray(watched)
    assert 1 == await by_hand("guardian", "Acme Corp", "--json")
    (finding,) = json.loads(capsys.readouterr().out)
    assert ("webhook_url_wrong", "error", watched.hook.url) == (
        finding["code"], finding["severity"], finding["details"]["found"],
    )  # fmt: skip
    assert 1 == await by_hand("guardian", watched.org.id)
    assert f"offhook connect {watched.org.id} --repair" in capsys.readouterr().out
    await watched.database.write(workspaces.forget, watched.org.id)
    assert 0 == await by_hand("guardian", "Acme Corp")
    assert "not connected" in capsys.readouterr().out
