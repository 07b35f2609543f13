"""A stand-in for the box at the near end of the simulated wire: real port and PCM, a simple player.

It runs no line machine: the test says what the handset should hear. Its samples are its own
arithmetic, so that what the telephone's ears make of them is independent of the box's tones.
"""

from __future__ import annotations

import math
import queue
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from firmware.fxs.drivers.simulated import SimulatedPort
from firmware.fxs.pcm import FRAME_BYTES, FRAME_SAMPLES, SAMPLE_RATE_HZ, SILENCE
from firmware.fxs.pcm.simulated import SimulatedPcm
from firmware.fxs.port import LineFault, LineRestored, LoopEdge, PortEvent


def sine(hz: tuple[float, ...], ms: float, dbm0: float = -10.0) -> bytes:
    """16-bit samples of a sum of sines, each at `dbm0`; () is silence."""
    peak = 32768 * 10 ** ((dbm0 - 3.14) / 20)
    count = round(ms * SAMPLE_RATE_HZ / 1000)
    values = [round(sum(peak * math.sin(2 * math.pi * f * n / SAMPLE_RATE_HZ) for f in hz)) for n in range(count)]
    return struct.pack(f"<{count}h", *(max(-32768, min(32767, value)) for value in values))


class BoxEnd:
    """`play` something for ever, `echo` the line back, `ring`; `heard` is all that came, `events` all edges."""

    def __init__(self, data: Path, line: int = 1) -> None:
        self.port = SimulatedPort(data, line)
        self.pcm = SimulatedPcm(data, line, self.port)
        self.events: list[PortEvent] = []
        self.heard: list[bytes] = []
        self._news: queue.Queue[PortEvent] = queue.Queue()
        self._source: Callable[[bytes], bytes] = lambda _frame: SILENCE
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._voice, daemon=True)
        self._hold = threading.Event()

    def __enter__(self) -> Self:
        self.port.start(self._deliver)
        self.pcm.start()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self.pcm.stop()
        self._thread.join(5)
        self.pcm.close()
        self.port.stop()

    def play(self, pcm: bytes, *, loop: bool = True) -> None:
        """Let the handset hear `pcm` (silence after it unless `loop`)."""
        frames = [pcm[n : n + FRAME_BYTES].ljust(FRAME_BYTES, b"\0") for n in range(0, len(pcm), FRAME_BYTES)]
        place = 0

        def next_frame(_frame: bytes) -> bytes:
            nonlocal place
            if place >= len(frames) and not loop:
                return SILENCE
            place += 1
            return frames[(place - 1) % len(frames)]

        self._source = next_frame

    def echo(self) -> None:
        """Let the handset hear itself."""
        self._source = lambda frame: frame

    def silence(self) -> None:
        """Nothing to hear."""
        self._source = lambda _frame: SILENCE

    def ring(self, ms: float, hz: float = 50.0) -> None:
        """One burst of ring voltage."""
        self.port.start_ring(hz)
        time.sleep(ms / 1000)
        self.port.stop_ring()

    def stall(self, seconds: float) -> None:
        """The voice thread stands still."""
        self._hold.set()
        time.sleep(seconds)
        self._hold.clear()

    def wait_event(self, kind: type[PortEvent], *, closed: bool | None = None, timeout: float = 10.0) -> PortEvent:
        """The next event of this kind (an edge to `closed`). Raises TimeoutError."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            try:
                event = self._news.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                break
            if isinstance(event, kind):
                got = event.closed if isinstance(event, LoopEdge | LineRestored) else None
                if closed is None or got is closed:
                    return event
        what = f"no {kind.__name__} within {timeout} s; had {self.events}"
        raise TimeoutError(what)

    def wait_samples(self, frames: int, timeout: float = 10.0) -> bytes:
        """The next `frames` frames off the line."""
        start = len(self.heard)
        deadline = time.monotonic() + timeout
        while len(self.heard) < start + frames:
            if time.monotonic() > deadline:
                what = f"{len(self.heard) - start} of {frames} frames within {timeout} s"
                raise TimeoutError(what)
            time.sleep(0.005)
        return b"".join(self.heard[start : start + frames])

    def _deliver(self, event: PortEvent) -> None:
        self.events.append(event)
        self._news.put(event)

    def _voice(self) -> None:
        while not self._stop.is_set():
            frame = self.pcm.read(0.5)
            while self._hold.is_set():
                time.sleep(0.001)
            if frame is not None:
                self.heard.append(frame)
                self.pcm.write(self._source(frame))


__all__ = ["FRAME_SAMPLES", "BoxEnd", "LineFault", "LineRestored", "LoopEdge", "sine"]
