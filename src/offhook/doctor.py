"""Everything that a running installation needs, looked at once: each finding says how bad it is, and what to do.

It leaves nothing behind, asks nobody on the internet, and may run beside a server.
"""

import asyncio
import os
import sqlite3
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from offhook.disks import Ballast, Level, disks, is_full
from offhook.errors import Damaged, OffhookError, Unavailable
from offhook.sealing import KeyRing
from offhook.settings import Settings
from offhook.spool import probe
from offhook.store import condition, organizations, recordings, snapshots, warnings
from offhook.store.condition import PostgresqlCondition
from offhook.store.database import Database
from offhook.store.engine import opened_database
from offhook.store.migrations import revision
from offhook.store.organizations import Organization
from offhook.store.warnings import Standing

_OLDEST_SQLITE, _OLDEST_POSTGRESQL = (3, 35, 0), 130_000
_SKEW_S, _WRONG_S = 2.0, 60.0
_FEW_CONNECTIONS = 20
_LATE_S = 60.0  #: what is spooled is drained within seconds
_REDIS_S = 2.0
_FILED_S = 3600.0  #: a file has its row within seconds
_PAGE_ROWS = 5000
_LOCAL = ("127.0.0.1", "localhost", "::1")


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at."""

    check: str
    level: Level
    finding: str
    advice: str | None = None  #: what to do; None when it is ok


async def examine(settings: Settings) -> list[Finding]:
    """All of it; a database that cannot be reached is a finding, and what only it knows is left out."""
    found = [*_places(settings), *_spool(settings), *_address(settings), *await _redis(settings)]
    return [*found, *await _database(settings)]


def _ok(check: str, finding: str) -> Finding:
    return Finding(check, "ok", finding)


# Files


def _places(settings: Settings) -> Iterator[Finding]:
    folders = [*settings.folders.values()]
    there = [folder for folder in dict.fromkeys(folders) if folder.is_dir()]
    for folder in dict.fromkeys(folders):
        if folder not in there:
            yield Finding("folders", "warning", f"{folder} is not there yet.", "`offhook serve` makes it.")
        elif not os.access(folder, os.W_OK | os.X_OK):
            yield Finding(
                "folders", "error", f"{folder} cannot be written.", f"Give it to the server's user: chown {folder}."
            )
    yield from _disks(settings.folders)
    yield from _permissions(there, [settings.data_dir / "secret.key", settings.sqlite_path])


def _disks(folders: Mapping[str, Path]) -> Iterator[Finding]:
    """One finding a disk."""
    for disk in disks(folders):
        finding = f"The disk of {disk.path} is {disk.percent:.0f} % full; {disk.free_bytes >> 20} MiB are free."
        advice = "Make room, or move recordings to another disk."
        yield Finding("disk", disk.level, finding, None if disk.level == "ok" else advice)


def _permissions(folders: Iterable[Path], files: Iterable[Path]) -> Iterator[Finding]:
    wrong = [(path, "0700") for path in folders if _is_open(path)]
    wrong += [(path, "0600") for path in files if path.is_file() and _is_open(path)]
    for path, mode in wrong:
        level: Level = "error" if path.name == "secret.key" else "warning"
        yield Finding("permissions", level, f"Others on this machine may read {path}.", f"chmod {mode} {path}")
    if not wrong:
        yield _ok("permissions", "Nobody else on this machine may read what lies here.")


def _is_open(path: Path) -> bool:
    return bool(stat.S_IMODE(path.stat().st_mode) & 0o077)


def _spool(settings: Settings) -> Iterator[Finding]:
    folders = [folder for folder in settings.spool_dirs if folder.is_dir()]
    damaged = [path for folder in folders for path in folder.glob("*.damaged")]
    waiting = [path for folder in folders for path in folder.glob("*.event")]
    if damaged:
        advice = "Look at them: the key that sealed them may be missing. Renamed to .event, they are tried again."
        yield Finding("spool", "error", f"{len(damaged)} spooled events are damaged, {damaged[0]} the first.", advice)
    yield from _sick(folders)
    yield from _ballast(folders, settings.ballast_mib)
    age_s = max((time.time() - _spooled_at(path) for path in waiting), default=0.0)
    if age_s > _LATE_S:
        finding = f"{len(waiting)} events wait in the spool, the oldest for {age_s / 60:.0f} min."
        yield Finding(
            "spool",
            "warning",
            finding,
            "Nothing is lost: see why the database does not take them, and that a server runs.",
        )
    elif not damaged:
        yield _ok("spool", f"{len(waiting)} events wait in the spool.")


def _sick(folders: Iterable[Path]) -> Iterator[Finding]:
    """As a server finds out: by a small file."""
    for folder in folders:
        try:
            probe(folder)
        except OSError as error:
            advice = (
                "See to its disk (dmesg, mount, smartctl); another folder in OFFHOOK_SPOOL_DIR takes over meanwhile."
            )
            level: Level = "warning" if is_full(error) else "error"
            yield Finding("spool", level, f"{folder} takes nothing: {error.strerror}.", advice)


def _ballast(folders: Iterable[Path], wanted_mib: int) -> Iterator[Finding]:
    """Only where there is too little room for it: else no server has been started yet."""
    for disk in disks({str(folder): folder for folder in folders}):
        has_ballast = any(Ballast(Path(folder), 0).lies() for folder in disk.folders)
        if wanted_mib and not has_ballast and disk.free_bytes < wanted_mib << 20:
            finding = f"The ballast of {disk.path} is released: its disk is full, and recordings may be refused."
            yield Finding("spool", "error", finding, "Make room: the server lays it down again by itself.")


def _spooled_at(path: Path) -> float:
    """Its name begins with it, in nanoseconds."""
    digits = path.name[:20]
    return int(digits) / 1e9 if digits.isdigit() else path.stat().st_mtime


def _address(settings: Settings) -> Iterator[Finding]:
    url = urlsplit(settings.public_url)
    if not settings.public_url:
        yield Finding(
            "address", "warning", "OFFHOOK_PUBLIC_URL is not set.", "Set it to the https address that ElevenLabs calls."
        )
    elif url.scheme != "https" and url.hostname not in _LOCAL:
        yield Finding(
            "address",
            "error",
            f"{settings.public_url} is not https.",
            "Put a proxy with HTTPS in front; secrets are sent there.",
        )
    else:
        yield _ok("address", f"The world reaches it at {settings.public_url}.")


# Others


async def _redis(settings: Settings) -> list[Finding]:
    if not settings.redis_url:
        return [_ok("redis", "No Redis is used; the database does its work.")]
    import redis.asyncio  # it takes a tenth of a command's start
    from redis.exceptions import RedisError

    client = redis.asyncio.Redis.from_url(
        settings.redis_url, socket_connect_timeout=_REDIS_S, socket_timeout=_REDIS_S, retry=None
    )
    try:
        async with asyncio.timeout(_REDIS_S):
            await client.execute_command("PING")  # type: ignore[no-untyped-call]
    except (RedisError, OSError, TimeoutError) as error:
        finding = f"Redis does not answer: {type(error).__name__}."
        return [Finding("redis", "warning", finding, "No request fails by it; start it, or unset OFFHOOK_REDIS_URL.")]
    finally:
        await client.aclose()
    return [_ok("redis", "Redis answers.")]


async def _database(settings: Settings) -> list[Finding]:
    if settings.is_sqlite:
        if not settings.sqlite_path.exists():
            finding = f"There is no database at {settings.sqlite_path}."
            return [
                Finding("database", "error", finding, "`offhook org create NAME` makes it, or set OFFHOOK_DATA_DIR.")
            ]
        try:
            first = [*_of_sqlite(await asyncio.to_thread(condition.of_sqlite, settings.sqlite_path))]
        except sqlite3.Error as error:
            advice = "Stop the server and restore the backup; keep the damaged file."
            return [Finding("database", "error", f"The database cannot be read: {error}.", advice)]
    else:
        first = []
    try:
        keys = settings.key_ring()
        found, wanted = await revision(settings)
        if found != wanted:
            finding = f"The tables are at {found or 'nothing'}, this version wants {wanted}."
            return [*first, Finding("migrations", "error", finding, "Run `offhook db upgrade`.")]
        async with opened_database(settings) as database:
            first += [_ok("migrations", f"The tables are at {found}."), *await _contents(database, keys)]
            return [*first, *await _files(database, settings)]
    except (Unavailable, OffhookError) as error:
        advice = "See that it runs, and that OFFHOOK_DATABASE_URL is right; events go to the spool meanwhile."
        return [*first, Finding("database", "error", error.message, advice)]


async def _files(database: Database, settings: Settings) -> list[Finding]:
    """A crash between a file and its row leaves the file. None are deleted: they may be of another installation."""
    nobodys = await asyncio.to_thread(_old_files, settings)
    after_seq: int | None = 0
    while nobodys and after_seq is not None:
        named, after_seq = await database.read(snapshots.files_named, after_seq, _PAGE_ROWS)
        for name in named:
            nobodys.pop(name, None)
    some = sorted(nobodys)[:_PAGE_ROWS]
    for name in await database.read(recordings.files_among, some) if some else ():
        nobodys.pop(name, None)
    if not nobodys:
        return []
    finding = f"{len(nobodys)} files of recordings and bodies are named by no row, {min(nobodys.values())} the first."
    advice = "A crash left them, and nobody was answered. If no other installation keeps its own there, delete them."
    return [Finding("files", "warning", finding, advice)]


def _old_files(settings: Settings) -> dict[str, Path]:
    """Those that have long had their row, by name; none while events wait in the spool, which name some, too."""
    if any(next(folder.glob("*.event"), None) for folder in settings.spool_dirs):
        return {}
    before = time.time() - _FILED_S
    folders = settings.recordings_dir, settings.bodies_dir
    return {path.name: path for folder in folders for path in folder.glob("?" * 32) if _is_older(path, before)}


def _is_older(path: Path, before: float) -> bool:
    try:
        return path.is_file() and path.stat().st_mtime < before
    except OSError:  # a server that runs has taken it back just now
        return False


def _of_sqlite(found: condition.SqliteCondition) -> Iterator[Finding]:
    if found.damage:
        advice = (
            "Stop the server, keep the file, and restore the backup; `sqlite3 FILE .recover` saves what is legible."
        )
        yield Finding("database", "error", f"SQLite finds damage: {found.damage[0]}", advice)
    else:
        yield _ok("database", f"SQLite {found.version} finds no damage.")
    if tuple(map(int, found.version.split("."))) < _OLDEST_SQLITE:
        yield Finding(
            "database", "error", f"SQLite {found.version} is too old.", "Use a Python with SQLite 3.35 or newer."
        )
    if found.journal_mode != "wal":
        advice = (
            "Something else has changed it; the server sets WAL again when it starts. Leave the file to offhook alone."
        )
        yield Finding("durability", "warning", f"The journal is {found.journal_mode}, not wal.", advice)
    else:
        yield _ok("durability", "The journal is WAL, and every commit is synced (synchronous=FULL is set by offhook).")


async def _contents(database: Database, keys: KeyRing) -> list[Finding]:
    now = time.time()
    found: list[Finding] = []
    if database.name == "postgresql":
        asked_at = time.time()
        facts = await database.read(condition.of_postgresql)
        found += _of_postgresql(facts, (asked_at + time.time()) / 2)
    found += _clock(now)
    found += _keys(await database.read(condition.keys_in_use), keys)
    found += await _organizations(database, keys, now)
    found += _guardian(await database.read(warnings.standing), await database.read(organizations.list_all))
    found += _standing(await database.read(condition.standing))
    return found


def _of_postgresql(found: PostgresqlCondition, now: float) -> Iterator[Finding]:
    off = [name for name in condition.DURABLE if found.settings.get(name) == "off"]
    for name in off:
        cure = f"ALTER SYSTEM SET {name} = on; SELECT pg_reload_conf();"
        yield Finding("durability", "error", f"PostgreSQL has {name}=off: a power cut loses calls.", cure)
    if not off:
        yield _ok("durability", "PostgreSQL keeps what it acknowledged (fsync, full_page_writes, synchronous_commit).")
    if found.version < _OLDEST_POSTGRESQL:
        yield Finding("database", "error", f"PostgreSQL {found.version // 10_000} is too old.", "Use 13 or newer.")
    else:
        yield _ok("database", f"PostgreSQL {found.version // 10_000}.{found.version % 10_000} answers.")
    left = found.most_connections - found.connections
    level: Level = "warning" if left < _FEW_CONNECTIONS else "ok"
    advice = "Raise max_connections, or end what holds them; each server uses up to 18." if level != "ok" else None
    yield Finding("connections", level, f"{left} of {found.most_connections} connections are left.", advice)
    skew_s = now - found.now
    if abs(skew_s) > _SKEW_S:
        finding = f"This machine's clock is {abs(skew_s):.1f} s {'ahead of' if skew_s > 0 else 'behind'} PostgreSQL's."
        yield Finding("clock", "error" if abs(skew_s) > _WRONG_S else "warning", finding, _SET_CLOCK)
    else:
        yield _ok("clock", f"This clock and PostgreSQL's agree to {abs(skew_s):.2f} s.")


_SET_CLOCK = "Let both follow a time server (chrony, systemd-timesyncd)."
_BUILT_AT = 1_790_000_000.0  #: 2026-09: no clock that is right is before it


def _clock(now: float) -> Iterator[Finding]:
    if now < _BUILT_AT:
        yield Finding("clock", "error", "This machine's clock is before offhook was made.", _SET_CLOCK)


def _keys(in_use: set[bytes], keys: KeyRing) -> Iterator[Finding]:
    unknown, older = in_use - set(keys.names), in_use & set(keys.names[1:])
    if unknown:
        names = ", ".join(one.hex() for one in sorted(unknown))
        finding = f"{len(unknown)} keys that sealed what is stored are not here: {names}."
        yield Finding(
            "keys", "error", finding, "Add them to OFFHOOK_SECRET_KEY, behind the newest; nothing else opens it."
        )
    if older:
        yield _ok("keys", f"{len(older)} older keys are still needed: leave them in OFFHOOK_SECRET_KEY.")
    if not unknown:
        yield _ok("keys", "The keys open what is stored.")


async def _organizations(database: Database, keys: KeyRing, now: float) -> list[Finding]:
    known = await database.read(organizations.list_all)
    if not known:
        return [
            Finding("organizations", "warning", "There is no organisation yet.", "`offhook org create NAME` makes one.")
        ]
    closed = set(await database.read(condition.without_webhook_secret, [one.id for one in known], now))
    advice = "`offhook org rotate {} webhook-secret` gives it one."
    found = [
        Finding(
            "organizations",
            "warning",
            f"{one.name} has no webhook secret: its events are refused.",
            advice.format(one.id),
        )
        for one in known
        if one.id in closed
    ]
    for one in known:
        for secret in await database.read(organizations.secrets_of, one.id):
            if secret.sealed is not None and not _opens(keys, secret):
                finding = f"A webhook secret of {one.name} cannot be opened."
                found.append(Finding("organizations", "error", finding, advice.format(one.id)))
    return found or [_ok("organizations", f"{len(known)} organisations have their webhook secrets.")]


def _opens(keys: KeyRing, secret: organizations.Secret) -> bool:
    try:
        keys.open(secret.sealed or b"", bound_to=secret.id)
    except Damaged:
        return False
    return True


def _guardian(found: Iterable[Standing], known: Iterable[Organization]) -> Iterator[Finding]:
    """What it found at its last look; `offhook guardian` looks again, and says which agent or address is meant."""
    names = {one.id: one.name for one in known}
    for one in found:
        level: Level = "error" if one.severity == "error" else "warning"
        finding = f"{names.get(one.org_id, one.org_id)}: {one.message}"
        yield Finding("guardian", level, finding, one.remedy.replace("ORG", one.org_id))


def _standing(standing: condition.Standing) -> Iterator[Finding]:
    if standing.quarantined:
        finding = f"{standing.quarantined} events could not be understood and were set aside."
        yield Finding("events", "warning", finding, "`offhook events list --status quarantined` says why.")
    if standing.dead_effects:
        finding = f"{standing.dead_effects} effects were given up."
        advice = "`offhook effects list --status dead` says why, `offhook effects retry --status dead` tries again."
        yield Finding("effects", "warning", finding, advice)
