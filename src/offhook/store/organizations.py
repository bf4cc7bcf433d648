"""Organisations, their secrets, their agents and their numbers.

Every change raises the directory's version in the same transaction: that is how running servers notice it.
"""

import difflib
import secrets as randomness
from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec
import sqlalchemy as sa

from offhook import declared
from offhook.credentials import ALL_SCOPES, Kind, Scope, hash_of, new_secret
from offhook.errors import Conflict, Damaged, Mistake
from offhook.phone import DEFAULT_COUNTRY
from offhook.rules import Rules, Variable, read_rules
from offhook.sealing import KeyRing
from offhook.store.database import insert_new, upsert
from offhook.store.tables import agents, directory_version, numbers, organizations, secrets

MAX_LEARNT_AGENTS = 2_000  #: of one organisation: every server holds them all, and whoever signs may make up ever more

_new_id = partial(randomness.token_hex, 12)


class Organization(msgspec.Struct, frozen=True, kw_only=True):
    """A client of this installation: whose calls they are."""

    id: str
    name: str
    timezone: str  #: IANA
    country: str  #: ISO 3166 alpha-2; where national numbers are dialled
    settings: dict[str, Any] = {}  #: as JSON has it; `rules` is how it is read
    rules: Rules = Rules()
    created_at: float = 0.0


class Secret(msgspec.Struct, frozen=True, kw_only=True):
    """A stored secret; never its value in the clear."""

    id: str
    org_id: str
    kind: Kind
    sealed: bytes | None  #: webhook secrets; bound to the id
    hash: str | None  #: tool secrets and API keys
    scopes: str  #: API keys: words with blanks between
    label: str
    created_at: float
    expires_at: float | None
    last_used_at: float | None


class Agent(msgspec.Struct, frozen=True, kw_only=True):
    org_id: str
    agent_id: str
    name: str | None
    variables: tuple[Variable, ...] = ()  #: its own, beside the organisation's
    is_learnt: bool  #: from a proven event; False: registered by a person
    created_at: float


class Number(msgspec.Struct, frozen=True, kw_only=True):
    org_id: str
    number: str  #: E.164
    label: str | None
    created_at: float


class Contents(msgspec.Struct, frozen=True):
    """Everything the directory holds, as of *version* or a little later."""

    version: int
    organizations: list[Organization]
    secrets: list[Secret]
    agents: list[Agent]
    numbers: list[Number]


class NewOrganization(msgspec.Struct, frozen=True, kw_only=True):
    """An organisation about to be made. The only place where its secrets are in the clear: show them now or never."""

    name: str
    timezone: str = "UTC"
    country: str = DEFAULT_COUNTRY
    id: str = msgspec.field(default_factory=_new_id)
    webhook_secret: str = msgspec.field(default_factory=partial(new_secret, "webhook"))
    tool_secret: str = msgspec.field(default_factory=partial(new_secret, "tool"))
    api_key: str = msgspec.field(default_factory=partial(new_secret, "api_key"))


class Rotated(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    older_expire_at: (
        float | None
    )  #: until then the older secrets of this kind are valid too; None: until they are removed


# The directory


def version(tx: sa.Connection) -> int:
    """Grows with every change to what the directory holds; 0 before the first."""
    return tx.scalar(sa.select(directory_version.c.version)) or 0


def contents(tx: sa.Connection) -> Contents:
    """All of it. The version is read first: a change in between is then read again, never missed."""
    return Contents(
        version(tx),
        [_organization(row) for row in tx.execute(sa.select(organizations)).mappings()],
        [Secret(**row) for row in tx.execute(sa.select(secrets)).mappings()],
        [_agent(row) for row in tx.execute(sa.select(agents)).mappings()],
        [Number(**row) for row in tx.execute(sa.select(numbers)).mappings()],
    )


def _raise_version(tx: sa.Connection) -> None:
    insert_new(tx, directory_version, [{"id": 1, "version": 0}])
    tx.execute(sa.update(directory_version).values(version=directory_version.c.version + 1))


def registered_by(tx: sa.Connection, agent_id: str) -> Sequence[str]:
    """The organisations that registered the agent; not those that only sent events in its name."""
    registered = agents.c.agent_id == agent_id, agents.c.is_learnt.is_(False)
    return tx.execute(sa.select(agents.c.org_id).where(*registered)).scalars().all()


# Organisations


def create(tx: sa.Connection, keys: KeyRing, new: NewOrganization, now: float) -> None:
    """Keep *new* with its three secrets; Mistake when another organisation has its tool secret or API key."""
    row = {"id": new.id, "name": new.name, "timezone": new.timezone, "country": new.country}
    tx.execute(sa.insert(organizations), {**row, "settings": "{}", "created_at": now})
    _add_secret(tx, keys, new.id, "webhook", new.webhook_secret, now)
    _add_secret(tx, keys, new.id, "tool", new.tool_secret, now)
    _add_secret(tx, keys, new.id, "api_key", new.api_key, now)
    _raise_version(tx)


def list_all(tx: sa.Connection) -> list[Organization]:
    """By name."""
    rows = tx.execute(sa.select(organizations).order_by(organizations.c.name, organizations.c.id)).mappings()
    return [_organization(row) for row in rows]


def find(tx: sa.Connection, id_or_name: str) -> Organization:
    """The organisation with that id, else the only one of that name; Mistake when there is none or are several."""
    known = list_all(tx)
    by_id = [found for found in known if found.id == id_or_name]
    found = by_id or [found for found in known if found.name == id_or_name]
    if len(found) == 1:
        return found[0]
    raise Mistake(_ambiguous(id_or_name, found) if found else _unknown(id_or_name, known))


def get(tx: sa.Connection, org_id: str) -> Organization:
    """The organisation of that id, which there is: somebody who belongs to it asks."""
    return _organization(tx.execute(sa.select(organizations).where(organizations.c.id == org_id)).mappings().one())


def lock(tx: sa.Connection, org_id: str) -> None:
    """Let others who lock it wait until this transaction ends; SQLite has one writer anyway."""
    tx.execute(sa.select(organizations.c.id).where(organizations.c.id == org_id).with_for_update())


def change(tx: sa.Connection, org_id: str, facts: dict[str, str]) -> Organization:
    """Overwrite those of its name, time zone and country."""
    this = organizations.c.id == org_id
    tx.execute(sa.update(organizations).where(this).values(**facts))
    _raise_version(tx)
    return _organization(tx.execute(sa.select(organizations).where(this)).mappings().one())


def decide(tx: sa.Connection, org_id: str, settings: dict[str, Any]) -> Organization:
    """Overwrite those keys of its settings, "texts.per_call" being one within another; None takes a key to its default."""
    this = organizations.c.id == org_id
    if tx.dialect.name == "postgresql":
        tx.execute(sa.select(organizations.c.id).where(this).with_for_update())
    known = msgspec.json.decode(tx.execute(sa.select(organizations.c.settings).where(this)).scalar_one())
    for name, value in settings.items():
        _decide_one(known, name.split("."), value)
    tx.execute(sa.update(organizations).where(this).values(settings=msgspec.json.encode(known).decode()))
    _raise_version(tx)
    return _organization(tx.execute(sa.select(organizations).where(this)).mappings().one())


def _decide_one(settings: dict[str, Any], path: Sequence[str], value: Any) -> None:
    if len(path) > 1:
        _decide_one(settings.setdefault(path[0], {}), path[1:], value)
    elif value is None:
        settings.pop(path[0], None)
    else:
        settings[path[0]] = value


def _organization(row: sa.RowMapping) -> Organization:
    settings = msgspec.json.decode(row["settings"])
    return Organization(**{**row, "settings": settings, "rules": read_rules(settings)})


def _ambiguous(name: str, found: Sequence[Organization]) -> str:
    ids = " or ".join(sorted(organization.id for organization in found))
    return f"{len(found)} organisations are called {name!r}: say which by its id, {ids}."


def _unknown(wanted: str, known: Sequence[Organization]) -> str:
    if not known:
        return f"There is no organisation {wanted!r}, nor any other: `offhook org create NAME` makes one."
    names = {organization.name.casefold(): organization.name for organization in known}
    near = difflib.get_close_matches(wanted.casefold(), names, n=1)
    hint = f"did you mean {names[near[0]]!r}?" if near else "`offhook org list` shows them all."
    return f"There is no organisation {wanted!r}: {hint}"


# Secrets


def secrets_of(tx: sa.Connection, org_id: str) -> list[Secret]:
    """Newest first, with those that have expired."""
    rows = tx.execute(sa.select(secrets).where(secrets.c.org_id == org_id).order_by(secrets.c.created_at.desc()))
    return [Secret(**row) for row in rows.mappings()]


def rotate(
    tx: sa.Connection, keys: KeyRing, org_id: str, kind: Kind, value: str, now: float, overlap_s: float | None
) -> Rotated:
    """Make *value* the organisation's secret of that kind; the older ones expire after *overlap_s*, or sooner if they would.
    With None they stay as they are, until somebody removes them.

    Keys that were made with a label of their own stay as they are: they belong to another program.
    """
    new_id = _add_secret(tx, keys, org_id, kind, value, now)
    if overlap_s is None:
        _raise_version(tx)
        return Rotated(id=new_id, older_expire_at=None)
    until = now + overlap_s
    is_older = (secrets.c.org_id == org_id) & (secrets.c.kind == kind) & (secrets.c.label == "")
    lasts_longer = secrets.c.expires_at.is_(None) | (secrets.c.expires_at > until)
    tx.execute(sa.update(secrets).where(is_older & lasts_longer & (secrets.c.id != new_id)).values(expires_at=until))
    _raise_version(tx)
    return Rotated(id=new_id, older_expire_at=until)


def add_api_key(
    tx: sa.Connection, keys: KeyRing, org_id: str, value: str, *, label: str, scopes: Sequence[Scope], now: float
) -> str:
    """One more API key, for another program; its id. Mistake when the organisation has a valid one of that *label*."""
    if any(key.label == label for key in api_keys_of(tx, org_id, now)):
        raise Mistake(f"There is a key {label!r} already: `offhook key revoke` takes it away, or choose another label.")
    id = _add_secret(tx, keys, org_id, "api_key", value, now, scopes=scopes, label=label)
    _raise_version(tx)
    return id


def api_keys_of(tx: sa.Connection, org_id: str, now: float) -> list[Secret]:
    """The API keys that are valid, newest first."""
    return [
        one
        for one in secrets_of(tx, org_id)
        if one.kind == "api_key" and (one.expires_at is None or one.expires_at > now)
    ]


def revoke_api_key(tx: sa.Connection, org_id: str, id_or_label: str, now: float) -> Secret:
    """Close one API key at once; Mistake when there is none that is called so."""
    valid = api_keys_of(tx, org_id, now)
    found = next((one for one in valid if id_or_label and id_or_label in (one.id, one.label)), None)
    if found is None:
        raise Mistake(f"There is no valid key {id_or_label!r}: `offhook key list` shows those that there are.")
    tx.execute(sa.update(secrets).where(secrets.c.id == found.id).values(expires_at=now))
    _raise_version(tx)
    return msgspec.structs.replace(found, expires_at=now)


def remove_secret(tx: sa.Connection, org_id: str, secret_id: str, now: float) -> Secret | None:
    """Accept a webhook or tool secret no more, at once; None when no such one is valid.

    Conflict for the last of its kind: without one that door would be shut.
    """
    lock(tx, org_id)
    valid = [one for one in secrets_of(tx, org_id) if one.expires_at is None or one.expires_at > now]
    found = next((one for one in valid if one.id == secret_id and one.kind != "api_key"), None)
    if found is None:
        return None
    if not any(one.kind == found.kind and one.id != found.id and one.expires_at is None for one in valid):
        raise Conflict("That is the only secret of its kind that stays: give a new one first, then remove it.")
    tx.execute(sa.update(secrets).where(secrets.c.id == found.id).values(expires_at=now))
    _raise_version(tx)
    return msgspec.structs.replace(found, expires_at=now)


def lend_tool_secret(
    tx: sa.Connection, keys: KeyRing, org_id: str, value: str, label: str, now: float, lasts_s: float
) -> None:
    """Make *value* one more tool secret for *lasts_s*; those lent under *label* before that have expired are removed."""
    was_lent = (secrets.c.org_id == org_id) & (secrets.c.kind == "tool") & (secrets.c.label == label)
    tx.execute(sa.delete(secrets).where(was_lent & (secrets.c.expires_at <= now)))
    _add_secret(tx, keys, org_id, "tool", value, now, label=label, expires_at=now + lasts_s)
    _raise_version(tx)


def add_secret(tx: sa.Connection, keys: KeyRing, org_id: str, kind: Kind, value: str, label: str, now: float) -> str:
    """One more secret under a label of its own; its id. Those that are there stay as they are."""
    id = _add_secret(tx, keys, org_id, kind, value, now, label=label)
    _raise_version(tx)
    return id


def close_labelled(tx: sa.Connection, org_id: str, kind: Kind, label: str, until: float, *, but: str = "") -> None:
    """Have the secrets of that kind and label end at *until*, or sooner if they would; *but* is the id of one that stays."""
    these = (secrets.c.org_id == org_id) & (secrets.c.kind == kind) & (secrets.c.label == label)
    lasts_longer = secrets.c.expires_at.is_(None) | (secrets.c.expires_at > until)
    tx.execute(sa.update(secrets).where(these & lasts_longer & (secrets.c.id != but)).values(expires_at=until))
    _raise_version(tx)


def stamp_used(tx: sa.Connection, used: dict[str, float]) -> None:
    """Write when each secret was last used. The version stays: nothing that the directory answers changes by it."""
    rows = [{"used_id": secret_id, "used_at": at} for secret_id, at in used.items()]
    is_later = secrets.c.last_used_at.is_(None) | (secrets.c.last_used_at < sa.bindparam("used_at"))
    statement = sa.update(secrets).where((secrets.c.id == sa.bindparam("used_id")) & is_later)
    if rows:
        tx.execute(statement.values(last_used_at=sa.bindparam("used_at")), rows)


def _add_secret(
    tx: sa.Connection,
    keys: KeyRing,
    org_id: str,
    kind: Kind,
    value: str,
    now: float,
    scopes: Sequence[Scope] = ALL_SCOPES,
    label: str = "",
    expires_at: float | None = None,
) -> str:
    secret_id = _new_id()
    _must_be_new(tx, keys, org_id, kind, value, now)
    row = {
        "id": secret_id,
        "org_id": org_id,
        "kind": kind,
        "sealed": keys.seal(value.encode(), bound_to=secret_id) if kind == "webhook" else None,
        "hash": None if kind == "webhook" else hash_of(value),
        "scopes": " ".join(scopes) if kind == "api_key" else "",
        "label": label,
        "created_at": now,
        "expires_at": expires_at,
    }
    tx.execute(sa.insert(secrets), row)
    return secret_id


def _must_be_new(tx: sa.Connection, keys: KeyRing, org_id: str, kind: Kind, value: str, now: float) -> None:
    """A bearer names its organisation, so only one may have it; a webhook secret may be a whole workspace's."""
    is_active = (secrets.c.kind == kind) & (secrets.c.expires_at.is_(None) | (secrets.c.expires_at > now))
    if kind != "webhook":
        if tx.scalar(sa.select(secrets.c.id).where(is_active & (secrets.c.hash == hash_of(value)))):
            raise Mistake("That secret is in use already, and the organisation is told by it: choose another value.")
        return
    for row in tx.execute(sa.select(secrets.c.id, secrets.c.sealed).where(is_active & (secrets.c.org_id == org_id))):
        if _is_sealed_in(keys, row.id, row.sealed, value):
            raise Mistake("This organisation has that webhook secret already: choose another value.")


def _is_sealed_in(keys: KeyRing, secret_id: str, sealed: bytes, value: str) -> bool:
    try:
        return keys.open(sealed, bound_to=secret_id) == value.encode()
    except Damaged:  # rotation is the cure for a secret whose key is lost
        return False


# Agents and numbers


def agents_of(tx: sa.Connection, org_id: str) -> list[Agent]:
    rows = tx.execute(sa.select(agents).where(agents.c.org_id == org_id).order_by(agents.c.agent_id)).mappings()
    return [_agent(row) for row in rows]


def add_agent(tx: sa.Connection, org_id: str, agent_id: str, name: str | None, now: float) -> None:
    """Register the agent, or give it another name; without a name the one it has stays."""
    row = {"org_id": org_id, "agent_id": agent_id, "name": name, "is_learnt": False, "created_at": now}
    upsert(tx, agents, [row], keep=("created_at",) if name is not None else ("created_at", "name"))
    _raise_version(tx)


def unregister_agent(tx: sa.Connection, org_id: str, agent_id: str) -> None:
    """No longer registered; one for which variables are declared stays."""
    this = (agents.c.org_id == org_id) & (agents.c.agent_id == agent_id)
    tx.execute(sa.delete(agents).where(this & agents.c.variables.is_(None)))
    _raise_version(tx)


def forget_agent(tx: sa.Connection, org_id: str, agent_id: str) -> None:
    """Forget the agent and its variables; Mistake when the organisation has no such agent. Its next event teaches it anew."""
    this = (agents.c.org_id == org_id) & (agents.c.agent_id == agent_id)
    if not tx.execute(sa.delete(agents).where(this)).rowcount:
        raise Mistake(f"There is no agent {agent_id!r}: `offhook agent list` shows those that there are.")
    _raise_version(tx)


def declare_for_agent(tx: sa.Connection, org_id: str, agent_id: str, variables: Sequence[Variable], now: float) -> None:
    """Make these the agent's own variables; one that is not known is registered."""
    row = {"org_id": org_id, "agent_id": agent_id, "name": None, "is_learnt": False, "created_at": now}
    upsert(tx, agents, [{**row, "variables": declared.encode(variables)}], keep=("created_at", "name", "is_learnt"))
    _raise_version(tx)


def learn_agent(tx: sa.Connection, org_id: str, agent_id: str, name: str | None, now: float) -> None:
    """Remember that a proven event of *org_id* named this agent. What is known of it stays, but a name may be added."""
    this = (agents.c.org_id == org_id) & (agents.c.agent_id == agent_id)
    known = tx.execute(sa.select(agents.c.name, agents.c.is_learnt).where(this)).first()
    if known is None:
        if _count_learnt(tx, org_id) < MAX_LEARNT_AGENTS:
            row = {"org_id": org_id, "agent_id": agent_id, "name": name, "is_learnt": True, "created_at": now}
            insert_new(tx, agents, [row])
            _raise_version(tx)
    elif known.is_learnt and known.name is None and name is not None:
        tx.execute(sa.update(agents).where(this).values(name=name))


def _agent(row: sa.RowMapping) -> Agent:
    return Agent(**{**row, "variables": declared.decode(row["variables"])})


def _count_learnt(tx: sa.Connection, org_id: str) -> int:
    learnt = agents.c.org_id == org_id, agents.c.is_learnt
    return tx.execute(sa.select(sa.func.count()).select_from(agents).where(*learnt)).scalar_one()


def numbers_of(tx: sa.Connection, org_id: str) -> list[Number]:
    rows = tx.execute(sa.select(numbers).where(numbers.c.org_id == org_id).order_by(numbers.c.number)).mappings()
    return [Number(**row) for row in rows]


def add_number(tx: sa.Connection, org_id: str, number: str, label: str | None, now: float) -> None:
    """Register the number (E.164), or give it another label; without a label the one it has stays."""
    row = {"org_id": org_id, "number": number, "label": label, "created_at": now}
    if label is None:
        insert_new(tx, numbers, [row])
    else:
        upsert(tx, numbers, [row], keep=("created_at",))
    _raise_version(tx)


def is_number_of_another(tx: sa.Connection, org_id: str, number: str) -> bool:
    """Whether another organisation registered the number (E.164)."""
    theirs = numbers.c.number == number, numbers.c.org_id != org_id
    return tx.execute(sa.select(numbers.c.org_id).where(*theirs).limit(1)).first() is not None


def remove_number(tx: sa.Connection, org_id: str, number: str) -> bool:
    """Forget the number (E.164); False when it was not the organisation's. Its calls stay."""
    this = (numbers.c.org_id == org_id) & (numbers.c.number == number)
    was_theirs = tx.execute(sa.delete(numbers).where(this)).rowcount > 0
    _raise_version(tx)
    return was_theirs
