"""Whose secret signed a body, at a cost that does not grow with the number of organisations.

A signature names no key. So `?org=` in our webhook address tells whose secrets to try; without it the body's agent does, else
the number that was called. Only where those say nothing is every secret tried, and only on bodies of a bounded size.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from offhook.directory import Directory, WebhookSecret
from offhook.errors import Unavailable
from offhook.voice.elevenlabs.envelope import Envelope
from offhook.voice.elevenlabs.signature import Prover, Signature
from offhook.webhooks.arrival import Arrival
from offhook.webhooks.requests import Knock, Senders, TurnedAway

_EVERY_SECRET_BYTES = 1 << 20  #: bodies up to this size may be tried against every secret there is
_LONG_TRIAL_BYTES = 2 << 20  #: to hash so much, for all secrets together, takes a millisecond or more
_LOOK_AGAIN_S = 0.2  #: a sender whose secret is known does not wait for a database that hangs
_FEW_SECRETS = 4  #: so few that all may be tried while the body flows


class Trial(NamedTuple):
    """Candidates, and a prover that sees the body for all of them at once."""

    prover: Prover
    candidates: Sequence[WebhookSecret]
    as_of: int  #: the directory's version when they were chosen

    def signer(self) -> WebhookSecret | None:
        """The candidate that signed, once the prover has seen the whole body."""
        index = self.prover.proven()
        return None if index is None else self.candidates[index]


class Keyholders:
    """Finds who signed."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def trial_of_a_large_body(self, knock: Knock, signature: Signature) -> Trial | None:
        """A trial to be fed while the body flows by; None when only its end tells who may have signed."""
        candidates = self._named_by(knock)
        return None if candidates is None else self._begun(signature, candidates)

    async def signer(self, knock: Knock, signature: Signature, arrival: Arrival[Trial]) -> WebhookSecret:
        """The secret that signed. One made a moment ago beside this server counts: a miss looks again, once, and nobody
        whose secret is known waits for a look.

        TurnedAway when there is none; Unavailable when the database, which may know another secret, does not answer.
        """
        trial = arrival.trial or await self._trial(knock, signature, arrival)
        signer = trial.signer()
        if signer is None:
            trial = await self._second_trial(trial, knock, signature, arrival)
            signer = trial.signer()
        if signer is None:
            raise TurnedAway("signature" if trial.candidates else "organization")
        return signer

    def narrowed(self, org_ids: Sequence[str], envelope: Envelope | None) -> Sequence[str]:
        """Those of *org_ids*, which share the secret that signed, to which the agent or the called number belongs."""
        if len(org_ids) > 1 and envelope is not None:
            for claimed in self._claimed_in(envelope):
                common = [org_id for org_id in org_ids if org_id in claimed]
                if common:
                    return common
        return org_ids

    async def look_again(self) -> None:
        """Know what changed beside this server; when the database is down, what was known before is still true."""
        with contextlib.suppress(Unavailable, TimeoutError):
            async with asyncio.timeout(_LOOK_AGAIN_S):
                await self._directory.refresh()

    async def _trial(self, knock: Knock, signature: Signature, arrival: Arrival[Trial]) -> Trial:
        candidates = self._named_by(knock)
        if candidates is None:
            candidates = self._named_in(await arrival.claims(), arrival.size_bytes)
        return await self._tried(signature, candidates, arrival)

    async def _second_trial(self, first: Trial, knock: Knock, signature: Signature, arrival: Arrival[Trial]) -> Trial:
        """With what changed beside this server; and then with all secrets, where only the body told whose to try.

        An agent is known by whoever named it in a signed event, and that need not be everybody who has it.
        """
        await self._directory.refresh()
        is_news = self._directory.version != first.as_of  # others may have looked since, while a large body flowed
        trial = await self._trial(knock, signature, arrival) if is_news else first
        everyone = self._directory.all_webhook_secrets()
        may_be_anybodys = knock.org_claim is None and arrival.size_bytes <= _EVERY_SECRET_BYTES
        if may_be_anybodys and len(trial.candidates) < len(everyone) and trial.signer() is None:
            trial = await self._tried(signature, everyone, arrival)
        return trial

    async def _tried(self, signature: Signature, candidates: Sequence[WebhookSecret], arrival: Arrival[Trial]) -> Trial:
        """A trial that has seen the whole body; in a thread where that takes longer than others should wait."""
        trial = self._begun(signature, candidates)
        if arrival.small is None:
            await arrival.finish()
            await asyncio.to_thread(_feed, trial.prover, arrival.raw_pieces())
        elif len(arrival.small) * len(candidates) > _LONG_TRIAL_BYTES:
            await asyncio.to_thread(trial.prover.update, arrival.small)
        else:
            trial.prover.update(arrival.small)
        return trial

    def _begun(self, signature: Signature, candidates: Sequence[WebhookSecret]) -> Trial:
        """Without candidates it costs what it costs with one: nobody learns from the time which organisations exist."""
        prover = Prover(signature, [candidate.secret for candidate in candidates])
        return Trial(prover, candidates, self._directory.version)

    def _named_by(self, knock: Knock) -> list[WebhookSecret] | None:
        """The candidates as far as the request's head tells; None when only the body can tell."""
        if knock.org_claim is not None:
            return self._directory.webhook_secrets(knock.org_claim)
        everyone = self._directory.all_webhook_secrets()
        return everyone if len(everyone) <= _FEW_SECRETS else None

    def _named_in(self, envelope: Envelope | None, size_bytes: int) -> list[WebhookSecret]:
        """The candidates for a body that came without an organisation: its agent's, else the called number's, else all."""
        if envelope is not None:
            for org_ids in self._claimed_in(envelope):
                if org_ids:
                    return [secret for org_id in org_ids for secret in self._directory.webhook_secrets(org_id)]
        return self._directory.all_webhook_secrets() if size_bytes <= _EVERY_SECRET_BYTES else []

    def _claimed_in(self, envelope: Envelope) -> Sequence[Sequence[str]]:
        return (
            self._directory.orgs_of_agent(envelope.agent_id) if envelope.agent_id else (),
            self._directory.orgs_of_number(envelope.called_number) if envelope.called_number else (),
        )


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


async def org_of_bearer(directory: Directory, senders: Senders, knock: Knock) -> str:
    """Whose tool secret the request presents; TurnedAway when it is nobody's, Unavailable when nobody can tell just now."""
    if not senders.may_send(knock.sender):
        raise TurnedAway("sender")
    if not knock.bearer:
        raise TurnedAway("credentials")
    org_id = await org_of_token(directory, knock.bearer)
    if org_id is None:
        raise TurnedAway("token")
    return org_id


def _feed(prover: Prover, pieces: Iterable[bytes]) -> None:
    for piece in pieces:
        prover.update(piece)
