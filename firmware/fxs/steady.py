"""A steady tone, told from voices: what its last two samples foretell is what comes. Energies only, no I/O.

For a sine x[n] = 2 cos(w) x[n-1] - x[n-2]. The two factors that foretell a frame best are found by least squares
(linear prediction of order 2, covariance method); what they leave is next to nothing of a tone, whatever its frequency,
and of a voice never for long.
"""

from __future__ import annotations

from typing import Final

from firmware.fxs.dsp.vectors import Block

_LEFT: Final = 0.004
"""Of the energy, -24 dB: A-law leaves a thousandth of a tone."""
_AUDIBLE: Final = 80.0
"""Mean square (-50 dB of full scale): below it quantizing is all that is heard."""
_BEGINS: Final = 20
"""So many frames (200 ms) make a tone: recorded voices were one for 100 at most."""
_ENDS: Final = 10
"""So many audible frames that are none (100 ms) end it: a packet that was lost in it does not."""


class SteadyTone:
    """Hears one direction of a call, a frame of 10 ms at a time. `on`: a tone sounds, or was the last sound."""

    __slots__ = ("_run", "on")

    def __init__(self) -> None:
        self.on = False
        self._run = 0

    def reset(self) -> None:
        """Another call."""
        self.on = False
        self._run = 0

    def feed(self, pcm: bytes) -> bool:
        """Hear 16-bit samples; whether a tone is on."""
        block = Block.of(pcm)
        count = len(block) - 2
        energy = block.product(0, 0, count)
        if energy < _AUDIBLE * count:
            if not self.on:
                self._run = 0
            return self.on
        if (_left(block, count) < _LEFT) is self.on:
            self._run = 0
        else:
            self._run += 1
            if self._run == (_ENDS if self.on else _BEGINS):
                self.on, self._run = not self.on, 0
        return self.on


def _left(block: Block, count: int) -> float:
    """What share of the energy the best prediction of order 2 leaves."""
    now, before, older = block.product(2, 2, count), block.product(1, 1, count), block.product(0, 0, count)
    one, two, both = block.product(2, 1, count), block.product(2, 0, count), block.product(1, 0, count)
    span = before * older - both * both
    if now <= 0.0 or span <= 1e-9 * before * older:
        return 1.0
    first = (one * older - two * both) / span
    second = (two * before - one * both) / span
    return max(0.0, 1.0 - (first * one + second * two) / now)
