"""Splices that the SIP library leaves in the far voice are mended where they lie; nothing else is touched."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from firmware.fxs import country
from firmware.fxs.pcm import FRAME_BYTES, FRAME_SAMPLES, SILENCE
from firmware.fxs.splice import SpliceMender
from firmware.fxs.voice import LineVoice
from tests.system import speech_score
from tests.system.speech_score import Samples
from tests.voice_analysis import RATE, tone_clicks

PLACE = 40


def through(samples: Samples, mender: SpliceMender) -> Samples:
    pcm = samples.astype("<i2").tobytes()
    whole = len(pcm) // FRAME_BYTES * FRAME_BYTES
    out = b"".join(mender.mend(pcm[at : at + FRAME_BYTES]) for at in range(0, whole, FRAME_BYTES))
    return np.frombuffer(out, "<i2")


def spliced_tone(hz: float, turn: float, at: int, amplitude: float = 8000) -> Samples:
    """Two seconds of a tone in A-law whose phase jumps by `turn` radians at the sample `at`."""
    place = np.arange(2 * RATE)
    wave = amplitude * np.sin(2 * np.pi * hz * place / RATE + turn * (place >= at))
    return speech_score.a_law(wave.astype(np.int16))


@settings(max_examples=150, deadline=None)
@example(hz=1019.96875, turn=4.5, frame=117, amplitude=2000)  # ends where a straight line would
@given(st.floats(200, 1800), st.floats(1.0, 2 * np.pi - 1.0), st.integers(30, 160), st.sampled_from([2000, 8000]))
def test_a_tone_that_jumps_where_packets_were_left_out_has_no_click(
    hz: float, turn: float, frame: int, amplitude: float
) -> None:
    at = frame * FRAME_SAMPLES + PLACE
    broken = spliced_tone(hz, turn, at, amplitude)
    wrong = np.abs(np.convolve(broken[at - 8 : at + 8], [1, -2 * np.cos(2 * np.pi * hz / RATE), 1], "valid")).max()
    assume(wrong > 0.6 * amplitude)  # at a turning point a jump may be a gentle one
    mender = SpliceMender()
    heard = through(broken, mender)
    assert mender.mended == 1
    assert tone_clicks(heard, hz) == []


@pytest.mark.parametrize("hz", [300, 580, 1004, 1500])
def test_most_jumps_are_found(hz: float) -> None:
    found = 0
    for frame in range(30, 130):
        mender = SpliceMender()
        through(spliced_tone(hz, 2.5, frame * FRAME_SAMPLES + PLACE), mender)
        found += mender.mended
    assert found >= 90


def test_a_click_anywhere_else_is_the_far_ends_own_and_stays() -> None:
    broken = spliced_tone(580, 2.5, 100 * FRAME_SAMPLES + 7)
    assert np.array_equal(through(broken, SpliceMender()), broken)


@pytest.mark.parametrize("name", speech_score.CLIPS)
def test_recorded_speech_passes_bit_for_bit(name: str) -> None:
    clip = speech_score.clip(name)
    for start in range(0, FRAME_SAMPLES, 2):  # the place is two samples wide: every one of the clip is looked at
        said = speech_score.a_law(clip[start : start + len(clip) // FRAME_SAMPLES * FRAME_SAMPLES - FRAME_SAMPLES])
        mender = SpliceMender()
        assert np.array_equal(through(said, mender), said), start
        assert mender.mended == 0


def test_noise_and_the_loudest_samples_pass_bit_for_bit() -> None:
    noise = np.random.default_rng(3).normal(0, 6000, 20 * RATE).clip(-32768, 32767).astype(np.int16)
    assert np.array_equal(through(noise, SpliceMender()), noise)
    square = np.where(np.arange(2 * RATE) // 8 % 2, 32767, -32768).astype(np.int16)
    assert np.array_equal(through(square, SpliceMender()), square)


@given(st.lists(st.binary(min_size=FRAME_BYTES, max_size=FRAME_BYTES), max_size=12))
def test_any_bytes_are_frames_of_the_same_length(frames: list[bytes]) -> None:
    mender = SpliceMender()
    assert [len(mender.mend(frame)) for frame in frames] == [FRAME_BYTES] * len(frames)


def test_a_splice_is_mended_on_its_way_to_the_handset_but_not_in_a_fax_nor_where_it_is_switched_off() -> None:
    broken = spliced_tone(580, 2.5, 100 * FRAME_SAMPLES + PLACE)

    def heard(*, fax: str = "", mend_splices: bool = True) -> Samples:
        voice = LineVoice(
            country.load("FR"), on_digit=lambda _: None, on_speech_end=lambda: None, mend_splices=mend_splices
        )
        pcm = broken.astype("<i2").tobytes()
        voice.to_line(pcm[:FRAME_BYTES])
        voice.fax = fax
        frames = (pcm[at : at + FRAME_BYTES] for at in range(FRAME_BYTES, len(pcm), FRAME_BYTES))
        out = [voice.to_line(voice.from_bridge(frame)) for frame in frames]
        return np.frombuffer(b"".join(out), "<i2")[FRAME_SAMPLES:]

    assert len(tone_clicks(heard(mend_splices=False), 580)) == 1
    assert tone_clicks(heard(), 580) == []
    assert np.array_equal(heard(fax="ced"), heard(mend_splices=False))


def test_a_voice_that_goes_away_while_a_splice_fades_takes_nothing_into_the_next() -> None:
    voice = LineVoice(country.load("FR"), on_digit=lambda _: None, on_speech_end=lambda: None)
    broken = spliced_tone(580, 2.5, 100 * FRAME_SAMPLES + PLACE).astype("<i2").tobytes()
    for at in range(0, 101 * FRAME_BYTES, FRAME_BYTES):
        voice.to_line(voice.from_bridge(broken[at : at + FRAME_BYTES]))
    assert voice.from_bridge(SILENCE) != SILENCE, "the fade goes on"
    voice.to_line(None)
    assert voice.from_bridge(SILENCE) == SILENCE


def test_a_call_begins_with_nothing_of_the_one_before() -> None:
    mender = SpliceMender()
    broken = spliced_tone(580, 2.5, 100 * FRAME_SAMPLES + PLACE)
    through(broken[: 101 * FRAME_SAMPLES], mender)
    assert mender.mended == 1  # and its fade is under way
    mender.reset()
    assert mender.mend(SILENCE) == SILENCE


def test_the_librarys_own_splices_lie_where_they_are_looked_for() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.jitter_buffer", "--splices"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert sum(row["clicks"] for row in rows) >= 12
    assert [row["clicks_mended"] for row in rows] == [0] * len(rows)
