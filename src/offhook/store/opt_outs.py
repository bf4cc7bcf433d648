"""Numbers that want no texts. They are numbers and not people: who is deleted or merged still wants none."""

from collections.abc import Collection, Iterable
from typing import Literal

import sqlalchemy as sa

from offhook.store.database import insert_new
from offhook.store.tables import opt_outs

OptOutSource = Literal["stop", "api", "cli"]  #: the person's own text; or somebody wrote it down


def add(tx: sa.Connection, org_id: str, numbers: Iterable[str], source: OptOutSource, now: float) -> None:
    """Text *numbers* (E.164) no more; who said so first, and when, stays."""
    rows = [
        {"org_id": org_id, "number": number, "source": source, "created_at": now} for number in sorted(set(numbers))
    ]
    insert_new(tx, opt_outs, rows)


def remove(tx: sa.Connection, org_id: str, numbers: Collection[str]) -> None:
    """Text *numbers* again."""
    tx.execute(opt_outs.delete().where(opt_outs.c.org_id == org_id, opt_outs.c.number.in_(numbers)))


def is_out(tx: sa.Connection, org_id: str, number: str) -> bool:
    """Whether *number* (E.164) wants no texts of that organisation."""
    return number in of_numbers(tx, org_id, (number,))


def of_numbers(tx: sa.Connection, org_id: str, numbers: Collection[str]) -> set[str]:
    """Those of *numbers* that want no texts."""
    wanted = opt_outs.c.org_id == org_id, opt_outs.c.number.in_(numbers)
    return set(tx.execute(sa.select(opt_outs.c.number).where(*wanted)).scalars()) if numbers else set()
