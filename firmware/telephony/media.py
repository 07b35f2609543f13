"""The voice thread of one line: joins the line's frames to the bridge, and may be the bridge's clock.

The line's device paces it (`LinePcm.read` blocks); nothing here logs or grows. One frame
costs one pass: telephone -> canceller and digits -> bridge, then bridge -> tones -> telephone. Which
line's thread ticks the bridge, and what lies between the others and that tick, is `bridgeclock`'s.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from dataclasses import dataclass
from typing import Protocol

from firmware.fxs.pcm import FRAME_MS, LinePcm
from firmware.telephony.bridgeclock import LineEnd

CORE_PRIORITY = 20
VOICE_PRIORITY = 50
_READ_SECONDS = 0.2
_LATE_SECONDS = 0.002
_FRAME_SECONDS = FRAME_MS / 1000


class LineAudio(Protocol):
    """The line's audio engine, frame in, frame out; `fxs.voice.LineVoice` is it."""

    def from_line(self, frame: bytes) -> bytes:
        """What the bridge gets of a frame from the telephone."""
        ...

    def to_line(self, far: bytes | None) -> bytes:
        """What the telephone gets, given the bridge's frame (None: no bridge)."""
        ...


@dataclass(slots=True)
class VoiceStats:
    """Counters since the thread began, for the bench; written by the voice thread only. Times in seconds.

    `late`: frames that came more than 2 ms after their turn; `slow`: passes that took more than 2 ms;
    `failed`: exceptions of the device, the engine or the bridge, each of which cost a frame at most.
    """

    frames: int = 0
    late: int = 0
    slow: int = 0
    failed: int = 0
    longest_gap: float = 0.0
    longest_pass: float = 0.0


def realtime(priority: int) -> bool:
    """FIFO priority for the calling thread, if we may; whether we might.

    Every thread of the core needs it or none: real time on the voice thread alone waits for the
    interpreter lock behind threads that get no time.
    """
    with contextlib.suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
        return True
    return False


class VoicePath:
    """One line's voice. `open` and `close` come from the control loop and return at once."""

    def __init__(self, pcm: LinePcm, voice: LineAudio, end: LineEnd, *, name: str) -> None:
        self.stats = VoiceStats()
        self.turns = 0  # passes of the thread's loop, with a frame or without: it is alive
        self.end = end
        self._pcm = pcm
        self._voice = voice
        self._wanted = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"voice-{name}", daemon=True)
        self._thread.start()

    @property
    def is_open(self) -> bool:
        """Whether frames are wanted."""
        return self._wanted.is_set()

    def open(self) -> None:
        """Let frames flow. Idempotent. Raises OSError when the line's sound device is not there."""
        if not self._wanted.is_set() and not self._ending.is_set():
            self._pcm.start()
            self.end.open()
            self._wanted.set()

    def close(self) -> None:
        """Stop the frames. Idempotent; the thread goes to sleep by itself."""
        if self._wanted.is_set():
            self._wanted.clear()
            self.end.close()
            self._pcm.stop()

    def shutdown(self, timeout: float = 1.0) -> None:
        """Close and end the thread, waiting at most `timeout` seconds."""
        self._ending.set()
        self.close()
        self._wanted.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        realtime(VOICE_PRIORITY)
        last = 0.0
        while True:
            if not self._wanted.is_set():
                last = 0.0
                self._wanted.wait()
            if self._ending.is_set():
                return
            self.turns += 1
            frame = self._read()
            if frame is None:
                last = 0.0
                self._starve()
                # A device that is gone, or fails, answers at once: wait a frame, do not spin.
                self._ending.wait(_FRAME_SECONDS)
                continue
            began = time.monotonic()
            if last:
                self._measure_gap(began - last)
            last = began
            self._pass(frame, began)
            spent = time.monotonic() - began
            self.stats.longest_pass = max(self.stats.longest_pass, spent)
            if spent > _LATE_SECONDS:
                self.stats.slow += 1

    def _starve(self) -> None:
        try:
            self.end.starve(time.monotonic())
        except Exception:  # noqa: BLE001 the device may come back, and this thread must be there
            self.stats.failed += 1

    def _read(self) -> bytes | None:
        """The telephone's next frame; None if none came, or the device failed."""
        try:
            return self._pcm.read(_READ_SECONDS)
        except Exception:  # noqa: BLE001 a driver's surprise must not end the line's voice for good
            self.stats.failed += 1
            return None

    def _pass(self, frame: bytes, now: float) -> None:
        stats, voice = self.stats, self._voice
        stats.frames += 1
        try:
            far = self.end.swap(voice.from_line(frame), now)
            self._pcm.write(voice.to_line(far))
        except Exception:  # noqa: BLE001 one bad frame must not silence the line for good
            stats.failed += 1

    def _measure_gap(self, gap: float) -> None:
        stats = self.stats
        stats.longest_gap = max(stats.longest_gap, gap)
        if gap > _FRAME_SECONDS + _LATE_SECONDS:
            stats.late += 1
