"""Caller-ID signals made by plain mathematics, and taken apart by it: no line of the code under test is used.

A phase-continuous sine of two frequencies, 1200 bit/s, 8N1, least significant bit first (ITU-T V.23, Bell 202).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tests.fakes.signals import RATE, Samples, peak

BAUD = 1200.0
TONES = {"v23": (1300.0, 2100.0), "bell202": (1200.0, 2200.0)}


def with_checksum(message: bytes) -> bytes:
    return message + bytes([-sum(message) & 0xFF])


def bits_of(message: bytes, seizure: int = 300, mark: int = 180, tail: int = 10) -> list[int]:
    """Seizure, mark, start and stop bits around each byte and the checksum, and a little mark."""
    bits = [i & 1 for i in range(seizure)] + [1] * mark
    for byte in with_checksum(message):
        bits += [0, *(byte >> i & 1 for i in range(8)), 1]
    return bits + [1] * tail


def modulated(
    message: bytes,
    standard: str,
    *,
    seizure: int = 300,
    mark: int = 180,
    dbm0: float = -14,
    off: float = 1.0,
    baud: float = BAUD,
    rate: int = RATE,
) -> Samples:
    """`off` multiplies both frequencies; `rate` is the sampling rate."""
    bits = np.array(bits_of(message, seizure, mark))
    places = np.arange(int(len(bits) / baud * rate)) / rate * baud
    high, low = TONES[standard]
    hertz = np.where(bits[np.minimum(places.astype(int), len(bits) - 1)] == 1, high, low) * off
    return np.asarray(peak(dbm0) * np.sin(0.4 + 2 * np.pi * np.cumsum(hertz) / rate))


@dataclass(frozen=True)
class Taken:
    """What a signal was made of. Times in ms from its first sample."""

    mark_hz: float
    space_hz: float
    baud: float
    seizure_ms: float
    mark_ms: float
    message: bytes
    checksum_right: bool


def taken_apart(sound: Samples, standard: str) -> Taken:
    """Demodulate, find the bit clock from the changes alone, and read the bytes."""
    mark, space = TONES[standard]
    # Energy at mark and at space over a bit's length, sampled eight times as densely as the signal.
    fine = 8
    times = np.arange(len(sound) * fine) / (RATE * fine)
    dense = np.interp(times, np.arange(len(sound)) / RATE, np.zeros(len(sound)))
    spectrum = np.fft.rfft(sound)
    padded = np.zeros(len(dense) // 2 + 1, dtype=complex)
    padded[: len(spectrum)] = spectrum
    dense = np.fft.irfft(padded, len(dense)) * fine
    window = np.ones(round(RATE * fine / BAUD))

    def energy(hz: float) -> Samples:
        return np.asarray(np.abs(np.convolve(dense * np.exp(-2j * np.pi * hz * times), window, "same")))

    difference = energy(mark) - energy(space)
    where = np.flatnonzero(np.diff(np.signbit(difference)))
    # Where exactly it crosses zero, in seconds.
    crossings = (where + difference[where] / (difference[where] - difference[where + 1])) / (RATE * fine)
    changes = crossings[(crossings > 0.002) & (crossings < times[-1] - 0.002)]
    # Every change lies on the grid of bits: its period by least squares over the whole message.
    counts = np.cumsum(np.concatenate([[0], np.rint(np.diff(changes) * BAUD)]))
    period, _ = np.polyfit(counts, changes, 1)
    # The mark is the longest time without a change; before it comes the seizure, one change a bit, or nothing.
    edges = np.concatenate([[0.0], changes])
    longest = int(np.argmax(np.diff(edges)))
    began, data = edges[longest], edges[longest + 1]

    def bit_at(place: int) -> bool:
        return bool(difference[min(len(difference) - 1, int((data + (place + 0.5) * period) * RATE * fine))] > 0)

    raw = bytearray()
    place = 0
    while data + (place + 10) * period < times[-1] and not bit_at(place):
        byte = sum(int(bit_at(place + 1 + i)) << i for i in range(8))
        assert bit_at(place + 9), "a byte without stop bit"
        raw.append(byte)
        place += 10
    return Taken(
        mark_hz=steady_hz(sound, began + 0.01, data - 0.01),
        space_hz=space_hz(sound, data, period, bytes(raw)),
        baud=1 / period,
        seizure_ms=1000 * began,
        mark_ms=1000 * (data - began),
        message=bytes(raw[:-1]),
        checksum_right=sum(raw) & 0xFF == 0,
    )


def steady_hz(sound: Samples, start: float, end: float) -> float:
    """The frequency of a sine between two times (s), from its spectrum's peak."""
    piece = sound[round(start * RATE) : round(end * RATE)]
    size = 1 << 18
    return float(np.argmax(np.abs(np.fft.rfft(piece * np.hanning(len(piece)), size))) * RATE / size)


def space_hz(sound: Samples, data: float, period: float, raw: bytes) -> float:
    """The median over the longest runs of spaces: start bit and low bits of bytes that end in zeros."""
    found = []
    for number, byte in enumerate(raw):
        run = 1 + next((i for i in range(8) if byte >> i & 1), 8)
        if run >= 5:
            start = data + number * 10 * period
            found.append(steady_hz(sound, start + 0.0003, start + run * period - 0.0003))
    return float(np.median(found)) if found else float("nan")
