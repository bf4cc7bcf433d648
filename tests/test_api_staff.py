"""Staff and call-backs over the API: who takes calls, and who waits to be rung back."""

from typing import Any

from offhook.store import callbacks
from tests.api import NOW, Api, hex_id

KEYS = {"_id", "name", "phoneNumber", "isOnline", "isAvailable", "createdAt", "updatedAt"}
CALLBACK_KEYS = {"_id", "callId", "contactId", "phoneNumber", "reason", "status", "createdAt", "updatedAt"}


async def added(api: Api, **facts: Any) -> dict[str, Any]:
    answer = await api.client.post("/api/staff", json={"name": "Sam", **facts})
    assert 201 == answer.status_code, answer.text
    person = answer.json()["data"]
    assert set(person) == KEYS
    return dict(person)


async def wants_a_call_back(api: Api, id: str, **facts: Any) -> None:
    asked = {"call_id": None, "contact_id": None, "number": "+14165550100", "reason": "Help", "now": NOW, **facts}
    await api.deps.database.write(callbacks.add, id, api.org.id, **asked)


async def test_somebody_is_added_read_changed_and_removed(api: Api) -> None:
    sam = await added(api, phoneNumber="(416) 555-0123")
    assert ("Sam", "+14165550123", True, True) == (sam["name"], sam["phoneNumber"], sam["isOnline"], sam["isAvailable"])
    path = f"/api/staff/{sam['_id']}"
    assert {"data": sam} == (await api.get(path)).json()
    away = (await api.client.patch(path, json={"isAvailable": False, "phoneNumber": None})).json()["data"]
    assert ("Sam", None, True, False) == (away["name"], away["phoneNumber"], away["isOnline"], away["isAvailable"])
    assert {"data": [away], "total": 1} == (await api.get("/api/staff")).json()
    assert 204 == (await api.client.delete(path)).status_code
    assert [404, 404, 404] == [
        (await api.client.delete(path)).status_code,
        (await api.get(path)).status_code,
        (await api.client.patch(path, json={})).status_code,
    ]


async def test_what_cannot_be_used_is_refused_by_its_name(api: Api) -> None:
    for facts, field in (
        ({"name": ""}, "name"),
        ({"name": " \0"}, "name"),
        ({"phoneNumber": "reception"}, "phoneNumber"),
        ({"isOnline": "yes"}, "isOnline"),
    ):
        answer = await api.client.post("/api/staff", json={"name": "Sam", **facts})
        assert (400, field) == (answer.status_code, answer.json()["details"]["field"])


async def test_a_key_that_only_writes_says_who_is_there_and_hires_nobody(api: Api) -> None:
    sam = await added(api)
    async with (
        api.client_with(await api.add_key("write")) as writer,
        api.client_with(await api.add_key("read")) as reader,
    ):
        path = f"/api/staff/{sam['_id']}"
        assert 200 == (await writer.patch(path, json={"isOnline": False})).status_code
        assert 403 == (await writer.post("/api/staff", json={"name": "Eve"})).status_code
        assert 403 == (await writer.delete(path)).status_code
        assert 200 == (await reader.get("/api/staff")).status_code
        assert 403 == (await reader.patch(path, json={"isOnline": True})).status_code
        assert 403 == (await reader.patch(f"/api/callbacks/{hex_id(1)}", json={"status": "done"})).status_code


async def test_the_staff_of_others_is_not_there(api: Api) -> None:
    sam = await added(api)
    await wants_a_call_back(api, hex_id(1))
    other = await api.add_organization()
    async with api.client_with(other.api_key) as stranger:
        assert 404 == (await stranger.get(f"/api/staff/{sam['_id']}")).status_code
        assert 404 == (await stranger.delete(f"/api/staff/{sam['_id']}")).status_code
        assert 404 == (await stranger.patch(f"/api/callbacks/{hex_id(1)}", json={"status": "done"})).status_code
        assert {"data": [], "total": 0} == (await stranger.get("/api/staff")).json()
        assert {"data": [], "total": 0} == (await stranger.get("/api/callbacks")).json()


async def test_call_backs_are_listed_newest_first_and_settled(api: Api) -> None:
    for number in (1, 2, 3):
        await wants_a_call_back(api, hex_id(number), now=NOW + number)
    await wants_a_call_back(api, hex_id(1), reason="Again", now=NOW + 9)
    listed = (await api.get("/api/callbacks", limit="2")).json()
    assert ([hex_id(3), hex_id(2)], 3) == ([one["_id"] for one in listed["data"]], listed["total"])
    assert all(set(one) == CALLBACK_KEYS for one in listed["data"])
    done = await api.client.patch(f"/api/callbacks/{hex_id(2)}", json={"status": "done"})
    assert ("done", "Help") == (done.json()["data"]["status"], done.json()["data"]["reason"])
    assert [hex_id(2)] == [one["_id"] for one in (await api.get("/api/callbacks", status="done")).json()["data"]]
    assert 2 == (await api.get("/api/callbacks", status="open")).json()["total"]
    assert 400 == (await api.client.patch(f"/api/callbacks/{hex_id(2)}", json={"status": "later"})).status_code
    assert 400 == (await api.get("/api/callbacks", status="later")).status_code
