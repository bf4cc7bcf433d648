"""Backups: taken while events pour in, restored to the row and the byte, and never believed unless every member fits."""

import asyncio
import errno
import hashlib
import io
import json
import os
import shutil
import tarfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from offhook import cli, logs
from offhook.backup import archive
from offhook.backup.drill import drill
from offhook.backup.restoring import restore
from offhook.backup.taking import take
from offhook.errors import Damaged, Mistake
from offhook.events import Event
from offhook.settings import Settings
from offhook.spool import Spool
from offhook.store import events as event_rows
from offhook.store import migrations
from offhook.store.engine import opened_database
from offhook.store.tables import metadata
from tests.api import Api
from tests.calls import Day
from tests.payloads import BOOKING, event, payload
from tests.services import Postgresql

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def unheard(_: int) -> None: ...


take_now = partial(take, with_key=False, advance=unheard)
restore_now = partial(restore, advance=unheard)


async def rows(settings: Settings) -> dict[str, list[dict[str, Any]]]:
    async with opened_database(settings) as database:
        return {table.name: await database.read(_rows, table) for table in metadata.sorted_tables}


def _rows(tx: sa.Connection, table: sa.Table) -> list[dict[str, Any]]:
    """All of it but when secrets were last used, which the directory writes down a while later."""
    columns = [column for column in table.c if column.name != "last_used_at"]
    return [dict(row) for row in tx.execute(sa.select(*columns).order_by(*table.primary_key)).mappings()]


def files(settings: Settings) -> dict[str, bytes]:
    folders = (settings.recordings_dir, settings.bodies_dir, *settings.spool_dirs)
    kept = [path for folder in folders for path in folder.glob("*") if path.is_file() and path.name != "ballast"]
    return {path.name: path.read_bytes() for path in kept}


@pytest.fixture
def elsewhere(api: Api, tmp_path: Path, request: pytest.FixtureRequest) -> Settings:
    """An empty place on the same engine."""
    here = api.deps.settings
    url = ""
    if not here.is_sqlite:
        cluster: Postgresql = request.getfixturevalue("postgresql")
        url = cluster.url(cluster.create_database())
    return Settings(data_dir=tmp_path / "elsewhere", database_url=url, secret_key=here.secret_key)


@pytest.fixture
async def busy(api: Api) -> Day:
    """Calls of every kind, understood."""
    day = Day(api)
    await day.calls(6, "backup")
    await day.project()
    return day


async def test_what_is_restored_equals_what_was_backed_up(busy: Day, elsewhere: Settings, tmp_path: Path) -> None:
    here = busy.api.deps.settings
    awkward = ("data.analysis.transcript_summary", "a\tb\\c\nd\\N \r \\. e\u2028\x0b")
    await file(busy.api, event(payload(BOOKING, awkward), org_id=busy.api.org.id))
    await busy.project()
    before = await rows(here)
    taken = await take_now(here, tmp_path / "backup.tar")
    assert [] == taken.findings
    manifest = await restore_now(tmp_path / "backup.tar", elsewhere)
    assert {name: len(those) for name, those in before.items()} == manifest.counts
    after = await rows(elsewhere)
    for name, those in before.items():
        assert those == after[name], name
    kept = files(here)
    assert kept == files(elsewhere)
    assert len(kept) > 2
    assert 0o600 == (tmp_path / "backup.tar").stat().st_mode & 0o777
    await file_more(elsewhere, busy.api)


async def file(api: Api, *filed: Event) -> None:
    for one in filed:
        await api.deps.database.file(event_rows.sealed(one, api.deps.keys))


async def file_more(settings: Settings, api: Api) -> None:
    """What is restored goes on: the next event gets the next number."""
    async with opened_database(settings) as database:
        last = max(row["seq"] for row in await database.read(_rows, metadata.tables["events"]))
        new = event(payload(BOOKING, ("data.conversation_id", "conv_new")), org_id=api.org.id)
        assert (await database.file(event_rows.sealed(new, settings.key_ring()))).is_new
        assert last < max(row["seq"] for row in await database.read(_rows, metadata.tables["events"]))


async def test_a_backup_that_is_taken_while_events_pour_in_is_whole(
    busy: Day, elsewhere: Settings, tmp_path: Path
) -> None:
    """Every call that was answered before it began is in it, and whatever it has besides is complete."""
    api = busy.api
    before = {row["id"] for row in (await rows(api.deps.settings))["events"]}
    pouring = asyncio.create_task(busy.calls(12, "pouring"))
    await asyncio.sleep(0.05)
    taken = await take_now(api.deps.settings, tmp_path / "backup.tar")
    assert not pouring.done()
    await pouring
    assert [] == taken.findings
    drilled = await drill(tmp_path / "backup.tar", api.deps.settings, events=50, advance=unheard)
    assert [] == drilled.findings
    assert (taken.manifest.counts["events"], True) == (drilled.opened, drilled.folded > 5)
    await restore_now(tmp_path / "backup.tar", elsewhere)
    assert before <= {row["id"] for row in (await rows(elsewhere))["events"]}


async def test_what_waits_in_the_spool_is_in_the_backup_with_its_files(
    api: Api, elsewhere: Settings, tmp_path: Path
) -> None:
    here = api.deps.settings
    spool = Spool(here.spool_dirs, api.deps.keys)
    spool.open()
    spooled = event(payload(BOOKING), org_id=api.org.id)
    await spool.keep(spooled)
    (here.spool_dirs[0] / "00000000000000000001-ffffffffffffffffffffffff.damaged").write_bytes(b"OHS1")
    await take_now(here, tmp_path / "backup.tar")
    await restore_now(tmp_path / "backup.tar", elsewhere)
    assert files(here) == files(elsewhere)
    restored = Spool(elsewhere.spool_dirs, elsewhere.key_ring())
    assert [spooled] == [restored.load(path) for path in restored.waiting()]


async def test_a_damaged_member_is_named_and_nothing_is_restored(
    busy: Day, elsewhere: Settings, tmp_path: Path
) -> None:
    backup = tmp_path / "backup.tar"
    taken = await take_now(busy.api.deps.settings, backup)
    with tarfile.open(backup) as tar:
        places = [(info.name, info.offset_data, info.size) for info in tar.getmembers()]
    assert [member.name for member in taken.manifest.members] == [name for name, *_ in places[:-1]]
    whole = backup.read_bytes()
    for name, offset, size in [place for place in places[1:-1] if place[2]]:
        spoilt = bytearray(whole)
        spoilt[offset + size // 2] ^= 1
        backup.write_bytes(spoilt)
        with pytest.raises(Damaged, match=name.replace(".", r"\.")):
            await restore_now(backup, elsewhere)
    for cut in (places[2][1] + 10, places[-1][1] + 10):
        backup.write_bytes(whole[:cut])
        with pytest.raises(Damaged, match="damaged"):
            await restore_now(backup, elsewhere)
    assert not elsewhere.data_dir.exists()
    backup.write_bytes(whole)
    await restore_now(backup, elsewhere)


async def test_nothing_is_overwritten(busy: Day, elsewhere: Settings, tmp_path: Path) -> None:
    here = busy.api.deps.settings
    await take_now(here, tmp_path / "backup.tar")
    with pytest.raises(Mistake, match="exists already"):
        await take_now(here, tmp_path / "backup.tar")
    with pytest.raises(Mistake, match="not empty"):
        await restore_now(tmp_path / "backup.tar", here)
    elsewhere.recordings_dir.mkdir(parents=True)
    (elsewhere.recordings_dir / "something").touch()
    with pytest.raises(Mistake, match="not empty"):
        await restore_now(tmp_path / "backup.tar", elsewhere)
    assert ["backup.tar"] == [path.name for path in tmp_path.glob("*backup*")]


@on_sqlite
async def test_two_backups_at_once_to_one_file_do_not_write_into_each_other(api: Api, tmp_path: Path) -> None:
    here, to = api.deps.settings, tmp_path / "backup.tar"
    first, second = await asyncio.gather(take_now(here, to), take_now(here, to), return_exceptions=True)
    assert isinstance(second, Mistake)
    assert "another backup" in second.message
    assert not isinstance(first, BaseException)
    assert first.manifest == archive.checked(to, unheard)


@on_sqlite
async def test_nobody_else_may_read_a_backup_while_it_is_written(api: Api, tmp_path: Path) -> None:
    """Nor its copy of the database, in which calls and contacts are open."""
    (folder := tmp_path / "backups").mkdir()
    modes: dict[str, int] = {}
    before = os.umask(0o022)
    try:
        await take(
            api.deps.settings,
            folder / "backup.tar",
            with_key=False,
            advance=lambda _: modes.update({path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}),
        )
    finally:
        os.umask(before)
    assert 2 == len(modes)
    assert {0o600} == {*modes.values()}


@on_sqlite
async def test_what_a_killed_backup_left_is_gone_after_the_next_one(api: Api, tmp_path: Path) -> None:
    (folder := tmp_path / "backups").mkdir()
    for left in (".sunday.tar.offhook-draft", ".sunday.tar.offhook-copy"):
        (folder / left).write_bytes(b"half a backup")
    await take_now(api.deps.settings, folder / "monday.tar")
    assert ["monday.tar"] == [path.name for path in folder.iterdir()]


async def test_a_restore_that_fails_on_its_way_leaves_nothing(
    busy: Day, elsewhere: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await take_now(busy.api.deps.settings, tmp_path / "backup.tar")
    fsync, syncs = os.fsync, iter(range(100))

    def fail(fd: int) -> None:
        if next(syncs) == 2:
            raise OSError(28, "No space left on device")
        fsync(fd)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="No space"):
            await restore_now(tmp_path / "backup.tar", elsewhere)
    assert not elsewhere.data_dir.exists()
    await restore_now(tmp_path / "backup.tar", elsewhere)


async def test_a_restore_that_is_killed_leaves_nothing_that_a_server_would_start_on(
    busy: Day, tmp_path: Path, secret_key: str
) -> None:
    """The database has its name last: a row is only there once its files are."""
    await take_now(busy.api.deps.settings, tmp_path / "backup.tar")
    place = Settings(data_dir=tmp_path / "place", secret_key=secret_key)
    seen: list[bool] = []
    await restore(tmp_path / "backup.tar", place, advance=lambda _: seen.append(place.sqlite_path.exists()))
    assert {False} == {*seen}
    assert ["bodies", "offhook.db", "recordings", "spool"] == sorted(path.name for path in place.data_dir.iterdir())
    await migrations.upgrade(place)
    (place.data_dir / migrations.UNFINISHED).mkdir()
    with pytest.raises(Mistake, match="interrupted"):
        await migrations.upgrade(place)


async def test_a_file_that_a_row_names_and_that_is_gone_or_changed_is_found(busy: Day, tmp_path: Path) -> None:
    here = busy.api.deps.settings
    gone, changed = sorted(here.recordings_dir.glob("?" * 32))[:2]
    gone.unlink()
    changed.write_bytes(b"something else")
    taken = await take_now(here, tmp_path / "backup.tar")
    assert {f"{gone} is named by a row, and is not there.", f"{changed} is not as it was written."} == set(
        taken.findings
    )
    drilled = await drill(tmp_path / "backup.tar", here, events=100, advance=unheard)
    assert any("cannot be put together" in finding for finding in drilled.findings)


@on_sqlite
async def test_what_cannot_be_read_is_named_and_the_rest_is_backed_up(
    busy: Day, elsewhere: Settings, tmp_path: Path
) -> None:
    """A foreign folder in the spool, one in the place of a recording, and a bad sector."""
    here = busy.api.deps.settings
    foreign = here.spool_dirs[0] / "00000000000000000001-ffffffffffffffffffffffff.event"
    foreign.mkdir()
    recording = min(here.recordings_dir.glob("?" * 32))
    recording.unlink()
    recording.mkdir()
    taken = await take_now(here, tmp_path / "backup.tar")
    assert [str(foreign), str(recording)] == [finding.split()[0] for finding in taken.findings]
    await restore_now(tmp_path / "backup.tar", elsewhere)
    assert (await rows(here)) == await rows(elsewhere)


def test_a_bad_sector_in_a_recording_is_zeros_and_a_fault() -> None:
    class BadSector(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError(errno.EIO, "Input/output error")

    writer = archive.Writer(io.BytesIO(), unheard)
    assert hashlib.sha256(bytes(9)).hexdigest() == writer.add("a", BadSector(), 9, is_needed=False).sha256
    assert (
        hashlib.sha256(b"1234" + bytes(5)).hexdigest()
        == writer.add("b", io.BytesIO(b"1234"), 9, is_needed=False).sha256
    )
    assert {"a", "b"} == writer.faults.keys()
    with pytest.raises(OSError, match="Input/output"):
        writer.add("database", BadSector(), 9)


@on_sqlite
async def test_links_and_sparse_members_are_no_part_of_a_backup(api: Api, elsewhere: Settings, tmp_path: Path) -> None:
    await take_now(api.deps.settings, tmp_path / "backup.tar")
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE):
        with tarfile.open(tmp_path / "backup.tar") as tar, tarfile.open(tmp_path / "sly.tar", "w") as sly:
            for info in tar.getmembers():
                if info.name == archive.MANIFEST:
                    link = tarfile.TarInfo("recordings/" + "f" * 32)
                    link.type, link.linkname = kind, "/etc/passwd"
                    sly.addfile(link)
                sly.addfile(info, tar.extractfile(info))
        with pytest.raises(Damaged, match="f" * 32):
            await restore_now(tmp_path / "sly.tar", elsewhere)
    assert not elsewhere.data_dir.exists()


async def test_a_backup_of_one_engine_is_not_forced_into_the_other(
    busy: Day, tmp_path: Path, postgresql: Postgresql
) -> None:
    """From PostgreSQL to SQLite is simple, because a drill does it; the other way is refused."""
    here = busy.api.deps.settings
    await take_now(here, tmp_path / "backup.tar")
    url = postgresql.url(postgresql.create_database()) if here.is_sqlite else ""
    other = Settings(data_dir=tmp_path / "other", database_url=url, secret_key=here.secret_key)
    if here.is_sqlite:
        with pytest.raises(Mistake, match="of SQLite"):
            await restore_now(tmp_path / "backup.tar", other)
    else:
        await restore_now(tmp_path / "backup.tar", other)
        assert await rows(here) == await rows(other)


def test_what_is_no_backup_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("Hello. " * 1000)
    with tarfile.open(tmp_path / "other.tar", "w") as tar:
        tar.add(tmp_path / "notes.txt", "notes.txt")
    for name in ("notes.txt", "other.tar"):
        with pytest.raises(Mistake, match="no backup"):
            archive.head_of(tmp_path / name)
    with pytest.raises(Mistake, match="cannot be read"):
        archive.head_of(tmp_path / "nothing.tar")


# The commands


Offhook = Callable[..., tuple[int, str, str]]


@pytest.fixture
def offhook(
    data_dir: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Offhook:
    """Commands on an installation with a key of its own in its folder."""
    monkeypatch.setattr(logs, "set_up", lambda settings: None)
    for name in [name for name in os.environ if name.startswith("OFFHOOK_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OFFHOOK_DATA_DIR", str(data_dir))

    def run(*arguments: object) -> tuple[int, str, str]:
        code = cli.run([str(one) for one in arguments])
        return code, *capsys.readouterr()

    return run


def said(ended: tuple[int, str, str]) -> Any:
    """What it printed; the log, which no command of this test has set up, goes to the same place."""
    return json.loads(ended[1][ended[1].index("{\n") :])


def test_the_key_is_only_in_a_backup_that_is_asked_to_have_it(offhook: Offhook, data_dir: Path, tmp_path: Path) -> None:
    offhook("org", "create", "Acme Corp")
    key = (data_dir / "secret.key").read_bytes().strip()
    without, with_key = tmp_path / "without.tar", tmp_path / "with.tar"
    code, out, _ = offhook("backup", without)
    assert (0, True) == (code, "The secret key is not in it: without" in out)
    assert "the backup cannot be read" in " ".join(out.split())
    assert key not in without.read_bytes()
    code, out, _ = offhook("backup", with_key, "--with-key")
    assert (0, True) == (code, "The secret key is in it" in out)
    assert key in with_key.read_bytes()
    code, out, _ = offhook("restore", without, "--into", tmp_path / "a")
    assert (0, True) == (code, "Put the key" in out)
    assert not (tmp_path / "a" / "secret.key").exists()
    offhook("restore", with_key, "--into", tmp_path / "b")
    assert key == (tmp_path / "b" / "secret.key").read_bytes().strip()


def test_a_drill_wants_the_key_and_says_what_it_found(
    offhook: Offhook, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offhook("org", "create", "Acme Corp")
    backup = tmp_path / "backup.tar"
    made = said(offhook("backup", backup, "--json"))
    assert (1, False, []) == (made["counts"]["organizations"], made["is_with_key"], made["findings"])
    drilled = said(offhook("backup", "--verify", backup, "--json"))
    assert (0, 0, []) == (drilled["opened"], drilled["folded"], drilled["findings"])
    shutil.move(data_dir / "secret.key", tmp_path / "secret.key")
    code, _, err = offhook("backup", "--verify", backup)
    assert (2, True) == (code, "OFFHOOK_SECRET_KEY" in err)
    monkeypatch.setenv("OFFHOOK_SECRET_KEY", "00" * 32)
    code, _, err = offhook("backup", "--verify", backup)
    assert (1, True) == (code, "OFFHOOK_SECRET_KEY opens none" in err)
    for wrong in (("backup",), ("backup", backup, "--verify", backup), ("restore", tmp_path / "nothing.tar")):
        assert 2 == offhook(*wrong)[0]
