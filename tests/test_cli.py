"""The command line: what is printed, what is said of mistakes, and with which exit code it ends."""

import asyncio
import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from cyclopts import App

from offhook import cli, logs
from offhook.events import UNASSIGNED, Event, Status, call_id, event_id
from offhook.settings import Settings, load
from offhook.store import events as event_rows
from offhook.store import migrations
from offhook.store.engine import opened_database
from tests.services import Server, eventually

ORG_KEYS = [
    "id", "name", "timezone", "webhook_secret", "tool_secret", "api_key", "webhook_url", "personalization_url",
]  # fmt: skip


class Ended:
    """A command that has run."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err

    @property
    def json(self) -> Any:
        assert "" == self.err
        assert 0 == self.code
        return json.loads(self.out)

    @property
    def sentence(self) -> str:
        """What it said of a mistake: one line on standard error, and nothing else anywhere."""
        assert "" == self.out
        assert self.err.startswith("offhook: ")
        assert 1 == self.err.count("\n"), self.err
        assert "Traceback" not in self.err
        return self.err.removeprefix("offhook: ").strip()


Offhook = Callable[..., Ended]


@pytest.fixture
def environment(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A migrated, empty installation; once for each engine."""
    for name in list(os.environ):
        if name.startswith("OFFHOOK_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("OFFHOOK_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("OFFHOOK_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("OFFHOOK_SECRET_KEY", settings.secret_key)


@pytest.fixture
def fresh(data_dir: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder in which offhook has never run, on SQLite."""
    for name in list(os.environ):
        if name.startswith("OFFHOOK_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("OFFHOOK_DATA_DIR", str(data_dir / "new"))


@pytest.fixture
def offhook(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Offhook:
    """Runs a command in this process, without its logs: they would go on writing to this test's standard error."""
    monkeypatch.setattr(logs, "set_up", lambda settings: None)

    def run(*arguments: str) -> Ended:
        code = cli.run(arguments)
        captured = capsys.readouterr()
        return Ended(code, captured.out, captured.err)

    return run


@pytest.fixture
def acme(environment: None, offhook: Offhook) -> dict[str, str]:
    made: dict[str, str] = offhook("org", "create", "Acme Corp", "--timezone", "America/Toronto", "--json").json
    return made


# Beginning


def test_on_a_fresh_machine_the_first_organisation_makes_the_database(fresh: None, offhook: Offhook) -> None:
    made = offhook("org", "create", "Acme Corp", "--json").json
    assert ORG_KEYS == list(made)
    assert [made["id"]] == [one["id"] for one in offhook("org", "list", "--json").json]
    settings = load()
    assert 0o600 == (settings.data_dir / "secret.key").stat().st_mode & 0o777
    assert 0o700 == settings.data_dir.stat().st_mode & 0o777


def test_a_command_in_the_wrong_folder_says_so_and_makes_nothing(fresh: None, offhook: Offhook) -> None:
    ended = offhook("org", "list")
    assert "OFFHOOK_DATA_DIR" in ended.sentence
    assert 2 == ended.code
    assert not load().data_dir.exists()


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("OFFHOOK_DATABASE_URL", "mysql://x/y", "sqlite:/// or postgresql://"),
        ("OFFHOOK_DATABASE_URL", "postgresql://127.0.0.1/x", "OFFHOOK_SECRET_KEY must be set"),
        ("OFFHOOK_SECRET_KEY", "short", "32 bytes"),
        ("OFFHOOK_PUBLIC_URL", "calls.example.com", "OFFHOOK_PUBLIC_URL"),
        ("OFFHOOK_LOG_LEVEL", "loud", "OFFHOOK_LOG_LEVEL"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(
    fresh: None, offhook: Offhook, monkeypatch: pytest.MonkeyPatch, name: str, value: str, wanted: str
) -> None:
    monkeypatch.setenv(name, value)
    ended = offhook("org", "create", "Acme")
    assert wanted in ended.sentence
    assert 2 == ended.code


def test_a_database_that_is_down_is_a_fault_and_not_a_mistake(
    fresh: None, offhook: Offhook, monkeypatch: pytest.MonkeyPatch, secret_key: str
) -> None:
    monkeypatch.setenv("OFFHOOK_DATABASE_URL", "postgresql://127.0.0.1:1/offhook")
    monkeypatch.setenv("OFFHOOK_SECRET_KEY", secret_key)
    for command in (("org", "create", "Acme"), ("org", "list"), ("db", "check"), ("db", "upgrade")):
        ended = offhook(*command)
        assert "reached" in ended.sentence
        assert 1 == ended.code


def test_a_database_without_tables_is_said_with_its_cure(fresh: None, offhook: Offhook) -> None:
    settings = load()
    settings.data_dir.mkdir()
    settings.sqlite_path.touch()
    ended = offhook("org", "list")
    assert "offhook db upgrade" in ended.sentence
    assert 1 == ended.code
    assert 1 == offhook("db", "check").code
    newest = max(path.name[:4] for path in (Path(migrations.__file__).parent / "versions").glob("0*.py"))
    assert {"before": None, "after": newest} == offhook("db", "upgrade", "--json").json
    assert offhook("db", "check", "--json").json["is_current"]
    assert [] == offhook("org", "list", "--json").json


# Mistakes


@pytest.mark.parametrize(
    "arguments",
    [
        ("orgs",),
        ("org", "make"),
        ("org", "create"),
        ("org", "create", "Acme", "--nonsense"),
        ("org", "create", "Acme", "--timezone"),
        ("org", "create", "Acme", "Corp"),
        ("org", "create", ""),
        ("org", "create", "   "),
        ("org", "create", "A\x1b[31mcme"),
        ("org", "create", "x" * 201),
        ("org", "create", "Acme", "--timezone", "Mars/Olympus"),
        ("org", "create", "Acme", "--country", "Canada"),
        ("org", "create", "Acme", "--webhook-secret", ""),
        ("org", "create", "Acme", "--webhook-secret", "short"),
        ("org", "create", "Acme", "--tool-secret", "with blanks in it"),
        ("org", "create", "Acme", "--tool-secret", "x" * 257),
        ("org", "create", "Acme", "--tool-secret", "schlüsselbund"),
        ("org", "show", "Nobody"),
        ("org", "show", "f" * 24),
        ("org", "set", "Acme Corp"),
        ("org", "set", "Acme Corp", "colour=red"),
        ("org", "set", "Acme Corp", "name"),
        ("org", "set", "Acme Corp", "name="),
        ("org", "set", "Acme Corp", "timezone="),
        ("org", "set", "Acme Corp", "country=Nowhere"),
        ("org", "set", "Acme Corp", "text-sender="),
        ("org", "rotate", "Acme Corp", "password"),
        ("org", "rotate", "Acme Corp", "api-key", "--overlap", "soon"),
        ("org", "rotate", "Acme Corp", "api-key", "--overlap", "24"),
        ("org", "rotate", "Acme Corp", "api-key", "--overlap", "999999w"),
        ("org", "rotate", "Acme Corp", "webhook-secret", "--value", ""),
        ("number", "add", "Acme Corp", "twelve"),
        ("number", "add", "Acme Corp", "anonymous"),
        ("number", "add", "Nobody", "+12362320246"),
        ("agent", "add", "Acme Corp", ""),
        ("agent", "add", "Acme Corp", "agent one"),
        ("contact", "add", "Acme Corp"),
        ("contact", "add", "Acme Corp", "--phone", "12"),
        ("contact", "add", "Acme Corp", "--phone", "+14165550100", "--email", "alex"),
        ("events", "list", "Nobody"),
        ("events", "list", "--status", "lost"),
        ("events", "list", "--limit", "0"),
        ("events", "list", "--limit", "many"),
        ("events", "show", "f" * 24),
        ("events", "replay"),
        ("events", "replay", "f" * 24),
        ("events", "replay", "--status", "unassigned"),
        ("serve", "--port", "eighty"),
        ("serve", "--port", "65536"),
        ("serve", "--fd", "-1"),
    ],
    ids=" ".join,
)
def test_what_is_typed_wrong_ends_with_one_sentence_and_2(
    acme: dict[str, str], offhook: Offhook, arguments: tuple[str, ...]
) -> None:
    ended = offhook(*arguments)
    assert ended.sentence.endswith((".", "?")), ended.sentence
    assert 2 == ended.code


@pytest.mark.parametrize("command", [("events", "replay"), ("effects", "retry")])
def test_an_id_that_is_none_is_named(acme: dict[str, str], offhook: Offhook, command: tuple[str, str]) -> None:
    for typed in "5e0a...", "f" * 24:
        ended = offhook(*command, typed)
        assert (2, True) == (ended.code, f"There is no {command[0][:-1]} {typed!r}" in ended.sentence)


def test_a_port_that_is_taken_is_said_with_what_to_do(fresh: None, offhook: Offhook) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        for command in "serve", "twin":
            ended = offhook(command, "--port", str(taken.getsockname()[1]))
            assert (1, True) == (ended.code, "another with --port" in ended.sentence)


def test_a_name_that_several_have_is_not_guessed(acme: dict[str, str], offhook: Offhook) -> None:
    other = offhook("org", "create", "Acme Corp", "--json").json
    sentence = offhook("org", "show", "Acme Corp").sentence
    assert acme["id"] in sentence
    assert other["id"] in sentence
    assert acme["id"] == offhook("org", "show", acme["id"], "--json").json["id"]


def test_a_name_nearly_right_is_suggested(acme: dict[str, str], offhook: Offhook) -> None:
    assert "did you mean 'Acme Corp'?" in offhook("org", "show", "acme").sentence
    assert "did you mean America/Toronto?" in offhook("org", "set", "Acme Corp", "timezone=Toronto").sentence


# Organisations


def test_a_new_organisation_is_printed_with_all_that_is_needed(
    environment: None, offhook: Offhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OFFHOOK_PUBLIC_URL", "https://calls.example.com/")
    made = offhook("org", "create", "Acme Corp", "--timezone", "america/toronto", "--json").json
    assert ORG_KEYS == list(made)
    assert ("Acme Corp", "America/Toronto") == (made["name"], made["timezone"])
    assert ["wsec_", "oht_", "ohk_"] == [made[key][:-64] for key in ("webhook_secret", "tool_secret", "api_key")]
    base = "https://calls.example.com/api/webhook/elevenlabs"
    assert (f"{base}?org={made['id']}", f"{base}/personalization") == (made["webhook_url"], made["personalization_url"])


def test_without_a_public_address_the_own_one_is_printed(acme: dict[str, str]) -> None:
    assert f"http://127.0.0.1:2212/api/webhook/elevenlabs?org={acme['id']}" == acme["webhook_url"]


def test_people_are_told_what_to_paste_into_elevenlabs(environment: None, offhook: Offhook) -> None:
    told = offhook("org", "create", "Acme Corp").out
    made = offhook("org", "list", "--json").json[0]
    assert f"elevenlabs?org={made['id']}" in told
    assert f"offhook org rotate {made['id']} webhook-secret" in told
    assert "Authorization: Bearer oht_" in told
    assert "OFFHOOK_PUBLIC_URL" in told


def test_secrets_of_ones_own_are_taken_as_they_are(environment: None, offhook: Offhook) -> None:
    own = ("--webhook-secret", "wsec_their_own", "--tool-secret", "{braces}!~")
    made = offhook("org", "create", "Acme", *own, "--json").json
    assert ("wsec_their_own", "{braces}!~") == (made["webhook_secret"], made["tool_secret"])
    told = offhook("org", "create", "Beta", "--webhook-secret", "wsec_their_own").out
    assert "rotate" not in told


@pytest.mark.parametrize(
    ("typed", "country"),
    [
        (("--timezone", "America/Toronto"), "CA"),
        (("--timezone", "US/Eastern"), "US"),
        (("--timezone", "Asia/Calcutta"), "IN"),
        (("--timezone", "Europe/Berlin", "--country", "at"), "AT"),
        (("--timezone", "Etc/GMT+5"), "US"),
        ((), "US"),
    ],
)
def test_the_country_follows_from_the_time_zone_unless_it_is_said(
    environment: None, offhook: Offhook, typed: tuple[str, ...], country: str
) -> None:
    made = offhook("org", "create", "Acme", *typed, "--json").json
    assert country == offhook("org", "show", made["id"], "--json").json["country"]


def test_an_organisation_is_shown_without_its_secrets(acme: dict[str, str], offhook: Offhook) -> None:
    as_json, as_text = offhook("org", "show", "Acme Corp", "--json"), offhook("org", "show", "Acme Corp")
    for secret in (acme["webhook_secret"], acme["tool_secret"], acme["api_key"]):
        assert secret not in as_json.out + as_text.out
    shown = as_json.json
    assert {"webhook-secret", "tool-secret", "api-key"} == {one["secret"] for one in shown["secrets"]}
    assert [None] * 3 == [one["last_used_at"] for one in shown["secrets"]]
    assert acme["webhook_url"] == shown["webhook_url"]


def test_name_time_zone_and_country_are_changed(acme: dict[str, str], offhook: Offhook) -> None:
    changes = ("name=Acme = Inc", "timezone=Europe/Berlin", "country=de")
    changed = offhook("org", "set", "Acme Corp", *changes, "--json").json
    assert ("Acme = Inc", "Europe/Berlin", "DE") == (changed["name"], changed["timezone"], changed["country"])
    assert changed == {key: offhook("org", "show", "Acme = Inc", "--json").json[key] for key in changed}


def test_hours_and_holidays_are_decided_and_taken_back(acme: dict[str, str], offhook: Offhook) -> None:
    decided = offhook("org", "set", "Acme Corp", "business-hours=sat 10-14", "holidays=12-25", "--json").json[
        "settings"
    ]
    assert {"business_hours": {"sat": [{"begin": "10:00", "end": "14:00"}]}, "holidays": ["12-25"]} == decided
    assert "sat 10:00-14:00" in offhook("org", "show", "Acme Corp").out
    taken_back = offhook("org", "set", "Acme Corp", "business-hours=default", "name=Acme", "--json").json
    assert ("Acme", {"holidays": ["12-25"]}) == (taken_back["name"], taken_back["settings"])
    assert "mon-fri 09:00-17:00" in offhook("org", "set", "Acme", "business-hours=always").sentence


def test_staff_are_added_changed_listed_and_removed(acme: dict[str, str], offhook: Offhook) -> None:
    sam = offhook("staff", "add", acme["id"], "Sam Lee", "--phone", "+1 416 555 0123", "--json").json
    assert ("+14165550123", True, True) == (sam["phone"], sam["is_online"], sam["is_available"])
    away = offhook("staff", "set", acme["id"], "Sam Lee", "--no-available", "--name", "Sam", "--json").json
    assert ("Sam", True, False) == (away["name"], away["is_online"], away["is_available"])
    assert [away] == offhook("staff", "list", acme["id"], "--json").json
    assert "+14165550123" in offhook("staff", "list", acme["id"]).out
    assert 2 == offhook("staff", "set", acme["id"], "Nobody", "--online").code
    assert 2 == offhook("staff", "set", acme["id"], "Sam").code
    assert 0 == offhook("staff", "remove", acme["id"], sam["id"]).code
    assert [] == offhook("staff", "list", acme["id"], "--json").json


def test_a_wrong_word_among_right_ones_changes_nothing(acme: dict[str, str], offhook: Offhook) -> None:
    assert 2 == offhook("org", "set", "Acme Corp", "name=Other", "country=Nowhere").code
    assert "Acme Corp" == offhook("org", "show", acme["id"], "--json").json["name"]


def test_every_key_is_listed_by_the_help(offhook: Offhook) -> None:
    shown = offhook("org", "set", "--help").out
    assert [] == [
        key for key in ("name", "timezone", "country", "business-hours", "holidays") if f"\n  {key} " not in shown
    ]


@pytest.mark.parametrize("secret", ["webhook-secret", "tool-secret", "api-key"])
def test_rotation_gives_a_new_secret_and_says_when_the_old_one_ends(
    acme: dict[str, str], offhook: Offhook, secret: str
) -> None:
    done = offhook("org", "rotate", "Acme Corp", secret, "--overlap", "2h", "--json").json
    assert done["value"] != acme[secret.replace("-", "_")]
    of_kind = [one for one in offhook("org", "show", "Acme Corp", "--json").json["secrets"] if secret == one["secret"]]
    assert [None, done["older_expire_at"]] == [one["expires_at"] for one in of_kind]
    assert done["id"] == of_kind[0]["id"]


def test_rotation_takes_the_secret_that_elevenlabs_drew(acme: dict[str, str], offhook: Offhook) -> None:
    done = offhook("org", "rotate", "Acme Corp", "webhook-secret", "--value", "wsec_drawn_there", "--json").json
    assert "wsec_drawn_there" == done["value"]
    again = offhook("org", "rotate", "Acme Corp", "webhook-secret", "--value", "wsec_drawn_there")
    assert "already" in again.sentence
    assert 2 == again.code


# Numbers, agents, contacts


def test_a_number_may_be_typed_as_it_is_dialled(acme: dict[str, str], offhook: Offhook) -> None:
    added = offhook("number", "add", "Acme Corp", "(236) 232-0246", "--label", "Front desk", "--json").json
    assert "+12362320246" == added["number"]
    offhook("number", "add", "Acme Corp", "+1 236 232 0246")
    shown = offhook("org", "show", "Acme Corp", "--json").json
    assert [{"number": "+12362320246", "label": "Front desk"}] == shown["numbers"]


def test_an_agent_is_registered(acme: dict[str, str], offhook: Offhook) -> None:
    assert 0 == offhook("agent", "add", "Acme Corp", "agent_1", "--name", "Reception").code
    shown = offhook("org", "show", "Acme Corp", "--json").json
    assert [{"agent_id": "agent_1", "name": "Reception", "is_learnt": False}] == shown["agents"]


def test_a_contact_is_added_once(acme: dict[str, str], offhook: Offhook) -> None:
    typed = ("contact", "add", "Acme Corp", "--phone", "(416) 555-0100", "--first-name", "Alex")
    added = offhook(*typed, "--last-name", "Morgan", "--email", "alex@example.com", "--json").json
    assert ("Alex", "Morgan", "+14165550100") == (added["first_name"], added["last_name"], added["phone"])
    again = offhook(*typed)
    assert "Alex Morgan's already" in again.sentence
    assert 2 == again.code


def test_somebody_without_a_name_gets_one(acme: dict[str, str], offhook: Offhook) -> None:
    first = offhook("contact", "add", "Acme Corp", "--phone", "+14165550100", "--json").json
    named = offhook("contact", "add", "Acme Corp", "--phone", "+14165550100", "--first-name", "Alex", "--json").json
    assert (first["id"], "Alex") == (named["id"], named["first_name"])


# Events


def file_events(settings: Settings, *events: Event) -> None:
    async def file() -> None:
        keys = settings.key_ring()
        async with opened_database(settings) as database:
            for event in events:
                await database.file(event_rows.sealed(event, keys))

    asyncio.run(file())


def an_event(org_id: str, body: bytes = b'{"type": "x"}', status: Status = "skipped", **facts: Any) -> Event:
    sha256 = hashlib.sha256(body).hexdigest()
    conversation_id = facts.pop("conversation_id", "conv_1")
    return Event(
        id=event_id(org_id, sha256), org_id=org_id, type=facts.pop("type", "post_call_transcription"), source="webhook",
        proof="hmac", sha256=sha256, size_bytes=len(body), received_at=facts.pop("received_at", time.time()), body=body,
        status=status, conversation_id=conversation_id, call_id=call_id(org_id, conversation_id), **facts,
    )  # fmt: skip


def test_events_are_listed_newest_first_and_by_what_they_are(acme: dict[str, str], offhook: Offhook) -> None:
    other = offhook("org", "create", "Other", "--json").json
    old, new = an_event(acme["id"], b"1"), an_event(acme["id"], b"2", "quarantined", reason="It is no JSON.")
    theirs = an_event(other["id"], b"3", type="post_call_audio")
    file_events(load(), old, new, theirs)

    def listed(*arguments: str) -> list[str]:
        return [event["id"] for event in offhook("events", "list", *arguments, "--json").json]

    assert [theirs.id, new.id, old.id] == listed()
    assert [new.id, old.id] == listed("Acme Corp")
    assert [new.id] == listed("--status", "quarantined")
    assert [theirs.id] == listed("--type", "post_call_audio")
    assert [theirs.id] == listed("--limit", "1")
    assert [] == listed("Other", "--status", "quarantined")
    text = offhook("events", "list", "Acme Corp").out
    assert new.id in text
    assert "It is no JSON." in text
    assert "2 of 2" in text


def test_an_event_is_shown_with_its_facts(acme: dict[str, str], offhook: Offhook) -> None:
    event = an_event(acme["id"], conversation_id="conv_1", event_timestamp=1_790_000_000.5)
    file_events(load(), event)
    shown = offhook("events", "show", event.id, "--json").json
    assert (event.id, "conv_1", "2026-09-21T14:13:20.500Z") == (
        shown["id"],
        shown["conversation_id"],
        shown["event_timestamp"],
    )
    assert "conv_1" in offhook("events", "show", event.id).out


def test_the_body_of_an_event_is_given_back_byte_for_byte(acme: dict[str, str]) -> None:
    body = b'{"a": "\xff\x00",\r\n "b":1}'
    event = an_event(acme["id"], body)
    file_events(load(), event)
    command = [sys.executable, "-m", "offhook", "events", "show", event.id, "--body"]
    assert body == subprocess.run(command, capture_output=True, timeout=60).stdout


def test_what_a_stranger_wrote_does_not_command_the_terminal(acme: dict[str, str], offhook: Offhook) -> None:
    event = an_event(acme["id"], type="x\x1b]0;owned\x07\u202etxt", conversation_id="[bold]c[/bold]\x1b[2J")
    file_events(load(), event)
    for shown in (offhook("events", "list").out, offhook("events", "show", event.id).out):
        assert "\x1b" not in shown
        assert "\x07" not in shown
        assert "\u202e" not in shown
    assert "[bold]c[/bold]" in offhook("events", "show", event.id).out


def test_replay_makes_events_due_again_and_says_that_nobody_took_them_up(
    acme: dict[str, str], offhook: Offhook
) -> None:
    bad = an_event(acme["id"], b"1", "quarantined", reason="It was a fault of ours.")
    good = an_event(acme["id"], b"2", "skipped")
    file_events(load(), bad, good)
    replayed = offhook("events", "replay", bad.id, "--wait", "0", "--json").json
    assert [{"id": bad.id, "status": "pending", "reason": None}] == replayed
    assert "offhook serve" in offhook("events", "replay", good.id, "--wait", "0").out
    assert {"pending"} == {event["status"] for event in offhook("events", "list", "--json").json}


def test_replay_takes_all_that_stand_so_of_one_organisation(acme: dict[str, str], offhook: Offhook) -> None:
    other = offhook("org", "create", "Other", "--json").json
    ours = [an_event(acme["id"], str(number).encode(), "quarantined") for number in range(3)]
    theirs = an_event(other["id"], b"1", "quarantined")
    file_events(load(), *ours, theirs)
    replayed = offhook("events", "replay", "Acme Corp", "--status", "quarantined", "--wait", "0", "--json").json
    assert [event.id for event in ours] == [event["id"] for event in replayed]
    assert [theirs.id] == [one["id"] for one in offhook("events", "list", "--status", "quarantined", "--json").json]


def test_an_unassigned_event_is_not_replayed(acme: dict[str, str], offhook: Offhook) -> None:
    event = an_event(UNASSIGNED, b"1", "unassigned")
    file_events(load(), event)
    assert "no organisation" in offhook("events", "replay", event.id).sentence


# Servers


def test_a_worker_on_sqlite_is_a_mistake(fresh: None, offhook: Offhook) -> None:
    ended = offhook("worker")
    assert "PostgreSQL" in ended.sentence
    assert 2 == ended.code


def test_an_organisation_made_beside_a_running_server_may_knock_at_once(server: Server) -> None:
    late = server.create_organization("Late")
    bearer = {"Authorization": f"Bearer {late['tool_secret']}"}
    asked = httpx.post(late["personalization_url"], json={"caller_id": "+14165550100"}, headers=bearer)
    assert (200, {}) == (asked.status_code, asked.json())
    told = server.deliver(b"{}", secret=late["webhook_secret"], org_id=late["id"])
    assert 200 == told.status_code
    read = httpx.get(f"{server.base_url}/api/calls/history", headers={"Authorization": f"Bearer {late['api_key']}"})
    assert 200 == read.status_code


def test_a_secret_closed_beside_a_running_server_is_refused_within_seconds(server: Server) -> None:
    assert 200 == server.ask({}).status_code
    server.offhook("org", "rotate", server.org_id, "tool-secret", "--overlap", "0")
    eventually(lambda: 401 == server.ask({}).status_code)


def test_the_last_use_of_a_secret_is_shown(server: Server) -> None:
    server.deliver(b"{}")
    eventually(lambda: "webhook-secret" in used_secrets(server))


def used_secrets(server: Server) -> list[str]:
    shown = json.loads(server.offhook("org", "show", server.org_id, "--json"))
    return [one["secret"] for one in shown["secrets"] if one["last_used_at"]]


def test_a_running_server_takes_up_what_is_replayed(server: Server) -> None:
    told = {"type": "post_call_transcription", "event_timestamp": 1_790_000_000, "data": {"conversation_id": "conv_1"}}
    assert 200 == server.deliver(json.dumps(told).encode()).status_code
    (event,) = json.loads(server.offhook("events", "list", "--json"))
    assert "projected" in server.offhook("events", "replay", event["id"])
    assert json.dumps(told) == server.offhook("events", "show", event["id"], "--body")


def test_what_tells_of_no_conversation_keeps_its_reason(server: Server) -> None:
    server.deliver(b"no JSON at all")
    (event,) = json.loads(server.offhook("events", "list", "--status", "quarantined", "--json"))
    server.offhook("events", "replay", event["id"], exit_code=2)
    server.offhook("events", "replay", "--status", "quarantined")
    assert event == json.loads(server.offhook("events", "show", event["id"], "--json"))


# The process itself


@pytest.fixture
def process(tmp_path: Any) -> Callable[..., subprocess.CompletedProcess[str]]:
    bare = {name: value for name, value in os.environ.items() if not name.startswith("OFFHOOK_")}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "offhook", *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=bare, timeout=60)

    return run


def test_the_real_command_prints_json_and_nothing_else(
    process: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    ended = process("org", "create", "Acme Corp", "--json")
    assert (0, "") == (ended.returncode, ended.stderr)
    assert ORG_KEYS == list(json.loads(ended.stdout))


def test_the_real_command_says_a_mistake_in_one_line(process: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    ended = process("org", "create", "--json")
    assert (2, "") == (ended.returncode, ended.stdout)
    assert 1 == ended.stderr.count("\n")


def test_help_does_not_wait_for_what_it_does_not_need() -> None:
    heavy = "fastapi", "sqlalchemy", "pydantic", "phonenumbers", "uvicorn", "offhook.store"
    script = (
        f"from offhook import cli; cli.run(['--help']); import sys; print([m for m in {heavy} if m in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert "[]" == ended.stdout.splitlines()[-1]


def commands(app: App = cli.app) -> list[str]:
    """Every command as it is typed behind `offhook`."""
    names = [name for name in app if not name.startswith("-")]
    return [f"{name} {one}".strip() for name in names for one in commands(app[name]) or [""]]


def test_every_command_stands_in_the_document() -> None:
    page = (Path(__file__).parents[1] / "docs/commands.md").read_text()
    rows = {command: "`" + command.replace(" ", r" ([a-z-]+\\\|)*") + r"\b" for command in commands()}
    assert [] == [command for command, row in rows.items() if not re.search(row, page)]


@pytest.mark.parametrize("command", commands())
def test_every_command_teaches_by_example(offhook: Offhook, command: str) -> None:
    shown = offhook(*command.split(), "--help")
    assert 0 == shown.code
    assert f"offhook {command}" in shown.out.partition("Example")[2]


def test_a_new_key_is_a_key(offhook: Offhook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFHOOK_SECRET_KEY", offhook("db", "new-key").out.strip())
    assert load().key_ring()


def test_a_reader_that_has_gone_is_no_fault() -> None:
    shell = f"{sys.executable} -m offhook db new-key | true"
    ended = subprocess.run(["bash", "-o", "pipefail", "-c", shell], capture_output=True, text=True, timeout=60)
    assert (0, "") == (ended.returncode, ended.stderr)
