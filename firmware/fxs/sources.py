"""What the handset hears, a frame of 10 ms at a time: the far voice, a tone, a sentence. Pure.

One source follows another in `voice`, which fades from one to the next.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from firmware.fxs.pcm import FRAME_BYTES, SILENCE
from firmware.fxs.tones import ToneSamples, crossfade

_HEAR_OUT_FRAMES = 8
"""How long (80 ms) a wait for a digit goes on while one seems to be heard."""
_PROLONGED_FRAMES = 50


class Source(Protocol):
    """What the handset hears. `local`: made by the box, so that nothing of it is a far voice.
    `notched`: the digit detector's own dial-tone filter takes it out.
    """

    @property
    def local(self) -> bool:
        """Whether the box makes it."""
        ...

    @property
    def notched(self) -> bool:
        """Whether the digit detector is deaf to it by itself."""
        ...

    def frame(self, far: bytes) -> bytes:
        """The next FRAME_BYTES; `far` is the far voice's frame of the same time, or silence."""
        ...


class Far:
    """The far voice, or silence when there is none."""

    local = False
    notched = False

    def frame(self, far: bytes) -> bytes:
        """The far voice."""
        return far


FAR = Far()


class Tone:
    """A tone for ever. `over_voice`: the far voice is heard wherever the tone is silent."""

    def __init__(self, samples: ToneSamples, *, over_voice: bool, notched: bool) -> None:
        self._once, self._loop = samples.once, samples.loop
        # Slices across the wrap come out of one piece.
        self._turn = self._loop + (self._loop * (FRAME_BYTES // len(self._loop) + 1))[:FRAME_BYTES]
        self._position = 0
        self._in_once = bool(self._once)
        self._over_voice = over_voice
        self._silent = True
        self.local = not over_voice
        self.notched = notched

    def frame(self, far: bytes) -> bytes:
        """The tone, or where it lets it through the far voice."""
        piece = self._next()
        if not self._over_voice:
            return piece
        silent = piece == SILENCE
        if silent == self._silent:
            return far if silent else piece
        self._silent = silent
        return crossfade(piece, far) if silent else crossfade(far, piece)

    def _next(self) -> bytes:
        start = self._position
        if self._in_once:
            self._position = start + FRAME_BYTES
            piece = self._once[start : start + FRAME_BYTES]
            if self._position < len(self._once):
                return piece
            self._in_once = False
            rest = FRAME_BYTES - len(piece)
            self._position = rest % len(self._loop)
            return piece + self._turn[:rest]
        piece = self._turn[start : start + FRAME_BYTES]
        self._position = (start + FRAME_BYTES) % len(self._loop)
        return piece


class Speech:
    """Samples once, then `after`; `ended` is told on the voice thread, with the last frame."""

    def __init__(self, pcm: bytes, after: Source, ended: Callable[[Source], None]) -> None:
        self._pcm = pcm
        self._position = 0
        self._after = after
        self._ended = ended
        self._over = False

    @property
    def local(self) -> bool:
        """While the samples last, and as what comes after is."""
        return self._after.local if self._over else True

    @property
    def notched(self) -> bool:
        """As what comes after is, then."""
        return self._over and self._after.notched

    def frame(self, far: bytes) -> bytes:
        """The samples, then what comes after them."""
        if self._over:
            return self._after.frame(far)
        piece = self._pcm[self._position : self._position + FRAME_BYTES]
        self._position += FRAME_BYTES
        if self._position < len(self._pcm):
            return piece
        self._over = True
        self._ended(self)
        return piece.ljust(FRAME_BYTES, b"\0")


class Cut:
    """Samples once, then silence for `wait` frames, then the far voice; the far end hears nothing all along.

    A digit that has begun by the end of the wait (`hearing`) is heard out, and one that was told stays the
    wait for `prolong`: whoever plays this is about to play something else.
    """

    notched = False

    def __init__(self, pcm: bytes, wait: int, hearing: Callable[[], bool], ended: Callable[[Source], None]) -> None:
        self._pcm = pcm
        self._position = 0
        self._wait = wait
        self._patience = _HEAR_OUT_FRAMES
        self._hearing = hearing
        self._ended = ended
        self.over = False

    @property
    def local(self) -> bool:
        """Until the far voice is heard."""
        return not self.over

    def prolong(self) -> None:
        """Wait half a second from here on, at least."""
        self._wait = max(self._wait, _PROLONGED_FRAMES)

    def frame(self, far: bytes) -> bytes:
        """The samples, the silence, then the far voice."""
        if self.over:
            return far
        piece = self._pcm[self._position : self._position + FRAME_BYTES]
        if piece:
            self._position += FRAME_BYTES
            return piece.ljust(FRAME_BYTES, b"\0")
        if self._wait:
            self._wait -= 1
            return SILENCE
        if self._patience and self._hearing():
            self._patience -= 1
            return SILENCE
        self.over = True
        self._ended(self)
        return crossfade(SILENCE, far)
