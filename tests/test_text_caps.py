"""Who has had how many texts, and who wants none: what the policy counts, on both databases."""

from typing import Any

import msgspec
import pytest

from offhook.store import contacts, messages, opt_outs
from offhook.store.database import Database
from offhook.store.messages import Draft
from offhook.texts import ALLOW, DAY_S, Counts, Decision

ORG, OTHER_ORG, CALL, OTHER_CALL = "a" * 24, "b" * 24, "c" * 24, "d" * 24
PERSON, NEIGHBOUR, STRANGER = "+14165550155", "+14165550999", "+14165551155"
NOW = 1_790_000_000.0
WAITS = Decision(verdict="wait", until=NOW + 60, word="quiet_hours", sentence="It is late.")
NEVER = Decision(verdict="suppress", word="country", sentence="Not there.")


def draft(id: str = "1", **facts: Any) -> Draft:
    said = {"org_id": ORG, "kind": "tool", "to": PERSON, "sender": "+1", "body": "Hello", "provider": "twilio"}
    return Draft(id=id, **{**said, **facts})


async def sent(database: Database, id: str = "1", decision: Decision = ALLOW, now: float = NOW, **facts: Any) -> Counts:
    """Reserve a text; what was counted for it."""
    seen: list[Counts] = []

    def decide(counts: Counts) -> Decision:
        seen.append(counts)
        return decision

    assert decision == await database.write(messages.reserve, draft(id, **facts), decide, now)
    return seen[0]


async def counted(database: Database, to: str | None = PERSON, call_id: str | None = None, **facts: Any) -> Counts:
    now = facts.pop("now", NOW)
    return await database.read(messages.counts, facts.pop("org_id", ORG), to, call_id, now, **facts)


async def test_where_nothing_was_sent_nothing_counts(database: Database) -> None:
    assert Counts() == await counted(database, call_id=CALL)


async def test_a_text_counts_for_its_number_its_block_its_call_and_its_organisation(database: Database) -> None:
    await sent(database, call_id=CALL)
    one = Counts(to_number=1, to_block=1, of_organization=1)
    assert one == await counted(database)
    assert msgspec.structs.replace(one, of_call=1) == await counted(database, call_id=CALL)
    assert one == await counted(database, call_id=OTHER_CALL)
    assert msgspec.structs.replace(one, to_number=0) == await counted(database, NEIGHBOUR)
    assert Counts(of_organization=1) == await counted(database, STRANGER)
    assert Counts() == await counted(database, org_id=OTHER_ORG, call_id=CALL)
    assert Counts() == await counted(database, None, call_id=CALL)


async def test_a_day_is_24_hours_and_a_call_has_no_end(database: Database) -> None:
    await sent(database, call_id=CALL)
    counts = await counted(database, call_id=CALL, now=NOW + DAY_S - 1)
    assert Counts(to_number=1, to_block=1, of_call=1, of_organization=1) == counts
    assert Counts(of_call=1) == await counted(database, call_id=CALL, now=NOW + DAY_S)


@pytest.mark.parametrize("decision", [WAITS, NEVER])
async def test_only_what_was_begun_counts(database: Database, decision: Decision) -> None:
    await sent(database, decision=decision, call_id=CALL)
    assert Counts() == await counted(database, call_id=CALL)


async def test_a_text_does_not_count_against_itself(database: Database) -> None:
    assert Counts() == await sent(database, call_id=CALL)
    assert Counts() == await sent(database, call_id=CALL)
    assert Counts(to_number=1, to_block=1, of_call=1, of_organization=1) == await sent(database, "2", call_id=CALL)


@pytest.mark.parametrize(
    ("decision", "status", "begun_at", "reason"),
    [(ALLOW, "sending", NOW, None), (WAITS, "queued", None, "It is late."), (NEVER, "suppressed", None, "Not there.")],
)
async def test_a_decision_is_on_record_with_the_text(
    database: Database, decision: Decision, status: str, begun_at: float | None, reason: str | None
) -> None:
    await sent(database, decision=decision, call_id=CALL)
    row = await database.read(messages.get, "1")
    assert row is not None
    facts = {
        "id": "1", "org_id": ORG, "call_id": CALL, "contact_id": None, "kind": "tool", "to_number": PERSON,
        "from_number": "+1", "body": "Hello", "provider": "twilio", "provider_message_id": None,
        "status": status, "reason": reason, "begun_at": begun_at, "created_at": NOW, "updated_at": NOW,
    }  # fmt: skip
    assert facts == {name: row._mapping[name] for name in facts}


async def test_what_waited_and_goes_now_keeps_its_beginning(database: Database) -> None:
    await sent(database, decision=WAITS)
    await sent(database, now=NOW + 60)
    row = await database.read(messages.get, "1")
    assert row is not None
    assert ("sending", NOW, NOW + 60, NOW + 60, None) == (
        row.status, row.created_at, row.updated_at, row.begun_at, row.reason
    )  # fmt: skip


async def test_a_text_belongs_to_its_contact_as_long_as_that_is_there(database: Database) -> None:
    contact = await database.write(contacts.create, ORG, source="api", now=NOW, numbers=(PERSON,))
    for id, contact_id in (("1", contact.id), ("2", "e" * 24), ("3", None)):
        await sent(database, id, contact_id=contact_id)
    await sent(database, "4", org_id=OTHER_ORG, contact_id=contact.id)
    rows = [await database.read(messages.get, id) for id in "1234"]
    assert [contact.id, None, None, None] == [row and row.contact_id for row in rows]


# Who wants none


async def test_who_wants_no_texts_wants_none_of_that_organisation(database: Database) -> None:
    await database.write(opt_outs.add, ORG, [PERSON, NEIGHBOUR, PERSON], "stop", NOW)
    assert [True, True, False] == [
        await database.read(opt_outs.is_out, ORG, number) for number in (PERSON, NEIGHBOUR, STRANGER)
    ]
    assert not await database.read(opt_outs.is_out, OTHER_ORG, PERSON)
    assert Counts(is_opted_out=True) == await counted(database)
    assert Counts() == await counted(database, STRANGER)


async def test_who_said_so_first_and_when_stays(database: Database) -> None:
    await database.write(opt_outs.add, ORG, [PERSON], "cli", NOW)
    await database.write(opt_outs.add, ORG, [PERSON], "stop", NOW + 1)
    (row,) = await database.read(opt_outs.list_all, ORG)
    assert (ORG, PERSON, "cli", NOW) == tuple(row)


async def test_an_opt_out_is_taken_back_by_whom_it_came_from(database: Database) -> None:
    await database.write(opt_outs.add, ORG, [PERSON], "cli", NOW)
    await database.write(opt_outs.add, ORG, [NEIGHBOUR], "stop", NOW)
    await database.write(opt_outs.add, OTHER_ORG, [PERSON, NEIGHBOUR], "stop", NOW)
    both = [PERSON, NEIGHBOUR]
    await database.write(opt_outs.remove, ORG, both, only=("stop",))
    assert {PERSON} == await database.read(opt_outs.of_numbers, ORG, both)
    await database.write(opt_outs.remove, ORG, [STRANGER])
    assert {PERSON} == await database.read(opt_outs.of_numbers, ORG, both)
    await database.write(opt_outs.remove, ORG, [PERSON])
    assert set() == await database.read(opt_outs.of_numbers, ORG, both)
    assert set(both) == await database.read(opt_outs.of_numbers, OTHER_ORG, both)
