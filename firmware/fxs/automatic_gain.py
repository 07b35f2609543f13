"""A gentle automatic gain towards the far end: whoever speaks softly is made louder, slowly, and never in silence.

The level of the voice is learnt only while it is one: well above the line's own noise, with no digit and no far
voice whose echo it might be. So nothing pumps: between words, and for as long as the far end talks, the gain stays.
A frame that would clip is turned down at once. Faxes get the bare line.

libspeexdsp's gain control comes with its noise suppressor and colours the voice; this is two vector functions of
libspandsp and a few numbers. Active speech level as in ITU-T P.56, but without its hangover.
"""

from __future__ import annotations

import math
from typing import Final

from firmware.fxs.dsp.level import rounded, samples_of
from firmware.fxs.dsp.vectors import Floats
from firmware.fxs.pcm import FRAME_MS, FRAME_SAMPLES

TARGET_DBOV: Final = -26.0
"""Where telephone networks expect active speech, in dB below a full-scale square wave (ITU-T P.830 section 5.2.1)."""
RANGE_DB: Final = 9.0
"""The most, up or down."""
_DB_A_SECOND: Final = 2.0
"""Of speech: a word is as even as it was said."""
_STEP: Final = 10 ** (_DB_A_SECOND * FRAME_MS / 1000 / 20)
_NEAR_ENOUGH: Final = 10 ** (1.0 / 20)
"""A voice within 1 dB of the target is left alone."""
_ACTIVE_DBOV: Final = -50.0
"""No voice is softer than this on a line that works; it could not be raised to the target anyhow."""
_ABOVE_NOISE: Final = 10 ** (12.0 / 10)
_NOISE_DBOV: Final = -62.0
"""The line's noise is not raised beyond this, however soft the voice."""
_RISE: Final = 10 ** (1.0 / 100 / 10)
"""What was the quietest is forgotten by 1 dB a second: a vowel held on is no noise."""
_LEARN: Final = 1 / 100
"""The level looks back over a second of speech."""
_FIRST_FRAMES: Final = 30
"""So many frames of speech (0.3 s) must have been heard before anything is changed."""
_CEILING: Final = 29000.0
"""Frames stay 1 dB below the end of the scale."""


def _energy_of(dbov: float) -> float:
    """A frame's sum of squares at that level."""
    return FRAME_SAMPLES * 32768.0**2 * math.pow(10, dbov / 10)


_TARGET: Final = _energy_of(TARGET_DBOV)
_ACTIVE: Final = _energy_of(_ACTIVE_DBOV)
_NOISE: Final = _energy_of(_NOISE_DBOV)
_MOST: Final = 10 ** (RANGE_DB / 20)


class AutomaticGain:
    """One line's. `gain`: the factor at the end of the last frame, 1.0 to begin with."""

    __slots__ = ("_even", "_floor", "_heard", "_level", "_rising", "_voice", "_work", "gain")

    def __init__(self) -> None:
        self._voice = Floats([0.0] * FRAME_SAMPLES)
        self._work = Floats([0.0] * FRAME_SAMPLES)
        self._even = Floats([1.0] * FRAME_SAMPLES)
        self._rising = Floats([i / FRAME_SAMPLES for i in range(1, FRAME_SAMPLES + 1)])
        self.reset()

    @property
    def db(self) -> float:
        """The gain in dB."""
        return 20 * math.log10(self.gain)

    def reset(self) -> None:
        """Another call, perhaps another voice."""
        self.gain = 1.0
        self._level = 0.0
        self._floor = _ACTIVE
        self._heard = 0

    def apply(self, frame: bytes, *, learn: bool, bare: bool = False) -> bytes:
        """A 16-bit frame of FRAME_BYTES at its new level. `learn`: what speaks in it, if anything, is the near
        voice and no digit. `bare`: a fax machine or modem, of which nothing may be changed.
        """
        if bare:
            self.gain = 1.0
            return frame
        samples = samples_of(frame)
        energy = self._voice.load(samples)
        wanted = self._wanted(energy) if learn else self.gain
        loudest = max(*samples, -min(samples))
        if loudest * wanted > _CEILING:
            wanted = min(wanted, max(1 / _MOST, _CEILING / loudest))
        before, self.gain = self.gain, wanted
        if before == wanted:
            if wanted == 1.0:
                return frame
            self._voice.sum_of(self._voice, wanted, self._even, 0.0)
        else:
            # A frame that would clip is low from its first sample; others glide.
            start = min(before, _CEILING / loudest) if wanted < before and loudest else before
            self._work.sum_of(self._even, start, self._rising, wanted - start)
            self._voice.multiply(self._work)
        return rounded(self._voice.pointer)

    def _wanted(self, energy: float) -> float:
        """The gain after a frame of that energy, which is the near voice, or the line's noise."""
        self._floor = max(1.0, min(energy, self._floor * _RISE))
        if energy < max(_ACTIVE, self._floor * _ABOVE_NOISE):
            return self.gain
        self._heard += 1
        self._level += (energy - self._level) * max(_LEARN, 1 / self._heard)
        if self._heard < _FIRST_FRAMES:
            return self.gain
        most = min(_MOST, max(1.0, math.sqrt(_NOISE / self._floor)))
        target = min(most, max(1 / _MOST, math.sqrt(_TARGET / self._level)))
        if target > self.gain * _NEAR_ENOUGH:
            return min(target, self.gain * _STEP)
        if target * _NEAR_ENOUGH < self.gain:
            return max(target, self.gain / _STEP)
        return self.gain
