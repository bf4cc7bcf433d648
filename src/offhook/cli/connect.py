"""offhook connect, offhook disconnect: an organisation's ElevenLabs workspace, set up and left as it was."""

import sys
from collections.abc import Sequence
from typing import Annotated, Any

from cyclopts import Parameter

from offhook.cli.elevenlabs import ApiKey, api_key_of, elevenlabs, shown_progress
from offhook.cli.installation import Installation, installation
from offhook.cli.org import Org
from offhook.cli.terminal import Json, plain, print_json, print_table
from offhook.connect import visit, workspace
from offhook.connect.aims import Wanted
from offhook.connect.deeds import Hands
from offhook.connect.plan import Row, gone, is_another_workspace, plan, to_do
from offhook.connect.undoing import Unrow, undoing
from offhook.connect.visit import Wishes
from offhook.errors import Fault, Mistake
from offhook.store import organizations
from offhook.store.organizations import Organization
from offhook.store.workspaces import Connected
from offhook.voice.elevenlabs.api import ElevenLabs, WrongKey

DryRun = Annotated[bool, Parameter(name="--dry-run", negative="", help="Show the plan, and change nothing.")]
Yes = Annotated[bool, Parameter(name="--yes", negative="", help="Do it without being asked.")]

_DOES = {"stays": "stays", "make": "is made", "change": "is changed", "import": "is imported", "remove": "is removed",
         "leave": "is left alone"}  # fmt: skip


async def connect(
    org: Org,
    /,
    *,
    api_key: ApiKey = None,
    agents: Annotated[
        str | None,
        Parameter(help="Ids or names, set apart by commas, or all. [default: those connected; at first, all]"),
    ] = None,
    dry_run: DryRun = False,
    repair: Annotated[
        bool, Parameter(name="--repair", negative="", help="Make anew what somebody deleted in ElevenLabs.")
    ] = False,
    hipaa: Annotated[
        bool | None, Parameter(help="ElevenLabs must not retry deliveries under HIPAA. [default: as last time]")
    ] = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Set up ElevenLabs by its API: webhook, personalization, tools, agents."""
    async with installation() as here:
        wishes = Wishes(_public_url(here), _words(agents), hipaa)
        organization, connected = await here.database.read(visit.known, here.keys, org)
        done = visit.done_of(connected)
        key = api_key_of(api_key, here.settings, connected)
        contents = await here.database.read(organizations.contents)
        async with elevenlabs(key, here.settings) as asked:
            with shown_progress("Reading the workspace") as progress:
                wanted, there = await visit.look(asked, organization, contents, wishes, done, progress)
            _must_be_the_same(there, connected, key, organization)
            if not repair and (missing := gone(there, done)):
                raise Fault(_gone(missing, organization))
            rows = plan(wanted, there, done)
            changes = to_do(rows)
            if not json:
                print_table(("what", "plan", "detail"), ((row.what, _DOES[row.verb], row.detail) for row in rows))
            if not dry_run and _is_agreed(changes, yes=yes, is_program=json):
                hands = Hands(
                    asked, here.database, here.keys, api_key=key, wanted=wanted, there=there, done=done
                )  # fmt: skip
                await _do(hands, changes)
    if json:
        print_json(_facts(organization, rows, len(changes), is_dry_run=dry_run) | {"agent_ids": list(wanted.agent_ids)})
    else:
        print(_said(organization, wanted, len(changes), is_dry_run=dry_run))


async def disconnect(
    org: Org,
    /,
    *,
    api_key: ApiKey = None,
    dry_run: DryRun = False,
    force: Annotated[
        bool, Parameter(name="--force", negative="", help="Forget the key even if ElevenLabs keeps something.")
    ] = False,
    yes: Yes = False,
    json: Json = False,
) -> int:
    """Undo what connect made and changed in ElevenLabs; what people made stays."""
    async with installation() as here:
        organization, connected = await here.database.read(visit.known, here.keys, org)
        if connected is None:
            raise Mistake(f"{organization.name} is not connected: there is nothing to undo.")
        done, key = visit.done_of(connected), api_key_of(api_key, here.settings, connected)
        async with elevenlabs(key, here.settings) as asked:
            with shown_progress("Reading the workspace") as progress:
                there = await _read_or_given_up(asked, is_forced=force)
                ids = [id for id in done.former_agents if id in there.agent_names]
                await visit.read_in_full(asked, there, ids, progress)
            if not force:
                _must_be_the_same(there, connected, key, organization)
            rows = undoing(there, done)
            changes = [row for row in rows if row.deed is not None]
            if not json:
                print_table(("what", "plan", "detail"), ((row.what, _DOES[row.verb], row.detail) for row in rows))
            left: dict[str, str] = {}
            if not dry_run and _is_agreed(changes, yes=yes, is_program=json):
                wanted = Wanted(org_id=organization.id, country=organization.country, base_url="", agent_ids=())
                hands = Hands(asked, here.database, here.keys, api_key=key, wanted=wanted, there=there, done=done)
                left = await _undo(hands, changes, is_forced=force)
    if json:
        print_json(_facts(organization, rows, len(changes), is_dry_run=dry_run) | {"left": left})
    else:
        print(_undone(organization, left, is_dry_run=dry_run, is_forced=force))
    return 1 if left else 0


async def _read_or_given_up(asked: ElevenLabs, *, is_forced: bool) -> workspace.Workspace:
    """An empty one where the key opens nothing any more, and the organisation is to be disconnected all the same."""
    try:
        return await workspace.read(asked)
    except WrongKey:
        if not is_forced:
            raise
        return workspace.Workspace()


def _public_url(here: Installation) -> str:
    if not here.settings.public_url:
        raise Mistake(
            "OFFHOOK_PUBLIC_URL is not set, and ElevenLabs must be told where offhook is: set it to the address at which "
            "ElevenLabs reaches it, such as https://calls.example.com."
        )
    return here.settings.public_url


def _words(agents: str | None) -> tuple[str, ...]:
    words = tuple(word.strip() for word in (agents or "").split(",") if word.strip())
    if agents is not None and not words:
        raise Mistake("--agents is empty: name agents by id or name, set apart by commas, or say all.")
    return words


def _gone(missing: Sequence[str], organization: Organization) -> str:
    is_are = "is" if len(missing) == 1 else "are"
    return (
        f"{' and '.join(missing).capitalize()} that connect set up {is_are} no longer in ElevenLabs, so somebody deleted it: "
        f'`offhook connect "{organization.name}" --repair` makes it anew.'
    )


def _must_be_the_same(
    there: workspace.Workspace, connected: Connected | None, key: str, organization: Organization
) -> None:
    """Fault when another key opens a workspace in which nothing is known: what is on record would be left in the first."""
    is_new_key = connected is not None and key != connected.api_key
    if is_new_key and is_another_workspace(there, visit.done_of(connected)):
        raise Fault(
            f"This API key is that of another workspace than the one that {organization.name} is connected to: unset "
            "OFFHOOK_ELEVENLABS_API_KEY, and the key that is kept is used. To change to this one, disconnect with the kept "
            "key first; `offhook disconnect --force` leaves the other workspace as it is."
        )


def _is_agreed(changes: Sequence[Row | Unrow], *, yes: bool, is_program: bool) -> bool:
    if yes or not changes:
        return True
    if is_program or not sys.stdin.isatty():
        raise Mistake("Nobody can be asked here: look at the plan with --dry-run, then say --yes.")
    if input(f"\n{len(changes)} things are to be changed. Go on? [y/N] ").strip().lower() not in ("y", "yes"):
        raise Mistake("Nothing was changed.")
    return True


async def _do(hands: Hands, changes: Sequence[Row]) -> None:
    with shown_progress("Setting up") as progress:
        progress.begin(len(changes))
        await hands.begin()
        for row in changes:
            await hands.do(row)
            progress.step()


async def _undo(hands: Hands, changes: Sequence[Unrow], *, is_forced: bool) -> dict[str, str]:
    """What ElevenLabs would not let go, and its words."""
    left = {}
    with shown_progress("Undoing") as progress:
        progress.begin(len(changes))
        await hands.begin_undoing()
        for row in changes:
            if (why := await hands.undo(row)) is not None:
                left[row.what] = why
            progress.step()
        if is_forced or not left:
            await hands.end()
    return left


def _said(organization: Organization, wanted: Wanted, changes: int, *, is_dry_run: bool) -> str:
    if not changes:
        return f"\nNothing is to be changed: {organization.name} is connected."
    if is_dry_run:
        return f"\n{changes} things would be changed. Nothing was."
    return (
        f"\n{organization.name} is connected, {changes} things were changed. The webhook's secret is kept here, sealed; the "
        f'bearer is a secret of the workspace.\nNow `offhook agent check "{organization.name}"` shows whether every '
        "variable is filled."
    )


def _undone(organization: Organization, left: dict[str, str], *, is_dry_run: bool, is_forced: bool) -> str:
    if is_dry_run:
        return "\nNothing was changed."
    lines = ["", *(plain(f"{what} is still there. {why}") for what, why in left.items())]
    if left and not is_forced:
        return "\n".join([*lines, "Type it again when that is mended, or with --force to forget the key all the same."])
    return "\n".join([*lines, f"{organization.name} is no longer connected; calls and contacts stay."])


def _facts(
    organization: Organization, rows: Sequence[Row | Unrow], changes: int, *, is_dry_run: bool
) -> dict[str, Any]:
    shown = [{"what": row.what, "plan": row.verb, "detail": row.detail} for row in rows]
    return {"org_id": organization.id, "is_dry_run": is_dry_run, "changes": changes, "rows": shown}
