"""A line at 16 kHz: the upper half of the voice goes round the 8 kHz engine and follows what that does to the lower.

`LineVoice` knows digits, tones, caller ID, echo, levels and fax at 8 kHz, and stays what it is. Of each wide frame it
gets the lower half. What it changed there is brought up to 16 kHz and added to the frame, which was delayed as long;
where it changed nothing the frame passes bit for bit. As much as it let through of the lower half (its output's
regression on its input) is let through of the upper one: nothing while a tone plays or a digit is muted, all of it as
loud as the gains make it, and the less the more echo was taken out below, for no filter hears the echo above.
"""

from __future__ import annotations

from operator import add, mul
from typing import Final, Protocol

from firmware.fxs.dsp.level import rounded, samples_of
from firmware.fxs.dsp.speexdsp import Converter
from firmware.fxs.pcm import FRAME_BYTES, FRAME_SAMPLES, SAMPLE_RATE_HZ, SILENCE, WIDE_FRAME_BYTES, WIDE_RATE_HZ

_FAINT: Final = FRAME_SAMPLES * 50.0
"""Energy of a lower half that tells nothing of how the upper one was meant: about -60 dBm0."""
_MOST: Final = 4.0
_NEAR: Final = 0.01
_WIDE_SAMPLES: Final = WIDE_FRAME_BYTES // 2
_WIDE_SILENCE: Final = bytes(WIDE_FRAME_BYTES)
_RECOVERY: Final = 0.25
"""A frame's share of the way up: what was faded comes back within 0.1 s, what is to be faded is so at once."""


class Narrow(Protocol):
    """The engine at 8 kHz; `fxs.voice.LineVoice` is it."""

    def from_line(self, frame: bytes) -> bytes:
        """What the bridge gets."""
        ...

    def to_line(self, far: bytes | None) -> bytes:
        """What the telephone gets."""
        ...


class _Way:
    """One direction: the lower half taken out, and put back as the engine made it, `delay_samples` (16 kHz) late."""

    def __init__(self) -> None:
        self._down = Converter(WIDE_RATE_HZ, SAMPLE_RATE_HZ)
        self._up = Converter(SAMPLE_RATE_HZ, WIDE_RATE_HZ)
        self.delay_samples = round((self._down.delay_seconds + self._up.delay_seconds) * WIDE_RATE_HZ)
        self._late = bytearray(2 * self.delay_samples)
        self._low = bytes(FRAME_BYTES)
        # From, and by how much a wide sample: of this frame and of the one before, part of which is still late.
        self._share = (1.0, 0.0)

    def lower(self, frame: bytes) -> bytes:
        """The lower half of the next wide frame."""
        self._late += frame
        self._low = self._down.convert(frame)
        return self._low

    def whole(self, low: bytes) -> bytes:
        """The wide frame, late, whose lower half has become `low`."""
        late = bytes(self._late[:WIDE_FRAME_BYTES])
        del self._late[:WIDE_FRAME_BYTES]
        before = self._share
        start = before[0] + before[1] * _WIDE_SAMPLES
        end = 1.0 if low == self._low and start == 1.0 else self._next(start, low)
        step = (end - start) / _WIDE_SAMPLES
        self._share = (start, step)
        if before == self._share == (1.0, 0.0):
            raised = self._up.convert(SILENCE if low == self._low else self._changed(low, 1.0, 0.0))
            if raised == _WIDE_SILENCE:
                return late
            return rounded(list(map(add, samples_of(raised), samples_of(late))))
        raised = self._up.convert(self._changed(low, start, 2 * step))
        here = _WIDE_SAMPLES - self.delay_samples
        shares = [before[0] + before[1] * place for place in range(here, _WIDE_SAMPLES)]
        shares += [start + step * place for place in range(here)]
        kept = map(mul, samples_of(late), shares)
        return rounded(list(map(add, samples_of(raised), kept)))

    def _changed(self, low: bytes, start: float, step: float) -> bytes:
        """What of the engine's output is not the share of its input."""
        pairs = zip(samples_of(low), samples_of(self._low), strict=True)
        return rounded([done - was * (start + step * place) for place, (done, was) in enumerate(pairs)])

    def _next(self, share: float, low: bytes) -> float:
        was, done = samples_of(self._low), samples_of(low)
        energy, left = float(sum(map(mul, was, was))), float(sum(map(mul, done, done)))
        if energy < _FAINT:
            # A tone of ours over a faint voice: no voice.
            wanted = share if left < _FAINT else 0.0
        else:
            alike = max(0.0, sum(map(mul, was, done)) / energy)
            # Times how much of the output is the input's: a tone of ours is like any voice for a moment.
            wanted = min(alike * min(1.0, alike * alike * energy / left) if left else 0.0, _MOST)
        if wanted <= share or wanted - share < _NEAR:
            return wanted
        return share + (wanted - share) * _RECOVERY


class WideVoice:
    """`media.LineAudio` of WIDE_FRAME_BYTES over an engine of FRAME_BYTES."""

    def __init__(self, narrow: Narrow) -> None:
        self._narrow = narrow
        self._near = _Way()
        self._far = _Way()

    def from_line(self, frame: bytes) -> bytes:
        """What the bridge gets of a wide frame from the telephone."""
        return self._near.whole(self._narrow.from_line(self._near.lower(frame)))

    def to_line(self, far: bytes | None) -> bytes:
        """What the telephone gets, given the bridge's wide frame (None: no bridge)."""
        low = self._far.lower(bytes(WIDE_FRAME_BYTES) if far is None else far)
        return self._far.whole(self._narrow.to_line(None if far is None else low))
