"""The hybrid's echo, taken out of what the handset says. No gain control and no noise suppressor."""

from __future__ import annotations

from firmware.fxs.dsp.speexdsp import SpeexEcho
from firmware.fxs.pcm import FRAME_SAMPLES, SAMPLE_RATE_HZ


class EchoCanceller:
    """One line's canceller; `tail_ms` spans the hybrid's echo and the sound device's delay."""

    __slots__ = ("_speex",)

    def __init__(self, tail_ms: int = 32) -> None:
        if not 4 <= tail_ms <= 256:  # noqa: PLR2004 - below no hybrid fits, above it never converges
            msg = f"echo tail of {tail_ms} ms: wanted 4 to 256"
            raise ValueError(msg)
        self._speex = SpeexEcho(FRAME_SAMPLES, SAMPLE_RATE_HZ * tail_ms // 1000)

    def cancel(self, near: bytes, far: bytes) -> bytes:
        """`near` (from the handset) without the echo of `far` (sent to it): frames of FRAME_BYTES."""
        return self._speex.cancel(near, far)

    def reset(self) -> None:
        """A new call, perhaps another telephone: learn again."""
        self._speex.reset()
