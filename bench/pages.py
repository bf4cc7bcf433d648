"""The list of calls, as somebody who is signed in asks for it, among a hundred thousand of them."""

import asyncio
import statistics
import time
from collections.abc import Sequence

import httpx
import sqlalchemy as sa

from bench.contenders import Offhook, Workshop
from bench.load import Broken
from bench.outcome import Check, Effort, Figures, Outcome, at_most
from offhook import events
from offhook.credentials import hash_of
from offhook.searching import words_of
from offhook.settings import Settings
from offhook.store import call_search, sessions, users
from offhook.store.call_search import Found
from offhook.store.engine import open_database
from offhook.store.tables import calls

_CALLS = 100_000
_TOKEN = "a token that only the benchmark knows"
_AT_ONCE = 1000
_ASKED = 20
_EVERY_S = 300.0  #: a year of calls
_SAID = (
    "I would like to book a table for four on Friday",
    "My order has not arrived and nobody answers",
    "Can I move my appointment to next week",
    "How late are you open on Saturday",
)
_RARE = "hedgehog"  #: is said in every hundredth call

LIST: dict[str, tuple[str, float]] = {"list": ("", 100), "no outbound one": ("?direction=outbound", 100)}
SEARCH: dict[str, tuple[str, float]] = {
    "rare word": (f"?q={_RARE}", 300), "in every fourth": ("?q=appointment", 300), "phrase": ('?q="table for four"', 300),
}  # fmt: skip


def pages(shop: Workshop, effort: Effort, *, asked: dict[str, tuple[str, float]]) -> Outcome:
    """*asked*: what is chosen in the address, and the floor in milliseconds, by name."""
    with shop.offhook(furnish=_fill) as server, httpx.Client(base_url=server.base_url) as browser:
        browser.cookies.set("offhook", _TOKEN)
        nothing = _median_ms(browser, "/api/health/live")
        found = {name: _median_ms(browser, f"/calls{query}") for name, (query, _) in asked.items()}
    checks: Sequence[Check] = [at_most(name, found[name], "ms", floor=floor) for name, (_, floor) in asked.items()]
    slowest: Figures = {"p50_ms": max(found.values())}
    return Outcome({"p50_ms": nothing}, slowest, tuple(checks))


def _median_ms(browser: httpx.Client, path: str) -> float:
    taken = []
    for _ in range(_ASKED):
        begun = time.perf_counter()
        answer = browser.get(path)
        taken.append(time.perf_counter() - begun)
        if answer.status_code != 200:
            raise Broken(f"{path} was answered with {answer.status_code}.")
    return statistics.median(taken) * 1e3


def _fill(server: Offhook) -> None:
    asyncio.run(_filled(server))


async def _filled(server: Offhook) -> None:
    database = open_database(Settings(data_dir=server.data_dir), is_server=True)
    await database.open()
    try:
        await database.write(_sign_in, server.org_id)
        for first in range(0, _CALLS, _AT_ONCE):
            await database.write(_add, server.org_id, range(first, first + _AT_ONCE))
    finally:
        await database.close()


def _sign_in(tx: sa.Connection, org_id: str) -> None:
    now = time.time()
    user = users.create(tx, email="bench@acme.example", name="Bench", password_hash="-", now=now)
    users.set_role(tx, user.id, org_id, "owner", now)
    sessions.start(
        tx, hash_of(_TOKEN), user.id, org_id=org_id, address="", browser="", now=now, idle_s=86_400, absolute_s=86_400
    )


def _add(tx: sa.Connection, org_id: str, numbers: Sequence[int]) -> None:
    now = time.time()
    rows = [_row(org_id, number, now) for number in numbers]
    tx.execute(calls.insert(), rows)
    call_search.index(
        tx, [Found(str(row["id"]), org_id, now - n * _EVERY_S, words_of(_words(n)))
             for row, n in zip(rows, numbers, strict=True)]
    )  # fmt: skip


def _row(org_id: str, number: int, now: float) -> dict[str, object]:
    at = now - number * _EVERY_S
    empty: dict[str, object] = {column.name: None for column in calls.c}
    turn = f'{{"role":"user","message":"{_words(number)}","timestamp":3.0}}'
    return empty | {
        "id": events.call_id(org_id, f"conv_{number}"), "org_id": org_id, "provider": "elevenlabs",
        "provider_call_id": f"conv_{number}", "direction": "inbound", "status": "completed", "channel": "phone",
        "from_number": f"+1416555{number % 10_000:04}", "to_number": "+12362320246", "agent_id": "agent_1",
        "duration_s": 42.0, "started_at": at, "ended_at": at + 42, "happened_at": at, "created_at": at,
        "updated_at": at, "is_successful": True, "title": "A call", "summary": f"{_SAID[number % 4]}.",
        "transcript": "[" + ",".join([turn] * 20) + "]",
    }  # fmt: skip


def _words(number: int) -> str:
    return f"{_SAID[number % 4]}{f' for my {_RARE}' if number % 100 == 0 else ''}"
