"""Calls by what was said in them. It follows from the calls: it is in no backup, and made anew where it is missing.

SQLite has its words in FTS5, PostgreSQL in a tsvector with a GIN index; both get the words of `searching`, and so do not need
to know any language.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import TSQUERY, TSVECTOR

from offhook.events import derived_id
from offhook.searching import Question, asked_for, fts5, tsquery, tsvector, words_of
from offhook.store.contacts import matching
from offhook.store.tables import call_search, calls, contacts

_fts5 = sa.table("call_words", sa.column("rowid"), sa.column("words"))
_tsvectors = sa.table("call_words", sa.column("seq"), sa.column("words"))


class Found(msgspec.Struct, frozen=True):
    """A call, and what it is found by."""

    call_id: str
    org_id: str
    happened_at: float
    words: str  #: as searching.words_of makes them


def index(tx: sa.Connection, said: Sequence[Found]) -> None:
    """Keep what these calls are found by, in the transaction that writes them."""
    known = _known(tx, [one.call_id for one in said])
    new = {one.call_id: _row(one) for one in said}
    changed = [one for one in said if known.get(one.call_id, {}) | new[one.call_id] != known.get(one.call_id)]
    if again := [one.call_id for one in changed if one.call_id in known]:
        _forget(tx, [known[call_id]["seq"] for call_id in again])
        tx.execute(call_search.delete().where(call_search.c.call_id.in_(again)))
    if changed:
        columns = call_search.c.call_id, call_search.c.seq
        kept = tx.execute(call_search.insert().returning(*columns), [new[one.call_id] for one in changed])
        seqs = {row.call_id: row.seq for row in kept}
        _keep_words(tx, {seqs[one.call_id]: one.words for one in changed})


def condition(tx: sa.Connection, org_id: str, typed: str) -> sa.ColumnElement[bool] | None:
    """What must hold of a row of `calls` so that *typed* finds it: by what was said, title and summary among it, or by who it
    was: a name, an email or a number. None where nothing is asked for."""
    asked = asked_for(typed)
    if asked is None:
        return None
    people = sa.select(contacts.c.id).where(*matching(tx, org_id, typed))
    theirs = sa.select(calls.c.id).where(calls.c.org_id == org_id, calls.c.contact_id.in_(people))
    # One set of ids: a list that is walked in its order can then ask for each without reading the call.
    return calls.c.id.in_(_said(tx, org_id, asked).union(theirs))


def without(tx: sa.Connection, after_id: str, limit: int) -> tuple[list[Found], str | None]:
    """Calls that are not indexed yet, of the next *limit* behind *after_id*; and where to go on, None at the end."""
    ids = list(
        tx.execute(sa.select(calls.c.id).where(calls.c.id > after_id).order_by(calls.c.id).limit(limit)).scalars()
    )
    missing = set(ids) - set(_known(tx, ids))
    columns = calls.c.id, calls.c.org_id, calls.c.happened_at, calls.c.title, calls.c.summary, calls.c.transcript
    rows = tx.execute(sa.select(*columns).where(calls.c.id.in_(missing))).mappings() if missing else ()
    return [found_by(dict(row)) for row in rows], ids[-1] if ids else None


def found_by(call: Mapping[str, Any]) -> Found:
    """What a call is found by, as its row says it."""
    words = words_of(call["title"], call["summary"], *_messages(call["transcript"]))
    return Found(call["id"], call["org_id"], call["happened_at"], words)


def _said(tx: sa.Connection, org_id: str, asked: Question) -> sa.Select[tuple[str]]:
    """The ids of its calls in which that was said.

    The words are asked first, and once: in a join, SQLite may ask for them call by call.
    """
    if tx.dialect.name == "sqlite":
        found = sa.select(_fts5.c.rowid).where(sa.literal_column("call_words").op("MATCH")(fts5(asked)))
    else:
        found = sa.select(_tsvectors.c.seq).where(_tsvectors.c.words.op("@@")(_cast(tsquery(asked), TSQUERY)))
    return sa.select(call_search.c.call_id).where(call_search.c.org_id == org_id, call_search.c.seq.in_(found))


def _known(tx: sa.Connection, call_ids: Sequence[str]) -> dict[str, dict[str, object]]:
    rows = tx.execute(sa.select(call_search).where(call_search.c.call_id.in_(call_ids))).mappings()
    return {row["call_id"]: dict(row) for row in rows}


def _row(one: Found) -> dict[str, object]:
    return {
        "call_id": one.call_id,
        "org_id": one.org_id,
        "happened_at": one.happened_at,
        "words_hash": derived_id("words", one.words),
    }


def _forget(tx: sa.Connection, seqs: Sequence[object]) -> None:
    if seqs:
        table, key = (_fts5, _fts5.c.rowid) if tx.dialect.name == "sqlite" else (_tsvectors, _tsvectors.c.seq)
        tx.execute(sa.delete(table).where(key.in_(seqs)))


def _keep_words(tx: sa.Connection, words: Mapping[int, str]) -> None:
    """*words* by seq, all with one statement: each takes longer than the words of a call."""
    if tx.dialect.name == "sqlite":
        tx.execute(_KEEP_FTS5, [{"seq": seq, "words": text} for seq, text in words.items()])
    else:
        tx.execute(_KEEP_TSVECTOR, [{"seq": seq, "words": tsvector(text)} for seq, text in words.items()])


def _cast(text: str, kind: type[TSQUERY | TSVECTOR]) -> sa.ColumnElement[object]:
    """asyncpg is told that it is text, and PostgreSQL reads it."""
    return sa.cast(sa.cast(sa.literal(text), sa.Text), kind)


_KEEP_FTS5 = sa.insert(_fts5).values(rowid=sa.bindparam("seq"), words=sa.bindparam("words"))
_KEEP_TSVECTOR = sa.insert(_tsvectors).values(
    seq=sa.bindparam("seq"), words=sa.cast(sa.cast(sa.bindparam("words"), sa.Text), TSVECTOR)
)


class _Turn(msgspec.Struct):
    message: str | None = None


_turns = msgspec.json.Decoder(list[_Turn])


def _messages(transcript: str) -> list[str | None]:
    try:
        return [turn.message for turn in _turns.decode(transcript)]
    except msgspec.DecodeError:  # not of our writing; the call is found by its title and summary
        return []
