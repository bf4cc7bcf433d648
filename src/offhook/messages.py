"""Texts to people, and from them.

    reserve: policy and caps, "sending"   one transaction, committed first
    the provider                          may be asked twice, and then says what it has
    "sent" and the provider's id

Whatever ends us in between, the next attempt finds "sending" and asks the provider before it sends again. Where the provider
cannot tell, nothing is sent until a person says so: a text too few is a pity, a text too many is what we promise not to send.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import sqlalchemy as sa
from prometheus_client import Counter

from offhook import texts
from offhook.directory import Directory
from offhook.errors import GiveUp, OptedOut, TryLater, Unsure
from offhook.followups import MISSED
from offhook.ledger import Outcome, delay_s
from offhook.logs import log
from offhook.phone import e164, masked
from offhook.rules import Rules
from offhook.sms.contract import NotTaken, Provider, Taken, Text
from offhook.sms.twilio import Receipt, Reply
from offhook.store import calls, contacts, effects, opt_outs
from offhook.store import messages as rows
from offhook.store.database import Database
from offhook.store.effects import Effect, Wish
from offhook.store.messages import Draft, message_id
from offhook.store.organizations import Organization
from offhook.texts import MAX_CHARS, Counts, Decision
from offhook.variables import organization_name, person_name

RECEIPTS_PATH = "/api/webhook/twilio/status"
TOO_LATE_S = 86_400.0  #: a text about a call that was missed longer ago than this surprises whoever gets it

_SETTLE_S = 10.0  #: a request that was under way when we ended shows in the provider's list by then
_said = msgspec.json.Decoder(list[dict[str, Any]])

_texts = Counter("offhook_texts_total", "Texts, by what became of them", ("status",))


class Permission(msgspec.Struct, frozen=True):
    """Whether a text may be wished for."""

    is_allowed: bool
    sentence: str  #: why not, or that it waits; an agent may say it; "" when there is nothing to say


def wish_text(
    org_id: str, to: str, body: str, *, key: str, call_id: str | None, contact_id: str | None, kind: str
) -> Wish:
    """A text to *to* (E.164), once for each *key*. *kind*: "tool" for an agent's; policy is asked again when it is sent."""
    payload = {"to": to, "body": texts.filled(body, {}), "kind": kind, "contact_id": contact_id, "call_id": call_id}
    return Wish(kind="text", key=key, org_id=org_id, call_id=call_id, payload=payload)


def _wish_and_show(tx: sa.Connection, wish: Wish, draft: Draft, now: float) -> None:
    effects.want(tx, [wish], now)
    rows.queue(tx, draft, now)


class Messages:
    """Sends what is due, and takes in what providers and people say."""

    def __init__(
        self,
        database: Database,
        directory: Directory,
        provider: Provider,
        now: Callable[[], float],
        *,
        public_url: str,
    ) -> None:
        self._database = database
        self._directory = directory
        self._provider = provider
        self._now = now
        self._public_url = public_url

    async def close(self) -> None:
        await self._provider.close()

    async def may_text(
        self, org_id: str, to: str | None, body: str, *, call_id: str | None, caller: str | None
    ) -> Permission:
        """Whether an agent may text *to* (E.164) now; *caller*: who is on the line, whose number is the only one allowed
        where the organisation does not say otherwise."""
        organization = self._organization(org_id)
        if not body.strip():
            return Permission(False, "There is nothing to send: the message is empty.")
        if len(body) > MAX_CHARS:
            return Permission(False, f"The message is too long: {MAX_CHARS} characters at most.")
        if not organization.rules.texts.to_others and (to is None or to != caller):
            return Permission(False, "Texts are sent to the caller's own number only.")
        return await self.may_be_texted(org_id, to, call_id=call_id)

    async def may_be_texted(self, org_id: str, to: str | None, *, call_id: str | None = None) -> Permission:
        """Whether somebody of the organisation may text *to* (E.164) now, as far as policy and caps go."""
        organization = self._directory.organization(org_id)
        if organization is None:  # made a moment ago, elsewhere
            return Permission(False, "Texts cannot be sent just now. Try again in a moment.")
        counts = await self._database.read(rows.counts, org_id, to, call_id, self._now())
        decision = self._decide(organization, to, counts)
        return Permission(decision.verdict != "suppress", decision.sentence)

    @property
    def is_delivering(self) -> bool:
        """Whether texts reach anybody: the service "console" only writes that there was one."""
        return self._provider.name != "console"

    async def text_soon(self, org_id: str, to: str, body: str, *, key: str, contact_id: str | None, by: str) -> None:
        """A text that a person wrote, once for each *key*; it is seen as queued at once. *by*: a user, for the log."""
        wish = wish_text(org_id, to, body, key=key, call_id=None, contact_id=contact_id, kind="person")
        organization = self._organization(org_id)
        draft = Draft(
            id=message_id(wish.id), org_id=org_id, kind="person", to=to, body=wish.payload["body"],
            sender=organization.rules.texts.sender or self._provider.sender, provider=self._provider.name,
            contact_id=contact_id,
        )  # fmt: skip
        await self._database.write(_wish_and_show, wish, draft, self._now())
        log.info("text.by_person", user=by, message=draft.id)

    # Effects

    async def text_missed_call(self, effect: Effect) -> Outcome:
        """The text to somebody who was missed, as the call stands now."""
        done = await self._outcome_of_last_attempt(effect)
        if done is not None:
            return done
        assert effect.org_id is not None
        assert effect.call_id is not None
        organization = self._organization(effect.org_id)
        call = await self._database.read(calls.get, effect.org_id, effect.call_id)
        reason = _why_not(organization.rules, call, self._now())
        if reason is not None or call is None:
            return await self._suppressed(effect, reason or "")
        words = await self._words(organization, call)
        body = texts.filled(organization.rules.missed_call_message or "", words)
        if not body:
            return await self._suppressed(
                effect, "no_message: Without the names that are unknown, nothing is left of it."
            )
        to = _person(call, organization.country)
        return await self._deliver(effect, self._draft(effect, organization, to, body, "missed_call", call.contact_id))

    async def send_now(self, effect: Effect) -> Outcome:
        """A text that was wished for by `wish_text`."""
        done = await self._outcome_of_last_attempt(effect)
        if done is not None:
            return done
        assert effect.org_id is not None
        organization = self._organization(effect.org_id)
        said = effect.payload
        draft = self._draft(effect, organization, said["to"], said["body"], said["kind"], said["contact_id"])
        return await self._deliver(effect, draft)

    async def give_up(self, effect: Effect, reason: str) -> None:
        """The effect is dead, and its text with it."""
        if await self._database.write(rows.become, message_id(effect.id), "failed", self._now(), reason=reason):
            _texts.labels("failed").inc()

    # What others say

    async def take_receipt(self, receipt: Receipt, message: str | None) -> None:
        """*message*: our id, where the address that was called says it; the receipt may be faster than the answer."""
        row = await self._database.read(rows.find_by_provider_id, receipt.provider_id)
        if row is None and message is not None:
            row = await self._database.read(rows.get, message)
        if row is None:
            log.warning("text.receipt_of_nothing", provider_id=receipt.provider_id)
            return
        told = {"reason": receipt.reason, "provider_id": receipt.provider_id}
        if await self._database.write(rows.become, row.id, receipt.standing, self._now(), **told):
            _texts.labels(receipt.standing).inc()

    async def take_reply(self, reply: Reply) -> None:
        """Keep it with whoever texted that person last; a STOP counts for everybody who texts from that number."""
        number = e164(reply.sender)
        if number is None:
            return
        texted = await self._database.read(rows.correspondents, number, reply.ours)
        owners = [org_id for ours in reply.ours for org_id in self._directory.orgs_of_number(ours)]
        org_ids = [row.org_id for row in texted] + owners
        if not org_ids:
            log.warning("text.reply_to_nobody", sender=masked(number))
            return
        for org_id in dict.fromkeys(org_ids):
            await self._heed(reply, org_id, number)
        await self._keep(reply, number, org_ids[0], texted[0].call_id if texted else None)

    async def _heed(self, reply: Reply, org_id: str, number: str) -> None:
        """A START takes back a STOP; what the organisation wrote down is not the person's to change."""
        if reply.wish == "stop":
            await self._database.write(opt_outs.add, org_id, [number], "stop", self._now())
        elif reply.wish == "start":
            await self._database.write(opt_outs.remove, org_id, [number], only=("stop",))

    async def _keep(self, reply: Reply, number: str, org_id: str, call_id: str | None) -> None:
        person = await self._database.read(contacts.find_by_number, org_id, number)
        row = {
            "id": message_id("reply", reply.provider_id),
            "org_id": org_id,
            "call_id": call_id,
            "contact_id": person and person.id,
            "kind": "reply",
            "from_number": number,
            "to_number": reply.ours[0] if reply.ours else None,
            "body": reply.body,
            "provider": "twilio",
            "provider_message_id": reply.provider_id,
        }
        await self._database.write(rows.keep_reply, row, self._now())
        _texts.labels("received").inc()

    # One attempt

    async def _outcome_of_last_attempt(self, effect: Effect) -> Outcome | None:
        """What became of the attempt before this one, if it came as far as the provider; None: it is to be made."""
        row = await self._database.read(rows.get, message_id(effect.id))
        if row is None or row.status in ("queued", "suppressed"):
            return None
        if row.status == "failed" and row.provider_message_id is None:
            return None  # given up, and a person says that it shall be tried; with an id the provider took it
        if row.status == "sending" and not await self._is_taken(row):
            return None
        return Outcome("done", "sent")

    async def _is_taken(self, row: sa.Row[Any]) -> bool:
        """Ask the provider whether it has a text that we began to send."""
        settled_at = row.begun_at + _SETTLE_S
        if self._now() < settled_at:
            raise TryLater("Whether it was sent is asked in a moment.", after_s=settled_at - self._now())
        if row.provider != self._provider.name:
            raise GiveUp(f"It was begun with {row.provider}, which is not asked any more: a retry may send it twice.")
        others = await self._database.read(rows.provider_ids, row.to_number, row.begun_at - texts.DAY_S)
        found = await self._provider.ask(self._text(row.id, row.to_number, row.body), row.begun_at, others)
        if isinstance(found, Taken):
            await self._sent(row.id, found)
            return True
        if not isinstance(found, NotTaken):
            raise GiveUp(
                f"It was begun, and {row.provider} cannot tell whether it was sent: a retry may send it twice."
            )
        await self._database.write(rows.withdraw, row.id, "queued", "It was begun, but not sent.", self._now())
        return False

    async def _deliver(self, effect: Effect, draft: Draft) -> Outcome:
        """Reserve, send, write down."""
        organization = self._organization(draft.org_id)
        decision = await self._database.write(
            rows.reserve, draft, lambda counts: self._decide(organization, draft.to, counts), self._now()
        )
        if decision.verdict == "suppress":
            _texts.labels("suppressed").inc()
            return Outcome("suppressed", f"{decision.word}: {decision.sentence}")
        if decision.until is not None:
            raise TryLater(decision.sentence, after_s=decision.until - self._now())
        assert draft.to is not None
        try:
            taken = await self._provider.send(self._text(draft.id, draft.to, draft.body, draft.sender))
        except Unsure as error:
            raise TryLater(error.message, after_s=max(_SETTLE_S, delay_s(effect.attempts, 0.5))) from error
        except TryLater as error:
            await self._database.write(rows.withdraw, draft.id, "queued", error.message, self._now())
            raise
        except OptedOut as error:
            await self._database.write(opt_outs.add, draft.org_id, [draft.to], "stop", self._now())
            return await self._suppressed(effect, f"opted_out: {error.message}")
        await self._sent(draft.id, taken)
        return Outcome("done", "sent")

    async def _sent(self, id: str, taken: Taken) -> None:
        if await self._database.write(rows.become, id, "sent", self._now(), provider_id=taken.provider_id):
            _texts.labels("sent").inc()

    async def _suppressed(self, effect: Effect, reason: str) -> Outcome:
        """*reason*: a word, a colon and a sentence."""
        sentence = reason.partition(": ")[2]
        await self._database.write(rows.withdraw, message_id(effect.id), "suppressed", sentence, self._now())
        return Outcome("suppressed", reason)

    # What it takes

    def _organization(self, org_id: str) -> Organization:
        organization = self._directory.organization(org_id)
        if organization is None:
            raise GiveUp("The organisation is gone.")
        return organization

    def _decide(self, organization: Organization, to: str | None, counts: Counts) -> Decision:
        rules = organization.rules.texts
        countries = texts.countries_of(rules, self._directory.numbers_of(organization.id), organization.country)
        return texts.decide(to, rules, countries, counts, organization.timezone, self._now())

    def _draft(
        self, effect: Effect, organization: Organization, to: str | None, body: str, kind: str, contact_id: str | None
    ) -> Draft:
        return Draft(
            id=message_id(effect.id),
            org_id=organization.id,
            kind=kind,
            to=to,
            sender=organization.rules.texts.sender or self._provider.sender,
            body=body,
            provider=self._provider.name,
            call_id=effect.call_id,
            contact_id=contact_id,
        )

    def _text(self, id: str, to: str, body: str, sender: str | None = None) -> Text:
        receipts_url = f"{self._public_url}{RECEIPTS_PATH}?message={id}" if self._public_url else None
        return Text(id=id, to=to, body=body, sender=sender, receipts_url=receipts_url)

    async def _words(self, organization: Organization, call: sa.Row[Any]) -> Mapping[str, str | None]:
        person = None
        if call.contact_id is not None:
            person = await self._database.read(contacts.get, organization.id, call.contact_id)
        agent = call.agent_name or self._directory.agent_name(organization.id, call.agent_id)
        return {
            "contactName": person_name(person.first_name, person.last_name) if person else None,
            "agentName": organization_name(agent) if agent else None,
            "orgName": organization_name(organization.name),
        }


def _why_not(rules: Rules, call: sa.Row[Any] | None, now: float) -> str | None:
    """Why nobody is texted about *call*, as a word, a colon and a sentence; None when somebody may be."""
    if call is None:
        return "call_gone: The call is not on file any more."
    if call.status not in MISSED or _was_heard(call):
        return "answered: The call was answered."
    if not rules.missed_call_text:
        return "switched_off: Texts after missed calls are switched off."
    if not rules.missed_call_message:
        return "no_message: There is no message to send after missed calls."
    if now - call.happened_at > TOO_LATE_S:  # it may have come to us late: told by another program, or fetched
        return "too_late: The call was missed more than a day ago."
    return None


def _was_heard(call: sa.Row[Any]) -> bool:
    """Whether the person spoke with the agent, although the call failed in the end."""
    return any(turn.get("role") == "user" and turn.get("message") for turn in _said.decode(call.transcript))


def _person(call: sa.Row[Any], country: str) -> str | None:
    """Whose call it was, in E.164."""
    spelled = call.to_number if call.direction == "outbound" else call.from_number
    return e164(spelled, country) if spelled else None
