"""Reading recordings: which there are, and which one is played."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from offhook.events import RecordingState
from offhook.store.database import upsert
from offhook.store.tables import recording_peaks, recordings

UNDECODABLE: RecordingState = "undecodable"  #: the file holds the text as it came: there is nothing to play


def of_calls(tx: sa.Connection, call_ids: Sequence[str]) -> dict[str, list[sa.Row[Any]]]:
    """The recordings of each of these calls, newest first; a call without one is not among the keys."""
    rows = tx.execute(sa.select(recordings).where(recordings.c.call_id.in_(call_ids)).order_by(*_newest_first())).all()
    found: dict[str, list[sa.Row[Any]]] = {}
    for row in rows:
        found.setdefault(row.call_id, []).append(row)
    return found


def playing(tx: sa.Connection, call_id: str) -> sa.Row[Any] | None:
    """The recording that is played for the call: the newest MP3, else the newest bytes that are none; None without any.

    The caller has proven that it may hear this call: by the organisation of its row, or by a signed link, which names none.
    """
    return tx.execute(
        sa.select(recordings)
        .where(recordings.c.call_id == call_id, recordings.c.state != UNDECODABLE)
        .order_by((recordings.c.state == "ready").desc(), *_newest_first())
        .limit(1)
    ).one_or_none()


def drawn(tx: sa.Connection, recording_id: str) -> sa.Row[Any] | None:
    """`peaks`, how loud it is, moment by moment (0-255; NULL: it cannot be decoded), and the `version` of the way that they
    were counted; None while nobody has looked."""
    columns: tuple[sa.ColumnElement[Any], ...] = (recording_peaks.c.peaks, recording_peaks.c.version)
    return tx.execute(sa.select(*columns).where(recording_peaks.c.recording_id == recording_id)).one_or_none()


def find(tx: sa.Connection, recording_id: str) -> sa.Row[Any] | None:
    return tx.execute(sa.select(recordings).where(recordings.c.id == recording_id)).one_or_none()


def has_peaks(tx: sa.Connection, recording_id: str, version: int) -> bool:
    """Whether somebody has looked, in that way; also at what could not be decoded."""
    its = recording_peaks.c.recording_id == recording_id, recording_peaks.c.version == version
    return tx.execute(sa.select(recording_peaks.c.version).where(*its)).first() is not None


def keep_peaks(
    tx: sa.Connection,
    recording_id: str,
    *,
    version: int,
    peaks: bytes | None,
    duration_s: float | None,
    failure: str | None,
    now: float,
) -> None:
    """What was found of it, unless the recording has been erased meanwhile."""
    its = sa.select(recordings.c.id).where(recordings.c.id == recording_id)
    if tx.dialect.name == "postgresql":
        its = its.with_for_update(key_share=True)
    if tx.execute(its).first() is None:
        return
    found = {"version": version, "peaks": peaks, "duration_s": duration_s, "failure": failure, "created_at": now}
    upsert(tx, recording_peaks, [{"recording_id": recording_id, **found}])


def erase(tx: sa.Connection, *which: sa.ColumnElement[bool]) -> None:
    """Those rows of recordings, and what was drawn of them."""
    ids = sa.select(recordings.c.id).where(*which)
    tx.execute(recording_peaks.delete().where(recording_peaks.c.recording_id.in_(ids)))
    tx.execute(recordings.delete().where(*which))


def files_among(tx: sa.Connection, names: Sequence[str]) -> set[str]:
    """Those of *names* that are the file of a recording."""
    return set(tx.execute(sa.select(recordings.c.file).where(recordings.c.file.in_(names))).scalars())


def _newest_first() -> tuple[sa.ColumnElement[Any], ...]:
    return recordings.c.created_at.desc(), recordings.c.id.desc()
