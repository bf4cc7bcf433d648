"""The secrets of an organisation of this very machine, so that `offhook simulate --org` need not be told them."""

import time

from offhook.credentials import new_secret
from offhook.errors import Mistake
from offhook.sealing import KeyRing
from offhook.settings import Settings, load
from offhook.simulator.sender import Target
from offhook.store import organizations
from offhook.store.database import Database
from offhook.store.engine import opened_database
from offhook.store.organizations import Secret

LABEL = "simulate"


async def target_of(org: str, base_url: str, lasts_s: float) -> Target:
    """The organisation by its id or name. The tool secret is a new one that expires by itself after *lasts_s*."""
    settings = load()
    if settings.is_sqlite and not settings.sqlite_path.exists():
        raise Mistake(
            f"There is no offhook database at {settings.sqlite_path}: OFFHOOK_DATA_DIR says where it lies, or give "
            "--webhook-secret and --tool-secret instead of --org."
        )
    async with opened_database(settings) as database:
        return await _target(database, settings, org, base_url, lasts_s)


async def _target(database: Database, settings: Settings, org: str, base_url: str, lasts_s: float) -> Target:
    keys, now = settings.key_ring(), time.time()
    found = await database.read(organizations.find, org)
    webhook_secret = _opened(keys, await database.read(organizations.secrets_of, found.id), found.name, now)
    lent = new_secret("tool")
    await database.write(organizations.lend_tool_secret, keys, found.id, lent, LABEL, now, lasts_s)
    return Target(base_url, webhook_secret, lent, found.id)


def _opened(keys: KeyRing, secrets: list[Secret], org_name: str, now: float) -> str:
    """The newest webhook secret that is valid."""
    for secret in secrets:
        if secret.sealed is not None and (secret.expires_at is None or secret.expires_at > now):
            return keys.open(secret.sealed, bound_to=secret.id).decode()
    raise Mistake(f"{org_name} has no webhook secret: `offhook org rotate {org_name!r} webhook-secret` makes one.")
