"""Exports: a list as it is filtered, as CSV or JSON, and all that is kept of one person. Each is a line of the audit log."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import PurePath
from typing import Any

import msgspec
import sqlalchemy as sa
from starlette.responses import Response

from offhook import phone, recordings
from offhook.dashboard import downloads, phrases
from offhook.dashboard.call_rows import persons_number
from offhook.dashboard.downloads import BATCH_ROWS, Row, ZipStream, time_of
from offhook.dashboard.outcomes import outcome_of
from offhook.dashboard.pages.audit_log import chosen as chosen_entries
from offhook.dashboard.pages.calls import chosen as chosen_calls
from offhook.dashboard.pages.events import chosen as chosen_events
from offhook.dashboard.pages.follow_ups import chosen_view
from offhook.dashboard.shell import zone_of
from offhook.dashboard.visitors import Visit
from offhook.errors import NotFound
from offhook.logs import log
from offhook.store import audit, bundles, call_lists, contact_pages, event_lists, follow_up_lists
from offhook.store.contacts import Contact

_CALLS = (
    "id", "at", "direction", "status", "outcome", "name", "number", "agent", "durationSeconds", "topic", "summary",
    "failure",
)  # fmt: skip
_CONTACTS = ("id", "firstName", "lastName", "numbers", "emails", "externalId", "source", "addedAt")
_FOLLOW_UPS = (
    "id", "kind", "status", "reason", "name", "number", "dueAt", "assignedTo", "snoozedUntil", "doneAt", "doneBy", "note",
    "callId", "contactId", "createdAt",
)  # fmt: skip
_EVENTS = (
    "id", "receivedAt", "type", "source", "proof", "status", "reason", "conversationId", "callId", "agentId", "bytes",
    "deliveries",
)  # fmt: skip
_AUDIT = ("at", "who", "action", "objectKind", "objectId", "details", "address")
_FEW_CALLS = 20  #: with all that was said in them
_AS_JSON = frozenset({"transcript", "analysis", "context", "details"})  #: columns that hold JSON

Batch = Callable[[Any], Awaitable[Sequence[Any]]]  #: what comes behind a row; None: from the beginning


async def calls(visit: Visit) -> Response:
    zone = zone_of(visit)
    wanted = chosen_calls(visit.request.query_params).wanted(zone)

    async def behind(last: Any) -> Sequence[Any]:
        after = None if last is None else call_lists.Cursor(last.happened_at, last.id)
        return await visit.deps.database.read(call_lists.page, visit.org_id, wanted, limit=BATCH_ROWS, after=after)

    def row(one: Any) -> Row:
        outcome = outcome_of(one.status, one.direction, one.is_successful, is_handed_over=False)
        name = phrases.full_name(one.first_name, one.last_name)
        said = (one.id, time_of(one.happened_at, zone), one.direction, one.status, outcome.words, name,
                persons_number(one), one.agent_name, one.duration_s, one.title, one.summary, one.failure)  # fmt: skip
        return dict(zip(_CALLS, said, strict=True))

    return await _exported(visit, "calls", _CALLS, behind, row)


async def contacts(visit: Visit) -> Response:
    zone = zone_of(visit)
    search = " ".join(visit.request.query_params.get("q", "")[:200].split())
    number = phone.e164(search, visit.deps.directory.country_of(visit.org_id)) if search else None

    async def behind(last: Any) -> Sequence[Any]:
        after = None if last is None else contact_pages.Place(last.created_at, last.id)
        found: list[Contact] = await visit.deps.database.read(
            contact_pages.page, visit.org_id, search=search, number=number, limit=BATCH_ROWS, after=after
        )
        return found if last is None or number is None else []

    def row(one: Any) -> Row:
        said = (one.id, one.first_name, one.last_name, "; ".join(one.numbers), "; ".join(one.emails), one.external_id,
                one.source, time_of(one.created_at, zone))  # fmt: skip
        return dict(zip(_CONTACTS, said, strict=True))

    return await _exported(visit, "contacts", _CONTACTS, behind, row)


async def follow_ups(visit: Visit) -> Response:
    zone, now, view = zone_of(visit), visit.deps.now(), chosen_view(visit)
    asked: dict[str, Any] = {"user_id": visit.viewer.user_id, "now": now, "limit": BATCH_ROWS}

    async def behind(last: Any) -> Sequence[Any]:
        at = None if last is None else last.updated_at if view == "done" else last.due_at
        after = None if at is None else follow_up_lists.Place(at, last.id)
        return await visit.deps.database.read(follow_up_lists.page, visit.org_id, view, after=after, **asked)

    def row(one: Any) -> Row:
        name = phrases.full_name(one.first_name, one.last_name)
        said = (one.id, one.kind, one.status, one.reason, name, one.number, time_of(one.due_at, zone), one.assignee,
                time_of(one.snoozed_until, zone), time_of(one.done_at, zone), one.closer, one.note, one.call_id,
                one.contact_id, time_of(one.created_at, zone))  # fmt: skip
        return dict(zip(_FOLLOW_UPS, said, strict=True))

    return await _exported(visit, "follow-ups", _FOLLOW_UPS, behind, row)


async def events(visit: Visit) -> Response:
    zone = zone_of(visit)
    wanted = chosen_events(visit.request.query_params).wanted(zone)

    async def behind(last: Any) -> Sequence[Any]:
        after = None if last is None else event_lists.Cursor(last.received_at, last.seq)
        return await visit.deps.database.read(event_lists.page, visit.org_id, wanted, limit=BATCH_ROWS, after=after)

    def row(one: Any) -> Row:
        said = (one.id, time_of(one.received_at, zone), one.type, one.source, one.proof, one.status, one.reason,
                one.conversation_id, one.call_id, one.agent_id, one.size_bytes, one.deliveries)  # fmt: skip
        return dict(zip(_EVENTS, said, strict=True))

    return await _exported(visit, "events", _EVENTS, behind, row)


async def audit_log(visit: Visit) -> Response:
    zone = zone_of(visit)
    wanted = chosen_entries(visit.request.query_params, zone)

    async def behind(last: Any) -> Sequence[Any]:
        before = None if last is None else last.seq
        return await visit.deps.database.read(audit.page, visit.org_id, wanted, limit=BATCH_ROWS, before=before)

    def row(one: Any) -> Row:
        said = (time_of(one.at, zone), one.who, one.action, one.object_kind, one.object_id, one.details, one.address)
        return dict(zip(_AUDIT, said, strict=True))

    return await _exported(visit, "audit", _AUDIT, behind, row)


async def _exported(
    visit: Visit, name: str, columns: Sequence[str], behind: Batch, row: Callable[[Any], Row]
) -> Response:
    kind = PurePath(visit.request.url.path).suffix[1:]
    query = visit.request.url.query
    await visit.note("exported", "list", name, {"format": kind, "filters": query[:500]})
    return downloads.as_list(_batches(behind, row), columns, name, kind)


async def _batches(behind: Batch, row: Callable[[Any], Row]) -> AsyncIterator[Sequence[Row]]:
    last = None
    while found := await behind(last):
        yield [row(one) for one in found]
        last = found[-1]


# One person


async def person(visit: Visit) -> Response:
    contact_id = visit.param("contact_id")
    contact = await visit.deps.database.read(bundles.contact, visit.org_id, contact_id)
    if contact is None:
        raise NotFound("There is no such contact.")
    await visit.note("person_exported", "contact", contact_id)
    return downloads.attachment(_bundle(visit, contact), f"contact-{contact_id}.zip", "application/zip")


async def _bundle(visit: Visit, contact: Contact) -> AsyncIterator[bytes]:
    archive = ZipStream(visit.deps.now())
    files: list[tuple[str, AsyncIterator[bytes]]] = [
        ("contact.json", _one(contact)),
        ("calls.json", _calls(visit, contact.id)),
    ]
    files += [(f"{kind}.json", _rows(visit, contact.id, kind)) for kind in bundles.KINDS]
    for name, pieces in files:
        async for piece in archive.add(name, pieces):
            yield piece
    async for call in _all_calls(visit, contact.id):
        for kept in await visit.deps.database.read(bundles.recordings_of, [call.id]):
            path = visit.deps.settings.recordings_dir / kept.file
            if not path.exists():
                log.error("recording.missing", recording=kept.id, file=kept.file)
                continue
            name = f"recordings/{call.id}-{kept.id}.{'mp3' if kept.state == 'ready' else 'bin'}"
            sound = recordings.pieces(path, recordings.Span(0, path.stat().st_size))
            async for piece in archive.add(name, sound, is_packed=False):
                yield piece
    yield archive.finished()


async def _one(contact: Contact) -> AsyncIterator[bytes]:
    yield msgspec.json.format(msgspec.json.encode(contact))


async def _calls(visit: Visit, contact_id: str) -> AsyncIterator[bytes]:
    between = b"["
    async for call in _all_calls(visit, contact_id):
        yield between + _whole(call)
        between = b",\n"
    yield b"[]" if between == b"[" else b"]"


async def _rows(visit: Visit, contact_id: str, kind: str) -> AsyncIterator[bytes]:
    rows = await visit.deps.database.read(bundles.of, visit.org_id, contact_id, kind)
    yield b"[" + b",\n".join(_whole(row) for row in rows) + b"]"


async def _all_calls(visit: Visit, contact_id: str) -> AsyncIterator[sa.Row[Any]]:
    after = ""
    while found := await visit.deps.database.read(bundles.calls_behind, visit.org_id, contact_id, after, _FEW_CALLS):
        for call in found:
            yield call
        after = found[-1].id


def _whole(row: sa.Row[Any]) -> bytes:
    """Its columns; JSON stays JSON."""
    facts = dict(row._mapping)
    told = {name: msgspec.Raw(facts[name].encode()) for name in _AS_JSON & facts.keys() if facts[name] is not None}
    return msgspec.json.encode({name: value for name, value in facts.items() if name != "org_id"} | told)
