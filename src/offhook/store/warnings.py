"""What the guardian has found and what is still so: a row a finding, gone when it is over."""

from collections.abc import Collection, Sequence
from typing import Any, Literal

import msgspec
import sqlalchemy as sa

from offhook.store.database import upsert
from offhook.store.tables import balances, calls, warnings

Severity = Literal["watched", "warning", "error"]  #: watched: it is no finding yet, unless it goes on
_HOUR_S = 3600


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is wrong, in plain words. No secret, and but for *details* nothing that strangers may not read."""

    code: str
    severity: Severity
    message: str
    remedy: str  #: what to do; ORG stands for the organisation
    details: dict[str, Any] = {}  #: for the organisation's own people: which agents, which address


class Standing(Finding, frozen=True, kw_only=True):
    """A finding that is on file."""

    org_id: str
    since: float  #: unix
    seen_at: float
    told_at: float | None  #: when somebody was alerted, the last time; None: nobody


class Change(msgspec.Struct, frozen=True):
    """What a look has changed."""

    begun: list[Standing]  #: new, or worse than it was
    over: list[Standing]


def settle(
    tx: sa.Connection, org_id: str, looked_at: Collection[str], findings: Sequence[Finding], now: float
) -> Change:
    """Keep *findings*; what else has a code of *looked_at* is over."""
    known = {one.code: one for one in _rows(tx, org_id)}
    found = [_standing(org_id, finding, known.get(finding.code), now) for finding in findings]
    over = [one for code, one in known.items() if code in looked_at and code not in {kept.code for kept in found}]
    mine = warnings.c.org_id == org_id, warnings.c.code.in_([one.code for one in over])
    tx.execute(warnings.delete().where(*mine))
    # Who looks at the same moment may have been first: its alert is under way.
    upsert(tx, warnings, [_row(one) for one in found], keep=("since", "told_at"))
    begun = [one for one in found if one.severity != "watched" and _is_worse(one, known.get(one.code))]
    return Change(begun, [one for one in over if one.severity != "watched"])


def standing(tx: sa.Connection, org_id: str | None = None) -> list[Standing]:
    """What is wrong now, the worst and oldest first; without *org_id* everybody's."""
    found = [one for one in _rows(tx, org_id) if one.severity != "watched"]
    return sorted(found, key=lambda one: (one.severity != "error", one.since, one.org_id, one.code))


def get(tx: sa.Connection, org_id: str, code: str) -> Standing | None:
    """Watched ones, too; None when there is none."""
    return next((one for one in _rows(tx, org_id) if one.code == code), None)


def is_clear(tx: sa.Connection, org_id: str) -> bool:
    """Whether nothing is on file, not even something watched."""
    return tx.execute(sa.select(warnings.c.code).where(warnings.c.org_id == org_id).limit(1)).first() is None


def stamp_told(tx: sa.Connection, org_id: str, code: str, since: float, now: float) -> None:
    """Somebody was alerted to the one that began at *since*."""
    this = warnings.c.org_id == org_id, warnings.c.code == code, warnings.c.since == since
    tx.execute(warnings.update().where(*this).values(told_at=now))


# What the guardian judges by


def calls_by_hour(tx: sa.Connection, org_id: str, since: float) -> dict[int, int]:
    """How many calls began in each hour (unix time / 3600) from *since* on; only hours that had some."""
    hour = sa.cast(sa.func.floor(calls.c.happened_at / _HOUR_S), sa.Integer)
    counted = sa.select(hour, sa.func.count()).where(calls.c.org_id == org_id, calls.c.happened_at >= since)
    return {row[0]: row[1] for row in tx.execute(counted.group_by(hour))}


def undelivered(tx: sa.Connection, org_id: str, since_day: str) -> tuple[int, int]:
    """Of the calls that began on *since_day* (UTC, 2026-11-22) or later: those no webhook brought, and all of them."""
    mine = balances.c.org_id == org_id, balances.c.day >= since_day
    summed = sa.select(sa.func.sum(balances.c.fetched), sa.func.sum(balances.c.theirs)).where(*mine)
    fetched, theirs = tx.execute(summed).one()
    return int(fetched or 0), int(theirs or 0)


def _is_worse(now: Finding, before: Finding | None) -> bool:
    order = ("watched", "warning", "error")
    return before is None or order.index(now.severity) > order.index(before.severity)


def _standing(org_id: str, finding: Finding, before: Standing | None, now: float) -> Standing:
    """*finding* on file: it began when it was first seen."""
    return Standing(
        **msgspec.structs.asdict(finding),
        org_id=org_id,
        since=before.since if before else now,
        seen_at=now,
        told_at=before.told_at if before else None,
    )


def _rows(tx: sa.Connection, org_id: str | None) -> list[Standing]:
    mine = [warnings.c.org_id == org_id] if org_id is not None else []
    rows = tx.execute(sa.select(warnings).where(*mine)).mappings()
    return [Standing(**{**row, "details": msgspec.json.decode(row["details"])}) for row in rows]


def _row(one: Standing) -> dict[str, Any]:
    return {**msgspec.structs.asdict(one), "details": msgspec.json.encode(one.details).decode()}
