"""Who is ringing, and what the agent is told, inside a time budget.

A caller hears nothing until we answer, so this reads and never writes; the request is filed after the answer. Any fault,
and any delay, gives what a stranger is given: the call goes on without a name, and every declared variable has its default.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from prometheus_client import Counter

from offhook import events, memory, phone
from offhook.contexts import Asked, Context, Contexts, ringing
from offhook.declared import Value, told
from offhook.directory import Directory, Organization
from offhook.errors import Unavailable
from offhook.events import PERSONALIZATION, Event
from offhook.logs import log
from offhook.patience import in_time
from offhook.rules import Variable
from offhook.store import memories
from offhook.store.database import Database
from offhook.variables import organization_name, person_name

_MAX_USER_ID_CHARS = 256
_BESIDE = ("caller_name", "caller_number", "org_name")
NO_MATCH = b"{}"  #: the call proceeds, and the agent greets a stranger

_encode = msgspec.json.Encoder().encode
_greetings = Counter("offhook_greetings_total", "Callers, by how they were greeted", ("outcome",))
_AS_KNOWN, _AS_STRANGER, _AS_LATE, _AS_FAULT = map(_greetings.labels, ("known", "stranger", "late", "fault"))


class Greeting(msgspec.Struct, frozen=True):
    """An answer, and what is kept of it once it is sent."""

    answer: bytes  #: JSON
    filing: Event  #: for the inbox
    asked: Asked  #: for the cache


class Personalization:
    """Answers personalization requests."""

    def __init__(
        self,
        database: Database,
        directory: Directory,
        contexts: Contexts,
        *,
        budget_s: float,
        now: Callable[[], float],
    ) -> None:
        self._database = database
        self._directory = directory
        self._contexts = contexts
        self._budget_s = budget_s
        self._now = now

    async def greet(self, org_id: str, body: bytes) -> Greeting:
        """What to tell the agent of whoever is ringing, within the budget. Never raises, whatever *body* is."""
        context = Context(asked_at=self._now())
        known = _Known()
        try:
            context = ringing(body, asked_at=context.asked_at, country=self._directory.country_of(org_id))
            await in_time(self._find_out(org_id, context, known), self._budget_s)
            (_AS_KNOWN if known.is_match else _AS_STRANGER).inc()
        except TimeoutError:
            _AS_LATE.inc()
            log.warning("greeting.late", org=org_id, caller=phone.masked(context.caller), budget_s=self._budget_s)
        except Exception as error:  # a person is waiting: the call goes on, whatever this was
            _AS_FAULT.inc()
            is_expected = isinstance(error, Unavailable)
            log.error("greeting.fault", org=org_id, error=str(error), exc_info=not is_expected)
        variables = known.told(self._directory.declared(org_id, context.agent_id))
        return _greeting(org_id, body, msgspec.structs.replace(context, variables=variables))

    async def preview(
        self, org_id: str, *, caller: str | None, user_id: str | None, agent_id: str | None
    ) -> Mapping[str, Value]:
        """What an agent would be told if this person rang now; nothing is counted or kept."""
        context = Context(asked_at=self._now(), caller=caller, user_id=user_id, agent_id=agent_id)
        known = _Known()
        await self._find_out(org_id, context, known)
        return known.told(self._directory.declared(org_id, agent_id))

    def remember_soon(self, greeting: Greeting) -> None:
        """Have the call's own events find what was told; to be called once the answer is sent."""
        self._contexts.remember_soon(greeting.asked)

    async def _find_out(self, org_id: str, context: Context, known: "_Known") -> None:
        """Fill *known*, the most important first: what is there when time is up is told."""
        organization = self._directory.organization(org_id)
        if organization is None:
            return
        contact = await self._find(organization, context)
        if contact is None:
            return
        contact_id, first_name, last_name = contact
        known.match = _match(organization, context, person_name(first_name, last_name))
        if organization.rules.memory:
            rows = await self._database.recall(organization.id, contact_id)
            known.memory = memory.variables(
                memories.remembered(rows), organization.timezone, free_text=organization.rules.free_text
            )

    async def _find(self, organization: Organization, context: Context) -> Sequence[Any] | None:
        """Whose number that is; with memory, whose user id it is where there is no number."""
        if context.caller is not None:
            return await self._database.find_caller(organization.id, context.caller)
        if context.user_id is not None and organization.rules.memory and len(context.user_id) <= _MAX_USER_ID_CHARS:
            return await self._database.find_user(organization.id, context.user_id)
        return None


class _Known:
    """What was found out of a caller so far."""

    def __init__(self) -> None:
        self.match: dict[str, Value] = {}  #: empty for a stranger, and for a contact without a name
        self.memory: dict[str, Value] = {}

    @property
    def is_match(self) -> bool:
        return bool(self.match)

    def told(self, declared: Mapping[str, Variable]) -> dict[str, Value]:
        """What the agent is told; of somebody without a name, what was declared and no more."""
        known = self.memory | self.match
        return told(declared, known if self.is_match else {name: known[name] for name in declared if name in known})


def _match(organization: Organization, context: Context, name: str | None) -> dict[str, Value]:
    if name is None:  # there is nothing to greet with
        return {}
    known = {"caller_name": name, "caller_number": context.caller, "org_name": organization_name(organization.name)}
    return {variable: value for variable, value in known.items() if value is not None}


def _greeting(org_id: str, body: bytes, context: Context) -> Greeting:
    answer = _answer(context) if context.variables else NO_MATCH
    sha256 = hashlib.sha256(body).hexdigest()
    event = Event(
        # The same bytes at another time are another request; the same call may ask again.
        id=events.event_id(org_id, sha256, f"personalization:{context.asked_at!r}"),
        org_id=org_id,
        type=PERSONALIZATION,
        source=PERSONALIZATION,
        proof="bearer",
        sha256=sha256,
        size_bytes=len(body),
        received_at=context.asked_at,
        body=body,
        answer=answer if context.variables else None,
        conversation_id=context.conversation_id,
        call_id=events.call_id(org_id, context.conversation_id) if context.conversation_id else None,
        agent_id=context.agent_id,
    )
    return Greeting(answer, event, Asked(event.id, org_id, context))


def _answer(context: Context) -> bytes:
    """The envelope that ElevenLabs documents, and beside it what the contract's other half has there.

    Not the declared ones: ElevenLabs reads other names there, and a variable may be called `user_id`.
    """
    return _encode(
        {
            "type": "conversation_initiation_client_data",
            "dynamic_variables": context.variables,
            **{name: context.variables[name] for name in _BESIDE if name in context.variables},
        }
    )
