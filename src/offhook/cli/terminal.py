"""What a command prints: JSON for programs, tables and facts for people."""

import re
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

Json = Annotated[
    bool, Parameter(name="--json", negative="", show_default=False, help="Print one JSON value and nothing else.")
]

_PIPED_WIDTH = 250
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})  #: escape sequences, direction marks, line separators


def print_json(value: Any) -> None:
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


def print_table(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Cells are text as it came: it is made plain here."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in row))
    width = None if sys.stdout.isatty() else _PIPED_WIDTH
    Console(file=sys.stdout, width=width, highlight=False).print(table)


def print_facts(facts: Iterable[tuple[str, Any]]) -> None:
    """One fact a line, their names aligned; facts of None are left out."""
    known = [(name, plain(value)) for name, value in facts if value is not None]
    width = max((len(name) for name, _ in known), default=0)
    for name, value in known:
        print(f"{name:<{width}}  {value}")


def plain(value: Any) -> str:
    """*value* on one line, with nothing in it that a terminal would obey; "-" for None."""
    if value is None or value == "":
        return "-"
    words = re.sub(r"\s+", " ", str(value))
    return "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(sign) in _UNSAFE else sign for sign in words)


def iso(at: float | None) -> str | None:
    """For programs: ISO 8601, UTC, milliseconds and Z."""
    moment = _moment(at)
    return None if moment is None else moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def clock(at: float | None) -> str | None:
    """For people: to the second, and in UTC, which is said."""
    moment = _moment(at)
    return None if moment is None else f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _moment(at: float | None) -> datetime | None:
    """None too for a time that a sender made up and no calendar knows."""
    try:
        return None if at is None else datetime.fromtimestamp(at, UTC)
    except (OverflowError, ValueError, OSError):
        return None
