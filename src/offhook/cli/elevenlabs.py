"""What the commands share that speak to ElevenLabs: the API key, how far they are, and what is said of a no."""

import getpass
import re
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from offhook.connect import visit
from offhook.errors import Fault, GiveUp, Mistake, TryLater
from offhook.settings import Settings
from offhook.store.workspaces import Connected
from offhook.voice.elevenlabs.api import ElevenLabs, WrongKey

_API_KEY = re.compile(r"[!-~]{1,500}", re.ASCII)

ApiKey = Annotated[
    str | None,
    Parameter(
        help="ElevenLabs' API key; on a command line others may see it. "
        "[default: OFFHOOK_ELEVENLABS_API_KEY, else the one that is kept, else you are asked]",
    ),
]


def api_key_of(typed: str | None, settings: Settings, connected: Connected | None) -> str:
    given = settings.elevenlabs_api_key or None if typed is None else typed
    if given is not None:
        return _usable(given)
    if connected is not None:
        return connected.api_key
    if not sys.stdin.isatty():
        raise Mistake("An API key of ElevenLabs is wanted: set OFFHOOK_ELEVENLABS_API_KEY, or give --api-key.")
    return _usable(getpass.getpass("API key of ElevenLabs (elevenlabs.io/app/settings/api-keys): "))


def _usable(typed: str) -> str:
    """*typed*, when a header can hold it."""
    key = typed.strip()
    if not _API_KEY.fullmatch(key):
        raise Mistake("That is no API key: copy it from elevenlabs.io/app/settings/api-keys, without blanks.")
    return key


@asynccontextmanager
async def elevenlabs(api_key: str, settings: Settings) -> AsyncIterator[ElevenLabs]:
    """The workspace of that key; its noes in words that say what to do."""
    try:
        async with ElevenLabs(api_key, base_url=settings.elevenlabs_url) as asked:
            yield asked
    except WrongKey as error:
        raise Mistake(
            f"{error.message.rstrip('.')}: make a key at elevenlabs.io/app/settings/api-keys that may read and write "
            "ElevenAgents and webhooks, and give it with --api-key or OFFHOOK_ELEVENLABS_API_KEY."
        ) from error
    except TryLater as error:
        raise Fault(f"{error.message.rstrip('.')}: type the same command again, it goes on where it was.") from error
    except GiveUp as error:
        raise Fault(error.message) from error


@contextmanager
def shown_progress(about: str) -> Iterator[visit.Progress]:
    """A bar on standard error, in a terminal alone."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(about, total=None)
        yield visit.Progress(lambda total: bar.update(task, total=total), lambda: bar.advance(task))
