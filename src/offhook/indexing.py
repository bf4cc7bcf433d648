"""Calls that are on file but found by nothing yet: those of an older offhook, and of a backup. The projection indexes all
others as it writes them."""

import asyncio

from offhook.errors import Unavailable
from offhook.logs import log
from offhook.store import call_search
from offhook.store.database import Database

_AT_ONCE = 100  #: a batch takes the writer a few hundredths of a second
_PAUSE_S = 0.05
_AGAIN_S = 30.0


async def index_the_rest(database: Database) -> int:
    """Index every call that is not yet; how many they were. A database that is away is waited for."""
    done, after = 0, ""
    while True:
        try:
            found, last = await database.read(call_search.without, after, _AT_ONCE)
            if found:
                await database.write(call_search.index, found)
        except Unavailable:
            await asyncio.sleep(_AGAIN_S)
            continue
        done += len(found)
        if last is None:
            break
        after = last
        if found:
            await asyncio.sleep(_PAUSE_S)
    if done:
        log.info("search.indexed", calls=done)
    return done
