"""The telephone as an analog circuit: what its microphone, keypad and hybrid put on the line, what
the earpiece takes off it. Samples in, samples out, 10 ms at a time; no clock, no socket.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from firmware.fxs.pcm import FRAME_BYTES, FRAME_MS, FRAME_SAMPLES, SAMPLE_RATE_HZ, SILENCE, WIDE_FRAME_BYTES
from firmware.fxs.telephone_ears import Samples, rms_of_dbm0

WIDE_SILENCE = bytes(WIDE_FRAME_BYTES)
_FULL_SCALE = 32767
_HYBRID_TAPS = 32
_NOTHING: Samples = np.zeros(FRAME_SAMPLES)


@dataclass(slots=True, eq=False)
class Sound:
    """Something put on the line from now on. `started_at`: monotonic time of its first sample.

    `rate_hz`: of its samples; a wide one is heard on a wide line only.
    """

    samples: Samples
    rate_hz: int = SAMPLE_RATE_HZ
    started_at: float | None = None
    position: int = 0
    cut: bool = False
    finished: threading.Event = field(default_factory=threading.Event)

    def at(self, sample: int) -> float | None:
        """When that sample went out."""
        return None if self.started_at is None else self.started_at + sample / self.rate_hz


@dataclass(slots=True, eq=False)
class Tap:
    """Keeps what the earpiece hears: `samples` of it (of 8 kHz), then sets `full`. `frames` are (time, samples).

    `wide`: it keeps the frames of a wide line as they came.
    """

    samples: int
    wide: bool = False
    started_at: float | None = None
    frames: list[tuple[float, bytes]] = field(default_factory=list)
    heard: int = 0
    cut: bool = False
    full: threading.Event = field(default_factory=threading.Event)

    def pcm(self) -> bytes:
        """What was kept, at most `samples` long."""
        return b"".join(frame for _, frame in self.frames)[: (4 if self.wide else 2) * self.samples]


class AnalogSet:
    """Mixes sounds and the hybrid's echo into the line; hands the earpiece to taps.

    Gains are 0 dB and there is no sidetone, so that a tap holds the box's very samples. Sounds and
    taps come from any thread; `speak` and `hear` from the one that ticks.
    """

    def __init__(self, hybrid_loss_db: float | None, noise_dbm0: float | None, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._noise = None if noise_dbm0 is None else rms_of_dbm0(noise_dbm0)
        self._hybrid = None if hybrid_loss_db is None else hybrid_response(hybrid_loss_db)
        self._heard: Samples = np.zeros(_HYBRID_TAPS - 1 + FRAME_SAMPLES)
        self._sounds: deque[Sound] = deque()
        self._taps: deque[Tap] = deque()
        self._alone: Sound | None = None
        self.above: Samples | None = None
        """What wide sounds put on a wide line with the last frame spoken, beside it (16 kHz); None: nothing."""

    def put(self, samples: Samples, rate_hz: int = SAMPLE_RATE_HZ) -> Sound:
        """Put a sound on the line, beside what is there."""
        sound = Sound(samples, rate_hz)
        self._sounds.append(sound)
        return sound

    def mute_but(self, sound: Sound) -> None:
        """Cut the microphone and the keys; only `sound` reaches the line, until `open`."""
        self._alone = sound

    def open(self) -> None:
        """The microphone is heard again."""
        self._alone = None

    def tap(self, samples: int, *, wide: bool = False) -> Tap:
        """Keep the next `samples` (of 8 kHz) heard; `wide`: as a wide line brings them."""
        tap = Tap(samples, wide)
        self._taps.append(tap)
        return tap

    @property
    def busy(self) -> bool:
        """Whether somebody waits for time to pass here."""
        return bool(self._sounds or self._taps)

    def silence(self) -> None:
        """The handset went down: cut every sound and tap."""
        for sound in list(self._sounds):
            self._end(sound, cut=True)
        for tap in list(self._taps):
            self.leave(tap, cut=True)

    def leave(self, tap: Tap, *, cut: bool = False) -> None:
        """Stop keeping."""
        if tap in self._taps:
            self._taps.remove(tap)
        tap.cut = tap.cut or cut
        tap.full.set()

    def hear(self, frame: bytes, at: float, whole: bytes = WIDE_SILENCE) -> Samples:
        """One frame reaches the earpiece at `at`, on a wide line as `whole`; returns it as numbers."""
        for tap in list(self._taps):
            if tap.started_at is None:
                tap.started_at = at
            tap.frames.append((at, whole if tap.wide else frame))
            tap.heard += FRAME_SAMPLES
            if tap.heard >= tap.samples:
                self.leave(tap)
        samples = np.frombuffer(frame, np.int16).astype(np.float64)
        self._heard = np.concatenate([self._heard[FRAME_SAMPLES:], samples])
        return samples

    def pause(self) -> None:
        """A tick that will be heard later: the hybrid reflects nothing, taps do not count it."""
        self._heard = np.concatenate([self._heard[FRAME_SAMPLES:], _NOTHING])

    def speak(self, at: float, *, connected: bool) -> bytes:
        """The frame for the line, whose first sample was at `at`; the hybrid reflects the last frame heard.

        Not `connected` (contact open, or no battery), the sounds pass in vain.
        """
        line: Samples = _NOTHING
        self.above = None
        for sound in list(self._sounds):
            if sound.started_at is None:
                sound.started_at = at
            count = sound.rate_hz * FRAME_MS // 1000
            part = sound.samples[sound.position : sound.position + count]
            sound.position += count
            if self._alone is None or sound is self._alone:
                whole = part if part.size == count else np.pad(part, (0, count - part.size))
                if sound.rate_hz == SAMPLE_RATE_HZ:
                    line = line + whole
                elif connected:
                    self.above = whole if self.above is None else self.above + whole
            if sound.position >= sound.samples.size:
                self._end(sound)
        if not connected:
            return SILENCE
        if self._hybrid is not None:
            line = line + np.convolve(self._heard, self._hybrid, "valid")
        if self._noise is not None:
            line = line + self._random.normal(0.0, self._noise, FRAME_SAMPLES)
        if line is _NOTHING:
            return SILENCE
        frame = np.clip(np.rint(line), -_FULL_SCALE - 1, _FULL_SCALE).astype(np.int16).tobytes()
        assert len(frame) == FRAME_BYTES  # noqa: S101 - the wire's one invariant
        return frame

    def _end(self, sound: Sound, *, cut: bool = False) -> None:
        if sound in self._sounds:
            self._sounds.remove(sound)
        sound.cut = cut
        sound.finished.set()


def hybrid_response(loss_db: float) -> Samples:
    """A two-to-four-wire hybrid's echo path, 4 ms long: its energy is `loss_db` below the signal's.

    A mismatch of impedances: a sharp onset, then a decaying ripple. Synthetic, not of G.168's data.
    """
    taps = np.arange(_HYBRID_TAPS)
    response = np.exp(-taps / 5.0) * np.cos(0.9 * taps) * np.minimum(1.0, (taps + 1) / 3)
    scaled: Samples = response * 10 ** (-loss_db / 20) / np.sqrt(np.sum(response**2))
    return scaled
