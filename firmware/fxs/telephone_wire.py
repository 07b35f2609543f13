"""The telephone's end of the wire: connects for ever, tells its contact, hears ring, battery and frames.

One thread waits on the signal socket; the frames' socket is read and written by whoever ticks.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

from firmware.fxs import wire
from firmware.fxs.pcm import FRAME_BYTES, WIDE_FRAME_BYTES

_log = logging.getLogger(__name__)
_RETRY_SECONDS = 0.05
_REFUSED_SECONDS = 0.25


class FarEnd:
    """`loop()` tells the contact on connecting; `signalled(signal)` gets the box's orders, None when it is gone."""

    def __init__(
        self,
        data: Path,
        line: int,
        loop: Callable[[], wire.Loop],
        signalled: Callable[[wire.Signal | None], None],
    ) -> None:
        self._signal_path = wire.signal_path(data, line)
        self._pcm_path = wire.pcm_path(data, line)
        self._loop = loop
        self._signalled = signalled
        self._signal: socket.socket | None = None
        self._pcm: socket.socket | None = None
        self._pcm_lock = threading.Lock()
        self._send_lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="telephone-wire", daemon=True)
        self._counter = 0

    @property
    def connected(self) -> bool:
        """Whether a box is at the other end."""
        return self._signal is not None

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def stop(self) -> None:
        """Unplug."""
        self._stopping.set()
        with self._send_lock:
            if self._signal is not None:
                _shut(self._signal)
        self._thread.join(2.0)
        self._drop_pcm()

    def contact(self, loop: wire.Loop) -> None:
        """Tell an edge; without a box it is told on connecting."""
        with self._send_lock:
            if self._signal is not None:
                try:
                    self._signal.send(wire.encode_signal(loop), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
                except OSError:
                    _shut(self._signal)

    def send(self, frame: bytes) -> None:
        """One frame to the box; lost if it does not take it."""
        pcm = self._pcm
        if pcm is None:
            return
        self._counter += 1
        try:
            pcm.send(wire.encode_pcm(self._counter, frame), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except BlockingIOError:
            return
        except OSError:
            self._drop_pcm()

    def frames(self) -> list[tuple[int, bytes]] | None:
        """What the box has sent since last asked: (counter, frame). None: no wire."""
        pcm = self._pcm
        if pcm is None:
            return None
        frames: list[tuple[int, bytes]] = []
        while True:
            try:
                packet = pcm.recv(wire.MAX_PACKET, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return frames
            except OSError:
                packet = b""
            if not packet:
                self._drop_pcm()
                return frames
            if len(packet) > wire.LEAST_PACKET:
                counter, frame = wire.decode_pcm(packet)
                if len(frame) in {FRAME_BYTES, WIDE_FRAME_BYTES}:
                    frames.append((counter, frame))

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                signal = wire.connect(self._signal_path)
            except OSError:
                self._stopping.wait(_RETRY_SECONDS)
                continue
            began = time.monotonic()
            with signal:
                self._serve(signal)
            self._drop_pcm()
            self._signalled(None)
            # A box that hangs up at once has a telephone on this line: do not hammer it.
            self._stopping.wait(_RETRY_SECONDS if time.monotonic() - began > _REFUSED_SECONDS else _REFUSED_SECONDS)

    def _serve(self, signal: socket.socket) -> None:
        """Until the box goes."""
        try:
            with self._send_lock:
                signal.send(wire.encode_signal(self._loop()))
                self._signal = signal
            while packet := signal.recv(wire.MAX_PACKET):
                order = wire.decode_signal(packet)
                if isinstance(order, wire.Audio) and order.powered:
                    self._connect_pcm()
                self._signalled(order)
        except (OSError, ValueError) as error:
            _log.info("the wire broke: %s", error)
        finally:
            with self._send_lock:
                self._signal = None

    def _connect_pcm(self) -> None:
        with self._pcm_lock:
            if self._pcm is None:
                try:
                    self._pcm = wire.connect(self._pcm_path)
                except OSError as error:
                    _log.warning("the box powers the voice path but takes no samples: %s", error)

    def _drop_pcm(self) -> None:
        with self._pcm_lock:
            pcm, self._pcm = self._pcm, None
        if pcm is not None:
            pcm.close()


def _shut(end: socket.socket) -> None:
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        _log.debug("the wire was already down")
