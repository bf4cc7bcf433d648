"""Waveforms: counted once for each recording, in a process that may die of one."""

import sys
import time
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa

from offhook import waveforms
from offhook.ledger import Outcome
from offhook.simulator.speech import clips, index, silence
from offhook.store import recordings
from offhook.store.effects import Effect
from offhook.store.tables import recording_peaks
from offhook.voice import loudness
from offhook.waveforms import Waveforms
from tests.api import Api, hex_id, recording_row

_SPEECH = b"".join(clips(sorted(index())[0]))
_CALL = hex_id(7)


def _effect(recording_id: str) -> Effect:
    return Effect(id=hex_id(1), org_id=None, kind="waveform", key=recording_id, call_id=None,
                  payload={"recording": recording_id}, attempts=1, created_at=0)  # fmt: skip


async def _drawn(api: Api, content: bytes, *command: str) -> Outcome:
    await api.add_recording(_CALL, content)
    deps = api.deps
    given = {"command": lambda path: command} if command else {}
    drawer = Waveforms(deps.database, deps.settings.recordings_dir, deps.now, **given)
    return await drawer.draw(_effect(recording_row(api.org.id, _CALL, content)["id"]))


async def _kept(api: Api) -> sa.Row[tuple[object, ...]] | None:
    return await api.deps.database.read(lambda tx: tx.execute(sa.select(recording_peaks)).one_or_none())


async def test_a_recording_is_drawn_and_loud_where_somebody_speaks(api: Api) -> None:
    content = silence(5) + _SPEECH
    assert Outcome("done", "It is drawn.") == await _drawn(api, content)
    kept = await _kept(api)
    assert kept is not None
    peaks = bytes(kept.peaks)
    assert (loudness.VERSION, loudness.MOMENTS, None) == (kept.version, len(peaks), kept.failure)
    quiet = int(len(peaks) * 4.5 / kept.duration_s)
    assert max(peaks[:quiet]) < 5 < 60 < max(peaks[quiet:])
    again = await Waveforms(api.deps.database, Path("/nowhere"), api.deps.now).draw(_effect(kept.recording_id))
    assert Outcome("done", "It was drawn already.") == again
    await api.deps.database.write(recordings.erase, sa.literal(True))
    assert await _kept(api) is None


async def test_what_is_no_mp3_is_kept_as_such(api: Api) -> None:
    assert Outcome("done", "It could not be decoded.") == await _drawn(api, b"no MP3 at all" * 100)
    kept = await _kept(api)
    assert kept is not None
    assert (None, "It could not be decoded.") == (kept.peaks, kept.failure)


async def test_a_file_that_breaks_the_decoder_breaks_nothing_else(api: Api) -> None:
    crash = sys.executable, "-c", "import os; os.kill(os.getpid(), 11)"
    assert Outcome("done", "The decoder broke down over it.") == await _drawn(api, b"poison", *crash)


async def test_a_decoder_that_hangs_is_ended(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waveforms, "WITHIN_S", 10.2)
    outcome = await _drawn(api, b"poison", sys.executable, "-c", "import time; time.sleep(60)")
    assert "It could not be decoded within" in outcome.word
    eventually = time.monotonic() + 2
    while any("time.sleep(60)" in " ".join(child.cmdline()) for child in psutil.Process().children()):
        assert time.monotonic() < eventually


async def test_a_recording_that_was_erased_is_not_drawn(api: Api) -> None:
    drawer = Waveforms(api.deps.database, Path("/nowhere"), api.deps.now)
    assert "suppressed" == (await drawer.draw(_effect(hex_id(3)))).status
    given = {"version": 1, "peaks": b"\1", "duration_s": 1.0, "failure": None, "now": 1.0}
    await api.deps.database.write(recordings.keep_peaks, hex_id(3), **given)  # type: ignore[arg-type]
    assert await _kept(api) is None


def test_without_a_decoder_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "miniaudio", None)
    assert loudness.NO_DECODER == loudness.measure(tmp_path).failure


def test_hours_are_spread_over_as_many_moments_as_minutes() -> None:
    assert bytes([1, 9]) == loudness.spread(bytes([0, 1, 9, 2]), 2)
    assert b"\5" == loudness.spread(b"\5", 2)
    assert 720 == len(loudness.spread(bytes(360_001), 720))
