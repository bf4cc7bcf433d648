"""The doors: prove the sender, then file an event or greet a caller.

One event's way: the body streams through (HMAC and sha256 per piece, audio decoded to a file that nobody sees yet) -> its
signature is proven and its organisation known -> the inbox makes it durable -> 200 with the call id. Nothing about the JSON,
the agent or the audio of a proven event turns into another answer: ElevenLabs sends it once, and only exactly 200 is
success there.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any

import msgspec
from prometheus_client import Counter, Histogram
from starlette.types import Receive, Scope, Send

from offhook import events
from offhook.directory import Directory, WebhookSecret
from offhook.errors import ComeBackLater, Unavailable
from offhook.events import UNASSIGNED, Event, Proof, Status
from offhook.inbox import Inbox
from offhook.logs import log
from offhook.personalization import Greeting, Personalization
from offhook.refusals import Check, Refusal, Refusals
from offhook.requests import UNAUTHORIZED, Knock, Senders, TurnedAway, answer, read_body, read_knock
from offhook.store import events as event_rows
from offhook.store.database import Database
from offhook.voice.elevenlabs.body import Body, Folders, Intake
from offhook.voice.elevenlabs.envelope import Envelope, Unreadable, read_envelope
from offhook.voice.elevenlabs.signature import DECOY, Prover, Signature, read_signature

SMALL_BODY_BYTES = 256 * 1024  #: up to here a body is proven in memory, once, when it is whole
_PIECE_BYTES = 256 * 1024  #: beyond, pieces of this size go through a thread
_EVERY_SECRET_BYTES = 1 << 20  #: bodies up to this size may be tried against every secret there is
_FEW_SECRETS = 4  #: so few that all may be tried while the body flows
_STALE_KEPT = 1000  #: proven events an hour that are kept although the clock refuses them
_GREETING_BODY_BYTES = 64 * 1024
_LOOK_UP_S = 1.0

_USED = frozenset({"post_call_transcription", "post_call_audio", "call_initiation_failure"})

_accepted = Counter("offhook_events_accepted_total", "Post-call events answered with 200, by type", ["type"])
_accept_s = Histogram("offhook_accept_seconds", "From the request's head to its answer", buckets=(
    0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60,
))  # fmt: skip
_greet_s = Histogram("offhook_greeting_seconds", "From the request's head to the greeting's answer", buckets=(
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 1.5,
))  # fmt: skip


class UnprovenQuota:
    """How many bytes of bodies that nobody has proven yet may lie on disk at once."""

    def __init__(self, limit_bytes: int) -> None:
        self._left = limit_bytes

    def take(self, size_bytes: int) -> None:
        if size_bytes > self._left:
            raise TurnedAway("quota", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        self._left -= size_bytes

    def give_back(self, size_bytes: int) -> None:
        self._left += size_bytes


class Keyholders:
    """Finds the secrets that may have signed a body, at a cost that does not grow with the number of organisations."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def before_the_body(self, knock: Knock) -> list[WebhookSecret] | None:
        """The candidates as far as the request's head tells; None when only the body can tell."""
        if knock.org_claim is not None:
            return self._directory.webhook_secrets(knock.org_claim)
        everyone = self._directory.all_webhook_secrets()
        return everyone if len(everyone) <= _FEW_SECRETS else None

    def after_the_body(self, envelope: Envelope | None, size_bytes: int) -> list[WebhookSecret]:
        """The candidates for a body that names no organisation: its agent's, else the called number's, else all."""
        if envelope is not None:
            for org_ids in self._claimed(envelope):
                if org_ids:
                    return [secret for org_id in org_ids for secret in self._directory.webhook_secrets(org_id)]
        return self._directory.all_webhook_secrets() if size_bytes <= _EVERY_SECRET_BYTES else []

    def narrowed(self, org_ids: Sequence[str], envelope: Envelope | None) -> Sequence[str]:
        """Those of *org_ids*, which share the secret that signed, to which the agent or the called number belongs."""
        if len(org_ids) > 1 and envelope is not None:
            for claimed in self._claimed(envelope):
                common = [org_id for org_id in org_ids if org_id in claimed]
                if common:
                    return common
        return org_ids

    def _claimed(self, envelope: Envelope) -> Sequence[Sequence[str]]:
        return (
            self._directory.orgs_of_agent(envelope.agent_id) if envelope.agent_id else (),
            self._directory.orgs_of_number(envelope.called_number) if envelope.called_number else (),
        )


class Arrival:
    """A body on its way in. Small ones wait in memory; larger ones flow through a thread to files that nobody sees."""

    def __init__(self, intake: Intake, quota: UnprovenQuota, prover: Callable[[], Coroutine[Any, Any, Prover | None]]):
        """*prover* is asked once, when the body turns out to be large."""
        self._intake = intake
        self._quota = quota
        self._find_prover = prover
        self._pieces: list[bytes] = []
        self._waiting_bytes = 0
        self._reserved_bytes = 0
        self.size_bytes = 0
        self.is_streamed = False
        self.prover: Prover | None = None  #: of a large body whose candidates are known

    async def take(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._waiting_bytes += len(piece)
        self.size_bytes += len(piece)
        if self._waiting_bytes < _PIECE_BYTES or self.size_bytes <= SMALL_BODY_BYTES:
            return
        if not self.is_streamed:
            self.is_streamed = True
            self.prover = await self._find_prover()
        await self._pass_on(self._joined())

    async def finish(self) -> tuple[Body, bytes | None]:
        """The whole body, and its bytes when it is small."""
        rest = self._joined()
        if not self.is_streamed:
            self._intake.feed(rest)
            return self._intake.finish(), rest
        await self._pass_on(rest)
        return await asyncio.to_thread(self._intake.finish), None

    async def keep(self) -> None:
        if self._intake.has_files:
            await asyncio.to_thread(self._intake.keep)

    async def discard(self) -> None:
        """Leave nothing that was not kept, and free the quota."""
        self._quota.give_back(self._reserved_bytes)
        self._reserved_bytes = 0
        if self._intake.has_files:
            await asyncio.to_thread(self._intake.discard)

    def _joined(self) -> bytes:
        joined = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self._waiting_bytes = 0
        return joined

    async def _pass_on(self, piece: bytes) -> None:
        self._quota.take(len(piece))
        self._reserved_bytes += len(piece)
        await asyncio.to_thread(self._swallow, piece)

    def _swallow(self, piece: bytes) -> None:
        if self.prover is not None:
            self.prover.update(piece)
        self._intake.feed(piece)


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
        self._quota = quota
        self._folders = folders
        self._body_limit_bytes = body_limit_bytes
        self._now = now
        self._stale_until = 0.0
        self._stale_left = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = time.perf_counter()
        knock = read_knock(scope, self._senders)
        arrival = Arrival(
            Intake(self._folders, self._body_limit_bytes), self._quota, lambda: self._prover_of_a_large_body(knock)
        )
        try:
            status, content = HTTPStatus.OK, await self._receive(knock, arrival, receive)
        except TurnedAway as refused:
            status, content = refused.status, self._refuse(knock, refused, arrival.size_bytes)
        except (ComeBackLater, Unavailable, OSError) as error:
            # 503: where retries are enabled ElevenLabs sends it again; any 4xx would lose it for good.
            log.error("webhook.unstorable", error=str(error))
            status, content = HTTPStatus.SERVICE_UNAVAILABLE, b'{"error":"Nothing here can keep it just now"}'
        except Exception:
            log.exception("webhook.failed")
            status, content = HTTPStatus.INTERNAL_SERVER_ERROR, b'{"error":"Webhook processing failed"}'
        finally:
            await arrival.discard()
        await answer(send, status, content, *_extra_headers(status))
        _accept_s.observe(time.perf_counter() - begun)

    async def _receive(self, knock: Knock, arrival: Arrival, receive: Receive) -> bytes:
        if not self._senders.may_send(knock.sender):
            raise TurnedAway("sender")
        bearer_org = await self._org_of_bearer(knock)
        signature = read_signature(knock.signature) if knock.signature is not None else None
        if bearer_org is None and signature is None:
            raise TurnedAway(_missing(knock))
        await read_body(receive, arrival.take)
        body, small = await arrival.finish()
        envelope, unreadable = _envelope_of(body)
        if bearer_org is not None:
            return await self._accept(arrival, body, envelope, unreadable, org_id=bearer_org, proof="bearer")
        assert signature is not None
        signer = await self._signer(knock, signature, arrival, small, envelope, body.size_bytes)
        org_id = await self._organization(knock, signer, envelope)
        if not signature.is_in_time(self._now()):
            await self._keep_stale(arrival, body, envelope, org_id)
            raise TurnedAway("clock")
        return await self._accept(arrival, body, envelope, unreadable, org_id=org_id, proof="hmac")

    # Proof

    async def _org_of_bearer(self, knock: Knock) -> str | None:
        if not knock.bearer:
            return None
        return await org_of_token(self._directory, knock.bearer, may_fail=knock.signature is not None)

    async def _prover_of_a_large_body(self, knock: Knock) -> Prover | None:
        if knock.signature is None or (signature := read_signature(knock.signature)) is None:
            return None
        await self._refresh_if_it_can()
        candidates = self._keyholders.before_the_body(knock)
        return None if candidates is None else Prover(signature, _keys(candidates))

    async def _signer(
        self,
        knock: Knock,
        signature: Signature,
        arrival: Arrival,
        small: bytes | None,
        envelope: Envelope | None,
        size_bytes: int,
    ) -> WebhookSecret:
        """The secret that signed; a secret made a moment ago beside this server counts, so a miss looks again."""
        for has_looked_again in (False, True):
            candidates = self._keyholders.before_the_body(knock)
            if candidates is None:
                candidates = self._keyholders.after_the_body(envelope, size_bytes)
            prover = arrival.prover
            if prover is None:
                prover = Prover(signature, _keys(candidates))
                for piece in (small,) if small is not None else arrival.raw_pieces():
                    prover.update(piece)
            index = prover.proven()
            if index is not None and index < len(candidates):
                return candidates[index]
            if has_looked_again or arrival.is_streamed or not await self._directory.refresh():
                break
        raise TurnedAway("signature" if candidates else "organization")

    async def _organization(self, knock: Knock, signer: WebhookSecret, envelope: Envelope | None) -> str:
        """Whose event it is; UNASSIGNED when the secret is shared and nothing in the body or before it tells."""
        self._directory.note_use(*signer.ids)
        if knock.org_claim in signer.org_ids:
            return knock.org_claim
        org_ids = self._keyholders.narrowed(signer.org_ids, envelope)
        if len(org_ids) > 1 and envelope is not None and envelope.conversation_id is not None:
            org_ids = await self._orgs_of_conversation(org_ids, envelope.conversation_id) or org_ids
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

    async def _refresh_if_it_can(self) -> None:
        with contextlib.suppress(Unavailable):
            await self._directory.refresh()

    # Filing

    async def _accept(
        self,
        arrival: Arrival,
        body: Body,
        envelope: Envelope | None,
        unreadable: str | None,
        *,
        org_id: str,
        proof: Proof,
    ) -> bytes:
        status, reason = _standing(body, envelope, unreadable, org_id)
        await arrival.keep()
        event = self._event(body, envelope, org_id=org_id, proof=proof, status=status, reason=reason)
        filed = await self._inbox.file(event)
        _accepted.labels(event.type if event.type in _USED else "other").inc()
        log.debug("webhook.filed", event_id=event.id, kind=event.type, status=status, deduplicated=filed.deduplicated)
        if status != "pending":
            return msgspec.json.encode({"received": True, "skipped": True, "reason": reason})
        repeated = ',"deduplicated":true' if filed.deduplicated else ""
        return f'{{"received":true,"callId":"{event.call_id}"{repeated}}}'.encode()

    async def _keep_stale(self, arrival: Arrival, body: Body, envelope: Envelope | None, org_id: str) -> None:
        """Keep what only the clock refuses, for when the wrong clock is ours. Bounded: its sender may replay at will."""
        log.error("clock.suspect", org=org_id, hint="compare this machine's clock with a time server")
        now = self._now()
        if now >= self._stale_until:
            self._stale_until, self._stale_left = now + 3600, _STALE_KEPT
        if self._stale_left == 0:
            return
        self._stale_left -= 1
        await arrival.keep()
        reason = "The signature is right, but its time is more than 30 minutes from this machine's clock."
        await self._inbox.file(
            self._event(body, envelope, org_id=org_id, proof="hmac", status="stale", reason=reason, salt="stale")
        )

    def _event(
        self,
        body: Body,
        envelope: Envelope | None,
        *,
        org_id: str,
        proof: Proof,
        status: Status,
        reason: str | None,
        salt: str = "",
    ) -> Event:
        conversation_id = envelope.conversation_id if envelope else None
        is_ours = org_id != UNASSIGNED and conversation_id is not None
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
            call_id=events.call_id(org_id, conversation_id) if is_ours and conversation_id is not None else None,
            agent_id=envelope.agent_id if envelope else None,
            event_timestamp=envelope.event_timestamp if envelope else None,
            status=status,
            reason=reason,
        )

    def _refuse(self, knock: Knock, refused: TurnedAway, size_bytes: int) -> bytes:
        self._refusals.add(
            Refusal(
                at=self._now(),
                path=knock.path,
                sender=knock.sender,
                size_bytes=size_bytes,
                check=refused.check,
                org_id=knock.org_claim,
            )
        )
        return _refusal_body(refused)


class PersonalizationDoor:
    """POST /api/webhook/elevenlabs/personalization"""

    def __init__(
        self,
        *,
        senders: Senders,
        directory: Directory,
        inbox: Inbox,
        personalization: Personalization,
        refusals: Refusals,
        now: Callable[[], float],
    ) -> None:
        self._senders = senders
        self._directory = directory
        self._inbox = inbox
        self._personalization = personalization
        self._refusals = refusals
        self._now = now
        self._filings: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = time.perf_counter()
        knock = read_knock(scope, self._senders)
        body = bytearray()
        try:
            org_id = await self._org_of(knock)
            await read_body(receive, partial(_take_up_to, body, _GREETING_BODY_BYTES))
        except TurnedAway as refused:
            refusal = Refusal(
                at=self._now(),
                path=knock.path,
                sender=knock.sender,
                size_bytes=len(body),
                check=refused.check,
                org_id=knock.org_claim,
            )
            self._refusals.add(refusal)
            await answer(send, refused.status, _refusal_body(refused), *_extra_headers(refused.status))
            return
        except (ComeBackLater, Unavailable):
            status = HTTPStatus.SERVICE_UNAVAILABLE
            await answer(
                send, status, b'{"error":"Nobody can tell just now whose token this is"}', *_extra_headers(status)
            )
            return
        greeting = await self._personalization.greet(org_id, bytes(body))
        await answer(send, HTTPStatus.OK, greeting.answer)
        _greet_s.observe(time.perf_counter() - begun)
        # Only now: the caller has waited long enough, and nothing of the answer depends on it.
        self._file_later(greeting)

    async def finish(self) -> None:
        """Let the filings under way end."""
        await asyncio.gather(*self._filings)

    async def _org_of(self, knock: Knock) -> str:
        if not self._senders.may_send(knock.sender):
            raise TurnedAway("sender")
        if not knock.bearer:
            raise TurnedAway("credentials")
        org_id = await org_of_token(self._directory, knock.bearer)
        if org_id is None:
            raise TurnedAway("token")
        return org_id

    def _file_later(self, greeting: Greeting) -> None:
        task = asyncio.create_task(self._file(greeting))
        self._filings.add(task)
        task.add_done_callback(self._filings.discard)

    async def _file(self, greeting: Greeting) -> None:
        try:
            await self._personalization.remember(greeting)
            if greeting.filing is not None:
                await self._inbox.file(greeting.filing)
        except ComeBackLater:
            log.error("greeting.unfiled")


async def org_of_token(directory: Directory, token: str, *, may_fail: bool = False) -> str | None:
    """Whose tool secret *token* is. Unavailable when it is unknown here and the database that may know it is down,
    unless *may_fail*: something else may prove the sender."""
    org_id = directory.org_of_tool_token(token)
    if org_id is not None:
        return org_id
    try:
        await directory.refresh()
    except Unavailable:
        if may_fail:
            return None
        raise
    return directory.org_of_tool_token(token)


async def _take_up_to(body: bytearray, limit_bytes: int, piece: bytes) -> None:
    body += piece[: max(0, limit_bytes - len(body))]


def _keys(candidates: Sequence[WebhookSecret]) -> Sequence[bytes]:
    """An unknown organisation costs what a known one costs."""
    return [candidate.secret for candidate in candidates] or DECOY


def _envelope_of(body: Body) -> tuple[Envelope | None, str | None]:
    try:
        return read_envelope(body.inline), None
    except Unreadable as error:
        return None, str(error)


def _standing(body: Body, envelope: Envelope | None, unreadable: str | None, org_id: str) -> tuple[Status, str | None]:
    """What becomes of a proven event, and the sentence that says why when nothing does."""
    if body.is_over_limit:
        return "quarantined", "The body without its audio is larger than OFFHOOK_BODY_LIMIT_MIB allows."
    if envelope is None:
        return "quarantined", unreadable
    if envelope.type not in _USED:
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


def _refusal_body(refused: TurnedAway) -> bytes:
    """Every 401 is alike: which check failed is nobody's business but ours."""
    if refused.status == HTTPStatus.UNAUTHORIZED:
        return UNAUTHORIZED
    return msgspec.json.encode({"error": refused.status.phrase})


def _extra_headers(status: int) -> Sequence[tuple[bytes, bytes]]:
    if status == HTTPStatus.OK:
        return ()
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        return ((b"retry-after", b"5"),)
    return ((b"connection", b"close"),)  # what is left of the body is not read
