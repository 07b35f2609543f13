from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from firmware.fxs import dtmf_verify
from firmware.fxs.dsp.vectors import Block
from firmware.fxs.dtmf_verify import Measured, refusal
from tests.bench.dtmf_signals import burst
from tests.fakes import signals
from tests.fakes.signals import KEYS, Samples

GOOD = Measured("5", 0, 400, -11, -9, 0, 0, 1.0)


def measured(sound: Samples, *, over_dial_tone: bool = False) -> Measured | None:
    block = Block.of(signals.pcm(sound[-dtmf_verify.HISTORY_SAMPLES :]))
    return dtmf_verify.measure(block, over_dial_tone=over_dial_tone)


def after_silence(key: str, on_ms: float, since_ms: float = 0, **more: float) -> Samples:
    """A tone that ended `since_ms` ago."""
    return np.concatenate([np.zeros(480), burst(key, on_ms=on_ms, off_ms=since_ms, **more)])


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(("low_percent", "high_percent"), [(0, 0), (1.5, -1.5), (-3.5, 3.5), (2.5, 2.5)])
def test_frequencies_levels_and_length_are_measured(key: str, low_percent: float, high_percent: float) -> None:
    found = measured(after_silence(key, 44, 7, low=-14, high=-10, low_percent=low_percent, high_percent=high_percent))
    assert found is not None
    assert found.digit == key
    assert found.low_percent == pytest.approx(low_percent, abs=0.1)
    assert found.high_percent == pytest.approx(high_percent, abs=0.1)
    assert found.low_dbm0 == pytest.approx(-14, abs=0.2)
    assert found.high_dbm0 == pytest.approx(-10, abs=0.2)
    assert found.twist_db == pytest.approx(4, abs=0.3)
    assert found.samples == pytest.approx(44 * 8, abs=16)
    assert found.start == pytest.approx(480 - 51 * 8, abs=16)
    assert found.purity == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("since_ms", [0, 1, 3.7, 6, 9])
@pytest.mark.parametrize("phase", [0.0, 1.0, 2.0])
def test_length_is_within_2_ms_wherever_the_tone_lies(since_ms: float, phase: float) -> None:
    for on_ms in (33, 36, 40, 45):
        found = measured(after_silence("3", on_ms, since_ms, phase=phase))
        assert found is not None
        assert found.samples == pytest.approx(on_ms * 8, abs=16)


@pytest.mark.parametrize("on_ms", [10, 20, 22.9, 28])
def test_a_short_tone_is_nothing(on_ms: float) -> None:
    assert all(measured(after_silence(key, on_ms, since)) is None for key in KEYS for since in (0, 5, 10))


def test_frequency_is_measured_in_noise_to_half_a_percent() -> None:
    rng = np.random.default_rng(4)
    errors = []
    for trial in range(100):
        sound = after_silence(KEYS[trial % 16], 40, low_percent=1.5, high_percent=-1.5)
        found = measured(sound + rng.normal(0, signals.peak(-17 - 9) / np.sqrt(2), len(sound)))
        assert found is not None
        errors += [abs(found.low_percent - 1.5), abs(found.high_percent + 1.5)]
    assert max(errors) < 0.5
    assert np.mean(errors) < 0.15


@pytest.mark.parametrize("dial", [(440,), (350, 440)])
def test_a_dial_tone_beside_the_digit_is_no_impurity(dial: tuple[int, ...]) -> None:
    sound = after_silence("1", 40, low=-20, high=-20)
    tone = sum(signals.sine(hz, len(sound) / signals.RATE, -8) for hz in dial)
    found = measured(sound + tone, over_dial_tone=True)
    assert found is not None
    assert not refusal(found)
    assert found.low_percent == pytest.approx(0, abs=0.3)
    deaf = measured(sound + tone)
    assert deaf is None or refusal(deaf)


def test_a_third_tone_is_an_impurity() -> None:
    sound = after_silence("1", 40)
    found = measured(sound + signals.sine(1000, len(sound) / signals.RATE, -19))
    assert found is not None
    assert refusal(found) == "impure"


@pytest.mark.parametrize("swell_ms", [25, 40])
def test_what_swells_as_a_voice_does_is_nothing(swell_ms: float) -> None:
    sound = after_silence("6", 58, low=-10, high=-10)
    length = 58 * 8
    swell = np.minimum(1, np.arange(length) / (swell_ms * 8))
    sound[480:] *= swell
    assert measured(sound) is None


def test_what_wavers_is_nothing() -> None:
    sound = after_silence("6", 50)
    sound[480:] *= 0.65 + 0.35 * np.sin(2 * np.pi * 60 * np.arange(400) / signals.RATE)
    assert measured(sound) is None


def test_silence_noise_and_single_tones_are_nothing() -> None:
    assert measured(np.zeros(480)) is None
    assert measured(np.zeros(200)) is None
    for seed in range(20):
        found = measured(signals.noise(0.06, -10, seed=seed))
        assert found is None or refusal(found)
    found = measured(np.concatenate([np.zeros(160), signals.sine(770, 0.04, -10)]))
    assert found is None or refusal(found)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"samples": 240}, "short"),
        ({"low_percent": 2.4}, "frequency"),
        ({"high_percent": -2.4}, "frequency"),
        ({"low_dbm0": -9, "high_dbm0": -18.5}, "twist"),
        ({"low_dbm0": -16, "high_dbm0": -9}, "twist"),
        ({"low_dbm0": -44, "high_dbm0": -44}, "faint"),
        ({"purity": 0.79}, "impure"),
        ({"purity": 0.84, "samples": 280}, "impure"),
        ({"purity": 0.84}, ""),
        ({"low_percent": -2.2, "high_percent": 2.2, "low_dbm0": -9, "high_dbm0": -17, "samples": 300}, ""),
    ],
)
def test_refusals(change: dict[str, float], why: str) -> None:
    assert refusal(dataclasses.replace(GOOD, **change)) == why  # type: ignore[arg-type]


def test_what_was_sent_carries_its_digit_and_no_other() -> None:
    sent = Block.of(signals.pcm(np.concatenate([np.zeros(333), burst("7", on_ms=40), np.zeros(400)])))
    assert [key for key in KEYS if dtmf_verify.carries(sent, key)] == ["7"]
    assert not any(dtmf_verify.carries(Block.of(bytes(1920)), key) for key in KEYS)
    speech = Block.of(signals.pcm(signals.speechlike(1)))
    assert not any(dtmf_verify.carries(speech, key) for key in KEYS)
