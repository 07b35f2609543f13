"""The FXS port of a hat with a microcontroller on a serial line (docs/serial-hat.md). The only pyserial import.

A thread of its own owns the device and the session (`serial_session`): it reads, writes, waits and
opens again. The control loop only says what it wants, and never waits for the hat. Lines of one
hat share one `SerialHat`.
"""

from __future__ import annotations

import errno
import logging
import os
import select
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path

import serial

from firmware.fxs.drivers import serial_protocol as words
from firmware.fxs.drivers.serial_session import Session
from firmware.fxs.drivers.serial_vocabulary import (
    CloseDevice,
    Gone,
    Heard,
    Note,
    OpenDevice,
    Opened,
    Send,
    SessionCommand,
    SessionEvent,
    Tell,
    Ticked,
    Timing,
    Wanted,
    Wish,
)
from firmware.fxs.port import Capability, PortEvent

_log = logging.getLogger(__name__)
BY_ID = Path("/dev/serial/by-id")
_READ_BYTES = 1024
# The fastest hat that makes sense (115200 baud) sends 11.5 kB/s; what floods must not take the core's time.
_BYTES_PER_SECOND = 24_000
_BYTES_AT_ONCE = 8192
_MAX_UNWRITTEN = 2048
_FAREWELL_SECONDS = 0.3
_JOIN_SECONDS = 2.0
_LONGEST_SLEEP_SECONDS = 60.0

Deliver = Callable[[PortEvent], None]


class SerialHat:
    """The connection to one hat, shared by its lines; runs while at least one of them is started."""

    def __init__(self, device: str, baud: int = 115_200, *, timing: Timing | None = None, by_id: Path = BY_ID) -> None:
        self._device = device
        self._baud = baud
        self._timing = timing
        self._by_id = by_id
        self._lock = threading.Lock()
        # Written by the control loop, taken by the thread: only the latest wish of each line.
        self._wishes: dict[int, Wish | None] = {}
        self._listeners: dict[int, Deliver] = {}
        self._thread: _HatThread | None = None

    @property
    def name(self) -> str:
        """What faults call it."""
        return self._device or str(self._by_id)

    def attach(self, line: int, deliver: Deliver) -> None:
        """Line `line` (from 1) of the hat is in use."""
        with self._lock:
            self._listeners[line] = deliver
            self._wishes[line] = Wish()
            if self._thread is None:
                self._thread = _HatThread(self, self._device, self._baud, self._timing, self._by_id)
                self._thread.start()
            self._thread.wake()

    def detach(self, line: int) -> None:
        """Ring off, and no more events of that line; with the last one the device is let go."""
        self.wish(line, Wish())
        with self._lock:
            self._listeners.pop(line, None)
            thread = self._thread
            if self._listeners:
                self._wishes[line] = None
                thread = None
            else:
                self._thread = None
        if thread is not None:
            thread.finish()

    def wish(self, line: int, wish: Wish) -> None:
        """What is wanted of a line now."""
        with self._lock:
            if line in self._listeners:
                self._wishes[line] = wish
                if self._thread is not None:
                    self._thread.wake()

    def loop_closed(self, line: int) -> bool:
        """The loop as the hat last told; open without a hat."""
        thread = self._thread
        return thread is not None and thread.session.loop_closed(line)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What the hat said it can do; nothing before it was there."""
        thread = self._thread
        return frozenset() if thread is None else thread.session.capabilities

    def take_wishes(self) -> dict[int, Wish | None]:
        """The wishes that are new (the thread's)."""
        with self._lock:
            wishes, self._wishes = self._wishes, {}
            return wishes

    def deliver(self, line: int, event: PortEvent) -> None:
        """An event of a line, to whoever started it (the thread's)."""
        listener = self._listeners.get(line)
        if listener is not None:
            listener(event)


class _HatThread(threading.Thread):
    """The device, its session and all waiting."""

    def __init__(self, hat: SerialHat, device: str, baud: int, timing: Timing | None, by_id: Path) -> None:
        super().__init__(name=f"hat {Path(device).name or 'serial'}", daemon=True)
        self.session = Session(hat.name, time.monotonic(), timing)
        self._hat = hat
        self._path, self._baud, self._by_id = device, baud, by_id
        self._wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._device: serial.Serial | None = None
        self._assembler = words.LineAssembler()
        self._unwritten = bytearray()
        self._may_read = float(_BYTES_AT_ONCE)
        self._read_at = time.monotonic()
        self._finish_by: float | None = None

    def wake(self) -> None:
        """There are new wishes."""
        os.eventfd_write(self._wake_fd, 1)

    def finish(self) -> None:
        """Take the rings off, if the hat still answers, and end."""
        self._finish_by = time.monotonic() + _FAREWELL_SECONDS
        self.wake()
        self.join(_JOIN_SECONDS)
        if not self.is_alive():
            os.close(self._wake_fd)

    def run(self) -> None:
        """Until `finish`."""
        try:
            while not self._over():
                for line, wish in self._hat.take_wishes().items():
                    self._handle(Wanted(line, wish))
                if time.monotonic() >= self.session.next_deadline():
                    self._handle(Ticked())
                self._wait()
        finally:
            self._close()

    def _over(self) -> bool:
        finish_by = self._finish_by
        if finish_by is None:
            return False
        if time.monotonic() >= finish_by or self._device is None:
            return True
        for line, wish in self._hat.take_wishes().items():
            self._handle(Wanted(line, wish))
        return self.session.settled() and not self._unwritten

    # --- waiting and moving bytes --------------------------------------------------------

    def _wait(self) -> None:
        """Sleep until a wish, bytes or a deadline."""
        now = time.monotonic()
        due = self.session.next_deadline()
        if self._finish_by is not None:
            due = min(due, self._finish_by)
        self._may_read = min(_BYTES_AT_ONCE, self._may_read + (now - self._read_at) * _BYTES_PER_SECOND)
        self._read_at = now
        poller = select.poll()
        poller.register(self._wake_fd, select.POLLIN)
        descriptor = -1
        if self._device is not None:
            descriptor = self._device.fileno()
            wanted = select.POLLOUT if self._unwritten else 0
            if self._may_read >= _READ_BYTES:
                wanted |= select.POLLIN
            else:
                due = min(due, now + _READ_BYTES / _BYTES_PER_SECOND)
            # Not even errors are asked for while it floods: they would be told at once, for ever.
            if wanted:
                poller.register(descriptor, wanted)
        pause = min(max(0.0, due - now), _LONGEST_SLEEP_SECONDS)
        for ready, what in poller.poll(int(pause * 1000) + 1 if pause else 0):
            if ready == self._wake_fd:
                os.eventfd_read(self._wake_fd)
            elif what & ~select.POLLOUT:
                self._read()
            elif self._device is not None:
                self._write()

    def _read(self) -> None:
        device = self._device
        assert device is not None  # noqa: S101 - polled, hence open
        try:
            data = device.read(_READ_BYTES)
            if not data:
                raise OSError("it hung up")  # noqa: TRY301 - one way out for all
        # pyserial's own errors are OSErrors; a descriptor that was taken from under it makes others.
        except (OSError, TypeError, ValueError) as error:
            self._failed(error)
            return
        self._may_read -= len(data)
        for line in self._assembler.feed(data):
            message = words.parse(line)
            if message is not None:
                self._handle(Heard(message))
            if self._device is not device:
                return  # what was left belongs to a session that is over

    def _write(self) -> None:
        device = self._device
        if device is None or not self._unwritten:
            return
        try:
            del self._unwritten[: device.write(bytes(self._unwritten[:_READ_BYTES]))]
        except (OSError, TypeError, ValueError) as error:
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        self._handle(Gone(f"the hat at {self._hat.name} was unplugged or its device failed: {error}"))

    # --- the session ---------------------------------------------------------------------

    def _handle(self, event: SessionEvent) -> None:
        for command in self.session.handle(event, time.monotonic()):
            self._do(command)

    def _do(self, command: SessionCommand) -> None:
        match command:
            case OpenDevice():
                self._handle(self._open())
            case CloseDevice():
                self._close()
            case Send(data):
                if len(self._unwritten) + len(data) <= _MAX_UNWRITTEN:  # else it is repeated, or the hat is given up
                    self._unwritten += data
            case Tell(line, event):
                self._hat.deliver(line, event)
            case Note(text):
                _log.info("%s", text)

    def _open(self) -> SessionEvent:
        """The device opened, or why not, in a person's words."""
        path = self._path
        try:
            path = path or self._only_one()
            self._device = serial.Serial(path, self._baud, timeout=0, write_timeout=0, exclusive=True)
        except (OSError, ValueError) as error:
            return Gone(_why(path, error))
        self._assembler.reset()
        self._unwritten.clear()
        return Opened()

    def _only_one(self) -> str:
        """The one serial device that is plugged in. Raises OSError if there is none, or a choice."""
        try:
            names = sorted(path.name for path in self._by_id.iterdir())
        except OSError:
            names = []
        choose = f"`allobox config set line.serial.device {self._by_id}/...`"
        if not names:
            raise OSError(f"no serial device is plugged in; for one on the board's own pins: {choose}")
        if len(names) > 1:
            raise OSError(f"several serial devices are plugged in ({', '.join(names)}); choose one: {choose}")
        return str(self._by_id / names[0])

    def _close(self) -> None:
        device, self._device = self._device, None
        if device is None:
            return
        try:
            device.reset_output_buffer()  # or the kernel waits half a minute for a hat that does not read
        except Exception as error:  # noqa: BLE001 - termios has an error of its own; the device may be gone
            _log.debug("closing: %s", error)
        try:
            device.close()
        except Exception as error:  # noqa: BLE001
            _log.debug("closing: %s", error)


def _why(path: str, error: Exception) -> str:
    said = str(error)
    number = getattr(error, "errno", None)
    if number in {errno.ENOENT, errno.ENXIO, errno.ENODEV}:
        said = f"{path} is not there: is the hat plugged in and powered? `allobox config set line.serial.device`"
    elif number in {errno.EPERM, errno.EACCES}:
        said = f"{path} may not be opened: is the core's user in the group dialout?"
    return f"the hat cannot be reached: {said}"


class SerialMcuPort:
    """One line of a serial hat; implements `firmware.fxs.port.FxsPort`.

    Edges are the hat's, bounce included, with its own clock's time in CLOCK_MONOTONIC
    (`serial_clock`). A hat that is not there is a LineFault, not an exception: it is looked for
    until it is.
    """

    def __init__(self, hat: SerialHat, line: int = 1) -> None:
        self._hat = hat
        self._line = line
        self._wish = Wish()
        self._started = False

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What the hat said it can do; nothing before it was there."""
        return self._hat.capabilities

    def start(self, deliver: Deliver) -> None:
        """Look for the hat and deliver its events. Starting twice is one start."""
        if not self._started:
            self._started = True
            self._wish = Wish()
            self._hat.attach(self._line, deliver)

    def stop(self) -> None:
        """Ring off, then let go. A hat that does not hear it takes the ring off by itself within a second."""
        if self._started:
            self._started = False
            self._hat.detach(self._line)

    def loop_closed(self) -> bool:
        """The loop as the hat last told, at most a second ago; open without a hat."""
        return self._hat.loop_closed(self._line)

    def start_ring(self, frequency_hz: float) -> None:
        """Ring voltage on; a hat that is away rings when it is back, if that is still wanted."""
        self._want(ring_hz=frequency_hz)

    def stop_ring(self) -> None:
        """Ring voltage off."""
        self._want(ring_hz=0.0)

    def set_polarity(self, *, reverse: bool) -> None:
        """Normal or reversed battery, if the hat can."""
        self._want(reverse=reverse)

    def set_power(self, *, on: bool) -> None:
        """Feed the line or deny it current, if the hat can."""
        self._want(power=on)

    def _want(self, *, ring_hz: float | None = None, reverse: bool | None = None, power: bool | None = None) -> None:
        before = self._wish
        self._wish = Wish(
            before.ring_hz if ring_hz is None else ring_hz,
            before.reverse if reverse is None else reverse,
            before.power if power is None else power,
        )
        if self._started:
            self._hat.wish(self._line, self._wish)


_hats: weakref.WeakValueDictionary[tuple[str, int], SerialHat] = weakref.WeakValueDictionary()


def shared_hat(device: str, baud: int) -> SerialHat:
    """The one connection of the process to the hat at `device`. Used from one thread."""
    hat = _hats.get((device, baud))
    if hat is None:
        hat = _hats[device, baud] = SerialHat(device, baud)
    return hat
