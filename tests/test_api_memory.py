"""Declared variables and memory: over the API, and as an agent is told them while it rings."""

import json
from typing import Any

import pytest

from offhook import declared, memory
from offhook.store import contacts, declarations, memories, merging, organizations
from offhook.store.tables import callbacks
from offhook.store.tables import memories as memory_table
from tests.api import NOW, Api, hex_id

ALEX = "+14165550100"
NONE = {"previous_topics": "", "last_call_summary": "", "last_call_at": "", "call_count": 0, "open_items": ""}


async def decide(api: Api, **settings: Any) -> None:
    await api.deps.database.write(organizations.decide, api.org.id, settings)
    await api.deps.directory.refresh()


async def alex(api: Api, **facts: Any) -> str:
    named = {"first_name": "Alex", "last_name": "Morgan", "numbers": (ALEX,), **facts}
    return (await api.deps.database.write(contacts.create, api.org.id, source="api", now=NOW, **named)).id


async def told(api: Api, **request: Any) -> Any:
    body = json.dumps({"caller_id": ALEX, **request}).encode()
    await api.deps.directory.refresh()
    answer = json.loads((await api.deps.personalization.greet(api.org.id, body)).answer)
    return answer.get("dynamic_variables", answer)


async def call(api: Api, contact_id: str, n: int, **facts: Any) -> None:
    row = {"id": hex_id(n), "provider_call_id": f"conv_{n}", "contact_id": contact_id, "happened_at": NOW + n}
    await api.add_calls({**row, "title": f"Topic {n}", "summary": f"The caller asked for thing {n}.", **facts})


# Variables


def variables_path(api: Api, agent: str = "") -> str:
    return f"/api/organizations/{api.org.id}{f'/agents/{agent}' if agent else ''}/variables"


async def declare(api: Api, *variables: dict[str, Any], agent: str = "") -> Any:
    answer = await api.client.put(variables_path(api, agent), json={"variables": list(variables)})
    assert 200 == answer.status_code, answer.text
    assert answer.json() == (await api.get(variables_path(api, agent))).json()
    return answer.json()["variables"]


async def test_a_stranger_is_told_nothing_where_nothing_is_declared(api: Api) -> None:
    assert {} == await told(api)


async def test_every_declared_variable_is_filled_for_a_stranger_too(api: Api) -> None:
    shown = await declare(
        api,
        {"name": "plan", "default": "basic"},
        {"name": "visits", "type": "number", "default": 5},
        {"name": "rate", "type": "number", "default": 2.5},
        {"name": "vip", "type": "boolean"},
        {"name": "caller_name", "default": "there"},
    )
    assert {"name": "vip", "type": "boolean", "default": False} in shown
    defaults = {"plan": "basic", "visits": 5, "rate": 2.5, "vip": False, "caller_name": "there"}
    assert defaults == await told(api)
    await alex(api)
    known = {"caller_name": "Alex Morgan", "caller_number": ALEX, "org_name": "Acme Corp"}
    assert defaults | known == await told(api)


async def test_numbers_without_a_fraction_are_told_without_one(api: Api) -> None:
    await declare(api, {"name": "visits", "type": "number", "default": 5.0})
    assert b'"visits":5}' in (await api.deps.personalization.greet(api.org.id, b"{}")).answer


async def test_an_agent_has_its_own_variables_beside_the_organisations(api: Api) -> None:
    await declare(api, {"name": "plan", "default": "basic"}, {"name": "tone", "default": "calm"})
    await declare(api, {"name": "plan", "default": "gold"}, {"name": "user_id", "default": "u"}, agent="agent_1")
    assert {"plan": "gold", "tone": "calm", "user_id": "u"} == await told(api, agent_id="agent_1")
    assert {"plan": "basic", "tone": "calm"} == await told(api, agent_id="agent_2")
    # Whoever does not say which agent it is gets them all: one that is missing would end the call.
    assert {"plan": "basic", "tone": "calm", "user_id": "u"} == await told(api)
    assert {"plan", "tone", "user_id"} == set(await told(api, agent_id={"odd": []}))


async def test_a_known_value_is_told_in_the_type_that_was_declared(api: Api) -> None:
    await decide(api, memory=True)
    await declare(api, {"name": "call_count"}, {"name": "org_name", "type": "number", "default": 7})
    await alex(api)
    heard = await told(api)
    assert ("0", 7) == (heard["call_count"], heard["org_name"])


NO_VARIABLES: list[Any] = [
    {"name": "system__caller_id"},
    {"name": "Secret__token"},
    {"name": "a b"},
    {"name": ""},
    {"name": "x" * 65},
    {"name": "é"},
    {"name": "x", "type": "text"},
    {"name": "x", "type": "number", "default": "many"},
    {"name": "x", "type": "number", "default": 1e300},
    {"name": "x", "type": "boolean", "default": 1},
    {"name": "x", "default": "{{y}}"},
    {"name": "x", "default": "x" * 501},
    {"type": "string"},
    "x",
]


@pytest.mark.parametrize("variable", NO_VARIABLES, ids=str)
async def test_what_cannot_be_a_variable_is_refused_by_its_place(api: Api, variable: Any) -> None:
    answer = await api.client.put(variables_path(api), json={"variables": [{"name": "good"}, variable]})
    assert (400, "bad_input") == (answer.status_code, answer.json()["code"])
    assert "variables[" in answer.json()["error"]
    assert [] == (await api.get(variables_path(api))).json()["variables"]


async def test_a_name_is_declared_once(api: Api) -> None:
    answer = await api.client.put(variables_path(api), json={"variables": [{"name": "x"}, {"name": "x"}]})
    assert 400 == answer.status_code


async def test_variables_of_another_organisation_are_not_there(api: Api) -> None:
    other = await api.add_organization()
    async with api.client_with(other.api_key) as stranger:
        for path in variables_path(api), variables_path(api, "agent_1"):
            assert 404 == (await stranger.get(path)).status_code
            assert 404 == (await stranger.put(path, json={"variables": []})).status_code
    async with api.client_with(await api.add_key("read")) as reader:
        assert 403 == (await reader.put(variables_path(api), json={"variables": []})).status_code


async def test_one_variable_is_declared_or_taken_back_beside_the_others(api: Api) -> None:
    database, org_id = api.deps.database, api.org.id
    await declare(api, {"name": "plan", "default": "basic"})
    variable = declared.declare("vip", "boolean", True)
    await database.write(declarations.declare_one, org_id, None, variable, NOW)
    assert ["plan", "vip"] == [one.name for one in await database.read(declarations.declared_by, org_id)]
    assert await database.write(declarations.take_back, org_id, None, "plan", NOW)
    assert not await database.write(declarations.take_back, org_id, None, "plan", NOW)
    assert (variable,) == await database.read(declarations.declared_by, org_id)


# Memory


async def test_without_memory_nothing_is_told_of_earlier_calls(api: Api) -> None:
    await call(api, await alex(api), 1)
    assert {"caller_name", "caller_number", "org_name"} == set(await told(api))


async def test_an_agent_is_told_of_earlier_calls(api: Api) -> None:
    await decide(api, memory=True, free_text=True)
    contact_id = await alex(api)
    for n in range(1, 8):
        await call(api, contact_id, n)
    await call(api, contact_id, 8, status="in-progress", title="Not over")
    await call(api, contact_id, 9, status="no-answer", title=None)
    heard = await told(api)
    assert {
        "previous_topics": "Topic 7, Topic 6, Topic 5, Topic 4, Topic 3",
        "last_call_summary": "The caller asked for thing 7.",
        "last_call_at": "2025-05-18T11:04:08-04:00",
        "call_count": 7,
        "open_items": "",
    } == {name: heard[name] for name in NONE}


async def test_longer_text_is_told_only_where_it_is_allowed(api: Api) -> None:
    await decide(api, memory=True)
    await call(api, await alex(api), 1, title="Refund: order #12 {{system__x}}, urgent!", summary="Long text.")
    heard = await told(api)
    assert ("Refund order 12 urgent", "") == (heard["previous_topics"], heard["last_call_summary"])


async def test_a_stranger_has_no_memory_and_every_variable_of_it(api: Api) -> None:
    await decide(api, memory=True)
    assert NONE == await told(api)


async def test_somebody_without_a_name_is_remembered_and_not_named(api: Api) -> None:
    await decide(api, memory=True)
    await call(api, await alex(api, first_name=None, last_name=None), 1)
    heard = await told(api)
    assert ("Topic 1", 1, False) == (heard["previous_topics"], heard["call_count"], "caller_name" in heard)


async def test_somebody_without_a_number_is_remembered_by_user_id(api: Api) -> None:
    await decide(api, memory=True)
    contact_id = await alex(api, numbers=(), external_id="user-7")
    await call(api, contact_id, 1)
    heard = await told(api, caller_id=None, user_id="user-7")
    assert ("Alex Morgan", 1, False) == (heard["caller_name"], heard["call_count"], "caller_number" in heard)
    assert NONE == await told(api, caller_id=None, user_id="user-8")
    kept = await alex(api, numbers=(ALEX,), external_id="user-1")
    await api.deps.database.write(merging.merge, api.org.id, kept, contact_id, now=NOW)
    assert 1 == (await told(api, caller_id=None, user_id="user-7"))["call_count"]


async def test_what_is_open_is_told_until_it_is_done(api: Api) -> None:
    await decide(api, memory=True)
    contact_id = await alex(api)
    row = {"org_id": api.org.id, "contact_id": contact_id, "call_id": None, "number": ALEX, "created_at": NOW}
    row |= {"updated_at": NOW, "status": "open"}
    await api.insert(callbacks, {**row, "id": hex_id(1), "reason": "Wants the invoice."})
    await api.insert(callbacks, {**row, "id": hex_id(2), "reason": None, "created_at": NOW - 1})
    await api.insert(callbacks, {**row, "id": hex_id(3), "reason": "Long done", "status": "done"})
    analysis = {"data_collection_results": {"open_items": {"value": "Send the contract"}}}
    await call(api, contact_id, 1, analysis=json.dumps(analysis))
    assert "Wants the invoice, call back, Send the contract" == (await told(api))["open_items"]


@pytest.mark.parametrize("analysis", ["[]", "{}", '{"data_collection_results": [1]}', "{", "null", '"x"'])
async def test_an_odd_analysis_costs_nothing_else(api: Api, analysis: str) -> None:
    await decide(api, memory=True)
    await call(api, await alex(api), 1, analysis=analysis)
    heard = await told(api)
    assert ("Alex Morgan", 1, "") == (heard["caller_name"], heard["call_count"], heard["open_items"])


async def test_a_person_reads_corrects_and_erases_what_is_remembered(api: Api) -> None:
    await decide(api, memory=True, free_text=True)
    contact_id = await alex(api)
    await call(api, contact_id, 1, happened_at=NOW - 10_000_000_000 + 1e10 - 100)
    path = f"/api/contacts/{contact_id}/memory"
    read = (await api.get(path)).json()["data"]
    assert ("Topic 1", 1, True, [], None) == (
        read["previousTopics"], read["callCount"], read["enabled"], read["edited"], read["forgottenBefore"]
    )  # fmt: skip
    changed = await api.client.patch(
        path, json={"previousTopics": "A move to Berlin", "lastCallSummary": "None of it."}
    )
    assert 200 == changed.status_code, changed.text
    heard = await told(api)
    assert ("A move to Berlin", "None of it.") == (heard["previous_topics"], heard["last_call_summary"])
    assert ["previousTopics", "lastCallSummary"] == (await api.get(path)).json()["data"]["edited"]
    later = api.deps.now() + 60
    await call(api, contact_id, 2, happened_at=later)
    heard = await told(api)
    assert ("Topic 2, A move to Berlin", "The caller asked for thing 2.") == (
        heard["previous_topics"], heard["last_call_summary"]
    )  # fmt: skip
    await api.client.patch(path, json={"previousTopics": None})
    assert "Topic 2, Topic 1" == (await told(api))["previous_topics"]
    await api.deps.database.write(memories.forget, api.org.id, contact_id, later + 1)
    assert NONE == {name: value for name, value in (await told(api)).items() if name in NONE}
    assert 204 == (await api.client.delete(path)).status_code


async def test_memory_of_nobody_and_of_others_is_not_there(api: Api) -> None:
    contact_id = await alex(api)
    other = await api.add_organization()
    async with api.client_with(other.api_key) as stranger:
        path = f"/api/contacts/{contact_id}/memory"
        answers = [await stranger.get(path), await stranger.patch(path, json={}), await stranger.delete(path)]
        assert [404, 404, 404] == [answer.status_code for answer in answers]
    answer = await api.client.patch(f"/api/contacts/{contact_id}/memory", json={"openItems": "x" * 601})
    assert (400, True) == (answer.status_code, "openItems" in answer.json()["error"])


async def test_memory_goes_with_the_contact(api: Api) -> None:
    contact_id = await alex(api)
    await api.client.patch(f"/api/contacts/{contact_id}/memory", json={"openItems": "The keys"})
    await api.client.delete(f"/api/contacts/{contact_id}")
    assert 0 == await api.deps.database.read(lambda tx: len(tx.execute(memory_table.select()).all()))


async def test_a_summary_of_megabytes_is_not_read_while_it_rings(api: Api) -> None:
    await decide(api, memory=True, free_text=True)
    contact_id = await alex(api)
    await call(api, contact_id, 1, title="Door " * 100_000, summary="word " * 1_000_000)
    rows = await api.deps.database.recall(api.org.id, contact_id)
    assert max(len(text) for row in rows for text in row if isinstance(text, str)) <= 4 * memory.MAX_CHARS
    assert (await told(api))["last_call_summary"].startswith("word word")
