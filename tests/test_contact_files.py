"""Contacts in CSV files: all of a file or nothing, whatever is in it; and what is exported can be imported."""

import asyncio
import csv
import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from offhook.settings import Settings
from offhook.store import contacts, imports, organizations
from offhook.store.engine import opened_database
from tests.services import Server
from tests.test_cli import Offhook, environment, offhook  # noqa: F401 - fixtures

GOOD = "phone,first_name,last_name,email\n+14165550100,Alex,Morgan,alex@example.com\n(416) 555-0101,Sam,,\n"


@pytest.fixture
def acme(environment: None, offhook: Offhook) -> str:  # noqa: F811
    return str(offhook("org", "create", "Acme", "--timezone", "America/Toronto", "--json").json["id"])


class Lists:
    """Files, and the commands that read and write them."""

    def __init__(self, offhook: Offhook, folder: Path) -> None:  # noqa: F811
        self.offhook = offhook
        self.folder = folder

    def file(self, content: str | bytes, name: str = "people.csv") -> str:
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    def imported(self, content: str | bytes, *options: str) -> Any:
        return self.offhook("contact", "import", "Acme", self.file(content), *options, "--json").json

    def refused(self, content: str | bytes) -> str:
        ended = self.offhook("contact", "import", "Acme", self.file(content))
        assert 2 == ended.code, ended.err
        return ended.sentence

    def exported(self) -> str:
        path = self.folder / "exported.csv"
        assert 0 == self.offhook("contact", "export", "Acme", str(path)).code
        return path.read_bytes().decode()

    def people(self) -> dict[str, Any]:
        found = self.offhook("contact", "list", "Acme", "--size", "500", "--json").json
        return {one["phone"] or one["external_id"]: one for one in found}


@pytest.fixture
def lists(acme: str, offhook: Offhook, tmp_path: Path) -> Lists:  # noqa: F811
    folder = tmp_path / "lists"
    folder.mkdir()
    return Lists(offhook, folder)


def counts(done: Any) -> tuple[int, int, int, int]:
    return done["added"], done["updated"], done["unchanged"], done["skipped"]


def test_a_list_is_imported_and_again_changes_nothing(lists: Lists) -> None:
    assert (2, 0, 0, 0) == counts(lists.imported(GOOD))
    people = lists.people()
    assert {"+14165550100", "+14165550101"} == set(people)
    alex = people["+14165550100"]
    assert ("Alex", "Morgan", ["alex@example.com"], "import") == (
        alex["first_name"], alex["last_name"], alex["emails"], alex["source"],
    )  # fmt: skip
    assert (0, 0, 2, 0) == counts(lists.imported(GOOD))
    assert people == lists.people()


def test_a_number_that_is_known_updates_and_empty_cells_change_nothing(lists: Lists) -> None:
    lists.imported(GOOD)
    more = "Phone,First Name,last-name,EMAIL,external_id\n4165550100,Alexandra,,new@example.com,user-7\n"
    assert (0, 1, 0, 0) == counts(lists.imported(more))
    alex = lists.people()["+14165550100"]
    assert ("Alexandra", "Morgan", ["alex@example.com", "new@example.com"], "user-7") == (
        alex["first_name"], alex["last_name"], alex["emails"], alex["external_id"],
    )  # fmt: skip


@pytest.mark.parametrize(
    "content",
    [
        "\ufeff" + GOOD,
        GOOD.replace(",", ";"),
        GOOD.replace(",", "\t"),
        GOOD.replace("\n", "\r\n"),
        GOOD.replace("\n", "\n\n"),
        GOOD.replace("+1416", "'+1416"),
        GOOD.rstrip("\n"),
    ],
    ids=["bom", "semicolons", "tabs", "crlf", "blank rows", "apostrophes", "no last newline"],
)
def test_a_list_may_be_written_by_any_spreadsheet(lists: Lists, content: str) -> None:
    assert (2, 0, 0, 0) == counts(lists.imported(content))


WRONG: list[tuple[str | bytes, str]] = [
    ("", "is empty"),
    ("first_name\nAlex\n", "no column phone"),
    ("phone,nickname\n+14165550100,Al\n", "Row 1, column 2: 'nickname'"),
    ("phone,phone\n", "Row 1, column 2: phone is there twice"),
    (GOOD + "12,Kim,,\n", "Row 4, column phone: '12'"),
    (GOOD + ",Kim,,\n", "Row 4, column phone: it is empty"),
    (GOOD + "+447911123456,Kim,,nobody\n", "Row 4, column email: 'nobody'"),
    (GOOD + "+447911123456,Kim,,a@b,more\n", "Row 4, column 5"),
    (GOOD + f"+447911123456,{'x' * 201},,\n", "Row 4, column first_name"),
    (GOOD.encode() + b"+447911123456,Ren\xe9,,\n", "Row 4, column first_name: it is not UTF-8 (line 4)"),
    (GOOD.encode("utf-16"), "Line 1 is UTF-16"),
    (GOOD + '+447911123456,"Kim,,\n', "quotation mark"),
    (GOOD + "x" * (1 << 20), "longer than a megabyte"),
]


@pytest.mark.parametrize(("content", "said"), WRONG, ids=[said for _, said in WRONG])
def test_a_list_with_a_fault_is_refused_whole_and_the_place_is_named(
    lists: Lists, content: str | bytes, said: str
) -> None:
    assert said in lists.refused(content)
    assert {} == lists.people()


def test_rows_that_are_wrong_are_left_out_where_that_is_wanted(lists: Lists) -> None:
    ended = lists.offhook(
        "contact", "import", "Acme", lists.file(GOOD + "12,Kim,,\n+447911123456,Kim,,\n"), "--skip-bad", "--json"
    )
    done = json.loads(ended.out)
    assert (0, (3, 0, 0, 1)) == (ended.code, counts(done))
    assert [(4, "phone")] == [(error["row"], error["column"]) for error in done["errors"]]
    assert "Row 4, column phone" in ended.err
    assert 3 == len(lists.people())


def test_a_row_of_two_people_is_refused_wherever_they_are(lists: Lists) -> None:
    lists.imported("phone,external_id\n+14165550100,user-1\n+14165550101,user-2\n")
    assert "Row 2, column external_id" in lists.refused("phone,external_id\n+14165550100,user-2\n")
    assert "Row 2, column phone" in lists.refused("phone\n+14165550100; +14165550101\n")
    apart = "phone,external_id\n+14165550102,user-3\n+14165550103,user-4\n+14165550102,user-4\n"
    assert "Row 4, column external_id" in lists.refused(apart)
    assert 2 == len(lists.people())
    assert (0, 1, 0, 0) == counts(lists.imported("phone,external_id\n+14165550104; +14165550100,user-1\n"))
    assert ["+14165550100", "+14165550104"] == lists.people()["+14165550100"]["phones"]


def test_a_file_that_is_not_there_is_a_mistake(lists: Lists) -> None:
    ended = lists.offhook("contact", "import", "Acme", str(lists.folder / "none.csv"))
    assert (2, True) == (ended.code, "No such file" in ended.sentence)


def test_who_became_two_people_since_the_check_stops_the_import_and_it_can_be_repeated(
    lists: Lists, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists.imported("phone,external_id\n+14165550100,user-1\n+14165550101,user-2\n")
    content = "phone,external_id\n" + "+14165550102,user-3\n" * 500 + "+14165550100,user-2\n"
    monkeypatch.setattr(imports.Claims, "refused", lambda *_: iter(()))  # as if it was right when it was checked
    ended = lists.offhook("contact", "import", "Acme", lists.file(content))
    assert (1, True) == (ended.code, "import the file again" in ended.sentence), ended.err
    assert "500 rows are imported" in ended.sentence


def test_a_server_beside_an_import_goes_on(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text("phone,first_name\n" + "".join(f"+1416{n:07},Alex\n" for n in range(6000)))
    importing = threading.Thread(target=server.offhook, args=("contact", "import", server.org_id, str(path)))
    importing.start()
    statuses = set()
    while importing.is_alive():
        statuses.add(server.ask({"caller_id": "+14160000001"}).status_code)
        body = json.dumps({"type": "post_call_transcription", "data": {"conversation_id": f"c{time.time()}"}})
        statuses.add(server.deliver(body.encode()).status_code)
    importing.join()
    assert {200} == statuses
    assert "Alex" == server.ask({"caller_id": "+14160005999"}).json()["caller_name"]


# Export


def test_formulas_are_neutralised_and_come_back_as_they_were(lists: Lists, settings: Settings) -> None:
    names = ["=1+1", "+1", "-Alex", "@cmd", "'=x", "''@y", "'plain", "O'Neil", 'a "b", c', "two\nlines", "\u202eevil"]
    asyncio.run(made(settings, [{"first_name": name} for name in names]))
    before = {one["phone"]: one for one in lists.people().values()}
    text = lists.exported()
    cells = [cell for row in csv.reader(text.splitlines(keepends=True)) for cell in row]
    assert [] == [cell for cell in cells if cell[:1] in "=+-@\t\r" and cell]
    emptied(lists)
    assert (len(names), 0, 0, 0) == counts(lists.imported(text))
    after = lists.people()
    shown = ("first_name", "last_name", "phones", "emails", "external_id")
    assert {phone: [one[key] for key in shown] for phone, one in before.items()} == {
        phone: [one[key] for key in shown] for phone, one in after.items()
    }
    assert sorted(text.split("\r\n")) == sorted(lists.exported().split("\r\n"))


def test_naughty_strings_come_back_as_they_were(lists: Lists, settings: Settings, corpora: Path) -> None:
    naughty = json.loads((corpora / "strings" / "blns.json").read_text("utf-8"))
    wanted = [one for one in naughty if len(one) <= 200]
    asyncio.run(made(settings, [{"first_name": one, "last_name": one[::-1]} for one in wanted]))
    text = lists.exported()
    assert (0, 0, len(wanted), 0) == counts(lists.imported(text))


def test_everything_that_a_contact_is_known_by_comes_back(lists: Lists) -> None:
    lists.imported("phone,email,external_id\n+14165550100; +14165550101,a@b; c@d,user-1\n,,user-2\n")
    text = lists.exported()
    emptied(lists)
    lists.imported(text)
    people = lists.people()
    assert (["+14165550100", "+14165550101"], ["a@b", "c@d"]) == (
        people["+14165550100"]["phones"], people["+14165550100"]["emails"],
    )  # fmt: skip
    assert [] == people["user-2"]["phones"]


def emptied(lists: Lists) -> None:
    for one in lists.people().values():
        assert 0 == lists.offhook("contact", "delete", "Acme", one["id"]).code


async def made(settings: Settings, facts: list[dict[str, str]]) -> None:
    async with opened_database(settings) as database:
        found = await database.read(organizations.find, "Acme")
        for n, one in enumerate(facts):
            number = f"+1416555{n:04}"
            await database.write(contacts.create, found.id, numbers=(number,), source="api", now=1e9 + n, **one)
