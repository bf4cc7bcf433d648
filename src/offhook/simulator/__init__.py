"""Realistic calls for any offhook: what is said, how ElevenLabs tells it, and a sender that signs it.

`offhook simulate` and `offhook demo` use it; so do tests and benchmarks, with the names exported here. For a person's
eyes: `place_calls` tells whole calls. For a load: `transcription_body`, `failure_body`, `personalization_body` and
`AudioBody` make bodies of any size, and `signature` proves them.
"""

from offhook.simulator.bodies import AudioBody, failure_body, personalization_body, transcription_body
from offhook.simulator.calls import Attempt, Call, answered, attempted, deck, random_of
from offhook.simulator.deliveries import (
    SPELLINGS,
    Delivery,
    after,
    before,
    chunks_of,
    disturbed,
    signature,
    with_repeats,
)
from offhook.simulator.scenarios import FAILURES, SCENARIOS, Business, Failure, Person, Scenario
from offhook.simulator.sender import Answer, Sender, Target, place, place_calls

__all__ = [
    "FAILURES",
    "SCENARIOS",
    "SPELLINGS",
    "Answer",
    "Attempt",
    "AudioBody",
    "Business",
    "Call",
    "Delivery",
    "Failure",
    "Person",
    "Scenario",
    "Sender",
    "Target",
    "after",
    "answered",
    "attempted",
    "before",
    "chunks_of",
    "deck",
    "disturbed",
    "failure_body",
    "personalization_body",
    "place",
    "place_calls",
    "random_of",
    "signature",
    "transcription_body",
    "with_repeats",
]
