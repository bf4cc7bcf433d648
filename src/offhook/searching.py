"""Words as they are searched: without case, accents and the marks between them. What is indexed and what is asked for go
through the same sieve, so both databases find the same.

An index gets words with one blank between them and nothing else in them than letters and digits; whatever a person types,
no sign of it can mean anything to a database.
"""

import re
import unicodedata
from collections.abc import Sequence
from itertools import islice

_MOST_WORDS = 50_000  #: of a call; ten hours of talk
_LONGEST_WORD = 60
_LONGEST_QUESTION = 200
_MOST_PHRASES = 12

#: Scripts that put no blanks between words: each of their signs is a word, and words are phrases.
_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")
_QUOTES = re.compile('["“”„‟«»「」]')
#: Letters with a stroke are no accents to Unicode.
_STROKES = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "ħ": "h"})


class Question(tuple[tuple[str, ...], ...]):
    """What is looked for: phrases, all of which must be there. The last word may be the beginning of one."""

    __slots__ = ()


def words_of(*texts: str | None) -> str:
    """The words of *texts*, one blank between them: what is indexed of a call."""
    found = (word for text in texts if text for word in _words(text))
    return " ".join(islice(found, _MOST_WORDS))


def asked_for(typed: str) -> Question | None:
    """What *typed* asks for; None when there is no word in it.

    What stands in quotes is a phrase, and so is what marks divide without a blank, as "Jean-Luc". A quote without its other
    half is ignored.
    """
    pieces = _QUOTES.split(typed[:_LONGEST_QUESTION])
    quoted = {place for place in range(1, len(pieces), 2) if place < len(pieces) - 1}
    chunks = [chunk for place, piece in enumerate(pieces) for chunk in ([piece] if place in quoted else piece.split())]
    phrases = (tuple(_words(chunk)) for chunk in chunks)
    return Question(list(filter(None, phrases))[:_MOST_PHRASES]) or None


def fts5(question: Question) -> str:
    """In the words of SQLite's FTS5. https://sqlite.org/fts5.html#full_text_query_syntax"""
    return " AND ".join(f'"{" ".join(phrase)}"' for phrase in question) + "*"


def tsquery(question: Question) -> str:
    """In the words of PostgreSQL. https://www.postgresql.org/docs/current/datatype-textsearch.html"""
    return " & ".join(" <-> ".join(f"'{word}'" for word in phrase) for phrase in question) + ":*"


def tsvector(words: str) -> str:
    """*words* with their places, in the words of PostgreSQL."""
    return " ".join(f"'{word}':{place}" for place, word in enumerate(words.split(), start=1))


def _words(text: str) -> Sequence[str]:
    return [word[:_LONGEST_WORD] for word in _WORD.findall(folded(text))]


def folded(text: str) -> str:
    """Without case and accents: "Façade" is "facade", "ﬁx" is "fix", "Straße" is "strasse"."""
    if text.isascii():
        return text.lower()
    apart = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    bare = "".join(sign for sign in apart if unicodedata.category(sign) != "Mn")
    return unicodedata.normalize("NFC", bare.translate(_STROKES)).replace("\0", " ")
