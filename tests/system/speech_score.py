"""Recorded speech and how it is scored: PESQ (ITU-T P.862) beside A-law alone on the same clip.

PESQ misaligns by itself: what was heard is first laid over the clip by cross-correlation. Clips
are French prompts recorded by a person, levelled to -26 dBov as P.862 wants it.
"""

from __future__ import annotations

import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pesq import pesq

from tests.system import fetch

RATE = 8000
LEVEL_DBOV = -26.0
CLIPS = ("demo-instruct", "vm-newuser", "demo-congrats", "vm-msginstruct", "priv-callee-options", "dir-instr")

Samples = NDArray[np.int16]


def clip(name: str, seconds: float = 8.0) -> Samples:
    """The first `seconds` of a prompt, active speech at -26 dBov."""
    fetch.ensure("speech")
    samples = read(fetch.SPEECH / f"{name}.wav")[: int(RATE * seconds)].astype(float)
    frames = samples[: len(samples) // 80 * 80].reshape(-1, 80)
    power = (frames**2).mean(axis=1)
    active = power[power > power.max() * 1e-3].mean()
    levelled: Samples = np.clip(samples * 32768 * 10 ** (LEVEL_DBOV / 20) / np.sqrt(active), -32768, 32767).astype(
        np.int16
    )
    return levelled


def read(path: Path) -> Samples:
    """A mono 16-bit 8 kHz WAV file."""
    with wave.open(str(path), "rb") as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2), path
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.int16)


def write(path: Path, samples: Samples) -> Path:
    """The same, written."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.astype("<i2").tobytes())
    return path


def a_law(samples: Samples) -> Samples:
    """There and back through G.711 A-law: 12 bits of magnitude, eight segments, 16 steps in each."""
    wide = samples.astype(np.int32)
    magnitude = np.where(wide < 0, -wide - 1, wide).clip(0, 32767) >> 3
    segment = np.floor(np.log2(np.maximum(magnitude, 16))).astype(np.int32) - 4
    step = 1 << np.maximum(segment, 1)
    decoded = (magnitude // step * step + step // 2) << 3
    signed: Samples = np.where(samples < 0, -decoded, decoded).astype(np.int16)
    return signed


@dataclass(frozen=True, slots=True)
class Score:
    """PESQ of what was heard, and of A-law alone on the same clip."""

    heard: float
    alone: float
    delay_ms: float

    @property
    def loss(self) -> float:
        """How much the path took beyond its codec."""
        return self.alone - self.heard


def aligned(said: Samples, heard: Samples) -> tuple[Samples, float]:
    """`heard`, cut to lie over `said`, and how many milliseconds later it began."""
    size = 1 << (len(said) + len(heard)).bit_length()
    spectrum = np.fft.rfft(heard.astype(float), size) * np.conj(np.fft.rfft(said.astype(float), size))
    correlation = np.fft.irfft(spectrum, size)[: len(heard)]
    begin = int(correlation.argmax())
    cut = heard[begin : begin + len(said)]
    return np.pad(cut, (0, len(said) - len(cut))).astype(np.int16), begin * 1000 / RATE


def score(said: Samples, heard: Samples) -> Score:
    """Score a recording that holds the clip somewhere."""
    cut, delay = aligned(said, heard)
    return Score(pesq(RATE, said, cut, "nb"), pesq(RATE, said, a_law(said), "nb"), delay)
