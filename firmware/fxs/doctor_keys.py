"""Presses of DTMF keys, measured: frequency, level, twist and length of each. Pure.

Not a receiver: a receiver says which key was meant and forgives; this finds bursts of two tones
however wrong they are (frequencies up to 6 % off) and tells by how much. ITU-T Q.23 names the
frequencies. Frequency comes from the turn of the phase between two overlapping windows, level from the
window at that frequency, length from the burst's energy over its steady power, so that neither
attack nor echo moves it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from firmware.fxs.doctor_report import KeyFigures
from firmware.fxs.doctor_spectrum import dbm0, phasor, power_at, refined
from firmware.fxs.dsp.level import samples_of
from firmware.fxs.pcm import SAMPLE_RATE_HZ

KEYS = "123A456B789C*0#D"
ROWS_HZ = (697.0, 770.0, 852.0, 941.0)
COLUMNS_HZ = (1209.0, 1336.0, 1477.0, 1633.0)
MAX_PRESSES = 64

_BLOCK = 40
_MIN_BLOCKS = 4
_GAP_BLOCKS = 3
_QUIET_SHARE = 0.1
_FLOOR_DBM0 = -42.0
_ABOVE_NOISE = 10.0
_FIT_SAMPLES = 1280
_MIN_FIT = 160
_TONES_SHARE = 0.85
_LEAST_SHARE = 0.003
_REACH = 0.06
_MARGIN_SAMPLES = 120
_MEETS = 2
_STEADY_DB = 2.0
_STEADY_HZ = 5.0
_STEADY_SAMPLES = 280


def measure(pcm: bytes) -> tuple[KeyFigures, ...]:
    """Every press in 16-bit samples, in order of time, MAX_PRESSES at most; speech and clicks are left out."""
    raw = samples_of(pcm)
    if not raw:
        return ()
    mean = sum(raw) / len(raw)
    samples = [value - mean for value in raw]
    powers = [_power(samples, at, at + _BLOCK) for at in range(0, len(samples) - _BLOCK + 1, _BLOCK)]
    noise = sorted(powers)[int(len(powers) * _QUIET_SHARE)] if powers else 0.0
    presses: list[KeyFigures] = []
    last_end: float | None = None
    for first, last in _runs(powers, noise):
        measured = _press(samples, first * _BLOCK, last * _BLOCK, noise)
        if measured is None:
            last_end = None  # something else sounded: no pause between two keys
            continue
        figures, start, end = measured
        if presses and last_end is not None:
            before = presses.pop()
            presses.append(_with_pause(before, (start - last_end) * 1000 / SAMPLE_RATE_HZ))
        presses.append(figures)
        last_end = end
        if len(presses) == MAX_PRESSES:
            break
    return tuple(presses)


def _with_pause(key: KeyFigures, off_ms: float) -> KeyFigures:
    return KeyFigures(
        key.key,
        key.low_hz,
        key.high_hz,
        key.low_error,
        key.high_error,
        key.low_dbm0,
        key.high_dbm0,
        key.on_ms,
        max(0.0, off_ms),
    )


def _power(samples: Sequence[float], start: int, end: int) -> float:
    piece = samples[max(0, start) : end]
    return sum(value * value for value in piece) / max(1, len(piece))


def _runs(powers: Sequence[float], noise: float) -> list[tuple[int, int]]:
    """Stretches of blocks above noise and floor; the beat of two tones makes no gap."""
    least = max(noise * 10 ** (_ABOVE_NOISE / 10), _mean_square(_FLOOR_DBM0))
    # Where keys follow each other fast, the quietest tenth may be a tone itself.
    least = min(least, max(powers, default=0.0) / 100)
    least = max(least, _mean_square(_FLOOR_DBM0))
    runs: list[tuple[int, int]] = []
    for at, value in enumerate(powers):
        if value < least:
            continue
        if runs and at - runs[-1][1] < _GAP_BLOCKS:
            runs[-1] = (runs[-1][0], at + 1)
        else:
            runs.append((at, at + 1))
    # What sounds at either end of the recording was cut by it: its length would be a lie.
    return [run for run in runs if run[1] - run[0] >= _MIN_BLOCKS and run[0] > 0 and run[1] < len(powers)]


def _mean_square(level: float) -> float:
    return float(10 ** ((level - dbm0(1.0)) / 10))


def _press(samples: Sequence[float], start: int, end: int, noise: float) -> tuple[KeyFigures, float, float] | None:
    """The figures of a burst, and where it begins and ends (samples); None if it is not two tones."""
    inset = max(_BLOCK, (end - start) // 8)
    first, last = start + inset, end - inset
    if last - first < _MIN_FIT:
        first, last = start + _BLOCK // 2, end - _BLOCK // 2
    if last - first > _FIT_SAMPLES:
        first = (first + last - _FIT_SAMPLES) // 2
        last = first + _FIT_SAMPLES
    piece = samples[first:last]
    if len(piece) < _MIN_FIT // 2:
        return None
    low_hz, high_hz = _tone(piece, ROWS_HZ), _tone(piece, COLUMNS_HZ)
    low, high = abs(phasor(piece, low_hz)) ** 2 / 2, abs(phasor(piece, high_hz)) ** 2 / 2
    steady = low + high
    rest = _power(piece, 0, len(piece)) - noise
    if steady < _TONES_SHARE * rest or min(low, high) < _LEAST_SHARE * steady:
        return None
    if not (_steady(piece, low_hz) and _steady(piece, high_hz)):
        return None
    row, column = _nearest(low_hz, ROWS_HZ), _nearest(high_hz, COLUMNS_HZ)
    low_error, high_error = _error(low_hz, ROWS_HZ[row]), _error(high_hz, COLUMNS_HZ[column])
    if max(abs(low_error), abs(high_error)) > 100 * _REACH:
        return None
    begin, length = _extent(samples, start - _MARGIN_SAMPLES, end + _MARGIN_SAMPLES, noise, steady)
    figures = KeyFigures(
        key=KEYS[4 * row + column],
        low_hz=low_hz,
        high_hz=high_hz,
        low_error=low_error,
        high_error=high_error,
        low_dbm0=dbm0(low),
        high_dbm0=dbm0(high),
        on_ms=1000 * length / SAMPLE_RATE_HZ,
    )
    return figures, begin, begin + length


def _tone(piece: Sequence[float], nominal: Sequence[float]) -> float:
    """The strongest frequency of a group, sought from 6 % below its lowest to 6 % above its highest tone."""
    step = SAMPLE_RATE_HZ / len(piece) / _MEETS
    low, high = nominal[0] * (1 - _REACH), nominal[-1] * (1 + _REACH)
    grid = [low + step * n for n in range(math.ceil((high - low) / step) + 1)]
    coarse = max(grid, key=lambda hz: power_at(piece, hz))
    return refined(piece, coarse)


def _steady(piece: Sequence[float], hz: float) -> bool:
    """Whether both halves have the same tone: a voice, even as echo of the box's own, has not."""
    half = len(piece) // 2
    one, two = piece[:half], piece[half:]
    power, other = power_at(one, hz), power_at(two, hz)
    if not min(power, other) or abs(dbm0(power) - dbm0(other)) > _STEADY_DB:
        return False
    return abs(refined(one, hz) - refined(two, hz)) < _STEADY_HZ * max(1.0, _STEADY_SAMPLES / half)


def _nearest(hz: float, nominal: Sequence[float]) -> int:
    return min(range(len(nominal)), key=lambda at: abs(hz - nominal[at]) / nominal[at])


def _error(hz: float, nominal: float) -> float:
    return 100 * (hz - nominal) / nominal


def _extent(samples: Sequence[float], start: int, end: int, noise: float, steady: float) -> tuple[float, float]:
    """Beginning and length (samples) of the rectangle of `steady` power that has the burst's energy and its middle."""
    start, end = max(0, start), min(len(samples), end)
    energy = moment = 0.0
    for at in range(start, end):
        value = samples[at] * samples[at] - noise
        energy += value
        moment += value * at
    if energy <= 0:
        return float(start), 0.0
    length = energy / steady
    return moment / energy - length / 2 + 0.5, length
