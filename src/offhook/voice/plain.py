"""A body as plain values, for what is read field by field: whatever it holds that no database takes is mended here."""

import json
from typing import Any, NoReturn

import msgspec

from offhook.voice import json_text

_ANY = msgspec.json.Decoder()
_LONGEST_INT = 40


def decoded(body: bytes) -> Any:
    """*body* as plain values, U+0000 dropped from its texts, because no database takes it; Unreadable when it is not JSON."""
    try:
        content = json_text.decode(body, _ANY)
    except json_text.Unreadable as refusal:
        content = _decoded_patiently(body, refusal)
    return _without_nul(content) if b"\\u0000" in body else content


def _decoded_patiently(body: bytes, refusal: json_text.Unreadable) -> Any:
    """A number beyond what a float can hold is JSON all the same, and costs no more than its own field."""
    try:
        return json.loads(json_text.mended(body), parse_constant=_refuse, parse_int=_parse_int)
    except (ValueError, RecursionError):
        raise refusal from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


def _parse_int(digits: str) -> int | float:
    return int(digits) if len(digits) <= _LONGEST_INT else float(digits)


def _without_nul(content: Any) -> Any:
    """Level by level: what msgspec reads may be nested more deeply than a function may call itself."""
    whole = [content]
    unseen: list[Any] = [whole]
    while unseen:
        place = unseen.pop()
        for name, item in place.items() if isinstance(place, dict) else enumerate(place):
            if isinstance(item, str):
                place[name] = item.replace("\x00", "")
            elif isinstance(item, dict | list):
                place[name] = _with_plain_names(item)
                unseen.append(place[name])
    return whole[0]


def _with_plain_names(item: Any) -> Any:
    return {name.replace("\x00", ""): value for name, value in item.items()} if isinstance(item, dict) else item
