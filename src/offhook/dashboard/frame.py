"""What stands around every page: where one can go, who looks, and whether calls are arriving."""

from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urlencode

from offhook.dashboard import verdicts
from offhook.dashboard.visitors import Visit
from offhook.roles import Right
from offhook.store import pulse as pulses
from offhook.store.sessions import Membership


class Place(NamedTuple):
    """A page of the sidebar."""

    url: str
    name: str
    icon: str  #: a symbol of static/icons.svg
    right: Right


PLACES: dict[str, tuple[Place, ...]] = {
    "Front desk": (
        Place("/calls", "Calls", "phone", "look"),
        Place("/follow-ups", "Follow-ups", "inbox", "look"),
        Place("/contacts", "Contacts", "people", "look"),
    ),
    "Operations": (
        Place("/events", "Events", "events", "inspect"),
        Place("/health", "Health", "health", "inspect"),
        Place("/settings", "Settings", "gear", "inspect"),
    ),
}
_ON_PHONES = frozenset({"/calls", "/follow-ups", "/contacts", "/health"})  #: beside "More", which has the rest
LIVE_PATH = "/live"  #: where the server tells of new calls


class Pulse(NamedTuple):
    """Whether calls are arriving, in a few words."""

    tone: str  #: ok, warn, bad
    words: str
    detail: str
    last_at: float | None = None  #: when ElevenLabs delivered something last


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    path: str
    org_id: str
    org_name: str
    orgs: tuple[Membership, ...]
    user_name: str
    nav: tuple[tuple[str, tuple[Place, ...]], ...]  #: by heading; without what the viewer's role does not open
    pulse: Pulse
    follow_ups: int  #: open ones
    live_url: str  #: for this organisation, from now on
    may_inspect: bool

    @property
    def tabs(self) -> list[Place]:
        """The bar at the foot of a phone."""
        return [place for _, places in self.nav for place in places if place.url in _ON_PHONES]

    @property
    def more(self) -> list[Place]:
        return [place for _, places in self.nav for place in places if place.url not in _ON_PHONES]

    def is_at(self, place: Place) -> bool:
        return self.path == place.url or self.path.startswith(f"{place.url}/")


async def frame_of(visit: Visit) -> Frame | None:
    """None for strangers, and for people who belong to no organisation."""
    viewer = visit.found
    if viewer is None or viewer.role is None:
        return None
    facts = await visit.deps.database.read(pulses.take, viewer.org_id, visit.deps.now())
    nav = tuple(
        (heading, mine)
        for heading, places in PLACES.items()
        if (mine := tuple(place for place in places if viewer.may(place.right)))
    )
    return Frame(
        path=visit.request.url.path,
        org_id=viewer.org_id,
        org_name=viewer.org_name,
        orgs=viewer.orgs,
        user_name=viewer.name or viewer.email,
        nav=nav,
        pulse=pulse_of(facts, visit.deps.now()),
        follow_ups=facts.open_follow_ups,
        live_url=f"{LIVE_PATH}?{urlencode({'org': viewer.org_id, 'after': f'{visit.deps.now():.6f}'})}",
        may_inspect=viewer.may("inspect"),
    )


def pulse_of(facts: pulses.Pulse, now: float) -> Pulse:
    at, worst = facts.last_success_at, next(iter(facts.findings), None)
    if worst is not None and worst.severity == "error":
        return Pulse("bad", "Needs attention", worst.message, at)
    if verdicts.is_burning(facts.fetched_since, None if at is None else now - at):
        return Pulse("bad", "Needs attention", "Deliveries fail", at)
    if worst is not None:
        return Pulse("warn", "Worth a look", worst.message, at)
    if facts.fetched_since >= verdicts.AMBER_AT:
        return Pulse("warn", "Worth a look", "Deliveries fail", at)
    if at is None and facts.is_connected:
        return Pulse("warn", "Nothing has arrived yet", "The first call will tell")
    if at is None:
        return Pulse("warn", "Not connected yet", "No delivery received so far")
    return Pulse("ok", "Webhook healthy", "Nothing is wrong", at)
