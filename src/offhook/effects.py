"""Every kind of effect and every schedule: what offhook does to the world outside, and what it does by the clock.

A row here is a name and how it is brought about; the ledger (ledger.py) leases, retries and gives up.
"""

from offhook.alerts import WITHIN_S as ALERT_WITHIN_S
from offhook.fetching import WITHIN_S, Fetching
from offhook.guardian.alert import KIND as ALERT
from offhook.guardian.rounds import EVERY_S, ROUND_S, Guardian
from offhook.ledger import Kind
from offhook.messages import Messages
from offhook.reconcile import rounds
from offhook.reconcile.rounds import Reconcile
from offhook.replaying import KIND as REPLAY
from offhook.replaying import WITHIN_S as REPLAY_S
from offhook.replaying import Replays
from offhook.waveforms import WITHIN_S as WAVEFORM_S
from offhook.waveforms import Waveforms

_TEXT_S = 60.0  #: one attempt; a provider is given 15 s for each of its requests


def kinds(
    fetching: Fetching,
    messages: Messages,
    guardian: Guardian,
    reconcile: Reconcile,
    replays: Replays,
    waveforms: Waveforms,
) -> dict[str, Kind]:
    """By the name that rows of store.tables.effects bear; a row whose kind is not here waits for an offhook that knows it."""
    return {
        ALERT: Kind(guardian.tell, within_s=ALERT_WITHIN_S + 10, hands=1),
        "fetch_recording": Kind(fetching.fetch_recording, within_s=WITHIN_S + 60),
        "guard": Kind(guardian.guard, every_s=EVERY_S, jitter=0.1, within_s=ROUND_S),
        "missed_call_text": Kind(messages.text_missed_call, within_s=_TEXT_S, on_dead=messages.give_up),
        "reconcile": Kind(reconcile.go_round, every_s=rounds.EVERY_S, jitter=rounds.JITTER, within_s=rounds.WITHIN_S),
        REPLAY: Kind(replays.replay, attempts=3, within_s=REPLAY_S, hands=1),
        "text": Kind(messages.send_now, within_s=_TEXT_S, on_dead=messages.give_up),
        "waveform": Kind(waveforms.draw, attempts=3, within_s=WAVEFORM_S, hands=1),
    }
