from __future__ import annotations

import numpy as np
import pytest

from firmware.fxs.echo import EchoCanceller
from tests.fakes import signals


def cancelled(near: signals.Samples, far: signals.Samples, canceller: EchoCanceller | None = None) -> signals.Samples:
    canceller = canceller or EchoCanceller()
    pairs = zip(signals.frames(signals.pcm(near)), signals.frames(signals.pcm(far)), strict=True)
    return signals.samples(b"".join(canceller.cancel(one, other) for one, other in pairs))


def echo_of(far: signals.Samples, loss_db: float = 12, delay_samples: int = 10) -> signals.Samples:
    return np.convolve(far, signals.hybrid(loss_db, delay_samples))[: len(far)]


def erle(echo: signals.Samples, left: signals.Samples, start_s: float, end_s: float) -> float:
    part = slice(int(start_s * 8000), int(end_s * 8000))
    return signals.db(float(np.mean(echo[part] ** 2) / np.mean(left[part] ** 2)))


@pytest.mark.parametrize("delay_samples", [0, 10, 120])
def test_an_echo_is_learnt_and_taken_out(delay_samples: int) -> None:
    far = signals.speechlike(6)
    echo = echo_of(far, 10, delay_samples)
    left = cancelled(echo, far)
    assert erle(echo, left, 1, 2) > 10
    assert erle(echo, left, 3, 6) > 18


def test_an_echo_beyond_the_tail_is_not_taken_out() -> None:
    far = signals.speechlike(4)
    echo = echo_of(far, 10, 320)
    assert erle(echo, cancelled(echo, far), 2, 4) < 6


def test_speech_passes_untouched_when_the_far_end_is_silent() -> None:
    near = signals.speechlike(3, -20, seed=8)
    out = cancelled(near, np.zeros_like(near))
    # Only the DC notch works on it: above 300 Hz nothing changes.
    hertz, before = signals.spectrum(near)
    _, after = signals.spectrum(out)
    band = (hertz > 400) & (hertz < 3400) & (before > before.max() - 20)
    assert np.max(np.abs(after[band] - before[band])) < 0.5


def test_direct_current_is_taken_out() -> None:
    near = signals.sine(1000, 1, -20) + 500
    out = cancelled(near, np.zeros_like(near))
    assert abs(np.mean(out[4000:])) < 2


def test_the_near_voice_survives_double_talk() -> None:
    far = signals.speechlike(8, -20, seed=4)
    near = np.zeros_like(far)
    near[5 * 8000 :] = signals.speechlike(3, -18, seed=9)
    out = cancelled(near + echo_of(far), far)
    alone = cancelled(near, np.zeros_like(near))  # the DC notch shapes it all the same
    part = slice(5 * 8000, 8 * 8000)
    # Less of the echo is left beside the near voice than without a canceller.
    assert np.mean((out[part] - alone[part]) ** 2) < np.mean(echo_of(far)[part] ** 2)
    assert signals.level(out[part]) == pytest.approx(signals.level(alone[part]), abs=1.5)


def test_reset_forgets_the_line() -> None:
    far = signals.speechlike(4)
    echo = echo_of(far)
    canceller = EchoCanceller()
    cancelled(echo, far, canceller)
    canceller.reset()
    fresh = cancelled(echo[:8000], far[:8000])
    again = cancelled(echo[:8000], far[:8000], canceller)
    assert signals.level(again) == pytest.approx(signals.level(fresh), abs=1)


def test_a_tail_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="echo tail of 1000 ms"):
        EchoCanceller(1000)


# --- the line's return loss -----------------------------------------------------------------


def talking(seconds: float, dbm0: float, seed: int) -> signals.Samples:
    return signals.speechlike(seconds, dbm0, seed)


def test_a_line_without_echo_is_left_alone_even_when_both_talk() -> None:
    far, near = talking(4, -15, 4), np.zeros(32000)
    near[16000:] = talking(2, -18, 9)
    canceller = EchoCanceller()
    out = cancelled(near, far, canceller)
    assert canceller.bypassed
    assert np.array_equal(out[16000:], np.round(near[16000:]))


@pytest.mark.parametrize("loss_db", [6, 12, 20, 30])
def test_a_line_with_echo_is_never_left_alone(loss_db: float) -> None:
    far = talking(10, -15, 4)
    canceller = EchoCanceller()
    cancelled(echo_of(far, loss_db), far, canceller)
    assert not canceller.bypassed


def test_an_echo_that_appears_is_taken_out_again() -> None:
    far = talking(12, -15, 4)
    echo = echo_of(far, 10)
    echo[: 3 * 8000] = 0
    canceller = EchoCanceller()
    out = cancelled(echo, far, canceller)
    assert not out[2 * 8000 : 3 * 8000].any()
    assert not canceller.bypassed
    assert erle(echo, out, 11, 12) > 10


def test_silence_of_the_far_end_proves_nothing() -> None:
    canceller = EchoCanceller()
    cancelled(np.zeros(16000), np.zeros(16000), canceller)
    assert not canceller.bypassed
