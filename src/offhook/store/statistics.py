"""How many calls there were, and how long they lasted: one question to the database, answered by an index alone."""

import msgspec
import sqlalchemy as sa

from offhook.store.tables import calls


class Tally(msgspec.Struct, frozen=True):
    """Calls of one kind, counted."""

    count: int
    total_s: float  #: calls of unknown duration count as none

    @property
    def average_s(self) -> float:
        """Over all of them; 0 when there are none."""
        return self.total_s / self.count if self.count else 0.0


def by_status(tx: sa.Connection, org_id: str, *, since: float | None, until: float | None) -> dict[str, Tally]:
    """The organisation's calls from *since* (unix, inclusive) until *until* (exclusive); only statuses that occur."""
    wanted: list[sa.ColumnElement[bool]] = [calls.c.org_id == org_id]
    if since is not None:
        wanted.append(calls.c.happened_at >= since)
    if until is not None:
        wanted.append(calls.c.happened_at < until)
    total_s = sa.func.coalesce(sa.func.sum(calls.c.duration_s), 0.0)
    counted = sa.select(calls.c.status, sa.func.count(), total_s).where(*wanted).group_by(calls.c.status)
    return {status: Tally(count, total_s) for status, count, total_s in tx.execute(counted)}


def together(tallies: dict[str, Tally]) -> Tally:
    return Tally(sum(one.count for one in tallies.values()), sum((one.total_s for one in tallies.values()), 0.0))
