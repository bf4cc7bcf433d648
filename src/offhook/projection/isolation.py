"""Conversations that could not be read among others: each is tried again alone, and what spoils it is found.

An attempt is counted in the database before it is made, so one that took the machine down with it is known afterwards. Who
was tried least is tried first: a server that is killed again and again wears nobody out.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from prometheus_client import Counter

from offhook.errors import Fault, Unavailable
from offhook.events import Event
from offhook.logs import log
from offhook.projection.conversations import Conversation, Conversations
from offhook.projection.reader import Done, Failed, question
from offhook.projection.sandbox import Sandbox, reading

_MAX_FAILURES = 3  #: the first of them was among others
_MAX_BEGUN = 6  #: attempts whose end nobody saw: the server may have been killed in the middle for quite another reason
_BACK_OFF_S = (0.2, 1.0)
_RETRY_S = 1.0  #: when it is not the conversation's fault
_LIMIT_S = 1.0  #: enough for whoever was only unlucky, and does not wait for long behind those that hang
_LAST_LIMIT_S = 5.0
_LIMIT_PER_MIB_S = 1.0

_quarantined = Counter("offhook_events_quarantined_total", "Events that could not be read and were set aside")


class _Suspect(NamedTuple):
    call_id: str
    attempts: int  #: begun so far
    due_at: float  #: monotonic
    is_begun: bool  #: the last attempt is counted, and yet to be made


class Isolation:
    """Tries one conversation at a time."""

    def __init__(self, conversations: Conversations, sandbox: Sandbox, look_again: Callable[[str], None]) -> None:
        """*look_again* is told of each call that is through, because events may have come for it meanwhile."""
        self._conversations = conversations
        self._sandbox = sandbox
        self._look_again = look_again
        self._suspects: dict[str, _Suspect] = {}
        self._wake = asyncio.Event()

    def __contains__(self, call_id: str) -> bool:
        return call_id in self._suspects

    @property
    def is_empty(self) -> bool:
        return not self._suspects

    def add(self, call_id: str, *, attempts: int, is_begun: bool = False) -> None:
        """Try this call alone. *attempts*: begun so far; *is_begun*: the last of them is yet to be made."""
        back_off_s = 0.0 if is_begun else _BACK_OFF_S[min(attempts, len(_BACK_OFF_S)) - 1]
        self._put(call_id, attempts, back_off_s, is_begun=is_begun)

    async def run(self) -> None:
        """Try them, for ever."""
        while True:
            suspect = await self._next()
            try:
                is_through = await self._try(suspect)
            except (Unavailable, Fault) as error:
                log.warning("isolation.waits", call=suspect.call_id, error=error.message)
                known = self._suspects[suspect.call_id]
                self._put(known.call_id, known.attempts, _RETRY_S, is_begun=known.is_begun)
            except Exception:
                # Nobody knows what it is, but that it was begun is counted: it does not go on for ever.
                log.exception("isolation.fault", call=suspect.call_id)
                self._put(suspect.call_id, suspect.attempts, _RETRY_S)
            else:
                if is_through:
                    del self._suspects[suspect.call_id]
                    self._look_again(suspect.call_id)

    async def close(self) -> None:
        await self._sandbox.close()

    def _put(self, call_id: str, attempts: int, in_s: float, *, is_begun: bool = False) -> None:
        self._suspects[call_id] = _Suspect(call_id, attempts, time.monotonic() + in_s, is_begun)
        self._wake.set()

    async def _next(self) -> _Suspect:
        """Of those that are due the one that was tried least."""
        while True:
            now = time.monotonic()
            due = [suspect for suspect in self._suspects.values() if suspect.due_at <= now]
            if due:
                return min(due, key=lambda suspect: suspect.attempts)
            self._wake.clear()
            soonest_s = min((suspect.due_at - now for suspect in self._suspects.values()), default=None)
            await within(soonest_s, self._wake)

    async def _try(self, suspect: _Suspect) -> bool:
        """Whether nothing more has to be done about it."""
        await self._sandbox.ready()
        attempts = suspect.attempts if suspect.is_begun else await self._begin(suspect)
        conversation = next(iter(await self._conversations.load([suspect.call_id])), None)
        if conversation is None or not (conversation.due or suspect.is_begun):
            return True  # somebody else was faster
        if attempts > _MAX_BEGUN:
            await self._set_aside(
                conversation.due, f"{_MAX_BEGUN} attempts to read it were begun, and none came to an end."
            )
            return True
        is_last = attempts >= _MAX_FAILURES
        reading = await self._read(conversation.events, _LAST_LIMIT_S if is_last else _LIMIT_S)
        if isinstance(reading, Done):
            await self._conversations.keep([(conversation, reading.gathered)])
        elif not is_last:
            log.warning("isolation.failed", call=suspect.call_id, attempt=attempts, reason=reading.reason)
            self.add(suspect.call_id, attempts=attempts)
            return False
        elif len(conversation.events) == 1:
            await self._set_aside(conversation.events, reading.reason)
        else:
            await self._keep_what_can_be_read(conversation)
        return True

    async def _begin(self, suspect: _Suspect) -> int:
        """Count its next attempt; not once more when the database goes away before it is made."""
        begun = (await self._conversations.begin([suspect.call_id])).get(suspect.call_id)
        attempts = begun.attempts if begun else 0
        self._suspects[suspect.call_id] = suspect._replace(attempts=attempts, is_begun=True)
        return attempts

    async def _keep_what_can_be_read(self, conversation: Conversation) -> None:
        """Read one event more each time, what was understood before first; what spoils it is set aside."""
        good: list[Event] = []
        gathered = None
        for event in sorted(conversation.events, key=lambda event: event.status == "pending"):
            reading = await self._read((*good, event), _LAST_LIMIT_S)
            if isinstance(reading, Done):
                good.append(event)
                gathered = reading.gathered
            else:
                await self._set_aside([event], reading.reason)
        await self._conversations.keep([(conversation._replace(events=tuple(good)), gathered)])

    async def _read(self, events: Sequence[Event], limit_s: float) -> Done | Failed:
        mib = sum(len(event.body) for event in events) / (1 << 20)
        (answer,) = await self._sandbox.ask(question([tuple(events)]), 1, limit_s + mib * _LIMIT_PER_MIB_S)
        return reading(answer)

    async def _set_aside(self, events: Sequence[Event], reason: str) -> None:
        await self._conversations.set_aside(events, reason)
        _quarantined.inc(len(events))


async def within(seconds: float | None, event: asyncio.Event) -> None:
    """Wait for *event*, but no longer than that; None: for ever."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
