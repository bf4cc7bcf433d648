"""Reading what another program sent as typed structs, losing no more than the fields that cannot be read.

A provider changes its payloads without asking. A number that comes as a string, a list that became an object or a null
where none was promised costs that one field and never the call. What has the right shape is taken as it is, at the speed of
msgspec; only what has not is read field by field.
"""

import math
import types
from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

S = TypeVar("S", bound=msgspec.Struct)
_EXACT = 2**53
_FLAGS = {"true": True, "1": True, "false": False, "0": False}

Reader = Callable[[Any], Any]  #: the value read, or None when there is nothing in it that can be


def read(kind: type[S], value: Any) -> S | None:
    """*value* (decoded JSON) as *kind*, every field of which has a default; None when it is no object at all."""
    if not isinstance(value, dict):
        return None
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, OverflowError):
        pass
    fields: dict[str, Any] = {}
    for name, sent_as, read_field in _fields_of(kind):
        found = read_field(value.get(sent_as))
        if found is not None:
            fields[name] = found
    return kind(**fields)


def text(value: Any) -> str | None:
    """A string, or a number as one would write it."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return str(int(value)) if isinstance(value, int) or value.is_integer() else str(value)


def number(value: Any) -> float | None:
    """A finite number, or a string that spells one."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def whole(value: Any) -> int | None:
    """A whole number that a float can hold exactly, however it is spelled; what lies behind the point is cut."""
    found = number(value)
    return None if found is None or abs(found) > _EXACT else int(found)


def flag(value: Any) -> bool | None:
    """A boolean, or the word or digit for one."""
    if isinstance(value, bool):
        return value
    return _FLAGS.get(str(value).strip().lower()) if isinstance(value, int | str) else None


@cache
def _fields_of(kind: type[msgspec.Struct]) -> tuple[tuple[str, str, Reader], ...]:
    hints = get_type_hints(kind)
    fields = msgspec.structs.fields(kind)
    return tuple((field.name, field.encode_name, _reader_of(hints[field.name])) for field in fields)


def _reader_of(hint: Any) -> Reader:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _reader_of(arguments[0])
    if origin in (Union, types.UnionType):
        return _reader_of(next(one for one in arguments if one is not type(None)))
    if origin is list:
        return _list_reader(_reader_of(arguments[0]))
    if origin is dict:
        return _dict_reader(_reader_of(arguments[1]))
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return lambda value: read(hint, value)
    return _SCALARS[hint]


def _list_reader(read_item: Reader) -> Reader:
    def read_list(value: Any) -> Any:
        if not isinstance(value, list):
            return None
        return [item for item in map(read_item, value) if item is not None]

    return read_list


def _dict_reader(read_value: Reader) -> Reader:
    def read_dict(value: Any) -> Any:
        if not isinstance(value, dict):
            return None
        return {
            key: found for key, found in ((key, read_value(one)) for key, one in value.items()) if found is not None
        }

    return read_dict


_SCALARS: dict[Any, Reader] = {str: text, float: number, int: whole, bool: flag, Any: lambda value: value}
