"""The commands for contacts, variables and memory."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.test_cli import Offhook, acme, environment, offhook  # noqa: F401 - fixtures

ORG = "Acme Corp"
ALEX, SAM = "+14165550100", "+14165550101"


@pytest.fixture
def run(acme: dict[str, str], offhook: Offhook) -> Offhook:  # noqa: F811
    return offhook


def added(run: Offhook, *numbers: str, **facts: str) -> Any:
    phones = [word for number in numbers for word in ("--phone", number)]
    named = [word for name, value in facts.items() for word in (f"--{name.replace('_', '-')}", value)]
    return run("contact", "add", ORG, *phones, *named, "--json").json


def test_numbers_and_agents_are_listed_and_let_go(run: Offhook) -> None:
    run("number", "add", ORG, ALEX, "--label", "Front desk")
    run("agent", "add", ORG, "agent_1", "--name", "Reception")
    ((number, label),) = [(one["number"], one["label"]) for one in run("number", "list", ORG, "--json").json]
    ((agent, name),) = [(one["agent_id"], one["name"]) for one in run("agent", "list", ORG, "--json").json]
    assert (ALEX, "Front desk", "agent_1", "Reception") == (number, label, agent, name)
    assert "Front desk" in run("number", "list", ORG).out
    assert "Reception" in run("agent", "list", ORG).out
    assert run("number", "remove", ORG, "(416) 555-0100", "--json").json["removed"]
    assert run("agent", "remove", ORG, "agent_1", "--json").json["removed"]
    assert [] == run("number", "list", ORG, "--json").json == run("agent", "list", ORG, "--json").json
    for gone in ("number", "remove", ORG, ALEX), ("agent", "remove", ORG, "agent_1"):
        ended = run(*gone)
        assert (2, True) == (ended.code, f"offhook {gone[0]} list" in ended.sentence)


def test_a_contact_with_several_numbers_and_emails_is_added_shown_and_listed(run: Offhook) -> None:
    emails = ("--email", "a@example.com", "--email", "b@example.com")
    typed = ("--phone", ALEX, "--phone", "416 555 0101", *emails, "--external-id", "user-7")
    alex = run("contact", "add", ORG, *typed, "--first-name", "Alex", "--json").json
    assert ([ALEX, SAM], ["a@example.com", "b@example.com"], "user-7", False) == (
        alex["phones"], alex["emails"], alex["external_id"], alex["opted_out"],
    )  # fmt: skip
    for who in alex["id"], SAM, "(416) 555-0100":
        assert alex == run("contact", "show", ORG, who, "--json").json
    assert [alex] == run("contact", "list", ORG, "--search", "alex", "--json").json
    assert [] == run("contact", "list", ORG, "--search", "sam", "--json").json
    for command in ("list", ORG), ("show", ORG, ALEX):
        shown = run("contact", *command)
        assert (0, True, True) == (shown.code, "Alex" in shown.out, SAM in shown.out)


def test_a_contact_is_changed(run: Offhook) -> None:
    added(run, ALEX, first_name="Alex", email="a@example.com")
    typed = ("--last-name", "Morgan", "--add-phone", SAM, "--remove-phone", ALEX, "--add-email", "b@example.com")
    changed = run(
        "contact", "change", ORG, ALEX, *typed, "--remove-email", "a@example.com", "--opted-out", "--json"
    ).json
    assert ("Alex", "Morgan", [SAM], ["b@example.com"], True) == (
        changed["first_name"], changed["last_name"], changed["phones"], changed["emails"], changed["opted_out"],
    )  # fmt: skip
    assert not run("contact", "change", ORG, SAM, "--no-opted-out", "--json").json["opted_out"]
    assert "last number" in run("contact", "change", ORG, SAM, "--remove-phone", SAM).sentence
    for wrong in (), ("--first-name", "x" * 201), ("--last-name", "A\x1b[31m"), ("--external-id", "x" * 201):
        assert 2 == run("contact", "change", ORG, SAM, *wrong).code
    assert run("contact", "change", ORG, SAM, "--first-name", "", "--json").json["first_name"] in (None, "")
    added(run, ALEX)
    taken = run("contact", "change", ORG, SAM, "--add-phone", ALEX)
    assert (2, True) == (taken.code, ALEX in taken.sentence)


def test_two_contacts_are_merged_and_one_is_deleted(run: Offhook) -> None:
    alex, other = added(run, ALEX, first_name="Alex"), added(run, SAM)
    merged = run("contact", "merge", ORG, ALEX, SAM, "--json").json
    assert (alex["id"], [ALEX, SAM]) == (merged["id"], merged["phones"])
    assert "no contact" in run("contact", "show", ORG, other["id"]).sentence
    assert "itself" in run("contact", "merge", ORG, ALEX, SAM).sentence
    assert merged == run("contact", "delete", ORG, SAM, "--json").json
    assert [] == run("contact", "list", ORG, "--json").json


def test_a_contact_that_is_not_there_is_a_mistake(run: Offhook) -> None:
    for command in ("show", ORG, ALEX), ("change", ORG, "nobody"), ("delete", ORG, "a" * 24), ("merge", ORG, ALEX, SAM):
        ended = run("contact", *command)
        assert (2, True) == (ended.code, "There is no contact" in ended.sentence)


def test_a_place_that_is_none_for_an_export_is_said(run: Offhook, tmp_path: Path) -> None:
    for place in tmp_path, tmp_path / "nowhere" / "people.csv":
        ended = run("contact", "export", ORG, str(place))
        assert (2, True) == (ended.code, f"{place} cannot be written" in ended.sentence)


def test_variables_are_declared_listed_and_removed(run: Offhook) -> None:
    run("variable", "set", ORG, "plan", "--default", "basic")
    run("variable", "set", ORG, "visits", "--type", "number", "--default", "2.50")
    vip = run("variable", "set", ORG, "vip", "--type", "boolean", "--default", "yes", "--agent", "agent_1", "--json")
    assert {"name": "vip", "type": "boolean", "default": True, "agent_id": "agent_1"} == vip.json
    listed = run("variable", "list", ORG, "--json").json
    assert [("plan", "basic", None), ("visits", 2.5, None), ("vip", True, "agent_1")] == [
        (one["name"], one["default"], one["agent_id"]) for one in listed
    ]
    assert "visits" in run("variable", "list", ORG).out
    assert 0 == run("variable", "remove", ORG, "plan").code
    assert vip.json == run("variable", "remove", ORG, "vip", "--agent", "agent_1", "--json").json
    assert "not declared" in run("variable", "remove", ORG, "vip", "--agent", "agent_1").sentence
    assert ["visits"] == [one["name"] for one in run("variable", "list", ORG, "--json").json]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (("system__time",), "reserved"),
        (("secret__x",), "reserved"),
        (("a-b",), "letters, digits"),
        (("x", "--type", "text"), "string, number or boolean"),
        (("x", "--type", "number", "--default", "many"), "must be a number"),
        (("x", "--type", "number", "--default", "nan"), "must be a number"),
        (("x", "--type", "boolean", "--default", "perhaps"), "must be a boolean"),
        (("x", "--agent", "a b"), "agent id"),
    ],
)
def test_what_cannot_be_declared_is_said(run: Offhook, typed: tuple[str, ...], said: str) -> None:
    ended = run("variable", "set", ORG, *typed)
    assert (2, True) == (ended.code, said in ended.sentence), ended.err


def test_what_is_remembered_is_shown_corrected_and_forgotten(run: Offhook) -> None:
    added(run, ALEX, first_name="Alex")
    assert "Memory is off" in run("memory", "show", ORG, ALEX).out
    assert {"memory": True} == {key: run("org", "set", ORG, "memory=on", "--json").json[key] for key in ("memory",)}
    shown = run("memory", "set", ORG, ALEX, "--topics", "A move", "--open-items", "", "--json").json
    assert ("A move", "", ["previous_topics", "open_items"], True) == (
        shown["previous_topics"], shown["open_items"], shown["edited"], shown["enabled"],
    )  # fmt: skip
    assert ["previous_topics"] == run("memory", "set", ORG, ALEX, "--reset", "open-items", "--json").json["edited"]
    assert "A move" in run("memory", "show", ORG, ALEX).out
    shown = run("memory", "forget", ORG, ALEX, "--json").json
    assert shown == run("memory", "show", ORG, ALEX, "--json").json
    assert ("", [], False) == (shown["previous_topics"], shown["edited"], shown["forgotten_before"] is None)
    assert "--topics" in run("memory", "set", ORG, ALEX).sentence
    assert "cannot be reset" in run("memory", "set", ORG, ALEX, "--reset", "x").sentence
    assert "neither on nor off" in run("org", "set", ORG, "memory=maybe").sentence
    assert json.loads(run("org", "set", ORG, "free-text=off", "name=Acme", "--json").out)["name"] == "Acme"
