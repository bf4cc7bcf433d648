"""What the sections of Settings share: their tabs, what was just done, a change with its entry in the audit log."""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import sqlalchemy as sa
from starlette.responses import Response

from offhook.dashboard.shell import Flash, page, redirect
from offhook.dashboard.visitors import Visit
from offhook.errors import Unavailable
from offhook.roles import Right
from offhook.store import audit
from offhook.store.audit import Entry

T = TypeVar("T")

_LONGEST_DETAIL = 200


class Section(NamedTuple):
    url: str
    name: str
    about: str  #: in a few words, by which Ctrl K finds it, too
    right: Right = "inspect"
    change: Right = "operate"


SECTIONS = (
    Section("/settings", "Organisation", "name, time zone, country"),
    Section("/settings/hours", "Hours", "opening hours and holidays"),
    Section("/settings/people", "People", "staff who take calls, and who is available"),
    Section("/settings/numbers", "Numbers", "telephone numbers that belong to us"),
    Section("/settings/agents", "Agents", "variables, and what they remember"),
    Section("/settings/texts", "Missed calls", "the text to callers who were missed"),
    Section("/settings/secrets", "Secrets", "webhook and tool secrets, the ElevenLabs API key", change="own"),
    Section("/settings/users", "Users", "invitations and roles", change="own"),
    Section("/settings/keys", "API keys", "for programs, with their scopes", change="own"),
    Section("/settings/audit", "Audit log", "who looked at what, and who changed what", "audit"),
)

#: By the word in `?done=`, what a page says that a form led to. Only these words are ever shown.
DONE: Mapping[str, str] = {
    "saved": "Saved. It holds from now on.",
    "added": "Added.",
    "removed": "Removed.",
    "rotated": "The new secret is accepted from now on.",
    "no-more": "That secret is accepted no more.",
    "withdrawn": "The invitation is withdrawn: its link works no more.",
    "role": "The role is changed. It holds at once.",
    "revoked": "The key is closed.",
}


async def show(
    visit: Visit, url: str, template: str, /, *, status: int = 200, flash: Flash | None = None, **facts: Any
) -> Response:
    """The section at *url*; its template has `sections`, `here`, `may_change`, `changed_by` beside *facts*."""
    change = next(one.change for one in SECTIONS if one.url == url)
    word = visit.request.query_params.get("done", "")
    if flash is None and word in DONE and visit.request.method == "GET":
        flash = Flash(DONE[word])
    viewer = visit.viewer
    return await page(
        visit, f"settings/{template}", status=status, flash=flash, here=url,
        sections=tabs(visit),
        may_change=viewer.may(change), changed_by="Owners" if change == "own" else "Owners and managers", **facts,
    )  # fmt: skip


def tabs(visit: Visit) -> list[Section]:
    """The sections that the viewer's role opens."""
    return [one for one in SECTIONS if visit.viewer.may(one.right)]


def done(url: str, word: str) -> Response:
    """Back to the section at *url*, by GET, which says what was done."""
    assert word in DONE
    return redirect(f"{url}{'&' if '?' in url else '?'}done={word}")


async def noted(visit: Visit, entry: Entry, statement: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """What *statement* does, and *entry* that tells of it, in one transaction. It holds from the next request on."""

    def both(tx: sa.Connection) -> T:
        result = statement(tx, *args, **kwargs)
        audit.add(tx, entry)
        return result

    result = await visit.deps.database.write(both)
    await refresh(visit)
    return result


async def refresh(visit: Visit) -> None:
    """Have what was decided known here."""
    with contextlib.suppress(Unavailable):  # it is kept, and known a second later
        await visit.deps.directory.refresh()


def changed(visit: Visit, section: str, details: Mapping[str, Any]) -> Entry:
    """The entry for a change of settings."""
    return visit.entry("settings_changed", "section", section, dict(details))


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, str]:
    """For the audit log, what became of each value that is another now."""
    return {
        name: f"{_told(before.get(name))} → {_told(value)}"
        for name, value in after.items()
        if before.get(name) != value
    }


def _told(value: Any) -> str:
    if value in (None, "", [], {}):
        return "nothing"
    text = {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)
    return text if len(text) <= _LONGEST_DETAIL else f"{text[:_LONGEST_DETAIL]}…"
