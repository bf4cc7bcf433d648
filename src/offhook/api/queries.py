"""What may stand behind the question mark. Everything arrives as text; what cannot be used is refused by its name."""

from datetime import date, datetime, time
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import Path
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, WithJsonSchema
from pydantic.json_schema import SkipJsonSchema

from offhook.errors import BadInput, NotFound

MAX_LIMIT = 500
_MAX_OFFSET = 1_000_000_000  #: beyond any list; a larger number would not fit the database's
_HEX_ID = {"type": "string", "pattern": "^[0-9a-f]{24}$"}

Nothing = SkipJsonSchema[None]  #: a parameter that may be absent, but is never sent as null


def _is_id(text: str) -> bool:
    return len(text) == 24 and all(letter in "0123456789abcdef" for letter in text)


def _filter_id(text: Any) -> Any:
    if not _is_id(str(text)):
        raise ValueError("must be an id of 24 hex digits")
    return text


def _path_id(text: str) -> str:
    if not _is_id(text):
        raise NotFound
    return text


def _whole_number(text: Any) -> int:
    words = str(text)
    if not (words.isascii() and words.isdigit()):
        raise ValueError("must be a whole number, 0 or more")
    return int(words) if len(words) < 10 else _MAX_OFFSET


def _one_or_more(text: Any) -> int:
    found = _whole_number(text)
    if not found:
        raise ValueError("must be a whole number, 1 or more")
    return found


def _moment(text: Any) -> datetime | date:
    """A date alone, or a time; without an offset it is in the organisation's zone."""
    # A plus that was not escaped arrives as a space: "2026-11-21T10:00:00 02:00".
    words = str(text).strip().upper().replace(" ", "+" if "T" in str(text).upper() else "T")
    try:
        return date.fromisoformat(words) if "T" not in words else datetime.fromisoformat(words)
    except ValueError:
        raise ValueError("must be a time such as 2026-11-21T10:00:00Z or a date such as 2026-11-21") from None


def _without_nul(text: str) -> str:
    return text.replace("\0", "")  # stored text has none, and PostgreSQL takes none


#: In a path, an id that cannot be is one that is not: 404.
CallId = Annotated[str, Path(alias="callId"), AfterValidator(_path_id), WithJsonSchema(_HEX_ID)]
ContactId = Annotated[str, Path(alias="contactId"), AfterValidator(_path_id), WithJsonSchema(_HEX_ID)]
StaffId = Annotated[str, Path(alias="staffId"), AfterValidator(_path_id), WithJsonSchema(_HEX_ID)]
CallbackId = Annotated[str, Path(alias="callbackId"), AfterValidator(_path_id), WithJsonSchema(_HEX_ID)]
EventId = Annotated[str, Path(alias="eventId"), AfterValidator(_path_id), WithJsonSchema(_HEX_ID)]
OrganizationId = Annotated[str, Path(alias="organizationId"), AfterValidator(_path_id), WithJsonSchema(_HEX_ID)]
AgentId = Annotated[str, Path(alias="agentId", pattern="^[!-~]{1,200}$")]
NoteId = Annotated[str, Path(alias="noteId"), AfterValidator(_path_id), WithJsonSchema(_HEX_ID)]
FilterId = Annotated[str, BeforeValidator(_filter_id), WithJsonSchema(_HEX_ID)]
Words = Annotated[str, Field(max_length=200), AfterValidator(_without_nul)]
Moment = Annotated[
    Any,
    BeforeValidator(_moment),
    WithJsonSchema({"type": "string", "anyOf": [{"format": "date-time"}, {"format": "date"}]}),
]
Count = Annotated[int, BeforeValidator(_whole_number), WithJsonSchema({"type": "string", "pattern": "^[0-9]+$"})]
OneOrMore = Annotated[
    int, BeforeValidator(_one_or_more), WithJsonSchema({"type": "string", "pattern": "^0*[1-9][0-9]*$"})
]


class Page(BaseModel):
    """Which part of a list."""

    limit: Count = Field(50, description=f"How many at most; more than {MAX_LIMIT} gives {MAX_LIMIT}.")
    offset: Count = Field(0, description="How many of the newest to leave out.")

    @property
    def bounds(self) -> dict[str, int]:
        return {"limit": min(self.limit, MAX_LIMIT), "offset": self.offset}


def unix(moment: datetime | date | None, zone: str, field: str) -> float | None:
    """*moment* in unix seconds; a bare date is its first instant in *zone* (IANA)."""
    if moment is None:
        return None
    at = moment if isinstance(moment, datetime) else datetime.combine(moment, time.min)
    try:
        return (at if at.tzinfo else at.replace(tzinfo=ZoneInfo(zone))).timestamp()
    except (OverflowError, ValueError):
        raise BadInput(f"{field} is a time that no calendar here can count.", details={"field": field}) from None
