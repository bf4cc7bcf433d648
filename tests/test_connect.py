"""Setting a workspace up, again, and undoing it: against the twin, by the command line."""

import asyncio
import copy
import json
import os
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock

import msgspec
import pytest

from offhook import cli, logs
from offhook.credentials import hash_of
from offhook.errors import GiveUp
from offhook.sealing import KeyRing
from offhook.settings import Settings
from offhook.store import organizations, workspaces
from offhook.store.database import Database
from offhook.store.organizations import NewOrganization
from offhook.twin.workspace import Webhook, Workspace
from offhook.voice.elevenlabs.api import ElevenLabs
from tests.services import Server
from tests.twins import KEY, Twin

PUBLIC = "https://calls.example.com"
MUTATING = ("POST", "PATCH", "DELETE")

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


class Ended:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err

    @property
    def json(self) -> Any:
        assert "" == self.err
        return json.loads(self.out)

    @property
    def sentence(self) -> str:
        assert 1 == self.err.count("\n"), self.err
        return self.err


Offhook = Callable[..., Awaitable[Ended]]


@pytest.fixture
def offhook(twin: Twin, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Offhook:
    """Runs a command on a thread: the twin answers in this one."""
    monkeypatch.setattr(logs, "set_up", lambda settings: None)
    for name in [name for name in os.environ if name.startswith("OFFHOOK_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OFFHOOK_ELEVENLABS_URL", twin.url)
    monkeypatch.setenv("OFFHOOK_PUBLIC_URL", PUBLIC)

    async def run(*arguments: str) -> Ended:
        code = await asyncio.to_thread(cli.run, arguments)
        captured = capsys.readouterr()
        return Ended(code, captured.out, captured.err)

    return run


@pytest.fixture
async def acme(
    twin: Twin, settings: Settings, database: Database, offhook: Offhook, monkeypatch: pytest.MonkeyPatch
) -> NewOrganization:
    monkeypatch.setenv("OFFHOOK_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("OFFHOOK_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("OFFHOOK_SECRET_KEY", settings.secret_key)
    for id in [*twin.desk.workspace.agents][2:]:  # each costs requests, and shows nothing that two do not
        del twin.desk.workspace.agents[id]
    return await an_organization(settings, database, "Acme")


async def an_organization(settings: Settings, database: Database, name: str) -> NewOrganization:
    new = NewOrganization(name=name, country="CA")
    await database.write(organizations.create, settings.key_ring(), new, time.time())
    return new


def shape(twin: Twin) -> dict[str, Any]:
    """All that the workspace holds, without what is null: where nothing is, nothing was."""
    held = twin.desk.workspace
    webhooks = [(one.id, one.name, one.url, one.is_retried, one.is_disabled) for one in held.webhooks.values()]
    agents = copy.deepcopy(held.agents)
    return {
        "webhooks": webhooks,
        "secrets": dict(held.secrets),
        "tools": copy.deepcopy(held.tools),
        "settings": without_null(held.settings),
        "agents": without_null(agents),
    }


def without_null(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {key: without_null(one) for key, one in value.items()}
        return {key: one for key, one in kept.items() if one is not None and one != {}}
    return value


def an_agent(twin: Twin, number: int = 0) -> dict[str, Any]:
    return [*twin.desk.workspace.agents.values()][number]


def prompt_of(agent: dict[str, Any]) -> dict[str, Any]:
    return dict(agent["conversation_config"]["agent"]["prompt"])


async def secrets_of(database: Database, keys: KeyRing, org_id: str, kind: str) -> list[str]:
    """Those valid now that connect made: opened, or as their hash."""
    found = await database.read(organizations.secrets_of, org_id)
    valid = [one for one in found if one.kind == kind and one.label == "connect" and one.expires_at is None]
    return [keys.open(one.sealed, one.id).decode() if one.sealed else str(one.hash) for one in valid]


# The whole way


async def test_a_workspace_is_set_up_and_a_second_run_changes_nothing(
    twin: Twin, offhook: Offhook, acme: NewOrganization, database: Database, settings: Settings
) -> None:
    done = await offhook("connect", "Acme", "--api-key", KEY, "--yes", "--json")
    assert 0 == done.code, done.err
    held = twin.desk.workspace
    [webhook] = held.webhooks.values()
    assert f"{PUBLIC}/api/webhook/elevenlabs?org={acme.id}" == webhook.url
    assert not any(
        secret in done.out for secret in (KEY, webhook.secret, *(value for _, value in held.secrets.values()))
    )
    assert webhook.is_retried
    assert {"transcript", "audio", "call_initiation_failure"} == set(held.settings["webhooks"]["events"])
    assert webhook.id == held.settings["webhooks"]["post_call_webhook_id"]
    asked = held.settings["conversation_initiation_client_data_webhook"]
    assert f"{PUBLIC}/api/webhook/elevenlabs/personalization" == asked["url"]
    bearer = held.header_value(asked["request_headers"]["Authorization"])
    assert [webhook.secret] == await secrets_of(database, settings.key_ring(), acme.id, "webhook")
    assert [hash_of(bearer.removeprefix("Bearer "))] == await secrets_of(database, settings.key_ring(), acme.id, "tool")
    assert 7 == len(held.tools)
    for agent in held.agents.values():
        assert [*held.tools] == prompt_of(agent)["tool_ids"]
        assert agent["platform_settings"]["overrides"]["enable_conversation_initiation_client_data_from_webhook"]
        assert "You are" in prompt_of(agent)["prompt"]
    known = await database.read(organizations.agents_of, acme.id)
    assert set(held.agents) == {one.agent_id for one in known}
    numbers = await database.read(organizations.numbers_of, acme.id)
    theirs = [one for one in held.phone_numbers.values() if one["assigned_agent"]["agent_id"] in held.agents]
    assert {one["phone_number"] for one in theirs} == {one.number for one in numbers}
    assert 2 == len(numbers)
    connected = await database.read(workspaces.get, settings.key_ring(), acme.id)
    assert connected is not None
    assert (KEY, webhook.id) == (connected.api_key, connected.set_up["webhook_id"])

    before = shape(twin)
    again = await offhook("connect", "Acme")
    assert "Nothing is to be changed: Acme is connected." in again.out
    assert 0 == again.code
    assert before == shape(twin)


async def test_what_connect_made_is_undone_and_what_people_made_stays(
    twin: Twin, offhook: Offhook, acme: NewOrganization, database: Database, settings: Settings
) -> None:
    held = twin.desk.workspace
    held.webhooks["wh_theirs"] = Webhook("wh_theirs", "Theirs", "https://theirs.example.com", "s", 0.0)
    held.tools["tool_theirs"] = {"id": "tool_theirs", "tool_config": {"type": "client", "name": "wave"}}
    an_agent(twin)["conversation_config"]["agent"]["prompt"]["tool_ids"] = ["tool_theirs"]
    numbers = await database.read(organizations.numbers_of, acme.id)
    before = shape(twin)
    assert 0 == (await offhook("connect", "Acme", "--api-key", KEY, "--yes")).code
    assert ["tool_theirs", *list(held.tools)[1:]] == prompt_of(an_agent(twin))["tool_ids"]
    done = await offhook("disconnect", "Acme", "--yes")
    assert (0, "") == (done.code, done.err)
    assert before == shape(twin)
    assert numbers == await database.read(organizations.numbers_of, acme.id)
    assert [] == await database.read(organizations.agents_of, acme.id)
    assert [] == await secrets_of(database, settings.key_ring(), acme.id, "webhook")
    assert await database.read(workspaces.get, settings.key_ring(), acme.id) is None
    assert "is not connected" in (await offhook("disconnect", "Acme", "--yes")).sentence


async def test_what_people_changed_since_survives_the_undoing(
    twin: Twin, offhook: Offhook, acme: NewOrganization
) -> None:
    assert 0 == (await offhook("connect", "Acme", "--api-key", KEY, "--yes")).code
    held = twin.desk.workspace
    theirs = {"url": "https://theirs.example.com", "request_headers": {}}
    held.settings["conversation_initiation_client_data_webhook"] = theirs
    held.tools["tool_theirs"] = {"id": "tool_theirs", "tool_config": {"type": "client", "name": "wave"}}
    an_agent(twin)["conversation_config"]["agent"]["prompt"]["tool_ids"].append("tool_theirs")
    assert "somebody has changed it since" in (await offhook("disconnect", "Acme", "--yes")).out
    assert theirs == held.settings["conversation_initiation_client_data_webhook"]
    assert ["tool_theirs"] == prompt_of(an_agent(twin))["tool_ids"]
    assert ["tool_theirs"] == [*held.tools]


#: After how many requests: a secret, a webhook and its retries, two settings, seven tools, an agent.
_EVERY_CRASH = (1, 2, 3, 4, 5, 6, 12, 13)


@on_sqlite
@pytest.mark.parametrize("crashes", [(2, 5, 12), pytest.param(_EVERY_CRASH, marks=pytest.mark.torture)], ids=str)
async def test_a_crash_after_any_request_is_gone_on_from_and_undone(
    twin: Twin, offhook: Offhook, acme: NewOrganization, crashes: Sequence[int]
) -> None:
    held = twin.desk.workspace
    for id in [*held.agents][1:]:
        del held.agents[id]
    before = shape(twin)
    for requests in crashes:
        with crashing_after(requests):
            assert 1 == (await offhook("connect", "Acme", "--api-key", KEY, "--yes")).code
        ended = await offhook("connect", "Acme", "--api-key", KEY, "--yes")
        assert (0, "") == (ended.code, ended.err), f"after request {requests}"
        assert (1, 1, 7) == (len(held.webhooks), len(held.secrets), len(held.tools)), f"after request {requests}"
        assert [*held.tools] == prompt_of(an_agent(twin))["tool_ids"]
        with crashing_after(requests):
            await offhook("disconnect", "Acme", "--yes")
        await offhook("disconnect", "Acme", "--yes")
        assert before == shape(twin), f"after request {requests}"
    with crashing_after(14):
        assert 0 == (await offhook("connect", "Acme", "--api-key", KEY, "--yes")).code


@contextmanager
def crashing_after(requests: int) -> Iterator[None]:
    """The power goes once ElevenLabs has done so many things, and before anybody here knows it."""
    honest, done = ElevenLabs._asked_once, 0

    async def asked(self: ElevenLabs, method: str, path: str, **content: Any) -> Any:
        nonlocal done
        answer = await honest(self, method, path, **content)
        done += method in MUTATING
        if done == requests and method in MUTATING:
            raise RuntimeError("the power went")
        return answer

    with mock.patch.object(ElevenLabs, "_asked_once", asked):
        yield


async def test_calls_arrive_and_agents_are_told_who_rings_once_a_workspace_is_connected(
    twin: Twin, offhook: Offhook, shared_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in shared_server.env.items():
        if name.startswith("OFFHOOK_"):
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("OFFHOOK_DATA_DIR", str(shared_server.data_dir))
    monkeypatch.setenv("OFFHOOK_PUBLIC_URL", shared_server.base_url)
    monkeypatch.setenv("OFFHOOK_ELEVENLABS_URL", twin.url)
    org_id = shared_server.organization["id"]
    ended = await offhook("connect", org_id, "--api-key", KEY, "--yes")
    assert 0 == ended.code, ended.err
    await twin.place(6)
    tries = await twin.delivered()
    assert {"200"} == {one["outcome"] for one in tries}
    events = (await offhook("events", "list", org_id, "--json")).json
    assert {"hmac", "bearer"} == {one["proof"] for one in events}
    assert len(tries) == sum(one["proof"] == "hmac" for one in events)


# What else there may be


async def test_a_dry_run_shows_the_plan_and_changes_nothing(
    twin: Twin, offhook: Offhook, acme: NewOrganization, database: Database, settings: Settings
) -> None:
    before = shape(twin)
    shown = (await offhook("connect", "Acme", "--api-key", KEY, "--dry-run", "--json")).json
    assert {"webhook", "secret", "tool send_sms"} <= {row["what"] for row in shown["rows"] if row["plan"] == "make"}
    assert shown["is_dry_run"]
    assert before == shape(twin)
    assert await database.read(workspaces.get, settings.key_ring(), acme.id) is None


async def test_another_webhook_and_personalization_url_stay_and_the_agents_get_ours(
    twin: Twin, offhook: Offhook, acme: NewOrganization
) -> None:
    await twin.hook("https://theirs.example.com/hook")
    held = twin.desk.workspace
    held.settings["conversation_initiation_client_data_webhook"] = {"url": "https://x.example", "request_headers": {}}
    before, theirs = shape(twin), dict(held.settings)
    id = an_agent(twin)["agent_id"]
    done = await offhook("connect", "Acme", "--api-key", KEY, "--yes", "--agents", id)
    assert "https://theirs.example.com/hook; the agents below get ours as their own" in done.out
    assert theirs == held.settings
    webhook, events = held.post_call_webhook(id)
    assert webhook is not None
    assert webhook.url.endswith(f"?org={acme.id}")
    assert set(events) == {"transcript", "audio", "call_initiation_failure"}
    other, _ = held.post_call_webhook(an_agent(twin, 1)["agent_id"])
    assert other is not None
    assert "https://theirs.example.com/hook" == other.url
    assert "Nothing is to be changed" in (await offhook("connect", "Acme")).out
    assert 0 == (await offhook("disconnect", "Acme", "--yes")).code
    assert before == shape(twin)


@on_sqlite
async def test_two_organisations_share_a_workspace(
    twin: Twin, offhook: Offhook, acme: NewOrganization, settings: Settings, database: Database
) -> None:
    one, two = an_agent(twin), an_agent(twin, 1)
    other = await an_organization(settings, database, "Bolt")
    assert 0 == (await offhook("connect", "Acme", "--api-key", KEY, "--yes", "--agents", one["agent_id"])).code
    assert 0 == (await offhook("connect", "Bolt", "--api-key", KEY, "--yes")).code
    held = twin.desk.workspace
    assert 14 == len(held.tools)
    for agent, org in ((one, acme), (two, other)):
        webhook, _ = held.post_call_webhook(agent["agent_id"])
        assert webhook is not None
        assert webhook.url.endswith(f"?org={org.id}")
    assert one["agent_id"] not in {agent.agent_id for agent in await database.read(organizations.agents_of, other.id)}
    for name in ("Acme", "Bolt"):
        assert "Nothing is to be changed" in (await offhook("connect", name)).out
    for name in ("Acme", "Bolt"):
        assert 0 == (await offhook("disconnect", name, "--yes")).code
    assert {} == held.tools
    assert {} == held.webhooks


@on_sqlite
async def test_a_new_address_makes_a_new_webhook_and_the_old_one_goes(
    twin: Twin, offhook: Offhook, acme: NewOrganization, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert 0 == (await offhook("connect", "Acme", "--api-key", KEY, "--yes")).code
    monkeypatch.setenv("OFFHOOK_PUBLIC_URL", "https://new.example.com")
    changed = await offhook("connect", "Acme", "--yes")
    assert 0 == changed.code, changed.err
    held = twin.desk.workspace
    [webhook] = held.webhooks.values()
    assert webhook.url.startswith("https://new.example.com/")
    assert webhook.id == held.settings["webhooks"]["post_call_webhook_id"]
    urls = [tool["tool_config"]["api_schema"]["url"] for tool in held.tools.values()]
    assert 7 == sum(url.startswith("https://new.example.com/") for url in urls)
    assert "Nothing is to be changed" in (await offhook("connect", "Acme")).out


@on_sqlite
async def test_what_somebody_deleted_is_named_and_made_anew_when_asked_for(
    twin: Twin, offhook: Offhook, acme: NewOrganization
) -> None:
    assert 0 == (await offhook("connect", "Acme", "--api-key", KEY, "--yes")).code
    held = twin.desk.workspace
    [gone] = held.webhooks
    held.webhooks.clear()
    ended = await offhook("connect", "Acme", "--yes")
    assert 1 == ended.code
    assert gone in ended.sentence
    assert "--repair" in ended.sentence
    assert 0 == (await offhook("connect", "Acme", "--yes", "--repair")).code
    assert [held.settings["webhooks"]["post_call_webhook_id"]] == [*held.webhooks]
    assert "Nothing is to be changed" in (await offhook("connect", "Acme", "--repair")).out


@on_sqlite
@pytest.mark.parametrize(("command", "requests"), [("connect", 2), ("disconnect", 5)])
async def test_of_two_runs_at_once_the_later_goes_on_and_the_earlier_ends(
    twin: Twin,
    offhook: Offhook,
    acme: NewOrganization,
    database: Database,
    settings: Settings,
    command: str,
    requests: int,
) -> None:
    """After a webhook that the first has made and not recorded, or while tools are being deleted."""
    if command == "disconnect":
        assert 0 == (await offhook("connect", "Acme", "--api-key", KEY, "--yes")).code
    with interrupted_after(requests, ("connect", "Acme", "--api-key", KEY, "--yes", "--repair")) as codes:
        ended = await offhook(command, "Acme", "--api-key", KEY, "--yes")
    assert ([0], 1) == (codes, ended.code)
    assert "Another run" in ended.sentence
    held = twin.desk.workspace
    [webhook] = held.webhooks.values()
    assert webhook.id == held.settings["webhooks"]["post_call_webhook_id"]
    assert [webhook.secret] == await secrets_of(database, settings.key_ring(), acme.id, "webhook")
    assert (1, 7) == (len(held.secrets), len(held.tools))
    assert "Nothing is to be changed" in (await offhook("connect", "Acme")).out


@contextmanager
def interrupted_after(requests: int, other: Sequence[str]) -> Iterator[list[int]]:
    """Once ElevenLabs has done so many things, another command runs, from beginning to end; its exit code."""
    honest, done = ElevenLabs._asked_once, 0
    codes: list[int] = []

    async def asked(self: ElevenLabs, method: str, path: str, **content: Any) -> Any:
        nonlocal done
        answer = await honest(self, method, path, **content)
        done += method in MUTATING
        if done == requests and not codes:
            done = -1000
            codes.append(await asyncio.to_thread(cli.run, other))
        return answer

    with mock.patch.object(ElevenLabs, "_asked_once", asked):
        yield codes


@on_sqlite
async def test_the_key_of_another_workspace_mixes_nothing_up(
    twin: Twin, offhook: Offhook, acme: NewOrganization, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where one environment variable stands for several organisations."""
    assert 0 == (await offhook("connect", "Acme", "--api-key", KEY, "--yes")).code
    ours, others = twin.desk.workspace, Workspace("other-key", time.time())
    twin.desk.workspace = others
    monkeypatch.setenv("OFFHOOK_ELEVENLABS_API_KEY", "other-key")
    for command in (("connect", "--repair"), ("connect",), ("disconnect",)):
        ended = await offhook(command[0], "Acme", *command[1:], "--yes")
        assert 1 == ended.code, command
        assert "another workspace" in ended.sentence
    assert ({}, {}, {}) == (others.webhooks, others.secrets, others.tools)
    twin.desk.workspace = ours
    monkeypatch.delenv("OFFHOOK_ELEVENLABS_API_KEY")
    assert 0 == (await offhook("disconnect", "Acme", "--yes")).code
    assert {} == ours.webhooks


@on_sqlite
async def test_a_key_that_opens_nothing_any_more_can_be_forgotten(
    twin: Twin, offhook: Offhook, acme: NewOrganization
) -> None:
    assert 0 == (await offhook("connect", "Acme", "--api-key", KEY, "--yes")).code
    twin.desk.workspace.api_key = "another"
    assert 2 == (await offhook("disconnect", "Acme", "--yes")).code
    assert 0 == (await offhook("disconnect", "Acme", "--yes", "--force")).code
    assert "not connected" in (await offhook("disconnect", "Acme")).sentence
    assert 0 == (await offhook("connect", "Acme", "--api-key", "another", "--yes")).code
    assert 1 == len(twin.desk.workspace.webhooks)


@on_sqlite
async def test_under_hipaa_nothing_is_retried_and_that_is_remembered(
    twin: Twin, offhook: Offhook, acme: NewOrganization
) -> None:
    assert 0 == (await offhook("connect", "Acme", "--api-key", KEY, "--yes", "--hipaa")).code
    [webhook] = twin.desk.workspace.webhooks.values()
    assert not webhook.is_retried
    assert "Nothing is to be changed" in (await offhook("connect", "Acme")).out
    assert 0 == (await offhook("connect", "Acme", "--no-hipaa", "--yes")).code
    assert webhook.is_retried


@on_sqlite
async def test_a_webhook_that_was_switched_off_is_switched_on_again(
    twin: Twin, offhook: Offhook, acme: NewOrganization
) -> None:
    assert 0 == (await offhook("connect", "Acme", "--api-key", KEY, "--yes")).code
    [webhook] = twin.desk.workspace.webhooks.values()
    webhook.standing = msgspec.structs.replace(webhook.standing, is_auto_disabled=True)
    assert "is switched on again" in (await offhook("connect", "Acme", "--yes")).out
    assert webhook.is_open


@on_sqlite
async def test_a_bearer_that_nobody_knows_any_more_gets_a_new_value(
    twin: Twin, offhook: Offhook, acme: NewOrganization, database: Database, settings: Settings
) -> None:
    assert 0 == (await offhook("connect", "Acme", "--api-key", KEY, "--yes")).code
    await database.write(organizations.close_labelled, acme.id, "tool", "connect", time.time())
    assert 0 == (await offhook("connect", "Acme", "--yes")).code
    [(_, bearer)] = twin.desk.workspace.secrets.values()
    assert [hash_of(bearer.removeprefix("Bearer "))] == await secrets_of(database, settings.key_ring(), acme.id, "tool")


@on_sqlite
async def test_what_elevenlabs_does_not_let_go_of_is_named_and_can_be_undone_later(
    twin: Twin, offhook: Offhook, acme: NewOrganization
) -> None:
    assert 0 == (await offhook("connect", "Acme", "--api-key", KEY, "--yes")).code

    async def refusing(self: ElevenLabs, path: str) -> None:
        raise GiveUp("ElevenLabs answers 409: it is used.")

    with mock.patch.object(ElevenLabs, "delete", refusing):
        ended = await offhook("disconnect", "Acme", "--yes", "--json")
    assert 1 == ended.code
    assert "ElevenLabs answers 409: it is used." == ended.json["left"]["tool send_sms"]
    assert 0 == (await offhook("disconnect", "Acme", "--yes")).code
    assert {} == twin.desk.workspace.tools


@on_sqlite
async def test_what_a_workspace_calls_its_things_is_no_order_to_a_terminal(
    twin: Twin, offhook: Offhook, acme: NewOrganization
) -> None:
    sly = "\x1b]0;gotcha\x07\u202e[bold]Robin"
    an_agent(twin)["name"] = sly
    said = await offhook("connect", "Acme", "--api-key", KEY, "--agents", "Nobody")

    async def refusing(self: ElevenLabs, path: str) -> None:
        raise GiveUp(f"ElevenLabs answers 409: {sly}")

    shown = (await offhook("connect", "Acme", "--api-key", KEY, "--yes")).out
    with mock.patch.object(ElevenLabs, "delete", refusing):
        left = (await offhook("disconnect", "Acme", "--yes")).out
    for printed in (shown, said.sentence, left):
        assert "[bold]Robin" in printed
        assert not {"\x1b", "\x07", "\u202e"} & {*printed}


@on_sqlite
async def test_a_webhook_made_by_hand_is_used_and_left_as_it_was(
    twin: Twin, offhook: Offhook, acme: NewOrganization, database: Database
) -> None:
    id, secret = await twin.hook(f"{PUBLIC}/api/webhook/elevenlabs?org={acme.id}")
    assert 0 == (await offhook("org", "rotate", "Acme", "webhook-secret", "--value", secret)).code
    newest = (await database.read(organizations.secrets_of, acme.id))[0]
    await database.write(organizations.stamp_used, {newest.id: time.time()})
    before = shape(twin)
    assert 0 == (await offhook("connect", "Acme", "--api-key", KEY, "--yes")).code
    [webhook] = twin.desk.workspace.webhooks.values()
    assert (id, True) == (webhook.id, webhook.is_retried)
    assert "Nothing is to be changed" in (await offhook("connect", "Acme")).out
    assert 0 == (await offhook("disconnect", "Acme", "--yes")).code
    assert before == shape(twin)


@on_sqlite
async def test_a_person_is_asked_for_the_key_and_before_anything_is_changed(
    twin: Twin, offhook: Offhook, acme: NewOrganization, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, answers = shape(twin), ["n", "y"]
    monkeypatch.setattr("sys.stdin", mock.Mock(isatty=lambda: True))
    monkeypatch.setattr("getpass.getpass", lambda prompt: f" {KEY}\n")
    monkeypatch.setattr("builtins.input", lambda prompt: answers.pop(0))
    declined = await offhook("connect", "Acme")
    assert (2, "offhook: Nothing was changed.\n") == (declined.code, declined.err)
    assert before == shape(twin)
    assert 0 == (await offhook("connect", "Acme")).code
    assert 7 == len(twin.desk.workspace.tools)


@on_sqlite
async def test_further_agents_are_added_to_those_that_are_connected(
    twin: Twin, offhook: Offhook, acme: NewOrganization
) -> None:
    one, two = an_agent(twin), an_agent(twin, 1)
    assert 0 == (await offhook("connect", "Acme", "--api-key", KEY, "--yes", "--agents", one["agent_id"])).code
    assert [] == prompt_of(two)["tool_ids"]
    ended = await offhook("connect", "Acme", "--yes", "--json", "--agents", two["name"])
    assert [one["agent_id"], two["agent_id"]] == ended.json["agent_ids"]
    assert 7 == len(prompt_of(an_agent(twin, 1))["tool_ids"])


# What is said


@on_sqlite
async def test_a_wrong_key_a_missing_address_and_nobody_to_ask_are_one_sentence_each(
    twin: Twin, offhook: Offhook, acme: NewOrganization, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = await offhook("connect", "Acme", "--api-key", "wrong-key", "--yes")
    assert 2 == wrong.code
    assert "elevenlabs.io/app/settings/api-keys" in wrong.sentence
    assert "wrong-key" not in wrong.sentence
    assert "is no API key" in (await offhook("connect", "Acme", "--api-key", "a b", "--yes")).sentence
    assert "OFFHOOK_ELEVENLABS_API_KEY" in (await offhook("connect", "Acme", "--yes")).sentence
    monkeypatch.setenv("OFFHOOK_ELEVENLABS_API_KEY", KEY)
    assert "--dry-run" in (await offhook("connect", "Acme", "--json")).sentence
    assert "There is no agent 'Nobody'" in (await offhook("connect", "Acme", "--agents", "Nobody")).sentence
    await twin.http.put("/twin/faults", json={"api": [500] * 4})
    assert "type the same command again" in (await offhook("connect", "Acme", "--yes")).sentence
    monkeypatch.delenv("OFFHOOK_PUBLIC_URL")
    missing = await offhook("connect", "Acme", "--yes")
    assert 2 == missing.code
    assert "OFFHOOK_PUBLIC_URL is not set" in missing.sentence


# The agent's variables


@on_sqlite
async def test_each_variable_of_an_agent_is_filled_or_named_with_what_to_do(
    twin: Twin, offhook: Offhook, acme: NewOrganization
) -> None:
    agent = an_agent(twin)
    words = agent["conversation_config"]["agent"]
    words["first_message"] = "Hello {{caller_name}}"
    words["prompt"]["prompt"] = "It is {{ system__time_utc }}. Topics: {{previous_topics}}. Offer {{offer}}."
    assert 0 == (await offhook("connect", "Acme", "--api-key", KEY, "--yes", "--agents", agent["agent_id"])).code

    missing = await offhook("agent", "check", "Acme", "--json")
    assert 1 == missing.code
    [one] = missing.json
    said = {use["name"]: use for use in one["variables"]}
    nobody = {name for name, use in said.items() if use["filled_by"] is None}
    assert {"caller_name", "previous_topics", "offer"} == nobody
    assert "ElevenLabs" == said["system__time_utc"]["filled_by"]
    assert ["first message"] == said["caller_name"]["used_in"]
    assert "offhook variable set" in said["offer"]["advice"]
    assert "memory=on" in said["previous_topics"]["advice"]
    assert "tool send_sms" in said["system__caller_id"]["used_in"]

    assert 0 == (await offhook("variable", "set", "Acme", "caller_name", "--default", "there")).code
    assert 0 == (await offhook("variable", "set", "Acme", "offer", "--agent", agent["agent_id"])).code
    assert 0 == (await offhook("org", "set", "Acme", "memory=on")).code
    filled = await offhook("agent", "check", "Acme", agent["name"])
    assert 0 == filled.code, filled.out
    assert "Every variable is filled." in filled.out


@on_sqlite
async def test_an_agent_before_whose_calls_offhook_is_not_asked_is_told_nothing(
    twin: Twin, offhook: Offhook, acme: NewOrganization
) -> None:
    assert 0 == (await offhook("variable", "set", "Acme", "caller_name")).code
    ended = await offhook("agent", "check", "Acme", an_agent(twin)["agent_id"], "--api-key", KEY)
    assert 1 == ended.code
    assert "offhook is not asked before calls of" in ended.out
