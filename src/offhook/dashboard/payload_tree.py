"""A payload cut down to what a page can show: long texts and long lists are elided, and say how long they are. Pure."""

from typing import Any

_LONGEST_TEXT = 2_000
_SHOWN_OF_LONG = 400
_LONGEST_LIST = 100
_MOST_VALUES = 6_000  #: a template takes some 20 µs for each


def cut_down(value: Any) -> Any:
    """*value* (decoded JSON) with a mark in place of what is left out."""
    return _Budget(_MOST_VALUES).cut(value)


class _Budget:
    def __init__(self, values: int) -> None:
        self._left = values

    def cut(self, value: Any) -> Any:
        self._left -= 1
        if isinstance(value, str):
            return _text(value)
        if isinstance(value, dict):
            return self._dict(value)
        return self._list(value) if isinstance(value, list) else value

    def _dict(self, value: dict[str, Any]) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        for number, (name, item) in enumerate(value.items()):
            if self._left <= 0 or number >= _LONGEST_LIST * 5:
                return {**shown, "…": _more(len(value) - number)}
            shown[_text(name)] = self.cut(item)
        return shown

    def _list(self, value: list[Any]) -> list[Any]:
        shown: list[Any] = []
        for number, item in enumerate(value):
            if self._left <= 0 or number >= _LONGEST_LIST:
                return [*shown, _more(len(value) - number)]
            shown.append(self.cut(item))
        return shown


def _text(text: str) -> str:
    if len(text) <= _LONGEST_TEXT:
        return text
    return f"{text[:_SHOWN_OF_LONG]}… [{len(text):,} characters in all]"


def _more(count: int) -> str:
    return f"[{count:,} more, in the raw body]"
