"""Calls: who rang, and what they wanted. All that is chosen stands in the address."""

from collections.abc import Sequence
from typing import NamedTuple
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from starlette.datastructures import QueryParams
from starlette.responses import Response

from offhook.dashboard import phrases, today
from offhook.dashboard.asked import address, behind, day, one_of, place_of, span
from offhook.dashboard.call_rows import CallRow, Day, by_day, call_row
from offhook.dashboard.outcomes import CHOICES
from offhook.dashboard.shell import page, zone_of
from offhook.dashboard.today import Today
from offhook.dashboard.visitors import Visit
from offhook.store import call_lists, follow_up_lists, pulse
from offhook.store.call_lists import Cursor, Wanted

PAGE_ROWS = 50
_URL = "/calls"
_VIEWS = {"all": "All", "follow": "Follow-up", "missed": "Missed"}
_FILTERS = ("q", "view", "outcome", "agent", "direction", "from", "to")
_LONGEST_WORDS = 200


class Choice(NamedTuple):
    """What the address asks for, as the form shows it; what cannot be read is as if it were not there."""

    words: str
    view: str
    outcome: str
    agent: str
    direction: str
    since: str  #: a date
    until: str  #: a date, inclusive
    after: Cursor | None

    @property
    def is_any(self) -> bool:
        """Whether something is chosen at all."""
        return self.address() != _URL

    @property
    def is_first_page(self) -> bool:
        return self.after is None

    def wanted(self, zone: ZoneInfo) -> Wanted:
        since, until = span(self.since, self.until, zone)
        return Wanted(
            view=self.view,
            outcome=self.outcome or None,
            agent_id=self.agent or None,
            direction=self.direction or None,
            since=since,
            words=self.words,
            until=until,
        )

    def address(self, **other: str) -> str:
        """This page with something else chosen, from its beginning unless *other* says after what."""
        values = (self.words, "" if self.view == "all" else self.view, *self[2:7])
        return address(_URL, dict(zip(_FILTERS, values, strict=True)) | other)


class Found(NamedTuple):
    rows: list[CallRow]
    has_more: bool
    has_any: bool  #: without filters
    agents: dict[str, str]
    today: Today
    follow_ups: int  #: open ones
    waiting: int  #: people


async def calls(visit: Visit) -> Response:
    choice = chosen(visit.request.query_params)
    zone, now = zone_of(visit), visit.deps.now()
    found = await visit.deps.database.read(_find, visit.org_id, choice, zone, now)
    if not found.has_any:
        return await page(visit, "first_run.html", webhook_url=_webhook_url(visit), today_is=_date(zone, now))
    return await page(
        visit,
        "calls.html",
        choice=choice,
        found=found,
        days=_days(found, choice, zone, now),
        older=choice.address(after=place_of(found.rows[-1].at, found.rows[-1].id)) if found.has_more else None,
        views=[
            (choice.address(view=key if key != "all" else ""), words, found.follow_ups if key == "follow" else None,
             choice.view == key)
            for key, words in _VIEWS.items()
        ],
        outcomes=[("", "Any outcome"), *CHOICES.items()],
        agents=[("", "Any agent"), *found.agents.items()],
        today_is=_date(zone, now),
        query=choice.address().partition("?")[2],
    )  # fmt: skip


def _find(tx: sa.Connection, org_id: str, choice: Choice, zone: ZoneInfo, now: float) -> Found:
    wanted = choice.wanted(zone)
    rows = call_lists.page(tx, org_id, wanted, limit=PAGE_ROWS + 1, after=choice.after)
    shown = rows[:PAGE_ROWS]
    aside = call_lists.aside(tx, org_id, [row.id for row in shown])
    return Found(
        rows=[call_row(row, aside) for row in shown],
        has_more=len(rows) > PAGE_ROWS,
        has_any=bool(rows) or call_lists.has_any(tx, org_id),
        agents=call_lists.agent_names(tx, org_id),
        today=today.look(tx, org_id, zone, now),
        follow_ups=pulse.open_follow_ups(tx, org_id, now),
        waiting=follow_up_lists.people_waiting(tx, org_id, now),
    )


def _days(found: Found, choice: Choice, zone: ZoneInfo, now: float) -> Sequence[Day]:
    now_day = phrases.local_day(now, zone)
    return by_day(found.rows, zone, now_day, begins_within=not choice.is_first_page, ends_within=found.has_more)


def chosen(query: QueryParams) -> Choice:
    return Choice(
        words=" ".join(query.get("q", "")[:_LONGEST_WORDS].split()),
        view=one_of(query, "view", _VIEWS) or "all",
        outcome=one_of(query, "outcome", CHOICES),
        agent=query.get("agent", "")[:_LONGEST_WORDS].strip(),
        direction=one_of(query, "direction", ("inbound", "outbound")),
        since=day(query, "from"),
        until=day(query, "to"),
        after=behind(query, Cursor),
    )


def _webhook_url(visit: Visit) -> str:
    base = visit.deps.settings.public_url or str(visit.request.base_url).rstrip("/")
    return f"{base}/api/webhook/elevenlabs?org={visit.org_id}"


def _date(zone: ZoneInfo, now: float) -> str:
    day = phrases.local_day(now, zone)
    return f"{day:%A} {day.day} {day:%B}, {phrases.place_of(zone)} time"
