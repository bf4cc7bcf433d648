"""Who is who: organisations, secrets, agents and numbers, held in memory and kept up with the database.

Every request asks here and none waits for the database. A look at the directory's version each second brings what other
processes changed; `refresh()` looks at once, so that a secret made beside a running server is valid for the next request.
While the database is down, the last known contents stay valid; a server that starts then begins with those of its snapshot.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Mapping

import msgspec

from offhook import memory
from offhook.credentials import hash_of
from offhook.errors import Damaged, Unavailable
from offhook.logs import log
from offhook.phone import DEFAULT_COUNTRY
from offhook.rules import Variable
from offhook.sealing import KeyRing
from offhook.snapshot import Snapshot
from offhook.store import organizations
from offhook.store.database import Database
from offhook.store.organizations import Agent, Contents, Number, Organization, Secret

__all__ = ["ApiKey", "Directory", "Organization", "WebhookSecret"]

POLL_S = 1.0
LOOK_S = 2.0  #: a database that hangs is as good as down after this long
USE_FLUSH_S = 30.0  #: how often `last_used_at` is written
_NEVER = float("inf")
_NOTHING = -1  #: the version of contents that did not come from the database


class WebhookSecret(msgspec.Struct, frozen=True, kw_only=True):
    """A secret that signs events, and whose it is: one ElevenLabs workspace may serve several organisations."""

    ids: tuple[str, ...]  #: its row in each of those organisations; for `note_use`
    org_ids: tuple[str, ...]
    secret: bytes
    expires_at: float | None  #: when the first of those organisations gives it up


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    org_id: str
    scopes: frozenset[str]  #: read, write, admin


class Directory:
    """The answers are as of the last successful look; what has expired since then is left out."""

    def __init__(
        self,
        database: Database,
        keys: KeyRing,
        now: Callable[[], float] = time.time,
        poll_s: float = POLL_S,
        snapshot: Snapshot | None = None,
    ) -> None:
        """*snapshot*: what to begin with while the database is down; kept up with it. None: there is no beginning then."""
        self._database = database
        self._keys = keys
        self._now = now
        self._poll_s = poll_s
        self._snapshot = snapshot
        self._snapshot_version = _NOTHING
        self._held = _Index(Contents(_NOTHING, [], [], [], []), {}, 0.0)
        self._opened: dict[str, bytes] = {}
        self._is_current = False
        self._turn = asyncio.Lock()
        self._next_look: asyncio.Task[None] | None = None
        self._polling: asyncio.Task[None] | None = None
        self._used: dict[str, float] = {}
        self._used_written_at = 0.0

    async def open(self) -> None:
        """Load everything and begin to keep up.

        Unavailable when the database is down and there is no snapshot; Damaged when the key ring opens none of the secrets:
        it is the wrong one.
        """
        try:
            await self._look_now()
        except Unavailable:
            if not await asyncio.to_thread(self._hold_snapshot):
                raise
        sealed = sum(secret.sealed is not None for secret in self._held.contents.secrets)
        if sealed and not self._opened:
            raise Damaged("OFFHOOK_SECRET_KEY opens none of the stored secrets: set the key that they were made with.")
        await self._keep_snapshot()
        self._polling = asyncio.create_task(self._keep_up(), name="directory")

    async def close(self) -> None:
        """Stop keeping up, and write down what was used last."""
        if self._polling is not None:
            self._polling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._polling
            self._polling = None
        with contextlib.suppress(Unavailable, TimeoutError):
            async with asyncio.timeout(LOOK_S):
                await self._write_used()

    async def refresh(self) -> bool:
        """Look at the database now; True when something had changed. Unavailable when it does not answer.

        A thousand strangers cost one look: those who come while one is under way share the next, because the one under
        way may have begun before the change that they hope for.
        """
        before = self._held.contents.version
        if self._next_look is None:
            self._next_look = asyncio.create_task(self._look_in_turn(), name="directory-look")
            self._next_look.add_done_callback(_retrieve)  # whoever asked may have gone
        await asyncio.shield(self._next_look)
        return self._held.contents.version != before

    @property
    def version(self) -> int:
        """Which contents the answers are of; another number once they have changed."""
        return self._held.contents.version

    @property
    def is_current(self) -> bool:
        """Whether the database answered the last look."""
        return self._is_current

    # Answers

    def organization(self, org_id: str) -> Organization | None:
        return self._held.organizations.get(org_id)

    def country_of(self, org_id: str) -> str:
        """Where its national numbers are dialled, ISO 3166 alpha-2; for one that is unknown, where most are."""
        organization = self.organization(org_id)
        return organization.country if organization else DEFAULT_COUNTRY

    def declared(self, org_id: str, agent_id: str | None) -> Mapping[str, Variable]:
        """By name, the variables that every answer to that agent fills; to one that does not say who it is, all of them."""
        held = self._held
        return held.declared.get((org_id, agent_id)) or held.declared.get((org_id, ""), {})

    def numbers_of(self, org_id: str) -> tuple[str, ...]:
        """Those that are registered as its own, E.164."""
        return self._held.numbers_by_org.get(org_id, ())

    def agent_name(self, org_id: str, agent_id: str | None) -> str | None:
        return self._held.agent_names.get((org_id, agent_id)) if agent_id else None

    def webhook_secrets(self, org_id: str) -> list[WebhookSecret]:
        """Those of that organisation that are valid now; none when it is unknown."""
        return self._valid().webhook_secrets_by_org.get(org_id, [])

    def all_webhook_secrets(self) -> list[WebhookSecret]:
        """Every valid secret once, however many organisations share it."""
        return self._valid().webhook_secrets

    def orgs_of_agent(self, agent_id: str) -> tuple[str, ...]:
        """Those that registered the agent come before those whose events named it."""
        return self._held.orgs_by_agent.get(agent_id, ())

    def orgs_of_number(self, e164: str) -> tuple[str, ...]:
        return self._held.orgs_by_number.get(e164, ())

    def org_of_tool_token(self, token: str) -> str | None:
        """Whose agents present that bearer; None when nobody's, or when it has expired."""
        secret = self._valid().tools.get(hash_of(token))
        if secret is None:
            return None
        self.note_use(secret.id)
        return secret.org_id

    def api_key(self, token: str) -> ApiKey | None:
        key = self._valid().api_keys.get(hash_of(token))
        if key is not None:
            self.note_use(key.id)
        return key

    def note_use(self, *secret_ids: str) -> None:
        """Remember that they were used just now; written in batches. Bearers that are found here are noted by themselves."""
        at = self._now()
        for secret_id in secret_ids:
            self._used[secret_id] = at

    # Keeping up

    def _valid(self) -> "_Index":
        """What is held, without what has expired since it was indexed."""
        now = self._now()
        if now >= self._held.valid_until:
            self._held = _Index(self._held.contents, self._opened, now)
        return self._held

    async def _keep_up(self) -> None:
        while True:
            await asyncio.sleep(self._poll_s)
            try:
                await self.refresh()
                await self._keep_snapshot()
                if self._used and self._now() - self._used_written_at >= USE_FLUSH_S:
                    await self._write_used()
            except Unavailable:
                continue  # said once, by _look_now; what is held stays valid
            except Exception:
                # A server that stopped looking would refuse every new secret until its restart, and say nothing.
                log.exception("directory.look_failed")

    async def _look_in_turn(self) -> None:
        async with self._turn:
            self._next_look = None
            await self._look_now()

    async def _look_now(self) -> None:
        try:
            async with asyncio.timeout(LOOK_S):
                if await self._database.read(organizations.version) != self._held.contents.version:
                    self._hold(await self._database.read(organizations.contents))
        except (Unavailable, TimeoutError) as error:
            self._say_current(is_current=False)
            raise Unavailable(str(error) or None) from error
        self._say_current(is_current=True)

    def _hold_snapshot(self) -> bool:
        """Begin with what was known when the database was last there; whether anything was."""
        contents = self._snapshot.read() if self._snapshot is not None else None
        if contents is None:
            return False
        log.warning("directory.from_snapshot", version=contents.version, organizations=len(contents.organizations))
        self._hold(msgspec.structs.replace(contents, version=_NOTHING))  # the first look reads everything again
        return True

    async def _keep_snapshot(self) -> None:
        """Write down what is held, where it has changed. A disk that does not take it is asked again at the next look."""
        contents = self._held.contents
        if self._snapshot is None or contents.version == self._snapshot_version:
            return
        try:
            await asyncio.to_thread(self._snapshot.write, contents)
        except OSError as error:
            log.error("snapshot.unwritten", file=str(self._snapshot.path), error=str(error))
        else:
            self._snapshot_version = contents.version

    def _hold(self, contents: Contents) -> None:
        self._opened = self._open_all(contents.secrets)
        self._held = _Index(contents, self._opened, self._now())

    def _open_all(self, secrets: Iterable[Secret]) -> dict[str, bytes]:
        """The webhook secrets in the clear. One that cannot be opened is left out and said: the others go on."""
        opened = {}
        for secret in secrets:
            if secret.sealed is None:
                continue
            try:
                opened[secret.id] = self._opened.get(secret.id) or self._keys.open(secret.sealed, bound_to=secret.id)
            except Damaged as damage:
                log.error("directory.secret_unreadable", secret=secret.id, org=secret.org_id, reason=damage.message)
        return opened

    def _say_current(self, *, is_current: bool) -> None:
        if self._is_current and not is_current:
            log.warning("directory.stale", version=self._held.contents.version)
        elif is_current and not self._is_current:
            log.info("directory.current", version=self._held.contents.version)
        self._is_current = is_current

    async def _write_used(self) -> None:
        used = dict(self._used)
        await self._database.write(organizations.stamp_used, used)
        self._used = {secret_id: at for secret_id, at in self._used.items() if at != used.get(secret_id)}
        self._used_written_at = self._now()


class _Index:
    """The contents, arranged for the questions that are asked, as of one instant."""

    def __init__(self, contents: Contents, opened: dict[str, bytes], now: float) -> None:
        active = [secret for secret in contents.secrets if secret.expires_at is None or secret.expires_at > now]
        self.contents = contents
        self.valid_until = min((secret.expires_at or _NEVER for secret in active), default=_NEVER)
        self.organizations = {organization.id: organization for organization in contents.organizations}
        self.webhook_secrets = _webhook_secrets(active, opened)
        self.webhook_secrets_by_org = _by_org(self.webhook_secrets)
        self.tools = {secret.hash: secret for secret in active if secret.kind == "tool"}
        self.api_keys = {secret.hash: _api_key(secret) for secret in active if secret.kind == "api_key"}
        self.orgs_by_agent = _orgs_by_agent(contents.agents)
        self.orgs_by_number = _orgs_by_number(contents.numbers)
        self.declared = _declared(contents)
        self.numbers_by_org = _numbers_by_org(contents.numbers)
        self.agent_names = {(agent.org_id, agent.agent_id): agent.name for agent in contents.agents}


def _retrieve(look: "asyncio.Task[None]") -> None:
    if not look.cancelled():
        look.exception()


def _webhook_secrets(active: Iterable[Secret], opened: dict[str, bytes]) -> list[WebhookSecret]:
    shared: dict[bytes, list[Secret]] = {}
    for secret in active:
        if secret.id in opened:
            shared.setdefault(opened[secret.id], []).append(secret)
    return [
        WebhookSecret(
            ids=tuple(row.id for row in rows),
            org_ids=tuple(row.org_id for row in rows),
            secret=value,
            expires_at=min((row.expires_at for row in rows if row.expires_at is not None), default=None),
        )
        for value, rows in shared.items()
        if value  # an empty secret closes the door, however it came here
    ]


def _by_org(found: Iterable[WebhookSecret]) -> dict[str, list[WebhookSecret]]:
    by_org: dict[str, list[WebhookSecret]] = {}
    for secret in found:
        for org_id in secret.org_ids:
            by_org.setdefault(org_id, []).append(secret)
    return by_org


def _api_key(secret: Secret) -> ApiKey:
    return ApiKey(id=secret.id, org_id=secret.org_id, scopes=frozenset(secret.scopes.split()))


def _declared(contents: Contents) -> dict[tuple[str, str | None], dict[str, Variable]]:
    """By organisation and agent; agents without variables of their own have those of "", and nobody has those of all."""
    own: dict[str, list[Agent]] = {}
    for agent in contents.agents:
        if agent.variables:
            own.setdefault(agent.org_id, []).append(agent)
    found: dict[tuple[str, str | None], dict[str, Variable]] = {}
    for organization in contents.organizations:
        rules = organization.rules
        common = {one.name: one for one in (*(memory.DECLARED if rules.memory else ()), *rules.variables)}
        everything: dict[str, Variable] = {}
        for agent in own.get(organization.id, ()):
            theirs = {one.name: one for one in agent.variables}
            found[organization.id, agent.agent_id] = common | theirs
            everything |= theirs
        found[organization.id, ""] = common
        found[organization.id, None] = everything | common
    return found


def _orgs_by_agent(agents: Iterable[Agent]) -> dict[str, tuple[str, ...]]:
    by_agent: dict[str, tuple[str, ...]] = {}
    for agent in sorted(agents, key=lambda agent: (agent.is_learnt, agent.created_at, agent.org_id)):
        by_agent[agent.agent_id] = (*by_agent.get(agent.agent_id, ()), agent.org_id)
    return by_agent


def _numbers_by_org(numbers: Iterable[Number]) -> dict[str, tuple[str, ...]]:
    by_org: dict[str, tuple[str, ...]] = {}
    for number in numbers:
        by_org[number.org_id] = (*by_org.get(number.org_id, ()), number.number)
    return by_org


def _orgs_by_number(numbers: Iterable[Number]) -> dict[str, tuple[str, ...]]:
    by_number: dict[str, tuple[str, ...]] = {}
    for number in sorted(numbers, key=lambda number: (number.created_at, number.org_id)):
        by_number[number.number] = (*by_number.get(number.number, ()), number.org_id)
    return by_number
