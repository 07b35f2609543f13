"""The line at rest, measured: noise (ITU-T O.41), mains hum, offset; clipping of anything. Pure."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence

from firmware.fxs.doctor_report import SoundFigures
from firmware.fxs.doctor_spectrum import FLOOR_DBM0, bins, dbm0, power_at, refined
from firmware.fxs.dsp.level import samples_of
from firmware.fxs.pcm import SAMPLE_RATE_HZ

_SIZE = 2048
_HOP = _SIZE // 2
_BIN_HZ = SAMPLE_RATE_HZ / _SIZE
_HARMONICS = 3
_HUM_BINS = 5
_MAINS_HZ = (50, 60)
_MAINS_DRIFT_HZ = (-0.4, -0.2, 0.0, 0.2, 0.4)
_LEAST_SECONDS = 0.75
_FULL = 32767
_PLOT_BINS = 8

# ITU-T O.41 table 1: relative sensitivity of the telephone psophometer, hertz and decibels.
_O41 = (
    (16.66, -85.0), (50.0, -63.0), (100.0, -41.0), (200.0, -21.0), (300.0, -10.6), (400.0, -6.3), (500.0, -3.6),
    (600.0, -2.0), (700.0, -0.9), (800.0, 0.0), (900.0, 0.6), (1000.0, 1.0), (1200.0, 0.0), (1400.0, -0.9),
    (1600.0, -1.7), (1800.0, -2.4), (2000.0, -3.0), (2500.0, -4.2), (3000.0, -5.6), (3500.0, -8.5), (4000.0, -15.0),
)  # fmt: skip


def weight_db(hz: float) -> float:
    """The psophometer's weight at `hz`, between the table's points by the logarithm of frequency."""
    if hz <= _O41[0][0]:
        return _O41[0][1]
    if hz >= _O41[-1][0]:
        return _O41[-1][1]
    after = bisect_left(_O41, (hz, -999.0))
    (left_hz, left), (right_hz, right) = _O41[after - 1], _O41[after]
    return left + (right - left) * math.log(hz / left_hz) / math.log(right_hz / left_hz)


def measure(pcm: bytes) -> tuple[SoundFigures | None, tuple[tuple[float, float], ...]]:
    """The figures of a stretch in which nobody speaks, and its spectrum for a plot: (hertz, dBm0 in 31 Hz).

    The louder half of it (a word, a rustle) does not count for the noise. None: it is too short.
    """
    raw = samples_of(pcm)
    if len(raw) < _LEAST_SECONDS * SAMPLE_RATE_HZ:
        return None, ()
    mean = sum(raw) / len(raw)
    samples = [value - mean for value in raw]
    powers = _quiet(samples)
    mains, hum = _hum(samples)
    noise = _without_hum(powers, mains)
    weighted = sum(power * 10 ** (weight_db(at * _BIN_HZ) / 10) for at, power in enumerate(powers))
    figures = SoundFigures(
        noise_dbm0=dbm0(sum(noise)),
        noise_dbm0p=dbm0(weighted),
        mains_hz=mains,
        hum_dbm0=hum,
        offset=100 * mean / _FULL,
    )
    return figures, _plot(powers)


def clipped(*pieces: bytes) -> float | None:
    """Percent of the samples at either end of the scale; None without samples."""
    total = at_end = 0
    for pcm in pieces:
        raw = samples_of(pcm)
        total += len(raw)
        at_end += raw.count(_FULL) + raw.count(-_FULL) + raw.count(-_FULL - 1)
    return 100 * at_end / total if total else None


def _quiet(samples: Sequence[float]) -> list[float]:
    """Mean square a bin, over the quieter half of the blocks."""
    blocks = [bins(samples[at : at + _SIZE], _SIZE) for at in range(0, len(samples) - _SIZE + 1, _HOP)]
    blocks.sort(key=sum)
    kept = blocks[: (len(blocks) + 1) // 2]
    return [sum(column) / len(kept) for column in zip(*kept, strict=True)]


def _hum(samples: Sequence[float]) -> tuple[int, tuple[float, ...]]:
    """The mains frequency of which there is more, and the level of it and its harmonics."""
    found = {mains: tuple(_line(samples, mains * n) for n in range(1, _HARMONICS + 1)) for mains in _MAINS_HZ}
    mains = max(found, key=lambda hz: sum(found[hz]))
    return mains, tuple(dbm0(power) for power in found[mains])


def _line(samples: Sequence[float], hz: float) -> float:
    """Mean square of a line near `hz`: power stations drift, and so does the line's clock."""
    drifts = [drift * hz / _MAINS_HZ[0] for drift in _MAINS_DRIFT_HZ]
    power, near = max((power_at(samples, hz + drift), hz + drift) for drift in drifts)
    exact = refined(samples, near, 2)
    return max(power, power_at(samples, exact)) if abs(exact - near) <= drifts[-1] else power


def _without_hum(powers: list[float], mains: int) -> list[float]:
    """The bins of the hum, and the one of DC, taken as their neighbours are."""
    rest = list(powers)
    for harmonic in range(_HARMONICS + 1):
        middle = round(mains * harmonic / _BIN_HZ)
        low, high = max(0, middle - _HUM_BINS), middle + _HUM_BINS
        around = [rest[at] for at in (low - 2, low - 1, high + 1, high + 2) if at >= 0]
        rest[low : high + 1] = [min(around)] * (high + 1 - low)
    return rest


def _plot(powers: Sequence[float]) -> tuple[tuple[float, float], ...]:
    return tuple(
        ((at + _PLOT_BINS / 2) * _BIN_HZ, max(FLOOR_DBM0, dbm0(sum(powers[at : at + _PLOT_BINS]))))
        for at in range(0, len(powers), _PLOT_BINS)
    )
