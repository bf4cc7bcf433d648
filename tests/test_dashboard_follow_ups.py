"""Follow-ups: the queue, the person beside it, what can be done, on both databases; all of it by plain forms."""

import re
from collections.abc import Collection
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from offhook.sms.contract import Taken, Text
from offhook.store import contacts, effects, opt_outs, users
from offhook.store.tables import effects as effect_table
from offhook.store.tables import follow_ups, messages
from tests.api import Api, hex_id
from tests.pages import Page
from tests.people import add_user, signed_in

MAYA = "+14165550142"
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  #: what no query decides


class Carrier:
    """A service that takes every text."""

    name = "carrier"
    sender: str | None = "+12362320246"

    async def send(self, text: Text) -> Taken:
        return Taken(f"sm-{text.id}")

    async def ask(self, text: Text, since: float, known: Collection[str]) -> Taken:
        return Taken(f"sm-{text.id}")

    async def close(self) -> None:
        return


async def test_where_nobody_waits_everyone_has_been_answered(api: Api) -> None:
    page = await _page(await signed_in(api, "auditor"), "/follow-ups")
    assert "Everyone has been answered" in page.text
    assert ["follow-ups"] * 2 == [
        its["data-count"] for _, its in page.elements if "data-count" in its and "hidden" in its
    ]


async def test_the_overdue_come_first_and_the_person_stands_beside_them(api: Api) -> None:
    now = api.deps.now()
    person = await _maya(api)
    await api.add_calls({"id": hex_id(1), "contact_id": person, "status": "no-answer", "duration_s": None})
    await _add(api, 1, "missed", due_at=now + 1800, call_id=hex_id(1), contact_id=person, number=MAYA)
    await _add(api, 2, "callback", due_at=now - 1560, number="+14165550177", reason="Billing")
    await _add(api, 3, "manual", due_at=now + 86_400, number="+14165550178", reason="Send the plan")
    await _add(api, 4, "failed", status="done", due_at=now - 9999)
    await _add(api, 5, "manual", due_at=now + 90_000, number="+14165550178", reason="Send another plan")
    browser = await signed_in(api, "agent")
    page = await _page(browser, "/follow-ups")
    rows = page.all("li", class_="fu")
    for row, words in zip(rows, (("Billing", "Overdue by 26 min"), ("Maya Okafor", "Missed call", "Due in 30 min"),
                                 ("Send the plan", "Due in 24 h"), ("another plan", "25 h")), strict=True):  # fmt: skip
        assert all(word in row for word in words), row
    assert "3 people are waiting" in page.text
    assert ["4"] * 2 == [text.split(" ")[1] for text in page.all("span", data_count="follow-ups")]
    pane = (await _page(browser, f"/follow-ups/{hex_id(1)}")).all("article", class_="pane")[0]
    assert "Maya Okafor" in pane
    assert "The caller hung up first." in pane
    assert "First call" in pane


async def test_done_is_undone_and_each_is_in_its_view(api: Api) -> None:
    id = await _add(api, 1, "missed", number=MAYA)
    browser = await signed_in(api, "agent")
    answer = await browser.post(f"/follow-ups/{id}/done")
    assert (303, f"/follow-ups?undo={id}") == (answer.status_code, answer.headers["location"])
    page = await _page(browser, answer.headers["location"])
    assert "Everyone has been answered" in page.text
    assert "by Agent" in page.text
    assert f"/follow-ups/{id}/reopen" in page.values("form", "action")
    assert "Done by Agent" in (await _page(browser, "/follow-ups?view=done")).text
    await browser.post(f"/follow-ups/{id}/reopen")
    assert 1 == len((await _page(browser, "/follow-ups")).all("li", class_="fu"))
    back = await browser.post(f"/follow-ups/{id}/done", data={"back": "/calls/1"})
    assert "/calls/1" == back.headers["location"]
    away = await browser.post(f"/follow-ups/{id}/done", data={"back": "//evil.example"})
    assert "/calls" == away.headers["location"]


@on_sqlite
async def test_snoozed_it_is_away_until_its_time(api: Api) -> None:
    id = await _add(api, 1, "missed", number=MAYA)
    browser = await signed_in(api, "agent")
    await browser.post(f"/follow-ups/{id}/snooze", data={"until": "tomorrow"})
    assert [] == (await _page(browser, "/follow-ups")).all("li", class_="fu")
    assert "Back" in (await _page(browser, "/follow-ups?view=snoozed")).all("li", class_="fu")[0]
    assert 400 == (await browser.post(f"/follow-ups/{id}/snooze", data={"until": "never"})).status_code


@on_sqlite
async def test_it_is_assigned_to_members_only(api: Api) -> None:
    id = await _add(api, 1, "missed", number=MAYA)
    browser = await signed_in(api, "agent")
    stranger = await add_user(api, "stranger@example.com", None)
    mine = await api.deps.database.read(_user_id, "agent@acme.example")
    assert 400 == (await browser.post(f"/follow-ups/{id}/assign", data={"user": stranger})).status_code
    assert 303 == (await browser.post(f"/follow-ups/{id}/assign", data={"user": mine})).status_code
    assert 1 == len((await _page(browser, "/follow-ups?view=mine")).all("li", class_="fu"))
    await browser.post(f"/follow-ups/{id}/assign", data={"user": ""})
    assert "Nothing is assigned to you" in (await _page(browser, "/follow-ups?view=mine")).text


@on_sqlite
async def test_a_note_is_kept_and_one_is_added_by_hand(api: Api) -> None:
    person = await _maya(api)
    browser = await signed_in(api, "agent")
    added = await browser.post("/follow-ups", data={"number": "416 555 0142", "reason": "Send the plan"})
    page = await _page(browser, added.headers["location"])
    assert "Send the plan" in page.text
    assert "Added by hand" in page.text
    id = re.findall(r"[0-9a-f]{24}", added.headers["location"])[0]
    await browser.post(f"/follow-ups/{id}/note", data={"note": "After <b>five</b>"})
    assert ["After <b>five</b>"] == (await _page(browser, f"/follow-ups/{id}")).all("p", class_="note")
    assert 303 == (await browser.post("/follow-ups", data={"contact": person, "reason": "Call"})).status_code
    for wrong in ({"reason": "x"}, {"number": "what", "reason": "x"}, {"number": MAYA}):
        assert 400 == (await browser.post("/follow-ups", data=wrong)).status_code, wrong


async def test_a_text_is_sent_once_however_often_its_form_is(api: Api) -> None:
    id = await _texting(api)
    browser = await signed_in(api, "agent")
    page = await _page(browser, f"/follow-ups/{id}")
    form = {"nonce": page.values("input", "value", name="nonce")[0], "text": "When is a good time?"}
    for _ in range(2):
        assert 303 == (await browser.post(f"/follow-ups/{id}/text", data=form)).status_code
    assert "Text, waits to be sent" in (await _page(browser, f"/follow-ups/{id}")).all("div", class_="bubble")[0]
    leased = await api.deps.database.write(effects.lease, "me", ["text"], api.deps.now(), api.deps.now() + 60, 9)
    assert 1 == len(leased)
    assert "done" == (await api.deps.messages.send_now(leased[0])).status
    assert "Text, sent" in (await _page(browser, f"/follow-ups/{id}")).all("div", class_="bubble")[0]


@on_sqlite
async def test_why_no_text_can_be_sent_is_said(api: Api) -> None:
    id = await _add(api, 1, "missed", number=MAYA)
    browser = await signed_in(api, "agent")
    await api.deps.directory.refresh()
    assert "Texts are not set up here" in (await _page(browser, f"/follow-ups/{id}")).text
    refused = await browser.post(f"/follow-ups/{id}/text", data={"text": "Hi <i>there</i>"})
    assert (400, True) == (refused.status_code, "not set up" in refused.text)
    _carry(api)
    for typed, words in (("", "nothing to send"), ("x" * 501, "at most 500 characters")):
        refused = await browser.post(f"/follow-ups/{id}/text", data={"text": typed})
        assert (400, True) == (refused.status_code, words in refused.text)
        assert [typed] == Page(refused.text).all("textarea", name="text")
    await api.insert(messages, _text(api, id, "failed", "Unreachable destination handset"))
    assert "not delivered" in (await _page(browser, f"/follow-ups/{id}")).text
    assert "Unreachable destination handset" in (await _page(browser, f"/follow-ups/{id}")).text
    await api.deps.database.write(opt_outs.add, api.org.id, [MAYA], "stop", 1.0)
    page = await _page(browser, f"/follow-ups/{id}")
    assert "asked not to be texted (STOP)" in page.text
    assert [] == page.all("textarea", name="text")
    assert 400 == (await browser.post(f"/follow-ups/{id}/text", data={"text": "Hi"})).status_code


@on_sqlite
async def test_an_auditor_reads_and_changes_nothing(api: Api) -> None:
    id = await _add(api, 1, "missed", number=MAYA)
    browser = await signed_in(api, "auditor")
    page = await _page(browser, f"/follow-ups/{id}")
    assert not [action for action in page.values("form", "action") if action.startswith("/follow-ups")]


async def test_nobody_touches_the_follow_ups_of_another_organisation(api: Api) -> None:
    other = await api.add_organization()
    id = await _add(api, 1, "missed", number=MAYA, org_id=other.id)
    browser = await signed_in(api, "owner")
    assert [] == (await _page(browser, "/follow-ups")).all("li", class_="fu")
    assert 404 == (await browser.get(f"/follow-ups/{id}")).status_code
    for deed in ("done", "reopen", "snooze", "assign", "note", "text"):
        fields = {"until": "hour", "note": "x", "text": "x"}
        assert (await browser.post(f"/follow-ups/{id}/{deed}", data=fields)).status_code in (400, 404), deed
    assert ["open"] == await api.deps.database.read(
        lambda tx: tx.execute(sa.select(follow_ups.c.status)).scalars().all()
    )
    wished = sa.select(effect_table.c.id).where(effect_table.c.kind == "text")
    assert [] == await api.deps.database.read(lambda tx: tx.execute(wished).scalars().all())


async def test_pages_of_the_queue_follow_one_another(api: Api) -> None:
    now = api.deps.now()
    for number in range(1, 71):
        await _add(api, number, "missed", number=MAYA, due_at=now + number // 3)
    browser = await signed_in(api, "agent")
    seen, path = [], "/follow-ups"
    for _ in range(2):
        page = await _page(browser, path)
        seen += page.values("li", "id", class_="fu")
        path = next(iter(page.values("a", "href", rel="next")), "")
    assert (70, 70, "") == (len(seen), len(set(seen)), path)
    for after in ("x", f"nan-{hex_id(1)}", f"inf-{hex_id(1)}"):
        assert 200 == (await browser.get(f"/follow-ups?after={after}&view=what")).status_code


async def _texting(api: Api) -> str:
    await api.deps.directory.refresh()
    _carry(api)
    return await _add(api, 1, "missed", number=MAYA)


def _carry(api: Api) -> None:
    api.deps.messages._provider = Carrier()


async def _maya(api: Api) -> str:
    person = await api.deps.database.write(
        contacts.create, api.org.id, first_name="Maya", last_name="Okafor", numbers=[MAYA], source="api", now=1.0
    )
    return person.id


async def _add(api: Api, its: int, kind: str, **facts: Any) -> str:
    now = api.deps.now()
    row: dict[str, Any] = {column.name: None for column in follow_ups.c}
    row |= {"id": hex_id(its), "org_id": api.org.id, "kind": kind, "status": "open", "due_at": now + 60,
            "created_at": now, "updated_at": now}  # fmt: skip
    await api.insert(follow_ups, row | facts)
    return hex_id(its)


def _text(api: Api, id: str, status: str, reason: str) -> dict[str, Any]:
    empty = dict.fromkeys(column.name for column in messages.c)
    return {**empty, "id": hex_id(77), "org_id": api.org.id, "kind": "person", "body": "Hi", "status": status,
            "reason": reason, "to_number": MAYA, "created_at": 1.0, "updated_at": 1.0}  # fmt: skip


def _user_id(tx: sa.Connection, email: str) -> str:
    return users.find(tx, email).id


async def _page(browser: httpx.AsyncClient, path: str) -> Page:
    answer = await browser.get(path)
    assert 200 == answer.status_code, path
    return Page(answer.text)
