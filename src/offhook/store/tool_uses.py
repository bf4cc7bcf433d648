"""What agents did while calls were on: each use of a tool once, and the rows that it left behind.

A use, its deeds and its event are one transaction: whoever asks for it again meanwhile waits for that transaction, a process
that dies in the middle of it has done nothing, and nobody is ever told of a deed that is not on disk. The event holds the
deeds, so that a replay comes to the same rows.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from msgspec import UNSET
from sqlalchemy.dialects import postgresql, sqlite

from offhook import events
from offhook.events import TOOL, Event, derived_id
from offhook.store import callbacks, contacts, follow_ups, people
from offhook.store.database import insert_new
from offhook.store.tables import notes, tool_uses

_MOST_SHOWN = 200  #: of one call; an agent that runs wild uses a tool thousands of times
_MOST_EMAILS = 50  #: of one contact

NOTE_TYPE = "ai_summary"  #: what agents write, as what is summed up of their calls


class Noted(msgspec.Struct, frozen=True, kw_only=True, tag="note"):
    """The agent wrote something down."""

    id: str
    note: str
    number: str | None  #: the person's, E.164


class Corrected(msgspec.Struct, frozen=True, kw_only=True, tag="contact"):
    """The agent heard a name or an address; None was not heard."""

    number: str  #: the person's, E.164
    first_name: str | None = None
    last_name: str | None = None
    email: str | None = None


class CallbackAsked(msgspec.Struct, frozen=True, kw_only=True, tag="callback"):
    """Nobody was there, and somebody should ring back."""

    id: str
    number: str | None  #: E.164
    reason: str | None


class HandedOver(msgspec.Struct, frozen=True, kw_only=True, tag="handoff"):
    """The agent gave the call to a person; whether that person was reached nobody tells us."""

    origin: str  #: what the follow-up's id is derived from
    number: str | None  #: E.164
    reason: str | None


Deed = Noted | Corrected | CallbackAsked | HandedOver


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """One use of a tool."""

    id: str
    org_id: str
    tool: str
    tool_call_id: str | None = None
    conversation_id: str | None = None
    asked_at: float  #: unix
    request: Any = None  #: as it came, without secrets
    deeds: tuple[Deed, ...] = ()
    answer: Any = None  #: what the agent was told
    took_ms: float | None = None

    @property
    def call_id(self) -> str | None:
        return events.call_id(self.org_id, self.conversation_id) if self.conversation_id else None


class _Body(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A use as the body of its event; the answer lies beside it."""

    use: str
    tool: str
    request: Any = None
    tool_call_id: str | None = None
    took_ms: float | None = None
    deeds: tuple[Deed, ...] = ()


_body = msgspec.json.Decoder(_Body)


def filed(use: Use, agent_id: str | None) -> Event:
    """The event of *use*, body and answer open."""
    body = msgspec.json.encode(
        _Body(
            use=use.id,
            tool=use.tool,
            request=use.request,
            tool_call_id=use.tool_call_id,
            took_ms=use.took_ms,
            deeds=use.deeds,
        )
    )
    sha256 = hashlib.sha256(body).hexdigest()
    return Event(
        id=events.event_id(use.org_id, sha256, f"{TOOL}:{use.id}"),
        org_id=use.org_id,
        type=TOOL,
        source=TOOL,
        proof="bearer",
        sha256=sha256,
        size_bytes=len(body),
        received_at=use.asked_at,
        body=body,
        answer=msgspec.json.encode(use.answer),
        conversation_id=use.conversation_id,
        call_id=use.call_id,
        agent_id=agent_id,
    )


def used_in(event: Event) -> Use:
    """The use that an event (body and answer open) tells of; msgspec.DecodeError when it tells of none."""
    body = _body.decode(event.body)
    return Use(
        id=body.use,
        org_id=event.org_id,
        tool=body.tool,
        tool_call_id=body.tool_call_id,
        conversation_id=event.conversation_id,
        asked_at=event.received_at,
        request=body.request,
        deeds=body.deeds,
        answer=msgspec.json.decode(event.answer or b"null"),
        took_ms=body.took_ms,
    )


def begin(tx: sa.Connection, use: Use) -> bool:
    """Whether *use* is new; when it is, nobody else begins it before this transaction has ended."""
    insert = (sqlite if tx.dialect.name == "sqlite" else postgresql).insert(tool_uses).values(_row(use))
    return tx.execute(insert.on_conflict_do_nothing().returning(tool_uses.c.id)).first() is not None


def answer_of(tx: sa.Connection, use_id: str) -> str | None:
    """JSON; what the agent was told."""
    return tx.execute(sa.select(tool_uses.c.answer).where(tool_uses.c.id == use_id)).scalar()


def finish(tx: sa.Connection, use: Use) -> None:
    """Do the deeds of *use*, which began in this transaction, and keep its answer."""
    for deed in use.deeds:
        _do(tx, use, deed, is_again=False)
    tx.execute(tool_uses.update().where(tool_uses.c.id == use.id).values(answer=_json(use.answer), took_ms=use.took_ms))


def rebuild(tx: sa.Connection, uses: Sequence[Use]) -> None:
    """What these uses left behind is there again where it was lost, and nothing that people changed since is changed."""
    insert_new(tx, tool_uses, sorted((_row(use) for use in uses), key=lambda row: str(row["id"])))
    for use in uses:
        for deed in use.deeds:
            _do(tx, use, deed, is_again=True)


def of_call(tx: sa.Connection, org_id: str, call_id: str) -> Sequence[sa.Row[Any]]:
    """The uses during that call, oldest first; of very many the first."""
    of_it = tool_uses.c.org_id == org_id, tool_uses.c.call_id == call_id
    oldest_first = tool_uses.c.created_at, tool_uses.c.id
    return tx.execute(sa.select(tool_uses).where(*of_it).order_by(*oldest_first).limit(_MOST_SHOWN)).all()


def _do(tx: sa.Connection, use: Use, deed: Deed, *, is_again: bool) -> None:
    """*is_again*: on a replay, when people may have changed since what it once did."""
    if isinstance(deed, Noted):
        _write_note(tx, use, deed)
    elif isinstance(deed, Corrected):
        _correct(tx, use, deed, is_again=is_again)
    elif isinstance(deed, HandedOver):
        follow_ups.keep(tx, [(waiting_of(use, deed), _contact_id(tx, use, deed.number))])
    else:
        callbacks.add(
            tx,
            deed.id,
            use.org_id,
            call_id=use.call_id,
            contact_id=_contact_id(tx, use, deed.number),
            number=deed.number,
            reason=deed.reason,
            now=use.asked_at,
        )


def waiting_of(use: Use, deed: HandedOver) -> follow_ups.Waiting:
    return follow_ups.Waiting(
        org_id=use.org_id, kind="handoff", origin=deed.origin, number=deed.number, at=use.asked_at,
        call_id=use.call_id, reason=deed.reason,
    )  # fmt: skip


def _write_note(tx: sa.Connection, use: Use, noted: Noted) -> None:
    row = {
        "id": noted.id,
        "org_id": use.org_id,
        "call_id": use.call_id,
        "contact_id": _contact_id(tx, use, noted.number),
        "type": NOTE_TYPE,
        "note": noted.note,
        "created_at": use.asked_at,
        "updated_at": use.asked_at,
    }
    insert_new(tx, notes, [row])


def _correct(tx: sa.Connection, use: Use, corrected: Corrected, *, is_again: bool) -> None:
    contact_id = _contact_id(tx, use, corrected.number)
    assert contact_id is not None  # the number makes one
    contact = contacts.held(tx, use.org_id, contact_id)  # emails are added to those there are
    if contact is None or (is_again and contact.updated_at > use.asked_at):
        return
    changes = contacts.Changes(
        first_name=corrected.first_name or UNSET,
        last_name=corrected.last_name or UNSET,
        emails=_with_email(contact.emails, corrected.email),
    )
    contacts.update(tx, use.org_id, contact_id, changes, now=max(use.asked_at, contact.updated_at))


def _with_email(emails: Sequence[str], email: str | None) -> Sequence[str]:
    is_known = email is None or email.casefold() in map(str.casefold, emails)
    return emails if is_known or email is None or len(emails) >= _MOST_EMAILS else (*emails, email)


def _contact_id(tx: sa.Connection, use: Use, number: str | None) -> str | None:
    """Whose number that is; somebody new where nobody has it."""
    return people.resolve_people(tx, [people.Person(org_id=use.org_id, number=number, seen_at=use.asked_at)])[0]


def _row(use: Use) -> dict[str, Any]:
    return {
        "id": use.id,
        "org_id": use.org_id,
        "call_id": use.call_id,
        "tool": use.tool,
        "tool_call_id": use.tool_call_id,
        "request": _json(use.request),
        "answer": None if use.answer is None else _json(use.answer),
        "took_ms": use.took_ms,
        "created_at": use.asked_at,
    }


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def note_id(use_id: str) -> str:
    return derived_id("note", use_id, "tool")
