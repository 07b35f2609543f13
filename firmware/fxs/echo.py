"""The hybrid's echo, taken out of what the handset says. No gain control and no noise suppressor.

A canceller that has nothing to cancel still adapts when both people talk, and harms the voice it
should spare (PESQ 3.1 instead of 4.5). So the line's return loss is watched: the least that comes
back while the far end talks. Beyond BYPASS_DB the voice passes as it is.
"""

from __future__ import annotations

from collections import deque
from operator import mul

from firmware.fxs.dsp.level import amplitude, samples_of
from firmware.fxs.dsp.speexdsp import SpeexEcho
from firmware.fxs.pcm import FRAME_MS, FRAME_SAMPLES, SAMPLE_RATE_HZ
from firmware.fxs.tones import crossfade

BYPASS_DB = 40.0
RETURN_DB = 32.0
_LEAST = 10 ** (-(BYPASS_DB + 4.0) / 10)
_BYPASS = 10 ** (-BYPASS_DB / 10)
_RETURN = 10 ** (-RETURN_DB / 10)
# What was once measured is forgotten by 6 dB in a second of far speech: lines and telephones change.
_FORGET = 10 ** (6.0 * FRAME_MS / 1000 / 10)
_TALKING = FRAME_SAMPLES * amplitude(-30.0) ** 2 / 2
_QUIET_FRAMES = 5
"""So many frames must agree: one may be a dip of the hybrid, not the absence of one."""


class EchoCanceller:
    """One line's canceller; `tail_ms` spans the hybrid's echo and the sound device's delay."""

    __slots__ = ("_far", "_quiet", "_returned", "_speex", "bypassed")

    def __init__(self, tail_ms: int = 32) -> None:
        if not 4 <= tail_ms <= 256:  # noqa: PLR2004 - below no hybrid fits, above it never converges
            msg = f"echo tail of {tail_ms} ms: wanted 4 to 256"
            raise ValueError(msg)
        self._speex = SpeexEcho(FRAME_SAMPLES, SAMPLE_RATE_HZ * tail_ms // 1000)
        self._far: deque[float] = deque(maxlen=tail_ms // FRAME_MS + 2)
        self._quiet: deque[float] = deque(maxlen=_QUIET_FRAMES)
        self._returned = 1.0
        self.bypassed = False
        self._learn_anew()

    def cancel(self, near: bytes, far: bytes) -> bytes:
        """`near` (from the handset) without the echo of `far` (sent to it): frames of FRAME_BYTES."""
        bypassed = self.bypassed
        self._watch(near, far)
        if bypassed and self.bypassed:
            return near
        if bypassed:
            self._speex.reset()
            return crossfade(near, self._speex.cancel(near, far))
        out = self._speex.cancel(near, far)
        return crossfade(out, near) if self.bypassed else out

    def _watch(self, near: bytes, far: bytes) -> None:
        """Keep the return loss: the ratio of what comes back to what was sent all through the tail."""
        self._far.append(_energy(far))
        sent = min(self._far)
        if sent < _TALKING:
            return
        ratio = _energy(near) / sent
        self._returned = min(1.0, self._returned * _FORGET)
        if ratio < self._returned:
            self._quiet.append(ratio)
            if len(self._quiet) == _QUIET_FRAMES:
                self._returned = max(_LEAST, *self._quiet)
                self._quiet.clear()
        if self._returned < _BYPASS:
            self.bypassed = True
        elif self._returned > _RETURN:
            self.bypassed = False

    def _learn_anew(self) -> None:
        self.bypassed = False
        self._returned = 1.0
        self._far.clear()
        self._far.extend([0.0] * (self._far.maxlen or 1))
        self._quiet.clear()

    def reset(self) -> None:
        """A new call, perhaps another telephone: learn again."""
        self._speex.reset()
        self._learn_anew()


def _energy(frame: bytes) -> float:
    samples = samples_of(frame)
    return float(sum(map(mul, samples, samples)))
