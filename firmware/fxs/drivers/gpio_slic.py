"""The FXS port of a ringing-SLIC hat (Silvertel AG1170/AG1171, R-Tone KS0835F) on GPIO.

Four wires: SHK tells whether the loop is closed, RM raises the ringing battery, F/R reverses the
line (toggled at 25 or 50 Hz it *is* the ring), PD powers the module down. An MT8870 beside it may
hear the digits. docs/hardware.md has the wiring and where the modules' sheets disagree,
docs/pin-sequences.md every sequence with its times.
Who takes the ring off after a core that died is `firmware.fxs.safe`.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from firmware.fxs.drivers.gpio_pins import RING_END_SECONDS, SlicHardware, SlicPins, ring_off
from firmware.fxs.drivers.slic_hats import HATS, SlicHat
from firmware.fxs.port import Capability, DigitEvent, LineFault, LoopEdge, PortEvent

__all__ = ["GpioSlicPort", "SlicPins", "ring_off"]
_log = logging.getLogger(__name__)

# No country rings longer in one burst; a control loop that hangs must not leave 75 V on the line.
LONGEST_BURST_SECONDS = 6.0
# SHK wants this much debouncing, and a ring's own current may show on it for as long.
TRIP_SECONDS = 0.010
_OTHER_CLOCK_SECONDS = 5.0
_JOIN_SECONDS = 1.0


class GpioSlicPort:
    """One line's signalling; implements `firmware.fxs.port.FxsPort`.

    Edges come as they happen, bounce included, with the kernel's own time (CLOCK_MONOTONIC); what
    they mean is `firmware.fxs.hook`'s business. A keeper thread waits where the hat wants a wait.
    """

    def __init__(
        self,
        pins: SlicPins,
        habits: SlicHat = HATS["ag1171"],
        *,
        trip_seconds: float = TRIP_SECONDS,
        pin_factory: object | None = None,
    ) -> None:
        self._pins = pins
        self._habits = habits
        self._trip_seconds = trip_seconds
        self._pin_factory = pin_factory
        self._deliver: Callable[[PortEvent], None] = _nobody
        self._hardware: SlicHardware | None = None
        self._reversed = False
        self._ringing = False
        # The keeper: `_due` is when F/R must rest (a burst too long) or, after `stop_ring`, when RM must fall;
        # `_trip_due` when a loop that closed during a ring will have been closed long enough.
        self._lock = threading.Condition()
        self._due: float | None = None
        self._trip_due: float | None = None
        self._ending = False
        self._keeper: threading.Thread | None = None
        can = {Capability.POLARITY_REVERSAL}
        if pins.pd is not None and habits.pd_mode != "none":
            can.add(Capability.POWER_DENIAL)
        if pins.mt8870:
            can.add(Capability.DIGITS)
        self._capabilities = frozenset(can)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Reversal always; power denial when PD is wired, digits with an MT8870. On-hook audio: docs/hardware.md."""
        return self._capabilities

    def start(self, deliver: Callable[[PortEvent], None]) -> None:
        """Take the pins and watch the loop. Raises OSError naming the pin. Starting twice is one start."""
        if self._hardware is not None:
            return
        self._pins.refuse_shared()
        hardware = SlicHardware(self._pins, self._habits, self._pin_factory)
        self._deliver = deliver
        self._hardware = hardware
        self._reversed = self._ringing = self._ending = False
        self._due = self._trip_due = None
        self._keeper = threading.Thread(target=self._keep, name="slic-keeper", daemon=True)
        self._keeper.start()
        # gpiozero holds the callback weakly: a bound method lives as long as this port.
        hardware.watch(self._edge, self._digit)
        atexit.register(self.stop)
        if self.loop_closed():
            deliver(LoopEdge(closed=True, at=time.monotonic()))

    def stop(self) -> None:
        """Ring off in the safe order, then let go of the pins. Idempotent."""
        hardware = self._hardware
        if hardware is None:
            return
        hardware.watch(None, None)
        self.stop_ring()
        with self._lock:
            self._ending = True  # the keeper ends once RM is down
            self._lock.notify()
        if self._keeper is not None:
            self._keeper.join(_JOIN_SECONDS)
        self._hardware = None
        hardware.close()
        self._deliver = _nobody
        atexit.unregister(self.stop)

    def loop_closed(self) -> bool:
        """SHK, read now; an open loop when the hardware is not there."""
        hardware = self._hardware
        return hardware is not None and bool(hardware.shk.is_active)

    def start_ring(self, frequency_hz: float) -> None:
        """Ringing battery on, then F/R at `frequency_hz`."""
        with self._lock, self._faults("ringing"):
            if self._hardware is None:
                return
            self._ringing = True
            self._due = time.monotonic() + LONGEST_BURST_SECONDS
            self._hardware.rm.on()
            self._hardware.ring(frequency_hz)
            if self.loop_closed():
                self._trip_due = time.monotonic() + self._trip_seconds
            self._lock.notify()

    def stop_ring(self) -> None:
        """F/R to rest now; the keeper takes RM down when the hat's wait is over."""
        with self._lock, self._faults("the end of ringing"):
            if self._hardware is not None and self._ringing:
                self._rest_ringing(self._hardware)
                self._lock.notify()

    def set_polarity(self, *, reverse: bool) -> None:
        """Normal or reversed battery, at once or after the ring."""
        with self._lock, self._faults("the line's polarity"):
            self._reversed = reverse
            if self._hardware is not None and not self._ringing and self._due is None:
                self._hardware.rest(reverse=reverse)

    def set_power(self, *, on: bool) -> None:
        """Feed the line or power the module down, when PD is wired."""
        with self._lock, self._faults("the module's power"):
            if self._hardware is not None:
                self._hardware.power(on=on)

    # --- the keeper -----------------------------------------------------------------------

    def _keep(self) -> None:
        """Wait for `_due`, and do what is due; ends when asked to, RM down."""
        with self._lock:
            while not (self._ending and self._due is None):
                due = min((due for due in (self._due, self._trip_due) if due is not None), default=None)
                if due is None:
                    self._lock.wait()
                elif (left := due - time.monotonic()) > 0:
                    self._lock.wait(left)
                else:
                    self._act()

    def _act(self) -> None:
        hardware = self._hardware
        tripped, self._trip_due = self._trip_due is not None, None
        if hardware is None:
            self._due = None
            return
        if tripped and self._ringing:
            with self._faults("ring trip"):
                if self.loop_closed():
                    self._rest_ringing(hardware)
            return
        if self._due is None or time.monotonic() < self._due:
            return
        self._due = None
        with self._faults("the end of ringing"):
            if self._ringing:
                _log.error("a ring was not ended within %.0f s: taken off", LONGEST_BURST_SECONDS)
                self._rest_ringing(hardware)
                return
            hardware.rm.off()
            # Again: lgpio's thread may have written a last edge just as it was told to end.
            hardware.rest(reverse=self._reversed)

    def _rest_ringing(self, hardware: SlicHardware) -> None:
        """The first half of the end of a ring; with the lock held."""
        self._ringing = False
        self._trip_due = None
        self._due = time.monotonic() + RING_END_SECONDS  # counted anew below: F/R must rest before the wait begins
        hardware.rest(reverse=False)
        self._due = time.monotonic() + RING_END_SECONDS

    # --- from the hardware ----------------------------------------------------------------

    def _edge(self, ticks: float, state: float) -> None:
        """An edge of SHK, on gpiozero's thread. `ticks`: seconds, CLOCK_MONOTONIC with lgpio."""
        if state not in {0, 1}:
            return  # lgpio's watchdog level: no edge
        closed = bool(state) is self._habits.shk_active_high
        if self._ringing:
            self._maybe_trip(closed=closed)
        self._deliver(LoopEdge(closed=closed, at=_happened(ticks)))

    def _maybe_trip(self, *, closed: bool) -> None:
        """The loop closed during a ring: the ring ends by itself when it stays so, whoever decides what that means."""
        with self._lock:
            self._trip_due = time.monotonic() + self._trip_seconds if closed and self._ringing else None
            self._lock.notify()

    def _digit(self, ticks: float, state: float) -> None:
        """StD rose: the MT8870 shows a digit."""
        hardware = self._hardware
        if state == 1 and hardware is not None:
            with self._faults("a digit"):
                self._deliver(DigitEvent(hardware.digit(), _happened(ticks)))

    @contextmanager
    def _faults(self, what: str) -> Iterator[None]:
        """A pin that fails in use becomes a LineFault, never an exception in the control loop."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - gpiozero and lgpio share no base class
            detail = f"the hat's pins failed at {what}: {error}"
            _log.error("%s", detail)
            self._deliver(LineFault(detail, time.monotonic()))


def _nobody(_event: PortEvent) -> None:
    """Before `start`, nobody listens."""


def _happened(ticks: float) -> float:
    """An edge's own time, if the factory tells CLOCK_MONOTONIC; else that of its reading."""
    now = time.monotonic()
    return min(ticks, now) if -_OTHER_CLOCK_SECONDS < now - ticks < _OTHER_CLOCK_SECONDS else now
