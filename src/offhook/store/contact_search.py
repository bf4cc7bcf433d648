"""Contacts by letters that stand together anywhere in what they are found by.

PostgreSQL has an index for that and takes it by itself. On SQLite FTS5 knows which three letters stand in which contact
(migration 0009; triggers keep it): those that have all of the letters asked for may be the ones. Where they are many, a walk
through the newest meets enough of them at once, and the index is left alone.
"""

from collections.abc import Collection

import sqlalchemy as sa

_FEW = 2_000
_GRAM = 3  #: letters that are known together
_MOST_GRAMS = 24  #: that are asked for; more would hardly leave out more

_words = sa.table("contact_words", sa.column("rowid"))
_search = sa.table("contact_search", sa.column("seq"), sa.column("contact_id"))


def few(tx: sa.Connection, words: Collection[str]) -> list[str] | None:
    """Ids of contacts, of any organisation, among which are all that hold every one of *words*; None: ask each contact."""
    grams = [word[at : at + _GRAM] for word in words for at in range(len(word) - _GRAM + 1)][:_MOST_GRAMS]
    if tx.dialect.name != "sqlite" or not grams:
        return None
    asked = " AND ".join('"' + gram.replace('"', '""') + '"' for gram in dict.fromkeys(grams))
    found = sa.select(_words.c.rowid).where(sa.literal_column("contact_words").op("MATCH")(asked)).limit(_FEW + 1)
    seqs = tx.execute(found).scalars().all()
    if len(seqs) > _FEW:
        return None
    return list(tx.execute(sa.select(_search.c.contact_id).where(_search.c.seq.in_(seqs))).scalars())
