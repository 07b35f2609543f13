"""Clicks in recordings, found: what an ear takes offence at, and where it is.

Each for what it can know. `tone_clicks`: a steady tone whose frequency is known; any break of its course shows,
down to one sample left out. `speech_clicks`: speech or anything else, nothing known; lone spikes and steps that
no voice makes (in a loud vowel a click of half its height hides among the voice's own pulses). `slips`, `spots`: a
recording of something that is known; the first finds frames left out, repeated or put in, the second whatever else
is there and was not said. All take 8 kHz samples of 16 bits and answer in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

RATE = 8000
Samples = NDArray[np.int16]
Floats = NDArray[np.float64]

_APART_SECONDS = 0.02  # what lies nearer than this is one click

# --- a steady tone

# Of the amplitude. A-law alone reaches 0.054 at any frequency and level, with a fade of 5 ms from nothing 0.085: a
# voice that comes back after a long gap is no click. A rise within half a millisecond is above.
_TONE_STEP = 0.1


def tone_clicks(samples: Samples, hz: float) -> list[float]:
    """Where a sine of `hz` is not what its last two samples foretell: x[n] = 2 cos(w) x[n-1] - x[n-2].

    The samples must be the tone alone; its level may drift. A phase that jumps, a sample left out or put in, a step
    and a gap each break the prediction by a good part of the amplitude.
    """
    tone = samples.astype(np.float64)
    turn = 2 * np.pi * hz / RATE
    error = np.abs(tone[2:] - 2 * np.cos(turn) * tone[1:-1] + tone[:-2])
    amplitude = np.sqrt(2 * np.mean(tone**2))
    return _merged(np.flatnonzero(error > _TONE_STEP * amplitude) + 2)


# --- speech, nothing known

_ORDER = 10
_WINDOW = 240
_HOP = 120
_LONELY = 80  # a voice's pulses recur within 10 ms (100 Hz) of each other
_SELF = 4  # a click's own ringing in the residual
_LONE_RATIO = 3.6  # of the residual's next greatest value around; clean prompts reach 2.9
_LOUD = 250.0  # below, the ear hears nothing at -26 dBov of speech


def speech_clicks(samples: Samples) -> list[float]:
    """Where a lone spike stands in what linear prediction (order 10) leaves of the sound.

    Voices leave pulses too, but never one alone; consonants leave noise. The spike must be `_LONE_RATIO` times what
    is greatest in the 10 ms before and after it, and audible by itself.
    """
    residual = _residual(samples.astype(np.float64))
    height = np.abs(residual)
    around = np.pad(height, _LONELY)
    windows = sliding_window_view(around, 2 * _LONELY + 1).copy()
    windows[:, _LONELY - _SELF : _LONELY + _SELF + 1] = 0
    rest = windows.max(axis=1)
    return _merged(np.flatnonzero((height > _LOUD) & (height > _LONE_RATIO * rest)))


def _residual(sound: Floats) -> Floats:
    """What a predictor fitted to each 30 ms (the middle 15 ms kept) does not foretell."""
    out = np.zeros_like(sound)
    padded = np.pad(sound, (_WINDOW, _WINDOW))
    taper = np.hanning(_WINDOW)
    for begin in range(0, len(sound), _HOP):
        at = begin + _WINDOW - (_WINDOW - _HOP) // 2  # of the window, in `padded`
        piece = padded[at : at + _WINDOW]
        predictor = _predictor(piece * taper)
        last = min(begin + _HOP, len(sound))
        span = padded[begin + _WINDOW - _ORDER : last + _WINDOW]
        out[begin:last] = np.convolve(span, predictor, "valid")
    return out


def _predictor(piece: Floats) -> Floats:
    """The prediction error filter by the autocorrelation method; whitened a little, so that silence is harmless."""
    correlation = np.array([piece[: len(piece) - lag] @ piece[lag:] for lag in range(_ORDER + 1)])
    correlation[0] = correlation[0] * 1.001 + 1.0
    index = np.abs(np.subtract.outer(np.arange(_ORDER), np.arange(_ORDER)))
    weights = np.linalg.solve(correlation[index], correlation[1:])
    return np.concatenate(([1.0], -weights))


# --- something known

_SLIP_WINDOW = 480
_SLIP_HOP = 80
_SLIP_REACH = 400  # samples that one slip moves the rest by, at most
_SURE = 0.9
_SAME_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Slip:
    """From `at` seconds of what was said on, everything comes `samples` later (negative: was left out)."""

    at: float
    samples: int


def slips(said: Samples, heard: Samples) -> list[Slip]:
    """Where the recording's lag behind what was said changes.

    `heard` must lie over `said` to within 50 ms and last as long. The lag of each 60 ms is taken where the two are the
    same sound beyond doubt (correlation 0.9); a tone longer than that has no lag of its own, so say speech or noise.
    """
    known, got = said.astype(np.float64), np.pad(heard.astype(np.float64), _SLIP_REACH)
    found: list[Slip] = []
    lag: int | None = None
    candidate: tuple[int, float] | None = None
    for begin in range(0, min(len(said), len(heard)) - _SLIP_WINDOW, _SLIP_HOP):
        piece = known[begin : begin + _SLIP_WINDOW]
        energy = piece @ piece
        if energy < _SLIP_WINDOW * 100.0**2:
            continue
        place = got[begin : begin + _SLIP_WINDOW + 2 * _SLIP_REACH]
        match = np.correlate(place, piece, "valid")
        power = np.convolve(place**2, np.ones(_SLIP_WINDOW), "valid")
        likeness = match / np.sqrt(np.maximum(power, 1.0) * energy)
        best = int(likeness.argmax())
        if likeness[best] < _SURE:
            continue
        here = best - _SLIP_REACH
        if lag is None:
            lag = here
        elif here == lag:
            candidate = None
        elif candidate is None or candidate[0] != here:
            candidate = (here, begin / RATE)
        else:  # said twice: no chance likeness
            moved = Slip(candidate[1], here - lag)
            if found and moved.at - found[-1].at < _SAME_SECONDS:  # a vowel's turns may take the first step for another
                moved = Slip(found[-1].at, found[-1].samples + moved.samples)
                found.pop()
            if moved.samples:
                found.append(moved)
            lag, candidate = here, None
    return found


_TAPS = 48  # the way may have a short linear response: gain, a hum notch, the line's filter
_LEAD = 8
_SPOT = 16  # 2 ms
_SPOT_FLOOR = 500.0  # of the error's peak; the ear hears less only in silence
_SPOT_SHARE = 0.2  # of the greatest sample in the 16 ms around


def spots(said: Samples, heard: Samples) -> list[float]:
    """Where the recording holds what was not said: steps, spikes, holes, wrong samples.

    `heard` lies over `said` to within a millisecond and has no slips. The way's gain and short response (6 ms) are
    fitted first; A-law's noise stays below a fifth of the sound around, a single wrong sample of a loud word above.
    """
    length = min(len(said), len(heard))
    known, got = said[:length].astype(np.float64), heard[:length].astype(np.float64)
    columns = sliding_window_view(np.pad(known, (_TAPS - _LEAD - 1, _LEAD)), _TAPS)
    moments = columns.T @ columns
    moments[np.diag_indices(_TAPS)] += 1e-4 * moments[0, 0] + 1.0
    response = np.linalg.solve(moments, columns.T @ got)
    error = np.abs(got - columns @ response)
    reach = 4 * _SPOT
    loud = sliding_window_view(np.pad(np.abs(known), reach), 2 * reach + 1).max(axis=1)
    return _merged(np.flatnonzero(error > np.maximum(_SPOT_FLOOR, _SPOT_SHARE * loud)))


def _merged(places: NDArray[np.intp]) -> list[float]:
    """Seconds of the first of each group."""
    found: list[float] = []
    last = -np.inf
    for place in places:
        if place - last > _APART_SECONDS * RATE:
            found.append(float(place) / RATE)
        last = place
    return found
