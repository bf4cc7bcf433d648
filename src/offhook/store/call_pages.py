"""All that the page of one call shows, read at once."""

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from offhook.store import call_lists, calls, events, recordings, summaries
from offhook.store.call_lists import Cursor
from offhook.store.calls import WholeCall
from offhook.store.tables import absences, contacts, follow_ups
from offhook.store.tables import events as event_rows

_MOST_EVENTS = 100


class CallPage(msgspec.Struct, frozen=True, kw_only=True):
    whole: WholeCall
    edit: sa.Row[Any] | None  #: what a person wrote in place of the summary: `told`, `name`, `edited_at`
    contact: sa.Row[Any] | None
    follow_ups: Sequence[sa.Row[Any]]  #: not done yet, the first to be done first
    playing: sa.Row[Any] | None  #: the recording that is heard
    drawn: sa.Row[Any] | None  #: its `peaks`, and the `version` of the way that they were counted
    events: Sequence[sa.Row[Any]]  #: events.FACTS, oldest first
    audio_absence: str | None  #: why there will be no recording
    newer_id: str | None
    older_id: str | None


def get(tx: sa.Connection, org_id: str, call_id: str) -> CallPage | None:
    """None when there is no such call, or it is another organisation's."""
    whole = calls.whole(tx, org_id, call_id)
    if whole is None:
        return None
    playing = recordings.playing(tx, call_id)
    newer, older = call_lists.neighbours(tx, org_id, Cursor(whole.row.happened_at, call_id))
    return CallPage(
        whole=whole,
        edit=summaries.of_call(tx, org_id, call_id),
        contact=_contact(tx, org_id, whole.row.contact_id),
        follow_ups=_open_follow_ups(tx, org_id, call_id),
        playing=playing,
        drawn=recordings.drawn(tx, playing.id) if playing is not None else None,
        events=its_events(tx, org_id, call_id),
        audio_absence=_audio_absence(tx, org_id, whole.row.provider_call_id),
        newer_id=newer,
        older_id=older,
    )


def its_events(tx: sa.Connection, org_id: str, call_id: str) -> Sequence[sa.Row[Any]]:
    """Facts of its events, oldest first; of very many the first."""
    mine = event_rows.c.org_id == org_id, event_rows.c.call_id == call_id
    return tx.execute(sa.select(*events.FACTS).where(*mine).order_by(event_rows.c.seq).limit(_MOST_EVENTS)).all()


def _contact(tx: sa.Connection, org_id: str, contact_id: str | None) -> sa.Row[Any] | None:
    its = contacts.c.id == contact_id, contacts.c.org_id == org_id
    return tx.execute(sa.select(contacts).where(*its)).one_or_none()


def _open_follow_ups(tx: sa.Connection, org_id: str, call_id: str) -> Sequence[sa.Row[Any]]:
    its_org = sa.func.lower(follow_ups.c.org_id) == org_id  # lower: the index of calls is the one to use
    mine = follow_ups.c.call_id == call_id, follow_ups.c.status != "done", its_org
    return tx.execute(sa.select(follow_ups).where(*mine).order_by(follow_ups.c.due_at)).all()


def _audio_absence(tx: sa.Connection, org_id: str, conversation_id: str | None) -> str | None:
    final = absences.c.what == "audio", absences.c.is_final.is_(True)
    mine = absences.c.org_id == org_id, absences.c.conversation_id == conversation_id
    reason: str | None = tx.execute(sa.select(absences.c.reason).where(*mine, *final)).scalar()
    return reason
