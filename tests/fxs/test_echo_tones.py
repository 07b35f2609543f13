"""Tones at both ends: nothing is learnt from the far one, and the near one neither clicks nor fades (ITU-T G.168)."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from firmware.fxs.echo import EchoCanceller
from firmware.fxs.steady import SteadyTone
from tests.bench.echo_figures import Hybrid, far_voice, through
from tests.fakes import signals
from tests.system import speech_score
from tests.voice_analysis import tone_clicks

needs_voice = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng speaks")
SECOND = signals.RATE


def a_law(samples: signals.Samples) -> signals.Samples:
    """As fine as A-law, near enough: eight bits of logarithm."""
    scaled = np.log1p(87.6 * np.abs(samples) / 32768) / np.log(88.6)
    return np.asarray(np.sign(samples) * (88.6 ** (np.round(scaled * 127) / 127) - 1) / 87.6 * 32768)


def torn(hz: float, seconds: float, seed: int = 1) -> signals.Samples:
    """A tone through a lossy network: packets fade out, and the phase is another one after each."""
    rng = np.random.default_rng(seed)
    phase = 2 * np.pi * hz * np.arange(round(seconds * SECOND)) / SECOND
    loud, at = np.ones(len(phase)), 0.5
    while at < seconds - 0.5:
        begin, lost = round(at * SECOND), int(rng.integers(1, 4)) * 160
        loud[begin : begin + lost] = np.linspace(1, 0, lost)
        phase[begin + lost :] += rng.uniform(0, 2 * np.pi)
        at += 0.3 + rng.exponential(0.5)
    return np.asarray(8000 * np.sin(phase) * loud)


def heard(tone: SteadyTone, samples: signals.Samples) -> list[bool]:
    return [tone.feed(frame) for frame in signals.frames(signals.pcm(samples))]


@pytest.mark.parametrize("near_hz", [1004.0, 1000.0, 580.0, 425.0])
@pytest.mark.parametrize("hybrid", [None, Hybrid(25, 8)], ids=["no echo", "25 dB"])
def test_a_near_tone_neither_clicks_nor_fades_whatever_tone_the_far_end_sends_in_pieces(
    near_hz: float, hybrid: Hybrid | None
) -> None:
    far = torn(1004.0, 8)
    near = 8000 * np.sin(2 * np.pi * near_hz * np.arange(len(far)) / SECOND)
    line = near if hybrid is None else near + hybrid.echo(far)
    out = through(EchoCanceller().cancel, line, far)[SECOND:]
    assert tone_clicks(np.round(out).astype(np.int16), near_hz) == []
    levels = [signals.level(out[at : at + 800]) for at in range(0, len(out) - 800, 800)]
    assert max(levels) - min(levels) < 2  # the echo beats with it


@needs_voice
def test_a_filter_proven_by_a_voice_takes_the_echo_of_a_tone_out_too_and_goes_on_learning_after_it() -> None:
    hybrid, canceller = Hybrid(10, 8), EchoCanceller()
    voice, tone = far_voice(4), signals.sine(700, 2, -12)
    through(canceller.cancel, hybrid.echo(voice), voice)
    line = hybrid.echo(tone)
    out = through(canceller.cancel, line, tone)
    assert signals.level(line[SECOND:]) - signals.level(out[SECOND:]) > 15
    more = far_voice(4, seed=5)
    out, line = through(canceller.cancel, hybrid.echo(more), more), hybrid.echo(more)
    assert signals.level(line[3 * SECOND :]) - signals.level(out[3 * SECOND :]) > 25


@pytest.mark.parametrize("hz", [300, 440, 1004, 2100, 3300])
@pytest.mark.parametrize("dbm0", [-3, -30])
def test_a_tone_is_one_after_200_ms_and_until_something_else_has_been_heard_for_100(hz: float, dbm0: float) -> None:
    tone = SteadyTone()
    told = heard(tone, a_law(signals.sine(hz, 0.5, dbm0)))
    assert told[21:] == [True] * 29
    assert heard(tone, signals.silence(1)) == [True] * 100
    told = heard(tone, signals.noise(0.5, -20))
    assert told == [True] * 9 + [False] * 41


def test_silence_and_noise_are_no_tone() -> None:
    tone = SteadyTone()
    assert not any(heard(tone, signals.silence(1)))
    assert not any(heard(tone, signals.noise(2, -20)))
    assert not any(heard(tone, signals.noise(2, -55)))


@pytest.mark.parametrize("name", speech_score.CLIPS)
def test_a_recorded_voice_is_no_tone(name: str) -> None:
    assert not any(heard(SteadyTone(), a_law(speech_score.clip(name, 12).astype(float))))


@needs_voice
@pytest.mark.parametrize(("seed", "voice"), [(1, "fr-fr"), (2, "en-gb"), (3, "fr-fr")])
def test_a_voice_is_no_tone(seed: int, voice: str) -> None:
    assert not any(heard(SteadyTone(), a_law(far_voice(12, seed=seed, voice=voice))))


def test_a_new_call_forgets_the_tone() -> None:
    tone = SteadyTone()
    heard(tone, signals.sine(440, 0.5, -10))
    assert tone.on
    tone.reset()
    assert not tone.on
