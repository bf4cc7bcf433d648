"""`offhook simulate`, as a plain function for the command line: it returns the exit code."""

import asyncio
import secrets
import sys
from typing import Annotated

import httpx
import msgspec
from cyclopts import Parameter
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from offhook.errors import Mistake
from offhook.simulator.calls import Attempt, Call
from offhook.simulator.local import target_of
from offhook.simulator.report import Tally
from offhook.simulator.sender import POST_CALL_PATH, Answer, Sender, Target, place_calls

HERE = "http://127.0.0.1:2212"
_MARGIN_S = 3_600  #: a lent secret outlives a run that takes longer than planned


def simulate(
    *,
    url: str = HERE,
    webhook_secret: str | None = None,
    tool_secret: str | None = None,
    org: str | None = None,
    calls: int = 20,
    rate: float = 5.0,
    chaos: bool = False,
    seed: str | None = None,
    is_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Send realistic calls to any offhook: greeting, transcription, recording; some fail, some are sent twice.

    Exit code 1 when an answer was not 200. Ctrl-C ends early, with the summary.

    Parameters
    ----------
    url
        Where it is; the webhook_url that `offhook org create` printed is understood too.
    webhook_secret
        Signs what is sent after a call.
    tool_secret
        The bearer of the question who is ringing.
    org
        Instead of the secrets: an organisation of this machine's own database, by id or name.
    calls
        How many calls to place.
    rate
        Calls a second; 0 is as fast as answers come.
    chaos
        Everything in the wrong order, late, repeated, and spelled in other ways that mean the same.
    seed
        The same seed places the same calls, with the same ids.
    is_json
        Print one JSON object, and nothing else.
    """
    if calls < 1 or rate < 0:
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
                calls=wishes.calls,
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
