"""What is stored of somebody's earlier calls, read while it rings; and what a person changed in it.

What a person wrote is kept beside the calls, never in them: a replay changes neither.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from offhook.memory import LAST_CALLS, MAX_CHARS, MOST_COUNTED, CallBack, Edit, PastCall, Remembered, edit_text
from offhook.store import contact_locks
from offhook.store.database import upsert
from offhook.store.tables import contacts, memories

EDITABLE = ("previous_topics", "last_call_summary", "open_items")
_MAX_ANALYSIS_CHARS = 65_536  #: one that is longer is not read while somebody waits

_MAX_TEXT_CHARS = 4 * MAX_CHARS  #: what is told of a title or summary is made from its beginning; some are megabytes

_SINCE = "coalesce((SELECT forgotten_before FROM memories WHERE contact_id = {contact}), 0)"
_CONVERSATIONS = (
    "FROM calls WHERE org_id = {org} AND contact_id = {contact} AND status = 'completed' AND happened_at > " + _SINCE
)
#: For the driver itself, in one go; each row says first what it is. The analysis lies behind the transcript, which may be
#: long, and is read of the last call only. `|| ''` keeps the planner from all call-backs of the
#: organisation, of which there may be many more than of one contact.
_RECALL = f"""
SELECT 'call' AS kind, happened_at AS at, title AS a, summary AS b, NULL AS c FROM (
    SELECT happened_at, substr(title, 1, {_MAX_TEXT_CHARS}) AS title, substr(summary, 1, {_MAX_TEXT_CHARS}) AS summary
    {_CONVERSATIONS} ORDER BY happened_at DESC, id DESC LIMIT {LAST_CALLS}
) AS last_calls
UNION ALL SELECT 'count', 0, CAST(count(*) AS TEXT), NULL, NULL FROM (
    SELECT 1 AS one {_CONVERSATIONS} LIMIT {MOST_COUNTED}
) AS counted
UNION ALL SELECT 'collected', 0, analysis, NULL, NULL FROM (
    SELECT CASE WHEN length(analysis) <= {_MAX_ANALYSIS_CHARS} THEN analysis END AS analysis
    {_CONVERSATIONS} ORDER BY happened_at DESC, id DESC LIMIT 1
) AS last_analysis
UNION ALL SELECT 'call_back', created_at, reason, NULL, NULL FROM (
    SELECT created_at, reason FROM callbacks
    WHERE contact_id = {{contact}} AND org_id || '' = {{org}} AND status = 'open' AND created_at > {_SINCE}
    ORDER BY created_at DESC LIMIT {LAST_CALLS}
) AS open_call_backs
UNION ALL SELECT 'edited', forgotten_before, previous_topics, last_call_summary, open_items
    FROM memories WHERE contact_id = {{contact}} AND org_id = {{org}}
"""  # noqa: S608 - our own words and numbers
RECALL_SQL_SQLITE = _RECALL.format(org="?1", contact="?2")
RECALL_SQL_POSTGRESQL = _RECALL.format(org="$1", contact="$2")

_read_edit = msgspec.json.Decoder(Edit).decode
_read_analysis = msgspec.json.Decoder(dict[str, Any]).decode


def remembered(rows: Iterable[Sequence[Any]]) -> Remembered:
    """What the rows of the recall say."""
    of: dict[str, list[Sequence[Any]]] = {}
    for row in rows:
        of.setdefault(row[0], []).append(row)
    (edited,) = of.get("edited") or [("edited", None, None, None, None)]
    calls = [PastCall(happened_at=at, title=title, summary=summary) for _, at, title, summary, _ in of.get("call", ())]
    return Remembered(
        calls=tuple(sorted(calls, key=lambda call: call.happened_at, reverse=True)),
        call_count=int(of["count"][0][2]) if "count" in of else 0,
        call_backs=tuple(CallBack(asked_at=row[1], reason=row[2]) for row in of.get("call_back", ())),
        collected=_analysis(of["collected"][0][2]) if "collected" in of else None,
        forgotten_before=edited[1],
        previous_topics=_edit(edited[2]),
        last_call_summary=_edit(edited[3]),
        open_items=_edit(edited[4]),
    )


def recall(tx: sa.Connection, org_id: str, contact_id: str) -> Remembered:
    """What is remembered of the contact; nothing of one that is not there."""
    sql = RECALL_SQL_SQLITE if tx.dialect.name == "sqlite" else RECALL_SQL_POSTGRESQL
    return remembered(row[:] for row in tx.exec_driver_sql(sql, (org_id, contact_id)))


def edit(tx: sa.Connection, org_id: str, contact_id: str, texts: Mapping[str, str | None], now: float) -> bool:
    """Write what a person wrote; None of a text takes it back to what the calls say. False when there is no contact."""
    if not _is_there(tx, org_id, contact_id):
        return False
    written = {
        name: None if text is None else msgspec.json.encode(Edit(text=edit_text(text), at=now)).decode()
        for name, text in texts.items()
    }
    _write(tx, org_id, contact_id, written, now)
    return True


def forget(tx: sa.Connection, org_id: str, contact_id: str, now: float) -> bool:
    """Remember nothing of what was until now. False when there is no contact."""
    if not _is_there(tx, org_id, contact_id):
        return False
    _write(tx, org_id, contact_id, {**dict.fromkeys(EDITABLE), "forgotten_before": now}, now)
    return True


def _is_there(tx: sa.Connection, org_id: str, contact_id: str) -> bool:
    contact_locks.hold_off_merges(tx, (org_id,))
    wanted = contacts.c.id == contact_id, contacts.c.org_id == org_id
    return tx.execute(sa.select(contacts.c.id).where(*wanted)).first() is not None


def _write(tx: sa.Connection, org_id: str, contact_id: str, values: Mapping[str, Any], now: float) -> None:
    upsert(tx, memories, [{"contact_id": contact_id, "org_id": org_id, **values, "updated_at": now}])


def _edit(text: str | None) -> Edit | None:
    try:
        return _read_edit(text) if text else None
    except msgspec.DecodeError:
        return None


def _analysis(text: str | None) -> dict[str, Any] | None:
    try:
        return _read_analysis(text) if text else None
    except msgspec.DecodeError:
        return None
