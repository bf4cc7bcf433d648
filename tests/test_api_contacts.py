"""Contacts and notes over the API."""

from typing import Any

from offhook.store import opt_outs
from tests.api import NOW, Api, hex_id

KEYS = {
    "_id", "firstName", "lastName", "phoneNumber", "phoneNumbers", "email", "externalId", "source", "optedOut",
    "createdAt", "updatedAt",
}  # fmt: skip


async def added(api: Api, **facts: Any) -> dict[str, Any]:
    answer = await api.client.post("/api/contacts", json=facts)
    assert 201 == answer.status_code, answer.text
    person = answer.json()["data"]
    assert set(person) == KEYS
    return dict(person)


async def test_a_contact_is_added_and_read_back(api: Api) -> None:
    person = await added(
        api, phoneNumber="+14165550100", firstName=" Alex ", lastName="Morgan", email=["a@example.com"]
    )
    assert ("Alex", "Morgan", "+14165550100", ["a@example.com"], None, "api") == (
        person["firstName"], person["lastName"], person["phoneNumber"], person["email"], person["externalId"],
        person["source"],
    )  # fmt: skip
    assert {"data": person} == (await api.get(f"/api/contacts/{person['_id']}")).json()
    assert {"data": [person], "total": 1} == (await api.get("/api/contacts")).json()


async def test_a_number_is_read_in_any_spelling_of_the_organisations_country(api: Api) -> None:
    assert "+14165550100" == (await added(api, phoneNumber="(416) 555-0100"))["phoneNumber"]


async def test_one_email_need_not_be_a_list(api: Api) -> None:
    assert ["a@example.com"] == (await added(api, phoneNumber="+14165550100", email="a@example.com"))["email"]


async def test_a_person_may_have_several_numbers(api: Api) -> None:
    person = await added(api, phoneNumber="+14165550100", phoneNumbers=["(416) 555-0101", "416 555 0100"])
    path = f"/api/contacts/{person['_id']}"
    assert ["+14165550100", "+14165550101"] == person["phoneNumbers"]
    for body, numbers in (
        ({"phoneNumbers": ["+14165550102", "+14165550100"]}, ["+14165550102", "+14165550100"]),
        ({"phoneNumber": "+14165550103"}, ["+14165550103", "+14165550100"]),
        ({"phoneNumber": "+14165550104", "phoneNumbers": ["+14165550105"]}, ["+14165550104", "+14165550105"]),
        ({"firstName": "Alex"}, ["+14165550104", "+14165550105"]),
    ):
        changed = (await api.client.patch(path, json=body)).json()["data"]
        assert (numbers, numbers[0]) == (changed["phoneNumbers"], changed["phoneNumber"])


async def test_a_person_is_known_by_an_external_id_as_well(api: Api) -> None:
    person = await added(api, externalId="user-7")
    assert ([], None, "user-7") == (person["phoneNumbers"], person["phoneNumber"], person["externalId"])
    answer = await api.client.patch(f"/api/contacts/{person['_id']}", json={"externalId": None})
    assert (400, True) == (answer.status_code, answer.json()["error"].startswith("externalId"))
    other = await added(api, phoneNumber="+14165550100")
    answer = await api.client.patch(f"/api/contacts/{other['_id']}", json={"phoneNumbers": []})
    assert (400, True) == (answer.status_code, answer.json()["error"].startswith("phoneNumbers"))


async def test_who_wants_no_texts_is_noted_by_number(api: Api) -> None:
    person = await added(api, phoneNumbers=["+14165550100", "+14165550101"])
    path = f"/api/contacts/{person['_id']}"
    assert (await api.client.patch(path, json={"optedOut": True})).json()["data"]["optedOut"]
    numbers = set(person["phoneNumbers"])
    assert numbers == await api.deps.database.read(opt_outs.of_numbers, api.org.id, numbers)
    assert 204 == (await api.client.delete(path)).status_code
    again = await added(api, phoneNumber="+14165550101")
    assert again["optedOut"]  # it is the number that wants none, whoever has it
    answer = await api.client.patch(f"/api/contacts/{again['_id']}", json={"optedOut": False})
    assert not answer.json()["data"]["optedOut"]
    assert {"+14165550100"} == await api.deps.database.read(opt_outs.of_numbers, api.org.id, numbers)


async def test_two_contacts_become_one(api: Api) -> None:
    alex = await added(api, phoneNumber="+14165550100", firstName="Alex", email=["a@example.com"])
    other = await added(
        api, phoneNumber="+14165550101", firstName="Al", email=["b@example.com", "a@example.com"], externalId="user-7"
    )
    await api.add_calls({"id": hex_id(1), "contact_id": other["_id"]})
    await api.add_note(id=hex_id(1), contact_id=other["_id"])
    path = f"/api/contacts/{alex['_id']}/merge"
    for _ in range(2):  # again changes nothing
        answer = await api.client.post(path, json={"contactId": other["_id"]})
        assert 200 == answer.status_code, answer.text
    merged = answer.json()["data"]
    assert ("Alex", ["+14165550100", "+14165550101"], ["a@example.com", "b@example.com"], "user-7") == (
        merged["firstName"], merged["phoneNumbers"], merged["email"], merged["externalId"],
    )  # fmt: skip
    assert 404 == (await api.get(f"/api/contacts/{other['_id']}")).status_code
    assert 1 == (await api.get("/api/calls/history", contactId=alex["_id"])).json()["total"]
    assert 1 == (await api.get("/api/contact-notes", contactId=alex["_id"])).json()["total"]
    assert [alex["_id"]] == [one["_id"] for one in (await api.get("/api/contacts", search="0101")).json()["data"]]


async def test_what_cannot_be_merged_is_refused(api: Api) -> None:
    alex = await added(api, phoneNumber="+14165550100")
    path = f"/api/contacts/{alex['_id']}/merge"
    other = await api.add_organization()
    async with api.client_with(other.api_key) as stranger:
        theirs = (await stranger.post("/api/contacts", json={"phoneNumber": "+14165550100"})).json()["data"]
        assert 404 == (await stranger.post(path, json={"contactId": theirs["_id"]})).status_code
    for body, status in (
        ({"contactId": alex["_id"]}, 400),
        ({"contactId": "x"}, 400),
        ({}, 400),
        ({"contactId": hex_id(9)}, 404),
        ({"contactId": theirs["_id"]}, 404),
    ):
        assert status == (await api.client.post(path, json=body)).status_code
    missing = f"/api/contacts/{hex_id(9)}/merge"
    assert 404 == (await api.client.post(missing, json={"contactId": alex["_id"]})).status_code


async def test_a_number_of_somebody_else_is_a_conflict(api: Api) -> None:
    await added(api, phoneNumber="+14165550100")
    other = await added(api, phoneNumber="+14165550101")
    answer = await api.client.post("/api/contacts", json={"phoneNumber": "416 555 0100"})
    assert (409, "conflict") == (answer.status_code, answer.json()["code"])
    answer = await api.client.patch(f"/api/contacts/{other['_id']}", json={"phoneNumber": "+14165550100"})
    assert 409 == answer.status_code


async def test_a_change_touches_what_it_names(api: Api) -> None:
    person = await added(api, phoneNumber="+14165550100", firstName="Alex", email=["a@example.com"])
    path = f"/api/contacts/{person['_id']}"
    changed = (await api.client.patch(path, json={"lastName": "Morgan", "firstName": None})).json()["data"]
    assert (None, "Morgan", "+14165550100", ["a@example.com"]) == (
        changed["firstName"], changed["lastName"], changed["phoneNumber"], changed["email"],
    )  # fmt: skip
    moved = (await api.client.patch(path, json={"phoneNumber": "+14165550177", "email": []})).json()["data"]
    assert ("+14165550177", [], "Morgan") == (moved["phoneNumber"], moved["email"], moved["lastName"])


async def test_a_deleted_contact_is_gone_and_its_calls_stay(api: Api) -> None:
    person = await added(api, phoneNumber="+14165550100")
    await api.add_calls({"id": hex_id(1), "contact_id": person["_id"]})
    answer = await api.client.delete(f"/api/contacts/{person['_id']}")
    assert (204, b"") == (answer.status_code, answer.content)
    assert 404 == (await api.get(f"/api/contacts/{person['_id']}")).status_code
    assert 404 == (await api.client.delete(f"/api/contacts/{person['_id']}")).status_code
    (call,) = (await api.get("/api/calls/history")).json()["calls"]
    assert call["contactId"] is None


UNUSABLE: list[tuple[Any, str]] = [
    ({}, "phoneNumber"),
    ({"phoneNumber": None}, "phoneNumber"),
    ({"phoneNumber": 14165550100}, "phoneNumber"),
    ({"phoneNumber": "anonymous"}, "phoneNumber"),
    ({"phoneNumber": "+14165550100", "firstName": 7}, "firstName"),
    ({"phoneNumber": "+14165550100", "lastName": "x" * 201}, "lastName"),
    ({"phoneNumber": "+14165550100", "email": "nobody"}, "email"),
    ({"phoneNumber": "+14165550100", "email": ["a@b", 7]}, "email"),
    ([], "body"),
    ("text", "body"),
]


async def test_what_cannot_be_used_is_refused_by_its_name(api: Api) -> None:
    for body, field in UNUSABLE:
        answer = await api.client.post("/api/contacts", json=body)
        assert (400, "bad_input") == (answer.status_code, answer.json()["code"])
        assert field in answer.json()["error"]


UNREADABLE = [b"", b"{", b"\xff", b"[" * 60_000, b'{"phoneNumber": "\\ud800"}', b"NaN"]


async def test_a_body_that_cannot_be_read_is_refused(api: Api) -> None:
    for body in UNREADABLE:
        answer = await api.client.post("/api/contacts", content=body)
        assert (400, "bad_input") == (answer.status_code, answer.json()["code"])


async def test_a_body_beyond_measure_is_refused(api: Api) -> None:
    answer = await api.client.post("/api/contacts", content=b" " * 70_000)
    assert (413, "too_large") == (answer.status_code, answer.json()["code"])


async def test_what_no_database_takes_is_left_out_of_names(api: Api) -> None:
    assert "Alex" == (await added(api, phoneNumber="+14165550100", firstName="Al\0ex"))["firstName"]


async def test_contacts_come_in_pages_and_are_searched(api: Api) -> None:
    for n in range(12):
        await added(api, phoneNumber=f"+14165550{100 + n}", firstName=f"Person {'ABCDEFGHIJKL'[n]}")
    first, second = (await api.get("/api/contacts")).json(), (await api.get("/api/contacts", page="2")).json()
    assert (10, 2, 12) == (len(first["data"]), len(second["data"]), second["total"])
    assert 12 == len((await api.get("/api/contacts", size="501")).json()["data"])
    for words, found in {"morgan c": [], "PERSON C": ["Person C"], "555-0111": ["Person L"]}.items():
        answer = await api.get("/api/contacts", search=words)
        assert found == [person["firstName"] for person in answer.json()["data"]]


NO_PAGES = [("page", "0"), ("page", "-1"), ("size", "0"), ("size", "x"), ("search", "x" * 201)]


async def test_a_page_that_cannot_be_is_refused(api: Api) -> None:
    for field, value in NO_PAGES:
        answer = await api.get("/api/contacts", **{field: value})
        assert (400, True) == (answer.status_code, answer.json()["error"].startswith(field))


async def test_a_page_beyond_all_is_empty(api: Api) -> None:
    assert [] == (await api.get("/api/contacts", page="9" * 30, size="500")).json()["data"]


async def test_contacts_of_another_organisation_are_not_there(api: Api) -> None:
    person = await added(api, phoneNumber="+14165550100")
    other = await api.add_organization()
    async with api.client_with(other.api_key) as stranger:
        path = f"/api/contacts/{person['_id']}"
        answers = [await stranger.get(path), await stranger.patch(path, json={}), await stranger.delete(path)]
        assert [404, 404, 404] == [answer.status_code for answer in answers]
        assert 0 == (await stranger.get("/api/contacts")).json()["total"]
        assert 201 == (await stranger.post("/api/contacts", json={"phoneNumber": "+14165550100"})).status_code


async def test_notes_are_those_of_a_contact_or_of_a_call_newest_first(api: Api) -> None:
    alex, call = hex_id(70), hex_id(1)
    await api.add_note(id=hex_id(1), contact_id=alex, call_id=call, type="ai_summary", note="Wants a refund.")
    await api.add_note(id=hex_id(2), contact_id=alex, note="Called back.", created_at=NOW + 1)
    await api.add_note(id=hex_id(3), contact_id=hex_id(71))
    answer = (await api.get("/api/contact-notes", contactId=alex)).json()
    assert (True, 2, [hex_id(2), hex_id(1)]) == (answer["success"], answer["total"], [n["_id"] for n in answer["data"]])
    assert {
        "_id": hex_id(1), "contactId": alex, "callId": call, "note": "Wants a refund.", "type": "ai_summary",
        "createdAt": "2025-05-18T15:04:01.250Z",
    } == answer["data"][1]  # fmt: skip
    assert [hex_id(1)] == [n["_id"] for n in (await api.get("/api/contact-notes", callId=call)).json()["data"]]
    assert 3 == (await api.get("/api/contact-notes")).json()["total"]


NO_NOTES = [("contactId", "x"), ("callId", ""), ("limit", "x")]


async def test_notes_of_what_cannot_be_are_refused(api: Api) -> None:
    for field, value in NO_NOTES:
        answer = await api.get("/api/contact-notes", **{field: value})
        assert (400, True) == (answer.status_code, answer.json()["error"].startswith(field))


async def test_notes_of_another_organisation_are_not_there(api: Api) -> None:
    await api.add_note(id=hex_id(1), contact_id=hex_id(70))
    other = await api.add_organization()
    async with api.client_with(other.api_key) as stranger:
        assert 0 == (await stranger.get("/api/contact-notes", params={"contactId": hex_id(70)})).json()["total"]
