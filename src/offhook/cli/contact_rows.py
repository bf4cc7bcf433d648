"""One contact as a row of a CSV file, in both directions. What a spreadsheet would take for a formula has an apostrophe."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from offhook.errors import Mistake
from offhook.formulas import neutral
from offhook.phone import e164
from offhook.store.contacts import Contact
from offhook.store.imports import Person

COLUMNS = ("phone", "first_name", "last_name", "email", "external_id")

_ESCAPED = re.compile(r"'+[=+\-@\t\r]")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_LONGEST = {"first_name": 200, "last_name": 200, "external_id": 200, "email": 16_000, "phone": 4_000}
_LONGEST_EMAIL = 320
_NOT_UTF8 = re.compile("[\ud800-\udfff]")


class BadRow(NamedTuple):
    """Something that is wrong, and where."""

    row: int  #: as a spreadsheet counts; the header is 1
    column: str
    why: str

    def __str__(self) -> str:
        return f"Row {self.row}, column {self.column}: {self.why}"


class Row(NamedTuple):
    number: int
    person: Person


class _Bad(Exception):
    def __init__(self, column: str, why: str) -> None:
        self.column, self.why = column, why


def read_header(cells: Sequence[str]) -> list[str]:
    """The names of the columns; Mistake when there is no phone among them, or one that is not known."""
    names = [re.sub(r"[\s-]+", "_", cell.strip().lower()) for cell in cells]
    for place, name in enumerate(names, 1):
        if name not in COLUMNS:
            raise Mistake(f"Row 1, column {place}: {cells[place - 1]!r} is not known; there are {', '.join(COLUMNS)}.")
        if names.index(name) != place - 1:
            raise Mistake(f"Row 1, column {place}: {name} is there twice.")
    if "phone" not in names:
        raise Mistake(f"Row 1: there is no column phone; there are {', '.join(COLUMNS)}.")
    return names


def read_row(number: int, line: int, columns: Sequence[str], cells: Sequence[str], country: str) -> Row | BadRow:
    """The person of that row, or what is wrong with it; *country* is where national numbers are dialled."""
    try:
        if len(cells) > len(columns) and any(map(str.strip, cells[len(columns) :])):
            raise _Bad(str(len(columns) + 1), f"there are only {len(columns)} columns.")
        said = {column: _cell(column, cell, line) for column, cell in zip(columns, cells, strict=False)}
        return Row(number, _person(said, country))
    except _Bad as bad:
        return BadRow(number, bad.column, bad.why)


def cells_of(contact: Contact) -> list[str]:
    """A row of COLUMNS."""
    cells = (
        "; ".join(contact.numbers),
        contact.first_name or "",
        contact.last_name or "",
        "; ".join(contact.emails),
        contact.external_id or "",
    )
    return [neutral(cell) for cell in cells]


def _cell(column: str, cell: str, line: int) -> str:
    if _NOT_UTF8.search(cell):
        raise _Bad(column, f'it is not UTF-8 (line {line}); save the file as "CSV UTF-8".')
    words = (cell[1:] if _ESCAPED.match(cell) else cell).replace("\0", "").strip()
    if len(words) > _LONGEST[column]:
        raise _Bad(column, f"it is longer than {_LONGEST[column]} characters.")
    return words


def _person(said: dict[str, str], country: str) -> Person:
    numbers = tuple(dict.fromkeys(_number(part, country) for part in _parts(said.get("phone", ""))))
    emails = tuple(dict.fromkeys(map(_email, _parts(said.get("email", "")))))
    external_id = said.get("external_id") or None
    if not numbers and external_id is None:
        raise _Bad("phone", "it is empty.")
    return Person(
        numbers=numbers,
        first_name=said.get("first_name") or None,
        last_name=said.get("last_name") or None,
        emails=emails,
        external_id=external_id,
    )


def _parts(cell: str) -> list[str]:
    return [part for part in map(str.strip, cell.split(";")) if part]


def _number(spelling: str, country: str) -> str:
    number = e164(spelling, country)
    if number is None:
        raise _Bad("phone", f"{spelling[:40]!r} is no telephone number; write it like +14165550100.")
    return number


def _email(spelling: str) -> str:
    if not _EMAIL.fullmatch(spelling) or len(spelling) > _LONGEST_EMAIL:
        raise _Bad("email", f"{spelling[:80]!r} is no address; write it like alex@example.com.")
    return spelling
