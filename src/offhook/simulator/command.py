"""`offhook simulate`, as a plain function for the command line: it returns the exit code."""

import asyncio
import secrets
import sys
from itertools import islice
from typing import Annotated

import httpx
import msgspec
from cyclopts import Parameter
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from offhook.errors import Mistake
from offhook.simulator.calls import Attempt, Call, deck
from offhook.simulator.local import target_of
from offhook.simulator.report import Tally
from offhook.simulator.sender import POST_CALL_PATH, Answer, Sender, Target, place_calls

HERE = "http://127.0.0.1:2212"
_MARGIN_S = 3_600  #: a lent secret outlives a run that takes longer than planned


def simulate(
    *,
    url: Annotated[
        str, Parameter(help="Where it is; the webhook_url that `offhook org create` printed will do, too.")
    ] = HERE,
    webhook_secret: Annotated[str | None, Parameter(help="Signs what is told after a call.")] = None,
    tool_secret: Annotated[str | None, Parameter(help="The bearer of the question who is ringing.")] = None,
    org: Annotated[
        str | None,
        Parameter(help="Instead of the secrets: an organisation of this machine's own database, by id or name."),
    ] = None,
    calls: Annotated[int, Parameter(help="How many calls.")] = 20,
    rate: Annotated[float, Parameter(help="Calls a second; 0 is as fast as answers come.")] = 5.0,
    chaos: Annotated[
        bool, Parameter(negative="", help="In any order, late, repeated, spelled in other ways that mean the same.")
    ] = False,
    seed: Annotated[
        str | None, Parameter(help="The same seed places the same calls, with the same ids. [default: a new one]")
    ] = None,
    is_json: Annotated[
        bool, Parameter(name="--json", negative="", help="Print one JSON value and nothing else.")
    ] = False,
) -> int:
    """Send realistic calls to any offhook.

    Each is a greeting, a transcription and a recording; some fail, some are
    told twice. Exit code 1 when an answer was not 200. Ctrl-C ends early, with the
    summary.
    """
    if calls < 1 or not rate >= 0:
        raise Mistake("--calls must be at least 1, and --rate at least 0.")
    return asyncio.run(
        _simulate(_Wishes(url, webhook_secret, tool_secret, org, calls, rate, chaos, seed or _drawn(), is_json))
    )


class _Wishes(msgspec.Struct, frozen=True):
    url: str
    webhook_secret: str | None
    tool_secret: str | None
    org: str | None
    calls: int
    rate: float
    is_chaotic: bool
    seed: str
    is_json: bool


async def _simulate(wishes: _Wishes) -> int:
    target = await _target(wishes)
    tally = Tally(target)
    try:
        await _place_all(wishes, target, tally)
    except asyncio.CancelledError:  # Ctrl-C: what came so far is worth a summary
        print("Stopped.", file=sys.stderr)
    if wishes.is_json:
        print(msgspec.json.format(msgspec.json.encode({**tally.as_json(), "seed": wishes.seed}), indent=2).decode())
    else:
        tally.print()
        print(f"{tally.calls} calls of seed {wishes.seed} to {target.base_url}")
    if advice := tally.advice():
        print(f"offhook: {advice}", file=sys.stderr)
    return 0 if tally.is_good else 1


async def _place_all(wishes: _Wishes, target: Target, tally: Tally) -> None:
    console = Console(stderr=True)
    columns = (
        SpinnerColumn(),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("calls, {task.fields[pace]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        bar = progress.add_task("", total=wishes.calls, pace="")

        def heard(call: Call | Attempt, answer: Answer) -> None:
            tally.hear(call, answer)
            progress.update(bar, completed=tally.calls, pace=f"{tally.requests_per_second:,.0f} requests/s")

        async with Sender(target) as sender:
            await place_calls(
                sender,
                islice(deck(wishes.seed), wishes.calls),
                rate=wishes.rate,
                seed=wishes.seed,
                heard=heard,
                is_chaotic=wishes.is_chaotic,
                may_go_on=tally.is_worth_going_on,
            )


async def _target(wishes: _Wishes) -> Target:
    base_url, org_id = _split(wishes.url)
    if wishes.org is not None:
        if wishes.webhook_secret or wishes.tool_secret:
            raise Mistake("Give --org, or --webhook-secret and --tool-secret, but not both.")
        lasts_s = _MARGIN_S + (wishes.calls / wishes.rate if wishes.rate else 0)
        return await target_of(wishes.org, base_url, lasts_s)
    if not wishes.webhook_secret or not wishes.tool_secret:
        raise Mistake(
            "Say whose calls they are: --org NAME for an organisation of this machine, else --webhook-secret and "
            "--tool-secret as `offhook org create` printed them."
        )
    return Target(base_url, wishes.webhook_secret, wishes.tool_secret, org_id)


def _split(url: str) -> tuple[str, str | None]:
    """The address without the webhook's path, and the organisation's id where the address names one."""
    try:
        read = httpx.URL(url if "://" in url else f"http://{url}")
    except httpx.InvalidURL:
        read = httpx.URL()
    if read.scheme not in ("http", "https") or not read.host:
        raise Mistake(f"{url!r} is no address: write it like {HERE} or https://calls.example.com.")
    path = read.path.partition(POST_CALL_PATH)[0].rstrip("/")
    return str(read.copy_with(path=path or "/", query=None, fragment=None)).rstrip("/"), read.params.get("org")


def _drawn() -> str:
    return secrets.token_hex(4)
