"""The benchmark measures what it says: its verdicts, its load, and the handler that offhook is compared with."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from bench.contenders import Baseline
from bench.letters import Recording, Transcriptions, questions
from bench.load import Broken, chunked, closed_loop, open_loop, upload
from bench.outcome import Outcome, at_least, at_most
from bench.table import ROWS
from tests.services import new_folder


@pytest.fixture
def baseline() -> Iterator[Baseline]:
    handler = Baseline(new_folder("baseline") / "round", "", {})
    handler.start()
    yield handler
    handler.kill()


def test_a_row_is_as_good_as_the_worst_of_its_figures() -> None:
    good, fair, bad = (at_least("rate", ratio, floor=8, goal=15) for ratio in (16, 9, 7))
    slow = at_most("p99", 70, "ms", floor=60)
    assert "goal reached" == Outcome({}, {}, (good, good)).verdict
    assert "floor held" == Outcome({}, {}, (good, fair)).verdict
    assert "floor NOT held: rate, p99" == Outcome({}, {}, (bad, good, slow)).verdict


def test_a_figure_that_only_has_a_goal_can_hold_no_row_back() -> None:
    assert "floor held" == Outcome({}, {}, (at_most("p99", 13, "ms", goal=12),)).verdict


def test_each_row_has_a_name_of_its_own() -> None:
    assert len(ROWS) == len({row.name for row in ROWS})


def test_an_empty_piece_does_not_end_a_chunked_body() -> None:
    assert [b"2\r\nab\r\n", b"1\r\nc\r\n", b"0\r\n\r\n"] == list(chunked([b"ab", b"", b"c"]))


def test_the_baseline_keeps_a_call_and_a_note_of_each_conversation(baseline: Baseline) -> None:
    letters = Transcriptions(10_240, 40)
    run = closed_loop(baseline.port, letters.requests(baseline.doors, 0, 40), connections=4, seconds=10)
    assert 40 == run.answers
    with closing(sqlite3.connect(baseline.folder / "calls.db")) as connection:
        kept = connection.execute(
            "SELECT count(DISTINCT conversation_id), count(DISTINCT caller) FROM calls"
        ).fetchone()
        assert ((40, 40), (40,)) == (kept, connection.execute("SELECT count(*) FROM notes").fetchone())


def test_the_baseline_keeps_recordings_and_answers_who_is_ringing(baseline: Baseline) -> None:
    recording = Recording(1 << 20)
    upload(baseline.port, recording.request(baseline.doors))
    assert b"".join(recording.body.mp3()) == b"".join(baseline.kept_audio(recording.body.conversation_id))
    run = open_loop(baseline.port, questions(baseline.doors, callers=10), rate=50, seconds=0.4)
    assert 20 == run.answers


def test_an_answer_but_200_is_no_measurement(baseline: Baseline) -> None:
    letters = Transcriptions(10_240, 2)
    forged = (request.replace(b"v0=", b"v0=0") for request in letters.requests(baseline.doors, 0, 2))
    with pytest.raises(Broken, match="401"):
        closed_loop(baseline.port, forged, connections=1, seconds=1)


def test_the_open_loop_charges_a_stall_to_all_who_came_meanwhile(baseline: Baseline) -> None:
    thaw = threading.Timer(1.0, baseline.thaw)
    asked = questions(baseline.doors, callers=10)
    open_loop(baseline.port, asked, rate=50, seconds=0.2)
    baseline.freeze()
    thaw.start()
    run = open_loop(baseline.port, asked, rate=100, seconds=0.6, connections=8)
    assert 60 == run.answers
    assert sum(latency_s > 0.02 for latency_s in run.latencies_s) > 10
