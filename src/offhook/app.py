"""The composition root: settings become stores, rooms and sockets."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from starlette.types import ASGIApp

from offhook import alerts, api, dashboard
from offhook.accounts.joining import Joining
from offhook.accounts.sign_ins import SignIns
from offhook.contexts import Contexts
from offhook.deps import Deps
from offhook.directory import Directory
from offhook.disks import FullnessWatch
from offhook.effects import kinds
from offhook.errors import Unavailable
from offhook.fetching import Fetching
from offhook.guardian.lookout import Lookout
from offhook.guardian.rounds import Guardian
from offhook.inbox import Inbox
from offhook.indexing import index_the_rest
from offhook.ledger import Ledger
from offhook.logs import log
from offhook.messages import Messages
from offhook.personalization import Personalization
from offhook.projection.projector import Projector
from offhook.reconcile.rounds import Reconcile
from offhook.refusals import Refusals
from offhook.replaying import Replays
from offhook.routes import Entrance, doors
from offhook.sealing import KeyRing
from offhook.settings import Settings, read_settings
from offhook.sms import provider_named
from offhook.sms.twilio import TwilioSettings
from offhook.snapshot import Snapshot
from offhook.spool import Spool
from offhook.store import migrations
from offhook.store.database import Database
from offhook.store.engine import open_database
from offhook.streaks import Streaks
from offhook.tools import Tools
from offhook.voice.parts import Folders
from offhook.waveforms import Waveforms
from offhook.webhooks.arrival import UnprovenQuota
from offhook.webhooks.filings import Filings
from offhook.webhooks.greeting import PersonalizationDoor
from offhook.webhooks.post_call import PostCallDoor
from offhook.webhooks.requests import Senders
from offhook.webhooks.tools import tool_doors
from offhook.webhooks.twilio import TwilioDoor

_LOOK_AT_DISKS_S = 1.0
_MIB = 1 << 20
_UNPROVEN_MEMORY_BYTES = 256 * _MIB  #: for all bodies that nobody has proven yet


@contextlib.asynccontextmanager
async def house(settings: Settings, *, is_server: bool, with_worker: bool = True) -> AsyncIterator[Deps]:
    """Everything the sockets stand on, opened from the ground up and closed in reverse."""
    keys = settings.key_ring()
    for folder in (settings.data_dir, settings.recordings_dir, settings.bodies_dir):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    snapshot = None if settings.is_sqlite or not is_server else _snapshot(settings, keys)
    deps = _furnished(settings, keys, snapshot, is_server=is_server)
    async with contextlib.AsyncExitStack() as stack:
        await _open_database(deps.database, settings, may_wait=snapshot is not None and snapshot.path.exists())
        stack.push_async_callback(deps.database.close)
        for room in (deps.directory, deps.contexts, deps.inbox):
            await room.open()
            stack.push_async_callback(room.close)
        stack.push_async_callback(_ended, asyncio.create_task(_look_after_disks(deps), name="disks"))
        stack.push_async_callback(deps.messages.close)
        if is_server:
            await deps.guardian.open()
            stack.push_async_callback(deps.guardian.close)
        if with_worker:
            deps.inbox.on_filed.append(deps.projector.ring)
            deps.projector.on_kept.append(deps.ledger.ring)
            stack.push_async_callback(_stopped, deps.projector, deps.ledger)
            await deps.ledger.start()
            await deps.projector.start()
            stack.push_async_callback(_ended, asyncio.create_task(index_the_rest(deps.database), name="search"))
        yield deps


async def _open_database(database: Database, settings: Settings, *, may_wait: bool) -> None:
    """Open it, its tables up to date; where *may_wait*, a database that is away is opened once it is back."""
    try:
        await migrations.upgrade(settings)
        await database.open()
    except Unavailable as error:
        if not may_wait:
            raise
        log.warning("database.away", reason=error.message)
        database.open_later(partial(migrations.upgrade, settings))


async def _look_after_disks(deps: Deps) -> None:
    while True:
        try:
            await asyncio.to_thread(deps.spool.look)
            await asyncio.to_thread(deps.disks.look)
        except Exception:  # who watches the disks must not end unnoticed
            log.exception("disks.look_failed")
        await asyncio.sleep(_LOOK_AT_DISKS_S)


async def _stopped(projector: Projector, ledger: Ledger) -> None:
    """Both at once: a database that hangs holds up either for as long as it may take."""
    await asyncio.gather(projector.stop(), ledger.stop())


async def _ended(task: "asyncio.Task[Any]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def build(deps: Deps) -> tuple[ASGIApp, Filings]:
    """The ASGI application, and what it has yet to file when its last answer is sent."""
    settings = deps.settings
    filings = Filings(deps.inbox)
    senders = Senders(settings.trusted_networks, settings.allowed_networks)
    post_call = PostCallDoor(
        senders=senders,
        directory=deps.directory,
        database=deps.database,
        inbox=deps.inbox,
        refusals=deps.refusals,
        streaks=deps.streaks,
        quota=UnprovenQuota(
            disk_bytes=settings.unproven_quota_mib * _MIB,
            memory_bytes=max(_UNPROVEN_MEMORY_BYTES, 2 * settings.body_limit_mib * _MIB),
        ),
        folders=deps.folders,
        body_limit_bytes=settings.body_limit_mib * _MIB,
        now=deps.now,
    )
    personalization = PersonalizationDoor(
        senders=senders,
        directory=deps.directory,
        personalization=deps.personalization,
        filings=filings,
        refusals=deps.refusals,
        now=deps.now,
    )
    tools = tool_doors(
        senders=senders,
        directory=deps.directory,
        tools=deps.tools,
        filings=filings,
        refusals=deps.refusals,
        now=deps.now,
    )
    twilio = TwilioDoor(
        senders=senders,
        messages=deps.messages,
        refusals=deps.refusals,
        auth_token=read_settings(TwilioSettings).auth_token,
        public_url=settings.public_url,
        now=deps.now,
    )
    framework = api.build(deps)
    framework.router.routes[:0] = doors(post_call, personalization, tools, twilio)
    pages = dashboard.build(deps, senders.address_of)
    return Entrance(post_call, personalization, tools, framework, pages), filings


def _snapshot(settings: Settings, keys: KeyRing) -> Snapshot:
    return Snapshot(settings.data_dir / "directory.sealed", keys, settings.database_url)


def _furnished(settings: Settings, keys: KeyRing, snapshot: Snapshot | None, *, is_server: bool) -> Deps:
    """One of each, not open yet."""
    now = time.time
    spool = Spool(settings.spool_dirs, keys, ballast_bytes=settings.ballast_mib * _MIB)
    stores = (settings.recordings_dir, settings.bodies_dir)
    folders = Folders(*stores, keys, partial(spool.is_tight, stores))
    database = open_database(settings, is_server=is_server)
    directory = Directory(database, keys, now, snapshot=snapshot)
    contexts = Contexts(database, settings.redis_url)
    inbox = Inbox(database, spool, keys, budget_s=settings.accept_budget_ms / 1000)
    fetching = Fetching(
        database, keys, folders, inbox, now, reach=settings.reach, limit_bytes=settings.recording_limit_mib * _MIB
    )
    messages = Messages(database, directory, provider_named(settings.sms), now, public_url=settings.public_url)
    reconcile = Reconcile(settings, database, keys, directory, inbox, now)
    waveforms = Waveforms(database, settings.recordings_dir, now)
    streaks = Streaks()
    sign_ins = SignIns(database, settings, now)
    lookout = Lookout(
        database,
        keys,
        now,
        public_url=settings.public_url,
        elevenlabs_url=settings.elevenlabs_url,
        is_telling=bool(settings.alert_url),
    )
    guardian = Guardian(database, lookout, streaks, alerts.opened(settings.alert_url), now)
    return Deps(
        settings=settings,
        now=now,
        keys=keys,
        folders=folders,
        database=database,
        directory=directory,
        contexts=contexts,
        inbox=inbox,
        spool=spool,
        disks=FullnessWatch(settings.folders),
        personalization=Personalization(
            database, directory, contexts, budget_s=settings.greeting_budget_ms / 1000, now=now
        ),
        tools=Tools(database, directory, contexts, messages, inbox, now=now),
        projector=Projector(database, keys, directory, contexts, folders, now),
        messages=messages,
        ledger=Ledger(
            database,
            kinds(fetching, messages, guardian, reconcile, Replays(database), waveforms),
            now,
            is_alone=settings.is_sqlite,
        ),
        guardian=guardian,
        refusals=Refusals(),
        streaks=streaks,
        sign_ins=sign_ins,
        joining=Joining(database, keys, sign_ins, now),
        stopping=asyncio.Event(),
    )
