"""What wakes a telephone's display on-hook, and whether the modem it hears is its own: alerting signal, and mark.

Samples only, with numpy, and independent of what makes these signals in the box. ETSI EN 300 659-1 and -2:
2130 and 2750 Hz within 0.5 %, 88 to 110 ms on-hook (75 to 85 off-hook); mark within 1.5 %.
"""

from __future__ import annotations

import numpy as np

from firmware.fxs.pcm import FRAME_MS, SAMPLE_RATE_HZ
from firmware.fxs.telephone_ears import Samples, fit, rms_of_dbm0

_ALERT_HZ = (2130.0, 2750.0)
_FAINTEST_DBM0 = -38.0
_PURE = 0.8
_SHARE = 0.25  # amplitude of one tone over the other: 12 dB
_OFF_SHARE = 0.011
_FFT = 1 << 13
_MARK_WINDOW = 160
_MARK_HOP = 80
_MARK_BAND = (1100.0, 1450.0)
_MARK_WINDOWS = 5  # 60 ms


class AlertEar:
    """Feed it frames; True once, when an alerting signal of `least_ms` to `most_ms` has just ended."""

    def __init__(self, least_ms: int, most_ms: int) -> None:
        self._least, self._most = least_ms, most_ms
        self._waves, self._solve = fit(_ALERT_HZ)
        self._heard: list[Samples] = []

    def hear(self, frame: Samples) -> bool:
        """One frame of the line."""
        if self._sounds(frame):
            if len(self._heard) * FRAME_MS <= 2 * self._most:
                self._heard.append(frame)
            return False
        heard, self._heard = self._heard, []
        # The frames at its edges are half silence: up to one is lost, up to one is gained.
        ms = len(heard) * FRAME_MS
        return self._least - 2 * FRAME_MS <= ms <= self._most + FRAME_MS and _in_tune(np.concatenate(heard))

    def _sounds(self, frame: Samples) -> bool:
        energy = float(frame @ frame)
        if energy < frame.size * rms_of_dbm0(_FAINTEST_DBM0) ** 2:
            return False
        parts = self._solve @ frame
        rest = frame - self._waves @ parts
        powers = parts[:2] ** 2 + parts[2:] ** 2
        pure = float(rest @ rest) <= (1 - _PURE) * energy
        return pure and float(powers.min()) >= _SHARE**2 * float(powers.max())


def _in_tune(sound: Samples) -> bool:
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(sound.size), _FFT))
    for hz in _ALERT_HZ:
        near = slice(round((hz - 150) * _FFT / SAMPLE_RATE_HZ), round((hz + 150) * _FFT / SAMPLE_RATE_HZ))
        peak = (near.start + int(np.argmax(spectrum[near]))) * SAMPLE_RATE_HZ / _FFT
        if abs(peak - hz) > _OFF_SHARE * hz:
            return False
    return True


def mark_frequency(sound: Samples) -> float | None:
    """The frequency in Hz of the longest steady stretch in the band of marks: what precedes a message. None: none."""
    window = np.hanning(_MARK_WINDOW)
    size = 2048
    best: list[float] = []
    run: list[float] = []
    for at in range(0, sound.size - _MARK_WINDOW + 1, _MARK_HOP):
        power = np.abs(np.fft.rfft(sound[at : at + _MARK_WINDOW] * window, size)) ** 2
        top = int(np.argmax(power))
        hz = top * SAMPLE_RATE_HZ / size
        reach = round(120 * size / SAMPLE_RATE_HZ)
        share = float(power[max(0, top - reach) : top + reach + 1].sum() / max(1e-9, float(power.sum())))
        if _MARK_BAND[0] <= hz <= _MARK_BAND[1] and share > _PURE:
            run.append(hz)
            best = max(best, run, key=len)
        else:
            run = []
    return float(np.median(best)) if len(best) >= _MARK_WINDOWS else None
