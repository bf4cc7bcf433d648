"""Texts: reserved, sent, asked for after a crash; on both databases, with a Twilio of our own over real HTTP."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any, cast

import msgspec
import pytest

from offhook import app, messages
from offhook.deps import Deps
from offhook.effects import kinds
from offhook.ledger import LEASE_S, Ledger
from offhook.messages import Messages
from offhook.replaying import Replays
from offhook.rules import TextRules
from offhook.settings import Settings
from offhook.sms import provider_named
from offhook.sms.twilio import Receipt, Reply
from offhook.store import contacts, effects, merging, opt_outs, organizations
from offhook.store import messages as rows
from offhook.store.effects import Wish
from offhook.store.organizations import NewOrganization
from offhook.store.tables import calls
from offhook.store.tables import messages as table
from offhook.texts import countries_of
from tests.api import Api, call_row, hex_id
from tests.fake_twilio import FROM, FakeTwilio, fake_twilio

PERSON = "+14165550155"
RULES = {"missed_call_message": "Hi {{contactName}}, sorry we missed you. {{orgName}}", "missed_call_text": True}


@pytest.fixture
def twilio(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeTwilio]:
    with fake_twilio() as fake:
        for name, value in fake.env.items():
            monkeypatch.setenv(name, value)
        yield fake


class NoFetching:
    """Of recordings; texts alone are tried here."""

    fetch_recording = None


class NoReconcile:
    """With ElevenLabs."""

    go_round = None


class NoWaveforms:
    """Of recordings."""

    draw = None


class NoGuardian:
    """To look and to tell."""

    guard = tell = None


class House:
    """A house without a worker, and an organisation in Canada; the clock goes when it is told to."""

    def __init__(self, deps: Deps) -> None:
        self.deps = deps
        self.org = NewOrganization(name="Acme Corp", timezone="America/Toronto", country="CA")
        self.now = 1_750_000_000.0
        self.provider = provider_named("twilio")
        self.messages = Messages(
            deps.database, deps.directory, self.provider, lambda: self.now, public_url="https://calls.example.com"
        )

    async def decide(self, **settings: Any) -> None:
        await self.deps.database.write(organizations.decide, self.org.id, settings)
        await self.deps.directory.refresh()

    async def add_call(self, **facts: Any) -> str:
        known = {
            "status": "busy",
            "direction": "outbound",
            "to_number": PERSON,
            "from_number": FROM,
            "answered_at": None,
        }
        row = call_row(
            self.org.id, **{"id": hex_id(7), **known, "created_at": self.now, "happened_at": self.now, **facts}
        )
        await self.deps.database.write(lambda tx: tx.execute(calls.insert(), row))
        return str(row["id"])

    async def wish(self, *wishes: Wish) -> None:
        await self.deps.database.write(effects.want, wishes, self.now)

    async def missed(self, **facts: Any) -> str:
        call_id = await self.add_call(**facts)
        await self.wish(Wish(kind="missed_call_text", key=call_id, org_id=self.org.id, call_id=call_id))
        return call_id

    async def text(self, key: str, to: str = PERSON, body: str = "Hello", call_id: str | None = None) -> None:
        wish = messages.wish_text(self.org.id, to, body, key=key, call_id=call_id, contact_id=None, kind="tool")
        await self.wish(wish)

    def ledger(self) -> Ledger:
        texts = kinds(
            cast(Any, NoFetching), self.messages, cast(Any, NoGuardian), cast(Any, NoReconcile),
            Replays(self.deps.database), cast(Any, NoWaveforms),
        )  # fmt: skip
        del texts["guard"], texts["reconcile"]
        return Ledger(self.deps.database, texts, lambda: self.now)

    async def work(self, workers: int = 1) -> None:
        """Until nothing is due."""
        ledgers = [self.ledger() for _ in range(workers)]
        for ledger in ledgers:
            await ledger.start()
        async with asyncio.timeout(60):
            await asyncio.gather(*(ledger.drain() for ledger in ledgers))
        for ledger in ledgers:
            await ledger.stop()

    async def effect(self) -> Any:
        (row,), _ = await self.deps.database.read(effects.page, None)
        return row

    async def rows(self) -> list[Any]:
        found, _ = await self.deps.database.read(
            rows.page, self.org.id, contact_id=None, call_id=None, limit=10_000, offset=0
        )
        return list(found)

    async def row(self) -> Any:
        (row,) = await self.rows()
        return row


@pytest.fixture
async def house(settings: Settings, twilio: FakeTwilio) -> AsyncIterator[House]:
    async with app.house(settings, is_server=True, with_worker=False) as deps:
        house = House(deps)
        await deps.database.write(organizations.create, deps.keys, house.org, house.now)
        await house.decide(**RULES)
        yield house
        await house.messages.close()


async def test_who_was_missed_is_texted_once_however_often_it_is_wished_for(house: House, twilio: FakeTwilio) -> None:
    for _ in range(2):
        await (house.missed() if not twilio.taken else house.wish(_wish(house)))
        await house.work()
    (taken,) = twilio.taken
    assert (PERSON, FROM, "Hi, sorry we missed you. Acme Corp") == (taken["to"], taken["from"], taken["body"])
    row = await house.row()
    assert f"https://calls.example.com/api/webhook/twilio/status?message={row.id}" == taken["callback"]
    assert ("sent", taken["sid"], "twilio") == (row.status, row.provider_message_id, row.provider)
    effect = await house.effect()
    assert ("done", "sent", 1) == (effect.status, effect.outcome, effect.attempts)


def _wish(house: House) -> Wish:
    return Wish(kind="missed_call_text", key=hex_id(7), org_id=house.org.id, call_id=hex_id(7))


async def test_the_text_says_the_contacts_and_the_agents_names(house: House, twilio: FakeTwilio) -> None:
    await house.decide(missed_call_message="Hi {{contactName}}, {{agentName}} of {{ orgName }} rang. {{bogus}}")
    person = await house.deps.database.write(
        contacts.create, house.org.id, first_name="Zoë", numbers=[PERSON], source="api", now=house.now
    )
    await house.missed(contact_id=person.id, agent_name="Front desk")
    await house.work()
    assert ["Hi Zoë, Front desk of Acme Corp rang."] == [taken["body"] for taken in twilio.taken]


SUPPRESSED: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("switched_off", {"missed_call_text": False}, {}),
    ("no_message", {"missed_call_message": None}, {}),
    ("no_message", {"missed_call_message": "{{contactName}}"}, {}),
    ("answered", {}, {"status": "completed"}),
    ("answered", {}, {"status": "failed", "transcript": '[{"role": "user", "message": "Hello?"}]'}),
    ("no_number", {}, {"to_number": "anonymous"}),
    ("number_type", {}, {"to_number": "+18005550199"}),
    ("country", {}, {"to_number": "+491701234567"}),
    ("cap_number", {"texts.per_number_a_day": 0}, {}),
    ("cap_day", {"texts.a_day": 0}, {}),
    ("quiet_hours", {"texts.quiet_hours": {"begin": "00:00", "end": "24:00"}}, {}),
    ("too_late", {}, {"happened_at": 1_750_000_000.0 - 90_000}),
]


@pytest.mark.parametrize(("word", "settings_", "call"), SUPPRESSED, ids=[row[0] for row in SUPPRESSED])
async def test_a_missed_call_that_nobody_is_texted_about_says_why(
    house: House, twilio: FakeTwilio, word: str, settings_: dict[str, Any], call: dict[str, Any]
) -> None:
    await house.decide(**settings_)
    await house.missed(**call)
    await house.work()
    effect = await house.effect()
    assert ("suppressed", word) == (effect.status, effect.outcome.partition(": ")[0])
    assert [] == twilio.taken


async def test_a_text_waits_until_the_quiet_hours_of_the_person_are_over(house: House, twilio: FakeTwilio) -> None:
    house.now = 1_750_042_800.0  # 23:00 in Toronto, 20:00 in Vancouver
    await house.decide(**{"texts.quiet_hours": {"begin": "21:00", "end": "08:00"}})
    await house.text("Toronto")
    await house.text("Vancouver", to="+16045550155")
    await house.work()
    assert ["+16045550155"] == [taken["to"] for taken in twilio.taken]
    assert {"queued", "sent"} == {row.status for row in await house.rows()}
    house.now += 9 * 3600 - 1
    await house.work()
    assert 1 == len(twilio.taken)
    house.now += 1
    await house.work()
    assert ["+16045550155", PERSON] == [taken["to"] for taken in twilio.taken]
    assert {"sent"} == {row.status for row in await house.rows()}


async def test_no_answer_is_no_reason_to_send_it_twice(house: House, twilio: FakeTwilio) -> None:
    twilio.is_silent = True
    await house.text("1")
    await house.work()
    assert ("due", "sending") == ((await house.effect()).status, (await house.row()).status)
    assert 1 == len(twilio.taken)
    twilio.is_silent = False
    house.now = (await house.effect()).due_at
    await house.work()
    assert ("done", "sent") == ((await house.effect()).status, (await house.row()).status)
    assert (1, 1) == (len(twilio.taken), twilio.asked)
    assert twilio.taken[0]["sid"] == (await house.row()).provider_message_id


async def test_what_twilio_never_got_is_sent_after_a_crash(house: House, twilio: FakeTwilio) -> None:
    await house.text("1")
    await _crash_before_sending(house)
    house.now += LEASE_S + 1
    await house.work()
    assert (1, 1) == (len(twilio.taken), twilio.asked)
    assert ("done", "sent") == ((await house.effect()).status, (await house.row()).status)


async def test_an_equal_text_of_another_call_is_not_taken_for_the_one_that_crashed(
    house: House, twilio: FakeTwilio
) -> None:
    await house.text("1")
    await house.work()
    await house.text("2")
    await _crash_before_sending(house)
    house.now += LEASE_S + 1
    await house.work()
    assert 2 == len(twilio.taken)
    assert {one["sid"] for one in twilio.taken} == {row.provider_message_id for row in await house.rows()}


async def _crash_before_sending(house: House) -> None:
    """A worker that dies between "sending" and the request."""

    class Dead:
        name, sender = "twilio", FROM

        async def send(self, text: object) -> None:
            crashed.set()
            await asyncio.sleep(3600)

    crashed = asyncio.Event()
    alive, house.messages._provider = house.messages._provider, Dead()  # type: ignore[assignment]
    dying = house.ledger()
    await dying.start()
    await asyncio.wait_for(crashed.wait(), 10)
    for task in (*dying._tasks, *dying._in_hand.values()):
        task.cancel()
    house.messages._provider = alive


async def test_a_provider_that_cannot_tell_is_not_made_to_send_twice(house: House, twilio: FakeTwilio) -> None:
    await house.text("1")
    await _crash_before_sending(house)

    async def unknowable(*_: object) -> object:
        return object()

    house.messages._provider.ask = unknowable  # type: ignore[method-assign, assignment]
    house.now += LEASE_S + 1
    await house.work()
    assert ("dead", "failed") == ((await house.effect()).status, (await house.row()).status)
    assert [] == twilio.taken
    await house.deps.database.write(effects.retry, None, [(await house.effect()).id], house.now)
    await house.work()
    assert ("done", "sent") == ((await house.effect()).status, (await house.row()).status)
    assert 1 == len(twilio.taken)


REFUSALS = [
    (429, {"code": 20429}, ("due", "queued")),
    (503, {}, ("due", "sending")),
    (401, {"code": 20003}, ("due", "queued")),
    (400, {"code": 21211, "message": f"{PERSON} is no number"}, ("dead", "failed")),
    (400, {"code": 21610}, ("suppressed", "suppressed")),
]


@pytest.mark.parametrize(("status", "content", "ends"), REFUSALS)
async def test_what_twilio_refuses_waits_or_ends_with_its_reason(
    house: House, twilio: FakeTwilio, status: int, content: dict[str, Any], ends: tuple[str, str]
) -> None:
    twilio.refuse = lambda _: (status, content)
    await house.text("1")
    await house.work()
    effect, row = await house.effect(), await house.row()
    assert ends == (effect.status, row.status)
    assert effect.outcome
    assert PERSON not in effect.outcome
    is_opted_out = await house.deps.database.read(opt_outs.is_out, house.org.id, PERSON)
    assert (content.get("code") == 21610) == is_opted_out


async def test_receipts_move_a_text_forward_in_whatever_order_they_come(house: House, twilio: FakeTwilio) -> None:
    await house.text("1")
    await house.work()
    row = await house.row()
    for standing in ("delivered", "sent", "failed", "sent"):
        await house.messages.take_receipt(Receipt(row.provider_message_id, standing, None), None)
    assert "delivered" == (await house.row()).status


async def test_a_receipt_that_is_faster_than_the_answer_finds_its_text(house: House, twilio: FakeTwilio) -> None:
    twilio.is_silent = True
    await house.text("1")
    await house.work()
    row = await house.row()
    await house.messages.take_receipt(Receipt("SM1", "delivered", None), row.id)
    assert ("delivered", "SM1") == ((await house.row()).status, (await house.row()).provider_message_id)
    house.now = (await house.effect()).due_at
    await house.work()
    assert ("done", 1, 0) == ((await house.effect()).status, len(twilio.taken), twilio.asked)


async def test_what_twilio_took_and_could_not_deliver_is_not_sent_again_after_a_crash(
    house: House, twilio: FakeTwilio
) -> None:
    twilio.is_silent = True
    await house.text("1")
    await house.work()
    await house.messages.take_receipt(Receipt("SM1", "failed", "Twilio says error 30003."), (await house.row()).id)
    twilio.is_silent = False
    house.now = (await house.effect()).due_at
    await house.work()
    assert ("done", "failed", 1) == ((await house.effect()).status, (await house.row()).status, len(twilio.taken))


async def test_a_provider_is_not_asked_for_what_another_began_to_send(house: House, twilio: FakeTwilio) -> None:
    await house.text("1")
    await _crash_before_sending(house)
    house.messages._provider = provider_named("console")
    house.now += LEASE_S + 1
    await house.work()
    effect = await house.effect()
    assert ("dead", "failed") == (effect.status, (await house.row()).status)
    assert "twilio" in effect.outcome


async def test_a_text_follows_its_contact_into_the_one_that_is_kept(house: House, twilio: FakeTwilio) -> None:
    write, org_id = house.deps.database.write, house.org.id
    other = await write(contacts.create, org_id, numbers=(PERSON,), source="api", now=1.0)
    kept = await write(contacts.create, org_id, numbers=("+14165550156",), source="api", now=1.0)
    gone = await write(contacts.create, org_id, numbers=("+14165550157",), source="api", now=1.0)
    for contact in (other, gone):
        to, key = contact.numbers[0], contact.id
        wish = messages.wish_text(org_id, to, "Hello", key=key, call_id=None, contact_id=contact.id, kind="tool")
        await house.wish(wish)
    await write(merging.merge, org_id, kept.id, other.id, now=2.0)
    await write(contacts.delete, org_id, gone.id)
    await house.work()
    assert {PERSON: kept.id, "+14165550157": None} == {row.to_number: row.contact_id for row in await house.rows()}


async def test_stop_ends_texts_and_start_begins_them_again(house: House, twilio: FakeTwilio) -> None:
    call_id = await house.missed()
    await house.work()
    await house.messages.take_reply(Reply("SM10", PERSON, (FROM,), "Stop", "stop"))
    await house.text("2")
    await house.work()
    assert 1 == len(twilio.taken)
    await house.messages.take_reply(Reply("SM11", PERSON, (FROM,), "START", "start"))
    await house.text("3")
    await house.work()
    assert 2 == len(twilio.taken)
    replies = [row for row in await house.rows() if row.kind == "reply"]
    assert {("received", PERSON, FROM, call_id)} == {
        (r.status, r.from_number, r.to_number, r.call_id) for r in replies[:1]
    }
    assert 2 == len(replies)


async def test_a_reply_that_is_told_twice_is_one_message(house: House, twilio: FakeTwilio) -> None:
    await house.text("1")
    await house.work()
    for _ in range(2):
        await house.messages.take_reply(Reply("SM10", PERSON, (FROM,), "Thank you", None))
    assert 2 == len(await house.rows())


async def test_start_does_not_undo_what_the_organisation_wrote_down(house: House) -> None:
    await house.deps.database.write(opt_outs.add, house.org.id, [PERSON], "cli", house.now)
    await house.deps.database.write(organizations.add_number, house.org.id, FROM, None, house.now)
    await house.deps.directory.refresh()
    await house.messages.take_reply(Reply("SM10", PERSON, (FROM,), "START", "start"))
    assert await house.deps.database.read(opt_outs.is_out, house.org.id, PERSON)


@pytest.mark.parametrize("attempts", [250, pytest.param(10_000, marks=pytest.mark.torture)])
async def test_thousands_of_attempts_of_a_rogue_agent_end_within_policy(
    house: House, twilio: FakeTwilio, seed: int, figure: Any, attempts: int
) -> None:
    """Four workers at once; it dials whatever it likes, asks before most texts, and wishes for some that were refused."""
    chance = random.Random(seed)
    rules = {"per_number_a_day": 3, "per_block_a_day": 10, "per_call": 2, "a_day": 60}
    await house.decide(texts={**rules, "to_others": True})
    mine = [f"+1416555{n:04d}" for n in (*range(100, 130), *range(3000, 3040))]
    abroad = ["+19005550100", "+491701234567", "+18005550100", "+447700900123", "+12125550100", "12", ""]
    stopped = set(mine[:5])
    for number in stopped:
        await house.deps.database.write(opt_outs.add, house.org.id, [number], "stop", house.now)
    turns = asyncio.Semaphore(32)

    async def attempt(n: int) -> None:
        to, call_id = chance.choice(mine + abroad), hex_id(chance.randrange(1, 2000))
        async with turns:
            said = await house.messages.may_text(house.org.id, to, "Hi", call_id=call_id, caller=None)
            if said.is_allowed or n % 20 == 0:
                await house.text(str(n), to, call_id=call_id)

    begun = time.monotonic()
    ledgers = [house.ledger() for _ in range(4)]
    for ledger in ledgers:
        await ledger.start()
    async with asyncio.timeout(100):
        await asyncio.gather(*map(attempt, range(attempts)))
        await asyncio.gather(*(ledger.drain() for ledger in ledgers))
    for ledger in ledgers:
        await ledger.stop()
    figure(
        f"{attempts:,} texts of a rogue agent, 4 workers",
        seconds=round(time.monotonic() - begun, 1),
        sent=len(twilio.taken),
    )
    sent_to = Counter(one["to"] for one in twilio.taken)
    assert set(sent_to) <= set(mine) - stopped
    assert max(sent_to.values()) <= rules["per_number_a_day"]
    blocks = Counter(one["to"][:-3] for one in twilio.taken)
    assert max(blocks.values()) == rules["per_block_a_day"]
    of_calls = Counter(row.call_id for row in await house.rows() if row.status == "sent")
    assert max(of_calls.values()) <= rules["per_call"]
    assert 0 < len(twilio.taken) <= rules["a_day"]


async def test_four_workers_send_exactly_as_many_as_a_cap_allows(house: House, twilio: FakeTwilio) -> None:
    twilio.takes_s = 0.02
    for n in range(40):
        await house.text(str(n))
    await house.work(workers=4)
    assert TextRules().per_number_a_day == len(twilio.taken)


async def test_an_agent_is_told_at_once_what_it_may_not_send(house: House) -> None:
    async def asked(to: str | None, body: str = "Hello", caller: str | None = PERSON) -> tuple[bool, str]:
        said = await house.messages.may_text(house.org.id, to, body, call_id=None, caller=caller)
        return said.is_allowed, said.sentence

    assert (True, "") == await asked(PERSON)
    assert (False, "Texts are sent to the caller's own number only.") == await asked("+14165550199")
    assert (False, "The message is too long: 500 characters at most.") == await asked(PERSON, "x" * 501)
    assert (True, "") == await asked(PERSON, "x" * 500)
    assert (False, "There is nothing to send: the message is empty.") == await asked(PERSON, " ")
    await house.decide(**{"texts.to_others": True})
    assert (True, "") == await asked("+14165550199")
    assert (False, "Texts are not sent to numbers in that country.") == await asked("+491701234567")


async def test_an_agent_is_told_at_once_of_caps_and_opt_outs(house: House, twilio: FakeTwilio) -> None:
    async def asked(call_id: str | None) -> tuple[bool, str]:
        said = await house.messages.may_text(house.org.id, PERSON, "Hello", call_id=call_id, caller=PERSON)
        return said.is_allowed, said.sentence

    for number in range(2):
        await house.text(f"{number}", call_id=hex_id(7))
    await house.work()
    assert (False, "As many texts as a call may bring were sent for this one.") == await asked(hex_id(7))
    assert (True, "") == await asked(hex_id(8))
    assert (True, "") == await asked(None)
    await house.deps.database.write(opt_outs.add, house.org.id, [PERSON], "api", house.now)
    assert (False, "That number has asked not to be texted.") == await asked(None)


def test_texts_go_to_the_countries_of_the_organisations_numbers_else_to_its_own() -> None:
    assert {"CA"} == countries_of(TextRules(), [], "CA")
    assert {"DE", "US"} == countries_of(TextRules(), ["+491701234567", "+12125550100"], "CA")
    assert {"FR"} == countries_of(TextRules(countries=("FR",)), ["+491701234567"], "CA")


async def test_a_receipt_of_nothing_is_no_fault(house: House) -> None:
    await house.messages.take_receipt(Receipt("SM404", "sent", None), hex_id(404))


def test_wishes_of_texts_hold_no_templates() -> None:
    wish = messages.wish_text(
        "a" * 24, PERSON, "{{agentName}} Hi }}", key="1", call_id=None, contact_id=None, kind="tool"
    )
    assert "Hi" == wish.payload["body"]
    assert msgspec.json.decode(msgspec.json.encode(wish.payload)) == wish.payload


async def test_messages_are_on_the_api_newest_first_and_by_call(api: Api) -> None:
    made = {column.name: None for column in table.c} | {"org_id": api.org.id, "kind": "tool", "body": "Hi"}
    for n in (1, 2):
        facts = {
            "id": hex_id(n),
            "status": "sent",
            "call_id": hex_id(n),
            "created_at": n,
            "updated_at": n,
            "to_number": PERSON,
        }
        await api.insert(table, {**made, **facts})
    answer = (await api.get("/api/messages")).json()
    assert (True, 2, [hex_id(2), hex_id(1)]) == (
        answer["success"],
        answer["total"],
        [one["_id"] for one in answer["data"]],
    )
    (one,) = (await api.get("/api/messages", callId=hex_id(1))).json()["data"]
    assert {
        "_id", "callId", "contactId", "to", "from", "kind", "body", "status", "reason", "provider", "providerMessageId",
        "createdAt", "updatedAt",
    } == set(one)  # fmt: skip
    assert (hex_id(1), PERSON, "Hi", "sent", "1970-01-01T00:00:01.000Z") == (
        one["callId"], one["to"], one["body"], one["status"], one["createdAt"],
    )  # fmt: skip
    assert [] == (await api.get("/api/messages", contactId=hex_id(5))).json()["data"]


async def test_the_missed_call_message_is_changed_in_parts(api: Api) -> None:
    path = f"/api/organizations/{api.org.id}/missed-call-message"
    empty = {"missedCallMessage": None, "missedCallAutoMessageEnabled": False}
    assert empty == (await api.get(path)).json()
    both = {"missedCallMessage": "Hi {{contactName}}", "missedCallAutoMessageEnabled": True}
    steps: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"missedCallMessage": "Hi {{contactName}}"}, {**empty, "missedCallMessage": "Hi {{contactName}}"}),
        ({"missedCallAutoMessageEnabled": True}, both),
        ({}, both),
        ({"missedCallMessage": None}, {**empty, "missedCallAutoMessageEnabled": True}),
        ({"missedCallMessage": "x" * 500}, {"missedCallMessage": "x" * 500, "missedCallAutoMessageEnabled": True}),
    ]  # fmt: skip
    for change, expected in steps:
        answer = await api.client.put(path, json=change)
        assert (200, expected) == (answer.status_code, answer.json())
        assert expected == (await api.get(path)).json()
    for field, value in (
        ("missedCallMessage", "x" * 501),
        ("missedCallMessage", 1),
        ("missedCallAutoMessageEnabled", "yes"),
    ):
        answer = await api.client.put(path, json={field: value})
        assert (400, True) == (answer.status_code, answer.json()["error"].startswith(field))


async def test_another_organisations_missed_call_message_is_not_there(api: Api) -> None:
    other = await api.add_organization()
    path = f"/api/organizations/{other.id}/missed-call-message"
    assert (404, 404) == ((await api.get(path)).status_code, (await api.client.put(path, json={})).status_code)
    assert 404 == (await api.get("/api/organizations/none/missed-call-message")).status_code
    reader = api.client_with(await api.add_key("read"))
    own = f"/api/organizations/{api.org.id}/missed-call-message"
    assert (200, 403) == ((await reader.get(own)).status_code, (await reader.put(own, json={})).status_code)
