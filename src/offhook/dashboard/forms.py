"""What a form sent, bounded: these doors are open to people who are not signed in."""

from collections.abc import Iterable
from urllib.parse import parse_qsl

from starlette.requests import Request

from offhook.errors import BadInput, TooLarge

LONGEST_FORM_BYTES = 64 * 1024
LONGEST_NOTE = 10_000  #: characters; also of a summary
LONG_FORM_BYTES = 128 * 1024  #: with a note in it: a form takes up to twelve bytes for a character
_MOST_FIELDS = 500


class Form:
    """The fields of a form; one that was not sent is empty."""

    def __init__(self, fields: Iterable[tuple[str, str]]) -> None:
        self._fields: dict[str, list[str]] = {}
        for name, value in fields:
            said = value.replace("\0", "")  # browsers send none, PostgreSQL takes none
            self._fields.setdefault(name, []).append(said)

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def __getitem__(self, name: str) -> str:
        """The field as it was sent, the last where there are several; empty when there is none."""
        return self._fields.get(name, [""])[-1]

    def all(self, name: str) -> list[str]:
        return self._fields.get(name, [])


def note_in(form: Form) -> str:
    """What somebody wrote into the field `note`; BadInput when it is nothing, or too much."""
    return _words_in(form, "note")


def summary_in(form: Form) -> str:
    """The same of the field `summary`."""
    return _words_in(form, "summary")


def _words_in(form: Form, name: str) -> str:
    text = form[name].replace("\r\n", "\n").strip()
    if not text:
        raise BadInput(f"A {name} needs some words. Go back, and write them.")
    if len(text) > LONGEST_NOTE:
        raise BadInput(f"A {name} has at most {LONGEST_NOTE:,} characters; this one has {len(text):,}.")
    return text


async def read_form(request: Request, *, limit_bytes: int = LONGEST_FORM_BYTES) -> Form:
    """Read an ordinary form; BadInput for any other kind of body, TooLarge beyond *limit_bytes*."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > limit_bytes:
            raise TooLarge("The form is longer than any of its kind.")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if body and kind != "application/x-www-form-urlencoded":
        raise BadInput("This address takes an ordinary form (application/x-www-form-urlencoded).")
    try:
        return Form(parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS))
    except ValueError:
        raise BadInput("The form cannot be read: it must be UTF-8, with at most 500 fields.") from None
