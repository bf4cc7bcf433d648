"""A summary that a person rewrote: nothing that comes of the call later takes their words away; on both databases."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from offhook.cli import replays
from offhook.projection.refolding import Refolding
from offhook.store import call_lists, summaries
from offhook.store import events as event_rows
from offhook.store.call_lists import Wanted
from offhook.store.tables import audit, calls, contacts, events, notes
from offhook.store.tables import summaries as table
from tests.api import NOW, Api, call_row, hex_id
from tests.calls import Day
from tests.pages import Page
from tests.payloads import BOOKING, event, payload
from tests.people import signed_in

CALL = hex_id(1)


@pytest.fixture
async def refolding(api: Api) -> AsyncIterator[Refolding]:
    deps = api.deps
    made = Refolding(deps.database, deps.keys, deps.directory, deps.folders)
    yield made
    await made.close()


async def test_what_a_person_wrote_outlasts_later_events_and_a_rebuild_and_the_agents_words_come_back(
    api: Api, refolding: Refolding
) -> None:
    call_id = await _told(api, 1, "The caller books a xylophone.")
    assert await _write(api, call_id, "She books a *zither*.")
    assert ("She books a *zither*.", ["She books a *zither*."]) == await _said(api)
    assert ([], [call_id]) == (await _found(api, "xylophone"), await _found(api, "zither"))
    await _told(api, 2, "The caller books a yodeller.")
    assert ("She books a *zither*.", ["She books a *zither*."]) == await _said(api)
    assert ([], [call_id]) == (await _found(api, "yodeller"), await _found(api, "zither"))
    await _change(api, calls.delete())
    await _change(api, notes.delete())
    await _change(api, table.update().values(told="of an older offhook"))
    await replays.tried(refolding.rebuild(api.org.id), "Rebuilding", 0)
    assert ("She books a *zither*.", ["She books a *zither*."]) == await _said(api)
    assert (await replays.tried(refolding.rebuild(None, is_only_checked=True), "Checking", 0)).is_empty
    assert await api.deps.database.write(summaries.restore, api.org.id, call_id, now=NOW)
    assert ("The caller books a yodeller.", ["The caller books a yodeller."]) == await _said(api)
    assert ([call_id], []) == (await _found(api, "yodeller"), await _found(api, "zither"))


async def test_a_rebuild_notices_that_the_events_of_an_edited_call_say_something_else(
    api: Api, refolding: Refolding
) -> None:
    call_id = await _told(api, 1, "The caller books a xylophone.")
    await _write(api, call_id, "Hers.")
    await _change(api, table.update().values(told="of an older offhook"))
    difference = await replays.tried(refolding.rebuild(api.org.id), "Rebuilding", 0)
    assert {"summaries changed": 1} == difference.counts
    await api.deps.database.write(summaries.restore, api.org.id, call_id, now=NOW)
    assert "The caller books a xylophone." == (await _said(api))[0]


async def test_to_write_the_agents_words_again_is_to_put_them_back(api: Api) -> None:
    call_id = await _told(api, 1, "Theirs.")
    assert not await _write(api, call_id, "Theirs.")
    assert await _write(api, call_id, "Hers.")
    assert await _write(api, call_id, "Hers, again.")
    assert await _write(api, call_id, "Theirs.")
    assert [] == await api.deps.database.read(lambda tx: tx.execute(sa.select(table)).all())


async def test_the_page_says_who_wrote_the_summary_keeps_the_agents_and_puts_it_back(api: Api) -> None:
    await api.add_calls({"id": CALL, "summary": "Wants a price."})
    browser = await signed_in(api, "agent", "ines@acme.example")
    answer = await _sent(browser, " Wants <b>two</b>\r\nprices. ", seen="Wants a price.")
    assert (303, f"/calls/{CALL}?done=summed") == (answer.status_code, answer.headers["location"])
    page = Page((await browser.get(answer.headers["location"])).text)
    assert ["Wants <b>two</b> prices. Edited by Ines"] == page.all("p", class_="lead")
    assert "Wants a price." in page.all("p", class_="dim")
    assert "AI summary" not in page.text
    assert "prices." in (await browser.get("/calls")).text
    await _sent(browser, "", seen="Wants <b>two</b>\nprices.", restore="1")
    assert ["Wants a price. AI summary"] == Page((await browser.get(f"/calls/{CALL}")).text).all("p", class_="lead")
    done = await api.deps.database.read(lambda tx: tx.execute(sa.select(audit).order_by(audit.c.seq)).all())
    wrote = [(one.action, one.who, one.object_id) for one in done if one.action.startswith("summary")]
    assert [(f"summary_{what}", "ines@acme.example", CALL) for what in ("edited", "restored")] == wrote


async def test_a_summary_is_some_words_on_a_call_of_ours_by_somebody_who_may_write(api: Api) -> None:
    other = await api.add_organization()
    await api.insert(calls, call_row(other.id, id=CALL, summary="Theirs."))
    await api.add_calls({"id": hex_id(2), "summary": None})
    browser, auditor = await signed_in(api, "agent"), await signed_in(api, "auditor")
    for form in ({"summary": "x"}, {"restore": "1"}):
        assert 404 == (await browser.post(f"/calls/{CALL}/summary", data=form)).status_code
        assert 403 == (await auditor.post(f"/calls/{hex_id(2)}/summary", data=form)).status_code
    for empty in ({"summary": " \0 "}, {}, {"summary": "x" * 10_001}):
        assert 400 == (await browser.post(f"/calls/{hex_id(2)}/summary", data=empty)).status_code
    assert "/summary" not in " ".join(Page((await auditor.get(f"/calls/{hex_id(2)}")).text).values("form", "action"))
    await browser.post(f"/calls/{hex_id(2)}/summary", data={"summary": "Where there was none."})
    seen = summaries.version("Where there was none.")
    await browser.post(f"/calls/{hex_id(2)}/summary", data={"restore": "1", "seen": seen})
    assert "Where there was none." not in (await browser.get(f"/calls/{hex_id(2)}")).text


async def test_a_summary_that_changed_meanwhile_is_not_overwritten_unseen_and_nobodys_words_are_lost(api: Api) -> None:
    await api.add_calls({"id": CALL, "summary": "Wants a price."})
    ines, kim = await signed_in(api, "agent", "ines@acme.example"), await signed_in(api, "agent", "kim@acme.example")
    page = Page((await ines.get(f"/calls/{CALL}")).text)
    assert [summaries.version("Wants a price.")] == page.values("input", "value", name="seen")
    assert 303 == (await _sent(kim, "Wants two prices.", seen="Wants a price.")).status_code
    for more in ({}, {"restore": "1"}):
        refused = await _sent(ines, "Wants <a> price soon.", seen="Wants a price.", **more)
        page = Page(refused.text)
        assert (409, ["Wants two prices. Edited by Kim"]) == (refused.status_code, page.all("p", class_="lead"))
        assert (["Wants <a> price soon."], [""]) == (
            page.all("textarea", id="summary"), page.values("details", "open", id="edit-summary", open=""),
        )  # fmt: skip
        assert "has changed since you opened the page" in page.text
        assert [summaries.version("Wants two prices.")] == page.values("input", "value", name="seen")
    assert 303 == (await _sent(ines, "Wants two prices.", seen="Wants a price.")).status_code  # sent twice, or agreed
    assert 303 == (await _sent(ines, "Wants two prices soon.", seen="Wants two prices.")).status_code
    assert ["Wants two prices soon. Edited by Ines"] == Page((await kim.get(f"/calls/{CALL}")).text).all(
        "p", class_="lead"
    )


async def test_where_the_events_tell_no_summary_any_more_the_note_of_what_a_person_wrote_goes_with_it(api: Api) -> None:
    call_id = await _told(api, 1, "The caller books a xylophone.")
    await _write(api, call_id, "Hers.")
    await _change(api, events.update().values(status="quarantined"))  # as a replay does that cannot read it any more
    await _told(api, 2, None)
    assert ("Hers.", ["Hers."]) == await _said(api)
    assert await api.deps.database.write(summaries.restore, api.org.id, call_id, now=NOW)
    assert (None, []) == await _said(api)


async def test_a_field_takes_as_many_letters_as_it_says_of_any_alphabet(api: Api) -> None:
    await api.add_calls({"id": CALL, "contact_id": hex_id(7)})
    person = {"id": hex_id(7), "org_id": api.org.id, "emails": "[]", "source": "call", "search_text": ""}
    await api.insert(contacts, {**person, "created_at": NOW, "updated_at": NOW})
    for number in (1, 2):
        await api.add_note(id=hex_id(number), call_id=CALL, contact_id=hex_id(7))
    browser = await signed_in(api, "agent")
    long = "\N{CJK UNIFIED IDEOGRAPH-8A71}" * 10_000
    for path in (f"/calls/{CALL}/notes", f"/calls/{CALL}/notes/{hex_id(1)}", f"/contacts/{hex_id(7)}/notes",
                 f"/contacts/{hex_id(7)}/notes/{hex_id(2)}"):  # fmt: skip
        assert 303 == (await browser.post(path, data={"note": long})).status_code, path
    assert 303 == (await browser.post(f"/calls/{CALL}/summary", data={"summary": long})).status_code
    kept = await api.deps.database.read(lambda tx: tx.execute(sa.select(notes.c.note)).scalars().all())
    assert [long] * 4 == kept
    assert 413 == (await browser.post(f"/calls/{CALL}/notes", data={"note": long * 2})).status_code
    missing = await browser.post(f"/follow-ups/{hex_id(9)}/note", data={"note": long})
    assert 404 == missing.status_code  # it was read


async def _sent(browser: httpx.AsyncClient, words: str, *, seen: str, **more: str) -> httpx.Response:
    """The form, filled when the call said *seen*."""
    return await browser.post(
        f"/calls/{CALL}/summary", data={"summary": words, "seen": summaries.version(seen), **more}
    )


async def _told(api: Api, at: int, summary: str | None) -> str:
    """The booking's conversation is told of, with that summary; the id of its call."""
    said = payload(BOOKING, ("data.analysis.transcript_summary", summary))
    filed = event(said | {"event_timestamp": said["event_timestamp"] + at}, org_id=api.org.id)
    await api.deps.database.file(event_rows.sealed(filed, api.deps.keys))
    await Day(api).project()
    assert filed.call_id is not None
    return filed.call_id


async def _write(api: Api, call_id: str, words: str) -> bool:
    return await api.deps.database.write(
        summaries.write, api.org.id, call_id, words, user_id=hex_id(5), now=api.deps.now()
    )


async def _said(api: Api) -> tuple[str | None, list[str]]:
    """What the call says, and its notes."""

    def read(tx: sa.Connection) -> tuple[Any, list[Any]]:
        return tx.execute(sa.select(calls.c.summary)).scalar_one(), [*tx.execute(sa.select(notes.c.note)).scalars()]

    return await api.deps.database.read(read)


async def _found(api: Api, words: str) -> list[str]:
    rows = await api.deps.database.read(call_lists.page, api.org.id, Wanted(words=words), limit=9)
    return [row.id for row in rows]


async def _change(api: Api, statement: sa.Executable) -> None:
    await api.deps.database.write(lambda tx: tx.execute(statement))
