"""What has changed since open pages looked: asked once a second for all of them, so every question is an index's.

A row says when it was changed before its transaction commits, and another replica's clock may be behind: whoever asks again
asks from OVERLAP_S before the last answer, and knows what it has seen.
"""

from collections.abc import Collection, Mapping
from typing import NamedTuple

import msgspec
import sqlalchemy as sa

from offhook.roles import Role
from offhook.store import pulse
from offhook.store.pulse import Pulse
from offhook.store.tables import calls, follow_ups, memberships, recording_peaks, recordings, sessions

OVERLAP_S = 10.0
MOST_CHANGES = 50  #: of one kind at a time, the latest: a page shows no more
_PEAKS_WITHIN_S = 600.0  #: a waveform that takes longer to be made is there when somebody comes back


class Change(NamedTuple):
    """Something about a call."""

    call_id: str
    what: str  #: call, recording
    version: str  #: another one is another change
    at: float  #: unix


class Changes(msgspec.Struct, frozen=True):
    changes: list[Change]  #: the oldest first
    pulse: Pulse


class Standing(NamedTuple):
    """What a session may look at, as of now."""

    org_id: str | None  #: the organisation that was chosen in it
    roles: dict[str, Role]  #: by organisation


def look(tx: sa.Connection, since: Mapping[str, float], now: float) -> dict[str, Changes]:
    """By organisation, what changed after that time (unix)."""
    return {org_id: Changes(_changes(tx, org_id, at), pulse.take(tx, org_id, now)) for org_id, at in since.items()}


def standing(tx: sa.Connection, token_hashes: Collection[str], now: float) -> dict[str, Standing]:
    """Those of these sessions that are not over."""
    held = sa.select(sessions.c.token_hash, sessions.c.org_id, memberships.c.org_id, memberships.c.role)
    joined = held.outerjoin(memberships, memberships.c.user_id == sessions.c.user_id)
    is_open = sessions.c.idle_until > now, sessions.c.ends_at > now
    found: dict[str, Standing] = {}
    for token_hash, chosen, org_id, role in tx.execute(joined.where(sessions.c.token_hash.in_(token_hashes), *is_open)):
        roles = found.setdefault(token_hash, Standing(chosen, {})).roles
        if org_id is not None:
            roles[org_id] = role
    return found


def _changes(tx: sa.Connection, org_id: str, since: float) -> list[Change]:
    changed = [*_of_calls(tx, org_id, since), *_of_follow_ups(tx, org_id, since), *_of_recordings(tx, org_id, since)]
    return sorted(changed, key=lambda one: one.at)


def _of_calls(tx: sa.Connection, org_id: str, since: float) -> list[Change]:
    at = calls.c.updated_at
    newer = sa.select(calls.c.id, at).where(calls.c.org_id == org_id, at > since)
    rows = tx.execute(newer.order_by(at.desc(), calls.c.id.desc()).limit(MOST_CHANGES))
    return [Change(id, "call", repr(at), at) for id, at in rows]


def _of_follow_ups(tx: sa.Connection, org_id: str, since: float) -> list[Change]:
    """The row of a call says what somebody waits for."""
    at = follow_ups.c.updated_at
    newer = sa.select(follow_ups.c.call_id, follow_ups.c.id, at).where(follow_ups.c.org_id == org_id, at > since)
    rows = tx.execute(newer.order_by(at.desc(), follow_ups.c.id.desc()).limit(MOST_CHANGES))
    return [Change(call_id, "call", f"{id} {at!r}", at) for call_id, id, at in rows if call_id is not None]


def _of_recordings(tx: sa.Connection, org_id: str, since: float) -> list[Change]:
    """Those that came, and those whose waveform did: a look at one takes some seconds, and it has no index of its own."""
    came, seen = recordings.c.created_at, recording_peaks.c.created_at
    asked = sa.select(recordings.c.call_id, recordings.c.id, came, seen).outerjoin(
        recording_peaks, recording_peaks.c.recording_id == recordings.c.id
    )
    late = asked.where(recordings.c.org_id == org_id, came > since - _PEAKS_WITHIN_S)
    rows = tx.execute(late.order_by(came.desc(), recordings.c.id.desc()).limit(MOST_CHANGES))
    latest = [(call_id, id, came if seen is None else max(came, seen), seen) for call_id, id, came, seen in rows]
    return [Change(call_id, "recording", f"{id} {seen!r}", at) for call_id, id, at, seen in latest if at > since]
