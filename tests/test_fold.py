"""A call is a fold of its events: in any order, however often, with whatever drift, the same events give the same call."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offhook import events
from offhook.events import Audio, Event
from offhook.projection.gathering import gather
from offhook.projection.settling import Folded, settle
from offhook.store.contexts import Context
from offhook.store.tables import calls
from tests.payloads import BOOKING, ORG, RECEIVED_AT, event, payload, put

OLDER = "post_call_transcription__older"  # the same conversation as BOOKING
AUDIO = "post_call_audio"  # as well
MP3 = Audio(file="f" * 32, size_bytes=1000, sha256="e" * 64, duration_s=25.9)


def folded(*filed: Event, context: Context | None = None, country: str = "CA") -> Folded:
    gathered = gather(filed)
    assert gathered is not None
    return settle(gathered, context, country)


def call(*filed: Event, context: Context | None = None, country: str = "CA") -> dict[str, Any]:
    return folded(*filed, context=context, country=country).call


def told(name: str, *changes: tuple[str, Any], **facts: Any) -> Event:
    return event(payload(name, *changes), **facts)


def booking(*changes: tuple[str, Any], **facts: Any) -> Event:
    return told(BOOKING, *changes, **facts)


def recording(audio: Audio | None = MP3, **facts: Any) -> Event:
    return told(AUDIO, audio=audio, **facts)


def failure(*changes: tuple[str, Any], of: str = BOOKING, **facts: Any) -> Event:
    """A failed attempt of the same conversation as *of*."""
    conversation_id = payload(of)["data"]["conversation_id"]
    return told("call_initiation_failure__twilio_busy", ("data.conversation_id", conversation_id), *changes, **facts)


# One event


def test_a_transcription_is_a_completed_call_with_its_note() -> None:
    made = folded(booking())
    assert events.call_id(ORG, "conv_8f3d1b9c2e7a4f0b9a4d2c1e6e2f8c01") == made.call["id"]
    expected = {
        "org_id": ORG,
        "provider": "elevenlabs",
        "provider_call_id": "conv_8f3d1b9c2e7a4f0b9a4d2c1e6e2f8c01",
        "call_sid": "CA1234567890abcdef1234567890abcdef",
        "direction": "inbound",
        "status": "completed",
        "channel": "phone",
        "from_number": "+14165550100",
        "to_number": "+12362320246",
        "agent_id": "agent_01jx5w8n2mf4tv6z3kq9e7rhyd",
        "agent_name": "Harbour Dental front desk",
        "started_at": 1763741042.0,
        "answered_at": 1763741043.0,
        "ended_at": 1763741069.0,
        "duration_s": 26.0,
        "happened_at": 1763741042.0,
        "title": "Emergency appointment at 15:40",
        "is_successful": True,
        "cost_credits": 184.0,
        "cost_usd": 0.0368,
        "failure": None,
        "created_at": RECEIVED_AT,
    }
    assert expected == {name: made.call[name] for name in expected}
    assert "+14165550100" == made.number
    assert made.note is not None
    assert (events.note_id(made.call["id"], "ai_summary"), made.call["summary"]) == (made.note.id, made.note.note)


def test_the_rows_are_those_of_the_table() -> None:
    assert {column.name for column in calls.c} - {"contact_id", "updated_at"} == call(booking()).keys()


def test_the_transcript_is_what_the_api_shows() -> None:
    turns = json.loads(call(booking())["transcript"])
    assert {"role": "user", "message": "No, thank you. Bye!", "timestamp": 22.0} == {
        name: turns[7][name] for name in ("role", "message", "timestamp")
    }
    assert "check_availability" == turns[2]["toolCalls"][0]["name"]
    assert turns[2]["message"] is None


def test_no_summary_no_note() -> None:
    assert folded(booking(("data.analysis", None))).note is None
    assert folded(booking(("data.analysis.transcript_summary", "  "))).note is None


def test_the_moment_of_sending_is_never_the_start() -> None:
    made = call(told(OLDER))
    assert made["started_at"] is None
    assert made["ended_at"] is None
    assert RECEIVED_AT == made["happened_at"]


def test_audio_alone_is_a_call_in_progress() -> None:
    made = folded(recording())
    assert ("in-progress", None, "phone") == (made.call["status"], made.call["direction"], made.call["channel"])
    assert ("[]", None, None) == (made.call["transcript"], made.note, made.number)
    (kept,) = made.recordings
    assert (events.recording_id(made.call["id"], MP3.sha256), "ready", 25.9) == (kept.id, kept.state, kept.duration_s)


@pytest.mark.parametrize(
    ("audio", "state"),
    [
        (MP3, "ready"),
        (Audio(file="f", size_bytes=3, sha256="a" * 64), "not_playable"),
        (Audio(file="f", size_bytes=3, sha256="a" * 64, is_decoded=False), "undecodable"),
    ],
)
def test_a_recording_says_whether_it_can_be_played(audio: Audio, state: str) -> None:
    assert [state] == [kept.state for kept in folded(recording(audio)).recordings]


def test_an_audio_event_without_audio_makes_no_recording() -> None:
    assert () == folded(recording(None)).recordings


@pytest.mark.parametrize(
    ("name", "status", "person"),
    [
        ("call_initiation_failure__twilio_busy", "busy", "+14165550155"),
        ("call_initiation_failure__sip_no_answer", "no-answer", "+14165550166"),
        ("call_initiation_failure__older", "failed", None),
    ],
)
def test_an_attempt_is_outbound_and_the_person_is_who_was_rung(name: str, status: str, person: str | None) -> None:
    made = folded(told(name))
    assert ("outbound", status, person) == (made.call["direction"], made.call["status"], made.number)
    assert person == made.call["to_number"]


def test_an_attempt_that_says_it_came_in_has_the_person_at_the_other_end() -> None:
    made = folded(failure(("data.metadata.body.Direction", "inbound")))
    assert ("inbound", "+12362320246") == (made.call["direction"], made.number)


def test_a_conversation_that_failed_is_a_failed_call_and_says_why() -> None:
    made = call(told("post_call_transcription__failed"))
    assert "failed" == made["status"]
    assert made["failure"].startswith("Missing required dynamic variables")
    assert made["answered_at"] is None


def test_what_ended_well_has_no_failure_though_it_says_why_it_ended() -> None:
    assert call(booking())["failure"] is None


@pytest.mark.parametrize(
    ("name", "channel", "ends", "number", "user_id"),
    [
        (
            "post_call_transcription__widget",
            "web",
            (None, None),
            None,
            "customer-4711",
        ),
        ("post_call_transcription__whatsapp", "whatsapp", ("+14165550177", None), "+14165550177", "14165550177"),
        ("post_call_transcription__sms", "sms", ("+12362320246", "+14165550133"), "+14165550133", None),
    ],
)
def test_conversations_without_a_telephone_have_their_channel_and_their_person(
    name: str, channel: str, ends: tuple[str, str], number: str | None, user_id: str | None
) -> None:
    made = folded(told(name))
    assert channel == made.call["channel"]
    assert ends == (made.call["from_number"], made.call["to_number"])
    assert (number, user_id) == (made.number, made.user_id)


def test_an_outbound_call_is_answered_when_it_was_accepted_and_ends_after_that() -> None:
    made = call(told("post_call_transcription__outbound_sip"), country="CA")
    assert ("outbound", "+442079460123", "+442079460456") == (made["direction"], made["from_number"], made["to_number"])
    assert (1763744987.0, 1763745002.0) == (made["answered_at"], made["ended_at"])


@pytest.mark.parametrize("type", ["answering_machine_detection", "personalization", "something_new"])
def test_events_of_other_types_make_no_call(type: str) -> None:
    assert gather([booking(type=type)]) is None


def test_events_of_other_types_change_no_call() -> None:
    assert folded(booking()) == folded(booking(), recording(None, type="something_new", id="1" * 24))


# Who rang whom


NUMBERS = ("data.metadata.phone_call", "data.metadata.caller_id", "data.metadata.called_id")


def whoever(*changes: tuple[str, Any]) -> Event:
    """OLDER with nothing that names a number but what *changes* say."""
    return told(
        OLDER,
        ("data.metadata", {"caller_id": None, "called_id": None}),
        ("data.conversation_initiation_client_data", {"dynamic_variables": {}}),
        *changes,
    )


PHONE_CALL = {"direction": "inbound", "external_number": "+14165550111", "agent_number": "+12362320111"}
RINGING = Context(asked_at=RECEIVED_AT, caller="+14165550133", called="+12362320133", variables={"caller_name": "Ann"})
FROM_PHONE_CALL = ("data.metadata.phone_call", PHONE_CALL)
FROM_METADATA = ("data.metadata.caller_id", "+14165550122"), ("data.metadata.called_id", "+12362320122")
FROM_VARIABLES = (
    "data.conversation_initiation_client_data.dynamic_variables",
    {"system__caller_id": "+14165550144", "system__called_number": "+12362320144"},
)


@pytest.mark.parametrize(
    ("changes", "context", "ends"),
    [
        ((FROM_PHONE_CALL, *FROM_METADATA, FROM_VARIABLES), RINGING, ("+14165550111", "+12362320111")),
        ((*FROM_METADATA, FROM_VARIABLES), RINGING, ("+14165550122", "+12362320122")),
        ((FROM_VARIABLES,), RINGING, ("+14165550133", "+12362320133")),
        ((FROM_VARIABLES,), None, ("+14165550144", "+12362320144")),
        ((), None, (None, None)),
        ((FROM_METADATA[0],), RINGING, ("+14165550122", "+12362320133")),
    ],
)
def test_numbers_come_from_the_best_source_that_has_them(
    changes: tuple[tuple[str, Any], ...], context: Context | None, ends: tuple[str, str]
) -> None:
    made = folded(whoever(*changes), context=context)
    assert ends == (made.call["from_number"], made.call["to_number"])
    assert ends[0] == made.number
    assert "inbound" == made.call["direction"]


def test_a_conversation_without_any_number_was_held_in_a_browser() -> None:
    assert "web" == call(whoever())["channel"]
    assert "phone" == call(whoever(), context=RINGING)["channel"]
    assert "phone" == call(whoever(FROM_VARIABLES))["channel"]


def test_an_outbound_call_has_its_person_at_the_called_end() -> None:
    outbound = {"direction": "outbound", "external_number": "+14165550111", "agent_number": "+12362320111"}
    made = folded(whoever(("data.metadata.phone_call", outbound)))
    assert ("+12362320111", "+14165550111") == (made.call["from_number"], made.call["to_number"])
    assert "+14165550111" == made.number
    made = folded(whoever(("data.metadata.phone_call", {"direction": "outbound"}), *FROM_METADATA))
    assert ("+14165550122", "+12362320122") == (made.call["from_number"], made.call["to_number"])
    assert "+12362320122" == made.number


@pytest.mark.parametrize(
    ("spelling", "called", "country", "number"),
    [
        ("(416) 555-0100", "+12362320246", "DE", "+14165550100"),  # in the country of the number that was called
        ("020 7946 0456", "+442079460123", "CA", "+442079460456"),
        ("416-555-0100", None, "CA", "+14165550100"),  # in the organisation's
        (14165550100, "+12362320246", "CA", "+14165550100"),
        ("sip:+14165550100@pbx.example.net", "+12362320246", "CA", "+14165550100"),
    ],
)
def test_numbers_are_read_in_the_country_where_they_were_dialled(
    spelling: Any, called: str | None, country: str, number: str
) -> None:
    made = folded(whoever(("data.metadata.caller_id", spelling), ("data.metadata.called_id", called)), country=country)
    assert (number, number) == (made.number, made.call["from_number"])


@pytest.mark.parametrize("spelling", ["anonymous", "Restricted", "+266696687", "alice", "x" * 5000])
def test_whoever_withholds_the_number_is_nobody_but_what_came_is_shown(spelling: str) -> None:
    made = folded(whoever(("data.metadata.caller_id", spelling), ("data.metadata.called_id", "+12362320246")))
    assert made.number is None
    assert spelling[:256] == made.call["from_number"]


def test_what_the_agent_was_told_stands_beside_the_variables_of_the_call() -> None:
    context = json.loads(call(booking(), context=RINGING)["context"])
    assert {"caller_name": "Ann"} == context["told"]
    assert "Alex Morgan" == context["variables"]["caller_name"]
    assert call(recording()).get("context") is None


# Several events


def everything() -> list[Event]:
    """What may be said of one conversation, twice over and in contradiction."""
    return [
        booking(received_at=RECEIVED_AT + 3),
        booking(
            ("event_timestamp", 1763741500), ("data.analysis.transcript_summary", "Corrected."), ("data.metadata", None)
        ),
        told(OLDER, received_at=RECEIVED_AT + 1),
        told(OLDER, ("event_timestamp", None), ("data.call_duration_secs", 7), event_timestamp=None),
        booking(("event_timestamp", None), ("data.agent_name", "Fetched"), event_timestamp=None, source="reconciled"),
        failure(received_at=RECEIVED_AT - 2),
        failure(("event_timestamp", 1763760011), ("data.failure_reason", "no-answer")),
        recording(received_at=RECEIVED_AT + 2),
        recording(Audio(file="g" * 32, size_bytes=2, sha256="d" * 64), id="2" * 24, sha256="2" * 64),
        recording(id="3" * 24, sha256="3" * 64, received_at=RECEIVED_AT + 9),
    ]


@settings(max_examples=200)
@given(st.data())
def test_any_order_and_any_repetition_give_the_same_call(data: st.DataObject) -> None:
    some = data.draw(st.lists(st.sampled_from(everything()), min_size=1, unique_by=lambda one: one.id))
    again = data.draw(st.lists(st.sampled_from(some)))
    shuffled = data.draw(st.permutations(some + again))
    assert folded(*some) == folded(*shuffled)


STATUSES = {"ended": "completed", "failed": "busy", "audio": "in-progress"}


@pytest.mark.parametrize("order", list(itertools.permutations(["ended", "failed", "audio"])), ids="-".join)
def test_a_transcription_beats_a_failure_and_a_failure_beats_audio_in_any_order(order: tuple[str, ...]) -> None:
    said = {"ended": booking(), "failed": failure(("event_timestamp", 1999999999)), "audio": recording()}
    for count in (1, 2, 3):
        heard = order[:count]
        best = min(heard, key=["ended", "failed", "audio"].index)
        made = folded(*(said[one] for one in heard))
        assert STATUSES[best] == made.call["status"]
        assert len(made.recordings) == ("audio" in heard)


def test_a_failure_takes_nothing_from_a_transcription() -> None:
    alone, both = call(booking()), call(booking(), failure(("event_timestamp", 1999999999)))
    assert alone == both


def test_a_correction_overwrites_what_it_says_and_leaves_what_it_does_not() -> None:
    first = booking()
    later = booking(
        ("event_timestamp", 1763741999),
        ("data.analysis.transcript_summary", "Corrected."),
        ("data.analysis.call_summary_title", None),
        ("data.metadata.cost", ...),
        ("data.metadata.call_duration_secs", 30),
        ("data.transcript", None),
        ("data.agent_name", 12.5),
    )
    made = folded(first, later)
    assert "Corrected." == made.call["summary"]
    assert made.note is not None
    assert "Corrected." == made.note.note
    assert ("Emergency appointment at 15:40", 184.0) == (made.call["title"], made.call["cost_credits"])
    assert (30.0, "12.5") == (made.call["duration_s"], made.call["agent_name"])
    assert call(first)["transcript"] == made.call["transcript"]
    assert "Emergency appointment at 15:40" == json.loads(made.call["analysis"])["call_summary_title"]
    assert 184 == json.loads(made.call["details"])["metadata"]["cost"]


def test_what_was_sent_later_wins_whenever_it_came() -> None:
    newer = booking(("event_timestamp", 1763741999), ("data.agent_name", "Newer"), received_at=RECEIVED_AT - 500)
    older = booking(("data.agent_name", "Older"), received_at=RECEIVED_AT + 500)
    assert "Newer" == call(older, newer)["agent_name"]


def test_what_was_fetched_or_has_no_time_gives_way_to_what_was_sent() -> None:
    fetched = booking(("data.agent_name", "Fetched"), source="reconciled", event_timestamp=None)
    timeless = booking(("data.agent_name", "Timeless"), event_timestamp=None)
    sent = booking(("data.agent_name", "Sent"))
    assert "Sent" == call(fetched, timeless, sent)["agent_name"]
    assert "Timeless" == call(timeless, fetched)["agent_name"]


def test_the_same_recording_sent_twice_is_kept_once() -> None:
    made = folded(recording(), recording(id="1" * 24, sha256="1" * 64, received_at=RECEIVED_AT + 60))
    assert 1 == len(made.recordings)


def test_a_call_was_made_when_the_first_word_of_it_came() -> None:
    made = call(booking(received_at=RECEIVED_AT + 60), recording(received_at=RECEIVED_AT + 5))
    assert RECEIVED_AT + 5 == made["created_at"]


# Drift


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
BLOCKS = [
    "data", "data.metadata", "data.metadata.phone_call", "data.metadata.phone_call.direction", "data.analysis",
    "data.metadata.phone_call.external_number", "data.metadata.start_time_unix_secs", "data.transcript", "data.status",
    "data.metadata.call_duration_secs", "data.transcript.0", "data.transcript.2.tool_calls", "data.agent_id", "data.user_id",
    "data.conversation_initiation_client_data", "data.conversation_initiation_client_data.dynamic_variables",
    "data.metadata.error", "data.metadata.whatsapp", "data.metadata.sms", "data.metadata.batch_call",
]  # fmt: skip


@settings(max_examples=300)
@given(st.lists(st.tuples(st.sampled_from(BLOCKS), JUNK), max_size=4), st.permutations([0, 1, 2]))
def test_no_drift_raises_and_every_order_of_it_gives_the_same_call(
    drift: list[tuple[str, Any]], order: list[int]
) -> None:
    content = payload(BOOKING)
    for path, junk in sorted(drift, key=lambda one: -len(one[0])):
        put(content, path, junk)
    call_id = events.call_id(ORG, "conv_8f3d1b9c2e7a4f0b9a4d2c1e6e2f8c01")
    drifted = event(content, call_id=call_id, conversation_id="conv_8f3d1b9c2e7a4f0b9a4d2c1e6e2f8c01", agent_id=None)
    said = [drifted, booking(("event_timestamp", 1763741999)), failure()]
    assert folded(*said) == folded(*(said[n] for n in order))
    row = call(drifted, context=RINGING)
    assert [] == [name for name, value in row.items() if not isinstance(value, str | float | bool | None)]
    assert b"\x00" not in "".join(value for value in row.values() if isinstance(value, str)).encode()
    assert 0 < row["happened_at"] < 253_402_300_800
