"""How full a card's playback buffer is kept: as little ahead as holds, and never more as hours go by. Pure.

Counted in periods of 10 ms, as ALSA does: with `depth` periods, depth - 2 lie in the buffer when a frame is
written and depth - 1 after it; one is what the line plays while the next is captured.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from firmware.fxs.drift import STEPS_A_UNIT
from firmware.fxs.pcm import FRAME_SAMPLES, SAMPLE_RATE_HZ

FEWEST_PERIODS: Final = 3
"""Two would leave nothing ahead at the moment a frame is written: the first late wake-up is an underrun."""
MOST_PERIODS: Final = 8
_REPEATED: Final = 3
_WITHIN_SECONDS: Final = 10.0
_SETTLING_SECONDS: Final = 0.5

_WINDOW_FRAMES: Final = 100
_SURPLUS_SAMPLES: Final = 60

_FRAME_SECONDS: Final = FRAME_SAMPLES / SAMPLE_RATE_HZ
# The loop of `fxs.drift`, on a level that is measured instead of reckoned: critically damped at 0.5 rad/s.
_SMOOTHING: Final = _FRAME_SECONDS / 0.3
_PROPORTIONAL: Final = 1.0
_INTEGRAL: Final = 0.25
_MOST_RATE: Final = 1000e-6
_MOST_INTEGRAL: Final = 500e-6
_CLIP_SECONDS: Final = 0.004
_HOLD_FRAMES: Final = 25


class Depth:
    """How many periods a card needs: `periods` fixed, or 0 for as few as hold.

    It begins with FEWEST_PERIODS and takes one more after three underruns in ten seconds, up to `most`. It never
    goes back while the box runs: that a card was calm does not say that it will be.
    """

    def __init__(self, periods: int) -> None:
        self.periods = periods or FEWEST_PERIODS
        self._fixed = periods != 0
        self._most = MOST_PERIODS
        self._opened_at = 0.0
        self._xruns: deque[float] = deque(maxlen=_REPEATED)

    def opened(self, now: float, buffer_samples: int) -> None:
        """A card was opened, with a playback buffer of that many samples; it may hold less than was asked for."""
        self._most = max(2, min(MOST_PERIODS, buffer_samples // FRAME_SAMPLES))
        if self.periods * FRAME_SAMPLES > buffer_samples:
            self.periods = self._most
        self._opened_at = now
        self._xruns.clear()

    def xrun(self, now: float) -> bool:
        """The playback ran dry though the voice thread was there; whether there is a period more from now on."""
        if self._fixed or self.periods >= self._most or now - self._opened_at < _SETTLING_SECONDS:
            return False
        self._xruns.append(now)
        if len(self._xruns) < _REPEATED or now - self._xruns[0] > _WITHIN_SECONDS:
            return False
        self._xruns.clear()
        self.periods += 1
        return True


class Surplus:
    """Watches a buffer that one clock fills and empties: sound too much in it would be late for good.

    What counts is the highest level of a second: a wake-up that came late finds less, and none finds more.
    The usual one is learnt in the first second after the card was opened; cards move their pointers in steps
    of their own.
    """

    def __init__(self) -> None:
        self._usual: int | None = None
        self._most = 0
        self._frames = 0

    def opened(self) -> None:
        """A card was opened, perhaps another one."""
        self._usual = None
        self.refilled()

    def refilled(self) -> None:
        """The buffer was filled anew after it had run dry."""
        self._frames = 0

    def late(self, filled: int, periods: int) -> bool:
        """Before a frame is written: whether it must be left out, `filled` samples being ahead of it already."""
        level = filled - periods * FRAME_SAMPLES
        if level > 0:
            return True
        self._most = level if self._frames == 0 else max(self._most, level)
        self._frames += 1
        if self._frames < _WINDOW_FRAMES:
            return False
        self._frames = 0
        if self._usual is None or self._most < self._usual:
            self._usual = self._most
        return self._most > self._usual + _SURPLUS_SAMPLES


class PlayoutRate:
    """How fast frames are resampled into a card whose clock is not the capturing card's."""

    def __init__(self) -> None:
        self.steps = STEPS_A_UNIT + 1
        self._integral = 0.0
        self.begin()

    @property
    def ppm(self) -> float:
        """How much slower the playing card's clock runs than the capturing one's, as far as is known."""
        return self._integral * 1e6

    def begin(self) -> None:
        """The buffer was filled anew; what was learnt of the clocks stays."""
        self._smooth = 0.0
        self._held = 0

    def next(self, filled: int, periods: int) -> int:
        """Before a frame is written: the samples to take for each STEPS_A_UNIT given."""
        error = (filled - (periods - 2) * FRAME_SAMPLES) / SAMPLE_RATE_HZ
        error = min(max(error, -_CLIP_SECONDS), _CLIP_SECONDS)
        self._smooth += (error - self._smooth) * _SMOOTHING
        integral = self._integral + _INTEGRAL * self._smooth * _FRAME_SECONDS
        self._integral = min(max(integral, -_MOST_INTEGRAL), _MOST_INTEGRAL)
        if self._held:
            self._held -= 1
            return self.steps
        rate = min(max(_PROPORTIONAL * self._smooth + self._integral, -_MOST_RATE), _MOST_RATE)
        steps = STEPS_A_UNIT + (round(rate * STEPS_A_UNIT) or 1)  # never the unit itself: see `Resampler`
        if steps != self.steps:
            self.steps = steps
            self._held = _HOLD_FRAMES
        return self.steps
