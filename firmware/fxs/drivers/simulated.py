"""The FXS port whose far end is the simulated telephone: contacts in, ring voltage and battery out.

A reader thread accepts the telephone at `wire.signal_path`, hands its edges on with its own time
stamps and repeats the box's orders to a telephone that comes (back). No samples pass here: see
`firmware.fxs.pcm.simulated`.
"""

from __future__ import annotations

import logging
import math
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

from firmware.fxs import wire
from firmware.fxs.port import Capability, LineFault, LineRestored, LoopEdge, PortEvent

_log = logging.getLogger(__name__)
_MAX_AHEAD_SECONDS = 0.5
_JOIN_SECONDS = 2.0


class SimulatedPort:
    """One simulated line's signalling; implements `firmware.fxs.port.FxsPort`.

    Never faulty before its first telephone: an empty socket on the wall is an open loop. From then
    on `LineFault` tells that the telephone's process is gone, `LineRestored` that one is back.
    """

    def __init__(self, data: Path, line: int) -> None:
        self._line = line
        self._path = wire.signal_path(data, line)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._deliver: Callable[[PortEvent], None] = _nobody
        self._far: socket.socket | None = None
        self._wake = -1
        self._closed = False
        self._greeted = False
        self._lost = False
        self._ring = wire.Ring(0.0)
        self._feed = wire.Feed(wire.Battery.NORMAL)
        self._audio = wire.Audio(powered=False)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """The simulated hat reverses, denies power and speaks on-hook; digits it leaves to the box."""
        return frozenset(Capability) - {Capability.DIGITS}

    def start(self, deliver: Callable[[PortEvent], None]) -> None:
        """Listen for the telephone. Raises OSError if the socket cannot be made; starting twice is one start."""
        if self._thread is not None:
            return
        try:
            listener = wire.listen(self._path)
        except OSError as error:
            msg = f"line {self._line}: cannot listen for the simulated telephone at {self._path}: {error}"
            raise OSError(msg) from error
        listener.settimeout(0)
        self._deliver = deliver
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._thread = threading.Thread(target=self._run, args=(listener,), name=f"line{self._line}-wire", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ring and voice path off, then hang the wire down."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self.stop_ring()
        self.set_audio(powered=False)
        os.eventfd_write(self._wake, 1)
        thread.join(_JOIN_SECONDS)
        os.close(self._wake)
        self._path.unlink(missing_ok=True)
        self._closed = self._greeted = self._lost = False

    def loop_closed(self) -> bool:
        """The contact as the telephone last told it; open without a telephone."""
        return self._closed

    def start_ring(self, frequency_hz: float) -> None:
        """Ring voltage on."""
        self._ring = wire.Ring(frequency_hz)
        self._send(self._ring)

    def stop_ring(self) -> None:
        """Ring voltage off."""
        self._ring = wire.Ring(0.0)
        self._send(self._ring)

    def set_polarity(self, *, reverse: bool) -> None:
        """Normal or reversed battery; a denied line stays denied."""
        if self._feed.battery is not wire.Battery.OFF:
            self._feed = wire.Feed(wire.Battery.REVERSED if reverse else wire.Battery.NORMAL)
            self._send(self._feed)

    def set_power(self, *, on: bool) -> None:
        """Feed the line (normal polarity) or deny it current."""
        if on is (self._feed.battery is wire.Battery.OFF):
            self._feed = wire.Feed(wire.Battery.NORMAL if on else wire.Battery.OFF)
            self._send(self._feed)

    def set_audio(self, *, powered: bool, wide: bool = False) -> None:
        """Wake or rest the voice path; `SimulatedPcm` calls it."""
        self._audio = wire.Audio(powered, wide)
        self._send(self._audio)

    def _send(self, signal: wire.Signal) -> None:
        """To the telephone, if there is one; one that does not read its wire is dropped."""
        with self._lock:
            if self._far is None:
                return
            try:
                self._far.send(wire.encode_signal(signal), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
            except OSError as error:
                _log.warning("line %d: the simulated telephone does not take %s: %s", self._line, signal, error)
                # The reader sees the end of file and reports the fault.
                self._shut(self._far)

    def _run(self, listener: socket.socket) -> None:
        with listener, selectors.DefaultSelector() as selector:
            selector.register(listener, selectors.EVENT_READ)
            selector.register(self._wake, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is listener:
                        self._accept(listener, selector)
                    elif key.fileobj == self._wake:
                        self._part(selector)
                        return
                    else:
                        self._receive(selector)

    def _accept(self, listener: socket.socket, selector: selectors.BaseSelector) -> None:
        try:
            far = listener.accept()[0]
        except OSError:
            return
        with self._lock:
            if self._far is not None:
                _log.warning("line %d: a second telephone was refused: the line has one", self._line)
                far.close()
                return
            far.settimeout(0)
            self._far = far
            self._greeted = False
        selector.register(far, selectors.EVENT_READ)
        for order in (self._feed, self._ring, self._audio):
            self._send(order)

    def _receive(self, selector: selectors.BaseSelector) -> None:
        far = self._far
        if far is None:
            return
        try:
            packet = far.recv(wire.MAX_PACKET)
            # SEQPACKET: an empty packet is the end of the connection.
            loop = _loop(packet) if packet else None
        except BlockingIOError:
            return
        except (OSError, ValueError) as error:
            _log.warning("line %d: the simulated telephone's wire: %s", self._line, error)
            loop = None
        if loop is None:
            self._part(selector)
            self._lose()
        elif self._greeted:
            if loop.closed != self._closed:
                self._closed = loop.closed
                self._deliver(LoopEdge(loop.closed, loop.at))
        else:
            self._greet(loop)

    def _greet(self, loop: wire.Loop) -> None:
        """The first packet of a telephone: its contact as it is now."""
        self._greeted = True
        changed = loop.closed != self._closed
        self._closed = loop.closed
        if self._lost:
            self._lost = False
            self._deliver(LineRestored(loop.closed, time.monotonic()))
        elif changed:
            self._deliver(LoopEdge(loop.closed, loop.at))

    def _lose(self) -> None:
        self._closed = False
        if not self._lost:
            self._lost = True
            self._deliver(LineFault(f"line {self._line}: the simulated telephone is unplugged", time.monotonic()))

    def _part(self, selector: selectors.BaseSelector) -> None:
        with self._lock:
            far, self._far = self._far, None
        if far is not None:
            selector.unregister(far)
            far.close()

    @staticmethod
    def _shut(far: socket.socket) -> None:
        try:
            far.shutdown(socket.SHUT_RDWR)
        except OSError:
            _log.debug("the wire was already down")


def _nobody(_event: PortEvent) -> None:
    """Before `start`, nobody listens."""


def _loop(packet: bytes) -> wire.Loop:
    """The telephone's contact. Raises ValueError for anything else, or a time that cannot be."""
    signal = wire.decode_signal(packet)
    if not isinstance(signal, wire.Loop):
        msg = f"a telephone sends its contact only, not {type(signal).__name__}"
        raise ValueError(msg)  # noqa: TRY004 - what came over the wire is data, not a programmer's type
    if not math.isfinite(signal.at) or signal.at > time.monotonic() + _MAX_AHEAD_SECONDS:
        msg = f"an edge at {signal.at} lies in the future"
        raise ValueError(msg)
    return signal
