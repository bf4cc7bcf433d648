"""The personalization request, read while a caller waits: never refused, whatever it is.

Follows https://elevenlabs.io/docs/eleven-agents/customization/personalization/twilio-personalization, read 2026-10.
"""

from typing import Any

import msgspec

from offhook.voice import json_text, lenient
from offhook.voice.contract import CallerAnnounced
from offhook.voice.elevenlabs.payloads import Personalization

_AS_PROMISED = msgspec.json.Decoder(Personalization)
_AS_IT_CAME = msgspec.json.Decoder(dict[str, Any])


def read_announcement(body: bytes) -> CallerAnnounced:
    """Who is ringing, as far as *body* says; a field that is missing or unreadable is None, and so are all of rubbish."""
    sent = _sent(body)
    return CallerAnnounced(
        conversation_id=_word(sent.conversation_id),
        call_sid=_word(sent.call_sid),
        agent_id=_word(sent.agent_id),
        user_id=_word(sent.user_id),
        caller=_word(sent.caller_id),
        called=_word(sent.called_number) or _word(sent.called_id),
    )


def _sent(body: bytes) -> Personalization:
    try:
        return json_text.decode(body, _AS_PROMISED)
    except json_text.Unreadable:
        pass  # often only a field has another type than promised
    try:
        return lenient.read(Personalization, json_text.decode(body, _AS_IT_CAME)) or Personalization()
    except json_text.Unreadable:
        return Personalization()


def _word(text: str | None) -> str | None:
    return (text.replace("\0", "") or None) if text else None
