"""Contacts in CSV files: read whole and checked before anything is written, written in short batches beside a server."""

import asyncio
import csv
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from offhook.cli.contact_rows import COLUMNS, BadRow, Row, cells_of, read_header, read_row
from offhook.errors import Conflict, Fault, Mistake
from offhook.store import imports
from offhook.store.database import Database
from offhook.store.organizations import Organization

_BATCH_ROWS = 500  #: a few milliseconds of the one writer that SQLite has
_MOST_SHOWN = 20  #: of what is wrong; the rest is counted
_LONGEST_LINE_BYTES = 1 << 20
_UTF16 = (b"\xff\xfe", b"\xfe\xff")

Step = Callable[[int], None]


class _Record(NamedTuple):
    number: int  #: as a spreadsheet counts rows; the header is 1
    line: int  #: as an editor counts lines
    cells: list[str]


async def import_file(database: Database, organization: Organization, path: Path, *, skip_bad: bool) -> dict[str, Any]:
    """Check all of the file, then write it; how many were added, updated, unchanged, skipped, and what was wrong.

    Mistake when something is wrong and not to be skipped: nothing is written then.
    """
    with _bar(path) as bar:
        wrong, total = await _check(database, organization, path, bar("Checking"))
        if wrong and not skip_bad:
            raise Mistake(f"Nothing was imported. {_said(wrong)}")
        _warn(wrong)
        done = await _write(database, organization, path, {bad.row for bad in wrong}, bar("Importing"))
    errors = [{"row": bad.row, "column": bad.column, "error": bad.why} for bad in wrong]
    return {**done, "skipped": len({bad.row for bad in wrong}), "rows": total, "errors": errors}


async def export_file(database: Database, organization: Organization, path: Path | None) -> None:
    """All contacts, oldest first, as a file that can be imported again. Mistake when *path* is no place for one."""
    if path is None:
        sys.stdout.reconfigure(encoding="utf-8", newline="")  # type: ignore[union-attr]
        await _export_to(database, organization, sys.stdout)
        return
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        with unfinished.open("w", encoding="utf-8", newline="") as file:
            await _export_to(database, organization, file)
        unfinished.replace(path)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError) as error:
        raise Mistake(f"{path} cannot be written: {error.strerror}.") from None
    finally:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)


async def _export_to(database: Database, organization: Organization, file: TextIO) -> None:
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    async for contact in _all(database, organization.id):
        writer.writerow(cells_of(contact))


async def _all(database: Database, org_id: str) -> AsyncIterator[Any]:
    after: imports.Place = (float("-inf"), "")
    while batch := await database.read(imports.after, org_id, after, _BATCH_ROWS):
        for contact in batch:
            yield contact
        after = (batch[-1].created_at, batch[-1].id)


# Importing


async def _check(database: Database, organization: Organization, path: Path, step: Step) -> tuple[list[BadRow], int]:
    """What is wrong with the file, and how many rows there are."""
    wrong: list[BadRow] = []
    claims = imports.Claims()
    total = 0
    for batch in _batches(_read(organization, path)):
        rows = [row for row in batch if isinstance(row, Row)]
        wrong += [bad for bad in batch if isinstance(bad, BadRow)]
        found = await database.read(imports.owners, organization.id, [row.person for row in rows])
        wrong += [
            BadRow(rows[n].number, column, why) for n, column, why in claims.refused([r.person for r in rows], found)
        ]
        total += len(batch)
        step(len(batch))
    return sorted(wrong), total


async def _write(
    database: Database, organization: Organization, path: Path, left_out: set[int], step: Step
) -> dict[str, int]:
    done = {"added": 0, "updated": 0, "unchanged": 0}
    for batch in _batches(_read(organization, path)):
        people = [row.person for row in batch if isinstance(row, Row) and row.number not in left_out]
        begun = time.monotonic()
        try:
            written = await database.write(imports.write, organization.id, people, time.time())
        except Conflict as conflict:  # somebody else was at work since the check
            raise Fault(f"{sum(done.values())} rows are imported, the rest is not: {conflict.message}") from None
        for outcome, count in written.items():
            done[outcome] += count
        step(len(batch))
        await asyncio.sleep(time.monotonic() - begun)  # a server beside us wants to write, too
    return done


def _batches(rows: Iterator[Row | BadRow]) -> Iterator[list[Row | BadRow]]:
    batch: list[Row | BadRow] = []
    for row in rows:
        batch.append(row)
        if len(batch) == _BATCH_ROWS:
            yield batch
            batch = []
    if batch:
        yield batch


def _read(organization: Organization, path: Path) -> Iterator[Row | BadRow]:
    with path.open("rb") as file:
        records = _records(file)
        header = next(records, None)
        if header is None or not any(header.cells):
            raise Mistake(f"{path.name} is empty: its first row must name the columns {', '.join(COLUMNS)}.")
        columns = read_header(header.cells)
        for record in records:
            if any(map(str.strip, record.cells)):
                yield read_row(record.number, record.line, columns, record.cells, organization.country)


def _records(file: BinaryIO) -> Iterator[_Record]:
    lines = _lines(file)
    first = next(lines, "")
    reader = csv.reader(_after(first, lines), delimiter=_delimiter(first), strict=True)
    number = 0
    try:
        for number, cells in enumerate(reader, 1):
            yield _Record(number, reader.line_num, cells)
    except csv.Error as error:
        raise Mistake(
            f"Line {reader.line_num} (after row {number}) is no CSV: {error}. Is there a quotation mark too many or too few?"
        ) from None


def _lines(file: BinaryIO) -> Iterator[str]:
    """Bytes that are no UTF-8 come as lone surrogates: whoever reads the cell can say where it stands."""
    number = 0
    while line := file.readline(_LONGEST_LINE_BYTES):
        number += 1
        if number == 1:
            if line.startswith(_UTF16):
                raise Mistake('Line 1 is UTF-16, not UTF-8: save the file as "CSV UTF-8".')
            line = line.removeprefix(b"\xef\xbb\xbf")
        if len(line) == _LONGEST_LINE_BYTES:
            raise Mistake(f"Line {number} is longer than a megabyte: this is no list of people.")
        yield line.decode("utf-8", "surrogateescape")


def _after(first: str, lines: Iterator[str]) -> Iterator[str]:
    yield first
    yield from lines


def _delimiter(header: str) -> str:
    """Spreadsheets of some countries write semicolons."""
    return max(",;\t", key=header.count)


# Saying


def _said(wrong: list[BadRow]) -> str:
    shown = " ".join(map(str, wrong[:_MOST_SHOWN]))
    more = len(wrong) - _MOST_SHOWN
    return f"{shown} And {more} more." if more > 0 else shown


def _warn(wrong: list[BadRow]) -> None:
    for bad in wrong[:_MOST_SHOWN]:
        print(f"offhook: left out: {bad}", file=sys.stderr)
    if len(wrong) > _MOST_SHOWN:
        print(f"offhook: left out: {len(wrong) - _MOST_SHOWN} more.", file=sys.stderr)


@contextmanager
def _bar(path: Path) -> Iterator[Callable[[str], Step]]:
    """A bar on a terminal, for each of the two passes; elsewhere nothing is shown."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    console = Console(file=sys.stderr)
    with Progress(*columns, console=console, disable=not sys.stderr.isatty(), transient=True) as progress:
        rows = _about(path)

        def begin(what: str) -> Step:
            task = progress.add_task(what, total=rows)
            return lambda count: progress.advance(task, count)

        yield begin


def _about(path: Path) -> int:
    """How many rows there may be: as many as lines."""
    try:
        with path.open("rb") as file:
            return max(1, sum(piece.count(b"\n") for piece in iter(lambda: file.read(1 << 20), b"")) - 1)
    except OSError as error:
        raise Mistake(f"{path} cannot be read: {error.strerror}.") from None
