"""Lists and bundles on their way out, piece by piece: what is sent takes no more memory than one batch of it."""

import asyncio
import csv
import io
import zipfile
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from starlette.responses import Response, StreamingResponse

from offhook.formulas import neutral

BATCH_ROWS = 200
_BOM = "\ufeff"  # without it Excel reads UTF-8 as something else

Row = dict[str, Any]  #: by column; texts, numbers, None


def attachment(content: AsyncIterator[bytes], name: str, media_type: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"}
    return StreamingResponse(content, headers=headers, media_type=media_type)


def as_list(batches: AsyncIterator[Sequence[Row]], columns: Sequence[str], name: str, kind: str) -> Response:
    """*kind*: csv or json; each row has all of *columns*."""
    if kind == "csv":
        return attachment(_csv(batches, columns), f"{name}.csv", "text/csv; charset=utf-8")
    return attachment(_json(batches), f"{name}.json", "application/json")


def time_of(at: float | None, zone: ZoneInfo) -> str | None:
    """ISO 8601 in *zone*."""
    return None if at is None else datetime.fromtimestamp(at, UTC).astimezone(zone).isoformat(timespec="seconds")


async def _csv(batches: AsyncIterator[Sequence[Row]], columns: Sequence[str]) -> AsyncIterator[bytes]:
    yield (_BOM + _lines([columns])).encode()
    async for batch in batches:
        # Off the event loop: greetings must not wait for somebody's list.
        cells = await asyncio.to_thread(_lines, [[_cell(row[name]) for name in columns] for row in batch])
        yield cells.encode(errors="replace")


async def _json(batches: AsyncIterator[Sequence[Row]]) -> AsyncIterator[bytes]:
    between = b"[\n"
    async for batch in batches:
        if batch:
            yield between + await asyncio.to_thread(_objects, batch)
            between = b",\n"
    yield b"[]\n" if between == b"[\n" else b"\n]\n"


def _objects(batch: Sequence[Row]) -> bytes:
    return b",\n".join(msgspec.json.encode(row) for row in batch)


def _lines(rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return neutral(value.replace("\0", "")) if isinstance(value, str) else "" if value is None else f"{value}"


class ZipStream:
    """A zip archive that is sent while it is made: files are added, and what came of it is taken away."""

    def __init__(self, now: float) -> None:
        self._sink = _Sink()
        self._archive = zipfile.ZipFile(self._sink, "w", zipfile.ZIP_STORED)
        self._made_at = datetime.fromtimestamp(now, UTC).timetuple()[:6]

    async def add(self, name: str, pieces: AsyncIterator[bytes], *, is_packed: bool = True) -> AsyncIterator[bytes]:
        """What is to be sent of it. *is_packed*: it is text, which gets smaller."""
        entry = zipfile.ZipInfo(name, self._made_at)
        entry.compress_type = zipfile.ZIP_DEFLATED if is_packed else zipfile.ZIP_STORED
        with self._archive.open(entry, "w", force_zip64=True) as file:
            async for piece in pieces:
                await asyncio.to_thread(file.write, piece)
                yield self._sink.taken()
        yield self._sink.taken()

    def finished(self) -> bytes:
        self._archive.close()
        return self._sink.taken()


class _Sink(io.RawIOBase):
    """What is written waits until it is taken; nobody goes back in it."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._waiting += data
        return len(data)

    def taken(self) -> bytes:
        taken = bytes(self._waiting)
        self._waiting.clear()
        return taken
