"""Dynamic variables that an organisation or one of its agents declares, so that every answer fills them.

ElevenLabs ends a call whose agent misses a variable, so a declared one has a value whatever happens.
"""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, get_args

import msgspec

from offhook.errors import Mistake
from offhook.rules import Variable, VariableType

MAX_VARIABLES = 100
_MAX_DEFAULT_CHARS = 500
_NAME = re.compile(r"[A-Za-z0-9_]{1,64}", re.ASCII)
_RESERVED = ("system__", "secret__")  #: ElevenLabs fills the ones itself and sends the others to headers only
_LARGEST = 2.0**53  #: what every reader of JSON takes for the same number
_EMPTY: dict[VariableType, str | int | bool] = {"string": "", "number": 0, "boolean": False}
_YES, _NO = frozenset({"true", "yes", "on", "1"}), frozenset({"false", "no", "off", "0"})

Value = str | int | float | bool
_variables = msgspec.json.Decoder(tuple[Variable, ...])


def declare(name: str, type: str = "string", default: Any = None) -> Variable:
    """A variable as it may be declared; without a default it is empty, 0 or false. Mistake says what is wrong with it."""
    if not _NAME.fullmatch(name):
        raise Mistake(f"{name[:80]!r} is no name of a variable: use letters, digits and _, at most 64.")
    if name.lower().startswith(_RESERVED):
        raise Mistake(f"{name!r} is ElevenLabs' own: names that begin with system__ or secret__ are reserved.")
    kind = _typed(type)
    if default is None:
        return Variable(name=name, type=kind, default=_EMPTY[kind])
    value = fitted(kind, default)
    if value is None:
        raise Mistake(f"The default of {name} must be a {kind}, not {str(default)[:80]!r}.")
    if isinstance(value, str) and (len(value) > _MAX_DEFAULT_CHARS or "{{" in value or "\0" in value):
        raise Mistake(f"The default of {name} must be at most {_MAX_DEFAULT_CHARS} characters, without {{{{.")
    return Variable(name=name, type=kind, default=value)


def typed_default(type: str, text: str) -> Value:
    """The default that somebody typed, in the type that it is meant in."""
    kind = _typed(type)
    if kind == "boolean" and text.lower() in _YES | _NO:
        return text.lower() in _YES
    if kind == "number":
        try:
            return float(text)
        except ValueError:
            return text
    return text


def set_one(declared: Iterable[Variable], variable: Variable) -> tuple[Variable, ...]:
    """*declared* with *variable* in it, in the place of the one of that name."""
    known = {one.name: one for one in declared} | {variable.name: variable}
    if len(known) > MAX_VARIABLES:
        raise Mistake(f"No more than {MAX_VARIABLES} variables can be declared.")
    return tuple(known.values())


def told(declared: Mapping[str, Variable], known: Mapping[str, Value]) -> dict[str, Value]:
    """Every declared variable with its default, and over them what is known; each in the type that it is declared with."""
    answer: dict[str, Value] = {name: variable.default for name, variable in declared.items()}
    for name, value in known.items():
        fits = fitted(declared[name].type, value) if name in declared else value
        if fits is not None:
            answer[name] = fits
    return answer


def fitted(kind: VariableType, value: Any) -> Value | None:
    """*value* as a variable of that type; None when it cannot be one."""
    if kind == "string":
        return _spelled(value)
    if kind == "boolean":
        return value if isinstance(value, bool) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    if abs(value) > _LARGEST:
        return None
    return int(value) if value == int(value) else value  # a voice would read 5.0 aloud


def encode(variables: Iterable[Variable]) -> str:
    return msgspec.json.encode(tuple(variables)).decode()


def decode(text: str | None) -> tuple[Variable, ...]:
    """What `encode` wrote; nothing where an offhook of another version wrote what this one cannot read."""
    try:
        return _variables.decode(text) if text else ()
    except msgspec.DecodeError:
        return ()


def _spelled(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else None


def _typed(type: str) -> VariableType:
    if type not in get_args(VariableType):
        raise Mistake(f"{type[:80]!r} is no type of a variable: it is string, number or boolean.")
    return type  # type: ignore[return-value]
