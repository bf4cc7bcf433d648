"""The page of one call in each of its states, its notes, its recording, and who is seen to have looked."""

import json
from typing import Any

import httpx
import sqlalchemy as sa

from offhook.store.tables import absences, audit, calls, contacts, effects, events, recording_peaks
from tests.api import NOW, Api, hex_id, recording_row
from tests.pages import Page
from tests.people import signed_in
from tests.test_dashboard_calls import HOSTILE, add_follow_up

CALL = hex_id(1)
_TURNS: list[dict[str, Any]] = [
    {"role": "agent", "message": "Hello, how can I help?", "timestamp": 0},
    {"role": "user", "message": "I chipped a tooth.", "timestamp": 4},
    {
        "role": "agent", "message": None, "timestamp": 9,
        "toolCalls": [{"name": "check", "requestId": "r1", "arguments": '{"day":"today"}'}],
    },
    {
        "role": "agent", "message": None, "timestamp": 9,
        "toolResults": [{"requestId": "r1", "value": "15:40", "latency": 0.318}],
    },
    {"role": "agent", "message": "At 15:40.", "timestamp": 10},
    {"role": "user", "message": "Said at no known time.", "timestamp": None},
]  # fmt: skip
_ANALYSIS = {
    "evaluation_criteria_results": {
        "confirmed_identity": {"result": "success", "rationale": "Greeted by name."},
        "quotedNoPrice": {"result": "failure", "rationale": None},
        "odd": "unknown",
    },
    "data_collection_results": {"reason_for_call": {"value": "Chipped tooth"}, "insured": {"value": True},
                                "clinic": {"value": None}},
}  # fmt: skip


async def test_the_summary_comes_first_then_what_must_be_done_then_every_word(api: Api) -> None:
    await _add_whole_call(api)
    follow_up = await add_follow_up(api, CALL, "callback", reason="about the price")
    page = await _page(api)
    places = [
        page.text.index(words) for words in ("Wants a price.", "Call back: about the price", "I chipped a tooth.")
    ]
    assert sorted(places) == places
    assert [f"/follow-ups/{follow_up}/done"] == [a for a in page.values("form", "action") if "follow-ups" in a]


async def test_the_transcript_has_its_times_speakers_and_tools(api: Api) -> None:
    await _add_whole_call(api)
    page = await _page(api)
    turns = page.all("li", class_="turn")
    assert ["0:00 Agent Hello, how can I help?", "0:04 Maya I chipped a tooth."] == turns[:2]
    assert 'check 318 ms { "day": "today" } → 15:40' == turns[2]
    assert "Maya Said at no known time." == turns[4]
    assert ["0.0", "4.0", "9.0", "10.0", ""] == page.values("li", "data-start", class_="turn")


async def test_what_was_collected_and_checked_stands_beside_it(api: Api) -> None:
    await _add_whole_call(api)
    page = await _page(api)
    assert ["Reason for call", "Insured"] == page.all("dt")[:2]
    assert ["Chipped tooth", "Yes"] == page.all("dd")[:2]
    assert "1 of 3 passed" in page.text
    checks = ["Confirmed identity Passed: Greeted by name.", "Quoted no price Failed", "Odd Unknown"]
    assert checks == [one for one in page.all("li") if one.split()[0] in ("Confirmed", "Quoted", "Odd")]
    assert "450 credits, $0.05" in page.text


async def test_peaks_make_a_waveform_and_without_them_there_are_blocks(api: Api) -> None:
    await _add_whole_call(api)
    assert ["wave blocks"] == (await _page(api)).values("div", "class", class_="wave")
    await api.add_recording(CALL, b"ID3 an MP3")
    page = await _page(api, "owner")
    assert [f"/media/{CALL}.mp3"] == page.values("call-player", "data-src")
    recording_id = recording_row(api.org.id, CALL, b"ID3 an MP3")["id"]
    peaks = {"recording_id": recording_id, "version": 1, "peaks": bytes([1, 255] * 50), "created_at": NOW}
    await api.insert(recording_peaks, peaks)
    page = await _page(api, "manager")
    assert ["wave"] == page.values("div", "class", class_="wave")
    assert ["01ff" * 50] == page.values("call-player", "data-peaks")


async def test_a_recording_of_before_waveforms_gets_its_own_once_somebody_opens_its_call(api: Api) -> None:
    await _add_whole_call(api)
    await api.add_recording(CALL, b"RIFF", state="not_playable")
    await _page(api)
    assert [] == await _waveforms(api)
    await api.add_recording(CALL, b"ID3 an MP3")
    for role in ("owner", "auditor"):
        await _page(api, role)
    recording_id = recording_row(api.org.id, CALL, b"ID3 an MP3")["id"]
    assert [(api.org.id, CALL, f'{{"recording":"{recording_id}"}}')] == await _waveforms(api)
    await api.deps.database.write(lambda tx: tx.execute(effects.delete()) and None)
    await api.insert(recording_peaks, {"recording_id": recording_id, "version": 1, "peaks": None, "created_at": NOW})
    assert ["wave blocks"] == (await _page(api, "manager")).values("div", "class", class_="wave")
    assert [] == await _waveforms(api)


async def _waveforms(api: Api) -> list[Any]:
    wanted = sa.select(effects.c.org_id, effects.c.call_id, effects.c.payload).where(effects.c.kind == "waveform")
    return [tuple(row) for row in await api.deps.database.read(lambda tx: tx.execute(wanted).all())]


async def test_a_recording_that_is_not_here_says_why(api: Api) -> None:
    await _add_whole_call(api, ended_at=api.deps.now() - 60)
    browser = await signed_in(api, "agent")
    assert "has not arrived yet" in await _text(browser)
    await _set(api, ended_at=NOW)
    assert "No recording was sent for this call." in await _text(browser)
    absence = {"org_id": api.org.id, "conversation_id": "conv_1", "what": "audio", "is_final": True}
    await api.insert(absences, absence | {"reason": "It was deleted there.", "began_at": NOW, "noticed_at": NOW})
    assert "There is no recording: It was deleted there." in await _text(browser)
    await api.add_recording(CALL, b"?", state="undecodable")
    assert "The recording came damaged" in await _text(browser)
    await api.add_recording(CALL, b"RIFF", state="not_playable")
    assert "is no MP3, so it cannot be played here" in await _text(browser)


async def test_a_call_that_was_never_connected_says_so_with_the_providers_reason(api: Api) -> None:
    facts = {"status": "no-answer", "duration_s": None, "failure": "sip status: 480"}
    await api.add_calls({"id": CALL, **facts}, {"id": hex_id(2), "status": "busy", "direction": "outbound"})
    follow_up = await add_follow_up(api, CALL, "missed")
    browser = await signed_in(api, "agent")
    page = Page(await _html(browser))
    assert ["Missed"] == page.all("span", class_="bad")
    assert "The caller hung up before the agent answered" in page.text
    assert "sip status: 480" in page.all("code")
    assert f"/follow-ups/{follow_up}" in page.values("a", "href")
    assert [] == page.values("call-player", "role")
    assert "The line was busy" in await _text(browser, hex_id(2))


async def test_what_is_still_to_come_is_said_to_come(api: Api) -> None:
    await api.add_calls({"id": CALL, "status": "in-progress", "summary": None})
    await api.add_recording(CALL, b"ID3")
    assert "The transcript and its summary are still to come" in await _text(await signed_in(api, "agent"))


async def test_events_that_were_not_understood_are_shown_with_their_reason(api: Api) -> None:
    await api.insert(events, _event(api, 1, status="quarantined", reason="Its transcript is no list."))
    browser = await signed_in(api, "owner")
    page = Page(await _html(browser))
    assert "This call is set aside" in page.text
    assert "Its transcript is no list." in page.text
    assert [f"/events/{hex_id(1)}"] == [at for at in page.values("a", "href") if at.startswith("/events/")]
    await _add_whole_call(api)
    assert "Something about this call could not be understood" in await _text(browser)


async def test_the_delivery_record_leads_to_the_events_for_those_who_may_read_them(api: Api) -> None:
    await _add_whole_call(api)
    await api.insert(events, _event(api, 1), _event(api, 2, type="post_call_audio"))
    page = await _page(api, "manager")
    assert ["Transcript received", "Recording received"] == page.all("a", class_="lnk")[-2:]
    assert ["Verified"] == page.all("span", class_="ok")[-1:]
    assert "/events/" not in " ".join((await _page(api, "agent")).values("a", "href", class_="lnk"))


async def test_hostile_words_are_text_wherever_they_stand(api: Api) -> None:
    turns = [{**turn, "message": HOSTILE} if turn.get("message") else turn for turn in _TURNS]
    analysis = json.loads(json.dumps(_ANALYSIS).replace("Chipped tooth", "</script><script>alert(2)</script>"))
    await _add_whole_call(api, transcript=json.dumps(turns), analysis=json.dumps(analysis), summary=HOSTILE,
                          agent_name=HOSTILE, failure=HOSTILE, provider_call_id=HOSTILE, from_number=HOSTILE)  # fmt: skip
    await api.add_note(id=hex_id(5), call_id=CALL, note=HOSTILE)
    await add_follow_up(api, CALL, "callback", reason=HOSTILE)
    await api.insert(events, _event(api, 1, type=HOSTILE, status="quarantined", reason=HOSTILE))
    page = await _page(api, "owner")
    assert ["module"] == page.values("script", "type")
    assert not [1 for _, its in page.elements if any(name.startswith("on") or name == "style" for name in its)]
    assert 4 == page.all("p", dir="auto").count(" ".join(HOSTILE.split())) - len(page.all("p", class_="note"))
    assert ["AI summary"] == [text[len(HOSTILE) :].strip() for text in page.all("p", class_="lead")]


async def test_notes_are_added_changed_and_removed(api: Api) -> None:
    await api.add_calls({"id": CALL})
    browser = await signed_in(api, "agent")
    answer = await browser.post(f"/calls/{CALL}/notes", data={"note": "Call\r\nhim back"})
    assert (303, f"/calls/{CALL}?done=noted#notes") == (answer.status_code, answer.headers["location"])
    page = Page((await browser.get(answer.headers["location"])).text)
    assert "The note is saved." in page.text
    assert ["Call him back"] == page.all("p", class_="note")
    (edit,) = [action for action in page.values("form", "action") if "/notes/" in action]
    await browser.post(edit, data={"note": "Done."})
    assert ["Done."] == Page(await _html(browser)).all("p", class_="note")
    await browser.post(edit, data={"note": "Done.", "remove": "1"})
    assert [] == Page(await _html(browser)).all("p", class_="note")
    for empty in ({"note": " \0 "}, {}):
        assert 400 == (await browser.post(f"/calls/{CALL}/notes", data=empty)).status_code
    assert 404 == (await browser.post(f"/calls/{hex_id(9)}/notes", data={"note": "x"})).status_code


async def test_auditors_read_and_write_nothing(api: Api) -> None:
    await api.add_calls({"id": CALL})
    auditor = await signed_in(api, "auditor")
    assert [] == [action for action in Page(await _html(auditor)).values("form", "action") if "notes" in action]
    assert 403 == (await auditor.post(f"/calls/{CALL}/notes", data={"note": "x"})).status_code


async def test_a_recording_is_played_in_ranges_and_saved_whole(api: Api) -> None:
    await api.add_calls({"id": CALL})
    await api.add_recording(CALL, b"0123456789")
    browser = await signed_in(api, "agent")
    media = f"/media/{CALL}.mp3"
    part = await browser.get(media, headers={"Range": "bytes=2-4"})
    assert (206, b"234", "bytes 2-4/10") == (part.status_code, part.content, part.headers["content-range"])
    assert 416 == (await browser.get(media, headers={"Range": "bytes=99-"})).status_code
    saved = await browser.get(f"{media}?save")
    assert (200, b"0123456789") == (saved.status_code, saved.content)
    assert saved.headers["content-disposition"].startswith("attachment")
    assert "private" in saved.headers["cache-control"]
    assert 404 == (await browser.get(f"/media/{hex_id(2)}.mp3")).status_code


async def test_each_look_at_a_call_or_its_recording_is_written_down_once(api: Api) -> None:
    await api.add_calls({"id": CALL})
    await api.add_recording(CALL, b"0123456789")
    browser = await signed_in(api, "agent", "ines@acme.example")
    for path in (f"/calls/{CALL}", f"/media/{CALL}.mp3", f"/media/{CALL}.mp3?save", "/calls"):
        for _ in range(2):
            await browser.get(path)
    looks = await api.deps.database.read(lambda tx: tx.execute(sa.select(audit).order_by(audit.c.seq)).all())
    assert ["call_read", "recording_heard", "recording_saved"] == [look.action for look in looks]
    assert {("ines@acme.example", CALL)} == {(look.who, look.object_id) for look in looks}


async def _add_whole_call(api: Api, **facts: Any) -> None:
    person = {
        "id": hex_id(7), "org_id": api.org.id, "first_name": "Maya", "last_name": "Okafor", "emails": "[]",
        "source": "api", "created_at": NOW, "updated_at": NOW, "search_text": "maya okafor",
    }  # fmt: skip
    await api.insert(contacts, person)
    whole = {
        "id": CALL, "contact_id": hex_id(7), "summary": "Wants a price.", "transcript": json.dumps(_TURNS),
        "analysis": json.dumps(_ANALYSIS), "cost_credits": 450.0, "cost_usd": 0.0512,
    }  # fmt: skip
    await api.add_calls(whole | facts)


def _event(api: Api, number: int, **facts: Any) -> dict[str, Any]:
    row: dict[str, Any] = {column.name: None for column in events.c if column.name != "seq"}
    row |= {
        "id": hex_id(number), "org_id": api.org.id, "call_id": CALL, "type": "post_call_transcription",
        "source": "webhook", "proof": "hmac", "status": "projected", "attempts": 1, "deliveries": 1,
        "received_at": NOW, "size_bytes": 1, "sha256": "0" * 64, "body": b"sealed",
    }  # fmt: skip
    return row | facts


async def _set(api: Api, **facts: Any) -> None:
    await api.deps.database.write(lambda tx: tx.execute(calls.update().values(**facts)) and None)


async def _page(api: Api, role: Any = "agent") -> Page:
    return Page(await _html(await signed_in(api, role, f"{role}-{id(object())}@acme.example")))


async def _text(browser: httpx.AsyncClient, call_id: str = CALL) -> str:
    return Page(await _html(browser, call_id)).text


async def _html(browser: httpx.AsyncClient, call_id: str = CALL) -> str:
    answer = await browser.get(f"/calls/{call_id}")
    assert 200 == answer.status_code
    return answer.text
