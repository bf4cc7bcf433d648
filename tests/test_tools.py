"""The seven tools as an agent uses them: over HTTP, on both databases, to the letter of the contract."""

import asyncio
import json
import random
import re
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import sqlalchemy as sa
from elevenlabs.types.webhook_tool_config_input import WebhookToolConfigInput

from offhook import events, tools
from offhook.projection.projector import Projector
from offhook.store import contacts, contexts, organizations, tables
from offhook.store import events as event_rows
from offhook.store.contexts import Asked, Context
from offhook.voice.elevenlabs.tools import ANSWERS, FORMS, ToolFailed, tool_config
from tests.api import Api
from tests.services import Postgresql, Server, eventually

DOOR = "/api/webhook/elevenlabs/tools/"
ALEX, SAM, ACME = "+14165550100", "+14165550123", "+12362320246"
TALK = {
    "conversation_id": "conv_1",
    "agent_id": "agent_1",
    "caller_id": ALEX,
    "called_id": ACME,
    "called_number": ACME,
}


class Agent:
    """An agent in the middle of a call, with its organisation's tool secret."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.client = api.client_with(api.org.tool_secret)

    async def post(self, tool: str, body: bytes) -> httpx.Response:
        return await self.client.post(DOOR + tool, content=body)

    async def use(self, tool: str, **request: Any) -> Any:
        answer = await self.post(tool, json.dumps({**TALK, **request}).encode())
        assert 200 == answer.status_code, answer.text
        told = answer.json()
        msgspec.convert(told, ToolFailed if told.get("success") is False else ANSWERS[tool], strict=True)
        return told

    async def fails(self, tool: str, **request: Any) -> str:
        """The sentence that the agent is given to say."""
        told = await self.use(tool, **request)
        assert {"success", "error"} == set(told)
        assert told["success"] is False
        assert told["error"].endswith((".", "?"))
        return str(told["error"])

    async def rows(self, table: sa.Table) -> Sequence[sa.Row[Any]]:
        return await self.api.deps.database.read(_all, table)

    async def knows(self, number: str = ALEX, **facts: Any) -> contacts.Contact:
        return await self.api.deps.database.write(
            contacts.create, self.api.org.id, numbers=(number,), source="api", now=1.0, **facts
        )

    async def decides(self, **settings: Any) -> None:
        await self.api.deps.database.write(organizations.decide, self.api.org.id, settings)
        await self.api.deps.directory.refresh()

    async def rings(self, **context: Any) -> None:
        """The call was announced before it began."""
        asked = Asked("e" * 24, self.api.org.id, Context(asked_at=self.api.deps.now(), **context))
        await self.api.deps.database.write(contexts.remember, [asked])

    async def filed(self) -> None:
        """Everything that was answered is on file."""
        await self.api.filings.finish()

    async def project(self) -> None:
        deps = self.api.deps
        projector = Projector(deps.database, deps.keys, deps.directory, deps.contexts, deps.folders, deps.now)
        await projector.start()
        await projector.drain()
        await projector.stop()

    async def staff(self, **facts: Any) -> Any:
        answer = await self.api.client.post("/api/staff", json={"name": "Sam", **facts})
        assert 201 == answer.status_code, answer.text
        return answer.json()["data"]


def _all(tx: sa.Connection, table: sa.Table) -> Sequence[sa.Row[Any]]:
    return tx.execute(sa.select(table).order_by(*table.primary_key)).all()


def _empty(tx: sa.Connection, table: sa.Table) -> None:
    tx.execute(table.delete())


@pytest.fixture
async def agent(api: Api) -> Agent:
    return Agent(api)


# Who may knock


async def test_every_tool_stands_in_the_contract(agent: Agent) -> None:
    assert {
        "check-availability", "check-business-hours", "lookup-contact", "create-note", "update-contact", "send-sms",
        "transfer",
    } == set(tools.TOOLS) == set(ANSWERS)  # fmt: skip


@pytest.mark.parametrize("tool", tools.TOOLS)
async def test_whoever_has_no_tool_secret_hears_the_same_word(agent: Agent, tool: str) -> None:
    for token in (None, "oht_" + "0" * 64, agent.api.org.webhook_secret, agent.api.org.api_key, ""):
        answer = await agent.api.client_with(token).post(DOOR + tool, json=TALK)
        assert (401, {"error": "Unauthorized"}) == (answer.status_code, answer.json())


async def test_an_unknown_tool_is_not_found(agent: Agent) -> None:
    assert 404 == (await agent.post("make-coffee", b"{}")).status_code
    assert 405 == (await agent.client.get(DOOR + "transfer")).status_code


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'{"note": "\xff"}', b'{"note": "' + b"x" * 70_000 + b'"}']
)
@pytest.mark.parametrize("tool", ["create-note", "check-availability"])
async def test_a_body_that_cannot_be_read_is_a_sentence(agent: Agent, tool: str, body: bytes) -> None:
    answer = await agent.post(tool, body)
    assert (200, False) == (answer.status_code, answer.json()["success"])
    assert answer.json()["error"].endswith(".")


# check-availability, transfer


async def test_availability_counts_who_is_online_and_who_of_them_is_free(agent: Agent) -> None:
    none = {"agents_available": False, "available_count": 0, "online_count": 0}
    assert none == await agent.use("check-availability")
    await agent.staff(isOnline=True, isAvailable=True)
    await agent.staff(isOnline=True, isAvailable=False)
    await agent.staff(isOnline=False, isAvailable=True)
    some = {"agents_available": True, "available_count": 1, "online_count": 2}
    assert some == await agent.use("check-availability")


async def test_a_transfer_gives_the_number_of_somebody_who_is_free(agent: Agent) -> None:
    await agent.staff(name="Nobody", isAvailable=False, phoneNumber="+14165550111")
    await agent.staff(name="Numberless")
    await agent.staff(name="Sam", phoneNumber="(416) 555-0123")
    told = await agent.use("transfer", reason="A burst pipe")
    assert {"success": True, "message": "Transferring to Sam", "transfer_number": SAM} == told
    assert [] == await agent.rows(tables.callbacks)


async def test_a_transfer_to_nobody_asks_once_for_a_call_back(agent: Agent) -> None:
    alex = await agent.knows()
    told = await agent.use("transfer", reason="A burst pipe")
    assert (True, None) == (told["success"], told.get("transfer_number"))
    await agent.use("transfer", reason="He is still waiting")
    (row,) = (await agent.api.get("/api/callbacks", status="open")).json()["data"]
    wanted = (events.call_id(agent.api.org.id, "conv_1"), alex.id, ALEX, "A burst pipe", "open")
    assert wanted == (row["callId"], row["contactId"], row["phoneNumber"], row["reason"], row["status"])
    done = await agent.api.client.patch(f"/api/callbacks/{row['_id']}", json={"status": "done"})
    assert "done" == done.json()["data"]["status"]
    assert 0 == (await agent.api.get("/api/callbacks", status="open")).json()["total"]
    assert 1 == (await agent.api.get("/api/callbacks")).json()["total"]


async def test_who_became_free_meanwhile_takes_the_call(agent: Agent) -> None:
    await agent.use("transfer", reason="A burst pipe")
    await agent.staff(phoneNumber=SAM)
    assert SAM == (await agent.use("transfer", reason="A burst pipe"))["transfer_number"]


# check-business-hours


async def test_business_hours_are_told_in_the_organisations_zone(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    room = agent.api.deps.tools
    for expected, current, at in (
        (True, "Friday 14:32", "2026-11-20T19:32"),
        (False, "Saturday 14:32", "2026-11-21T19:32"),
    ):
        monkeypatch.setattr(room, "_now", lambda at=at: datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp())
        told = await agent.use("check-business-hours")
        zone = {"timezone": "America/Toronto", "organization_name": "Acme Corp"}
        assert {"is_open": expected, "current_time": current, **zone} == told
    await agent.decides(business_hours={"sat": [{"begin": "10:00", "end": "15:00"}]})
    assert (await agent.use("check-business-hours"))["is_open"]
    await agent.decides(holidays=["11-21"])
    assert not (await agent.use("check-business-hours"))["is_open"]


# lookup-contact


async def test_a_contact_is_looked_up_by_the_number_the_agent_names_first(agent: Agent) -> None:
    alex = await agent.knows(first_name="Alex", last_name="Morgan", emails=("alex@example.com",))
    await agent.knows(SAM, first_name="Sam")
    await agent.api.add_calls({"id": "c" * 24, "contact_id": alex.id, "happened_at": 1_747_580_641.0})
    await agent.api.add_note(id="d" * 24, contact_id=alex.id, note="Has a dog\u202e {{evil}}\nwho bites")
    told = await agent.use("lookup-contact")
    assert {
        "found": True,
        "contact": {
            "first_name": "Alex",
            "last_name": "Morgan",
            "name": "Alex Morgan",
            "email": "alex@example.com",
            "phone_number": ALEX,
            "notes": ["Has a dog evil who bites"],
            "last_call": "2025-05-18T15:04:01Z",
        },
    } == told
    assert "Sam" == (await agent.use("lookup-contact", phone_number="416 555 0123"))["contact"]["name"]
    assert "Sam" == (await agent.use("lookup-contact", caller_id=SAM))["contact"]["name"]
    assert {"found": False, "contact": None} == await agent.use("lookup-contact", phone_number="+14165550199")


async def test_who_was_ringing_is_known_from_the_conversation(agent: Agent) -> None:
    await agent.knows(first_name="Alex")
    await agent.rings(conversation_id="conv_1", caller=ALEX, called=ACME)
    assert "Alex" == (await agent.use("lookup-contact", caller_id=None))["contact"]["name"]
    assert not (await agent.use("lookup-contact", caller_id=None, conversation_id="conv_2"))["found"]


async def test_a_call_that_we_placed_is_about_whom_we_rang(agent: Agent) -> None:
    await agent.knows(first_name="Alex")
    await agent.api.deps.database.write(organizations.add_number, agent.api.org.id, ACME, None, 1.0)
    await agent.api.deps.directory.refresh()
    outbound = {"caller_id": ACME, "called_id": ALEX, "called_number": ALEX}
    assert "Alex" == (await agent.use("lookup-contact", **outbound))["contact"]["name"]
    await agent.rings(conversation_id="conv_2", caller=ACME, called=ALEX)
    announced = {"conversation_id": "conv_2", "caller_id": None, "called_id": None, "called_number": None}
    assert "Alex" == (await agent.use("lookup-contact", **announced))["contact"]["name"]


# create-note


async def test_a_note_is_on_the_call_and_on_the_contact(agent: Agent) -> None:
    alex = await agent.knows()
    told = await agent.use("create-note", note="Wants the blue one.")
    assert (True, "Note saved") == (told["success"], told["message"])
    (note,) = (await agent.api.get("/api/contact-notes", contactId=alex.id)).json()["data"]
    wanted = (told["note_id"], events.call_id(agent.api.org.id, "conv_1"), "Wants the blue one.", "ai_summary")
    assert wanted == (note["_id"], note["callId"], note["note"], note["type"])
    assert [] == await agent.rows(tables.calls), "a tool makes no call"


async def test_a_note_on_a_number_that_nobody_has_makes_somebody(agent: Agent) -> None:
    await agent.use("create-note", note="A new customer.", phone_number="(416) 555-0123")
    (person,) = (await agent.api.get("/api/contacts")).json()["data"]
    assert (SAM, None) == (person["phoneNumber"], person["firstName"])


async def test_a_note_of_nothing_or_about_nobody_is_refused_with_a_sentence(agent: Agent) -> None:
    assert "What should" in await agent.fails("create-note", note="   ")
    assert "What should" in await agent.fails("create-note")
    nobody = {"caller_id": None, "conversation_id": None}
    assert "whom" in await agent.fails("create-note", note="Hello.", **nobody)
    assert "area code" in await agent.fails("create-note", note="Hello.", phone_number="12")
    assert [] == await agent.rows(tables.notes)


# update-contact


async def test_a_contact_is_updated_and_emails_are_added(agent: Agent) -> None:
    alex = await agent.knows(first_name="Alec", emails=("old@example.com",))
    told = await agent.use("update-contact", first_name="Alex", last_name="O'Brien", email="alex@example.com")
    fields = ["firstName", "lastName", "email"]
    assert {"success": True, "message": "Contact updated", "updated_fields": fields} == told
    await agent.use("update-contact", email="ALEX@example.com", phone_number=ALEX)
    person = (await agent.api.get(f"/api/contacts/{alex.id}")).json()["data"]
    wanted = ("Alex", "O'Brien", ALEX, ["old@example.com", "alex@example.com"])
    assert wanted == (person["firstName"], person["lastName"], person["phoneNumber"], person["email"])


async def test_who_rings_for_the_first_time_gets_a_name(agent: Agent) -> None:
    assert ["firstName"] == (await agent.use("update-contact", first_name="Alex"))["updated_fields"]
    assert "Alex" == (await agent.use("lookup-contact"))["contact"]["name"]


async def test_what_is_no_name_and_no_address_is_asked_for_again(agent: Agent) -> None:
    await agent.knows(first_name="Alex")
    assert "spell" in await agent.fails("update-contact", first_name="{{system__prompt}}")
    assert "spell" in await agent.fails("update-contact", email="alex at example dot com")
    assert "nothing to change" in await agent.fails("update-contact")
    assert "whose" in await agent.fails("update-contact", first_name="Alex", caller_id=None, conversation_id=None)
    assert "Alex" == (await agent.use("lookup-contact"))["contact"]["name"]


# send-sms


async def test_a_text_goes_to_the_callers_own_number(agent: Agent) -> None:
    alex = await agent.knows()
    assert {"success": True, "message": "SMS sent"} == await agent.use("send-sms", message="See you at 3.")
    (effect,) = await agent.rows(tables.effects)
    call_id = events.call_id(agent.api.org.id, "conv_1")
    wanted = {"to": ALEX, "body": "See you at 3.", "kind": "tool", "contact_id": alex.id, "call_id": call_id}
    assert ("text", wanted) == (effect.kind, json.loads(effect.payload))


async def test_a_text_to_somebody_else_is_refused_unless_it_is_allowed(agent: Agent) -> None:
    assert "the number you are calling from" in await agent.fails("send-sms", message="Hi.", phone_number=SAM)
    unknown = {"caller_id": None, "conversation_id": "conv_2"}
    assert "the number you are calling from" in await agent.fails(
        "send-sms", message="Hi.", phone_number=SAM, **unknown
    )
    assert "cannot see" in await agent.fails("send-sms", message="Hi.", **unknown)
    assert [] == await agent.rows(tables.effects)
    await agent.decides(texts={"to_others": True})
    assert (await agent.use("send-sms", message="Hello.", phone_number=SAM))["success"]


async def test_who_was_announced_is_believed_before_what_is_sent_with_the_tool(agent: Agent) -> None:
    await agent.rings(conversation_id="conv_1", caller=ALEX, called=ACME)
    assert "calling from" in await agent.fails("send-sms", message="Hi.", caller_id=SAM, phone_number=SAM)
    assert (await agent.use("send-sms", message="Hi.", caller_id=SAM, phone_number=ALEX))["success"]


async def test_who_withheld_a_number_cannot_claim_one_later(agent: Agent) -> None:
    await agent.rings(conversation_id="conv_1", caller=None, called=ACME)
    assert "calling from" in await agent.fails("send-sms", message="Hi.", caller_id=SAM, phone_number=SAM)
    assert "cannot see" in await agent.fails("send-sms", message="Hi.", caller_id=SAM)
    assert [] == await agent.rows(tables.effects)


async def test_a_text_of_nothing_or_of_a_novel_is_not_sent(agent: Agent) -> None:
    assert "nothing to send" in await agent.fails("send-sms", message=" ")
    assert "too long" in await agent.fails("send-sms", message="word " * 200)


# Once


@pytest.mark.parametrize("tool", tools.TOOLS)
async def test_the_same_tool_call_id_is_one_use_with_one_answer(agent: Agent, tool: str) -> None:
    said = {"note": "Hello.", "first_name": "Alex", "message": "Hi.", "reason": "Help", "tool_call_id": "call_1"}
    first = await agent.use(tool, **said)
    await agent.staff(phoneNumber=SAM)
    await agent.knows(SAM)
    assert first == await agent.use(tool, **{**said, "note": "Bye.", "message": "Bye."})
    assert 1 == len(await agent.rows(tables.tool_uses))
    assert 1 >= len(await agent.rows(tables.notes)) + len(await agent.rows(tables.effects))


async def test_without_an_id_the_same_words_in_the_same_call_are_one_use(agent: Agent) -> None:
    for _ in range(3):
        await agent.use("create-note", note="Hello.")
    await agent.use("create-note", note="Hello again.")
    await agent.use("create-note", note="Hello.", conversation_id="conv_2")
    assert 3 == len(await agent.rows(tables.notes))


async def test_many_at_once_are_one(agent: Agent) -> None:
    answers = await asyncio.gather(*(agent.use("send-sms", message="Hi.", tool_call_id="call_1") for _ in range(12)))
    assert [answers[0]] * 12 == answers
    assert 1 == len(await agent.rows(tables.effects))


async def test_a_deed_and_its_event_are_on_disk_together_before_the_agent_is_told(agent: Agent) -> None:
    await agent.api.deps.directory.refresh()
    rung: list[events.Event] = []
    agent.api.deps.inbox.on_filed.append(rung.append)
    body = msgspec.json.encode({**TALK, "note": "Call back on Monday."})
    used = await agent.api.deps.tools.use(agent.api.org.id, "create-note", body)
    assert used.filing is None
    (note,) = await agent.rows(tables.notes)
    (event,) = await agent.rows(tables.events)
    assert ("tool", "tool", "pending") == (event.type, event.source, event.status)
    assert [event.id] == [one.id for one in rung]
    told = event_rows.opened(event_rows.event_of(event), agent.api.deps.keys)
    assert used.answer == told.answer
    assert note.id in told.body.decode()


async def test_what_looks_looks_again(agent: Agent) -> None:
    assert not (await agent.use("lookup-contact"))["found"]
    await agent.knows()
    assert (await agent.use("lookup-contact"))["found"]


async def test_an_id_belongs_to_its_organisation_and_its_tool(agent: Agent) -> None:
    await agent.use("create-note", note="Ours.", tool_call_id="call_1")
    await agent.use("send-sms", message="Hi.", tool_call_id="call_1")
    other = await agent.api.add_organization()
    theirs = await agent.api.client_with(other.tool_secret).post(
        DOOR + "create-note", json={**TALK, "note": "Theirs.", "tool_call_id": "call_1"}
    )
    assert theirs.json()["success"]
    assert {"Ours.", "Theirs."} == {row.note for row in await agent.rows(tables.notes)}
    assert 3 == len(await agent.rows(tables.tool_uses))
    assert {"found": False, "contact": None} != await agent.use("lookup-contact")


# On the record


async def test_every_use_is_on_the_calls_record_without_secrets(agent: Agent) -> None:
    call_id = events.call_id(agent.api.org.id, "conv_1")
    await agent.api.add_calls({"id": call_id})
    secret = agent.api.org.tool_secret
    await agent.use("create-note", note="Hello.", tool_call_id="call_1", api_key=secret, headers={"X-A": secret})
    await agent.use("check-availability")
    shown = await agent.api.get(f"/api/calls/{call_id}")
    first, second = shown.json()["call"]["toolUses"]
    assert ("create-note", "call_1", True) == (first["tool"], first["toolCallId"], first["answer"]["success"])
    assert "Hello." == first["request"]["note"]
    assert 0 < first["tookMs"] < 5000
    assert first["createdAt"].endswith("Z")
    assert ("check-availability", None) == (second["tool"], second["toolCallId"])
    assert secret not in shown.text


async def test_uses_that_failed_are_on_file_and_may_be_tried_again(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(tx: sa.Connection, asked: tools.Asked) -> tools.Done:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setitem(tools.TOOLS, "create-note", tools.Tool(breaks, is_known_by_content=True))
        await agent.fails("create-note", note="Hello.", tool_call_id="call_1")
    assert (await agent.use("create-note", note="Hello.", tool_call_id="call_1"))["success"]


# A rogue agent


@pytest.mark.parametrize("every", [2, pytest.param(1, marks=pytest.mark.torture)])
async def test_naughty_strings_as_every_argument_are_answered_with_json(
    agent: Agent, corpora: Path, every: int
) -> None:
    strings = json.loads((corpora / "strings" / "blns.json").read_text())
    assert len(strings) > 400
    names = (
        "phone_number", "note", "first_name", "last_name", "email", "message", "reason", "caller_id", "called_id",
        "called_number", "agent_id", "conversation_id",
    )  # fmt: skip
    step = every if agent.api.deps.settings.is_sqlite else 4 * every  # nobody but the database differs
    for number, text in list(enumerate(strings))[::step]:
        tool = list(tools.TOOLS)[number % 7]
        everything = {**dict.fromkeys(names, text), "conversation_id": f"conv_{number}{text}"}
        for request in (everything, {**TALK, names[number % 7]: text}):
            await agent.use(tool, **request)


@pytest.mark.parametrize("is_whole", [False, pytest.param(True, marks=pytest.mark.torture)])
async def test_wrong_types_cost_the_field_and_not_the_answer(agent: Agent, is_whole: bool) -> None:
    for_databases = 1e300, "\0", "\ud800"
    for_ourselves: tuple[Any, ...] = None, -1, True, [], ["x"], {}, {"a": [1]}
    for wrong in (*for_databases, *(for_ourselves if is_whole or agent.api.deps.settings.is_sqlite else ())):
        for tool in tools.TOOLS:
            for field in (
                "conversation_id",
                "phone_number",
                "note",
                "message",
                "first_name",
                "tool_call_id",
                "caller_id",
            ):
                await agent.use(tool, **{field: wrong})


# The page


def test_the_page_says_what_elevenlabs_is_told() -> None:
    page = (Path(__file__).parents[1] / "docs" / "tools.md").read_text()
    pasted = [json.loads(block) for block in re.findall(r"^```json\n(.*?)^```", page, re.M | re.S)]
    assert [tool_config(tool, "https://calls.example.com") for tool in FORMS] == pasted
    assert list(FORMS) == [name for name in re.findall(r"^## (.*)$", page, re.M) if name in FORMS]


@pytest.mark.parametrize("tool", FORMS)
def test_elevenlabs_own_types_take_the_tools(tool: str) -> None:
    config = WebhookToolConfigInput.model_validate(tool_config(tool, "https://calls.example.com"))
    told = config.model_dump(exclude_none=True)
    assert tool_config(tool, "https://calls.example.com") == {"type": "webhook", **told}
    for field in config.api_schema.request_body_schema.properties.values():  # type: ignore[union-attr]
        said = [word for word in ("description", "dynamic_variable", "constant_value") if getattr(field, word, None)]
        assert 1 == len(said), "only one source of a value is allowed"


# After the answer


async def test_a_use_is_filed_like_a_greeting_and_makes_no_call(agent: Agent) -> None:
    await agent.use("create-note", note="Hello.", tool_call_id="call_1")
    await agent.filed()
    (event,) = (await agent.api.get("/api/events", type="tool")).json()["data"]
    call_id = events.call_id(agent.api.org.id, "conv_1")
    assert ("tool", "tool", "bearer", call_id) == (event["type"], event["source"], event["proof"], event["callId"])
    shown = (await agent.api.get(f"/api/events/{event['_id']}")).json()["data"]
    assert ("create-note", "Hello.") == (shown["payload"]["tool"], shown["payload"]["request"]["note"])
    assert shown["answer"]["success"]
    await agent.project()
    assert [] == await agent.rows(tables.calls)
    assert ["projected"] == [row.status for row in await agent.rows(tables.events)]


async def test_replay_of_the_events_alone_rebuilds_what_tools_left_behind_and_texts_nobody(agent: Agent) -> None:
    await agent.use("create-note", note="Hello.", tool_call_id="call_1")
    await agent.use("update-contact", first_name="Alex", email="alex@example.com")
    await agent.use("update-contact", last_name="Morgan", email="a@example.com")
    await agent.use("send-sms", message="Hi.")
    await agent.use("transfer", reason="Help")
    await agent.use("lookup-contact")
    await agent.fails("create-note")
    await agent.post("create-note", b"{")
    await agent.filed()
    await agent.project()
    left_behind = (tables.tool_uses, tables.notes, tables.contacts, tables.contact_numbers, tables.callbacks)
    before = [await agent.rows(table) for table in left_behind]
    assert [8, 1, 1, 1, 1] == list(map(len, before))
    for table in (*left_behind, tables.effects):
        await agent.api.deps.database.write(_empty, table)
    for _ in range(2):
        ids = [row.id for row in await agent.rows(tables.events)]
        await agent.api.deps.database.write(event_rows.send_back, ids)
        await agent.project()
        assert before == [await agent.rows(table) for table in left_behind]
    assert [] == [row for row in await agent.rows(tables.effects) if row.kind == "text"]


async def test_replay_changes_nothing_that_somebody_changed_later(agent: Agent) -> None:
    await agent.use("update-contact", first_name="Alex", email="alex@example.com")
    await agent.use("transfer", reason="Help")
    await agent.filed()
    (person,) = (await agent.api.get("/api/contacts")).json()["data"]
    await agent.api.client.patch(f"/api/contacts/{person['_id']}", json={"firstName": "Alexandra", "email": []})
    (callback,) = await agent.rows(tables.callbacks)
    await agent.api.client.patch(f"/api/callbacks/{callback.id}", json={"status": "done"})
    await agent.project()
    (person,) = (await agent.api.get("/api/contacts")).json()["data"]
    assert ("Alexandra", []) == (person["firstName"], person["email"])
    assert ["done"] == [row.status for row in await agent.rows(tables.callbacks)]


@pytest.mark.parametrize("uses", [200, pytest.param(10_000, marks=pytest.mark.torture)])
async def test_thousands_of_uses_by_a_rogue_agent_are_each_done_once(
    agent: Agent, uses: int, figure: Callable[..., None]
) -> None:
    dice = random.Random(1)
    await agent.api.deps.directory.refresh()
    room, org_id = agent.api.deps.tools, agent.api.org.id
    bodies = [_rogue(dice, number) for number in range(uses // 20)]
    wanted = [(dice.choice(list(tools.TOOLS)), dice.choice(bodies)) for _ in range(uses)]
    answers: dict[tuple[str, str], set[bytes]] = {}
    begun = time.monotonic()
    for start in range(0, len(wanted), 50):
        batch = wanted[start : start + 50]
        used = await asyncio.gather(*(room.use(org_id, tool, json.dumps(body).encode()) for tool, body in batch))
        for (tool, body), one in zip(batch, used, strict=True):
            answers.setdefault((tool, body["tool_call_id"]), set()).add(one.answer)
    took_s = time.monotonic() - begun
    assert {1} == set(map(len, answers.values())), "the same use has one answer"
    assert len(answers) == len(await agent.rows(tables.tool_uses))
    done = [answer for told in answers.values() for answer in told]
    assert max(map(len, done)) < 8 * 1024
    texts = [key for key, told in answers.items() if key[0] == "send-sms" and b'"success":true' in next(iter(told))]
    assert len(texts) == len([row for row in await agent.rows(tables.effects) if row.kind == "text"])
    assert {ALEX} == {json.loads(row.payload)["to"] for row in await agent.rows(tables.effects)}
    notes = [key for key, told in answers.items() if key[0] == "create-note" and b"note_id" in next(iter(told))]
    assert len(notes) == len(await agent.rows(tables.notes))
    await agent.api.deps.ledger.start()
    await agent.api.deps.ledger.drain()
    await agent.api.deps.ledger.stop()
    sent = [row for row in await agent.rows(tables.messages) if row.status in ("sent", "delivered")]
    assert 2 == len(sent), "the cap of a call, however many were wished for"
    figure(f"{uses} uses by a rogue agent", different=len(answers), ms_each=round(took_s / uses * 1000, 2))


def _rogue(dice: random.Random, number: int) -> dict[str, Any]:
    junk = "".join(dice.choices("ab {}\"'<>\\\n\0é", k=dice.choice((1, 40, 4000))))
    return {
        **TALK,
        "tool_call_id": f"call_{number}",
        "phone_number": dice.choice((None, ALEX, SAM, "+447700900123", junk)),
        "note": dice.choice(("Hello.", junk, None)),
        "first_name": dice.choice(("Alex", junk)),
        "email": dice.choice((None, "alex@example.com", junk)),
        "message": dice.choice(("See you.", junk)),
        "reason": junk,
    }


# A database that is away


def test_a_database_that_hangs_is_a_sentence_within_the_budget(
    durable_postgresql: Postgresql, start_server: Callable[..., Server]
) -> None:
    server = start_server(database_url=durable_postgresql.url(durable_postgresql.create_database()))

    def use(tool: str, token: str = server.tool_secret) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"}
        body = {**TALK, "note": "Hello.", "tool_call_id": "call_1"}
        return httpx.post(server.base_url + DOOR + tool, json=body, headers=headers, timeout=20)

    assert use("lookup-contact").json() == {"found": False, "contact": None}
    durable_postgresql.freeze()
    try:
        begun = time.monotonic()
        answer = use("create-note")
        took_s = time.monotonic() - begun
        assert (200, False) == (answer.status_code, answer.json()["success"])
        assert "try again" in answer.json()["error"]
        assert took_s < 5.5
        assert 503 == use("create-note", "oht_" + "0" * 64).status_code
    finally:
        durable_postgresql.thaw()
    eventually(lambda: use("create-note").json()["success"], within_s=20)
    notes = eventually(lambda: server.get("/api/contact-notes").json()["data"])
    assert ["Hello."] == [note["note"] for note in notes]
    eventually(lambda: len(server.get("/api/events", type="tool").json()["data"]) >= 3)
