"""What happens while pages are open: the database is asked once a second for all of them, and each is told what concerns it.

A message has the time of the latest change that it tells of as its id. A page that comes back says it, as it says the time it
was made at when it comes first, and is told what changed since, whichever server it meets.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from offhook.dashboard.call_rows import call_row
from offhook.dashboard.frame import pulse_of
from offhook.dashboard.shell import fragment
from offhook.dashboard.visitors import Viewer
from offhook.deps import Deps
from offhook.errors import Unavailable
from offhook.logs import log
from offhook.store import call_lists, live
from offhook.store.call_lists import Aside
from offhook.store.live import OVERLAP_S, Change, Changes, Standing

LOOK_EVERY_S = 1.0
HEARTBEAT_S = 15.0  #: proxies close what is silent
MOST_STREAMS, MOST_OF_A_SESSION = 500, 8
_MOST_WAITING = 100  #: messages that a page has not taken; then it may come back for them
_LONGEST_AWAY_S = 86_400.0
_NEWS_S = 900.0  #: of an older call nobody is told who looks at something else
_OVER = b"event: over\ndata: {}\n\n"  #: what this page may see has changed: it must be loaded again


class TooMany(Exception):
    """Streams are open already; the sentence says whose."""

    def __init__(self, sentence: str, status: int) -> None:
        super().__init__(sentence)
        self.status = status


class _Stream:
    """One open page."""

    def __init__(self, viewer: Viewer) -> None:
        self.viewer = viewer
        self._waiting: asyncio.Queue[bytes | None] = asyncio.Queue(_MOST_WAITING + 2)
        self._is_over = False

    def tell(self, messages: Iterable[bytes]) -> None:
        for message in messages:
            if self._waiting.qsize() >= _MOST_WAITING:
                return self.end()
            if not self._is_over:
                self._waiting.put_nowait(message)
        return None

    def end(self, last: bytes = b"") -> None:
        if not self._is_over:
            self._is_over = True
            self._waiting.put_nowait(last)
            self._waiting.put_nowait(None)

    async def next(self) -> bytes | None:
        """None: it is over."""
        try:
            async with asyncio.timeout(HEARTBEAT_S):
                return await self._waiting.get()
        except TimeoutError:
            return b": still here\n\n"


class _Followed:
    """An organisation that somebody looks at, and what is known of it."""

    def __init__(self, first: Changes) -> None:
        self._seen = {one: one.at for one in first.changes}
        self._pulse = first.pulse

    def news(self, found: Changes, since: float) -> tuple[list[Change], bool]:
        """What was not known yet, and whether the pulse is another."""
        new = [one for one in found.changes if one not in self._seen]
        self._seen = {one: at for one, at in self._seen.items() if at > since} | {one: one.at for one in new}
        has_changed = found.pulse != self._pulse
        self._pulse = found.pulse
        return new, has_changed


class Rows(NamedTuple):
    """The rows of calls, and what stands beside them."""

    calls: Sequence[sa.Row[Any]]
    aside: Aside


class Live:
    """The streams of this process. It looks as long as there is one."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._streams: set[_Stream] = set()
        self._followed: dict[str, _Followed] = {}
        self._looked_at = 0.0
        self._beginning = asyncio.Lock()
        self._watch: asyncio.Task[None] | None = None

    def check(self, viewer: Viewer) -> None:
        """TooMany when there is no room for another stream of this session, or of anybody."""
        if len(self._streams) >= MOST_STREAMS:
            raise TooMany("Too many pages are open here. They are told nothing by themselves; reload them.", 503)
        if sum(one.viewer.token_hash == viewer.token_hash for one in self._streams) >= MOST_OF_A_SESSION:
            raise TooMany(f"{MOST_OF_A_SESSION} pages of yours are told what is new already. Close one of them.", 429)

    async def stream(self, viewer: Viewer, after: float) -> AsyncIterator[bytes]:
        """Server-sent events, from what changed since *after* (unix) until the session, its role or the server ends."""
        stream = _Stream(viewer)
        self._streams.add(stream)
        try:
            yield b"retry: 1000\n\n"
            for message in await self._missed(viewer.org_id, after):
                yield message
            while (message_or_end := await stream.next()) is not None:
                yield message_or_end
        except Unavailable:
            return  # it comes back
        finally:
            self._streams.discard(stream)
            if not self._streams and self._watch is not None:
                self._watch.cancel()
                self._watch = None
                self._followed.clear()

    async def _missed(self, org_id: str, after: float) -> list[bytes]:
        async with self._beginning:
            now = self._deps.now()
            if org_id not in self._followed:
                found = await self._look({org_id: now - OVERLAP_S})
                self._followed[org_id] = _Followed(found[org_id])
            if self._watch is None or self._watch.done():
                self._looked_at = now
                self._watch = asyncio.create_task(self._look_on(), name="live")
        since = max(after, now - _LONGEST_AWAY_S)
        changes = (await self._look({org_id: since - OVERLAP_S}))[org_id]
        return await self._told(org_id, changes.changes, changes, known_until=since)

    async def _look(self, since: dict[str, float]) -> dict[str, Changes]:
        return await self._deps.database.read(live.look, since, self._deps.now())

    async def _look_on(self) -> None:
        stopping = asyncio.create_task(self._deps.stopping.wait())
        try:
            while not (await asyncio.wait([stopping], timeout=LOOK_EVERY_S))[0]:
                await self._look_and_tell()
            for stream in self._streams:
                stream.end()
        finally:
            stopping.cancel()

    async def _look_and_tell(self) -> None:
        try:
            await self._end_what_is_over()
            now, since = self._deps.now(), self._looked_at - OVERLAP_S
            found = await self._look(dict.fromkeys(self._followed, since))
            for org_id, changes in found.items():
                await self._tell(org_id, changes, since)
            self._looked_at = now
        except Unavailable:
            return  # the next look reaches as far back as this one
        except Exception:
            log.exception("live.fault")

    async def _end_what_is_over(self) -> None:
        hashes = {stream.viewer.token_hash for stream in self._streams}
        standing = await self._deps.database.read(live.standing, hashes, self._deps.now())
        for stream in self._streams:
            if not _may_go_on(stream.viewer, standing.get(stream.viewer.token_hash)):
                stream.end(_OVER)
        open_ones = Counter(stream.viewer.org_id for stream in self._streams)
        self._followed = {org_id: known for org_id, known in self._followed.items() if open_ones[org_id]}

    async def _tell(self, org_id: str, found: Changes, since: float) -> None:
        new, has_changed = self._followed[org_id].news(found, since)
        if not new and not has_changed:
            return
        messages = await self._told(org_id, new, found if has_changed else None)
        for stream in self._streams:
            if stream.viewer.org_id == org_id:
                stream.tell(messages)

    async def _told(
        self, org_id: str, new: Sequence[Change], pulse: Changes | None, *, known_until: float = 0.0
    ) -> list[bytes]:
        """The messages; what changed before *known_until* may have been told already, and is nobody's news."""
        latest = {one.call_id: one for one in new if one.what == "call"}
        found = await self._deps.database.read(_rows, org_id, [*latest]) if latest else None
        return await asyncio.to_thread(self._written, org_id, new, latest, found, pulse, known_until)

    def _written(
        self,
        org_id: str,
        new: Sequence[Change],
        latest: dict[str, Change],
        found: Rows | None,
        pulse: Changes | None,
        known_until: float,
    ) -> list[bytes]:
        rows = {row.id: row for row in found.calls} if found is not None else {}
        messages = []
        for one in new:
            if one.what == "recording":
                messages.append(_message("recording", {"id": one.call_id}, one.at))
            elif latest[one.call_id] is one and found is not None and one.call_id in rows:
                row = rows[one.call_id]
                messages.append(_message("call", self._call(org_id, row, found.aside, one.at > known_until), one.at))
        if pulse is not None:
            messages.append(_message("count", {"follow_ups": pulse.pulse.open_follow_ups}))
            html = fragment(self._deps, org_id, "pulse.html", pulse=pulse_of(pulse.pulse, self._deps.now()))
            messages.append(_message("pulse", {"html": html}))
        return messages

    def _call(self, org_id: str, row: sa.Row[Any], aside: Aside, is_new: bool) -> dict[str, Any]:
        html = fragment(self._deps, org_id, "live_row.html", call=call_row(row, aside)).strip()
        is_recent = self._deps.now() - row.happened_at - (row.duration_s or 0) < _NEWS_S
        return {"id": row.id, "html": html, "at": row.happened_at, "status": row.status, "news": is_new and is_recent}


def _rows(tx: sa.Connection, org_id: str, call_ids: Sequence[str]) -> Rows:
    return Rows(call_lists.rows(tx, org_id, call_ids), call_lists.aside(tx, org_id, call_ids))


def _may_go_on(viewer: Viewer, now: Standing | None) -> bool:
    """Whether the session is open, and looks at the same organisation in the same role."""
    if now is None or now.roles.get(viewer.org_id) != viewer.role:
        return False
    return now.org_id == viewer.org_id or now.org_id not in now.roles


def _message(event: str, facts: dict[str, Any], at: float | None = None) -> bytes:
    id = b"" if at is None else f"id: {at!r}\n".encode()
    return b"%bevent: %b\ndata: %b\n\n" % (id, event.encode(), msgspec.json.encode(facts))
