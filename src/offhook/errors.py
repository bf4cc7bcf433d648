"""Everything that may go wrong, as a tree. A class's docstring is its message, unless the place that raises it knows better.

OffhookError
├── Mistake                what a person typed or configured; a sentence that says what to do, exit code 2
├── Fault                  what this machine or another program does not allow just now; exit code 1
│   ├── AlreadyRunning
│   ├── NewerDatabase
│   └── Damaged
├── Unavailable            a store did not answer in its time; the caller decides where the event goes instead
├── TryLater               an effect did not come about just now; it is tried again
│   └── Unsure             nobody can say whether it did; the other side is asked first
├── GiveUp                 an effect never will
│   └── OptedOut
└── Refused                an answer of the API that is not a success
    ├── BadInput           400, names the field
    ├── Unauthorized       401, alike for every cause
    ├── Forbidden          403
    ├── NotFound           404, also for what belongs to another organisation
    ├── Conflict           409
    ├── TooLarge           413
    └── ComeBackLater      503 with Retry-After
"""

from typing import Any, ClassVar


class OffhookError(Exception):
    """Something went wrong in offhook."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (self.__doc__ or "").strip().splitlines()[0])

    @property
    def message(self) -> str:
        return str(self)


class Mistake(OffhookError):
    """What was typed or configured cannot be used."""


class Fault(OffhookError):
    """This machine does not allow it just now."""


class AlreadyRunning(Fault):
    """Another offhook server is already running on this data directory."""


class NewerDatabase(Fault):
    """The database was made by a newer offhook than this one: install that version or a later one."""


class Damaged(Fault):
    """A stored piece does not match its checksum or was sealed with a key that is no longer here."""


class Unavailable(OffhookError):
    """The database did not take it in time."""


class TryLater(OffhookError):
    """It did not come about just now."""

    def __init__(self, message: str | None = None, *, after_s: float | None = None) -> None:
        """*after_s*: when it is worth trying again, where the other side said so."""
        super().__init__(message)
        self.after_s = after_s


class Unsure(TryLater):
    """The other side did not say whether it came about."""


class GiveUp(OffhookError):
    """It will never come about."""


class OptedOut(GiveUp):
    """The person has asked the provider not to be texted."""


class Refused(OffhookError):
    """The request was refused."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "bad_request"

    def __init__(self, message: str | None = None, *, details: Any = None) -> None:
        super().__init__(message)
        self.details = details


class BadInput(Refused):
    """The request has a value that cannot be used."""

    status = 400
    code = "bad_input"


class Unauthorized(Refused):
    """Unauthorized"""

    status = 401
    code = "unauthorized"


class Forbidden(Refused):
    """This API key does not allow that."""

    status = 403
    code = "forbidden"


class NotFound(Refused):
    """There is nothing here with that id."""

    status = 404
    code = "not_found"


class Conflict(Refused):
    """That exists already."""

    status = 409
    code = "conflict"


class TooLarge(Refused):
    """The request is longer than any of its kind."""

    status = 413
    code = "too_large"


class ComeBackLater(Refused):
    """Nothing here can keep the event just now; send it again."""

    status = 503
    code = "unavailable"
