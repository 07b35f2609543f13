"""Where a packet of a fax is lost its line gets the packet before once more, not silence. Pure.

This is no concealment of speech, which bends what it repeats until it fits: a modem loses the bits of the packet
either way, but in a silence it also takes its carrier for gone, and with that the rest of the frame. Measured with
libspandsp's machines back to back (docs/voice.md, Fax).

The stack marks no hole; but A-law knows no zero, so a frame of nothing but zeros is one. In mu-law it may be a machine
that is silent: hence no more than two packets.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from firmware.fxs.pcm import SILENCE

_PACKET_FRAMES: Final = 2  # of 10 ms
_MOST_FRAMES: Final = 4


class HoleFiller:
    """One direction of a call, 10 ms at a time."""

    __slots__ = ("_filled", "_last")

    def __init__(self) -> None:
        self._last: deque[bytes] = deque(maxlen=_PACKET_FRAMES)
        self._filled = 0

    def fill(self, frame: bytes) -> bytes:
        """The frame, or for a hole the one that came a packet before."""
        if frame != SILENCE:
            self._filled = 0
            self._last.append(frame)
            return frame
        if self._filled == _MOST_FRAMES or not self._last:
            self._last.clear()
            return frame
        self._filled += 1
        self._last.rotate(-1)
        return self._last[-1]

    def reset(self) -> None:
        """Another call."""
        self._last.clear()
        self._filled = 0
