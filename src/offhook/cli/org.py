"""offhook org: organisations and their secrets."""

import time
from typing import Annotated, Any, Literal

import sqlalchemy as sa
from cyclopts import Parameter

from offhook.cli.group import group
from offhook.cli.installation import installation
from offhook.cli.org_settings import HELP, Assigned, decided, read_assignments
from offhook.cli.terminal import Json, clock, iso, print_facts, print_json, print_table
from offhook.credentials import Kind, new_secret, typed_secret
from offhook.phone import DEFAULT_COUNTRY
from offhook.places import country_of_timezone, typed_country, typed_timezone
from offhook.settings import Settings
from offhook.store import organizations
from offhook.store.organizations import Agent, NewOrganization, Number, Organization, Secret
from offhook.typed import a_duration, a_name

_DEFAULT_URL = "http://127.0.0.1:2212"

SecretName = Literal["webhook-secret", "tool-secret", "api-key"]
_KINDS: dict[SecretName, Kind] = {"webhook-secret": "webhook", "tool-secret": "tool", "api-key": "api_key"}
_NAMES = {kind: name for name, kind in _KINDS.items()}

Org = Annotated[str, Parameter(name="ORG", help="Its id, or its name where only one has it.")]

app = group("org")


@app.command(
    help_epilogue="""\
Examples:
  offhook org create "Acme Corp" --timezone America/Toronto
  offhook org create Acme --webhook-secret wsec_... --json

The secrets are shown this once: afterwards they are here as hashes, or sealed.
They are valid for the next request, also beside a running server.
`offhook org rotate` makes new ones.
"""
)
async def create(
    name: Annotated[str, Parameter(name="NAME", help="What it is called; its agents may say it to callers.")],
    /,
    *,
    timezone: Annotated[str, Parameter(help="Its IANA time zone, such as America/Toronto.")] = "UTC",
    country: Annotated[
        str | None, Parameter(help="Where national numbers are dialled (ISO 3166). [default: its time zone's, else US]")
    ] = None,
    webhook_secret: Annotated[
        str | None, Parameter(help="The secret that ElevenLabs drew for its post-call webhook. [default: a new one]")
    ] = None,
    tool_secret: Annotated[
        str | None, Parameter(help="What its agents present as bearer. [default: a new one]")
    ] = None,
    json: Json = False,
) -> None:
    """Make an organisation, and say what to paste into ElevenLabs."""
    new = _new_organization(name, timezone, country, webhook_secret, tool_secret)
    async with installation(is_made=True) as here:
        await here.database.write(organizations.create, here.keys, new, time.time())
    shown = {"id": new.id, "name": new.name, "timezone": new.timezone} | _secrets_and_addresses(new, here.settings)
    if json:
        print_json(shown)
    else:
        print(_instructions(shown, is_brought=webhook_secret is not None, is_public=bool(here.settings.public_url)))


@app.command(name="list", help_epilogue="Example:\n  offhook org list --json | jq -r '.[].name'\n")
async def list_(*, json: Json = False) -> None:
    """List the organisations."""
    async with installation() as here:
        found = await here.database.read(organizations.list_all)
    if json:
        print_json([_facts(organization) for organization in found])
    else:
        rows = ((one.id, one.name, one.timezone, one.country, clock(one.created_at)) for one in found)
        print_table(("id", "name", "time zone", "country", "made"), rows)


@app.command(help_epilogue='Examples:\n  offhook org show "Acme Corp"\n  offhook org show 5e0a... --json\n')
async def show(org: Org, /, *, json: Json = False) -> None:
    """Show an organisation: its addresses, agents, numbers, and when each secret was used last."""
    async with installation() as here:
        found = await here.database.read(organizations.find, org)
        secrets = await here.database.read(organizations.secrets_of, found.id)
        agents = await here.database.read(organizations.agents_of, found.id)
        numbers = await here.database.read(organizations.numbers_of, found.id)
    addresses = _addresses(found.id, here.settings)
    if json:
        print_json(_facts(found) | addresses | _parts(secrets, agents, numbers))
    else:
        print_facts([*_heading(found), *addresses.items()])
        _print_tables(secrets, agents, numbers)


@app.command(
    name="set",
    help_epilogue=HELP,
)
async def set_(
    org: Org,
    /,
    *assignments: Annotated[str, Parameter(name="KEY=VALUE", help="What to change, see below.")],
    json: Json = False,
) -> None:
    """Change an organisation's name, time zone, country or rules."""
    assigned = read_assignments(assignments)
    async with installation() as here:
        found = await here.database.read(organizations.find, org)
        changed = await here.database.write(_changed, found, assigned)
    if json:
        print_json(_facts(changed) | assigned.said)
    else:
        print_facts(_heading(changed))


def _changed(tx: sa.Connection, found: Organization, assigned: Assigned) -> Organization:
    changed = organizations.change(tx, found.id, assigned.facts) if assigned.facts else found
    return organizations.decide(tx, found.id, assigned.rules) if assigned.rules else changed


def _typed(value: Any) -> Any:
    """As it is typed."""
    if isinstance(value, bool):
        return {True: "on", False: "off"}[value]
    if isinstance(value, list):
        return ", ".join(map(_typed, value))
    if isinstance(value, dict) and value.keys() == {"begin", "end"}:
        return f"{value['begin']}-{value['end']}"
    if isinstance(value, dict):
        return "; ".join(f"{day} {_typed(hours)}" for day, hours in value.items()) or "closed"
    return value


@app.command(
    help_epilogue="""\
Examples:
  offhook org rotate Acme webhook-secret --value wsec_...   ElevenLabs' own
  offhook org rotate Acme tool-secret --overlap 7d
  offhook org rotate Acme api-key --overlap 0               it leaked

During the overlap both are valid: nothing is lost while you change the other
side. `offhook org show` tells when the old one was used last.
"""
)
async def rotate(
    org: Org,
    secret: Annotated[SecretName, Parameter(name="SECRET", help="Which of its secrets.")],
    /,
    *,
    value: Annotated[str | None, Parameter(help="The new secret. [default: a new one]")] = None,
    overlap: Annotated[str, Parameter(help="How long the older ones stay valid: 30m, 24h, 7d, or 0.")] = "24h",
    json: Json = False,
) -> None:
    """Give an organisation a new secret; the older one stays valid for a while."""
    kind = _KINDS[secret]
    fresh = new_secret(kind) if value is None else typed_secret(value, "--value")
    overlap_s = a_duration(overlap)
    async with installation() as here:
        found = await here.database.read(organizations.find, org)
        done = await here.database.write(organizations.rotate, here.keys, found.id, kind, fresh, time.time(), overlap_s)
    if json:
        ends = {"older_expire_at": iso(done.older_expire_at)}
        print_json({"id": done.id, "org_id": found.id, "secret": secret, "value": fresh, **ends})
    else:
        print(f"The new {secret} of {found.name}, shown this once:\n\n  {fresh}\n")
        print(f"Older ones are valid until {clock(done.older_expire_at)}." if overlap_s else "Older ones are closed.")


def _new_organization(
    name: str, timezone: str, country: str | None, webhook_secret: str | None, tool_secret: str | None
) -> NewOrganization:
    zone = typed_timezone(timezone)
    own = {}
    if webhook_secret is not None:
        own["webhook_secret"] = typed_secret(webhook_secret, "--webhook-secret")
    if tool_secret is not None:
        own["tool_secret"] = typed_secret(tool_secret, "--tool-secret")
    return NewOrganization(
        name=a_name(name, "the organisation"),
        timezone=zone,
        country=typed_country(country) if country is not None else country_of_timezone(zone) or DEFAULT_COUNTRY,
        **own,
    )


def _addresses(org_id: str, settings: Settings) -> dict[str, str]:
    """The webhook's address names the organisation: then only its own secrets are tried, however many others there are."""
    base = (settings.public_url or _DEFAULT_URL) + "/api/webhook/elevenlabs"
    return {"webhook_url": f"{base}?org={org_id}", "personalization_url": f"{base}/personalization"}


def _secrets_and_addresses(new: NewOrganization, settings: Settings) -> dict[str, str]:
    secrets = {"webhook_secret": new.webhook_secret, "tool_secret": new.tool_secret, "api_key": new.api_key}
    return secrets | _addresses(new.id, settings)


# For people


def _instructions(shown: dict[str, str], *, is_brought: bool, is_public: bool) -> str:
    parts = [_MADE, _BROUGHT_HERE if is_brought else _DRAWN_THERE, _PERSONALIZATION, "" if is_public else _NOT_PUBLIC]
    return "\n".join(part.format(**shown) for part in parts if part).rstrip()


_MADE = """\
{name} is made.

  id              {id}
  webhook secret  {webhook_secret}
  tool secret     {tool_secret}
  API key         {api_key}

These secrets are shown this once: copy them now.

`offhook connect {id}` sets ElevenLabs up by its API. Or do it by hand:

In ElevenLabs, open Agents > Settings, and under "Post-call webhook" create one:

  URL             {webhook_url}
  Authentication  HMAC
  Events          transcript, audio, call initiation failure
  Retries         on (not under HIPAA)"""

_DRAWN_THERE = """
  ElevenLabs then shows a secret of its own, once. Give it to offhook:

  offhook org rotate {id} webhook-secret --overlap 0 --value wsec_...
"""

_BROUGHT_HERE = """  Secret          the one that you gave
"""

_PERSONALIZATION = """\
Under "Conversation initiation client data webhook":

  URL             {personalization_url}
  Header          Authorization: Bearer {tool_secret}

and on each agent, under Security, switch on "Fetch conversation initiation data for inbound calls".

Programs read calls and contacts with the header  Authorization: Bearer {api_key}
"""

_NOT_PUBLIC = """\
ElevenLabs must be able to reach these addresses: put a proxy or a tunnel with HTTPS in front of `offhook serve`, and set
OFFHOOK_PUBLIC_URL to its address; `offhook org show {id}` shows them again.
"""


def _print_tables(secrets: list[Secret], agents: list[Agent], numbers: list[Number]) -> None:
    print()
    print_table(
        ("secret", "made", "last used", "valid until"),
        (
            (f"{_NAMES[one.kind]} {one.label}", clock(one.created_at), clock(one.last_used_at) or "never", _ending(one))
            for one in secrets
        ),
    )
    print()
    print_table(
        ("agent", "name", "known by"),
        ((one.agent_id, one.name, "its events" if one.is_learnt else "registration") for one in agents),
    )
    print()
    print_table(("number", "label"), ((one.number, one.label) for one in numbers))


def _heading(organization: Organization) -> list[tuple[str, Any]]:
    shown = _facts(organization) | {"settings": None, "created_at": clock(organization.created_at)}
    return [*shown.items(), *((name, _typed(value)) for name, value in decided(organization.settings).items())]


def _ending(secret: Secret) -> str | None:
    if secret.expires_at is None:
        return "it is replaced"
    ended = "ended " if secret.expires_at <= time.time() else ""
    return f"{ended}{clock(secret.expires_at)}"


# For programs


def _facts(organization: Organization) -> dict[str, Any]:
    return {
        "id": organization.id,
        "name": organization.name,
        "timezone": organization.timezone,
        "country": organization.country,
        "settings": organization.settings,
        "created_at": iso(organization.created_at),
    }


def _parts(secrets: list[Secret], agents: list[Agent], numbers: list[Number]) -> dict[str, Any]:
    return {
        "secrets": [
            {
                "id": one.id,
                "secret": _NAMES[one.kind],
                "label": one.label,
                "scopes": one.scopes.split(),
                "created_at": iso(one.created_at),
                "last_used_at": iso(one.last_used_at),
                "expires_at": iso(one.expires_at),
            }
            for one in secrets
        ],
        "agents": [{"agent_id": one.agent_id, "name": one.name, "is_learnt": one.is_learnt} for one in agents],
        "numbers": [{"number": one.number, "label": one.label} for one in numbers],
    }
