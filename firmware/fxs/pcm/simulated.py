"""The line's sound device whose far end is the simulated telephone: frames over `wire.pcm_path`.

The telephone's own clock paces the frames, as a sound card's would; this end never has one of its
own. Plain bytes: no numpy here, this runs in the core.
"""

from __future__ import annotations

import os
import select
import socket
import time
from pathlib import Path
from typing import Protocol

from firmware.fxs import wire
from firmware.fxs.pcm import SAMPLE_RATE_HZ, PcmStats, frame_bytes

# A caller that slept longer than this finds the rest dropped: catching up frame by frame keeps the
# bridge's clock, but a second's worth would only be old sound.
BACKLOG_FRAMES = 16


class VoicePath(Protocol):
    """What the PCM needs of its line's port."""

    def set_audio(self, *, powered: bool, wide: bool = False) -> None:
        """Wake or rest the voice path; a `wide` one carries 16 kHz."""
        ...


class SimulatedPcm:
    """One simulated line's samples; implements `firmware.fxs.pcm.LinePcm`.

    Listens from the first `start` until `close`; the telephone may die and come back at any time,
    in which case `read` returns None until it has.
    """

    def __init__(self, data: Path, line: int, port: VoicePath, rate_hz: int = SAMPLE_RATE_HZ) -> None:
        self.stats = PcmStats()
        self._size = frame_bytes(rate_hz)
        self._wide = rate_hz > SAMPLE_RATE_HZ
        self._line = line
        self._path = wire.pcm_path(data, line)
        self._port = port
        self._listener: socket.socket | None = None
        self._far: socket.socket | None = None
        self._wake = -1
        self._poll = select.poll()
        self._running = False
        self._fresh = False
        self._pending: list[bytes] = []
        self._counter = 0

    def start(self) -> None:
        """Power the voice path. Raises OSError if the socket cannot be made."""
        if self._listener is None:
            try:
                listener = wire.listen(self._path)
            except OSError as error:
                msg = f"line {self._line}: cannot listen for the telephone's samples at {self._path}: {error}"
                raise OSError(msg) from error
            listener.settimeout(0)
            self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            self._poll.register(listener, select.POLLIN)
            self._poll.register(self._wake, select.POLLIN)
            self._listener = listener
        if not self._running:
            self.stats = PcmStats()
            self._fresh = True
            self._running = True
            self._port.set_audio(powered=True, wide=self._wide)

    def stop(self) -> None:
        """Rest the voice path; wakes a `read` under way."""
        if self._running:
            self._running = False
            self._port.set_audio(powered=False)
            os.eventfd_write(self._wake, 1)

    @property
    def delay_frames(self) -> int:
        """None: the telephone plays a frame in the tick that asked for it."""
        return 0

    @property
    def fault(self) -> str | None:
        """None: a missing telephone is the port's to tell."""
        return None

    def close(self) -> None:
        """Let go of the wire. Idempotent; call it when no `read` is under way."""
        self.stop()
        self._part()
        listener, self._listener = self._listener, None
        if listener is not None:
            self._poll = select.poll()
            listener.close()
            os.close(self._wake)
            self._path.unlink(missing_ok=True)

    def read(self, timeout: float) -> bytes | None:
        """The telephone's next frame, or None after `timeout` seconds or at `stop`."""
        if self._fresh:
            self._flush()
        deadline = time.monotonic() + timeout
        while self._running:
            self._drain()
            if self._pending:
                self.stats.frames_read += 1
                return self._pending.pop(0)
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            self._attend(left)
        return None

    def write(self, frame: bytes) -> None:
        """One frame to the telephone; dropped (and counted as xrun) if it does not read, or nobody is there."""
        if self._far is None or not self._running:
            return
        self._counter += 1
        try:
            self._far.send(wire.encode_pcm(self._counter, frame), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except BlockingIOError:
            self.stats.xruns += 1
        except OSError:
            self._part()
        else:
            self.stats.frames_written += 1

    def _flush(self) -> None:
        """Forget what the telephone sent before this `start`."""
        self._fresh = False
        self._drain()
        self._pending.clear()
        self._quiet_wake()

    def _attend(self, seconds: float) -> None:
        """Sleep until the wire or `stop` has news, at most `seconds`."""
        # poll() takes whole milliseconds and truncates: rounding up never spins.
        for descriptor, _ in self._poll.poll(int(seconds * 1000) + 1):
            if descriptor == self._wake:
                self._quiet_wake()
            elif self._listener is not None and descriptor == self._listener.fileno():
                self._accept(self._listener)

    def _quiet_wake(self) -> None:
        try:
            os.eventfd_read(self._wake)
        except BlockingIOError:
            return

    def _accept(self, listener: socket.socket) -> None:
        """Take the telephone; the newest wins, for an older one can only be a leftover."""
        try:
            far = listener.accept()[0]
        except OSError:
            return
        if self._far is not None:
            self._part()
        far.settimeout(0)
        self._poll.register(far, select.POLLIN)
        self._far = far
        self.stats.reopened += 1

    def _drain(self) -> None:
        """Move what the telephone sent into `_pending`, the oldest dropped beyond the backlog."""
        while self._far is not None:
            try:
                packet = self._far.recv(wire.MAX_PACKET)
            except BlockingIOError:
                return
            except OSError:
                packet = b""
            if len(packet) <= wire.LEAST_PACKET:
                # The end of the connection, or no frame: either way not a telephone any more.
                self._part()
                return
            _, frame = wire.decode_pcm(packet)
            if len(frame) == self._size:
                self._pending.append(frame)
            if len(self._pending) > BACKLOG_FRAMES:
                del self._pending[0]
                self.stats.xruns += 1

    def _part(self) -> None:
        far, self._far = self._far, None
        if far is not None:
            self._poll.unregister(far)
            far.close()
