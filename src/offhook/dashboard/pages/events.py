"""Events: what came in, as it came, and how far it got; and who was turned away. All that is chosen stands in the address."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from starlette.datastructures import QueryParams
from starlette.responses import Response

from offhook.dashboard import charts
from offhook.dashboard.asked import address, behind, day, one_of, place_of, span
from offhook.dashboard.event_words import CHECKS, PROOFS, SOURCES, STANDINGS, Standing, note_of, standing_of
from offhook.dashboard.shell import page, zone_of
from offhook.dashboard.visitors import Visit
from offhook.refusals import Refusal
from offhook.store import balances, event_lists
from offhook.store.event_lists import SET_ASIDE, Cursor, Hour, Wanted
from offhook.voice.elevenlabs.payloads import EVENTS

PAGE_ROWS = 50
_URL = "/events"
_MOST_REFUSALS = 200
_HOURS, _HOUR_S = 24, 3600.0
_LONGEST_WORD = 200
_TYPES = (*EVENTS, "personalization", "tool", "ingest", "ingest_recording")
_NAMES = ("q", "status", "type", "source", "proof", "from", "to")


class Choice(NamedTuple):
    """What the address asks for, as the form shows it; what cannot be read is as if it were not there."""

    id: str
    status: str
    type: str
    source: str
    proof: str
    since: str  #: a date
    until: str  #: a date, inclusive
    after: Cursor | None

    @property
    def is_any(self) -> bool:
        return self.address() != _URL

    def wanted(self, zone: ZoneInfo) -> Wanted:
        since, until = span(self.since, self.until, zone)
        return Wanted(
            id=self.id,
            status=self.status or None,
            type=self.type or None,
            source=self.source or None,
            proof=self.proof or None,
            since=since,
            until=until,
        )

    def address(self, **other: str) -> str:
        """This page with something else chosen, from its beginning unless *other* says after what."""
        return address(_URL, dict(zip(_NAMES, self[:7], strict=True)) | other)


class Row(NamedTuple):
    facts: sa.Row[Any]
    standing: Standing
    note: str | None


class Today(NamedTuple):
    """The last 24 hours."""

    counts: Mapping[str, int]  #: by what they are called
    bars: list[charts.Bar]
    sentence: str


async def events(visit: Visit) -> Response:
    refused = visit.deps.refusals.concerning(
        visit.org_id, lambda claimed: visit.deps.directory.organization(claimed) is not None
    )
    choice = chosen(visit.request.query_params)
    wanted = choice.wanted(zone_of(visit))
    rows, has_any, today = await visit.deps.database.read(
        _find, visit.org_id, wanted, choice.after, visit.deps.now(), refused
    )
    last = rows[PAGE_ROWS - 1] if len(rows) > PAGE_ROWS else None
    is_ring = visit.request.query_params.get("view") == "refused"
    return await page(
        visit,
        "events.html",
        choice=choice,
        rows=[Row(row, standing_of(row.status, row.source), note_of(row)) for row in rows[:PAGE_ROWS]],
        older=choice.address(after=place_of(last.received_at, last.seq)) if last is not None else None,
        has_any=has_any,
        today=today,
        views=[("/events", "Events", None, not is_ring), ("/events?view=refused", "Refused", len(refused), is_ring)],
        is_ring=is_ring,
        refused=[(one, CHECKS.get(one.check, one.check)) for one in refused[:_MOST_REFUSALS]],
        replay=choice.address().replace("/events", "/events/replay", 1),
        options=_options(choice),
        sources=SOURCES,
        proofs=PROOFS,
    )


def _find(
    tx: sa.Connection, org_id: str, wanted: Wanted, after: Cursor | None, now: float, refused: Sequence[Refusal]
) -> tuple[Sequence[sa.Row[Any]], bool, Today]:
    rows = event_lists.page(tx, org_id, wanted, limit=PAGE_ROWS + 1, after=after)
    begin = now - _HOURS * _HOUR_S
    hours = event_lists.by_hour(tx, org_id, begin, now)
    lost = len({one.conversation_id for one in balances.absences_of(tx, org_id, since=begin)})
    has_any = bool(rows) or event_lists.has_any(tx, org_id)
    return rows, has_any, _today(hours, [one.at for one in refused if one.at >= begin], lost, begin)


def _today(hours: Sequence[Hour], refused_at: Sequence[float], lost: int, begin: float) -> Today:
    good, bad = [0] * _HOURS, [0] * _HOURS
    for one in hours:
        (bad if one.status in SET_ASIDE else good)[min(one.hour, _HOURS - 1)] += one.events
    for at in refused_at:
        bad[min(int((at - begin) // _HOUR_S), _HOURS - 1)] += 1
    counts = {
        "received": sum(one.events for one in hours if one.source != "reconciled"),
        "refused": len(refused_at),
        "waiting": sum(one.events for one in hours if one.status == "pending"),
        "quarantined": sum(one.events for one in hours if one.status == "quarantined"),
        "recovered": sum(one.events for one in hours if one.source == "reconciled"),
        "lost": lost,
    }
    sentence = f"Events by the hour: {sum(good):,} kept, {sum(bad):,} refused or set aside"
    return Today(counts, charts.stacked(good, bad, 960, 56), sentence)


def _options(choice: Choice) -> dict[str, list[tuple[str, str]]]:
    """What can be chosen, by the name of the field; a type that is asked for by hand is among them."""
    types = _TYPES if choice.type in ("", *_TYPES) else (*_TYPES, choice.type)
    return {
        "status": [("", "Any status"), *((key, one.words) for key, one in STANDINGS.items())],
        "type": [("", "Any type"), *((one, one) for one in types)],
        "source": [("", "Any way"), *SOURCES.items()],
        "proof": [("", "Any proof"), *PROOFS.items()],
    }


def _place(at: float, seq: str) -> Cursor | None:
    return Cursor(at, int(seq)) if seq.isdigit() and len(seq) < 19 else None


def chosen(query: QueryParams) -> Choice:
    def word(name: str) -> str:
        return query.get(name, "")[:_LONGEST_WORD].strip()

    return Choice(
        id=word("q"),
        status=one_of(query, "status", STANDINGS),
        type=word("type"),
        source=one_of(query, "source", SOURCES),
        proof=one_of(query, "proof", PROOFS),
        since=day(query, "from"),
        until=day(query, "to"),
        after=behind(query, _place),
    )
