"""POST /api/webhook/elevenlabs: an event is proven, durable, answered; in that order."""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from http import HTTPStatus
from typing import NamedTuple

import msgspec
from prometheus_client import Counter, Histogram
from starlette.types import Receive, Scope, Send

from offhook import events
from offhook.directory import Directory, WebhookSecret
from offhook.errors import ComeBackLater, Unavailable
from offhook.events import UNASSIGNED, Event, Filed, Proof, Status
from offhook.inbox import Inbox
from offhook.logs import log
from offhook.refusals import Check, Refusals
from offhook.store import events as event_rows
from offhook.store.database import Database
from offhook.streaks import Streaks
from offhook.voice.body import Body, Intake
from offhook.voice.elevenlabs.envelope import FULL_AUDIO, Envelope
from offhook.voice.elevenlabs.payloads import EVENTS
from offhook.voice.elevenlabs.signature import Signature, read_signature
from offhook.voice.json_text import Unreadable
from offhook.voice.parts import Folders
from offhook.webhooks.arrival import Arrival, UnprovenQuota
from offhook.webhooks.keyholders import Keyholders, Trial, org_of_token
from offhook.webhooks.pace import Pace
from offhook.webhooks.requests import (
    Answer,
    Knock,
    Senders,
    TurnedAway,
    come_back_later,
    read_knock,
    refuse,
    send_answer,
)

_STALE_KEPT = 1000  #: proven events an hour that are kept although the clock refuses them
_LOOK_UP_S = 1.0

_accepted = Counter("offhook_events_accepted_total", "Post-call events answered with 200, by type", ["type"])
_accepted_by_type = {type: _accepted.labels(type) for type in EVENTS}
_accepted_other = _accepted.labels("other")
_accept_s = Histogram("offhook_accept_seconds", "From the request's head to its answer", buckets=(
    0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60,
))  # fmt: skip


class PostCallDoor:
    """POST /api/webhook/elevenlabs"""

    def __init__(
        self,
        *,
        senders: Senders,
        directory: Directory,
        database: Database,
        inbox: Inbox,
        refusals: Refusals,
        streaks: Streaks,
        quota: UnprovenQuota,
        folders: Folders,
        body_limit_bytes: int,
        now: Callable[[], float],
    ) -> None:
        self._senders = senders
        self._directory = directory
        self._keyholders = Keyholders(directory)
        self._database = database
        self._inbox = inbox
        self._refusals = refusals
        self._streaks = streaks
        self._pace = Pace()
        self._quota = quota
        self._folders = folders
        self._body_limit_bytes = body_limit_bytes
        self._now = now
        self._stale_until = 0.0
        self._stale_left = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = time.perf_counter()
        knock = read_knock(scope, self._senders)
        signature = read_signature(knock.signature) if knock.signature is not None else None
        arrival = Arrival(
            self._begin_intake,
            self._body_limit_bytes,
            self._quota,
            partial(self._begin_trial, knock, signature),
        )
        try:
            given = Answer(HTTPStatus.OK, await self._receive(knock, signature, arrival, receive))
        except TurnedAway as refused:
            given = refuse(self._refusals, knock, refused, size_bytes=arrival.size_bytes, at=self._now())
        except (ComeBackLater, Unavailable, OSError) as error:
            log.error("webhook.unstorable", error=str(error))
            given = come_back_later("Nothing here can keep the event just now")
        except Exception:
            log.exception("webhook.failed")
            given = Answer(HTTPStatus.INTERNAL_SERVER_ERROR, b'{"error":"Webhook processing failed"}')
        finally:
            await arrival.discard()
        self._note(knock, given)
        await send_answer(send, given)
        _accept_s.observe(time.perf_counter() - begun)

    def _note(self, knock: Knock, given: Answer) -> None:
        """Count what the organisation's sender is answered; whoever does not even try to prove anything is not its sender."""
        is_nobody = knock.signature is None and not knock.bearer
        if knock.org_claim and not is_nobody and self._directory.organization(knock.org_claim):
            self._streaks.note(knock.org_claim, given.status)

    async def _receive(
        self, knock: Knock, signature: Signature | None, arrival: Arrival[Trial], receive: Receive
    ) -> bytes:
        if not self._senders.may_send(knock.sender):
            raise TurnedAway("sender")
        bearer_org = await self._org_of_bearer(knock) if knock.bearer else None
        if bearer_org is None and signature is None:
            raise TurnedAway(_missing(knock))
        arrival.is_proven = bearer_org is not None
        await self._pace.read_body(receive, arrival.take)
        await arrival.end()
        if bearer_org is not None:
            return await self._accept(await self._read(arrival), arrival, org_id=bearer_org, proof="bearer")
        assert signature is not None
        signer = await self._keyholders.signer(knock, signature, arrival)
        self._directory.note_use(*signer.ids)
        delivery = await self._read(arrival)
        org_id = await self._organization(knock, signer, delivery.envelope)
        if not signature.is_in_time(self._now()):
            await self._keep_stale(delivery, arrival, org_id)
            raise TurnedAway("clock")
        return await self._accept(delivery, arrival, org_id=org_id, proof="hmac")

    async def _org_of_bearer(self, knock: Knock) -> str | None:
        assert knock.bearer is not None
        return await org_of_token(self._directory, knock.bearer, may_fail=knock.signature is not None)

    def _begin_intake(self) -> Intake:
        return Intake(self._folders, self._body_limit_bytes, FULL_AUDIO)

    def _begin_trial(self, knock: Knock, signature: Signature | None) -> Trial | None:
        return None if signature is None else self._keyholders.trial_of_a_large_body(knock, signature)

    async def _read(self, arrival: Arrival[Trial]) -> "_Delivery":
        body = await arrival.finish()
        try:
            return _Delivery(body, await arrival.envelope(), None)
        except Unreadable as error:
            return _Delivery(body, None, str(error))

    async def _organization(self, knock: Knock, signer: WebhookSecret, envelope: Envelope | None) -> str:
        """Whose event it is; UNASSIGNED when the secret is shared and nothing in the body or before it tells."""
        if knock.org_claim in signer.org_ids:
            return knock.org_claim
        org_ids = self._keyholders.narrowed(signer.org_ids, envelope)
        if len(org_ids) > 1 and envelope is not None and envelope.conversation_id is not None:
            org_ids = await self._orgs_of_conversation(org_ids, envelope.conversation_id) or org_ids
        if len(org_ids) > 1:
            await self._keyholders.look_again()
            org_ids = self._keyholders.narrowed(org_ids, envelope)
        return org_ids[0] if len(org_ids) == 1 else UNASSIGNED

    async def _orgs_of_conversation(self, org_ids: Sequence[str], conversation_id: str) -> list[str]:
        """Audio and failures say little of their call: those of *org_ids* that heard of the conversation before."""
        by_call = {events.call_id(org_id, conversation_id): org_id for org_id in org_ids}
        try:
            async with asyncio.timeout(_LOOK_UP_S):
                known = await self._database.read(event_rows.known_calls, by_call.keys())
        except (Unavailable, TimeoutError):
            return []  # unassigned and claimable beats unanswered
        return [by_call[call_id] for call_id in known]

    # Filing

    async def _accept(self, delivery: "_Delivery", arrival: Arrival[Trial], *, org_id: str, proof: Proof) -> bytes:
        status, reason = _standing(delivery, org_id)
        event = self._event(delivery, org_id=org_id, proof=proof, status=status, reason=reason)
        filed = await self._file(event, arrival)
        _accepted_by_type.get(event.type, _accepted_other).inc()
        log.debug("webhook.filed", event_id=event.id, type=event.type, status=status, deduplicated=filed.deduplicated)
        if status != "pending":
            return msgspec.json.encode({"received": True, "skipped": True, "reason": reason})
        repeated = ',"deduplicated":true' if filed.deduplicated else ""
        return f'{{"received":true,"callId":"{event.call_id}"{repeated}}}'.encode()

    async def _file(self, event: Event, arrival: Arrival[Trial]) -> Filed:
        """Make *event* and what lies in files durable; the files of a repetition are not needed twice."""
        if arrival.has_files:
            await arrival.keep()
        filed = await self._inbox.file(event)
        if not filed.is_new and (event.parts or event.audio):
            await arrival.take_back()
        return filed

    async def _keep_stale(self, delivery: "_Delivery", arrival: Arrival[Trial], org_id: str) -> None:
        """Keep what only the clock refuses, for when the wrong clock is ours. Bounded: its sender may replay at will."""
        log.error("clock.suspect", org=org_id, hint="compare this machine's clock with a time server")
        now = self._now()
        if now >= self._stale_until:
            self._stale_until, self._stale_left = now + 3600, _STALE_KEPT
        if self._stale_left == 0:
            return
        self._stale_left -= 1
        reason = "The signature is right, but its time is more than 30 minutes from this machine's clock."
        event = self._event(delivery, org_id=org_id, proof="hmac", status="stale", reason=reason, salt="stale")
        filed = await self._file(event, arrival)
        if not filed.is_new:
            self._stale_left += 1  # who replays one body again and again takes no other's place

    def _event(
        self,
        delivery: "_Delivery",
        *,
        org_id: str,
        proof: Proof,
        status: Status,
        reason: str | None,
        salt: str = "",
    ) -> Event:
        body, envelope = delivery.body, delivery.envelope
        conversation_id = envelope.conversation_id if envelope else None
        call_id = None
        if conversation_id is not None and org_id != UNASSIGNED:
            call_id = events.call_id(org_id, conversation_id)
        return Event(
            id=events.event_id(org_id, body.sha256, salt),
            org_id=org_id,
            type=envelope.type if envelope else "",
            source="webhook",
            proof=proof,
            sha256=body.sha256,
            size_bytes=body.size_bytes,
            received_at=self._now(),
            body=body.inline,
            parts=body.parts,
            audio=body.audio,
            conversation_id=conversation_id,
            call_id=call_id,
            agent_id=envelope.agent_id if envelope else None,
            event_timestamp=envelope.event_timestamp if envelope else None,
            status=status,
            reason=reason,
        )


class _Delivery(NamedTuple):
    """A proven body, read as far as filing needs."""

    body: Body
    envelope: Envelope | None
    unreadable: str | None  #: why there is no envelope


def _standing(delivery: _Delivery, org_id: str) -> tuple[Status, str | None]:
    """What becomes of a proven event, and the sentence that says why when nothing does."""
    envelope = delivery.envelope
    if delivery.body.is_over_limit:
        return "quarantined", "The body without its audio is larger than OFFHOOK_BODY_LIMIT_MIB allows."
    if envelope is None:
        return "quarantined", delivery.unreadable
    if envelope.type not in EVENTS:
        return "skipped", "offhook keeps events of this type but makes nothing of them."
    if envelope.conversation_id is None:
        return "quarantined", "The event names no conversation."
    if org_id == UNASSIGNED:
        return (
            "unassigned",
            "Several organisations share this secret, and neither agent nor number tells which is meant.",
        )
    return "pending", None


def _missing(knock: Knock) -> Check:
    if knock.signature is not None:
        return "header"
    return "token" if knock.bearer else "credentials"
