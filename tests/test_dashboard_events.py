"""Events: their list, its filters and pages, who was turned away, and the page of one in each of its states."""

import json
from types import SimpleNamespace
from typing import Any

import httpx
import sqlalchemy as sa

from offhook import events
from offhook.dashboard.event_words import steps_of
from offhook.dashboard.payload_tree import cut_down
from offhook.events import Part
from offhook.refusals import Check, Refusal
from offhook.store.tables import absences, audit, effects
from offhook.store.tables import events as table
from tests.api import NOW, Api, hex_id
from tests.calls import Day
from tests.pages import Page
from tests.people import signed_in
from tests.test_api_events import file
from tests.test_dashboard_calls import HOSTILE

_DAY = 86_400.0


async def test_before_the_first_event_of_ones_own_the_page_says_how_to_send_one(api: Api) -> None:
    other = await api.add_organization()
    event_id = await file(api, org_id=other.id)
    browser = await signed_in(api, "owner")
    page = await _page(browser, f"/events?q={event_id}")
    assert "Nothing received yet" in page.text
    assert [f"offhook simulate --org {api.org.id}"] == page.all("code", class_="mono")
    for address in (f"/events/{event_id}", f"/events/{event_id}/body"):
        assert 404 == (await browser.get(address)).status_code


async def test_the_counts_of_a_day_and_its_bars(api: Api) -> None:
    now = api.deps.now()
    for number, status in enumerate(("projected", "pending", "quarantined")):
        await file(api, status=status, received_at=now - 60 * number)
    await file(api, source="reconciled", proof="none", received_at=now - 7200)
    await file(api, received_at=now - 2 * _DAY)
    _refuse(api, at=now - 60)
    _refuse(api, at=now - 2 * _DAY)
    absence = {"org_id": api.org.id, "conversation_id": "conv_9", "reason": "Gone.", "is_final": True}
    for what in ("conversation", "audio"):
        await api.insert(absences, absence | {"what": what, "began_at": now - 60, "noticed_at": now})
    page = await _page(await signed_in(api, "manager"), "/events")
    for words in ("3 received", "1 refused", "1 waiting", "1 quarantined", "1 recovered", "1 lost"):
        assert words in page.all("span")
    assert ["Events by the hour: 3 kept, 2 refused or set aside"] == page.values("svg", "aria-label", role="img")
    assert 5 == len(page.values("a", "href", class_="main"))


async def test_each_filter_leaves_the_events_that_it_names(api: Api) -> None:
    made = {
        1: await file(api, b"1", type="post_call_audio", call_id=hex_id(7), conversation_id="conv_7"),
        2: await file(api, b"2", status="quarantined", reason="It is not JSON.", received_at=NOW - _DAY),
        3: await file(api, b"3", source="reconciled", proof="none", received_at=NOW - 2 * _DAY),
        4: await file(api, b"4", source="personalization", type="personalization", proof="bearer"),
    }
    conversation = await file(api, b"5", conversation_id="conv_5", call_id=events.call_id(api.org.id, "conv_5"))
    made[5] = conversation
    browser = await signed_in(api, "auditor")
    numbers = {id: number for number, id in made.items()}
    expected: dict[str, list[int]] = {
        "": [5, 4, 1, 2, 3],
        "status=quarantined": [2],
        "type=post_call_audio": [1],
        "type=unheard_of": [],
        "source=reconciled": [3],
        "proof=bearer": [4],
        "from=2025-05-18": [5, 4, 1],
        "to=2025-05-16": [3],
        f"q={made[2]}": [2],
        f"q={hex_id(7)}": [1],
        "q=conv_5": [5],
        "q=conv_": [],
        f"q={made[2]}&status=projected": [],
        "status=lost&source=x&proof=y&from=never&after=x&after=nan-1": [5, 4, 1, 2, 3],
    }
    assert expected == {query: [numbers[id] for id in await _listed(browser, query)] for query in expected}


async def test_pages_follow_one_another_without_a_gap(api: Api) -> None:
    await api.insert(table, *(_row(api, number, received_at=NOW + number // 2) for number in range(120)))
    browser, seen, address = await signed_in(api, "owner"), [], "/events"
    while address:
        page = await _page(browser, address)
        seen += [href.rpartition("/")[2] for href in page.values("a", "href", class_="main")]
        address = next(iter(page.values("a", "href", rel="next")), "")
    assert [hex_id(number) for number in reversed(range(120))] == seen


async def test_who_was_turned_away_is_shown_without_what_they_sent(api: Api) -> None:
    other = await api.add_organization()
    await api.deps.directory.refresh()
    now = api.deps.now()
    _refuse(api, at=now, org_id=api.org.id, sender="203.0.113.9")
    _refuse(api, at=now, org_id=other.id, sender="203.0.113.10")
    _refuse(api, at=now, org_id=HOSTILE[:60], sender="203.0.113.11", check="organization")
    page = await _page(await signed_in(api, "owner"), "/events?view=refused")
    assert "203.0.113.10" not in page.text
    for words in ("No secret of the organisation signed these bytes", "203.0.113.9", "1.5 kB", "203.0.113.11"):
        assert words in page.text
    assert ["module"] == page.values("script", "type")


async def test_the_page_of_an_event_shows_what_came_and_why_it_was_believed(api: Api) -> None:
    call = events.call_id(api.org.id, "conv_1")
    body = {
        "type": "post_call_transcription",
        "data": {"turns": [{"n": 1.5, "ok": True, "x": None}], "api_key": "s3cret!!"},
    }
    event_id = await file(api, json.dumps(body).encode())
    await api.add_calls({"id": call})
    await api.add_recording(call, b"ID3", event_id=event_id)
    await api.add_note(id=hex_id(5), call_id=call, type="ai_summary")
    await api.insert(effects, _effect(api, 1, call_id=call, status="done", outcome="sent"))
    page = await _page(await signed_in(api, "manager"), f"/events/{event_id}")
    assert ["Received", "Signature valid", "Stored", "Answered 200", "Understood"] == page.all("b")[-5:]
    assert "[scrubbed]" in page.text
    assert "s3cret!!" not in page.text
    assert ['type: "post_call_transcription"', "n: 1.5", "ok: true", "x: null", 'api_key: "[scrubbed]"'] == page.all(
        "div", class_="leaf"
    )
    assert 3 == page.values("details", "open").count("") - page.values("details", "class").count("menu") - 1
    assert 'Over t + "." + the raw body, with a secret of the organisation' in page.text
    assert json.dumps({"received": True, "callId": call}) == " ".join(page.all("pre", id="answer")[0].split()).replace(
        "{ ", "{"
    ).replace(" }", "}")
    for words in (
        "+1 416 555 0100",
        "3 bytes, 42 s",
        "The summary is written as a note",
        "Done Missed call text: sent",
    ):
        assert words in page.text


_STATES: list[tuple[dict[str, Any], list[str]]] = [
    ({"status": "pending"}, ["Kept safe, not understood yet.", "Waiting"]),
    ({"status": "quarantined", "reason": HOSTILE}, ["Set aside: it could not be understood.", "Not understood"]),
    ({"status": "stale"}, ["Refused, because of the clock.", "Answered 401", "Timestamp is off"]),
    ({"status": "unassigned"}, ["It belongs to no organisation yet.", "offhook agent add"]),
    ({"status": "skipped", "reason": "No type."}, ["Kept, and nothing is made of it.", '"reason": "No type."']),
    ({"source": "reconciled", "proof": "none"}, ["It was never delivered.", "Nobody to answer", "From the API"]),
    ({"source": "ingest", "proof": "bearer"}, ["Answered 201", "The token is the organisation's"]),
]


async def test_each_state_says_what_is_so_and_what_to_do(api: Api) -> None:
    browser = await signed_in(api, "owner")
    for facts, words in _STATES:
        page = await _page(browser, f"/events/{await file(api, b'{}', **facts)}")
        assert [] == [one for one in words if one not in page.text]
        is_replayed = any(action.endswith("/replay") for action in page.values("form", "action"))
        assert (facts.get("status") != "unassigned") == is_replayed
    unread = await _page(browser, f"/events/{await file(api, b'no JSON at all', status='quarantined')}")
    assert "It cannot be shown." in unread.text
    assert [] == unread.values("input", "type", data_json_find="")
    again = await file(api, b"[]")
    await api.deps.database.write(_deliver_again)
    assert "Delivered 3 times, kept once." in (await _page(browser, f"/events/{again}")).text
    assert "Delivered 3 times, kept once" in (await _page(browser, f"/events?q={again}")).all("small")


def test_before_a_call_the_answer_goes_first_and_else_the_disk() -> None:
    def steps(**facts: Any) -> list[str]:
        known = {"status": "pending", "proof": "bearer", "attempts": 0, **facts}
        return [step.words for step in steps_of(SimpleNamespace(**known))]

    assert ["Received", "Token valid", "Answered 200", "Stored", "Waiting"] == steps(source="personalization")
    assert ["Received", "Token valid", "Stored", "Answered 200", "Waiting"] == steps(source="webhook")


async def test_hostile_payloads_are_text(api: Api) -> None:
    body = json.dumps({HOSTILE: HOSTILE, "list": [HOSTILE], "text": json.dumps({"x": HOSTILE})})
    event_id = await file(api, body.encode(), type=HOSTILE, conversation_id=HOSTILE, agent_id=HOSTILE, answer=body.encode(),
                          source="tool")  # fmt: skip
    browser = await signed_in(api, "owner")
    for address in (f"/events/{event_id}", "/events"):
        page = await _page(browser, address)
        assert ["module"] == page.values("script", "type"), address
        assert not [1 for _, its in page.elements if any(name.startswith("on") or name == "style" for name in its)]
    assert f'{" ".join(HOSTILE.split())}: "{" ".join(HOSTILE.split())}"' in (
        await _page(browser, f"/events/{event_id}")
    ).all("div", class_="leaf")


def test_what_is_long_is_elided_with_its_size() -> None:
    assert {"a": f"{'x' * 400}… [5,000 characters in all]"} == cut_down({"a": "x" * 5000})
    assert [*range(100), "[23 more, in the raw body]"] == cut_down([*range(123)])
    assert len(json.dumps(cut_down({"a": [[{"b": [1] * 99}] * 99] * 99}))) < 40_000


async def test_a_replay_asks_the_projector_is_audited_and_says_how_it_ended(api: Api) -> None:
    event_id = await file(api, b'{"a": 1}', status="quarantined", reason="?")
    browser = await signed_in(api, "manager")
    question = await _page(browser, f"/events/{event_id}")
    assert "nobody gets a second text" in question.all("dialog", id="replay")[0]
    answer = await browser.post(f"/events/{event_id}/replay")
    assert (303, f"/events/{event_id}?done=replayed") == (answer.status_code, answer.headers["location"])
    assert "will be replayed as soon as" in (await _page(browser, answer.headers["location"])).text
    assert [("event_replayed", event_id)] == await _audited(api, "event_replayed")
    nothing = await file(api, b"2", status="quarantined", call_id=None, conversation_id=None)
    answer = await browser.post(f"/events/{nothing}/replay")
    assert "belongs to no conversation" in (await _page(browser, answer.headers["location"])).text
    assert 404 == (await browser.post(f"/events/{hex_id(1)}/replay")).status_code
    await _replay_a_call(api, browser)


async def _replay_a_call(api: Api, browser: httpx.AsyncClient) -> None:
    """One that was set aside is understood, because somebody works now."""
    await Day(api).calls(1, "replayed")
    await api.deps.database.write(_quarantine)
    event_id = (await _listed(browser, "type=post_call_transcription"))[0]
    await api.deps.projector.start()
    answer = await browser.post(f"/events/{event_id}/replay")
    await api.deps.projector.stop()
    page = await _page(browser, answer.headers["location"])
    assert "Replayed. Its call is as today's offhook understands it" in page.text
    assert "Understood" in page.all("span", class_="ok")
    assert page.values("a", "href", class_="lnk")[0].startswith("/calls/")


async def test_owners_alone_get_the_bytes_that_were_signed_and_each_look_is_noted(api: Api) -> None:
    folder = api.deps.settings.recordings_dir
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "f").write_bytes(b"abc")
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    event_id = await file(
        api, b'{"token": "oht_plain", "full_audio": ""}', size_bytes=44, parts=(Part(38, "base64", "f", 3, digest),)
    )
    owner = await signed_in(api, "owner")
    answer = await owner.get(f"/events/{event_id}/body")
    assert b'{"token": "oht_plain", "full_audio": "YWJj"}' == answer.content
    assert f'attachment; filename="event-{event_id}.json"' == answer.headers["content-disposition"]
    assert [("body_saved", event_id)] == await _audited(api, "body_saved")
    assert [f"/events/{event_id}/body"] == (await _page(owner, f"/events/{event_id}")).values("a", "href", download="")
    assert [("payload_read", event_id)] == await _audited(api, "payload_read")
    manager = await signed_in(api, "manager")
    assert 403 == (await manager.get(f"/events/{event_id}/body")).status_code
    assert [] == (await _page(manager, f"/events/{event_id}")).values("a", "href", download="")
    (folder / "f").unlink()
    assert 404 == (await owner.get(f"/events/{event_id}/body")).status_code


# Helpers


async def _page(browser: httpx.AsyncClient, address: str) -> Page:
    answer = await browser.get(address)
    assert 200 == answer.status_code, answer.text
    return Page(answer.text)


async def _listed(browser: httpx.AsyncClient, query: str) -> list[str]:
    page = await _page(browser, f"/events?{query}")
    return [href.rpartition("/")[2] for href in page.values("a", "href", class_="main")]


async def _audited(api: Api, action: str) -> list[tuple[str, str]]:
    rows = await api.deps.database.read(
        lambda tx: tx.execute(audit.select().where(audit.c.action == action).order_by(audit.c.seq)).all()
    )
    return [(row.action, row.object_id) for row in rows]


def _deliver_again(tx: sa.Connection) -> None:
    tx.execute(table.update().values(deliveries=3))


def _quarantine(tx: sa.Connection) -> None:
    tx.execute(table.update().values(status="quarantined", reason="?"))


def _refuse(
    api: Api, *, at: float, org_id: str | None = None, sender: str = "203.0.113.8", check: Check = "signature"
) -> None:
    api.deps.refusals.add(Refusal(at, "/api/webhook/elevenlabs", sender, 1500, check, org_id))


def _row(api: Api, number: int, **facts: Any) -> dict[str, Any]:
    return {
        "id": hex_id(number), "org_id": api.org.id, "call_id": None, "type": "post_call_transcription", "source": "webhook",
        "proof": "hmac", "status": "projected", "attempts": 1, "deliveries": 1, "received_at": NOW, "size_bytes": 9,
        "sha256": "0" * 64, "body": b"sealed", **facts,
    }  # fmt: skip


def _effect(api: Api, number: int, **facts: Any) -> dict[str, Any]:
    return {
        "id": hex_id(number), "org_id": api.org.id, "kind": "missed_call_text", "key": str(number), "call_id": None,
        "payload": "{}", "status": "dead", "outcome": "No way.", "attempts": 5, "due_at": NOW, "created_at": NOW,
        "updated_at": NOW, **facts,
    }  # fmt: skip
