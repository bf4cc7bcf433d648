"""Twilio: sending, asking after a crash, and what its callbacks say. Its names stop here.

https://www.twilio.com/docs/messaging/api/message-resource and https://www.twilio.com/docs/usage/webhooks/webhooks-security,
read 2026-11. Two requests of its API are all we need, so httpx makes them: Twilio's SDK would bring a second HTTP client.

Twilio takes no idempotency key. Who does not know whether a text was taken looks for it in the list of those to its number.
"""

import base64
import hmac
from collections.abc import Collection, Iterable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import httpx
import msgspec
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from offhook.errors import GiveUp, Mistake, OptedOut, TryLater, Unsure
from offhook.settings import read_settings
from offhook.sms.contract import NotTaken, Taken, Text

_TIMEOUT = httpx.Timeout(15.0, connect=5.0)
_LISTED = 100  #: many times what caps allow to one number in a day
_CLOCKS_S = 120.0  #: how far theirs may be from ours
_OPTED_OUT = 21610
_SERVICE = "MG"  #: a messaging service's id stands where a number could
_MOST_FIELDS = 200

_NOT_TAKEN = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class TwilioSettings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="OFFHOOK_TWILIO_", frozen=True, extra="ignore", hide_input_in_errors=True
    )

    account_sid: str = ""
    auth_token: str = ""
    sender: str = Field(default="", validation_alias="OFFHOOK_TWILIO_FROM")  #: a number, or a messaging service's id
    api_url: str = "https://api.twilio.com"


class Twilio:
    name = "twilio"

    def __init__(self, settings: TwilioSettings) -> None:
        self.sender = settings.sender or None
        self._client = httpx.AsyncClient(
            base_url=f"{settings.api_url.rstrip('/')}/2010-04-01/Accounts/{settings.account_sid}/",
            auth=(settings.account_sid, settings.auth_token),
            timeout=_TIMEOUT,
        )

    async def send(self, text: Text) -> Taken:
        answer = await self._asked("POST", data=self._form(text))
        if answer.is_success:
            return Taken(_sid(answer))
        raise _refusal(answer)

    async def ask(self, text: Text, since: float, known: Collection[str]) -> Taken | NotTaken:
        answer = await self._asked("GET", params={"To": text.to, "PageSize": str(_LISTED)})
        if not answer.is_success:
            raise Unsure(f"Twilio did not list its messages: {_said(answer)}.")
        for listed in _fields(answer).get("messages") or []:
            if _is_of(listed, text, since) and listed["sid"] not in known:
                return Taken(listed["sid"])
        return NotTaken()

    async def close(self) -> None:
        await self._client.aclose()

    def _form(self, text: Text) -> dict[str, str]:
        sender = text.sender or self.sender or ""
        form = {"To": text.to, "Body": text.body}
        form["MessagingServiceSid" if sender.startswith(_SERVICE) else "From"] = sender
        return form | ({"StatusCallback": text.receipts_url} if text.receipts_url else {})

    async def _asked(self, method: str, **words: Any) -> httpx.Response:
        try:
            return await self._client.request(method, "Messages.json", **words)
        except _NOT_TAKEN as error:
            raise TryLater(f"Twilio cannot be reached: {_named(error)}.") from error
        except httpx.HTTPError as error:
            raise Unsure(f"Twilio did not answer: {_named(error)}.") from error


def opened() -> Twilio:
    """Mistake names the first setting that it lacks."""
    settings = read_settings(TwilioSettings)
    needed = {"ACCOUNT_SID": settings.account_sid, "AUTH_TOKEN": settings.auth_token, "FROM": settings.sender}
    for name, value in needed.items():
        if not value:
            raise Mistake(f"OFFHOOK_SMS=twilio needs OFFHOOK_TWILIO_{name}: copy it from Twilio's console.")
    return Twilio(settings)


# What it answers


def _refusal(answer: httpx.Response) -> Exception:
    """What follows from an answer that is no success."""
    fields = _fields(answer)
    if fields.get("code") == _OPTED_OUT:
        return OptedOut("The person has asked Twilio not to be texted.")
    if answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
        return TryLater("Twilio takes no more just now.", after_s=_retry_after_s(answer))
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        return TryLater("Twilio refuses OFFHOOK_TWILIO_ACCOUNT_SID and OFFHOOK_TWILIO_AUTH_TOKEN.")
    if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
        return Unsure(f"Twilio failed: {_said(answer)}.")
    return GiveUp(f"Twilio refuses it: {_said(answer)}.")


def _said(answer: httpx.Response) -> str:
    """Its status and error code. Not its sentence, which repeats the number."""
    code = _fields(answer).get("code")
    return f"status {answer.status_code}" + (f", error {code}" if isinstance(code, int) else "")


def _sid(answer: httpx.Response) -> str:
    sid = _fields(answer).get("sid")
    if not isinstance(sid, str):
        raise Unsure("Twilio's answer cannot be read.")
    return sid


def _fields(answer: httpx.Response) -> dict[str, Any]:
    try:
        return msgspec.json.decode(answer.content, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}


def _retry_after_s(answer: httpx.Response) -> float | None:
    said = answer.headers.get("Retry-After", "")
    return min(float(said), 3600.0) if said.isascii() and said.isdigit() else None


def _is_of(listed: Mapping[str, Any], text: Text, since: float) -> bool:
    """Trial accounts put words of their own before a text."""
    is_alike = listed.get("to") == text.to and str(listed.get("body", "")).endswith(text.body)
    is_ours = str(listed.get("direction", "outbound")).startswith("outbound")
    return is_alike and is_ours and _made_at(listed) >= since - _CLOCKS_S


def _made_at(listed: Mapping[str, Any]) -> float:
    try:
        return parsedate_to_datetime(str(listed.get("date_created"))).timestamp()
    except ValueError:
        return 0.0


def _named(error: Exception) -> str:
    return str(error) or type(error).__name__


# What it calls

#: How far a text got. What Twilio has is sent, as far as we are concerned.
_STANDINGS: dict[str, Literal["sent", "delivered", "failed"]] = {
    "accepted": "sent",
    "scheduled": "sent",
    "queued": "sent",
    "sending": "sent",
    "sent": "sent",
    "delivered": "delivered",
    "read": "delivered",
    "undelivered": "failed",
    "failed": "failed",
    "canceled": "failed",
}

#: Read 2026-11: https://www.twilio.com/docs/messaging/tutorials/advanced-opt-out
_STOP = frozenset({"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"})
_START = frozenset({"START", "UNSTOP", "YES"})


class Receipt(NamedTuple):
    """What became of a text."""

    provider_id: str
    standing: Literal["sent", "delivered", "failed"]
    reason: str | None


class Reply(NamedTuple):
    """A text that a person sent."""

    provider_id: str
    sender: str
    ours: tuple[str, ...]  #: what it was sent to: a number, and the messaging service that has it
    body: str
    wish: Literal["stop", "start"] | None  #: not to be texted any more; or again


Fields = Sequence[tuple[str, str]]


def read_form(body: bytes) -> Fields:
    """The form's fields; none of what is no form."""
    try:
        return parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        return []


def is_signed(auth_token: str, urls: Iterable[str], fields: Fields, signature: str) -> bool:
    """Whether Twilio signed *fields* for one of *urls*, in whichever spelling of its port. No token signs nothing."""
    spelled = "".join(name + value for name, value in sorted(set(fields)))
    sent = signature.encode("utf-8", "replace")
    proven = [
        hmac.compare_digest(_signature(auth_token, url + spelled), sent)
        for given in urls
        for url in _with_and_without_port(given)
    ]
    return bool(auth_token) and any(proven)


def read_receipt(fields: Fields) -> Receipt | None:
    """None for what says nothing that we know."""
    said = dict(fields)
    standing = _STANDINGS.get(said.get("MessageStatus", said.get("SmsStatus", "")))
    sid = said.get("MessageSid") or said.get("SmsSid")
    if standing is None or not sid:
        return None
    code = said.get("ErrorCode")
    return Receipt(sid, standing, f"Twilio says error {code}." if code and standing == "failed" else None)


def read_reply(fields: Fields) -> Reply | None:
    said = dict(fields)
    sid = said.get("MessageSid") or said.get("SmsSid")
    if not sid or not said.get("From"):
        return None
    ours = tuple(filter(None, (said.get("To"), said.get("MessagingServiceSid"))))
    return Reply(sid, said["From"], ours, said.get("Body", "").replace("\0", ""), _wish(said))


def _wish(said: Mapping[str, str]) -> Literal["stop", "start"] | None:
    word = (said.get("OptOutType") or said.get("Body", "")).strip().strip(".!\"'").upper().replace(" ", "")
    return "stop" if word in _STOP else "start" if word in _START else None


def _signature(auth_token: str, text: str) -> bytes:
    return base64.b64encode(hmac.digest(auth_token.encode(), text.encode("utf-8", "surrogatepass"), "sha1"))


def _with_and_without_port(url: str) -> tuple[str, str]:
    """Twilio signs the URL with its port or without, whichever way it was asked to call it."""
    try:
        parts = urlsplit(url)
        given_port = parts.port
    except ValueError:  # whoever knocks writes the Host that it is made of
        return url, url
    host = parts.netloc.rpartition("@")[2]
    bare = host.rpartition(":")[0] if given_port is not None else host
    port = given_port or (443 if parts.scheme == "https" else 80)
    return tuple(urlunsplit(parts._replace(netloc=netloc)) for netloc in (bare, f"{bare}:{port}"))  # type: ignore[return-value]
