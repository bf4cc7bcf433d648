"""offhook doctor: what is wrong is found, on real databases that were made wrong, and said with what to do."""

import errno
import os
import shutil
import sqlite3
import time
from pathlib import Path

import msgspec
import pytest

from offhook import doctor
from offhook.doctor import Finding, examine
from offhook.events import Audio
from offhook.sealing import new_key_text
from offhook.settings import Settings
from offhook.store import condition, organizations, warnings
from offhook.store import events as event_rows
from offhook.store.database import Database
from offhook.store.organizations import NewOrganization
from offhook.store.tables import secrets
from tests.payloads import BOOKING, event, payload
from tests.services import Server


@pytest.fixture
async def healthy(settings: Settings, database: Database) -> Settings:
    """An installation with an organisation in which all is well; once for each engine."""
    for folder in (settings.data_dir, settings.recordings_dir, settings.bodies_dir, *settings.spool_dirs):
        folder.mkdir(exist_ok=True, mode=0o700)
        folder.chmod(0o700)
    if settings.is_sqlite:
        settings.sqlite_path.chmod(0o600)
    new = NewOrganization(name="Acme Corp")
    await database.write(organizations.create, settings.key_ring(), new, time.time())
    return settings.model_copy(update={"public_url": "https://calls.example.com"})


def bad(findings: list[Finding]) -> dict[str, str]:
    """Level by check, but for PostgreSQL's haste in tests, and how full this machine's disk is."""
    return {one.check: one.level for one in findings if one.level != "ok" and one.check not in ("durability", "disk")}


async def test_a_healthy_installation_has_no_findings(healthy: Settings) -> None:
    findings = await examine(healthy)
    assert {} == bad(findings)
    assert {"database", "migrations", "keys", "spool", "disk", "permissions", "redis", "organizations", "address"} <= {
        one.check for one in findings
    }
    assert all((one.advice is None) == (one.level == "ok") for one in findings)


async def test_what_others_may_read_is_said(healthy: Settings) -> None:
    key = healthy.data_dir / "secret.key"
    key.write_text(healthy.secret_key)
    key.chmod(0o644)
    healthy.recordings_dir.chmod(0o755)
    found = [one for one in await examine(healthy) if one.check == "permissions"]
    assert {"error", "warning"} == {one.level for one in found}
    assert {f"chmod 0600 {key}", f"chmod 0700 {healthy.recordings_dir}"} == {one.advice for one in found}


async def test_a_late_spool_and_a_damaged_file_are_said(healthy: Settings) -> None:
    (folder,) = healthy.spool_dirs
    (folder / f"{time.time_ns() - 600 * 10**9:020d}-{'0' * 24}.event").write_bytes(b"")
    assert {"spool": "warning"} == bad(await examine(healthy))
    (folder / f"{time.time_ns():020d}-{'0' * 24}.damaged").write_bytes(b"")
    found = [one.level for one in await examine(healthy) if one.check == "spool"]
    assert ["error", "warning"] == found


async def test_a_spool_folder_that_takes_nothing_is_said_and_so_is_ballast_that_a_full_disk_took(
    healthy: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder,) = healthy.spool_dirs
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1 << 30, (1 << 30) - 100, 100))
    wanting = healthy.model_copy(update={"ballast_mib": 64})
    found = [one.finding for one in await examine(wanting) if one.check == "spool" and one.level == "error"]
    assert [f"The ballast of {folder} is released: its disk is full, and recordings may be refused."] == found
    (folder / "ballast").write_bytes(b"room")
    assert "error" not in [one.level for one in await examine(wanting) if one.check == "spool"]

    def failing(fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", failing)
    found = [one.finding for one in await examine(healthy) if one.check == "spool" and one.level == "error"]
    assert [f"{folder} takes nothing: Input/output error."] == found
    assert ["ballast"] == [left.name for left in folder.iterdir()]


async def test_a_key_that_is_missing_is_said_and_an_older_one_is_needed(healthy: Settings) -> None:
    other = new_key_text()
    lost = await examine(healthy.model_copy(update={"secret_key": other}))
    assert {"keys": "error", "organizations": "error"} == bad(lost)
    both = await examine(healthy.model_copy(update={"secret_key": f"{other},{healthy.secret_key}"}))
    assert {} == bad(both)
    assert any("older keys are still needed" in one.finding for one in both)


async def test_an_organisation_whose_door_is_closed_is_said(healthy: Settings, database: Database) -> None:
    (org,) = await database.read(organizations.list_all)
    await database.write(
        organizations.rotate, healthy.key_ring(), org.id, "webhook", "wsec_" + "a" * 64, time.time() - 100, 0
    )
    await database.write(lambda tx: tx.execute(secrets.update().values(expires_at=time.time() - 50)) and None)
    found = [one for one in await examine(healthy) if one.check == "organizations"]
    assert ["warning"] == [one.level for one in found]
    assert "Acme Corp" in found[0].finding


async def test_what_the_guardian_found_is_said_with_its_remedy(healthy: Settings, database: Database) -> None:
    [org] = await database.read(organizations.list_all)
    found = [
        warnings.Finding(code="silence", severity="warning", message="No call for 9 hours.", remedy="Ring the number."),
        warnings.Finding(code="unreachable", severity="watched", message="Not yet.", remedy="Wait."),
        warnings.Finding(code="webhook_disabled", severity="error", message="Off.", remedy="`offhook connect ORG`."),
    ]
    await database.write(warnings.settle, org.id, (), found, time.time())
    assert [
        Finding("guardian", "error", "Acme Corp: Off.", f"`offhook connect {org.id}`."),
        Finding("guardian", "warning", "Acme Corp: No call for 9 hours.", "Ring the number."),
    ] == [one for one in await examine(healthy) if one.check == "guardian"]


async def test_files_that_no_row_names_are_said_and_left(healthy: Settings, database: Database) -> None:
    """But not one that has just come, nor one that an event or a draft has."""
    named, nobodys, new = (hex * 32 for hex in "abc")
    for name in (named, nobodys, new):
        (healthy.recordings_dir / name).write_bytes(b"ID3")
    for name in (named, nobodys):
        os.utime(healthy.recordings_dir / name, (0, 0))
    mine = msgspec.structs.replace(event(payload(BOOKING)), audio=Audio(named, 3, "0" * 64))
    await database.file(event_rows.sealed(mine, healthy.key_ring()))
    [finding] = [one for one in await examine(healthy) if one.check == "files"]
    assert "warning" == finding.level
    assert finding.finding.startswith(f"1 files of recordings and bodies are named by no row, {healthy.recordings_dir}")
    assert nobodys in finding.finding
    assert (healthy.recordings_dir / nobodys).exists()
    (healthy.recordings_dir / nobodys).unlink()
    assert not [one for one in await examine(healthy) if one.check == "files"]


@pytest.mark.parametrize(("url", "level"), [("", "warning"), ("http://calls.example.com", "error")])
async def test_an_address_without_https_is_said(healthy: Settings, url: str, level: str) -> None:
    assert {"address": level} == bad(await examine(healthy.model_copy(update={"public_url": url})))


async def test_a_redis_that_is_not_there_is_a_warning(healthy: Settings) -> None:
    assert {"redis": "warning"} == bad(await examine(healthy.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"})))


async def test_redis_answers(healthy: Settings, redis_url: str) -> None:
    assert {} == bad(await examine(healthy.model_copy(update={"redis_url": redis_url})))


@pytest.mark.parametrize(("percent", "level"), [(50, "ok"), (80, "warning"), (90, "warning"), (95, "error")])
def test_a_disk_that_fills_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, percent: int, level: str) -> None:
    usage = shutil._ntuple_diskusage(1000, percent * 10, 1000 - percent * 10)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    (found,) = doctor._disks({"data": tmp_path})
    assert level == found.level


async def test_a_database_that_was_not_upgraded_is_said(healthy: Settings, database: Database) -> None:
    await database.write(lambda tx: tx.exec_driver_sql("UPDATE alembic_version SET version_num = '0001'") and None)
    assert {"migrations": "error"} == bad(await examine(healthy))


async def test_sqlites_journal_and_damage_are_said(tmp_path: Path) -> None:
    path = tmp_path / "offhook.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.execute("CREATE TABLE numbers (n INTEGER PRIMARY KEY, word TEXT)")
    connection.executemany("INSERT INTO numbers (word) VALUES (?)", [("x" * 500,)] * 500)
    connection.commit()
    connection.close()
    found = [*doctor._of_sqlite(condition.of_sqlite(path))]
    assert [("database", "ok"), ("durability", "warning")] == [(one.check, one.level) for one in found]
    content = bytearray(path.read_bytes())
    content[8192:16384] = os.urandom(8192)
    path.write_bytes(content)
    found = await examine(Settings(data_dir=tmp_path))
    assert "error" in [one.level for one in found if one.check == "database"]


async def test_a_file_that_is_no_database_is_said(tmp_path: Path) -> None:
    (tmp_path / "offhook.db").write_bytes(b"this is no database" * 100)
    assert "error" == bad(await examine(Settings(data_dir=tmp_path)))["database"]


async def test_no_database_at_all_is_said_and_none_is_made(tmp_path: Path) -> None:
    assert "error" == bad(await examine(Settings(data_dir=tmp_path)))["database"]
    assert not (tmp_path / "offhook.db").exists()


async def test_postgresqls_haste_is_said(postgresql_url: str, data_dir: Path, secret_key: str) -> None:
    settings = Settings(data_dir=data_dir, database_url=postgresql_url, secret_key=secret_key)
    found = [one for one in await examine(settings) if one.check == "durability"]  # the tests' cluster is in haste
    assert ["error", "error"] == [one.level for one in found]
    assert "fsync" in found[0].finding


async def test_a_postgresql_that_is_away_is_said(data_dir: Path, secret_key: str) -> None:
    settings = Settings(data_dir=data_dir, database_url="postgresql://x@127.0.0.1:1/x", secret_key=secret_key)
    assert "error" == bad(await examine(settings))["database"]


def test_a_clock_that_differs_is_said() -> None:
    settings = dict.fromkeys(condition.DURABLE, "on")
    levels = {}
    for skew_s in (0.5, 5.0, -90.0):
        found = doctor._of_postgresql(condition.PostgresqlCondition(150004, settings, 1000.0, 5, 100), 1000.0 + skew_s)
        levels[skew_s] = next(one.level for one in found if one.check == "clock")
    assert {0.5: "ok", 5.0: "warning", -90.0: "error"} == levels


def test_the_command_ends_with_1_when_something_is_wrong(server: Server) -> None:
    as_it_is = 1 if _disk_is_full() else 0
    assert "SQLite" in server.offhook("doctor", exit_code=as_it_is)
    server.offhook("doctor", "--json", exit_code=as_it_is)
    (server.data_dir / "secret.key").write_text("x")
    (server.data_dir / "secret.key").chmod(0o644)
    assert "ERROR" in server.offhook("doctor", exit_code=1)


def _disk_is_full() -> bool:
    usage = shutil.disk_usage("/tmp")
    return bool((usage.total - usage.free) / usage.total >= 0.8)
