"""The telephone's keypad: DTMF waveforms, computed apart from the box's own generator.

Frequencies of ITU-T Q.23; levels in dBm0 (a full-scale sine is +3.14).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from firmware.fxs.pcm import SAMPLE_RATE_HZ
from firmware.fxs.telephone_ears import Samples, rms_of_dbm0

_ROWS_HZ = (697.0, 770.0, 852.0, 941.0)
_COLUMNS_HZ = (1209.0, 1336.0, 1477.0, 1633.0)
_KEYPAD = ("123A", "456B", "789C", "*0#D")


@dataclass(frozen=True, slots=True)
class Keying:
    """How the keys are pressed. `level_dbm0` is the low tone's, the high one is `twist_db` above it.

    The defaults are what European sets send: -11 and -9 dBm0. `noise_dbm0`: white noise beside the
    digits, None for none. `detune_percent`: how far an aged set's tones are off, both alike.
    """

    on_ms: float = 70.0
    off_ms: float = 70.0
    level_dbm0: float = -11.0
    twist_db: float = 2.0
    noise_dbm0: float | None = None
    detune_percent: float = 0.0


def frequencies(digit: str) -> tuple[float, float]:
    """The row's and the column's frequency in Hz. Raises ValueError for no key of the keypad."""
    for row, keys in zip(_ROWS_HZ, _KEYPAD, strict=True):
        if len(digit) == 1 and digit in keys:
            return row, _COLUMNS_HZ[keys.index(digit)]
    msg = f"{digit!r} is no key: 0-9, *, #, A-D"
    raise ValueError(msg)


def keyed(digits: str, keying: Keying, random: np.random.Generator) -> tuple[Samples, int]:
    """Samples of the digits, each with its pause after it, and the index after the last tone's last sample."""
    on = round(keying.on_ms * SAMPLE_RATE_HZ / 1000)
    off = round(keying.off_ms * SAMPLE_RATE_HZ / 1000)
    times = np.arange(on) / SAMPLE_RATE_HZ
    low = rms_of_dbm0(keying.level_dbm0) * np.sqrt(2)
    high = rms_of_dbm0(keying.level_dbm0 + keying.twist_db) * np.sqrt(2)
    samples = np.zeros(len(digits) * (on + off))
    for place, digit in enumerate(digits):
        row, column = (hz * (1 + keying.detune_percent / 100) for hz in frequencies(digit))
        start = place * (on + off)
        samples[start : start + on] = low * np.sin(2 * np.pi * row * times) + high * np.sin(2 * np.pi * column * times)
    if keying.noise_dbm0 is not None:
        samples += random.normal(0.0, rms_of_dbm0(keying.noise_dbm0), samples.size)
    return samples, samples.size - off
