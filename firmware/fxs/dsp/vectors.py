"""libspandsp's vector functions by cffi: samples as floats, and the correlations of a tone with them.

A correlation of 200 samples takes 0.3 us, its call included. Blocks are cffi arrays of C floats; nothing checks
their length on the way in, so every function here takes the block's own class.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Sequence
from typing import Any, Final

from cffi import FFI

from firmware.fxs.dsp.level import pcm_of, samples_of
from firmware.fxs.dsp.library import open_library
from firmware.fxs.dsp.spandsp import SONAMES

_ffi: Final[Any] = FFI()
_ffi.cdef("""
float vec_dot_prodf(const float x[], const float y[], int n);
void vec_mulf(float z[], const float x[], const float y[], int n);
void vec_scaledxy_addf(float z[], const float x[], float x_scale, const float y[], float y_scale, int n);
int32_t vec_min_maxi16(const char *x, int n, int16_t *out);
""")
_lib, _ = open_library(_ffi, SONAMES, "libspandsp2")

RATE_HZ: Final = 8000
_EXTREMES: Final = 2


def peak(pcm: bytes) -> int:
    """The greatest magnitude in 16-bit `pcm`, in the machine's byte order; 0 for none."""
    count = len(pcm) >> 1
    if not count:
        return 0
    extremes = _ffi.new("int16_t[]", _EXTREMES)
    _lib.vec_min_maxi16(pcm, count, extremes)
    return max(int(extremes[0]), -int(extremes[1]), int(extremes[1]), -int(extremes[0]))


class Block:
    """Samples as C floats. `len()` is their number."""

    __slots__ = ("_keep", "_size", "pointer")

    def __init__(self, samples: array[int]) -> None:
        self._keep = array("f", samples)
        self._size = len(samples)
        self.pointer = _ffi.from_buffer("float[]", self._keep)

    @classmethod
    def of(cls, pcm: bytes) -> Block:
        """16-bit little-endian `pcm`. Raises ValueError on half a sample."""
        return cls(samples_of(pcm))

    def __len__(self) -> int:
        return self._size

    def energy(self, start: int, count: int) -> float:
        """Sum of squares of `count` samples from `start`. Raises IndexError beyond the ends."""
        at = self._at(start, count)
        return float(_lib.vec_dot_prodf(at, at, count))

    def product(self, start: int, other: int, count: int) -> float:
        """Sum of the products of `count` samples from two places. Raises IndexError beyond the ends."""
        return float(_lib.vec_dot_prodf(self._at(start, count), self._at(other, count), count))

    def subtract(self, start: int, count: int, wave: Wave, amount: complex) -> None:
        """Take `amount.real` cosines and `amount.imag` sines of an unwindowed `wave` out of `count` samples."""
        if count > wave.samples:
            raise IndexError(f"{count} samples of a wave that has {wave.samples}")
        at = self._at(start, count)
        _lib.vec_scaledxy_addf(at, at, 1.0, wave.cosine, -amount.real, count)
        _lib.vec_scaledxy_addf(at, at, 1.0, wave.sine, -amount.imag, count)

    def scale(self, factor: float) -> None:
        """Make all of it louder or softer."""
        _lib.vec_scaledxy_addf(self.pointer, self.pointer, factor, self.pointer, 0.0, self._size)

    def pcm(self) -> bytes:
        """Its samples as 16-bit little-endian ones, rounded; what is beyond them is clipped."""
        try:
            samples = array("h", map(round, self._keep))
        except OverflowError:
            return pcm_of(self._keep)
        if sys.byteorder == "big":
            samples.byteswap()
        return samples.tobytes()

    def _at(self, start: int, count: int) -> Any:
        if start < 0 or count < 0 or start + count > self._size:
            raise IndexError(f"samples {start} to {start + count} of a block of {self._size}")
        return self.pointer + start


class Floats:
    """Room for samples as C floats that is used again and again: nothing much is made for a frame."""

    __slots__ = ("_size", "pointer")

    def __init__(self, values: Sequence[float]) -> None:
        self._size = len(values)
        self.pointer = _ffi.new("float[]", values)

    def load(self, samples: array[int]) -> float:
        """Hold these samples, as many as there is room for; their energy. Raises IndexError for another number."""
        if len(samples) != self._size:
            raise IndexError(f"{len(samples)} samples for a room of {self._size}")
        _ffi.memmove(self.pointer, array("f", samples), 4 * self._size)
        return float(_lib.vec_dot_prodf(self.pointer, self.pointer, self._size))

    def fill(self, values: Sequence[float]) -> None:
        """Hold these, as many as there is room for."""
        self.pointer[0 : self._size] = values

    def multiply(self, other: Floats) -> None:
        """Each by its like of `other`. Raises IndexError if that is shorter."""
        _lib.vec_mulf(self.pointer, self.pointer, other.start(0, self._size), self._size)

    def sum_of(self, one: Floats, share: float, other: Floats, other_share: float, at: int = 0) -> None:
        """Hold `share` of `one` and `other_share` of `other` from `at` on. Raises IndexError beyond their ends."""
        first, second = one.start(0, self._size), other.start(at, self._size)
        _lib.vec_scaledxy_addf(self.pointer, first, share, second, other_share, self._size)

    def product(self, other: Floats, at: int, count: int) -> float:
        """Sum of the products of the first `count` and those of `other` from `at` on. Raises IndexError as `start`."""
        return float(_lib.vec_dot_prodf(self.start(0, count), other.start(at, count), count))

    def filtered(self, other: Floats, weights: Sequence[float]) -> None:
        """Hold `other`, which is not this one and longer by the weights but one, behind a filter of these `weights`,
        the newest's first. Raises IndexError if it is shorter.
        """
        reach = len(weights) - 1
        self.sum_of(other, 0.0, other, weights[0], reach)
        for back, weight in enumerate(weights[1:], 1):
            self.sum_of(self, 1.0, other, weight, reach - back)

    def heights(self) -> list[float]:
        """The magnitude of each."""
        return [abs(float(value)) for value in self.pointer[0 : self._size]]

    def start(self, at: int, count: int) -> Any:
        """Where `count` of them begin. Raises IndexError beyond the ends."""
        if at < 0 or at + count > self._size:
            raise IndexError(f"{at} to {at + count} of {self._size}")
        return self.pointer + at


class Wave:
    """A cosine and a sine of one frequency under a window, to correlate with.

    `gain` is the correlation's magnitude for a sine of amplitude 1 at this frequency. `nulls` are frequencies to
    which it is deaf: a dial tone beside the digit, however short the window.
    """

    __slots__ = ("cosine", "gain", "hz", "samples", "sine")

    def __init__(self, hz: float, window: Sequence[float], nulls: Sequence[float] = ()) -> None:
        self.hz = hz
        self.samples = len(window)
        real, imaginary = _sinusoids(hz, window)
        if nulls:
            real, imaginary = (_without(table, window, nulls) for table in (real, imaginary))
        step = 2 * math.pi * hz / RATE_HZ
        self.gain = abs(
            sum(complex(c, -s) * math.cos(step * i) for i, (c, s) in enumerate(zip(real, imaginary, strict=True)))
        )
        self.cosine = _ffi.new("float[]", real)
        self.sine = _ffi.new("float[]", imaginary)

    def correlate(self, block: Block, start: int) -> complex:
        """With the block's samples from `start`; fewer than the window has at the block's end.

        Raises IndexError when `start` is outside.
        """
        count = min(self.samples, len(block) - start)
        if start < 0 or count <= 0:
            raise IndexError(f"sample {start} of a block of {len(block)}")
        at = block.pointer + start
        return complex(_lib.vec_dot_prodf(at, self.cosine, count), -_lib.vec_dot_prodf(at, self.sine, count))


def hann(samples: int) -> list[float]:
    """The window whose copies, half a window apart, sum to one."""
    return [0.5 - 0.5 * math.cos(2 * math.pi * (i + 0.5) / samples) for i in range(samples)]


def _sinusoids(hz: float, window: Sequence[float]) -> tuple[list[float], list[float]]:
    step = 2 * math.pi * hz / RATE_HZ
    return (
        [weight * math.cos(step * i) for i, weight in enumerate(window)],
        [weight * math.sin(step * i) for i, weight in enumerate(window)],
    )


def _without(table: list[float], window: Sequence[float], nulls: Sequence[float]) -> list[float]:
    """`table` minus that combination of windowed sinusoids which leaves no response to the plain ones."""
    windowed = [wave for hz in nulls for wave in _sinusoids(hz, window)]
    plain = [wave for hz in nulls for wave in _sinusoids(hz, [1.0] * len(window))]
    rows = [[_dot(deaf, part) for part in windowed] + [_dot(deaf, table)] for deaf in plain]
    for amount, part in zip(_solved(rows), windowed, strict=True):
        table = [value - amount * other for value, other in zip(table, part, strict=True)]
    return table


def _dot(a: Sequence[float], b: Sequence[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def _solved(rows: list[list[float]]) -> list[float]:
    """Gaussian elimination with pivots: each row is an equation, its last number the right-hand side."""
    count = len(rows)
    for column in range(count):
        pivot = max(range(column, count), key=lambda row: abs(rows[row][column]))
        rows[column], rows[pivot] = rows[pivot], rows[column]
        rows[column] = [value / rows[column][column] for value in rows[column]]
        for row in range(count):
            if row != column:
                factor = rows[row][column]
                rows[row] = [value - factor * other for value, other in zip(rows[row], rows[column], strict=True)]
    return [row[-1] for row in rows]
