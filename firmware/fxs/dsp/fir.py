"""A filter applied to a stream of 10 ms frames, by libspandsp's vector functions: the arithmetic is native.

One dot product a sample: 80 calls of 0.3 us a frame, so it is only asked for while there is something to filter.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any, Final

from cffi import FFI

from firmware.fxs.dsp.level import samples_of
from firmware.fxs.dsp.library import open_library
from firmware.fxs.dsp.spandsp import SONAMES

_ffi: Final[Any] = FFI()
_ffi.cdef("float vec_dot_prodf(const float x[], const float y[], int n);")
_lib, _ = open_library(_ffi, SONAMES, "libspandsp2")
_FLOAT: Final = 4


class Taps:
    """An impulse response, its first sample first; held back to front, as a dot product wants it."""

    __slots__ = ("pointer", "samples")

    def __init__(self, response: Sequence[float]) -> None:
        self.samples = len(response)
        self.pointer = _ffi.new("float[]", list(response)[::-1])


class FilterHistory:
    """What a stream was in the last frames, to be filtered by any `Taps` of `taps` samples."""

    __slots__ = ("_at", "_frame", "_heads", "_keep", "_samples", "_taps")

    def __init__(self, frame_samples: int, taps: int) -> None:
        self._frame = frame_samples
        self._taps = taps
        self._keep = taps - 1
        self._samples = _ffi.new("float[]", self._keep + frame_samples)
        self._at = self._samples + self._keep
        self._heads = [self._samples + i for i in range(frame_samples)]

    def push(self, pcm: bytes) -> None:
        """The next frame of 16-bit samples. Raises ValueError when it is not one frame long."""
        if len(pcm) != 2 * self._frame:
            raise ValueError(f"a filter's frame of {len(pcm)} bytes, not {2 * self._frame}")
        _ffi.memmove(self._samples, self._samples + self._frame, _FLOAT * self._keep)
        _ffi.memmove(self._at, array("f", samples_of(pcm)), _FLOAT * self._frame)

    def filtered(self, taps: Taps) -> list[float]:
        """The last frame through `taps`. Raises ValueError for a response of another length."""
        if taps.samples != self._taps:
            raise ValueError(f"a response of {taps.samples} samples, not {self._taps}")
        dot, pointer, count = _lib.vec_dot_prodf, taps.pointer, self._taps
        return [dot(head, pointer, count) for head in self._heads]

    def reset(self) -> None:
        """Forget the stream."""
        _ffi.memmove(self._samples, bytes(_FLOAT * (self._keep + self._frame)), _FLOAT * (self._keep + self._frame))
