"""What Ctrl K finds: settings, people by name and number, calls by what was said. The sidebar's pages it knows itself."""

import sqlalchemy as sa
from starlette.responses import JSONResponse, Response

from offhook.dashboard import phrases
from offhook.dashboard.call_rows import persons_number
from offhook.dashboard.outcomes import instead_of_summary
from offhook.dashboard.pages.settings.section import tabs
from offhook.dashboard.visitors import Visit
from offhook.store import call_lists, contacts
from offhook.store.call_lists import Wanted

_MOST_OF_A_KIND = 5
_LONGEST_WORDS = 200
_LONGEST_DETAIL = 160


async def search(visit: Visit) -> Response:
    words = visit.request.query_params.get("q", "")[:_LONGEST_WORDS].strip()
    found = await visit.deps.database.read(_find, visit.org_id, words) if words else []
    return JSONResponse([*_settings(visit, words), *found])


def _settings(visit: Visit, words: str) -> list[dict[str, str]]:
    """The sections that the viewer's role opens."""
    asked = words.casefold()
    if not asked:
        return []
    return [
        _entry(one.name, one.about, one.url, "Settings")
        for one in tabs(visit)
        if asked in f"{one.name}\n{one.about}".casefold()
    ]


def _find(tx: sa.Connection, org_id: str, words: str) -> list[dict[str, str]]:
    people = [
        _entry(one.name or phrases.UNKNOWN_CALLER, phrases.phone(one.numbers[0]) if one.numbers else "",
               f"/contacts/{one.id}", "Contact")
        for one in contacts.page(tx, org_id, search=words, size=_MOST_OF_A_KIND)[0]
    ]  # fmt: skip
    rows = call_lists.page(tx, org_id, Wanted(words=words), limit=_MOST_OF_A_KIND)
    calls = [
        _entry(
            phrases.full_name(row.first_name, row.last_name) or phrases.phone(persons_number(row)),
            row.summary or instead_of_summary(row.status, row.direction, row.failure),
            f"/calls/{row.id}",
            "Call",
        )
        for row in rows
    ]
    return people + calls


def _entry(title: str, detail: str, url: str, kind: str) -> dict[str, str]:
    return {"title": title, "detail": detail[:_LONGEST_DETAIL], "url": url, "kind": kind}
