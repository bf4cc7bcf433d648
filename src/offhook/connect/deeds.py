"""Each row of a plan, done and recorded. A crash between any two steps leaves what the next run finds and goes on from.

What would be lost with the process is recorded first: how a thing was before it is changed, and a bearer before ElevenLabs
has it. A webhook's secret is only ever in the answer that makes it: a webhook that is not on record is made again.

Of two runs at once the one that wrote last goes on; the other finds that at its next step, and ends.
"""

import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import sqlalchemy as sa

from offhook.connect import record, undoing
from offhook.connect.aims import Aim, Wanted, aim_of, noted
from offhook.connect.changes import change_of, merged, personalization, post_call, tool_wanted
from offhook.connect.plan import Deed, Row, number_of
from offhook.connect.record import LABEL, Former, SetUp
from offhook.connect.undoing import Undeed, Unrow
from offhook.connect.workspace import Thing, Workspace
from offhook.credentials import Kind, new_secret
from offhook.errors import Fault, GiveUp
from offhook.sealing import KeyRing
from offhook.store import organizations, workspaces
from offhook.store.database import Database, prepared
from offhook.voice.elevenlabs import agents as eleven
from offhook.voice.elevenlabs.api import ElevenLabs, at

OVERLAP_S = 7 * 86_400.0  #: so long an older webhook secret or bearer of connect's stays valid
GRACE_S = 3_600.0  #: after a disconnect: what is on its way still arrives; ElevenLabs retries for 41 minutes

Write = Callable[[sa.Connection], Any]


class Hands:
    """One run of connect or disconnect on one workspace."""

    def __init__(
        self,
        asked: ElevenLabs,
        database: Database,
        keys: KeyRing,
        *,
        api_key: str,
        wanted: Wanted,
        there: Workspace,
        done: SetUp,
    ) -> None:
        self.wanted = wanted
        self.there = there
        self.done = done
        self._asked = asked
        self._database = database
        self._keys = keys
        self._api_key = api_key

    @property
    def aim(self) -> Aim:
        return aim_of(self.wanted, self.there, self.done)

    async def begin(self) -> None:
        """Keep the key and what was found: from here on the organisation is connected."""
        self._learn(is_hipaa=self.wanted.is_hipaa, agent_ids=list(self.wanted.agent_ids))
        self.done = noted(self.aim, self.there, self.done)
        await self._record()

    async def begin_undoing(self) -> None:
        """A run of connect that is under way ends."""
        await self._record()

    async def do(self, row: Row) -> None:
        assert row.deed is not None
        await self._must_be_alone()
        await _DEEDS[row.deed](self, row.target)

    async def undo(self, row: Unrow) -> str | None:
        """None when it is done; else why it was left."""
        assert row.deed is not None
        await self._must_be_alone()
        try:
            await _UNDEEDS[row.deed](self, row.target)
        except GiveUp as error:
            return error.message
        return None

    async def end(self) -> None:
        """The organisation is no longer connected."""
        await self._database.write(_disconnected, self.wanted.org_id, self.done.mark, time.time() + GRACE_S)

    def _learn(self, **changes: Any) -> None:
        self.done = msgspec.structs.replace(self.done, **changes)

    async def _record(self, *also: Write) -> None:
        """Keep what is done, and *also* write that, in one transaction."""
        before = self.done.mark
        self._learn(mark=secrets.token_hex(8))
        await self._database.write(
            _kept, self._keys, self.wanted.org_id, self._api_key, before, self.done, time.time(), also
        )

    async def _must_be_alone(self) -> None:
        await self._database.read(_must_be_last, self.wanted.org_id, self.done.mark)

    def _with_made(self, *ids: str) -> list[str]:
        return self.done.made + [id for id in ids if id not in self.done.made]

    # The bearer

    async def _make_secret(self, _: str) -> None:
        value, known_as = await self._draw_bearer()
        body = {"type": "new", "name": self.wanted.secret_name, "value": f"Bearer {value}"}
        id = (await self._asked.post("/v1/convai/secrets", body))["secret_id"]
        self.there.secrets[id] = self.wanted.secret_name
        self._learn(secret_id=id, made=self._with_made(id))
        await self._record(self._closing("tool", but=known_as))

    async def _renew_secret(self, id: str) -> None:
        value, known_as = await self._draw_bearer()
        body = {"type": "update", "name": self.there.secrets[id], "value": f"Bearer {value}"}
        await self._asked.patch(at("/v1/convai/secrets", id), body)
        self._learn(secret_id=id, made=self._with_made(id))
        await self._record(self._closing("tool", but=known_as))

    async def _draw_bearer(self) -> tuple[str, str]:
        """A new tool secret, valid before anybody may present it; and its id here."""
        value, now = new_secret("tool"), time.time()
        known_as = await self._database.write(
            organizations.add_secret, self._keys, self.wanted.org_id, "tool", value, LABEL, now
        )
        self.wanted = msgspec.structs.replace(self.wanted, has_tool_secret=True)
        return value, known_as

    def _closing(self, kind: Kind, but: str = "") -> Write:
        """The older secrets of connect's of that kind end after the overlap."""
        until = time.time() + OVERLAP_S
        return prepared(organizations.close_labelled, self.wanted.org_id, kind, LABEL, until, but=but)

    # The webhook

    async def _make_webhook(self, _: str) -> None:
        settings = {"auth_type": "hmac", "name": self.wanted.name, "webhook_url": self.wanted.webhook_url}
        made = await self._asked.post("/v1/workspace/webhooks", {"settings": settings})
        id, secret = made["webhook_id"], made["webhook_secret"]
        self.there.webhooks[id] = {"webhook_id": id, "name": self.wanted.name, "webhook_url": self.wanted.webhook_url}
        self._learn(webhook_id=id, has_retries=None, made=self._with_made(id))
        self.wanted = msgspec.structs.replace(self.wanted, has_webhook_secret=True)
        add = prepared(organizations.add_secret, self._keys, self.wanted.org_id, "webhook", secret, LABEL, time.time())
        await self._record(self._closing("webhook"), add)
        await self._tune_webhook(id)

    async def _tune_webhook(self, id: str) -> None:
        webhook, has_retries = self.there.webhooks[id], not self.wanted.is_hipaa
        if id not in self.done.made and self.done.former_retries is msgspec.UNSET:
            self._learn(former_retries=bool(webhook.get("retry_enabled", False)))
            await self._record()
        body = {"name": webhook["name"], "is_disabled": False, "retry_enabled": has_retries}
        await self._asked.patch(at("/v1/workspace/webhooks", id), body)
        webhook.update(is_disabled=False, is_auto_disabled=False, retry_enabled=has_retries)
        self._learn(has_retries=has_retries)
        await self._record()

    async def _drop_webhook(self, id: str) -> None:
        await self._asked.delete(at("/v1/workspace/webhooks", id))
        self.there.webhooks.pop(id, None)
        self._learn(made=[one for one in self.done.made if one != id])
        await self._record()

    # The workspace's settings

    async def _set_post_call(self, _: str) -> None:
        await self._set(eleven.WEBHOOK, post_call(self.there.settings.get(eleven.WEBHOOK), self.aim))

    async def _set_personalization(self, _: str) -> None:
        await self._set(eleven.PERSONALIZATION, personalization(self.wanted, self.aim))

    async def _set(self, name: str, value: Thing) -> None:
        former = {name: self.there.settings.get(name), **self.done.former_settings}  # the first one counts
        self._learn(former_settings=former)
        await self._record()
        await self._asked.patch("/v1/convai/settings", {name: value})
        self.there.settings[name] = value

    # Tools

    async def _make_tool(self, tool: str) -> None:
        config = tool_wanted(self.wanted, self.aim, tool)
        id = (await self._asked.post("/v1/convai/tools", {"tool_config": config}))["id"]
        self.there.tools[id] = config
        self._learn(tool_ids={**self.done.tool_ids, tool: id}, made=self._with_made(id))
        await self._record()

    async def _change_tool(self, tool: str) -> None:
        id = self.aim.tool_ids[tool]
        config = merged(self.there.tools[id], tool_wanted(self.wanted, self.aim, tool))
        await self._asked.patch(at("/v1/convai/tools", id), {"tool_config": config})
        self.there.tools[id] = config

    # Agents and numbers

    async def _change_agent(self, id: str) -> None:
        change = change_of(self.there.agents[id], self.wanted, self.there, self.aim)
        former = _earlier(self.done.former_agents.get(id), change.former)
        self._learn(former_agents={**self.done.former_agents, id: former})
        await self._record()
        self.there.agents[id] = await self._asked.patch(at("/v1/convai/agents", id), change.patch)

    async def _import_agent(self, id: str) -> None:
        name = self.there.agent_names.get(id)
        self._learn(imported_agents=[*self.done.imported_agents, id])
        await self._record(prepared(organizations.add_agent, self.wanted.org_id, id, name, time.time()))

    async def _import_number(self, number: str) -> None:
        label = next(
            (one.get("label") for one in self.there.numbers if number_of(one, self.wanted.country) == number), None
        )
        self._learn(imported_numbers=[*self.done.imported_numbers, number])
        await self._record(prepared(organizations.add_number, self.wanted.org_id, number, label or None, time.time()))

    # The way back

    async def _restore_settings(self, name: str) -> None:
        value = undoing.settings_before(name, self.there, self.done)
        await self._asked.patch("/v1/convai/settings", {name: value})

    async def _restore_agent(self, id: str) -> None:
        former = self.done.former_agents[id]
        body = undoing.agent_before(self.there.agents[id], former, self.there, self.done)
        await self._asked.patch(at("/v1/convai/agents", id), body)

    async def _restore_retries(self, _: str) -> None:
        id = self.done.webhook_id or ""
        webhook = self.there.webhooks[id]
        body = {"name": webhook["name"], "is_disabled": bool(webhook.get("is_disabled"))}
        await self._asked.patch(at("/v1/workspace/webhooks", id), {**body, "retry_enabled": self.done.former_retries})

    async def _delete_tool(self, id: str) -> None:
        await self._asked.delete(at("/v1/convai/tools", id))

    async def _delete_webhook(self, id: str) -> None:
        await self._asked.delete(at("/v1/workspace/webhooks", id))

    async def _delete_secret(self, id: str) -> None:
        await self._asked.delete(at("/v1/convai/secrets", id))

    async def _forget_agent(self, id: str) -> None:
        await self._database.write(organizations.unregister_agent, self.wanted.org_id, id)

    async def _forget_number(self, number: str) -> None:
        await self._database.write(organizations.remove_number, self.wanted.org_id, number)


def _earlier(known: Former | None, now: Former) -> Former:
    """How the agent was before connect came, over all runs: what was recorded first counts."""
    if known is None:
        return now
    return Former(
        attached=[*known.attached, *(id for id in now.attached if id not in known.attached)],
        is_asked_before=now.is_asked_before if known.is_asked_before is msgspec.UNSET else known.is_asked_before,
        places={**now.places, **known.places},
    )


def _kept(
    tx: sa.Connection,
    keys: KeyRing,
    org_id: str,
    api_key: str,
    before: str,
    done: SetUp,
    now: float,
    also: tuple[Write, ...],
) -> None:
    organizations.lock(tx, org_id)
    _must_be_last(tx, org_id, before)
    for write in also:
        write(tx)
    workspaces.keep(tx, keys, org_id, api_key, record.written(done), now)


def _disconnected(tx: sa.Connection, org_id: str, mark: str, until: float) -> None:
    organizations.lock(tx, org_id)
    _must_be_last(tx, org_id, mark)
    organizations.close_labelled(tx, org_id, "webhook", LABEL, until)
    organizations.close_labelled(tx, org_id, "tool", LABEL, until)
    workspaces.forget(tx, org_id)


def _must_be_last(tx: sa.Connection, org_id: str, mark: str) -> None:
    """Fault when another run has written since this one wrote, or read, *mark*."""
    if record.read(workspaces.set_up_of(tx, org_id)).mark != mark:
        raise Fault(
            "Another run of connect or disconnect for this organisation has begun meanwhile: wait until it has ended, "
            "then type this again."
        )


_DEEDS: dict[Deed, Callable[[Hands, str], Awaitable[None]]] = {
    "make_secret": Hands._make_secret,
    "renew_secret": Hands._renew_secret,
    "make_webhook": Hands._make_webhook,
    "tune_webhook": Hands._tune_webhook,
    "drop_webhook": Hands._drop_webhook,
    "set_post_call": Hands._set_post_call,
    "set_personalization": Hands._set_personalization,
    "make_tool": Hands._make_tool,
    "change_tool": Hands._change_tool,
    "change_agent": Hands._change_agent,
    "import_agent": Hands._import_agent,
    "import_number": Hands._import_number,
}
_UNDEEDS: dict[Undeed, Callable[[Hands, str], Awaitable[None]]] = {
    "restore_settings": Hands._restore_settings,
    "restore_agent": Hands._restore_agent,
    "restore_retries": Hands._restore_retries,
    "delete_tool": Hands._delete_tool,
    "delete_webhook": Hands._delete_webhook,
    "delete_secret": Hands._delete_secret,
    "forget_agent": Hands._forget_agent,
    "forget_number": Hands._forget_number,
}
