"""A telephone with faults that are known: its contacts as edges, its keypad, hybrid and line as samples.

Physics only, from numbers and a seed; nothing here knows the line doctor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

import numpy as np
from numpy.typing import NDArray

from firmware.fxs.doctor_hook import Edge

RATE = 8000
PAD = ("123A", "456B", "789C", "*0#D")
ROWS = (697.0, 770.0, 852.0, 941.0)
COLUMNS = (1209.0, 1336.0, 1477.0, 1633.0)

Samples = NDArray[np.float64]


def rms(dbm0: float) -> float:
    """RMS in 16-bit steps; a full-scale sine is +3.14 dBm0 (ITU-T G.711)."""
    return float(32767 / np.sqrt(2) * 10 ** ((dbm0 - 3.14) / 20))


def pcm(samples: Samples) -> bytes:
    return np.clip(np.rint(samples), -32768, 32767).astype(np.int16).tobytes()


def sine(hz: float, dbm0: float, count: int, phase: float = 0.3) -> Samples:
    wave: Samples = rms(dbm0) * np.sqrt(2) * np.sin(2 * np.pi * hz * np.arange(count) / RATE + phase)
    return wave


def noise(dbm0: float, count: int, seed: int = 1) -> Samples:
    return np.random.default_rng(seed).normal(0.0, rms(dbm0), count)


def press(
    key: str, *, low_error: float = 0.0, high_error: float = 0.0, low_dbm0: float = -11.0, twist: float = 2.0,
    on_ms: float = 80.0, off_ms: float = 80.0,
) -> Samples:  # fmt: skip
    """A key with its pause; errors in percent."""
    row = next(at for at, keys in enumerate(PAD) if key in keys)
    low, high = ROWS[row] * (1 + low_error / 100), COLUMNS[PAD[row].index(key)] * (1 + high_error / 100)
    count = round(on_ms * RATE / 1000)
    tone = sine(low, low_dbm0, count) + sine(high, low_dbm0 + twist, count, 1.1)
    return np.concatenate([tone, np.zeros(round(off_ms * RATE / 1000))])


def hybrid(loss_db: float, delay: int = 0) -> Samples:
    """An echo path whose energy is `loss_db` below the signal's, `delay` samples late, over 3 ms."""
    taps = np.arange(24)
    path = np.exp(-taps / 4.0) * np.cos(1.1 * taps)
    return np.concatenate([np.zeros(delay), path / np.sqrt(np.sum(path**2)) * 10 ** (-loss_db / 20)])


@dataclass
class WornContacts:
    """Edges of a hand at a telephone. Times in milliseconds; `jitter` is the share by which a period varies (sigma)."""

    speed: float = 10.0
    break_share: float = 0.66
    jitter: float = 0.0
    dial_bounce: float = 0.0
    cradle_bounce: float = 0.0
    seed: int = 1
    edges: list[Edge] = field(default_factory=list)
    now: float = 1000.0

    def __post_init__(self) -> None:
        self._random = Random(self.seed)  # noqa: S311 - bounce, no secret

    def _change(self, at: float, bounce: float, *, closed: bool) -> None:
        """Make or break at `at` seconds; the last bounce ends exactly `bounce` ms later."""
        self.edges.append(Edge(closed, at))
        if bounce > 0:
            between = sorted(self._random.uniform(0.05, 0.8) for _ in range(2 * self._random.randint(0, 1) + 1))
            for position, share in enumerate([*between, 1.0]):
                self.edges.append(Edge(closed if position % 2 else not closed, at + share * bounce / 1000))
        self.now = max(self.now, at)

    def lift(self) -> None:
        self._change(self.now, self.cradle_bounce, closed=True)
        self.now += 1.0

    def hang_up(self) -> None:
        self.now += 1.0
        self._change(self.now, self.cradle_bounce, closed=False)
        self.now += 2.0

    def flash(self, ms: float) -> None:
        self._change(self.now, 0.0, closed=False)
        self._change(self.now + ms / 1000, self.cradle_bounce, closed=True)
        self.now += 1.0

    def dial(self, digits: Sequence[int] | str) -> None:
        for digit in digits:
            at = self.now
            for _ in range(int(digit) or 10):
                period = (1 + self._random.gauss(0.0, self.jitter)) / self.speed
                self._change(at, self.dial_bounce, closed=False)
                self._change(at + period * self.break_share, self.dial_bounce, closed=True)
                at += period
            self.now = at + 0.7
