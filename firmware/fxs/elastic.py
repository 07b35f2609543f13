"""A line's frames brought from the clock of who writes them to the clock of who reads them.

One direction of one line: a short buffer, libspeexdsp's resampler, and `drift.Drift`, which says how
fast to read. Frames are never dropped and never repeated while both ends run. An end that stood
still for longer than the slack costs a gap: silence until the delay is what it was, counted.
"""

from __future__ import annotations

import threading
from typing import Final

from firmware.fxs.drift import TARGET_SAMPLES, Drift
from firmware.fxs.dsp.speexdsp import Resampler
from firmware.fxs.pcm import FRAME_SAMPLES, SAMPLE_RATE_HZ, frame_bytes

# A frame out takes 81 samples in at the fastest ratio, and the resampler's own phase is one more.
_ENOUGH: Final = FRAME_SAMPLES + 2
# The reader stood still, or lost frames: sound that old is given up at once, down to the usual delay.
_MOST_SAMPLES: Final = TARGET_SAMPLES + 5 * FRAME_SAMPLES


class Elastic:
    """`push` on the writing thread, `pull` on the reading one; times are CLOCK_MONOTONIC.

    `gaps`: frames of silence that were given because the writer was late, not counting those before
    the first sound; `drops`: times that sound was given up because the reader was. A wide line's samples are
    counted in the units of 8 kHz, two of them in one.
    """

    def __init__(self, rate_hz: int = SAMPLE_RATE_HZ) -> None:
        self._unit = 2 * rate_hz // SAMPLE_RATE_HZ  # bytes that last as long as a sample at 8 kHz
        self._silence = bytes(frame_bytes(rate_hz))
        self.gaps = 0
        self.drops = 0
        self.drift = Drift()
        self._resampler = Resampler()
        self._lock = threading.Lock()
        self._samples = bytearray()
        self._flows = False
        self._flowed = False

    @property
    def short(self) -> bool:
        """Whether the next `pull` would give a gap."""
        return self._flows and len(self._samples) < self._unit * _ENOUGH

    @property
    def ppm(self) -> float:
        """How much faster the writer's clock runs than the reader's, as far as is known."""
        return self.drift.ppm

    def push(self, frame: bytes, now: float) -> None:
        """One frame of the writer's clock."""
        with self._lock:
            self._samples += frame
            self.drift.wrote(now)
            if len(self._samples) > self._unit * _MOST_SAMPLES:
                self.drops += self._flows
                self._trim(len(self._samples) // self._unit - TARGET_SAMPLES)

    def pull(self, now: float) -> bytes:
        """One frame of the reader's clock; silence while there is none."""
        with self._lock:
            held = len(self._samples) // self._unit
            if not self._flows:
                age = self.drift.age(now)
                if held < _ENOUGH or age < TARGET_SAMPLES:
                    self.gaps += self._flowed
                    return self._silence
                self._trim(int(age) - TARGET_SAMPLES)
                self._flows = self._flowed = True
            elif held < _ENOUGH:
                self._flows = False
                self.gaps += 1
                return self._silence
            steps = self.drift.read(now)
            ahead = bytes(self._samples[: self._unit * _ENOUGH])
            frame, used = self._resampler.frame(ahead, steps, FRAME_SAMPLES * self._unit // 2)
            del self._samples[: 2 * used]
            return frame if len(frame) == len(self._silence) else self._silence

    def _trim(self, surplus: int) -> None:
        """Give up the oldest `surplus` samples, and begin anew from there; a frame's worth stays in any case."""
        held = len(self._samples) // self._unit
        given_up = max(0, min(surplus, held - _ENOUGH))
        del self._samples[: self._unit * given_up]
        self.drift.begin(held - given_up)
