"""offhook db: the database's schema, what follows from its events, and a key to seal it with."""

from typing import Annotated

from cyclopts import Parameter

from offhook import logs
from offhook.cli import replays
from offhook.cli.group import group
from offhook.cli.installation import installation
from offhook.cli.terminal import Json, print_facts, print_json
from offhook.errors import Mistake
from offhook.sealing import new_key_text
from offhook.settings import load
from offhook.store import events, organizations, refolds
from offhook.store.events import Chosen
from offhook.store.migrations import revision
from offhook.store.migrations import upgrade as upgrade_schema

app = group("db")


@app.command(help_epilogue="Example:\n  OFFHOOK_DATABASE_URL=postgresql://localhost/offhook offhook db upgrade\n")
async def upgrade(*, json: Json = False) -> None:
    """Make the tables, or bring them up to this version. `serve` and `org create` do it by themselves."""
    settings = load()
    logs.set_up(settings)
    before, _ = await revision(settings)
    await upgrade_schema(settings)
    after, _ = await revision(settings)
    if json:
        print_json({"before": before, "after": after})
    else:
        print("The database was up to date." if before == after else f"The database is now at {after}.")


@app.command(help_epilogue="Example:\n  offhook db check && offhook serve\n")
async def check(*, json: Json = False) -> int:
    """Say whether the database can be reached and its tables are this version's; exit code 1 when they are not."""
    settings = load()
    logs.set_up(settings)
    found, wanted = await revision(settings)
    is_current = found == wanted
    facts = {
        "database": "sqlite" if settings.is_sqlite else "postgresql",
        "revision": found,
        "wanted": wanted,
        "is_current": is_current,
    }
    if json:
        print_json(facts)
    else:
        print_facts(facts.items())
        print("The tables are this version's." if is_current else "Run `offhook db upgrade`.")
    return 0 if is_current else 1


@app.command(
    help_epilogue="""\
Examples:
  offhook db rebuild Acme --check
  offhook db rebuild --all

What people wrote stays as it is: names, notes of theirs, merges, call-backs
that were done. A server may run beside it. With --check nothing is written, and
the exit code is 1 when a rebuilt database would be another.
"""
)
async def rebuild(
    org: Annotated[str | None, Parameter(name="ORG", help="An id or a unique name.")] = None,
    /,
    *,
    all: Annotated[
        bool, Parameter(name="--all", negative="", show_default=False, help="Every organisation's.")
    ] = False,
    check: Annotated[
        bool, Parameter(name="--check", negative="", show_default=False, help="Only tell what would change.")
    ] = False,
    json: Json = False,
) -> int:
    """Make anew all that follows from events: calls, recordings, summaries, what tools left behind, contacts."""
    if (org is None) is not all:
        raise Mistake("Say whose: one organisation, or --all.")
    async with installation() as here:
        org_id = None if org is None else (await here.database.read(organizations.find, org)).id
        total, _ = await here.database.read(events.count_replayable, Chosen(org_id=org_id))
        async with replays.refolding(here) as refolding:
            steps = refolding.rebuild(org_id, is_only_checked=check)
            difference = await replays.tried(steps, "Checking" if check else "Rebuilding", total)
        orphans = await here.database.read(refolds.without_events, org_id)
    if json:
        print_json({**difference.facts(), "calls_without_events": orphans})
    else:
        difference.print(same="The database is what its events make of it.")
        if orphans:
            print(f"{orphans} calls have no event behind them: they stay as they are.")
    return int(bool(difference.unread) or (check and not difference.is_empty))


@app.command(
    name="new-key",
    help_epilogue="""\
Example:
  export OFFHOOK_SECRET_KEY="$(offhook db new-key)"

Keep it as you keep the database: what it sealed, nothing else opens. To
change keys put the new one in front, with a comma between.
""",
)
def new_key() -> None:
    """Print a fresh key for OFFHOOK_SECRET_KEY."""
    print(new_key_text())
