"""Who looked at what, and who changed what matters. Rows are added and read; triggers refuse everything else."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from offhook.store.tables import audit

#: Every action, and how it is told.
ACTIONS: Final[Mapping[str, str]] = {
    "signed_in": "signed in",
    "sign_in_failed": "failed to sign in",
    "signed_out": "signed out",
    "password_changed": "changed their password",
    "contact_read": "looked at a person",
    "call_read": "read a transcript",
    "recording_heard": "played a recording",
    "recording_saved": "saved a recording",
    "summary_edited": "rewrote the summary of a call",
    "summary_restored": "took a summary back to the agent's own",
    "payload_read": "read a payload",
    "exported": "exported a list",
    "person_exported": "exported one caller's data",
    "person_erased": "erased a person",
    "contacts_merged": "merged two contacts",
    "user_invited": "invited a user",
    "invitation_withdrawn": "withdrew an invitation",
    "user_joined": "joined",
    "role_changed": "changed a role",
    "user_removed": "removed a user",
    "secret_rotated": "rotated a secret",
    "secret_removed": "removed a secret",
    "key_created": "made an API key",
    "key_revoked": "closed an API key",
    "settings_changed": "changed settings",
    "event_replayed": "replayed an event",
    "events_replayed": "replayed the events of a filter",
    "body_saved": "saved an event's body as it came",
    "looked_now": "had everything compared at once",
    "effect_retried": "had something tried again that was given up",
}


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the log."""

    at: float
    org_id: str | None  #: None: before it is known for which
    user_id: str | None  #: None: nobody known, or a command
    who: str  #: the email address then, or "offhook user" for a command
    action: str  #: a key of ACTIONS
    object_kind: str | None = None  #: call, recording, contact, user...
    object_id: str | None = None
    details: Mapping[str, Any] | None = None
    address: str = ""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries of an organisation; None: whatever it is."""

    user_id: str | None = None
    action: str | None = None
    object_id: str | None = None
    since: float | None = None
    until: float | None = None


def add(tx: sa.Connection, entry: Entry) -> None:
    assert entry.action in ACTIONS, entry.action
    row = msgspec.structs.asdict(entry)
    tx.execute(audit.insert(), {**row, "details": entry.details and msgspec.json.encode(entry.details).decode()})


def add_once_in(tx: sa.Connection, entry: Entry, within_s: float) -> None:
    """Add *entry*, unless the same person did the same to the same thing less than *within_s* ago: a player asks for a
    recording piece by piece."""
    same = audit.c.user_id == entry.user_id, audit.c.action == entry.action, audit.c.object_id == entry.object_id
    recent = sa.select(audit.c.seq).where(*same, audit.c.at > entry.at - within_s).limit(1)
    if tx.execute(recent).first() is None:
        add(tx, entry)


def page(
    tx: sa.Connection, org_id: str, wanted: Wanted, *, limit: int, before: int | None = None
) -> Sequence[sa.Row[Any]]:
    """The newest first; *before*: the seq of the last entry that was shown. `details` is JSON."""
    equal = {audit.c.user_id: wanted.user_id, audit.c.action: wanted.action, audit.c.object_id: wanted.object_id}
    conditions = [column == value for column, value in equal.items() if value is not None]
    if wanted.since is not None:
        conditions.append(audit.c.at >= wanted.since)
    if wanted.until is not None:
        conditions.append(audit.c.at < wanted.until)
    if before is not None:
        conditions.append(audit.c.seq < before)
    found = sa.select(audit).where(audit.c.org_id == org_id, *conditions)
    return tx.execute(found.order_by(audit.c.seq.desc()).limit(limit)).all()
