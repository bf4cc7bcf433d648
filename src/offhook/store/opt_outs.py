"""Numbers that want no texts. They are numbers and not people: who is deleted or merged still wants none."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Literal, get_args

import sqlalchemy as sa

from offhook.store.database import insert_new
from offhook.store.tables import opt_outs

OptOutSource = Literal["stop", "api", "cli"]  #: the person's own text; or somebody wrote it down
OPT_OUT_SOURCES: tuple[OptOutSource, ...] = get_args(OptOutSource)


def add(tx: sa.Connection, org_id: str, numbers: Iterable[str], source: OptOutSource, now: float) -> None:
    """Text *numbers* (E.164) no more; who said so first, and when, stays."""
    rows = [
        {"org_id": org_id, "number": number, "source": source, "created_at": now} for number in sorted(set(numbers))
    ]
    insert_new(tx, opt_outs, rows)


def remove(
    tx: sa.Connection, org_id: str, numbers: Collection[str], *, only: Iterable[OptOutSource] = OPT_OUT_SOURCES
) -> None:
    """Text *numbers* again, where one of *only* said that they wanted none."""
    wanted = opt_outs.c.org_id == org_id, opt_outs.c.number.in_(numbers), opt_outs.c.source.in_(only)
    tx.execute(opt_outs.delete().where(*wanted))


def list_all(tx: sa.Connection, org_id: str) -> Sequence[sa.Row[Any]]:
    """The organisation's, newest first."""
    newest = opt_outs.c.created_at.desc(), opt_outs.c.number
    return tx.execute(sa.select(opt_outs).where(opt_outs.c.org_id == org_id).order_by(*newest)).all()


def is_out(tx: sa.Connection, org_id: str, number: str) -> bool:
    """Whether *number* (E.164) wants no texts of that organisation."""
    return number in of_numbers(tx, org_id, (number,))


def of_numbers(tx: sa.Connection, org_id: str, numbers: Collection[str]) -> set[str]:
    """Those of *numbers* that want no texts."""
    wanted = opt_outs.c.org_id == org_id, opt_outs.c.number.in_(numbers)
    return set(tx.execute(sa.select(opt_outs.c.number).where(*wanted)).scalars()) if numbers else set()
