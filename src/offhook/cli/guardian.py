"""offhook guardian: whether calls arrive, looked at now."""

import time
from typing import Any

from offhook.cli.installation import Installation, installation
from offhook.cli.org import Org
from offhook.cli.terminal import Json, clock, iso, plain, print_json
from offhook.guardian.alert import details_of
from offhook.guardian.lookout import Lookout
from offhook.store import organizations, warnings, workspaces
from offhook.store.warnings import Standing

_MARKS = {"warning": "warning", "error": "ERROR"}


async def guardian(org: Org, /, *, json: Json = False) -> int:
    """Look whether an organisation's calls arrive, at ElevenLabs and here; exit code 1 when something is wrong."""
    async with installation() as here:
        found = await here.database.read(organizations.find, org)
        is_connected = await here.database.read(workspaces.get, here.keys, found.id) is not None
        await _lookout(here).look_at(found.id)
        standing = await here.database.read(warnings.standing, found.id)
    if json:
        print_json([_facts(one) for one in standing])
    else:
        _print(standing, found.name, is_connected=is_connected)
    return 1 if standing else 0


def _lookout(here: Installation) -> Lookout:
    settings = here.settings
    return Lookout(
        here.database,
        here.keys,
        time.time,
        public_url=settings.public_url,
        elevenlabs_url=settings.elevenlabs_url,
        is_telling=bool(settings.alert_url),
    )


def _print(standing: list[Standing], name: str, *, is_connected: bool) -> None:
    for one in standing:
        print(f"{_MARKS[one.severity]:<8} {one.code}  since {clock(one.since)}")
        for line in (one.message, *details_of(one), one.remedy.replace("ORG", one.org_id)):
            print(f"{'':9}{plain(line)}")
    if not standing:
        print(f"Nothing is wrong with {plain(name)}.")
    if not is_connected:
        print("It is not connected, so ElevenLabs was not asked: `offhook connect` does it.")


def _facts(one: Standing) -> dict[str, Any]:
    return {
        "org_id": one.org_id,
        "code": one.code,
        "severity": one.severity,
        "message": one.message,
        "remedy": one.remedy,
        "details": one.details,
        "since": iso(one.since),
        "seen_at": iso(one.seen_at),
        "told_at": iso(one.told_at),
    }
