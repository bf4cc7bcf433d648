"""Exports: a list as it is filtered, and one person's data; streamed, harmless to a spreadsheet, and on record."""

import csv
import io
import json
import tracemalloc
import zipfile

import httpx
import pytest

from offhook.store import audit, summaries
from offhook.store.tables import calls, contact_numbers, contacts, follow_ups
from tests.api import NOW, Api, call_row, hex_id
from tests.people import signed_in
from tests.streams import opened

_PERSON = hex_id(90)
_FORMULA = '=HYPERLINK("http://evil.example")'


async def _somebody(api: Api) -> None:
    facts = {"org_id": api.org.id, "created_at": NOW, "updated_at": NOW}
    await api.insert(contacts, {"id": _PERSON, "first_name": "Zoë", "last_name": _FORMULA, "emails": "[]",
                                "external_id": None, "source": "call", "search_text": "zoe", **facts})  # fmt: skip
    await api.insert(
        contact_numbers, {"org_id": api.org.id, "number": "+14165550100", "contact_id": _PERSON, "position": 0}
    )
    said = json.dumps([{"role": "user", "message": "I need a table", "timestamp": 1.0}])
    await api.add_calls(
        {"id": hex_id(1), "contact_id": _PERSON, "summary": "@SUM(1+1)\nTwo lines", "transcript": said},
        {"id": hex_id(2), "direction": "outbound", "summary": "Another", "happened_at": NOW + 1},
    )
    await api.insert(follow_ups, {"id": hex_id(5), "contact_id": _PERSON, "number": "+14165550100", "kind": "callback",
                                  "reason": "-1+1", "status": "open", "due_at": NOW, **facts})  # fmt: skip
    await api.add_recording(hex_id(1), b"\xff\xfbsound" * 100)


def _rows(answer: httpx.Response) -> list[dict[str, str]]:
    assert 200 == answer.status_code, answer.text
    assert answer.content.startswith(b"\xef\xbb\xbf")
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))


async def test_a_list_is_exported_as_it_is_filtered_and_no_cell_is_a_formula(api: Api) -> None:
    await _somebody(api)
    await api.deps.directory.refresh()
    browser = await signed_in(api, "manager")
    (call,) = _rows(await browser.get("/calls.csv?direction=inbound"))
    assert (hex_id(1), "'@SUM(1+1)\nTwo lines") == (call["id"], call["summary"])
    assert "2025-05-18T11:04:01-04:00" == call["at"]
    assert "'+14165550100" == call["number"]
    assert [hex_id(2), hex_id(1)] == [one["id"] for one in (await browser.get("/calls.json")).json()]
    assert [] == (await browser.get("/calls.json?q=nowhere")).json()
    (person,) = _rows(await browser.get("/contacts.csv?q=zoe"))
    assert ("Zoë", f"'{_FORMULA}") == (person["firstName"], person["lastName"])
    assert [] == _rows(await browser.get("/contacts.csv?q=nobody"))
    (waiting,) = _rows(await browser.get("/follow-ups.csv"))
    assert ("callback", "'-1+1") == (waiting["kind"], waiting["reason"])
    assert [] == (await browser.get("/follow-ups.json?view=done")).json()
    assert [] == (await browser.get("/events.json")).json()
    entries = await api.deps.database.read(audit.page, api.org.id, audit.Wanted(action="exported"), limit=50)
    assert {"format": "csv", "filters": "direction=inbound"} == json.loads(entries[-1].details)
    assert {"calls", "contacts", "follow-ups", "events"} == {one.object_id for one in entries}


async def test_the_audit_log_is_exported_as_it_is_filtered_and_its_export_stands_in_it(api: Api) -> None:
    await _somebody(api)
    auditor = await signed_in(api, "auditor", "=audit@acme.example")
    await auditor.get(f"/calls/{hex_id(1)}")
    (read,) = _rows(await auditor.get("/settings/audit.csv?action=call_read"))
    assert ("'=audit@acme.example", "call_read", hex_id(1)) == (read["who"], read["action"], read["objectId"])
    entries = (await auditor.get("/settings/audit.json")).json()
    assert ["exported", "exported", "call_read"] == [one["action"] for one in entries]
    assert {"format": "csv", "filters": "action=call_read"} == json.loads(entries[1]["details"])
    assert "/settings/audit.csv?action=call_read" in (await auditor.get("/settings/audit?action=call_read")).text
    manager = await signed_in(api, "manager")
    assert 403 == (await manager.get("/settings/audit.csv")).status_code


async def test_a_number_that_is_searched_is_exported_once(api: Api) -> None:
    await _somebody(api)
    found = await (await signed_in(api, "owner")).get("/contacts.json", params={"q": "+14165550100"})
    assert [_PERSON] == [one["id"] for one in found.json()]


async def test_only_who_may_export_is_offered_it(api: Api) -> None:
    await _somebody(api)
    offered = '<a class="lnk" href="/calls.csv?direction=inbound" download>'
    assert offered in (await (await signed_in(api, "auditor")).get("/calls?direction=inbound")).text
    assert "/calls.csv" not in (await (await signed_in(api, "agent")).get("/calls")).text


async def test_one_persons_data_is_a_bundle_with_all_words_and_sounds(api: Api) -> None:
    await _somebody(api)
    await api.deps.database.write(summaries.write, api.org.id, hex_id(1), "Hers.", user_id=hex_id(8), now=NOW + 5)
    answer = await (await signed_in(api, "owner")).get(f"/contacts/{_PERSON}/export")
    assert 200 == answer.status_code
    bundle = zipfile.ZipFile(io.BytesIO(answer.content))
    assert bundle.testzip() is None
    content = {name: bundle.read(name) for name in bundle.namelist()}
    assert "Zoë" == json.loads(content["contact.json"])["first_name"]
    (call,) = json.loads(content["calls.json"])
    assert "I need a table" == call["transcript"][0]["message"]
    assert ("Hers.", "@SUM(1+1)\nTwo lines", hex_id(8), NOW + 5) == (
        call["summary"], call["agent_summary"], call["summary_edited_by"], call["summary_edited_at"],
    )  # fmt: skip
    assert "callback" == json.loads(content["follow-ups.json"])[0]["kind"]
    (sound,) = (one for name, one in content.items() if name.endswith(".mp3"))
    assert b"\xff\xfbsound" * 100 == sound
    entries = await api.deps.database.read(audit.page, api.org.id, audit.Wanted(action="person_exported"), limit=5)
    assert [_PERSON] == [one.object_id for one in entries]


async def test_nobody_exports_another_organisation(api: Api) -> None:
    globex = await api.add_organization()
    await api.insert(calls, call_row(globex.id, id=hex_id(3)))
    browser = await signed_in(api, "owner")
    assert [] == (await browser.get("/calls.json")).json()
    assert 404 == (await browser.get(f"/contacts/{_PERSON}/export")).status_code


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_long_list_takes_no_more_memory_than_a_batch(api: Api) -> None:
    summary = "A caller asked for a table. " * 20
    await api.add_calls(*({"id": hex_id(n), "happened_at": NOW + n, "summary": summary} for n in range(1, 6001)))
    browser = await signed_in(api, "owner")
    tracemalloc.start()
    size = 0
    async with opened(browser, api.app, "/calls.csv") as stream:
        while (piece := await stream.sent.get()) is not None:
            size += len(piece)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size > 3_500_000
    assert most < 2_500_000
