"""What an agent may be told: of a name letters, spaces, and '-. between them; of a topic digits and commas too.

A variable goes into a prompt that a language model obeys and that a voice reads aloud. A name comes from callers, imports
and other programs, so it is data in a narrow grammar and never text: no braces, no markup, no digits, nothing invisible.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache

MAX_NAME_CHARS = 64

_MAX_INPUT_CHARS = 512  #: what lies beyond would not be told anyway
_MAX_MARKS = 3  #: on one letter; Hebrew and Thai may need three, no name needs more
_PLAIN_NAME = re.compile(r"[A-Za-z]+(?:[ '-][A-Za-z]+)*\Z")
_ONE_SPELLING = str.maketrans("‘’ʼ`´′‐‑‒–—―", "''''''------")

#: A word with one of these, or with a digit, is no name but an address, a template or a piece of markup.
_NEVER_IN_A_NAME = frozenset("{}<>[]@\\$%=_:^~#")
_BETWEEN_LETTERS = frozenset("'-.")
#: An organisation's name is written by its own people, and may be "24/7 Plumbing & Sons (Ontario), Ltd.".
_NEVER_IN_A_TITLE = frozenset('{}<>[]\\$%=_^~"')
#: Nor may a topic have a word with one of these.
_NEVER_IN_A_TOPIC = frozenset("{}<>[]@\\=_^~")
_IN_A_TOPIC = frozenset(",.'-")
#: Templates, markup, and what a voice takes for a direction.
_NEVER_IN_PROSE = frozenset("{}<>[]\\`|~^_*")
_INVISIBLE = frozenset({"Cc", "Cf", "Co", "Cs", "Cn", "So"})


@lru_cache(maxsize=16_384)
def person_name(first: str | None, last: str | None) -> str | None:
    """First and last name as they may be told; None when nothing of them may."""
    name = " ".join(filter(None, (first, last)))
    if _PLAIN_NAME.match(name) and len(name) <= MAX_NAME_CHARS:
        return name
    return _bounded(_name_words(name))


@lru_cache(maxsize=1024)
def organization_name(name: str) -> str | None:
    """An organisation's name as it may be told; None when nothing of it may."""
    kept = (char if _is_title_char(char) else " " for char in _with_few_marks(_readable(name)))
    return _bounded("".join(kept).split())


def topic(text: str, max_chars: int) -> str | None:
    """What a call was about, in letters, digits, spaces and ,.'- alone; None when nothing of it may be told."""
    return _bounded(_topic_words(text[: 4 * max_chars]), max_chars)


def prose(text: str, max_chars: int) -> str | None:
    """Longer text, where an organisation allows it: on one line, without templates, markup or what cannot be seen."""
    readable = _with_few_marks(_readable(text, 4 * max_chars))
    return _bounded("".join(char if _is_prose_char(char) else " " for char in readable).split(), max_chars)


def _topic_words(text: str) -> Iterator[str]:
    for word in _readable(text, len(text)).split():
        if _NEVER_IN_A_TOPIC.isdisjoint(word):
            kept = (char if _is_topic_char(char) else " " for char in _with_few_marks(word))
            yield from (part for part in "".join(kept).split() if any(map(str.isalnum, part)))


def _is_topic_char(char: str) -> bool:
    return char in _IN_A_TOPIC or unicodedata.category(char)[0] in "LM" or unicodedata.category(char) == "Nd"


def _is_prose_char(char: str) -> bool:
    return char not in _NEVER_IN_PROSE and (unicodedata.category(char)[0] in "LMNP" or char in "+=$€£¥%")


def _name_words(text: str) -> Iterator[str]:
    for word in _readable(text).split():
        if not any(char in _NEVER_IN_A_NAME or unicodedata.category(char)[0] == "N" for char in word):
            kept = (char if _is_name_char(char) else " " for char in _with_few_marks(word))
            yield from filter(None, map(_trimmed, "".join(kept).split()))


def _readable(text: str, max_chars: int = _MAX_INPUT_CHARS) -> str:
    """*text* without what cannot be seen, in one spelling of each letter, space, hyphen and apostrophe."""
    visible = (" " if char.isspace() else char for char in text[:max_chars] if _is_visible(char))
    return unicodedata.normalize("NFKC", "".join(visible).translate(_ONE_SPELLING)).translate(_ONE_SPELLING)


def _is_visible(char: str) -> bool:
    return char.isspace() or unicodedata.category(char) not in _INVISIBLE


def _with_few_marks(text: str) -> Iterator[str]:
    """*text* with the marks that its scripts write on letters, and none of those that can be heaped on any."""
    marks = _MAX_MARKS
    for char in text:
        if unicodedata.category(char)[0] != "M":
            marks = 0 if char.isalpha() else _MAX_MARKS
            yield char
        elif marks < _MAX_MARKS and not unicodedata.name(char, "").startswith(("COMBINING ", "VARIATION ")):
            marks += 1
            yield char


def _is_name_char(char: str) -> bool:
    return char in _BETWEEN_LETTERS or unicodedata.category(char)[0] in "LM"


def _is_title_char(char: str) -> bool:
    return char == "+" or (char not in _NEVER_IN_A_TITLE and unicodedata.category(char)[0] in "LMNP")


def _trimmed(word: str) -> str | None:
    """*word* without what stands at its ends but belongs between letters; None when there is no letter in it."""
    word = word.lstrip("-.").rstrip("-'")
    return word if any(map(str.isalpha, word)) else None


def _bounded(words: Iterable[str], max_chars: int = MAX_NAME_CHARS) -> str | None:
    """As many *words* as fit, whole; of a single endless one its beginning."""
    told = ""
    for word in words:
        longer = f"{told} {word}" if told else word[:max_chars]
        if len(longer) > max_chars:
            break
        told = longer
    return told or None
