"""Both sides are looked at: what an organisation wants, and what its ElevenLabs workspace has."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import sqlalchemy as sa

from offhook.connect import record
from offhook.connect.aims import Wanted
from offhook.connect.record import LABEL, SetUp
from offhook.connect.workspace import Workspace, read, read_agents
from offhook.credentials import Kind
from offhook.errors import Mistake
from offhook.sealing import KeyRing
from offhook.store import organizations, workspaces
from offhook.store.organizations import Contents, Organization, Secret
from offhook.store.workspaces import Connected
from offhook.voice.elevenlabs.api import ElevenLabs

EVERY = "all"


class Wishes(NamedTuple):
    """What was typed."""

    base_url: str
    agents: tuple[str, ...] = ()  #: ids or names; ("all",): every one; (): those that are connected, at first every one
    is_hipaa: bool | None = None  #: None: as last time


class Progress(NamedTuple):
    """How whoever waits is told."""

    begin: Callable[[int], None]
    step: Callable[[], None]


UNSEEN = Progress(lambda total: None, lambda: None)


def wanted_of(
    organization: Organization, contents: Contents, wishes: Wishes, there: Workspace, done: SetUp, now: float
) -> Wanted:
    """Pure. Mistake when an agent that was named is not there, or is called as others are."""
    org_id = organization.id
    valid = [one for one in contents.secrets if one.org_id == org_id and _is_valid(one, now)]
    known = frozenset(one.agent_id for one in contents.agents if one.org_id == org_id)
    elsewhere = _elsewhere(contents, org_id, known)
    return Wanted(
        org_id=org_id,
        country=organization.country,
        base_url=wishes.base_url,
        agent_ids=tuple(_chosen(wishes.agents, there, done, elsewhere)),
        is_hipaa=done.is_hipaa if wishes.is_hipaa is None else wishes.is_hipaa,
        bearers=frozenset(one.hash for one in valid if one.kind == "tool" and one.hash),
        has_tool_secret=_has_by_connect(valid, "tool"),
        has_webhook_secret=_has_by_connect(valid, "webhook"),
        has_proven_secret=any(
            one.kind == "webhook" and one.label != LABEL and one.last_used_at is not None for one in valid
        ),
        known_agents=known,
        known_numbers=frozenset(one.number for one in contents.numbers if one.org_id == org_id),
        elsewhere=elsewhere,
    )


async def look(
    asked: ElevenLabs, organization: Organization, contents: Contents, wishes: Wishes, done: SetUp, progress: Progress
) -> tuple[Wanted, Workspace]:
    there = await read(asked)
    wanted = wanted_of(organization, contents, wishes, there, done, time.time())
    await read_in_full(asked, there, wanted.agent_ids, progress)
    return wanted, there


async def read_in_full(asked: ElevenLabs, there: Workspace, ids: Sequence[str], progress: Progress) -> None:
    progress.begin(len(ids))
    await read_agents(asked, there, ids, progress.step)


def known(tx: sa.Connection, keys: KeyRing, org: str) -> tuple[Organization, Connected | None]:
    """The organisation, and its workspace; None when it is not connected."""
    found = organizations.find(tx, org)
    return found, workspaces.get(tx, keys, found.id)


def done_of(connected: Connected | None) -> SetUp:
    return record.read(connected.set_up if connected else None)


def _is_valid(secret: Secret, now: float) -> bool:
    return secret.expires_at is None or secret.expires_at > now


def _has_by_connect(valid: Iterable[Secret], kind: Kind) -> bool:
    """One that does not end: what is about to end was replaced."""
    return any(one.kind == kind and one.label == LABEL and one.expires_at is None for one in valid)


def _elsewhere(contents: Contents, org_id: str, known_agents: frozenset[str]) -> dict[str, str]:
    names = {one.id: one.name for one in contents.organizations}
    agents = {one.agent_id: names.get(one.org_id, "") for one in contents.agents if one.org_id != org_id}
    numbers = {one.number: names.get(one.org_id, "") for one in contents.numbers if one.org_id != org_id}
    return {id: name for id, name in agents.items() if id not in known_agents} | numbers


def _chosen(typed: tuple[str, ...], there: Workspace, done: SetUp, elsewhere: dict[str, str]) -> list[str]:
    if typed == (EVERY,) or (not typed and not done.agent_ids):
        return [id for id in there.agent_names if id not in elsewhere]
    named = [agent_id_of(word, there) for word in typed]
    return list(dict.fromkeys([*(id for id in done.agent_ids if id in there.agent_names), *named]))


def agent_id_of(word: str, there: Workspace) -> str:
    """Of the agent with that id, or the only one of that name; Mistake when there is none or are several."""
    ids = [id for id, name in there.agent_names.items() if word in (id, name)]
    if len(ids) == 1:
        return ids[0]
    if ids:
        raise Mistake(f"{len(ids)} agents are called {word!r}: say which by its id, {' or '.join(ids)}.")
    raise Mistake(f"There is no agent {word!r} in that workspace: it has {_listed(there)}.")


def _listed(there: Workspace) -> str:
    names = list(there.agent_names.values())
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return ", ".join(names[:10]) + more if names else "none"
