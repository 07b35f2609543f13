"""Samples laid over what the handset hears: a beep and a word into a conversation, which goes on under them.

The voice under them is lowered by DUCK_DB meanwhile, gliding within a frame at either end. Belongs to the voice
thread: a frame costs 80 products and sums, nothing grows.
"""

from __future__ import annotations

from typing import Final, Protocol

from firmware.fxs.dsp.level import pcm_of, samples_of
from firmware.fxs.pcm import FRAME_BYTES, FRAME_SAMPLES
from firmware.fxs.tones import ramped

DUCK_DB: Final = 12.0
_DUCKED: Final = 10 ** (-DUCK_DB / 20)
_GLIDE: Final = tuple(1 - (1 - _DUCKED) * (i + 0.5) / FRAME_SAMPLES for i in range(FRAME_SAMPLES))


class Overlay(Protocol):
    """What is laid over a frame. `over`: nothing any more."""

    @property
    def over(self) -> bool: ...  # noqa: D102

    def frame(self, under: bytes) -> bytes:
        """The next 10 ms with `under` below."""
        ...


class Nothing:
    """No overlay: what is heard passes."""

    over = True

    def frame(self, under: bytes) -> bytes:
        """`under`, untouched."""
        return under


NOTHING: Final = Nothing()


class Laid:
    """16-bit samples, once, ramped at both ends."""

    def __init__(self, pcm: bytes) -> None:
        self._pcm = ramped(pcm)
        self._position = 0

    @property
    def over(self) -> bool:
        """Whether all of it has been heard."""
        return self._position >= len(self._pcm)

    def frame(self, under: bytes) -> bytes:
        """The next 10 ms of it over `under`, which is back at its own level with the last."""
        if self.over:
            return under
        first = self._position == 0
        piece = self._pcm[self._position : self._position + FRAME_BYTES].ljust(FRAME_BYTES, b"\0")
        self._position += FRAME_BYTES
        last = self.over
        above, below = samples_of(piece), samples_of(under)
        if first and not last:
            return pcm_of(a + b * gain for a, b, gain in zip(above, below, _GLIDE, strict=True))
        if last and not first:
            return pcm_of(a + b * gain for a, b, gain in zip(above, below, reversed(_GLIDE), strict=True))
        return pcm_of(a + b * _DUCKED for a, b in zip(above, below, strict=True))
