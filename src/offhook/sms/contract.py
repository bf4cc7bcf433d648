"""What a provider of texts is: one file beside this one, named by OFFHOOK_SMS, with `opened()` and settings of its own.

send     -> the provider's id; or raises
                TryLater   it was certainly not taken: again later
                Unsure     no answer came, so it may have been taken: `ask` comes first
                GiveUp     it never will be; OptedOut where the person said so to the provider
ask      -> after Unsure, or a crash in between: what became of it
"""

from collections.abc import Collection
from typing import Protocol

import msgspec


class Text(msgspec.Struct, frozen=True, kw_only=True):
    """One text."""

    id: str  #: our own; the same at every attempt
    to: str  #: E.164
    body: str
    sender: str | None = None  #: the organisation's choice; None: the provider's setting
    receipts_url: str | None = None  #: where the provider may tell what became of it; None: nowhere


class Taken(msgspec.Struct, frozen=True):
    """The provider has it."""

    provider_id: str | None


class NotTaken(msgspec.Struct, frozen=True):
    """The provider does not have it: it may be sent."""


class Unknowable(msgspec.Struct, frozen=True):
    """The provider cannot tell."""


class Provider(Protocol):
    """A service that sends texts."""

    name: str  #: as OFFHOOK_SMS says it
    sender: str | None  #: what texts come from where an organisation has no sender of its own, as far as is known

    async def send(self, text: Text) -> Taken: ...

    async def ask(self, text: Text, since: float, known: Collection[str]) -> Taken | NotTaken | Unknowable:
        """What became of *text*, begun at *since* (unix). Provider ids in *known* are other texts of ours."""

    async def close(self) -> None: ...
