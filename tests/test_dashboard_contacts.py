"""Contacts: the list, one person, corrections, two that are one, erasure, on both databases."""

import json
from typing import Any

import httpx
import pytest

from offhook.store import audit, contacts
from offhook.store.audit import Wanted
from offhook.store.contacts import Contact
from offhook.store.tables import messages
from tests.api import NOW, Api, hex_id
from tests.pages import Page
from tests.people import signed_in
from tests.test_dashboard_calls import HOSTILE, add_follow_up

MAYA = "+14165550142"
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  #: what no query decides


async def test_people_are_found_by_name_number_and_email(api: Api) -> None:
    await _add(api, "Maya", "Okafor", MAYA, emails=["maya@example.com"])
    await _add(api, "Tomás", "Herrera", "+14165550177")
    browser = await signed_in(api, "agent")
    for typed, expected in {
        "": ["Tomás Herrera", "Maya Okafor"],
        "okafor": ["Maya Okafor"],
        "(416) 555-0177": ["Tomás Herrera"],
        "555 0142": ["Maya Okafor"],
        "MAYA@example": ["Maya Okafor"],
        "nobody": [],
    }.items():
        page = Page((await browser.get("/contacts", params={"q": typed})).text)
        assert expected == page.all("b")[-len(expected) :] if expected else "Nobody is found" in page.text, typed


async def test_pages_of_contacts_follow_one_another_without_a_gap(api: Api) -> None:
    for number in range(100):
        await _add(api, f"Person{number}", None, f"+1416555{number:04}", now=NOW + number // 3)
    browser = await signed_in(api, "auditor")
    seen, path = [], "/contacts"
    for _ in range(3):
        page = Page((await browser.get(path)).text)
        seen += [link for link in page.values("a", "href") if link.startswith("/contacts/")]
        path = next(iter(page.values("a", "href", rel="next")), "")
    assert (100, 100, "") == (len(seen), len(set(seen)), path)


async def test_the_timeline_has_calls_texts_notes_and_follow_ups(api: Api) -> None:
    person = await _add(api, "Maya", "Okafor", MAYA)
    turns = [{"role": "agent", "message": "Hello", "timestamp": 0}, {"role": "user", "message": "Hi", "timestamp": 5}]
    await api.add_calls({"id": hex_id(1), "contact_id": person.id, "summary": "Chipped a tooth.", "duration_s": 83.0,
                         "transcript": json.dumps(turns)})  # fmt: skip
    await api.insert(messages, _text(api, person, "missed_call", "Sorry we missed you", "delivered"))
    await api.insert(messages, _text(api, person, "reply", "Thank you!", "received"))
    await api.add_note(id=hex_id(5), contact_id=person.id, note="Prefers mornings")
    await add_follow_up(api, hex_id(1), "callback", contact_id=person.id, number=MAYA, reason="Price of a crown")
    page = await _page(api, f"/contacts/{person.id}")
    lines = " ".join(page.all("ol", class_="tl"))
    for words in ("Call, 1 min 23 s", "Chipped a tooth.", "Automatic text", "Delivered", "Text received", "Thank you!",
                  "Prefers mornings", "Follow-up: call back", "Price of a crown"):  # fmt: skip
        assert words in lines, words


@on_sqlite
async def test_the_preview_is_what_the_agent_is_told_when_they_call(api: Api) -> None:
    person = await _add(api, "Maya", "Okafor", MAYA)
    stranger = await _add(api, None, None, "+14165550199")
    await api.deps.directory.refresh()
    browser = await signed_in(api, "agent")
    shown = Page((await browser.get(f"/contacts/{person.id}")).text).all("pre", class_="code")
    greeting = await api.deps.personalization.greet(api.org.id, json.dumps({"caller_id": MAYA}).encode())
    told = json.loads(greeting.answer)["dynamic_variables"]
    assert {"caller_name": "Maya Okafor", "caller_number": MAYA, "org_name": "Acme Corp"} == told
    assert " ".join(f"{name}: {value}" for name, value in told.items()) == " ".join(shown[0].split())
    assert "greets a stranger" in Page((await browser.get(f"/contacts/{stranger.id}")).text).text


@on_sqlite
async def test_a_correction_is_kept_and_a_wrong_one_is_shown_again(api: Api) -> None:
    person = await _add(api, None, None, MAYA)
    await _add(api, "Tomás", None, "+14165550177")
    browser = await signed_in(api, "agent")
    fields = {"first_name": "Maya", "last_name": "Okafor", "numbers": "416 555 0142\r\n+442079460000",
              "emails": "maya@example.com", "external_id": "C-7", "opted_out": "1"}  # fmt: skip
    answer = await browser.post(f"/contacts/{person.id}", data=fields)
    assert (303, f"/contacts/{person.id}?said=saved") == (answer.status_code, answer.headers["location"])
    found = await api.deps.database.read(contacts.get, api.org.id, person.id)
    assert found is not None
    assert ("Maya Okafor", (MAYA, "+442079460000"), ("maya@example.com",), "C-7", True) == (
        found.name, found.numbers, found.emails, found.external_id, found.is_opted_out
    )  # fmt: skip
    for wrong, status, words in (
        ({"numbers": "what"}, 400, "is no telephone number"),
        ({"emails": "what"}, 400, "is no email address"),
        ({"numbers": "", "external_id": ""}, 400, "needs a telephone number"),
        ({"numbers": "+14165550177"}, 409, "Another contact has the number"),
    ):
        answer = await browser.post(f"/contacts/{person.id}", data={**fields, "first_name": "<i>Kept</i>", **wrong})
        page = Page(answer.text)
        assert (status, True) == (answer.status_code, words in page.text), wrong
        assert "<i>Kept</i>" in page.values("input", "value", name="first_name")


async def test_a_contact_is_added_by_hand(api: Api) -> None:
    browser = await signed_in(api, "manager")
    answer = await browser.post("/contacts", data={"first_name": "Maya", "numbers": "416 555 0142"})
    assert 303 == answer.status_code
    assert "Maya" in Page((await browser.get(answer.headers["location"])).text).all("h1")
    again = await browser.post("/contacts", data={"first_name": "Maya", "numbers": "416 555 0142"})
    assert (409, True) == (again.status_code, "Another contact has the number" in again.text)


@on_sqlite
async def test_notes_are_written_changed_and_removed(api: Api) -> None:
    person = await _add(api, "Maya", None, MAYA)
    browser = await signed_in(api, "agent")
    assert 303 == (await browser.post(f"/contacts/{person.id}/notes", data={"note": "Nervous"})).status_code
    page = Page((await browser.get(f"/contacts/{person.id}")).text)
    assert ["Nervous"] == page.all("p", class_="note")
    (form,) = [action for action in page.values("form", "action") if "/notes/" in action]
    await browser.post(form, data={"note": "Nervous about needles"})
    assert ["Nervous about needles"] == (await _again(browser, person)).all("p", class_="note")
    await browser.post(form, data={"remove": "1"})
    assert [] == (await _again(browser, person)).all("p", class_="note")
    assert 400 == (await browser.post(f"/contacts/{person.id}/notes", data={"note": " "})).status_code


async def test_two_that_are_one_become_one_and_the_old_address_leads_to_it(api: Api) -> None:
    kept, other = await _add(api, "Maya", None, MAYA), await _add(api, "M.", "Okafor", "+14165550150")
    await api.add_calls({"id": hex_id(1), "contact_id": other.id})
    await add_follow_up(api, hex_id(1), "missed", contact_id=other.id, number="+14165550150")
    browser = await signed_in(api, "agent")
    page = Page((await browser.get(f"/contacts/{kept.id}/merge", params={"q": "416-555-0150"})).text)
    assert [other.id] == page.values("input", "value", name="other")
    answer = await browser.post(f"/contacts/{kept.id}/merge", data={"other": other.id})
    assert f"/contacts/{kept.id}?said=merged" == answer.headers["location"]
    shown = (await _again(browser, kept)).text
    assert "+1 416 555 0150" in shown
    assert "Follow-up: missed call" in shown
    moved = await browser.get(f"/contacts/{other.id}")
    assert (303, f"/contacts/{kept.id}?said=moved") == (moved.status_code, moved.headers["location"])
    assert ["contacts_merged"] == await _actions(api, "contacts_merged")


async def test_who_is_erased_is_gone_and_it_is_known_who_did_it(api: Api) -> None:
    person = await _add(api, "Maya", "Okafor", MAYA)
    manager, owner = await signed_in(api, "manager"), await signed_in(api, "owner")
    assert 403 == (await manager.post(f"/contacts/{person.id}/erase", data={"sure": "1"})).status_code
    assert 400 == (await owner.post(f"/contacts/{person.id}/erase")).status_code
    assert 303 == (await owner.post(f"/contacts/{person.id}/erase", data={"sure": "1"})).status_code
    gone = await manager.get(f"/contacts/{person.id}")
    assert (410, True, False) == (gone.status_code, "was erased" in gone.text, "Okafor" in gone.text)
    assert ["person_erased"] == await _actions(api, "person_erased")


@on_sqlite
async def test_a_look_at_a_person_is_on_the_record_once(api: Api) -> None:
    person = await _add(api, "Maya", "Okafor", MAYA)
    browser = await signed_in(api, "agent")
    for _ in range(3):
        await browser.get(f"/contacts/{person.id}")
    assert ["contact_read"] == await _actions(api, "contact_read")


@on_sqlite
async def test_what_people_are_called_is_text_and_nothing_else(api: Api) -> None:
    person = await _add(
        api, HOSTILE[:190], HOSTILE[:190], MAYA, emails=[f"{HOSTILE.split()[0]}@x"], external_id=HOSTILE
    )
    await api.add_note(id=hex_id(5), contact_id=person.id, note=HOSTILE)
    await api.insert(messages, _text(api, person, "reply", HOSTILE, "received"))
    await add_follow_up(api, hex_id(9), "callback", contact_id=person.id, number=MAYA, reason=HOSTILE)
    browser = await signed_in(api, "owner")
    for path in ("/contacts", f"/contacts/{person.id}", f"/contacts/{person.id}/merge?q={HOSTILE[:20]}", "/follow-ups"):
        page = Page((await browser.get(path)).text)
        assert ["module"] == page.values("script", "type"), path
        assert not [1 for _, its in page.elements if any(name.startswith("on") for name in its)], path
        assert "img" not in [tag for tag, its in page.elements if its.get("src") == "x"], path
    assert "<script>alert(1)</script>" in page.text


async def test_nobody_sees_or_changes_the_people_of_another_organisation(api: Api) -> None:
    other = await api.add_organization()
    theirs = await _add(api, "Secret", "Person", MAYA, org_id=other.id)
    mine = await _add(api, "Maya", None, "+14165550150")
    browser = await signed_in(api, "owner")
    assert "Secret" not in (await browser.get("/contacts")).text
    for path in ("", "/notes", "/erase", "/merge"):
        fields = {"note": "x", "sure": "1", "other": mine.id, "numbers": MAYA}
        answer = await browser.post(f"/contacts/{theirs.id}{path}", data=fields)
        assert 404 == answer.status_code, path
    assert 404 == (await browser.get(f"/contacts/{theirs.id}")).status_code
    assert 404 == (await browser.post(f"/contacts/{mine.id}/merge", data={"other": theirs.id})).status_code


async def test_no_address_of_contacts_breaks_the_page(api: Api) -> None:
    person = await _add(api, "Maya", None, MAYA)
    browser = await signed_in(api, "agent")
    for query in (
        "after=x",
        f"after=nan-{hex_id(1)}",
        f"after=inf-{hex_id(1)}",
        "q=%00",
        "q=%ff%25_",
        "q=" + "9" * 4000,
    ):
        assert 200 == (await browser.get(f"/contacts?{query}")).status_code, query
    for query in ("before=x", "before=nan", "before=-1", "before=1e300", "said=%3Cb%3E"):
        assert 200 == (await browser.get(f"/contacts/{person.id}?{query}")).status_code, query


async def _add(
    api: Api, first: str | None, last: str | None, number: str, *, org_id: str = "", now: float = 0, **facts: Any
) -> Contact:
    return await api.deps.database.write(
        contacts.create, org_id or api.org.id, first_name=first, last_name=last, numbers=[number], source="api",
        now=now or api.deps.now(), **facts,
    )  # fmt: skip


def _text(api: Api, person: Contact, kind: str, body: str, status: str) -> dict[str, Any]:
    empty = dict.fromkeys(column.name for column in messages.c)
    return {**empty, "id": hex_id(abs(hash(body)) % 10**12), "org_id": api.org.id, "contact_id": person.id, "kind": kind,
            "body": body, "status": status, "to_number": person.numbers[0], "created_at": NOW, "updated_at": NOW}  # fmt: skip


async def _page(api: Api, path: str) -> Page:
    answer = await (await signed_in(api, "agent")).get(path)
    assert 200 == answer.status_code
    return Page(answer.text)


async def _again(browser: httpx.AsyncClient, person: Contact) -> Page:
    return Page((await browser.get(f"/contacts/{person.id}")).text)


async def _actions(api: Api, action: str) -> list[str]:
    rows = await api.deps.database.read(audit.page, api.org.id, Wanted(action=action), limit=10)
    return [row.action for row in rows]
