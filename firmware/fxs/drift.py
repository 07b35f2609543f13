"""How fast a buffer between two clocks must be read so that it neither runs dry nor fills. Pure.

Two sound devices never agree on how long a second is; 200 ppm between them is a frame every 50 s.
Whoever reads the buffer takes a little more or less than a frame's worth of samples each time, and a
resampler makes a frame of them. `Drift` says how much. What it holds steady is not the number of
samples in the buffer, which jumps by a frame with every write, but the age of the sound: those
samples and what the writing device has gathered since its last frame.

A second-order loop (proportional and integral), critically damped at 0.5 rad/s: a step of 200 ppm
moves the delay by 0.15 ms and is followed within 10 s. Wake-ups that come late are the greater
part of what it sees; they are clipped and smoothed before they count.
"""

from __future__ import annotations

from typing import Final

from firmware.fxs.pcm import FRAME_SAMPLES, SAMPLE_RATE_HZ

STEPS_A_UNIT: Final = 65_521
"""Ratios are n / STEPS_A_UNIT, 15.3 ppm apart; see `dsp.speexdsp.Resampler` for why it is this prime."""
MOST_PPM: Final = 1000.0
"""A pitch that much off cannot be heard (a semitone is 59,463 ppm)."""

# One frame to be read, one that may still be on its way, and what a wake-up or a change of master may be late.
SLACK_SAMPLES: Final = 64
TARGET_SAMPLES: Final = 2 * FRAME_SAMPLES + SLACK_SAMPLES

_FRAME_SECONDS: Final = FRAME_SAMPLES / SAMPLE_RATE_HZ
_SMOOTHING: Final = _FRAME_SECONDS / 0.3
_PROPORTIONAL: Final = 1.0  # per second: of a millisecond too much, 1000 ppm
_INTEGRAL: Final = 0.25  # per second squared
_MOST_INTEGRAL: Final = 500e-6
_CLIP_SECONDS: Final = 0.004
_LATEST_SECONDS: Final = 0.04
# Between two ratios the resampler makes its filter anew: no more often than this, and not for less than a step.
_HOLD_FRAMES: Final = 25


class Drift:
    """One direction of one line. `wrote` and `read` a frame at a time, with CLOCK_MONOTONIC; `begin` before all."""

    __slots__ = ("_held", "_integral", "_smooth", "_wrote_at", "level", "steps")

    def __init__(self) -> None:
        self.level = 0.0
        self.steps = STEPS_A_UNIT + 1
        self._integral = 0.0
        self._wrote_at = 0.0
        self.begin(0)

    def begin(self, level: int) -> None:
        """Start (again) with `level` samples in the buffer.

        What was learnt of the clocks stays: after a gap they are the same two.
        """
        self.level = float(level)
        self._smooth = 0.0
        self._held = 0

    @property
    def ppm(self) -> float:
        """How much faster the writing clock runs than the reading one, as far as is known."""
        return self._integral * 1e6

    def age(self, now: float) -> float:
        """How old the oldest sound in the buffer is at `now`, in samples."""
        since = now - self._wrote_at
        return self.level + SAMPLE_RATE_HZ * (0.0 if since < 0.0 else min(since, _LATEST_SECONDS))

    def wrote(self, now: float) -> None:
        """A frame went in."""
        self.level += FRAME_SAMPLES
        self._wrote_at = now

    def read(self, now: float) -> int:
        """Before a frame is read: the samples to take for each STEPS_A_UNIT given."""
        error = (self.age(now) - TARGET_SAMPLES) / SAMPLE_RATE_HZ
        error = min(max(error, -_CLIP_SECONDS), _CLIP_SECONDS)
        self._smooth += (error - self._smooth) * _SMOOTHING
        integral = self._integral + _INTEGRAL * self._smooth * _FRAME_SECONDS
        self._integral = min(max(integral, -_MOST_INTEGRAL), _MOST_INTEGRAL)
        if self._held == 0:
            most = MOST_PPM * 1e-6
            rate = min(max(_PROPORTIONAL * self._smooth + self._integral, -most), most)
            # Never the unit itself: see `dsp.speexdsp.Resampler`. A step too many is taken back in time.
            steps = STEPS_A_UNIT + (round(rate * STEPS_A_UNIT) or 1)
            if steps != self.steps:
                self.steps = steps
                self._held = _HOLD_FRAMES
        else:
            self._held -= 1
        self.level -= FRAME_SAMPLES * self.steps / STEPS_A_UNIT
        return self.steps
