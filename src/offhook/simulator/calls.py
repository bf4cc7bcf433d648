"""A scenario and a seed make a call: its ids, its times, and who hears whom. Pure; the same seed makes the same call."""

import random
from collections.abc import Iterator

import msgspec

from offhook.simulator.scenarios import FAILURES, SCENARIOS, Failure, Scenario, Turn
from offhook.simulator.speech import Spoken, spoken

_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"  #: the alphabet of ElevenLabs' own ids
_HEX = "0123456789abcdef"


class Line(msgspec.Struct, frozen=True):
    """What names the two ends and the conversation between them."""

    agent_id: str
    conversation_id: str
    call_sid: str  #: the carrier's id; Twilio's begins with CA, a SIP trunk's with SCL_
    account_sid: str  #: the customer of the carrier
    phone_number_id: str  #: ElevenLabs' id of the business's number


class Moment(msgspec.Struct, frozen=True):
    """A turn, and when it is heard."""

    turn: Turn
    starts_s: float  #: from the call's beginning
    lasts_s: float


class Call(msgspec.Struct, frozen=True):
    """A call that somebody answered."""

    scenario: Scenario
    line: Line
    started_at: int  #: unix, UTC
    spoken: Spoken
    seed: str  #: draws what else is a matter of chance, such as latencies

    @property
    def ended_at(self) -> int:
        return self.started_at + round(self.spoken.duration_s)

    @property
    def moments(self) -> list[Moment]:
        return [
            Moment(*heard) for heard in zip(self.scenario.turns, self.spoken.starts_s, self.spoken.lasts_s, strict=True)
        ]


class Attempt(msgspec.Struct, frozen=True):
    """An outbound call that nobody answered."""

    failure: Failure
    line: Line
    started_at: int  #: unix, UTC


def answered(scenario: Scenario, seed: str, ended_at: float, workspace: str = "") -> Call:
    """A call by *scenario* that ended at *ended_at* (unix, UTC). Each *workspace* has agents of its own."""
    sound = spoken(scenario)
    line = _line(scenario.business.name, scenario.business.carrier == "twilio", seed, workspace)
    return Call(scenario, line, int(ended_at - sound.duration_s), sound, seed)


def attempted(failure: Failure, seed: str, ended_at: float, workspace: str = "") -> Attempt:
    """An attempt that was given up at *ended_at* (unix, UTC)."""
    return Attempt(failure, _line(failure.business.name, failure.carrier == "twilio", seed, workspace), int(ended_at))


def deck(seed: str) -> Iterator[Scenario | Failure]:
    """Scenarios for ever: each round has every scenario and one failure, shuffled, and never begins with the failure."""
    dice = random_of(seed, "deck")
    for failure in _for_ever(FAILURES, dice):
        cards: list[Scenario | Failure] = list(SCENARIOS)
        dice.shuffle(cards)
        cards.insert(dice.randint(1, len(cards)), failure)
        yield from cards


def random_of(*seed: str) -> random.Random:
    """A generator that draws the same for the same *seed*."""
    return random.Random("\0".join(seed))  # noqa: S311 - nothing here is a secret


def _for_ever(failures: tuple[Failure, ...], dice: random.Random) -> Iterator[Failure]:
    while True:
        yield from dice.sample(failures, len(failures))


def _line(business: str, is_twilio: bool, seed: str, workspace: str) -> Line:
    theirs, ours = random_of(seed, "ids"), random_of(workspace, business)
    return Line(
        agent_id="agent_" + _drawn(ours, _CROCKFORD, 26),
        phone_number_id="phnum_" + _drawn(ours, _CROCKFORD, 26),
        account_sid="AC" + _drawn(ours, _HEX, 32),
        conversation_id="conv_" + _drawn(theirs, _CROCKFORD, 26),
        call_sid="CA" + _drawn(theirs, _HEX, 32) if is_twilio else "SCL_" + _drawn(theirs, _CROCKFORD, 12),
    )


def _drawn(dice: random.Random, alphabet: str, length: int) -> str:
    return "".join(dice.choices(alphabet, k=length))
