"""A drill: the backup is restored into a temporary folder, and everything that can be asked of it is asked."""

import hashlib
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa

from offhook.backup import archive
from offhook.backup.archive import KEY, Advance, Manifest
from offhook.backup.restoring import restore
from offhook.directory import Directory
from offhook.errors import Damaged, Mistake
from offhook.projection.refolding import Refolding
from offhook.sealing import KeyRing
from offhook.settings import Settings
from offhook.store import events as event_rows
from offhook.store import snapshots
from offhook.store.database import Database
from offhook.store.engine import opened_database
from offhook.store.events import Chosen
from offhook.store.snapshots import SqliteCopy
from offhook.voice.parts import Folders, rebuild

_PAGE_ROWS = 200
_MOST_FINDINGS = 100


class Drilled(NamedTuple):
    manifest: Manifest
    opened: int  #: events whose bodies opened
    folded: int  #: events, drawn by lot, that were understood again
    findings: list[str]


async def drill(path: Path, settings: Settings, *, events: int, advance: Advance) -> Drilled:
    """Restore *path* where nobody sees it, count, open every body and secret, rebuild and understand *events* of them.

    *settings* say which key; one that lies in the backup is used before it. Damaged when a member is not as it was written.
    """
    head = archive.head_of(path)
    if not (head.is_with_key or settings.secret_key or (settings.data_dir / KEY).exists()):
        raise Mistake(
            "The backup's key is neither in it nor here: set OFFHOOK_SECRET_KEY to that of its installation, "
            "without it nothing in it can be read."
        )
    with tempfile.TemporaryDirectory(prefix="offhook-drill-") as folder:
        place = Settings(data_dir=Path(folder) / "data", secret_key="", database_url="", storage_url="", spool_dir=())
        manifest = await restore(path, place, advance=advance)
        keys = place.key_ring() if head.is_with_key else settings.key_ring()
        findings = _counted(place, manifest)
        async with opened_database(place) as database:
            return await _Drill(database, keys, place, manifest, findings).all(events)


def _counted(place: Settings, manifest: Manifest) -> list[str]:
    """What SQLite, and the count of rows, find wrong."""
    held = SqliteCopy(place.sqlite_path)
    try:
        fault, counts = held.fault(), held.counts()
    finally:
        held.close()
    wrong = [f"The table {name} has {counts.get(name)} rows and not {rows}." for name, rows in manifest.counts.items()
             if counts.get(name) != rows]  # fmt: skip
    return [*([f"The database is damaged: {fault}."] if fault else []), *wrong]


class _Drill:
    def __init__(
        self, database: Database, keys: KeyRing, place: Settings, manifest: Manifest, findings: list[str]
    ) -> None:
        self._database = database
        self._keys = keys
        self._manifest = manifest
        self._findings = findings
        self._folders = Folders(place.recordings_dir, place.bodies_dir, keys)

    async def all(self, events: int) -> Drilled:
        directory = Directory(self._database, self._keys)
        await directory.open()  # Damaged when the key opens no secret
        try:
            opened, ids = await self._open_all(events)
            self._rebuild(await self._database.read(event_rows.whole, ids))
            folded = await self._fold(directory, ids) if ids else 0
        finally:
            await directory.close()
        return Drilled(self._manifest, opened, folded, self._findings)

    async def _open_all(self, events: int) -> tuple[int, list[str]]:
        """How many bodies opened, and the ids of some events by lot, of those that tell of calls."""
        opened = seen = after_seq = 0
        drawn: list[str] = []
        while rows := await self._database.read(snapshots.next_events, after_seq, _PAGE_ROWS):
            for row in rows:
                opened += self._opens(row)
                if row.call_id is not None and row.status in ("pending", "projected"):
                    seen += 1
                    _draw(drawn, row.id, seen, events)
            after_seq = rows[-1].seq
        return opened, drawn

    def _opens(self, row: sa.Row[Any]) -> bool:
        try:
            event_rows.opened(event_rows.event_of(row), self._keys)
        except Damaged as damage:
            self._find(f"The event {row.id} does not open: {damage.message}")
            return False
        return True

    def _rebuild(self, rows: Sequence[sa.Row[Any]]) -> None:
        """Byte for byte what was signed, from row and files."""
        for row in rows:
            try:
                event = event_rows.opened(event_rows.event_of(row), self._keys)
                sha256 = hashlib.sha256()
                for piece in rebuild(event.body, event.parts, self._folders):
                    sha256.update(piece)
                if sha256.hexdigest() != event.sha256:
                    self._find(f"The body of the event {row.id} is not as it came.")
            except (Damaged, OSError) as error:
                self._find(f"The body of the event {row.id} cannot be put together: {error}")

    async def _fold(self, directory: Directory, ids: Sequence[str]) -> int:
        refolding = Refolding(self._database, self._keys, directory, self._folders)
        read = 0
        try:
            async for step in refolding.differences(Chosen(ids=tuple(ids))):
                read += step.events - len(step.unread)
                for one in step.unread:
                    self._find(f"The call {one.id} cannot be understood: {one.reason}")
        finally:
            await refolding.close()
        return read

    def _find(self, sentence: str) -> None:
        if len(self._findings) < _MOST_FINDINGS:
            self._findings.append(sentence)


def _draw(drawn: list[str], id: str, seen: int, most: int) -> None:
    """Each of those seen is as likely to be among *most*."""
    if len(drawn) < most:
        drawn.append(id)
    elif (place := random.randrange(seen)) < most:  # noqa: S311 - by lot
        drawn[place] = id
