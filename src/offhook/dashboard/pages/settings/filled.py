"""A form as it was typed: what each field was read as, and what is wrong with those that cannot be read."""

from collections.abc import Callable, Mapping
from typing import Any

from offhook.dashboard.forms import Form
from offhook.errors import BadInput, Conflict, Mistake

Reader = Callable[[str], Any]
UNUSABLE = (Mistake, BadInput, Conflict)  #: what a reader, or a rule of the store, says of what was typed


class Filled:
    """What is in a form's fields. Templates ask it for what was typed (`filled.typed`) and for sentences (`filled.why`)."""

    def __init__(self, typed: Mapping[str, str]) -> None:
        self.typed = dict(typed)
        self.values: dict[str, Any] = {}
        self.why: dict[str, str] = {}  #: by field, what is wrong with it

    @property
    def is_usable(self) -> bool:
        return not self.why


def read_filled(form: Form, readers: Mapping[str, Reader]) -> Filled:
    """Each field as its reader takes it."""
    filled = Filled({name: form[name] for name in readers})
    for name, read in readers.items():
        try:
            filled.values[name] = read(filled.typed[name])
        except UNUSABLE as error:
            filled.why[name] = error.message
    return filled


def optional(read: Reader) -> Reader:
    """None for a field that is left empty."""
    return lambda text: read(text) if text.strip() else None


def ticked(text: str) -> bool:
    """A checkbox: browsers send nothing of one that is not ticked."""
    return bool(text)


def plain(text: str) -> str:
    """As it was typed, for a field that is judged together with others."""
    return text
