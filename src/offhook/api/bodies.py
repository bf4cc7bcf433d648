"""What comes in the body of a request, read into a type; what cannot be used is refused by its name."""

import re
from typing import TypeVar

import msgspec
from starlette.requests import Request

from offhook.errors import BadInput, TooLarge

MAX_BODY_BYTES = 64 * 1024

T = TypeVar("T")

#: msgspec's sentence, "Expected `str`, got `int` - at `$.email[0]`".
_SAID = re.compile(r"(.*?)(?: - at `\$\.?(.*?)`)?", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`")


async def read_body(request: Request, kind: type[T]) -> T:
    """The JSON body as *kind*; BadInput names the field that cannot be."""
    body = await _bounded(request)
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise unusable(str(error)) from None
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise BadInput("The body is not readable JSON.") from None


async def _bounded(request: Request) -> bytes:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise TooLarge
    return bytes(body)


def unusable(said: str) -> BadInput:
    """What msgspec *said* of a value that cannot be, by the value's name."""
    missing = _MISSING.match(said)
    if missing:
        return BadInput(f"{missing[1]} is required.", details={"field": missing[1]})
    match = _SAID.fullmatch(said)
    words, path = (match[1], match[2]) if match else (said, None)
    field = path or "The body"
    return BadInput(f"{field} cannot be used: {words[:1].lower()}{words[1:]}.", details={"field": path or "body"})
