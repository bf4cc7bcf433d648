"""A contact as somebody types it: kept as it was typed while it is wrong, in E.164 once it is right. Pure."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from offhook import phone
from offhook.dashboard.forms import Form
from offhook.errors import BadInput

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_MOST = 50  #: numbers or emails of one contact
_LONGEST_NAME, _LONGEST_EMAIL = 200, 320


class Typed(NamedTuple):
    first_name: str = ""
    last_name: str = ""
    numbers: str = ""  #: a line each
    emails: str = ""  #: a line each
    external_id: str = ""
    is_opted_out: bool = False


class Given(NamedTuple):
    """The same, as it can be stored."""

    first_name: str | None
    last_name: str | None
    numbers: Sequence[str]  #: E.164
    emails: Sequence[str]
    external_id: str | None


def typed_in(form: Form) -> Typed:
    names = ("first_name", "last_name", "numbers", "emails", "external_id")
    first, last, numbers, emails, external_id = (form[name].replace("\r\n", "\n") for name in names)
    return Typed(first, last, numbers, emails, external_id, is_opted_out=bool(form["opted_out"]))


def read(typed: Typed, country: str) -> Given:
    """BadInput says what is wrong; *country* is where national numbers are dialled."""
    numbers = [_number(line, country) for line in _lines(typed.numbers, "numbers")]
    external_id = _short(typed.external_id, "The customer number")
    if not numbers and external_id is None:
        raise BadInput("A contact needs a telephone number, or a customer number: nothing else says who it is.")
    return Given(
        _short(typed.first_name, "The first name"),
        _short(typed.last_name, "The last name"),
        numbers,
        [_email(line) for line in _lines(typed.emails, "emails")],
        external_id,
    )


def _lines(text: str, what: str) -> list[str]:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) > _MOST:
        raise BadInput(f"A contact has at most {_MOST} {what}.")
    return lines


def _number(line: str, country: str) -> str:
    number = phone.e164(line, country)
    if number is None:
        raise BadInput(f"{line[:40]!r} is no telephone number; write it like +14165550100.")
    return number


def _email(line: str) -> str:
    if not _EMAIL.fullmatch(line) or len(line) > _LONGEST_EMAIL:
        raise BadInput(f"{line[:80]!r} is no email address.")
    return line


def _short(text: str, what: str) -> str | None:
    if len(text) > _LONGEST_NAME:
        raise BadInput(f"{what} has at most {_LONGEST_NAME} characters.")
    return text.strip() or None
