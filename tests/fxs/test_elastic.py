"""Samples between two clocks: a sine stays a sine, nothing is dropped or repeated, a gap is told."""

import random

import numpy as np
import pytest

from firmware.fxs.drift import TARGET_SAMPLES
from firmware.fxs.dsp.speexdsp import Resampler
from firmware.fxs.elastic import Elastic
from firmware.fxs.pcm import FRAME_BYTES, SILENCE

HZ = 1004.0
FRAME = 0.01


def sine(samples: int) -> bytes:
    return bytes(np.rint(8000 * np.sin(2 * np.pi * HZ * np.arange(samples) / 8000)).astype("<i2").tobytes())


def residual(pcm: bytes, ppm: float) -> float:
    """The greatest departure from a sine, `ppm` up in pitch: a lost or doubled sample is thousands."""
    heard = np.frombuffer(pcm, "<i2").astype(float)
    turn = 2 * np.pi * HZ * (1 + ppm * 1e-6) / 8000
    return float(np.abs(heard[2:] - 2 * np.cos(turn) * heard[1:-1] + heard[:-2]).max())


def through(ppm: float, seconds: float, seed: int) -> tuple[Elastic, bytes]:
    """What a reader hears of a sine that a writer, `ppm` faster, spoke; both wake up a little late."""
    chance = random.Random(seed)  # noqa: S311 - late wake-ups, no secret
    elastic, heard = Elastic(), []
    said = sine(round((seconds + 1) * 8000 * 1.001))
    period, wrote = FRAME / (1 + ppm * 1e-6), 0
    at = chance.random() * FRAME
    for read in range(round(seconds / FRAME)):
        now = read * FRAME + abs(chance.gauss(0, 0.0003))
        while at <= now:
            elastic.push(said[wrote * FRAME_BYTES : (wrote + 1) * FRAME_BYTES], at)
            wrote += 1
            at = max(at + 1e-6, wrote * period + abs(chance.gauss(0, 0.0003)))
        heard.append(elastic.pull(now))
    return elastic, b"".join(heard)


@pytest.mark.parametrize("ppm", [200, -200, 3])
def test_a_sine_comes_out_whole_whatever_the_clocks(ppm: float) -> None:
    elastic, heard = through(ppm, 30, 1)
    assert (elastic.gaps, elastic.drops) == (0, 0)
    assert residual(heard[800:], ppm) < 12
    assert elastic.ppm == pytest.approx(ppm, abs=20)


@pytest.mark.parametrize("ppm", [200, -200])
def test_no_frame_is_dropped_or_repeated_in_ten_minutes_200_ppm_apart(ppm: float) -> None:
    # Twelve frames too many or too few by then, were it not for the resampler.
    elastic, heard = through(ppm, 600, 2)
    assert (elastic.gaps, elastic.drops) == (0, 0)
    assert residual(heard[8000:], ppm) < 12


def test_a_click_would_be_found() -> None:
    pcm = sine(8000)
    assert residual(pcm, 0) < 12
    assert residual(pcm[:8000] + pcm[8002:], 0) > 1000
    assert residual(pcm[:8002] + pcm[8000:], 0) > 1000


def fed(frames: int) -> Elastic:
    """In step, flowing."""
    elastic = Elastic()
    for n in range(frames):
        elastic.push(sine(80), n * FRAME)
        elastic.pull(n * FRAME + 0.005)
    assert elastic.gaps == 0
    return elastic


def test_silence_before_the_first_sound_is_no_gap() -> None:
    elastic = Elastic()
    assert elastic.pull(0.0) == SILENCE
    assert elastic.gaps == 0
    assert not elastic.short


def test_a_writer_that_stops_costs_counted_gaps_and_the_delay_is_as_before_when_it_comes_back() -> None:
    elastic = fed(50)
    age = elastic.drift.age(0.495)
    silent = [elastic.pull(0.505 + n * FRAME) == SILENCE for n in range(10)]
    assert silent == [False] + [True] * 9 or silent == [True] * 10
    gaps = elastic.gaps
    assert gaps >= 9
    for n in range(60, 100):
        elastic.push(sine(80), n * FRAME)
        elastic.pull(n * FRAME + 0.005)
    assert elastic.gaps - gaps <= 3, "only until the delay is what it was"
    assert elastic.drift.age(0.995) == pytest.approx(age, abs=8)


def test_a_reader_that_stops_gives_up_old_sound_once() -> None:
    elastic = fed(50)
    for n in range(50, 80):
        elastic.push(sine(80), n * FRAME)
    assert elastic.drops >= 1
    assert elastic.drift.level <= TARGET_SAMPLES + 5 * 80
    for n in range(80, 100):
        elastic.push(sine(80), n * FRAME)
        assert elastic.pull(n * FRAME + 0.005) != SILENCE


def test_the_resampler_refuses_ratios_that_would_click_or_that_the_library_gets_wrong() -> None:
    resampler = Resampler()
    pcm = sine(200)
    for steps in (0, Resampler.UNIT, 2 * Resampler.UNIT):
        with pytest.raises(ValueError, match="ratio"):
            resampler.frame(pcm, steps, 80)
    with pytest.raises(ValueError, match="samples at once"):
        resampler.frame(pcm, Resampler.UNIT + 1, 5000)
    frame, used = resampler.frame(pcm, Resampler.UNIT + 1, 80)
    assert len(frame) == FRAME_BYTES
    assert abs(used - 80) <= 1
    short, used = resampler.frame(pcm[:40], Resampler.UNIT + 1, 80)
    assert len(short) < FRAME_BYTES
    assert used == 20
    assert resampler.delay_samples == 24
