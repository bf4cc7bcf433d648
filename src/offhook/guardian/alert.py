"""What somebody is alerted to: each finding once, again when it has become worse, and when it is over. Pure."""

from collections.abc import Iterable
from typing import Literal

import msgspec

from offhook.store.effects import Wish
from offhook.store.warnings import Standing

KIND = "alert"  #: the effect's


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One message; the payload of its effect."""

    org_id: str
    code: str
    since: float
    is_over: bool
    kind: Literal["failure", "warning", "success"]  #: as Apprise has them
    title: str
    body: str


def alerts_for(begun: Iterable[Standing], over: Iterable[Standing], *, name: str) -> list[Wish]:
    """Wishes for what has begun or become worse, and for what is over and was told. *name*: the organisation's."""
    told = [_wish(_of_begun(one, name), one.severity) for one in begun]
    return [*told, *(_wish(_of_over(one, name), "over") for one in over if one.told_at is not None)]


def _of_begun(one: Standing, name: str) -> Alert:
    lines = [one.message, one.remedy.replace("ORG", one.org_id), *details_of(one)]
    return Alert(
        org_id=one.org_id,
        code=one.code,
        since=one.since,
        is_over=False,
        kind="failure" if one.severity == "error" else "warning",
        title=f"offhook: {name}: {one.code}",
        body="\n".join(lines),
    )


def _of_over(one: Standing, name: str) -> Alert:
    return Alert(
        org_id=one.org_id,
        code=one.code,
        since=one.since,
        is_over=True,
        kind="success",
        title=f"offhook: {name}: {one.code} is over",
        body=f"It is so no longer: {one.message}",
    )


def details_of(one: Standing) -> list[str]:
    """A line each, for the organisation's own people."""
    return [f"{name}: {', '.join(value) if isinstance(value, list) else value}" for name, value in one.details.items()]


def _wish(alert: Alert, how: str) -> Wish:
    key = f"{alert.org_id}:{alert.code}:{alert.since!r}:{how}"
    return Wish(kind=KIND, key=key, org_id=alert.org_id, payload=msgspec.to_builtins(alert))
