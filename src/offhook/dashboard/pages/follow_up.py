"""What can be done about one follow-up. Each is a form that is answered with a page to go to."""

import sqlalchemy as sa
from starlette.responses import Response

from offhook import phone
from offhook.dashboard.forms import LONG_FORM_BYTES, LONGEST_NOTE
from offhook.dashboard.pages.follow_ups import Words, back_to, next_morning, show
from offhook.dashboard.shell import redirect, zone_of
from offhook.dashboard.visitors import Visit, way_back
from offhook.errors import BadInput
from offhook.store import contacts, follow_up_lists, follow_ups, users
from offhook.texts import MAX_CHARS

_LONGEST_REASON = 500


async def done(visit: Visit) -> Response:
    """Then to the queue, where it can be undone; or back to the page that says where it comes from."""
    id, form = visit.param("follow_up_id"), await visit.form()
    await visit.deps.database.write(follow_ups.finish, visit.org_id, id, visit.viewer.user_id, visit.deps.now())
    return redirect(way_back(form["back"]) if form["back"] else f"/follow-ups?undo={id}")


async def reopen(visit: Visit) -> Response:
    id = visit.param("follow_up_id")
    await visit.deps.database.write(follow_ups.reopen, visit.org_id, id, visit.deps.now())
    return back_to(visit, id, "reopened")


async def snooze(visit: Visit) -> Response:
    id, form, now = visit.param("follow_up_id"), await visit.form(), visit.deps.now()
    zone = zone_of(visit)
    until = {"hour": now + 3600, "tomorrow": next_morning(now, zone, 1), "week": next_morning(now, zone, 7)}
    if form["until"] not in until:
        raise BadInput("Say until when: for an hour, until tomorrow, or for a week.")
    await visit.deps.database.write(follow_ups.snooze, visit.org_id, id, until[form["until"]], now)
    return redirect("/follow-ups?said=snoozed")


async def assign(visit: Visit) -> Response:
    id, form = visit.param("follow_up_id"), await visit.form()
    await visit.deps.database.write(_assign, visit.org_id, id, form["user"], visit.deps.now())
    return back_to(visit, id, "assigned")


def _assign(tx: sa.Connection, org_id: str, id: str, user_id: str, now: float) -> None:
    """To a member; to nobody with ""."""
    if user_id and users.role_of(tx, user_id, org_id) is None:
        raise BadInput("Only somebody of this organisation can have a follow-up.")
    follow_ups.assign(tx, org_id, id, user_id or None, now)


async def write_note(visit: Visit) -> Response:
    id = visit.param("follow_up_id")
    form = await visit.form(limit_bytes=LONG_FORM_BYTES)
    note = _words(form["note"], LONGEST_NOTE, "A note")
    await visit.deps.database.write(follow_ups.write_note, visit.org_id, id, note or None, visit.deps.now())
    return back_to(visit, id, "noted")


async def text(visit: Visit) -> Response:
    """Send the person a text, under the rules of all texts; what cannot be sent is shown again with the reason."""
    id, form = visit.param("follow_up_id"), await visit.form()
    found = await visit.deps.database.read(follow_up_lists.person, visit.org_id, id)
    body = form["text"].replace("\r\n", "\n").strip()
    wrong = await _why_not(visit, None if found is None else found.row.number, body)
    if found is None or wrong:
        return await show(visit, id, words=Words(body, wrong), status=400)
    await visit.deps.messages.text_soon(
        visit.org_id, found.row.number, body, key=f"follow_up:{id}:{form['nonce'][:48]}",
        contact_id=found.row.contact_id, by=visit.viewer.user_id,
    )  # fmt: skip
    visit.deps.ledger.ring()
    return back_to(visit, id, "texted")


async def _why_not(visit: Visit, number: str | None, body: str) -> str:
    if not body:
        return "There is nothing to send yet: write a few words."
    if len(body) > MAX_CHARS:
        return f"A text has at most {MAX_CHARS} characters; this one has {len(body):,}."
    permission = await visit.deps.messages.may_be_texted(visit.org_id, number)
    if not permission.is_allowed:
        return permission.sentence
    return "" if visit.deps.messages.is_delivering else "Texts are not set up here. An owner sets OFFHOOK_SMS."


async def add(visit: Visit) -> Response:
    """One by hand, about a contact or a number."""
    form = await visit.form()
    reason = _words(form["reason"], _LONGEST_REASON, "A reason")
    if not reason:
        raise BadInput("Say what is to be done.")
    country = visit.deps.directory.country_of(visit.org_id)
    number = phone.e164(form["number"], country) if form["number"].strip() else None
    if number is None and form["number"].strip():
        raise BadInput(f"{form['number'][:40]!r} is no telephone number; write it like +14165550100.")
    id = await visit.deps.database.write(
        _add, visit.org_id, form["contact"] or None, number, reason, visit.viewer.user_id, visit.deps.now()
    )
    return back_to(visit, id, "added")


def _add(
    tx: sa.Connection, org_id: str, contact_id: str | None, number: str | None, reason: str, by: str, now: float
) -> str:
    person = contacts.get(tx, org_id, contact_id) if contact_id else None
    if person is None and number is not None:
        person = contacts.find_by_number(tx, org_id, number)
    if person is None and number is None:
        raise BadInput("Say who it is about: a telephone number.")
    if number is None and person is not None:
        number = person.numbers[0] if person.numbers else None
    return follow_ups.add(
        tx, org_id, contact_id=person.id if person else None, number=number, reason=reason, by=by, now=now
    )


def _words(typed: str, longest: int, what: str) -> str:
    words = typed.replace("\r\n", "\n").strip()
    if len(words) > longest:
        raise BadInput(f"{what} has at most {longest:,} characters; this one has {len(words):,}.")
    return words
