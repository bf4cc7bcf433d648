"""offhook reconcile, offhook balance: is everything here that ElevenLabs knows?"""

import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from offhook.cli.installation import Installation, installation
from offhook.cli.org import Org
from offhook.cli.terminal import Json, clock, iso, print_facts, print_json, print_table
from offhook.directory import Directory
from offhook.errors import Damaged, Mistake
from offhook.inbox import Inbox
from offhook.reconcile.rounds import Reconcile
from offhook.reconcile.turn import Progress as Told
from offhook.reconcile.turn import Report, Wish
from offhook.spool import Spool
from offhook.store import balances, organizations, workspaces
from offhook.store.balances import Absence, Day
from offhook.typed import a_duration

_COMMIT_S = 30.0  #: a server beside us writes, too


async def reconcile(
    org: Org,
    /,
    *,
    since: Annotated[
        str | None,
        Parameter(help="How far back, such as 7d. [default: to what is accounted for, and a day more; at first 30d]"),
    ] = None,
    dry_run: Annotated[bool, Parameter(negative="", show_default=False, help="Look, and fetch nothing.")] = False,
    json: Json = False,
) -> int:
    """Compare with what ElevenLabs knows, now, and fetch what no webhook brought."""
    begin = None if since is None else time.time() - a_duration(since)
    async with installation() as here:
        found = await here.database.read(organizations.find, org)
        async with _reconcile(here) as rooms:
            with _bar() as told:
                wish = Wish(since=begin, patience_s=0.0, is_dry=dry_run, is_thorough=begin is not None, progress=told)
                report = await rooms.reconcile(found.id, wish)
    if json:
        print_json({"org_id": found.id, "dry_run": dry_run, **_facts(report)})
    else:
        _print_report(report, dry_run=dry_run)
    return int(any(day.absent for day in report.days))


async def balance(
    org: Org,
    /,
    *,
    since: Annotated[str, Parameter(help="How far back, such as 7d.")] = "30d",
    json: Json = False,
) -> int:
    """Show, day by day, what ElevenLabs knows and what is here; exit code 1 when something is absent."""
    begin = time.time() - a_duration(since)
    async with installation() as here:
        found = await here.database.read(organizations.find, org)
        standing = await here.database.read(workspaces.reconciled, found.id)
        if standing is None:
            raise Mistake(f"{found.name} is not connected to ElevenLabs: `offhook connect` does it, with an API key.")
        days, _ = await here.database.read(balances.page, found.id, since=iso(begin)[:10])  # type: ignore[index]
        absent = await here.database.read(balances.absences_of, found.id, since=begin)
    if json:
        print_json(
            {
                "org_id": found.id,
                "reconciled_until": iso(standing.until),
                "reconciled_at": iso(standing.at),
                "trouble": standing.trouble,
                "days": [_day(one) for one in days],
                "absences": [_absence(one) for one in absent],
            }
        )
    else:
        _print_balance(days, absent)
        print_facts([("accounted for until", clock(standing.until)), ("trouble", standing.trouble)])
    return int(standing.trouble is not None or any(day.absent for day in days))


@asynccontextmanager
async def _reconcile(here: Installation) -> AsyncIterator[Reconcile]:
    """What a server has, for one look, but for a spool: what cannot be filed now is fetched again another time."""
    directory = Directory(here.database, here.keys, time.time)
    try:
        await directory.open()
    except Damaged as error:
        raise Mistake(error.message) from error
    inbox = Inbox(here.database, Spool((), here.keys), here.keys, budget_s=_COMMIT_S)
    try:
        yield Reconcile(here.settings, here.database, here.keys, directory, inbox, time.time)
    finally:
        await directory.close()


@contextmanager
def _bar() -> Iterator[Told]:
    """On a terminal; elsewhere nothing is shown."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    console = Console(file=sys.stderr)
    with Progress(*columns, console=console, disable=not sys.stderr.isatty(), transient=True) as progress:
        tasks: dict[str, Any] = {}

        def tell(what: str, done: int, total: int | None) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=total)
            progress.update(tasks[what], completed=done)

        yield tell


# What is shown


def _print_report(report: Report, *, dry_run: bool) -> None:
    conversations, recordings = report.missing["conversation"], report.missing["audio"]
    if dry_run:
        print(f"Missing: {conversations} conversations, {recordings} recordings. Nothing was fetched.")
    else:
        got = report.fetched
        print(f"Fetched: {got['conversation']} conversations, {got['audio']} recordings.")
    if report.waiting:
        print(f"{report.waiting} calls are not over yet: they are looked for again.")
    if report.strangers:
        print(
            f"{report.strangers} conversations were left alone: several organisations share this workspace, and their "
            "agents are nobody's. `offhook agent add ORG AGENT_ID` says whose they are."
        )
    _print_balance(report.days[::-1], report.absences)


def _print_balance(days: list[Day], absent: list[Absence]) -> None:
    rows = ((one.day, one.theirs, one.ours, one.fetched, one.absent) for one in days)
    print_table(("day (UTC)", "ElevenLabs", "here", "of them fetched", "absent"), rows)
    if absent:
        print_table(
            ("absent", "of conversation", "call began", "asked again", "why"),
            (
                (one.what, one.conversation_id, clock(one.began_at), "no" if one.is_final else "yes", one.reason)
                for one in absent
            ),
        )


def _facts(report: Report) -> dict[str, Any]:
    return {
        "since": iso(report.since),
        "until": iso(report.until),
        "missing": {"conversations": report.missing["conversation"], "recordings": report.missing["audio"]},
        "fetched": {"conversations": report.fetched["conversation"], "recordings": report.fetched["audio"]},
        "waiting": report.waiting,
        "strangers": report.strangers,
        "days": [_day(one) for one in report.days],
        "absences": [_absence(one) for one in report.absences],
    }


def _day(day: Day) -> dict[str, Any]:
    return {
        "day": day.day, "theirs": day.theirs, "ours": day.ours, "fetched": day.fetched, "absent": day.absent,
        "updated_at": iso(day.updated_at),
    }  # fmt: skip


def _absence(absence: Absence) -> dict[str, Any]:
    return {
        "conversation_id": absence.conversation_id,
        "what": absence.what,
        "reason": absence.reason,
        "is_final": absence.is_final,
        "began_at": iso(absence.began_at),
        "noticed_at": iso(absence.noticed_at),
    }
