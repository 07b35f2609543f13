"""The simulated telephone on a wide line: its ears and keys live at 8 kHz, mouth and earpiece at 16.

What is keyed, the hybrid and the noise of the line are brought up to 16 kHz, what comes is brought down for the
ears; only what is played and recorded keeps its upper half.
"""

from __future__ import annotations

import numpy as np

from firmware.fxs.dsp.speexdsp import Converter
from firmware.fxs.pcm import SAMPLE_RATE_HZ, WIDE_FRAME_BYTES, WIDE_RATE_HZ
from firmware.fxs.telephone_ears import Samples

_LEAST, _MOST = -32768, 32767


class WideLine:
    """One line's two directions. Used by the thread that ticks."""

    def __init__(self) -> None:
        self._down = Converter(WIDE_RATE_HZ, SAMPLE_RATE_HZ)
        self._up = Converter(SAMPLE_RATE_HZ, WIDE_RATE_HZ)

    def heard(self, frame: bytes) -> tuple[bytes, bytes]:
        """A frame of the box as it came, and at 8 kHz. One of another size is silence: the line was just woken."""
        whole = frame if len(frame) == WIDE_FRAME_BYTES else bytes(WIDE_FRAME_BYTES)
        return whole, self._down.convert(whole)

    def spoken(self, frame: bytes, above: Samples | None) -> bytes:
        """The frame for the box: 8 kHz brought up, and what wide sounds put there beside it (WIDE_RATE_HZ)."""
        raised = self._up.convert(frame)
        if above is None:
            return raised
        mixed = np.frombuffer(raised, np.int16) + np.rint(above)
        return np.clip(mixed, _LEAST, _MOST).astype(np.int16).tobytes()
