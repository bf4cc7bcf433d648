"""What the sockets stand on: one of each, made by `app.py`, reached from a request as `request.app.state.deps`."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from offhook.accounts.joining import Joining
from offhook.accounts.sign_ins import SignIns
from offhook.contexts import Contexts
from offhook.directory import Directory
from offhook.disks import FullnessWatch
from offhook.guardian.rounds import Guardian
from offhook.inbox import Inbox
from offhook.ledger import Ledger
from offhook.messages import Messages
from offhook.personalization import Personalization
from offhook.projection.projector import Projector
from offhook.refusals import Refusals
from offhook.sealing import KeyRing
from offhook.settings import Settings
from offhook.spool import Spool
from offhook.store.database import Database
from offhook.streaks import Streaks
from offhook.tools import Tools
from offhook.voice.parts import Folders


@dataclass(frozen=True, slots=True)
class Deps:
    settings: Settings
    now: Callable[[], float]  #: unix, UTC
    keys: KeyRing
    folders: Folders
    database: Database
    directory: Directory
    contexts: Contexts
    inbox: Inbox
    spool: Spool
    disks: FullnessWatch
    personalization: Personalization
    tools: Tools
    projector: Projector
    messages: Messages
    ledger: Ledger
    guardian: Guardian
    refusals: Refusals
    streaks: Streaks
    sign_ins: SignIns
    joining: Joining
    stopping: asyncio.Event  #: set when the server is told to stop: answers without an end come to theirs
