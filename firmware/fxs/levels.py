"""How loud the line is: digital gains each way, mains hum taken out, clipping counted.

The country's plan (`country.Gains`, in dBr: how much louder the line is than the digital level) is the hat's codec's
to do; these gains are for what it leaves over, or does not do. Arithmetic is libspandsp's; with no gain and no notch
frames pass as they are.
"""

from __future__ import annotations

import cmath
import math
from typing import Final, Literal

from firmware.fxs.dsp.vectors import RATE_HZ, Block, Wave, peak
from firmware.fxs.pcm import FRAME_SAMPLES

STEP_DB: Final = 0.5
LEAST_DB: Final = -24.0
MOST_DB: Final = 12.0
Mains = Literal[0, 50, 60]

_FULL_SCALE: Final = 32767
_HARMONICS: Final = (0, 1, 2, 3)
"""Of the mains: direct current, the mains themselves, a rectifier's ripple, and what a saturated transformer adds."""
_LEARNT_A_FRAME: Final = 0.1
"""A notch 3 Hz wide: 0.1 s to learn the hum, and 24 dB less of it where the mains are 0.1 Hz off."""


class Gain:
    """A fixed gain of `db` decibels; `clipped` counts the frames that reached the end of the scale.

    Raises ValueError for a gain that is no whole number of 0.5 dB steps from -24 to 12 dB.
    """

    __slots__ = ("_factor", "clipped", "db")

    def __init__(self, db: float = 0.0) -> None:
        if not LEAST_DB <= db <= MOST_DB or db % STEP_DB:
            raise ValueError(f"a gain of {db} dB: wanted {LEAST_DB:g} to {MOST_DB:g} in steps of {STEP_DB} dB")
        self.db = db
        self.clipped = 0
        self._factor = 10 ** (db / 20)

    def apply(self, frame: bytes) -> bytes:
        """The 16-bit frame, louder or softer; what does not fit is clipped."""
        if self.db:
            block = Block.of(frame)
            block.scale(self._factor)
            frame = block.pcm()
        self.clipped += peak(frame) >= _FULL_SCALE
        return frame


class HumNotch:
    """Takes mains hum and its first harmonics out of frames of FRAME_SAMPLES; `mains_hz` is 50 or 60.

    An adaptive noise canceller whose reference is a sinusoid is a notch (Widrow et al., Proc. IEEE 63, 1975): each
    frame corrects the amplitude and phase held of each harmonic by a tenth of what is left of it.
    """

    __slots__ = ("_held", "_shares", "_turns", "_waves")

    def __init__(self, mains_hz: float) -> None:
        hertz = [mains_hz * harmonic for harmonic in _HARMONICS]
        self._waves = [Wave(hz, [1.0] * FRAME_SAMPLES) for hz in hertz]
        self._turns = [cmath.exp(-2j * math.pi * hz * FRAME_SAMPLES / RATE_HZ) for hz in hertz]
        # A cosine's square is half on average, that of direct current is one.
        self._shares = [(2 if hz else 1) * _LEARNT_A_FRAME / FRAME_SAMPLES for hz in hertz]
        self._held = [0j] * len(hertz)

    def clean(self, frame: bytes) -> bytes:
        """The 16-bit frame without hum."""
        block = Block.of(frame)
        waves = self._waves
        for wave, held in zip(waves, self._held, strict=True):
            block.subtract(0, FRAME_SAMPLES, wave, held)
        self._held = [
            (held + share * wave.correlate(block, 0).conjugate()) * turn
            for wave, held, share, turn in zip(waves, self._held, self._shares, self._turns, strict=True)
        ]
        return block.pcm()

    def reset(self) -> None:
        """Another call: learn anew."""
        self._held = [0j] * len(self._waves)


class LineLevels:
    """One line's levels. `received` first, then the canceller and the digits, then `to_far`; `to_line` last of all.

    `overdriven` counts frames that came clipped from the line (the codec's own gain is too high), `clipped` those
    that were clipped here, by the gains or by what came from the far end.
    """

    def __init__(self, from_line_db: float = 0.0, to_line_db: float = 0.0, mains_hz: Mains = 0) -> None:
        self.overdriven = 0
        self._from_line = Gain(from_line_db)
        self._to_line = Gain(to_line_db)
        self._notch = HumNotch(mains_hz) if mains_hz else None

    @property
    def clipped(self) -> int:
        """Frames clipped by the gains, both ways."""
        return self._from_line.clipped + self._to_line.clipped

    def received(self, frame: bytes) -> bytes:
        """A frame as it came from the line, without hum."""
        self.overdriven += peak(frame) >= _FULL_SCALE
        return frame if self._notch is None else self._notch.clean(frame)

    def to_far(self, frame: bytes) -> bytes:
        """What the far end gets."""
        return self._from_line.apply(frame)

    def to_line(self, frame: bytes) -> bytes:
        """What the handset gets, voices and tones alike."""
        return self._to_line.apply(frame)

    def reset(self) -> None:
        """Another call."""
        if self._notch is not None:
            self._notch.reset()
