"""offhook spool: events that wait for the database, on this machine or left behind by another."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter
from rich.console import Console
from rich.progress import track

from offhook import logs
from offhook.cli.group import group
from offhook.cli.installation import Installation, installation
from offhook.cli.terminal import Json, clock, iso, print_facts, print_json, print_table
from offhook.drafts import adopt
from offhook.errors import Damaged, Mistake, Unavailable
from offhook.events import Event, Filed
from offhook.inbox import from_spool
from offhook.sealing import KeyRing
from offhook.settings import Settings, load
from offhook.spool import Spool
from offhook.store import events as event_rows
from offhook.voice.parts import Folders

_FILE_S = 10.0

app = group("spool")

From = Annotated[
    Path | None,
    Parameter(name="--from", help="A spool folder that another machine left. [default: those of OFFHOOK_SPOOL_DIR]"),
]


class _Left(msgspec.Struct, frozen=True):
    """A file that was not drained."""

    file: str
    reason: str


@app.command(
    name="list",
    help_epilogue="""\
Examples:
  offhook spool list
  offhook spool list --from /mnt/old-server/spool --json

It needs the key, and no database. A running server drains its spool within
seconds: what stands here for longer waits for the database.
""",
)
def list_(*, from_: From = None, json: Json = False) -> None:
    """List the events that wait in the spool, the oldest first, and what was damaged."""
    settings = load()
    logs.set_up(settings.model_copy(update={"log_level": "error"}))
    spool = _spool(settings, _keys(settings), from_)
    found = [*_waiting(spool), *({"file": str(path), "state": "damaged"} for path in spool.damaged())]
    if json:
        print_json([{**one, "received_at": iso(one.get("received_at"))} for one in found])
        return
    headings = ("file", "state", "event", "type", "organisation", "conversation", "received")
    rows = ((*(one.get(key) for key in _KEYS), clock(one.get("received_at"))) for one in found)
    print_table(headings, rows)
    print(f"{len(found)} files")


@app.command(
    help_epilogue="""\
Examples:
  offhook spool drain
  offhook spool drain --from /mnt/old-server/offhook-data/spool

Each event is filed once, however often it is drained, and its file deleted
when the database has it. Recordings come along where the folders recordings
and bodies lie beside the spool, as they do in a data directory. The key that
sealed it must be in OFFHOOK_SECRET_KEY. What is damaged, or misses its
recording, is named and left where it is: exit code 1.
"""
)
async def drain(*, from_: From = None, json: Json = False) -> int:
    """File what waits in the spool; a server that runs does it by itself with its own."""
    async with installation() as here:
        spool = _spool(here.settings, here.keys, from_)
        beside = Folders(*_stores_beside(from_), here.keys) if from_ is not None else None
        filed: list[Filed] = []
        left = [_Left(str(path), "It was set aside as damaged.") for path in spool.damaged()]
        for path in _shown(spool.waiting()):
            outcome = await _drain(here, spool, path, beside)
            (left if isinstance(outcome, _Left) else filed).append(outcome)  # type: ignore[arg-type]
    _print(filed, left, json=json)
    return int(bool(left))


# What is in a spool


_KEYS = ("file", "state", "id", "type", "org_id", "conversation_id")


def _keys(settings: Settings) -> KeyRing:
    """Those that are there: a list makes none."""
    if not settings.secret_key and not (settings.data_dir / "secret.key").exists():
        raise Mistake(f"There is no key in {settings.data_dir}: set OFFHOOK_SECRET_KEY or OFFHOOK_DATA_DIR.")
    return settings.key_ring()


def _spool(settings: Settings, keys: KeyRing, folder: Path | None) -> Spool:
    if folder is not None and not folder.is_dir():
        raise Mistake(f"{folder} is no folder.")
    return Spool(settings.spool_dirs if folder is None else (folder,), keys)


def _waiting(spool: Spool) -> Iterator[dict[str, Any]]:
    for path in spool.waiting():
        try:
            yield {"file": str(path), "state": "waiting", **_facts(spool.load(path))}
        except FileNotFoundError:  # the server drained it just now
            continue
        except (Damaged, OSError) as error:
            yield {"file": str(path), "state": "damaged", "reason": str(error)}


def _facts(event: Event) -> dict[str, Any]:
    names = {"id": event.id, "org_id": event.org_id, "type": event.type, "conversation_id": event.conversation_id}
    return {**names, "received_at": event.received_at, "bytes": event.size_bytes}


# Draining


async def _drain(here: Installation, spool: Spool, path: Path, beside: Folders | None) -> Filed | _Left:
    try:
        event = from_spool(spool.load(path))
        _fetch_files(event, _folders(here), beside)
        async with asyncio.timeout(_FILE_S):
            filed = await here.database.file(event_rows.sealed(event, here.keys))
    except (Damaged, OSError, Unavailable, TimeoutError) as error:
        return _Left(str(path), str(error) or "The database did not take it in time.")
    return _deleted(path) or filed


def _deleted(path: Path) -> _Left | None:
    """None when it is."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        return _Left(str(path), f"It is on file, but cannot be deleted: {error.strerror}.")
    return None


def _folders(here: Installation) -> Folders:
    return Folders(here.settings.recordings_dir, here.settings.bodies_dir, here.keys)


def _stores_beside(spool: Path) -> tuple[Path, Path]:
    """Where the other machine kept its recordings and bodies, when that is its data directory."""
    return spool.resolve().parent / "recordings", spool.resolve().parent / "bodies"


def _fetch_files(event: Event, here: Folders, beside: Folders | None) -> None:
    """Have the files that *event* names; Damaged when one is neither here nor beside the spool."""
    for kind, name in _files_of(event):
        place: Path = getattr(here, kind)
        if (place / name).exists():
            continue
        if beside is None or not (found := getattr(beside, kind) / name).exists():
            raise Damaged(f"Its file {name} is not in {place}: copy the other machine's {kind} there, and drain again.")
        adopt(found, place)


def _files_of(event: Event) -> set[tuple[str, str]]:
    parts = {("recordings" if part.encoding == "base64" else "bodies", part.file) for part in event.parts}
    return parts | ({("recordings", event.audio.file)} if event.audio else set())


# What is shown


def _shown(paths: list[Path]) -> Iterator[Path]:
    """With a bar, where somebody looks on."""
    console = Console(stderr=True)
    yield from track(paths, "Draining", console=console, transient=True, disable=not sys.stderr.isatty())


def _print(filed: list[Filed], left: list[_Left], *, json: bool) -> None:
    repeated = sum(not one.is_new for one in filed)
    if json:
        counts = {"drained": len(filed), "repeated": repeated}
        print_json({**counts, "left": [msgspec.structs.asdict(one) for one in left]})
        return
    print_facts([("drained", len(filed)), ("were on file before", repeated), ("left", len(left))])
    print_facts((one.file, one.reason) for one in left)
