"""Every kind of effect and every schedule: what offhook does to the world outside, and what it does by the clock.

A row here is a name and how it is brought about; the ledger (ledger.py) leases, retries and gives up.
"""

from offhook.fetching import WITHIN_S, Fetching
from offhook.ledger import Kind
from offhook.messages import Messages

_TEXT_S = 60.0  #: one attempt; a provider is given 15 s for each of its requests


def kinds(fetching: Fetching, messages: Messages) -> dict[str, Kind]:
    """By the name that rows of store.tables.effects bear; a row whose kind is not here waits for an offhook that knows it."""
    return {
        "fetch_recording": Kind(fetching.fetch_recording, within_s=WITHIN_S + 60),
        "missed_call_text": Kind(messages.text_missed_call, within_s=_TEXT_S, on_dead=messages.give_up),
        "text": Kind(messages.send_now, within_s=_TEXT_S, on_dead=messages.give_up),
    }
