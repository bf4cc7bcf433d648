"""offhook backup, offhook restore: everything in one file, and back."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators

from offhook import logs
from offhook.backup.archive import Manifest
from offhook.backup.drill import drill
from offhook.backup.restoring import restore as put_back
from offhook.backup.taking import size_of, take
from offhook.cli.installation import installation, quiet
from offhook.cli.progress import bar
from offhook.cli.terminal import Json, iso, print_facts, print_json
from offhook.errors import Mistake
from offhook.settings import load

_Flag = Parameter(negative="", show_default=False)


async def backup(
    to: Annotated[Path | None, Parameter(name="TO", help="The file to write; there must be none.")] = None,
    /,
    *,
    with_key: Annotated[bool, _Flag, Parameter(help="Put the secret key into it, too: guard it accordingly.")] = False,
    verify: Annotated[Path | None, Parameter(help="Write nothing: restore this backup for trial.")] = None,
    events: Annotated[
        int, Parameter(help="Of the trial: so many events, by lot, are understood.", validator=validators.Number(gte=0))
    ] = 100,
    json: Json = False,
) -> int:
    """Write everything into one file, beside a running server if there is one; or try one that was written."""
    if (to is None) is (verify is None):
        raise Mistake("Say where to: `offhook backup TO.tar`, or which one to try: `offhook backup --verify FROM.tar`.")
    return await (_verified(verify, events, json=json) if verify else _taken(to or Path(), with_key, json=json))


async def restore(
    source: Annotated[Path, Parameter(name="FROM", help="The file.")],
    /,
    *,
    into: Annotated[Path | None, Parameter(help="The data directory to make. [default: OFFHOOK_DATA_DIR]")] = None,
    json: Json = False,
) -> None:
    """Put a backup into an empty place: a data directory, and with PostgreSQL an empty database."""
    settings = load(**({} if into is None else {"data_dir": into}))
    logs.set_up(quiet(settings))
    with bar("Restoring", 2 * _size(source), is_bytes=True) as advance:
        manifest = await put_back(source, settings, advance=advance)
    facts = {"into": str(settings.data_dir), **_facts(manifest), "counts": manifest.counts}
    if json:
        print_json(facts)
        return
    print_facts((name, value) for name, value in facts.items() if name != "counts")
    print("Everything is back: `offhook doctor` looks at it, `offhook serve` starts it.")
    if not settings.secret_key and not (settings.data_dir / "secret.key").exists():
        print(
            f"Put the key {_keys(manifest)} into {settings.data_dir / 'secret.key'}, or set OFFHOOK_SECRET_KEY, first."
        )


async def _taken(to: Path, with_key: bool, *, json: bool) -> int:
    async with installation() as here:
        settings = here.settings
    with bar("Backing up", size_of(settings), is_bytes=True) as advance:
        taken = await take(settings, to, with_key=with_key, advance=advance)
    facts = {"file": str(to), "bytes": taken.size_bytes, **_facts(taken.manifest)}
    if json:
        print_json({**facts, "counts": taken.manifest.counts, "findings": taken.findings})
    else:
        print_facts(facts.items())
        for finding in taken.findings:
            print(finding)
        print(_about_key(taken.manifest))
    return int(bool(taken.findings))


async def _verified(source: Path, events: int, *, json: bool) -> int:
    settings = load()
    logs.set_up(quiet(settings))
    with bar("Trying", 2 * _size(source), is_bytes=True) as advance:
        drilled = await drill(source, settings, events=events, advance=advance)
    facts = {"file": str(source), **_facts(drilled.manifest), "opened": drilled.opened, "folded": drilled.folded}
    if json:
        print_json({**facts, "counts": drilled.manifest.counts, "findings": drilled.findings})
    else:
        print_facts(facts.items())
        for finding in drilled.findings:
            print(finding)
        print(
            "It can be restored." if not drilled.findings else "It was restored for trial, and that is wrong with it."
        )
    return int(bool(drilled.findings))


def _about_key(manifest: Manifest) -> str:
    if manifest.head.is_with_key:
        return "The secret key is in it: whoever has this file can read everything, and sign as you do."
    return (
        f"The secret key is not in it: without {_keys(manifest)} (OFFHOOK_SECRET_KEY, or secret.key in the data directory) "
        "the backup cannot be read. Keep it, somewhere else than this file."
    )


def _facts(manifest: Manifest) -> dict[str, object]:
    head = manifest.head
    return {
        "created_at": iso(head.created_at),
        "offhook": head.offhook,
        "database": head.engine,
        "revision": head.revision,
        "members": len(manifest.members),
        "events": manifest.counts.get("events", 0),
        "calls": manifest.counts.get("calls", 0),
        "is_with_key": head.is_with_key,
        "keys": list(head.keys),
    }


def _keys(manifest: Manifest) -> str:
    return " and ".join(manifest.head.keys)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise Mistake(f"{path} cannot be read: {error.strerror}.") from None
