"""POST /api/webhook/twilio/status and /inbound: receipts of texts, and what people answer. Signed, or not heard.

What a signed callback says is kept before it is answered; 503 makes Twilio tell it again where it was asked to retry.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus

from starlette.types import Receive, Scope, Send

from offhook.errors import Unavailable
from offhook.messages import Messages
from offhook.refusals import Refusals
from offhook.sms import twilio
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

_BODY_BYTES = 64 * 1024  #: a long text with all that Twilio says of it is 5 KB
_NOTHING_TO_SAY = b'<?xml version="1.0" encoding="UTF-8"?><Response></Response>'
_MESSAGE = b"message="


class TwilioDoor:
    """Both callbacks. Without an auth token neither opens."""

    def __init__(
        self,
        *,
        senders: Senders,
        messages: Messages,
        refusals: Refusals,
        auth_token: str,
        public_url: str,
        now: Callable[[], float],
    ) -> None:
        self._senders = senders
        self._messages = messages
        self._refusals = refusals
        self._auth_token = auth_token
        self._public_url = public_url
        self._pace = Pace()
        self._now = now

    async def status(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What became of a text."""

        async def take(fields: twilio.Fields) -> Answer:
            receipt = twilio.read_receipt(fields)
            if receipt is not None:
                await self._messages.take_receipt(receipt, _message_in(scope["query_string"]))
            return Answer(HTTPStatus.NO_CONTENT, b"")

        await self._answer(scope, receive, send, take)

    async def inbound(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What a person sent; nothing is said back, Twilio's own answer to STOP is enough."""

        async def take(fields: twilio.Fields) -> Answer:
            reply = twilio.read_reply(fields)
            if reply is not None:
                await self._messages.take_reply(reply)
            return Answer(HTTPStatus.OK, _NOTHING_TO_SAY, content_type=b"text/xml")

        await self._answer(scope, receive, send, take)

    async def _answer(
        self, scope: Scope, receive: Receive, send: Send, take: Callable[[twilio.Fields], Awaitable[Answer]]
    ) -> None:
        knock = read_knock(scope, self._senders)
        body = bytearray()
        try:
            fields = await self._proven(scope, receive, body)
            answer = await take(fields)
        except TurnedAway as refused:
            answer = self._refused(knock, refused, len(body))
        except Unavailable:
            answer = come_back_later("The database does not answer just now")
        await send_answer(send, answer)

    async def _proven(self, scope: Scope, receive: Receive, body: bytearray) -> twilio.Fields:
        signature = _header(scope, b"x-twilio-signature")
        if not signature or not self._auth_token:
            raise TurnedAway("credentials")
        await self._pace.read_body(receive, partial(_take, body))
        fields = twilio.read_form(bytes(body))
        if not twilio.is_signed(self._auth_token, self._addresses(scope), fields, signature):
            raise TurnedAway("signature")
        return fields

    def _addresses(self, scope: Scope) -> list[str]:
        """How Twilio may have spelled this address. Behind a proxy only the public one is sure."""
        query = scope["query_string"].decode("latin-1")
        target = scope["path"] + ("?" + query if query else "")
        if self._public_url:
            return [self._public_url + target]
        host = _header(scope, b"host") or ""
        return [f"{scheme}://{host}{target}" for scheme in ("https", "http")]

    def _refused(self, knock: Knock, refused: TurnedAway, size_bytes: int) -> Answer:
        return refuse(self._refusals, knock, refused, size_bytes=size_bytes, at=self._now())


async def _take(body: bytearray, piece: bytes) -> None:
    body += piece
    if len(body) > _BODY_BYTES:
        raise TurnedAway("quota", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)


def _header(scope: Scope, wanted: bytes) -> str | None:
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == wanted), None)


def _message_in(query: bytes) -> str | None:
    """Our message's id, as our own address for receipts has it."""
    return query[len(_MESSAGE) :].decode("latin-1") if query.startswith(_MESSAGE) else None
