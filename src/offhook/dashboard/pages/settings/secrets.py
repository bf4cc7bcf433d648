"""The secrets shared with ElevenLabs: given, replaced with an overlap, removed; never shown again."""

import asyncio
from typing import NamedTuple

import sqlalchemy as sa
from starlette.responses import Response

from offhook.connect import record
from offhook.credentials import Kind, new_secret, typed_secret
from offhook.dashboard.pages.settings.filled import UNUSABLE, Filled, read_filled
from offhook.dashboard.pages.settings.section import done, noted, show
from offhook.dashboard.shell import Flash
from offhook.dashboard.visitors import Visit
from offhook.errors import BadInput, Conflict, GiveUp, Mistake, NotFound, TryLater
from offhook.store import organizations, workspaces
from offhook.store.organizations import Secret
from offhook.voice.elevenlabs.api import ElevenLabs, WrongKey

_URL = "/settings/secrets"
_ELEVENLABS_S = 15.0  #: whoever waits for an answer of ElevenLabs waits no longer
_HOUR_S = 3600.0

#: How long the older ones go on being accepted: word, what it says, seconds (None: until somebody removes them).
OVERLAPS: dict[str, tuple[str, float | None]] = {
    "removed": ("until they are removed", None),
    "day": ("for another 24 hours", 24 * _HOUR_S),
    "week": ("for another 7 days", 168 * _HOUR_S),
    "none": ("no more: it leaked", 0.0),
}
_KINDS: dict[str, Kind] = {"webhook": "webhook", "tool": "tool"}


class Kept(NamedTuple):
    """The secrets of one kind that are valid, newest first, and the form for the next."""

    kind: Kind
    rows: list[Secret]
    filled: Filled


async def secrets(visit: Visit) -> Response:
    return await _show(visit)


async def rotate(visit: Visit) -> Response:
    """Accept a new one. One that was made here is shown in this answer, and never again."""
    kind = _KINDS.get(visit.param("kind"))
    if kind is None:
        raise NotFound
    form = await visit.form()
    readers = {"value": lambda text: _value(kind, text), "overlap": _overlap}
    filled = read_filled(form, readers)
    if filled.is_usable:
        try:
            await _accept(visit, kind, **filled.values, how_long=OVERLAPS[form["overlap"]][0])
        except UNUSABLE as error:
            filled.why["value"] = error.message
    if not filled.is_usable:
        filled.typed["value"] = ""  # a secret is never written into a page, not even one that cannot be used
        return await _show(visit, kind=kind, filled=filled, status=400)
    return done(_URL, "rotated") if form["value"] else await _show(visit, made=filled.values["value"])


async def remove(visit: Visit) -> Response:
    """Accept one no more."""
    id = visit.param("secret_id")
    known = await visit.deps.database.read(organizations.secrets_of, visit.org_id)
    kind = next((one.kind for one in known if one.id == id), None)
    entry = visit.entry("secret_removed", "secret", id, {"kind": kind})
    try:
        await noted(visit, entry, _remove, visit.org_id, id, visit.deps.now())
    except Conflict as error:
        return await _show(visit, flash=Flash(error.message, "bad"), status=409)
    return done(_URL, "no-more")


async def give_api_key(visit: Visit) -> Response:
    """Keep another API key of ElevenLabs, once ElevenLabs says that it is one, of the same workspace."""
    filled = read_filled(await visit.form(), {"api_key": lambda text: typed_secret(text.strip(), "The API key")})
    if filled.is_usable:
        try:
            await _try(visit, filled.values["api_key"])
        except UNUSABLE as error:
            filled.why["api_key"] = error.message
    if not filled.is_usable:
        return await _show(visit, api_key_why=filled.why["api_key"], status=400)
    entry = visit.entry("secret_rotated", "secret", None, {"kind": "API key of ElevenLabs"})
    await noted(
        visit, entry, workspaces.renew_key, visit.deps.keys, visit.org_id, filled.values["api_key"], visit.deps.now()
    )
    return done(_URL, "saved")


async def _accept(visit: Visit, kind: Kind, value: str, overlap: float | None, how_long: str) -> None:
    entry = visit.entry("secret_rotated", "secret", None, {"kind": kind, "older": f"accepted {how_long}"})
    await noted(
        visit, entry, organizations.rotate, visit.deps.keys, visit.org_id, kind, value, visit.deps.now(), overlap
    )


async def _try(visit: Visit, api_key: str) -> None:
    """Mistake when ElevenLabs does not take the key, or it opens another workspace than the one that is set up."""
    set_up = record.read(await visit.deps.database.read(workspaces.set_up_of, visit.org_id))
    try:
        async with (
            asyncio.timeout(_ELEVENLABS_S),
            ElevenLabs(api_key, base_url=visit.deps.settings.elevenlabs_url) as asked,
        ):
            there = {one["webhook_id"] for one in (await asked.get("/v1/workspace/webhooks"))["webhooks"]}
    except WrongKey as error:
        raise Mistake(
            f"{error.message.rstrip('.')}: copy the key anew from elevenlabs.io/app/settings/api-keys."
        ) from None
    except (TryLater, GiveUp, TimeoutError, KeyError, TypeError, ValueError):
        raise Mistake("ElevenLabs did not say whether it takes that key: try again in a moment.") from None
    if set_up.webhook_id is not None and set_up.webhook_id not in there:
        raise Mistake(
            "That key opens another workspace than the one that is connected, or the webhook there is gone: "
            "`offhook connect` says which."
        )


def _value(kind: Kind, text: str) -> str:
    """What was typed; of an empty field a new one, where offhook is who draws it."""
    if not text and kind == "webhook":
        raise BadInput("Paste the secret that ElevenLabs showed when the webhook was made.")
    return typed_secret(text, "The secret") if text else new_secret(kind)


def _overlap(word: str) -> float | None:
    if word not in OVERLAPS:
        raise BadInput("Say how long the older one is accepted.")
    return OVERLAPS[word][1]


def _remove(tx: sa.Connection, org_id: str, id: str, now: float) -> None:
    if organizations.remove_secret(tx, org_id, id, now) is None:
        raise NotFound("There is no secret with that id, or it is accepted no more.")


async def _show(
    visit: Visit,
    *,
    kind: Kind | None = None,
    filled: Filled | None = None,
    made: str | None = None,
    api_key_why: str = "",
    flash: Flash | None = None,
    status: int = 200,
) -> Response:
    now, read = visit.deps.now(), visit.deps.database.read
    valid = [one for one in await read(organizations.secrets_of, visit.org_id) if (one.expires_at or now + 1) > now]
    kept = [
        Kept(one, [row for row in valid if row.kind == one], filled if filled and one == kind else _empty())
        for one in _KINDS.values()
    ]
    return await show(
        visit, _URL, "secrets.html", status=status, flash=flash, kept=kept, made=made,
        overlaps=[(word, words) for word, (words, _) in OVERLAPS.items()], api_key_why=api_key_why,
        connected=await read(workspaces.reconciled, visit.org_id),
    )  # fmt: skip


def _empty() -> Filled:
    return Filled({"value": "", "overlap": "removed"})
