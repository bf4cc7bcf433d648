"""Whose secret may have signed, at a cost that does not grow with the number of organisations."""

from collections.abc import Sequence

from offhook.directory import Directory, WebhookSecret
from offhook.errors import Unavailable
from offhook.voice.elevenlabs.envelope import Envelope
from offhook.webhooks.requests import Knock

_EVERY_SECRET_BYTES = 1 << 20  #: bodies up to this size may be tried against every secret there is
_FEW_SECRETS = 4  #: so few that all may be tried while the body flows


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
