"""What the echo canceller's filters leave, lowered while only the far end talks: comfort noise takes its place.

ITU-T G.168 calls it the non-linear processor. It gives way within the frame in which a near voice comes up, and it
is a setting: it makes the line a little half-duplex, and its figure is never mixed with the filters' own.
"""

from __future__ import annotations

import random
from typing import Final

from firmware.fxs.dsp.level import amplitude, rounded, samples_of
from firmware.fxs.dsp.vectors import Floats
from firmware.fxs.pcm import FRAME_SAMPLES

_DEPTH: Final = 10 ** (-36.0 / 20)
_QUIETER: Final = 10 ** (-12.0 / 10)
"""Below this part of what came from the line, a residue is believed to be one: the filters have begun to work."""
_RINGING: Final = 0.8
"""An echo dies away in its tail: 1 dB a frame."""
_CLOSE: Final = 0.5
"""The gain falls by half a frame, so that words' ends that the detector misses are not cut."""
_FAINT: Final = FRAME_SAMPLES * 32768.0**2 * 1e-6
"""-60 dBov: fainter than any voice's beginning that is missed, so it may be suppressed whoever talks."""
_LOUDEST_NOISE: Final = FRAME_SAMPLES * amplitude(-45.0) ** 2 / 2
_RISE: Final = 10 ** (3.0 / 100 / 10)
_FLOOR: Final = float(FRAME_SAMPLES) / 12
"""What rounding to whole steps leaves: the quietest that a line can be."""
_NOISE_SAMPLES: Final = 4001
"""Half a second, of a length that frames do not divide: its repetition is not heard."""


class ResidualSuppressor:
    """One line's. `gain`: what is left of the voice at the end of the last frame, 1.0 for all of it."""

    __slots__ = ("_at", "_floor", "_loud", "_noise", "_ramp", "_voice", "gain")

    def __init__(self, seed: int = 1) -> None:
        rng = random.Random(seed)  # noqa: S311 - comfort noise
        noise = [rng.gauss(0, 1) for _ in range(_NOISE_SAMPLES)]
        self._noise = Floats(noise + noise[:FRAME_SAMPLES])
        self._ramp = Floats([0.0] * FRAME_SAMPLES)
        self._voice = Floats([0.0] * FRAME_SAMPLES)
        self.reset()

    def reset(self) -> None:
        """Another call."""
        self.gain = 1.0
        self._floor = _LOUDEST_NOISE
        self._loud = 0.0
        self._at = 0

    def pass_on(self, frame: bytes) -> bytes:
        """A frame while the far end is silent: all of it, and its quietest is the noise to imitate."""
        return self._apply(frame, self._load(frame), 1.0)

    def suppress(self, frame: bytes, line_energy: float, *, near_talks: bool) -> bytes:
        """A frame while the far end talks, that came from the line with `line_energy` (sum of squares)."""
        energy = self._load(frame)
        self._loud = max(line_energy, self._loud * _RINGING)
        residue = (not near_talks or energy < _FAINT) and energy < self._loud * _QUIETER
        target = max(_DEPTH, self.gain * _CLOSE) if residue else 1.0
        return self._apply(frame, energy, target)

    def _load(self, frame: bytes) -> float:
        return self._voice.load(samples_of(frame))

    def _apply(self, frame: bytes, energy: float, target: float) -> bytes:
        # The least of late, rising slowly: breath and hum, not words.
        self._floor = max(_FLOOR, min(energy, self._floor * _RISE, _LOUDEST_NOISE))
        if self.gain == 1.0 == target:
            return frame
        if target == self.gain:
            self._voice.sum_of(self._voice, target, self._noise, 0.0)
        else:
            step = (target - self.gain) / FRAME_SAMPLES
            self._ramp.fill([self.gain + step * i for i in range(1, FRAME_SAMPLES + 1)])
            self.gain = target
            self._voice.multiply(self._ramp)
        if self._floor > _FLOOR:
            share = 1.0 - target
            level = share * (self._floor / FRAME_SAMPLES) ** 0.5
            self._voice.sum_of(self._voice, 1.0, self._noise, level, self._at)
            self._at = (self._at + FRAME_SAMPLES) % _NOISE_SAMPLES
        return rounded(self._voice.pointer)
