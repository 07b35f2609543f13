"""Signals made and measured with numpy, independently of the code under test."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

RATE = 8000
FRAME = 160
KEYS = "123A456B789C*0#D"
ROWS = (697, 770, 852, 941)
COLUMNS = (1209, 1336, 1477, 1633)

Samples = NDArray[np.float64]


def peak(dbm0: float) -> float:
    """Amplitude of a sine: full scale is +3.14 dBm0."""
    return float(32767 * 10 ** ((dbm0 - 3.14) / 20))


def sine(hz: float, seconds: float, dbm0: float) -> Samples:
    t = np.arange(round(seconds * RATE)) / RATE
    return np.asarray(peak(dbm0) * np.sin(2 * np.pi * hz * t))


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE))


def noise(seconds: float, dbm0: float, seed: int = 1) -> Samples:
    """White noise with the power of a sine at `dbm0`."""
    rng = np.random.default_rng(seed)
    return np.asarray(rng.normal(0, peak(dbm0) / np.sqrt(2), round(seconds * RATE)))


def digit(key: str, ms: float, low: float = -11, high: float = -9, off_percent: float = 0) -> Samples:
    index = KEYS.index(key)
    factor = 1 + off_percent / 100
    seconds = ms / 1000
    return sine(ROWS[index // 4] * factor, seconds, low) + sine(COLUMNS[index % 4] * factor, seconds, high)


def dialled(keys: str, on_ms: float, off_ms: float, low: float = -11, high: float = -9) -> Samples:
    return np.concatenate([part for key in keys for part in (digit(key, on_ms, low, high), silence(off_ms / 1000))])


def speechlike(seconds: float, dbm0: float = -20, seed: int = 2) -> Samples:
    """Coloured noise in syllables: excites a canceller as speech does."""
    rng = np.random.default_rng(seed)
    count = round(seconds * RATE)
    white = rng.normal(0, 1, count + 64)
    coloured = np.convolve(white, np.exp(-np.arange(24) / 4) * np.cos(np.arange(24) * 0.6))[:count]
    t = np.arange(count) / RATE
    syllables = np.clip(np.sin(2 * np.pi * 2.1 * t) + 0.4 * np.sin(2 * np.pi * 0.7 * t + 1), 0.02, None)
    shaped = coloured * syllables
    return np.asarray(shaped * peak(dbm0) / np.sqrt(2) / np.sqrt(np.mean(shaped**2)))


def hybrid(loss_db: float = 12, delay_samples: int = 10, seed: int = 3) -> Samples:
    """Impulse response of a hybrid: a short decaying burst, `loss_db` down in all."""
    rng = np.random.default_rng(seed)
    response = np.zeros(delay_samples + 64)
    response[delay_samples:] = rng.normal(0, 1, 64) * np.exp(-np.arange(64) / 10)
    return np.asarray(response * 10 ** (-loss_db / 20) / np.sqrt(np.sum(response**2)))


def pcm(samples: Samples) -> bytes:
    return bytes(np.clip(np.round(samples), -32768, 32767).astype("<i2").tobytes())


def samples(raw: bytes) -> Samples:
    return np.frombuffer(raw, "<i2").astype(np.float64)


def frames(raw: bytes) -> Iterator[bytes]:
    """10 ms at a time, the last one filled up."""
    for at in range(0, len(raw), FRAME):
        yield raw[at : at + FRAME].ljust(FRAME, b"\0")


def level(x: Samples) -> float:
    """dBm0."""
    power = max(1e-9, float(np.mean(x**2)))
    return float(10 * np.log10(power * 2 / 32767**2) + 3.14)


def db(ratio: float) -> float:
    return float(10 * np.log10(max(ratio, 1e-12)))


def spectrum(x: Samples, size: int = 1 << 17) -> tuple[Samples, Samples]:
    """Frequencies and power in dBm0 of sines at them (Hann window, zero-padded: about 0.06 Hz steps)."""
    window = np.hanning(len(x))
    power = np.abs(np.fft.rfft(x * window, size)) * 2 / window.sum()
    hertz = np.asarray(np.fft.rfftfreq(size, 1 / RATE), dtype=np.float64)
    return hertz, np.asarray(20 * np.log10(np.maximum(power, 1e-9) / 32767) + 3.14, dtype=np.float64)


def peaks(x: Samples, count: int, apart_hz: float = 15) -> list[tuple[float, float]]:
    """The `count` strongest sines: (hertz, dBm0), by frequency."""
    # Two seconds suffice; longer ones would leave too little padding to find a peak's top.
    hertz, dbm0 = spectrum(x[:16000])
    found = []
    dbm0 = dbm0.copy()
    for _ in range(count):
        best = int(np.argmax(dbm0))
        found.append((float(hertz[best]), float(dbm0[best])))
        dbm0[np.abs(hertz - hertz[best]) < apart_hz] = -200
    return sorted(found)


def bursts(x: Samples, floor_dbm0: float = -50) -> list[tuple[float, float]]:
    """(start, length) in ms of what is louder than the floor, from the envelope over 1 ms."""
    blocks = x[: len(x) // 8 * 8].reshape(-1, 8)
    # A millisecond of 300 Hz can lie near a zero crossing: three make an envelope.
    power = np.convolve(np.mean(blocks**2, axis=1), np.ones(3) / 3, mode="same")
    loud = 10 * np.log10(np.maximum(power, 1e-9) * 2 / 32767**2) + 3.14 > floor_dbm0
    edges = np.flatnonzero(np.diff(np.concatenate([[0], loud.astype(int), [0]])))
    return [(float(a), float(b - a)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def click(x: Samples, at: int, reach: int = 40) -> float:
    """Largest jump between neighbouring samples around `at`."""
    return float(np.max(np.abs(np.diff(x[max(0, at - reach) : at + reach]))))
