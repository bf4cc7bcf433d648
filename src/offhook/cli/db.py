"""offhook db: the database's schema, and a key to seal it with."""

from offhook import logs
from offhook.cli.group import group
from offhook.cli.terminal import Json, print_facts, print_json
from offhook.sealing import new_key_text
from offhook.settings import load
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
