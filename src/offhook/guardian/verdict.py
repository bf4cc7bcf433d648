"""What is wrong with a workspace, and with our own answers, in plain words and with a remedy. Pure.

Messages name nobody: /api/health shows them to whoever reaches it. Which agents, which address is in the details.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from offhook.guardian.addresses import PERSONALIZATION, WEBHOOK, leads_to, org_in
from offhook.guardian.silence import Silence
from offhook.guardian.workspace import Agent, Hook, Route, Workspace
from offhook.store.warnings import Finding, Severity
from offhook.streaks import ERROR_AT, Streak

HOUR_S, DAY_S = 3600.0, 86_400.0
UNREACHED_S = 6 * HOUR_S
_RECENT_S = DAY_S  #: a delivery that failed longer ago is history
_WANTED = ("transcript", "audio", "call_initiation_failure")
_FEW, _SHARE = 3, 0.2  #: calls that no webhook brought, at least, before that is no accident

_REPAIR = "`offhook connect ORG --repair` sets it right."
_FETCH = "`offhook reconcile ORG --since 30d` fetches what is missing."


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """What a workspace should look like."""

    org_id: str
    public_url: str  #: empty: not known
    is_hipaa: bool = False  #: retries are not to be had then
    has_retries: bool | None = None  #: as set by us, for where ElevenLabs does not say


def of_workspace(there: Workspace, expected: Expected, now: float) -> list[Finding]:
    """One finding a code, the worst where routes differ."""
    found: dict[str, Finding] = {}
    for route, agents in _routes(there):
        for finding in _of_route(there.hooks, route, expected, now):
            told = msgspec.structs.replace(finding, details=finding.details | _named(agents))
            if finding.code not in found or found[finding.code].severity == "warning":
                found[finding.code] = told
    return [*found.values(), *_of_personalization(there, expected)]


def _routes(there: Workspace) -> list[tuple[Route, list[Agent]]]:
    """Each way that events take, with the agents that have it for themselves; the workspace's where somebody needs it."""
    own = [(agent.own_route, [agent]) for agent in there.agents if agent.own_route is not None]
    is_shared = not there.agents or len(own) < len(there.agents)
    return ([(there.route, [])] if is_shared else []) + own


# The webhook


def _of_route(hooks: Mapping[str, Hook], route: Route, expected: Expected, now: float) -> Iterator[Finding]:
    hook = hooks.get(route.post_call_webhook_id or "")
    if hook is None:
        yield _error("webhook_missing", "There is no post-call webhook: ElevenLabs tells offhook of no call.", _REPAIR)
        return
    yield from _of_address(hook, expected)
    yield from _of_events(route)
    yield from _of_hook(hook, expected, now)


def _of_hook(hook: Hook, expected: Expected, now: float) -> Iterator[Finding]:
    if hook.is_disabled:
        message = "Somebody has switched the post-call webhook off at ElevenLabs: no call is delivered."
        yield _error("webhook_disabled", message, f"{_REPAIR} {_FETCH}")
    if hook.is_auto_disabled:
        message = (
            "ElevenLabs has switched the post-call webhook off, after ten failures in a row: no call is delivered."
        )
        remedy = f"`offhook doctor` and the log say why they failed. {_REPAIR} {_FETCH}"
        yield _error("webhook_auto_disabled", message, remedy)
    failed_at = hook.most_recent_failure_timestamp
    if failed_at is not None and now - failed_at < _RECENT_S:
        yield _failed(hook.most_recent_failure_error_code, failed_at)
    is_retried = hook.retry_enabled if hook.retry_enabled is not None else expected.has_retries
    if is_retried is False and not expected.is_hipaa:
        message = "ElevenLabs tries no delivery a second time: retries are off."
        yield _warning("retries_off", message, f"{_REPAIR} Under HIPAA there are none: connect with --hipaa.")


def _failed(status: int | None, at: float) -> Finding:
    answer = f"was answered with {status}" if status else "was not answered"
    message = (
        f"A delivery of ElevenLabs' {answer}, the last one at {datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC."
    )
    remedy = f"See the log of that minute, and of the proxy in front. {_FETCH} Over a day after the last failure."
    return _warning("delivery_failed", message, remedy)


def _of_address(hook: Hook, expected: Expected) -> Iterator[Finding]:
    details = {"found": hook.webhook_url, "wanted": f"{expected.public_url}{WEBHOOK}?org={expected.org_id}"}
    if not leads_to(hook.webhook_url, WEBHOOK, expected.public_url):
        message = "The post-call webhook leads to another address than this offhook's."
        remedy = f"{_REPAIR} Or OFFHOOK_PUBLIC_URL is wrong."
        yield _error("webhook_url_wrong", message, remedy, **details)
    elif org_in(hook.webhook_url) is None:
        message = "The post-call webhook's address lacks ?org=: whose an event is must be guessed."
        yield _warning("webhook_url_without_org", message, _REPAIR, **details)
    elif org_in(hook.webhook_url) != expected.org_id:
        message = "The post-call webhook's address names another organisation, which gets the calls."
        yield _error("webhook_url_wrong", message, _REPAIR, **details)


def _of_events(route: Route) -> Iterator[Finding]:
    missing = [event for event in _WANTED if route.events is not None and event not in route.events]
    if missing:
        say = _error if "transcript" in missing else _warning
        message = f"ElevenLabs does not deliver: {', '.join(missing).replace('_', ' ')}."
        yield say("events_missing", message, _REPAIR, missing=missing)
    if route.transcript_format == "opentelemetry" or route.exclude_transcript:
        how = "left out" if route.exclude_transcript else "delivered as OpenTelemetry, which offhook does not read"
        message = f"Transcripts are {how}."
        yield _error("transcripts_unreadable", message, "Set the transcript's format to JSON, in full, in ElevenLabs.")


# Before the call


def _of_personalization(there: Workspace, expected: Expected) -> Iterator[Finding]:
    agents = [agent for agent in there.agents if agent.is_personalized]
    wrong = [agent for agent in agents if not _is_asked(agent.own_personalization_url, expected)]
    wrong = [
        agent for agent in wrong if agent.own_personalization_url or not _is_asked(there.personalization_url, expected)
    ]
    if wrong or (not there.agents and not _is_asked(there.personalization_url, expected)):
        message = "Who is ringing is not asked here: the personalization webhook is missing or leads elsewhere."
        found = {"found": there.personalization_url, "wanted": expected.public_url + PERSONALIZATION}
        yield _warning("personalization_url_wrong", message, _REPAIR, **found, **_named(wrong))
    if off := [agent for agent in there.agents if not agent.is_personalized]:
        of = f"{len(off)} of {len(there.agents)} agents" if len(there.agents) > 1 else "the agent"
        message = f"Before a call, {of} {'does' if len(off) == 1 else 'do'} not ask who is ringing."
        yield _warning("personalization_off", message, _REPAIR, **_named(off))


def _is_asked(url: str | None, expected: Expected) -> bool:
    return url is not None and leads_to(url, PERSONALIZATION, expected.public_url)


# What ElevenLabs does not say


def of_refused_key(words: str) -> Finding:
    remedy = "Make an API key in ElevenLabs and give it to `offhook connect ORG --api-key KEY`."
    return _error("api_key_refused", "ElevenLabs refuses the API key that offhook has.", remedy, said=words)


def of_no_answer(words: str, silent_s: float) -> Finding:
    """Watched until it has lasted."""
    severity: Severity = "warning" if silent_s >= UNREACHED_S else "watched"
    hours = int(silent_s // HOUR_S)
    message = f"ElevenLabs' API has not answered for {hours} hours: nothing there is watched or fetched."
    remedy = "See https://status.elevenlabs.io, and whether this machine reaches OFFHOOK_ELEVENLABS_URL."
    return Finding(code="unreachable", severity=severity, message=message, remedy=remedy, details={"said": words})


def of_streak(streak: Streak) -> Finding:
    say = _error if streak.answers >= ERROR_AT else _warning
    message = (
        f"The last {streak.answers} deliveries in a row were not answered with 200, the last with {streak.status}."
    )
    remedy = (
        "Ten switch the webhook off at ElevenLabs. 401: `GET /api/refusals` says which check failed, `offhook verify` why; "
        "503: `offhook doctor` says why nothing can be kept."
    )
    return say("answers_failing", message, remedy, answers=streak.answers, status=streak.status)


def of_silence(silence: Silence) -> Finding:
    message = f"No call for {silence.hours} hours, which usually bring about {silence.expected:.0f}."
    remedy = "Ring the number. Look whether the agent answers, and whether its carrier and ElevenLabs are well."
    return _warning("silence", message, remedy)


def of_undelivered(fetched: int, theirs: int) -> list[Finding]:
    """*fetched* of *theirs* were asked for, because no webhook had brought them."""
    if fetched < _FEW or fetched < _SHARE * theirs:
        return []
    message = f"Of the last {theirs} calls ElevenLabs has delivered {theirs - fetched}; the others had to be fetched."
    remedy = "Nothing is lost. See the webhook in ElevenLabs, the log, and that the proxy lets every delivery through."
    return [_warning("deliveries_missing", message, remedy)]


def _error(code: str, message: str, remedy: str, **details: Any) -> Finding:
    return Finding(code=code, severity="error", message=message, remedy=remedy, details=details)


def _warning(code: str, message: str, remedy: str, **details: Any) -> Finding:
    return Finding(code=code, severity="warning", message=message, remedy=remedy, details=details)


def _named(agents: Sequence[Agent]) -> dict[str, Any]:
    return {"agents": [f"{agent.name} ({agent.agent_id})" for agent in agents]} if agents else {}


#: Codes by who was asked: what is not found on a later look there is over.
AT_ELEVENLABS = frozenset({
    "api_key_refused", "unreachable", "webhook_missing", "webhook_disabled", "webhook_auto_disabled", "delivery_failed",
    "retries_off", "webhook_url_wrong", "webhook_url_without_org", "events_missing", "transcripts_unreadable",
    "personalization_url_wrong", "personalization_off",
})  # fmt: skip
IN_OUR_CALLS = frozenset({"silence", "deliveries_missing"})
AT_OUR_DOOR = frozenset({"answers_failing"})
