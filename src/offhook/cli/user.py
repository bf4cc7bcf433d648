"""offhook user: the people who use the dashboard. What is done here is in the audit log, as done by this command."""

import time
from typing import Annotated, Any

import sqlalchemy as sa
from cyclopts import Parameter

from offhook.accounts import members
from offhook.accounts.joining import PASSWORD_S, PATHS, SETUP_S
from offhook.accounts.sign_ins import new_token
from offhook.cli.group import group
from offhook.cli.installation import Installation, installation
from offhook.cli.org import Org
from offhook.cli.terminal import Json, clock, iso, print_json, print_table
from offhook.credentials import hash_of
from offhook.errors import Mistake
from offhook.roles import ROLES, Role
from offhook.store import invitations, organizations, users
from offhook.store.audit import Entry
from offhook.store.invitations import Kind
from offhook.typed import a_duration, an_email

_HOST = "http://127.0.0.1:2212"  #: where `offhook serve` is found unless OFFHOOK_PUBLIC_URL says otherwise

Email = Annotated[str, Parameter(name="EMAIL", help="The person's email address.")]

app = group("user")


@app.command(
    name="list",
    help_epilogue="""\
Examples:
  offhook user list
  offhook user list Acme --json
""",
)
async def list_(
    org: Annotated[str | None, Parameter(name="ORG", help="Only its users.")] = None, /, *, json: Json = False
) -> None:
    """List the users, what each is in which organisation, and when they signed in last."""
    async with installation() as here:
        found = await here.database.read(organizations.find, org) if org is not None else None
        rows = await here.database.read(users.everybody, found.id if found else None)
    if json:
        print_json([_facts(row) for row in rows])
        return
    print_table(
        ("email", "name", "organisation", "role", "signed in"),
        ((row.email, row.name, row.organization, row.role, clock(row.signed_in_at) or "never") for row in rows),
    )


@app.command(
    help_epilogue="""\
Examples:
  offhook user invite Acme sam@example.com --role manager
  offhook user invite Acme lee@example.com --role auditor --valid 24h --json

owner: everything. manager: everything but users, secrets, keys, erasure
and the audit log. agent: calls, contacts, follow-ups. auditor: reads
everything and the audit log, changes nothing.

The link is shown this once: send it to the person yourself.
"""
)
async def invite(
    org: Org,
    email: Email,
    /,
    *,
    role: Annotated[str, Parameter(help="owner, manager, agent or auditor.")] = "agent",
    valid: Annotated[str, Parameter(help="For how long, like 24h or 7d.")] = "7d",
    json: Json = False,
) -> None:
    """Print a link by which somebody joins an organisation."""
    address, wanted, valid_s = an_email(email), _role(role), a_duration(valid)
    if not valid_s:
        raise Mistake("--valid 0 would make a link that is over already: write it like 24h or 7d.")
    async with installation() as here:
        found = await here.database.read(organizations.find, org)
        token = new_token()
        made = await here.database.write(
            members.invite, _by(), found.id, token, email=address, role=wanted, valid_s=valid_s
        )
        _show_link(
            here, "invitation", token, made.expires_at, f"{made.email} joins {found.name} as {wanted}", as_json=json
        )


@app.command(
    help_epilogue="""\
Examples:
  offhook user role Acme sam@example.com owner

It holds at once, also for sessions that are open. Somebody who has an account
and is no member yet becomes one.
"""
)
async def role(
    org: Org,
    email: Email,
    role: Annotated[str, Parameter(name="ROLE", help="owner, manager, agent or auditor.")],
    /,
    *,
    json: Json = False,
) -> None:
    """Change what somebody is in an organisation."""
    wanted = _role(role)
    async with installation() as here:
        found = await here.database.read(organizations.find, org)
        user = await here.database.read(users.find, email)
        await here.database.write(members.set_role, _by(), found.id, user, wanted)
    if json:
        print_json({"email": user.email, "org_id": found.id, "role": wanted})
    else:
        print(f"{user.email} is {wanted} of {found.name} now.")


@app.command(help_epilogue="Example:\n  offhook user remove Acme sam@example.com\n")
async def remove(org: Org, email: Email, /, *, json: Json = False) -> None:
    """Take somebody out of an organisation, at once; out of their last one, their account is gone."""
    async with installation() as here:
        found = await here.database.read(organizations.find, org)
        user = await here.database.read(users.find, email)
        await here.database.write(members.remove, _by(), found.id, user)
    if json:
        print_json({"email": user.email, "org_id": found.id, "role": None})
    else:
        print(f"{user.email} is no longer in {found.name}.")


@app.command(name="reset-link", help_epilogue="Example:\n  offhook user reset-link sam@example.com\n")
async def reset_link(email: Email, /, *, json: Json = False) -> None:
    """Print a link by which somebody chooses a new password; it is valid for a day."""
    async with installation() as here:
        user = await here.database.read(users.find, email)
        now, token = time.time(), new_token()
        await here.database.write(
            invitations.make, hash_of(token), "password", email=user.email, now=now, expires_at=now + PASSWORD_S
        )
        _show_link(here, "password", token, now + PASSWORD_S, f"{user.email} chooses a new password", as_json=json)


@app.command(name="setup-link", help_epilogue="Example:\n  offhook user setup-link\n")
async def setup_link(*, json: Json = False) -> None:
    """Print the link by which the first user makes an account; the one before is closed."""
    async with installation(is_made=True) as here:
        if await here.database.read(users.is_anybody_there):
            raise Mistake("There are users already: `offhook user invite` lets in more.")
        now, token = time.time(), new_token()
        await here.database.write(invitations.make, hash_of(token), "setup", now=now, expires_at=now + SETUP_S)
        _show_link(here, "setup", token, now + SETUP_S, "The first user becomes the owner", as_json=json)


def _by() -> Entry:
    return Entry(at=time.time(), org_id=None, user_id=None, who="offhook user", action="")


def _show_link(here: Installation, kind: Kind, token: str, expires_at: float, what: str, *, as_json: bool) -> None:
    url = f"{here.settings.public_url or _HOST}{PATHS[kind]}/{token}"
    if as_json:
        print_json({"url": url, "expires_at": iso(expires_at)})
    else:
        print(f"{what} with this link, once, until {clock(expires_at)}:\n\n  {url}\n")


def _role(word: str) -> Role:
    for known in ROLES:
        if word.strip().lower() == known:
            return known
    raise Mistake(f"{word!r} is no role: there are {', '.join(ROLES)}.")


def _facts(row: sa.Row[Any]) -> dict[str, Any]:
    return {
        "id": row.id,
        "email": row.email,
        "name": row.name,
        "org_id": row.org_id,
        "organization": row.organization,
        "role": row.role,
        "signed_in_at": iso(row.signed_in_at),
        "created_at": iso(row.created_at),
    }
