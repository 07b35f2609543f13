"""Echo return loss: what the telephone's hybrid sends back of a known signal. Pure.

The probe is a maximum length sequence (shift register, x^10 + x^3 + 1) played over and over: its
circular autocorrelation is a single peak, so that correlating what came back with it gives the echo
path, tap by tap, and averaging the periods puts noise and hum down by their number. Where the
probe begins in the recording need not be known: a shift of it is a shift of the path.

Return loss is the energy of the path's 32 ms around its peak, less what noise puts into as many taps
elsewhere (ITU-T G.122 and G.168 define it as the loss from the box's output back to its input).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import mul

from firmware.fxs.doctor_report import EchoFigures
from firmware.fxs.dsp.level import FULL_SCALE, FULL_SCALE_DBM0, pcm_of, samples_of
from firmware.fxs.pcm import SAMPLE_RATE_HZ

PROBE_DBM0 = -20.0
PERIOD = 1023
PERIODS = 16
PROBE_SECONDS = PERIOD * PERIODS / SAMPLE_RATE_HZ

_SETTLED_SAMPLES = 2600
"""After so much of the recording the probe plays, and a whole period of it has been echoed."""
_GROUP = 4
_GROUPS = 3
_BEFORE = 16
_WINDOW = 256
_MOST_DB = 60.0
_AGREE_DB = 3.0
_LEAST_TOLD_DB = 25.0
""""At least 13 dB" would say more of the room than of the telephone."""
_CERTAIN = 1.0


def sequence() -> tuple[int, ...]:
    """One period of the sequence, +1 and -1."""
    register = 0x3FF
    out = []
    for _ in range(PERIOD):
        out.append(1 if register & 1 else -1)
        register = (register >> 1) | (((register ^ (register >> 3)) & 1) << 9)
    return tuple(out)


def probe() -> bytes:
    """The test signal: 2 s of 16-bit samples at PROBE_DBM0."""
    level = _amplitude()
    return pcm_of([level * chip for chip in sequence()]) * PERIODS


def _amplitude() -> float:
    # A signal of two values is its own RMS.
    return float(FULL_SCALE / math.sqrt(2) * 10 ** ((PROBE_DBM0 - FULL_SCALE_DBM0) / 20))


def measure(pcm: bytes) -> EchoFigures | None:
    """The return loss in a recording that began when the probe did; None if it is too short, or somebody spoke.

    A frame lost in the middle spoils one group of periods: the others decide.
    """
    raw = samples_of(pcm)
    needed = _SETTLED_SAMPLES + PERIOD * _GROUP * _GROUPS
    if len(raw) < needed:
        return None
    groups = [_average(raw, _SETTLED_SAMPLES + PERIOD * _GROUP * at) for at in range(_GROUPS)]
    paths = [_path(group) for group in groups]
    peaks = [_peak(path) for path in paths]
    whole = _path([sum(column) / _GROUPS for column in zip(*groups, strict=True)])
    energy, noise = _energy(whole)
    each = [_energy(path) for path in paths]
    if max(peaks) - min(peaks) > 1 and energy > _CERTAIN * noise:
        # The path moved: frames were lost. Each group by itself, the middle one counts.
        energy, noise = sorted(each)[_GROUPS // 2]
    elif _disagree(each):
        return None
    at_least = energy < _CERTAIN * noise
    if at_least and noise > 10 ** (-_LEAST_TOLD_DB / 10):
        return None
    loss = -10 * math.log10(max(energy, noise, 10 ** (-_MOST_DB / 10)))
    return EchoFigures(loss, at_least or loss >= _MOST_DB)


def _average(raw: Sequence[int], start: int) -> list[float]:
    """One period, averaged over a group of them, without DC."""
    period = [sum(raw[start + n : start + PERIOD * _GROUP : PERIOD]) / _GROUP for n in range(PERIOD)]
    mean = sum(period) / PERIOD
    return [value - mean for value in period]


def _path(period: Sequence[float]) -> list[float]:
    """The echo path, shifted by an unknown number of samples: gain a tap."""
    chips = sequence()
    twice = list(period) + list(period)
    scale = 1 / (_amplitude() * (PERIOD + 1))
    return [scale * sum(map(mul, chips, twice[shift : shift + PERIOD])) for shift in range(PERIOD)]


def _peak(path: Sequence[float]) -> int:
    return max(range(PERIOD), key=lambda at: abs(path[at]))


def _energy(path: Sequence[float]) -> tuple[float, float]:
    """Energy of the window around the peak less noise, and the noise's in as many taps."""
    start = _peak(path) - _BEFORE
    turned = [path[(start + at) % PERIOD] for at in range(PERIOD)]
    outside = turned[_WINDOW:]
    noise = sum(value * value for value in outside) * _WINDOW / len(outside)
    return sum(value * value for value in turned[:_WINDOW]) - noise, noise


def _disagree(each: Sequence[tuple[float, float]]) -> bool:
    """Whether the groups differ by more than noise explains: somebody spoke, or moved the handset."""
    low = min(energy + 2 * noise for energy, noise in each)
    high = max(energy - 2 * noise for energy, noise in each)
    return high > 0 and low > 0 and 10 * math.log10(high / low) > _AGREE_DB
