"""The tools that an agent may use while a call is on: one function for each, and the room that runs them once.

A use is one transaction (store/tool_uses.py), inside a time budget, because a caller is waiting. Whatever goes wrong becomes
a sentence that the agent can say. A use is known again by its `tool_call_id`; where the agent sends none, what changes
something is known by its content within the call, and what only looks is looked at anew.
"""

import re
import secrets
import time
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import sqlalchemy as sa
from prometheus_client import Histogram

from offhook import events, hours, phone
from offhook.contexts import Context, Contexts, Wanted
from offhook.directory import Directory, Organization
from offhook.errors import OffhookError, Unavailable
from offhook.events import Event, derived_id
from offhook.inbox import Inbox
from offhook.logs import log
from offhook.messages import Messages, Permission, wish_text
from offhook.patience import in_time
from offhook.store import contacts, effects, notes, staff, tool_uses
from offhook.store import events as event_rows
from offhook.store.contacts import Contact
from offhook.store.database import Database
from offhook.store.tool_uses import CallbackAsked, Corrected, Deed, HandedOver, Noted, Use, note_id
from offhook.texts import MAX_CHARS
from offhook.variables import organization_name, person_name
from offhook.voice.contract import ToolWanted
from offhook.voice.elevenlabs.scrub import scrubbed
from offhook.voice.elevenlabs.tools import (
    Availability,
    BusinessHours,
    ContactFound,
    ContactUpdated,
    KnownContact,
    NoteSaved,
    TextSent,
    Told,
    ToolFailed,
    Transferred,
    read_request,
)
from offhook.voice.json_text import Unreadable

BUDGET_S = 5.0
_CONTEXT_S = 1.0  #: of it, for finding out who is ringing
_MAX_NOTES = 5
_MAX_NOTE_CHARS = 500  #: of each, as an agent is told it
_MAX_REQUEST_BYTES = 16_384  #: as it is shown on the call
_EMAIL = re.compile(r"(?=.{3,254}\Z)[^\s@<>{}\"]+@[^\s@<>{}\"]+\.[^\s@<>{}\"]+")
_NEVER_SAID = frozenset({"Cc", "Cf", "Co", "Cs", "Cn"})

_SORRY = "I cannot do that just now. Please try again in a moment."
_UNREADABLE = "I could not pass that on, because the request could not be read."

_use_s = Histogram("offhook_tool_seconds", "From a tool's request to its answer", ("tool",), buckets=(
    0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 5,
))  # fmt: skip


_NO_TEXT = Permission(False, "I cannot send a text just now.")


class Apology(OffhookError):
    """I cannot do that."""


class Asked(NamedTuple):
    """What a tool is asked, and by whom."""

    use_id: str
    organization: Organization
    wanted: ToolWanted
    own: str | None  #: the number at the far end of the call, E.164; None: withheld
    named: str | None  #: the number that the agent named, E.164
    at: float  #: unix
    permission: Permission  #: for a text to whom it is about

    @property
    def person(self) -> str | None:
        """Whom it is about. Apology when a number was named that is none."""
        if self.named is None and any(map(str.isdigit, self.wanted.number or "")):
            raise Apology("That phone number is not complete. Please say it again with its area code.")
        return self.named or self.own

    @property
    def call_id(self) -> str | None:
        conversation_id = self.wanted.conversation_id
        return events.call_id(self.organization.id, conversation_id) if conversation_id else None


class Done(NamedTuple):
    """What the agent is told, and what is done."""

    answer: Told
    deeds: tuple[Deed, ...] = ()


class Tool(NamedTuple):
    run: Callable[[sa.Connection, Asked], Done]
    is_known_by_content: bool = False  #: the same words in the same call are the same use
    texts: bool = False  #: whether a text is allowed is asked before


# The tools


def check_availability(tx: sa.Connection, asked: Asked) -> Done:
    presence = staff.presence(tx, asked.organization.id)
    return Done(
        Availability(
            agents_available=presence.available > 0,
            available_count=presence.available,
            online_count=presence.online,
        )
    )


def check_business_hours(tx: sa.Connection, asked: Asked) -> Done:
    organization = asked.organization
    here = datetime.fromtimestamp(asked.at, ZoneInfo(organization.timezone))
    return Done(
        BusinessHours(
            is_open=hours.is_open(organization.rules.business_hours, organization.rules.holidays, here),
            current_time=f"{here:%A %H:%M}",
            timezone=organization.timezone,
            organization_name=organization_name(organization.name) or "",
        )
    )


def lookup_contact(tx: sa.Connection, asked: Asked) -> Done:
    contact = contacts.find_by_number(tx, asked.organization.id, asked.person) if asked.person else None
    return Done(ContactFound(found=contact is not None, contact=None if contact is None else _told(tx, contact)))


def create_note(tx: sa.Connection, asked: Asked) -> Done:
    note = _plain(asked.wanted.note)
    if not note:
        raise Apology("There is nothing to write down yet. What should the note say?")
    if asked.person is None and asked.call_id is None:
        raise Apology("I cannot tell whom the note is about. Which phone number should I put it under?")
    noted = Noted(id=note_id(asked.use_id), note=note, number=asked.person)
    return Done(NoteSaved(noted.id), (noted,))


def update_contact(tx: sa.Connection, asked: Asked) -> Done:
    if asked.person is None:
        raise Apology("I cannot tell whose details these are. Which phone number are they for?")
    corrected = Corrected(
        number=asked.person,
        first_name=_name(asked.wanted.first_name),
        last_name=_name(asked.wanted.last_name),
        email=_email(asked.wanted.email),
    )
    fields = {"firstName": corrected.first_name, "lastName": corrected.last_name, "email": corrected.email}
    updated = [name for name, value in fields.items() if value is not None]
    if not updated:
        raise Apology("There is nothing to change yet. What is the new name or email address?")
    return Done(ContactUpdated(updated), (corrected,))


def send_sms(tx: sa.Connection, asked: Asked) -> Done:
    message = _plain(asked.wanted.message)
    if not message:
        raise Apology("There is nothing to send yet. What should the text say?")
    if len(message) > MAX_CHARS:
        raise Apology("That is too long for a text message. Please make it shorter.")
    to = asked.person
    if to is None:
        raise Apology("I cannot see which number you are calling from, so I cannot send you a text.")
    if to != asked.own and not asked.organization.rules.texts.to_others:
        raise Apology("I can only send a text to the number you are calling from.")
    if not asked.permission.is_allowed:
        raise Apology(asked.permission.sentence)
    _wish_text(tx, asked, to, message)
    return Done(TextSent(asked.permission.sentence or "SMS sent"))


def transfer(tx: sa.Connection, asked: Asked) -> Done:
    somebody = staff.free_to_talk(tx, asked.organization.id)
    if somebody is not None:
        name = person_name(somebody.name, None) or "a colleague"
        handed = HandedOver(
            origin=asked.call_id or asked.use_id, number=asked.person, reason=_plain(asked.wanted.reason)
        )
        return Done(Transferred(f"Transferring to {name}", somebody.number), (handed,))
    # However often it is tried during a call, one call back will do.
    wanted = CallbackAsked(
        id=derived_id("callback", asked.call_id or asked.use_id),
        number=asked.person,
        reason=_plain(asked.wanted.reason),
    )
    return Done(Transferred("Nobody is available just now. A call back has been requested."), (wanted,))


TOOLS: dict[str, Tool] = {
    "check-availability": Tool(check_availability),
    "check-business-hours": Tool(check_business_hours),
    "lookup-contact": Tool(lookup_contact),
    "create-note": Tool(create_note, is_known_by_content=True),
    "update-contact": Tool(update_contact, is_known_by_content=True),
    "send-sms": Tool(send_sms, is_known_by_content=True, texts=True),
    "transfer": Tool(transfer),  # somebody may be free the next time
}


def _wish_text(tx: sa.Connection, asked: Asked, to: str, body: str) -> None:
    org_id = asked.organization.id
    contact = contacts.find_by_number(tx, org_id, to)
    contact_id = None if contact is None else contact.id
    wish = wish_text(org_id, to, body, key=asked.use_id, call_id=asked.call_id, contact_id=contact_id, kind="tool")
    effects.want(tx, [wish], asked.at)


def _told(tx: sa.Connection, contact: Contact) -> KnownContact:
    """What an agent may be told of somebody: names in their narrow grammar, notes as plain and bounded text."""
    written, _ = notes.page(tx, contact.org_id, contact_id=contact.id, call_id=None, limit=_MAX_NOTES, offset=0)
    last_call_at = contacts.last_call_at(tx, contact)
    return KnownContact(
        first_name=person_name(contact.first_name, None),
        last_name=person_name(contact.last_name, None),
        name=person_name(contact.first_name, contact.last_name),
        email=contact.emails[0] if contact.emails and _EMAIL.fullmatch(contact.emails[0]) else None,
        phone_number=contact.numbers[0] if contact.numbers else None,
        notes=[_plain(row.note)[:_MAX_NOTE_CHARS] for row in written],
        last_call=None if last_call_at is None else _iso(last_call_at),
    )


def _iso(at: float) -> str | None:
    """None for a time that a sender made up and no calendar knows."""
    try:
        return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"
    except (OverflowError, ValueError, OSError):
        return None


def _name(heard: str | None) -> str | None:
    """None when none was heard. Apology for what an agent could never be told again."""
    if heard is None:
        return None
    name = person_name(heard, None)
    if name is None:
        raise Apology("I did not get that name. Please spell it for me.")
    return name


def _email(heard: str | None) -> str | None:
    if heard is None:
        return None
    email = _plain(heard)
    if not _EMAIL.fullmatch(email):
        raise Apology("That does not sound like an email address. Please spell it for me.")
    return email


def _plain(text: str | None) -> str:
    """*text* on one line, without what cannot be seen and without the braces of a template; "" for None."""
    seen = "".join(" " if char.isspace() else char for char in text or "" if _is_said(char))
    return " ".join(seen.replace("{{", " ").replace("}}", " ").split())


def _is_said(char: str) -> bool:
    return char.isspace() or unicodedata.category(char) not in _NEVER_SAID


# The room


class Used(NamedTuple):
    """An answer, and what is filed once it is sent."""

    answer: bytes  #: JSON
    filing: Event | None  #: None: this use is on file already, in the transaction of its deeds


class Tools:
    """Runs tools."""

    def __init__(
        self,
        database: Database,
        directory: Directory,
        contexts: Contexts,
        messages: Messages,
        inbox: Inbox,
        *,
        now: Callable[[], float],
        budget_s: float = BUDGET_S,
    ) -> None:
        self._database = database
        self._directory = directory
        self._contexts = contexts
        self._messages = messages
        self._inbox = inbox
        self._now = now
        self._budget_s = budget_s

    async def use(self, org_id: str, tool: str, body: bytes) -> Used:
        """Run *tool* as *body* asks for it, within the budget. Never raises, whatever *body* is."""
        begun, at = time.monotonic(), self._now()
        wanted, request = _read(body)
        use = Use(
            id=_use_id(org_id, tool, wanted, at),
            org_id=org_id,
            tool=tool,
            tool_call_id=wanted.tool_call_id,
            conversation_id=wanted.conversation_id,
            asked_at=at,
            request=request,
        )
        is_readable = isinstance(request, dict)
        used = await self._used(use, wanted, begun) if is_readable else _failed(use, wanted, _UNREADABLE, begun)
        _use_s.labels(tool).observe(time.monotonic() - begun)
        return used

    async def _used(self, use: Use, wanted: ToolWanted, begun: float) -> Used:
        try:
            done = await in_time(self._run(use, wanted, begun), self._budget_s)
        except Exception as error:  # a person is waiting: the agent says that it cannot be done
            is_expected = isinstance(error, Unavailable | TimeoutError)
            log.error("tool.failed", tool=use.tool, org=use.org_id, error=str(error), exc_info=not is_expected)
            return _failed(use, wanted, _SORRY, begun)
        return Used(done, None)

    async def _run(self, use: Use, wanted: ToolWanted, begun: float) -> bytes:
        """The answer; of a use that was done before the one that it had."""
        organization = self._directory.organization(use.org_id)
        if organization is None:
            raise Unavailable("The organisation is not known here yet.")
        own, named = self._numbers(organization, wanted, await self._context(use.org_id, wanted))
        asked = Asked(use.id, organization, wanted, own, named, use.asked_at, _NO_TEXT)
        if TOOLS[use.tool].texts:
            asked = asked._replace(permission=await self._permission(asked))
        done = await self._database.write(
            _run_once, use, asked, self._inbox.sealed, begun=begun, until=begun + self._budget_s
        )
        if isinstance(done, str):
            return done.encode()
        self._inbox.announce(done)
        assert done.answer is not None
        return done.answer

    async def _permission(self, asked: Asked) -> Permission:
        """As far as can be told now; it is asked again when the text is sent."""
        return await self._messages.may_text(
            asked.organization.id,
            asked.named or asked.own,
            asked.wanted.message or "",
            call_id=asked.call_id,
            caller=asked.own,
        )

    async def _context(self, org_id: str, wanted: ToolWanted) -> Context | None:
        """Who was ringing, when that was said before the call; None too when nobody can tell just now."""
        if wanted.conversation_id is None and wanted.call_sid is None:
            return None
        call = Wanted(org_id=org_id, call_sid=wanted.call_sid, conversation_id=wanted.conversation_id)
        try:
            return (await in_time(self._contexts.recall_all([call]), _CONTEXT_S))[0]
        except (Unavailable, TimeoutError):
            return None

    def _numbers(
        self, organization: Organization, wanted: ToolWanted, context: Context | None
    ) -> tuple[str | None, str | None]:
        """The far end's own number and the one that the agent named, in E.164."""
        caller, called = phone.caller_and_called(wanted.caller, wanted.called, organization.country)
        if context is not None and context.called is not None:
            caller, called = context.caller, context.called  # who withheld a number then cannot claim one now
        elif context is not None:
            caller = context.caller or caller
        if caller is not None and organization.id in self._directory.orgs_of_number(caller):
            caller, called = called, caller  # we rang them
        country = (phone.country_of(called) if called else None) or organization.country
        return caller, phone.e164(wanted.number, country) if wanted.number else None


def _run_once(
    tx: sa.Connection, use: Use, asked: Asked, sealed: Callable[[Event], Event], *, begun: float, until: float
) -> Event | str:
    """Do it and file it: the event of the use (open), or the answer that the same use had before.

    *begun* and *until*: monotonic. What is not done by then is not done at all: the agent has said so.
    """
    if not tool_uses.begin(tx, use):
        answer = tool_uses.answer_of(tx, use.id)
        assert answer is not None  # it was written with the row
        return answer
    try:
        done = TOOLS[use.tool].run(tx, asked)
    except Apology as apology:
        done = Done(ToolFailed(apology.message))
    use = msgspec.structs.replace(
        use, answer=msgspec.to_builtins(done.answer), deeds=done.deeds, took_ms=_ms_since(begun)
    )
    tool_uses.finish(tx, use)
    event = tool_uses.filed(use, asked.wanted.agent_id)
    event_rows.add(tx, sealed(event))
    if time.monotonic() > until:
        raise Unavailable("It was too late to do it.")
    return event


def _read(body: bytes) -> tuple[ToolWanted, Any]:
    """What is wanted, and what came, without secrets and no longer than is shown: an object, or text that is none."""
    try:
        wanted, sent = read_request(body)
    except Unreadable:
        return ToolWanted(), scrubbed(body[:_MAX_REQUEST_BYTES].decode("utf-8", "replace"))
    request = scrubbed(sent)
    return wanted, request if len(msgspec.json.encode(request)) <= _MAX_REQUEST_BYTES else {
        "left out": "It is too long."
    }


def _use_id(org_id: str, tool: str, wanted: ToolWanted, at: float) -> str:
    """The same for the same use. Without a conversation its words are the same use for a day, in UTC."""
    if wanted.tool_call_id:
        return derived_id("tool", org_id, tool, "id", wanted.tool_call_id)
    if not TOOLS[tool].is_known_by_content:
        return derived_id("tool", org_id, tool, "look", repr(at), secrets.token_hex(12))
    within = wanted.conversation_id or wanted.call_sid or f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d}"
    return derived_id("tool", org_id, tool, "content", within, repr(wanted))


def _failed(use: Use, wanted: ToolWanted, sentence: str, begun: float) -> Used:
    """What went wrong is on the call's record as a use of its own: the same use may be tried again."""
    failure = msgspec.structs.replace(
        use,
        id=derived_id("tool", use.id, "failed", repr(use.asked_at)),
        answer=msgspec.to_builtins(ToolFailed(sentence)),
        took_ms=_ms_since(begun),
    )
    return Used(msgspec.json.encode(failure.answer), tool_uses.filed(failure, wanted.agent_id))


def _ms_since(begun: float) -> float:
    return round((time.monotonic() - begun) * 1000, 2)
