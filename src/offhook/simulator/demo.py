"""`offhook demo`, as a plain function for the command line: a server of its own, an organisation, calls trickling in."""

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import sys
import time
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import AsyncIterator, Coroutine
from itertools import chain, islice
from pathlib import Path
from typing import Annotated

import httpx
import msgspec
import sqlalchemy as sa
from cyclopts import Parameter, validators
from rich.console import Console

from offhook.errors import Fault, Mistake
from offhook.passwords import Passwords
from offhook.sealing import KeyRing
from offhook.settings import Settings, load
from offhook.simulator.calls import deck
from offhook.simulator.feed import Feed, Understood
from offhook.simulator.scenarios import ALEX, JORDAN, MARCUS, OLENA, SCENARIOS, ZOE
from offhook.simulator.sender import POST_CALL_PATH, Sender, Target, place_calls
from offhook.store import migrations, organizations, users
from offhook.store.database import Database
from offhook.store.engine import opened_database
from offhook.store.organizations import NewOrganization

ORGANIZATION = "Harbourfront Answering"
EMAIL = "demo@example.com"  #: of who may sign in to the dashboard
KNOWN = (ALEX, ZOE, MARCUS, JORDAN, OLENA)  #: the other callers are strangers
HOST = "127.0.0.1"
START_S = 30.0
STOP_S = 30.0  #: longer than the server takes to finish what it has in hand


def demo(
    *,
    port: Annotated[
        int, Parameter(help="Where the server listens.", validator=validators.Number(gte=1, lte=65_535))
    ] = 2212,
    rate: Annotated[float, Parameter(help="Calls a second; 0 is as fast as answers come.")] = 0.4,
    calls: Annotated[int | None, Parameter(help="End after so many calls. [default: when Ctrl-C is pressed]")] = None,
    folder: Annotated[Path, Parameter(help="Where its data lies; the next demo goes on from there.")] = Path(
        "offhook-demo"
    ),
) -> int:
    """Run a server with a demo organisation and calls, and show them.

    Each call is told as ElevenLabs tells it, and shown once the API knows it.
    With --calls, exit code 1 when anything did not show up whole. Only the
    demo's own folder is touched, whatever the environment says.
    """
    if not rate >= 0 or (calls is not None and calls < 1):
        raise Mistake("--calls must be at least 1, and --rate at least 0.")
    return asyncio.run(_demo(_settings(folder), port, rate, calls))


async def _demo(settings: Settings, port: int, rate: float, calls: int | None) -> int:
    _end_on(signal.SIGTERM, signal.SIGHUP)
    _demand_free(port)
    ours, understood, console = await _organization(settings), Understood(), Console(highlight=False)
    target = Target(f"http://{HOST}:{port}", ours.webhook_secret, ours.tool_secret, ours.id)
    try:
        async with _server(settings, port) as server:
            _print(console, _welcome(settings, target, ours.api_key, _password(settings)))
            await _while_alive(server, settings, _show(target, ours.api_key, rate, calls, console, understood))
    except asyncio.CancelledError:  # Ctrl-C, after the server was stopped
        console.print()
    _print(console, _farewell(settings, understood))
    is_whole = understood.faults == 0 and (calls is None or understood.told == calls)
    return 0 if is_whole else 1


async def _show(
    target: Target, api_key: str, rate: float, calls: int | None, console: Console, understood: Understood
) -> None:
    """Place the calls, beginning with somebody who is known, until all that was told is visible."""
    seed, headers = secrets.token_hex(4), {"Authorization": f"Bearer {api_key}"}
    cards = islice(chain(SCENARIOS[:1], deck(seed)), calls)
    async with (
        httpx.AsyncClient(base_url=target.base_url, headers=headers, trust_env=False) as api,
        Sender(target) as sender,
    ):
        await _introduce(api)
        async with asyncio.TaskGroup() as watching:
            feed = Feed(api, console, watching, understood)
            await place_calls(sender, cards, rate=rate, seed=seed, heard=feed.hear)


# The organisation


def _settings(folder: Path) -> Settings:
    """The demo's own: nothing of the environment that leads to another installation."""
    elsewhere = ("database_url", "redis_url", "storage_url", "spool_dir", "secret_key", "public_url")
    return load(data_dir=folder, **dict.fromkeys(elsewhere, ""))


async def _organization(settings: Settings) -> NewOrganization:
    """Make the demo organisation, or find it. Its secrets follow from the folder's key, so that nobody need keep them."""
    await migrations.upgrade(settings)
    keys = settings.key_ring()
    wanted = NewOrganization(
        name=ORGANIZATION,
        timezone="America/Toronto",
        country="CA",
        webhook_secret="wsec_" + _derived(keys, "webhook"),
        tool_secret="oht_" + _derived(keys, "tool"),
        api_key="ohk_" + _derived(keys, "api_key"),
    )
    async with opened_database(settings) as database:
        for found in await database.read(organizations.list_all):
            if found.name == ORGANIZATION:
                return msgspec.structs.replace(wanted, id=found.id)
        await database.write(organizations.create, keys, wanted, time.time())
        await _let_somebody_in(database, settings, wanted.id)
    return wanted


async def _let_somebody_in(database: Database, settings: Settings, org_id: str) -> None:
    """An owner, so that the demo's dashboard needs no set-up."""
    hasher = Passwords(memory_kib=settings.password_memory_kib, rounds=settings.password_rounds)
    password_hash = await hasher.hashed(_password(settings))
    await database.write(_make_owner, org_id, password_hash)


def _make_owner(tx: sa.Connection, org_id: str, password_hash: str) -> None:
    user = users.create(tx, email=EMAIL, name="Demo Owner", password_hash=password_hash, now=time.time())
    users.set_role(tx, user.id, org_id, "owner", time.time())


def _password(settings: Settings) -> str:
    return _derived(settings.key_ring(), "password")[:12]


def _derived(keys: KeyRing, kind: str) -> str:
    return keys.derive(f"demo {kind}")[-1].hex()  # of the oldest key: a newer one in front changes nothing


async def _introduce(api: httpx.AsyncClient) -> None:
    """Make the contacts who are known by name; those of an earlier demo are there already (409)."""
    for person in KNOWN:
        asked = {
            "firstName": person.first_name,
            "lastName": person.last_name,
            "phoneNumber": person.number,
            "email": [person.email],
        }
        response = await api.post("/api/contacts", json=asked)
        if response.status_code not in (201, 409):
            raise Fault(f"The demo's server did not take a contact: {response.status_code} {response.text[:200]}")


# The server


@contextlib.asynccontextmanager
async def _server(settings: Settings, port: int) -> AsyncIterator[Process]:
    """A server in a process of its own, ready; stopped at the end."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OFFHOOK_")}
    with _log(settings).open("wb") as log:
        server = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "offhook", "serve", "--host", HOST, "--port", str(port)),
            env={**environment, "OFFHOOK_DATA_DIR": str(settings.data_dir)},
            stdin=DEVNULL,
            stdout=log,
            stderr=STDOUT,
            start_new_session=True,  # Ctrl-C is ours to hear: the server ends after its callers
        )
    try:
        await _until_ready(server, settings, port)
        yield server
    finally:
        await _stop(server)


async def _until_ready(server: Process, settings: Settings, port: int) -> None:
    deadline = time.monotonic() + START_S
    async with httpx.AsyncClient(trust_env=False) as client:
        while server.returncode is None and time.monotonic() < deadline:
            with contextlib.suppress(httpx.TransportError):
                if (await client.get(f"http://{HOST}:{port}/api/health/ready")).status_code == 200:
                    return
            await asyncio.sleep(0.05)
    raise _ended(server, settings)


async def _while_alive(server: Process, settings: Settings, showing: Coroutine[None, None, None]) -> None:
    """Do *showing*; Fault when the server ends before it does."""
    shown, ended = asyncio.create_task(showing), asyncio.create_task(server.wait())
    try:
        await asyncio.wait({shown, ended}, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            raise _ended(server, settings)
        await shown
    finally:
        shown.cancel()
        ended.cancel()
        await asyncio.gather(shown, ended, return_exceptions=True)


async def _stop(server: Process) -> None:
    if server.returncode is not None:
        return
    server.terminate()
    try:
        await asyncio.wait_for(server.wait(), STOP_S)
    except TimeoutError:
        server.kill()
        await server.wait()


def _ended(server: Process, settings: Settings) -> Fault:
    """What the server said last, else how it ended."""
    said = _log(settings).read_text("utf-8", "replace").strip().splitlines()
    if said and said[-1].startswith("offhook: "):
        return Fault(said[-1].removeprefix("offhook: "))
    how = "was not ready in time" if server.returncode is None else f"ended with exit code {server.returncode}"
    return Fault(f"The demo's server {how}: {_log(settings)} says why.")


def _log(settings: Settings) -> Path:
    return settings.data_dir / "server.log"


def _demand_free(port: int) -> None:
    """Before anything is made: a server that already listens there would be taken for ours."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise Fault(f"Port {port} cannot be used ({error.strerror}): choose another with --port.") from error


def _end_on(*signals: signal.Signals) -> None:
    """End as on Ctrl-C, with the server stopped."""
    task = asyncio.current_task()
    assert task is not None
    for number in signals:
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)


# What it says


def _welcome(settings: Settings, target: Target, api_key: str, password: str) -> str:
    return f"""\
offhook is up, and calls come in for "{ORGANIZATION}". Ctrl-C ends it.

  dashboard  {target.base_url}/calls   (sign in as {EMAIL}, password {password})
  API        {target.base_url}/api/calls/history   (described in {target.base_url}/openapi.json)
  API key    {api_key}
  webhook    {target.base_url}{POST_CALL_PATH}?org={target.org_id}
  try        curl -H "Authorization: Bearer {api_key}" "{target.base_url}/api/calls/history?limit=3"
             OFFHOOK_DATA_DIR={settings.data_dir} offhook events list
  log        {_log(settings)}
"""


def _farewell(settings: Settings, understood: Understood) -> str:
    faults = f" {understood.faults} did not go well." if understood.faults else ""
    counted = f"{understood.calls} calls, {understood.recordings} recordings, {understood.missed} missed"
    return f"Understood: {counted}.{faults} All of it stays in {settings.data_dir}."


def _print(console: Console, text: str) -> None:
    console.print(text, markup=False, soft_wrap=True)
