"""Splices in the far voice, mended: where the SIP library left packets out without a word. Pure.

Its jitter buffer conceals what it misses when it is read. But when it runs empty between two readings and the next
packet to come is not the next one of the voice (that was overtaken, or lost, while a packet more than usual lay in the
buffer), it goes on with what came, and nothing is concealed: one sample is of the old place, the next of another. That
is a click, and the way by which a delay that grew in a bad moment becomes short again.

Such a splice lies at one place only: between two frames of 10 ms, as late as the library's concealment passes
everything on (5 ms). There the next samples are foretold by linear prediction from those before. Where a lone spike of
what is not foretold stands above all around it the old sound goes on as foretold and fades into the new one. A voice
has no such spike; a tone that stops dead there has, and gets the same short fade. A-law and mu-law only, and before
anything resamples: at 16 kHz a splice lies elsewhere and is left.
"""

from __future__ import annotations

import math
from array import array
from typing import Final

from firmware.fxs.dsp.level import pcm_of, samples_of
from firmware.fxs.dsp.vectors import Floats, peak
from firmware.fxs.pcm import FRAME_SAMPLES

_PLACE: Final = 40
"""Samples into a frame: 5 ms, PJMEDIA_WSOLA_DELAY_MSEC."""
_HISTORY: Final = 240
"""Samples that the prediction is made from: 30 ms, three turns of a low voice."""
_ORDER: Final = 10
"""Coefficients: a voice's four or five resonances below 4 kHz."""
_FADE: Final = 64
"""Samples (8 ms) from the old sound to the new: beyond the frame's end, into the next one."""
_AROUND: Final = 80
"""Samples before the place in which nothing may be like it: a voice's pulses are nearer (100 Hz)."""
_LOUD: Final = 250.0
"""In steps of 16 bits; less is not heard in a voice of -26 dBov."""
_ROUGH: Final = 0.2
"""Of the frame's peak: a bend gentler than this is a voice's, and is not looked at further."""
_PITCHED: Final = 12
"""Samples that a lone tone's pitch is taken from: x[n] + x[n-2] = 2 cos(w) x[n-1]."""
_LONE: Final = 4.0
"""Times what is greatest around; six recorded prompts in A-law reach 3.5, wherever the place falls in them."""
_FALL: Final = 32
"""Samples at the end of the window: what is newest counts most, but does not end in a step."""
_ROOM: Final = _AROUND + FRAME_SAMPLES - _PLACE
_FLOOR: Final = 1.0001
"""White noise 40 dB down, so that a pure tone has a prediction too."""


def _window() -> list[float]:
    """Rising over all of the history but its end, so that its newest part counts most."""
    rise = _HISTORY - _FALL
    up = [math.sin(math.pi / 2 * (place + 0.5) / rise) ** 2 for place in range(rise)]
    return up + [math.cos(math.pi / 2 * (place + 0.5) / _FALL) ** 2 for place in range(_FALL)]


class SpliceMender:
    """One direction of a call, 10 ms at a time. `mended` counts those since it was made."""

    __slots__ = ("_past", "_room", "_tail", "_weighed", "_window", "_wrong", "mended")

    def __init__(self) -> None:
        self.mended = 0
        self._past = array("h", bytes(2 * _HISTORY))
        self._tail: list[float] = []
        self._window = Floats(_window())
        self._weighed = Floats([0.0] * _HISTORY)
        self._room = Floats([0.0] * (_ROOM + _ORDER))
        self._wrong = Floats([0.0] * _ROOM)

    def mend(self, frame: bytes) -> bytes:
        """The frame of FRAME_BYTES, or what a splice in it (or the fade of one in the frame before) has become."""
        samples = samples_of(frame)
        changed = bool(self._tail)
        if changed:
            _fade_in(samples, 0, self._tail, _FADE - len(self._tail))
            self._tail = []
        if self._rough(samples, frame):
            known = self._past[_PLACE:] + samples[:_PLACE]
            predictor = self._predictor(known)
            if self._lone(known, samples, predictor):
                self.mended += 1
                foretold = _foretold(known, predictor)
                here = FRAME_SAMPLES - _PLACE
                _fade_in(samples, _PLACE, foretold[:here], 0)
                self._tail = foretold[here:]
                changed = True
        self._past = self._past[FRAME_SAMPLES:] + samples
        return pcm_of(samples) if changed else frame

    def reset(self) -> None:
        """Another call."""
        self._past = array("h", bytes(2 * _HISTORY))
        self._tail = []

    @staticmethod
    def _rough(samples: array[int], frame: bytes) -> bool:
        """Whether there is a bend at all, or none where the sound so far wants one: most frames are done with here."""
        before, last, first, second = samples[_PLACE - 2 : _PLACE + 2]
        least = max(_LOUD, _ROUGH * peak(frame))
        if max(abs(first - 2 * last + before), abs(second - 2 * first + last)) > least:
            return True
        # A jump may end where a straight line would: what a tone of these samples' pitch would do is looked at too.
        near = samples[_PLACE - _PITCHED : _PLACE]
        middle = near[1:-1]
        energy = sum(map(int.__mul__, middle, middle)) or 1
        turn = sum(now * (old + new) for old, now, new in zip(near, middle, near[2:], strict=False)) / energy
        return max(abs(first - turn * last + before), abs(second - turn * first + last)) > least

    def _predictor(self, known: array[int]) -> list[float]:
        """The prediction error filter, by the autocorrelation method."""
        weighed = self._weighed
        weighed.load(known)
        weighed.multiply(self._window)
        correlation = [weighed.product(weighed, lag, _HISTORY - lag) for lag in range(_ORDER + 1)]
        error = correlation[0] = correlation[0] * _FLOOR + 1.0
        filter_ = [1.0]
        for order in range(1, _ORDER + 1):
            reflection = -sum(filter_[at] * correlation[order - at] for at in range(order)) / error
            padded = [*filter_, 0.0]
            filter_ = [padded[at] + reflection * padded[order - at] for at in range(order + 1)]
            error *= 1.0 - reflection * reflection
        return filter_

    def _lone(self, known: array[int], samples: array[int], predictor: list[float]) -> bool:
        """Whether what is not foretold stands alone there, of 10 ms before and what there is after it."""
        room, wrong = self._room, self._wrong
        room.load(known[-_AROUND - _ORDER :] + samples[_PLACE:])
        wrong.filtered(room, predictor)
        height = wrong.heights()
        spike = max(height[_AROUND : _AROUND + 2])
        rest = max(height[:_AROUND] + height[_AROUND + _ORDER + 2 :])
        return spike > _LOUD and spike > _LONE * rest


def _foretold(known: array[int], predictor: list[float]) -> list[float]:
    """The next samples as the last ones want them."""
    sound = [float(sample) for sample in known[-_ORDER:]]
    backwards = predictor[:0:-1]
    for _ in range(_FADE):
        sound.append(-sum(map(float.__mul__, backwards, sound[-_ORDER:])))
    return sound[_ORDER:]


def _fade_in(samples: array[int], place: int, old: list[float], begun: int) -> None:
    """From `place` on, `old` fades away under the samples; `begun` of the fade are over."""
    for at, foretold in enumerate(old):
        share = (begun + at + 1) / (_FADE + 1)
        mixed = share * samples[place + at] + (1.0 - share) * foretold
        samples[place + at] = max(-32768, min(32767, round(mixed)))
