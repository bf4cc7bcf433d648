"""What follows from a call: pure rules, from a call as it stands to wishes (store/effects.py) and people who wait.

A call is folded again and again, so the same wish is made again and again: its key makes it one.
"""

from collections.abc import Mapping
from typing import Any

from offhook.store.effects import Wish
from offhook.store.follow_ups import Waiting
from offhook.voice import loudness

MISSED = frozenset({"busy", "no-answer", "failed"})


def after_call(call: Mapping[str, Any]) -> list[Wish]:
    """The wishes of *call* (values of store.tables.calls)."""
    wishes = []
    if call["status"] in MISSED:
        # Always a row, also where texts are switched off: whoever asks why nobody was texted finds the answer.
        of_call = {"org_id": call["org_id"], "call_id": call["id"]}
        wishes.append(Wish(kind="missed_call_text", key=call["id"], **of_call))
    return wishes


def to_answer(call: Mapping[str, Any], number: str | None) -> list[Waiting]:
    """Who waits for an answer because *call* was not connected; *number* is the person's, E.164. Who withheld it cannot be
    answered."""
    if call["status"] not in MISSED or number is None:
        return []
    return [
        Waiting(
            org_id=call["org_id"],
            kind="failed" if call["status"] == "failed" or call["direction"] == "outbound" else "missed",
            origin=call["id"],
            number=number,
            at=call["created_at"],
            call_id=call["id"],
            reason=call["failure"],
        )
    ]


def fetch_recording(call: Mapping[str, Any], *, event_id: str, key: str) -> Wish:
    """*event_id* is the event that says where the recording is: its body is sealed, this row is not."""
    of_call = {"org_id": call["org_id"], "call_id": call["id"]}
    return Wish(kind="fetch_recording", key=key, payload={"event": event_id}, **of_call)


def draw_waveform(call: Mapping[Any, Any], recording_id: str) -> Wish:
    """Once for each recording, and again when it is counted in another way."""
    of_call = {"org_id": call["org_id"], "call_id": call["id"]}
    key = f"{recording_id} {loudness.VERSION}"
    return Wish(kind="waveform", key=key, payload={"recording": recording_id}, **of_call)
