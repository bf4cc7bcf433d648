"""offhook key: the API keys of an organisation, one for each program that reads or writes over the API."""

import time
from collections.abc import Sequence
from typing import Annotated, Any, get_args

from cyclopts import Parameter

from offhook.cli.group import group
from offhook.cli.installation import installation
from offhook.cli.org import Org
from offhook.cli.terminal import Json, clock, iso, print_json, print_table
from offhook.credentials import Scope, new_secret
from offhook.errors import Mistake
from offhook.store import organizations
from offhook.store.organizations import Secret
from offhook.typed import a_name

app = group("key")


@app.command(
    help_epilogue="""\
Examples:
  offhook key create Acme --label crm --scopes read
  offhook key create Acme --label importer --scopes read,write --json

The key is shown this once, and valid for the next request. read: what there
is; write: change it; admin: add and remove staff, see what was refused at the
doors. None holds another.
"""
)
async def create(
    org: Org,
    /,
    *,
    label: Annotated[str, Parameter(help="Which program has it.")],
    scopes: Annotated[str, Parameter(help="What it may do: read, write, admin, comma-separated.")] = "read",
    json: Json = False,
) -> None:
    """Make an API key for one more program."""
    called, granted, key = a_name(label, "the key"), _scopes(scopes), new_secret("api_key")
    now = time.time()
    async with installation() as here:
        found = await here.database.read(organizations.find, org)
        id = await here.database.write(
            organizations.add_api_key, here.keys, found.id, key, label=called, scopes=granted, now=now
        )
    if json:
        print_json({"id": id, "org_id": found.id, "label": called, "scopes": granted, "api_key": key})
    else:
        print(f"The key {called} of {found.name} ({', '.join(granted)}), shown this once:\n\n  {key}\n")


@app.command(name="list", help_epilogue="Example:\n  offhook key list Acme\n")
async def list_(org: Org, /, *, json: Json = False) -> None:
    """List the valid API keys, and when each was used last."""
    async with installation() as here:
        found = await here.database.read(organizations.find, org)
        keys = await here.database.read(organizations.api_keys_of, found.id, time.time())
    if json:
        print_json([_facts(key) for key in keys])
        return
    print_table(
        ("id", "label", "scopes", "made", "last used"),
        ((key.id, key.label, key.scopes, clock(key.created_at), clock(key.last_used_at) or "never") for key in keys),
    )


@app.command(help_epilogue="Example:\n  offhook key revoke Acme crm\n")
async def revoke(
    org: Org, key: Annotated[str, Parameter(name="KEY", help="Its label or id.")], /, *, json: Json = False
) -> None:
    """Close an API key at once; `org rotate ORG api-key` replaces the organisation's own."""
    async with installation() as here:
        found = await here.database.read(organizations.find, org)
        revoked = await here.database.write(organizations.revoke_api_key, found.id, key, time.time())
    if json:
        print_json(_facts(revoked))
    else:
        print(f"The key {revoked.label or revoked.id} of {found.name} is closed.")


def _scopes(words: str) -> Sequence[Scope]:
    """In their usual order; Mistake for none, and for a word that is no scope."""
    typed = {word.strip().lower() for word in words.split(",") if word.strip()}
    known: tuple[Scope, ...] = get_args(Scope)
    if not typed or typed - set(known):
        raise Mistake(f"{words!r} is no list of scopes: write read, write, admin, or several with commas between.")
    return [scope for scope in known if scope in typed]


def _facts(key: Secret) -> dict[str, Any]:
    return {
        "id": key.id,
        "org_id": key.org_id,
        "label": key.label,
        "scopes": key.scopes.split(),
        "created_at": iso(key.created_at),
        "last_used_at": iso(key.last_used_at),
        "expires_at": iso(key.expires_at),
    }
