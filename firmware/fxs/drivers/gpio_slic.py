"""The FXS port of a ringing-SLIC hat (Silvertel AG1170/AG1171, R-Tone KS0835F) on GPIO. The only gpiozero import.

Four wires: SHK tells whether the loop is closed, RM raises the ringing battery, F/R reverses the
line (toggled at 25 or 50 Hz it *is* the ring), PD powers the module down. docs/hardware.md has the
wiring, where the modules' sheets disagree, and every sequence with its times.

    python -m firmware.fxs.drivers.gpio_slic --ring-off [--settings FILE]

takes the ringing battery off after a core that died in mid-ring (systemd's ExecStopPost).
"""

from __future__ import annotations

import argparse
import atexit
import functools
import logging
import sys
import threading
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from gpiozero import Device, DigitalOutputDevice, GPIODevice, InputDevice, PWMOutputDevice
from gpiozero.exc import GPIOZeroError

from firmware.fxs.port import Capability, LineFault, LoopEdge, PortEvent

_log = logging.getLogger(__name__)

# The modules ask for more than 10 ms between the last reversal and the end of ringing mode.
RING_END_SECONDS = 0.015
# No country rings longer in one burst; a control loop that hangs must not leave 75 V on the line.
LONGEST_BURST_SECONDS = 6.0
_HALF = 0.5
_OTHER_CLOCK_SECONDS = 5.0
_JOIN_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class SlicPins:
    """BCM numbers of the hat's wires; `pd` is None when the module's PD is not wired."""

    shk: int
    rm: int
    fr: int
    pd: int | None = None

    def named(self) -> dict[str, int]:
        """Wire -> BCM number, of the wires that are there."""
        wires = {"SHK": self.shk, "RM": self.rm, "F/R": self.fr}
        return wires if self.pd is None else wires | {"PD": self.pd}


class _Hardware:
    """The four pins, opened in the order that can never ring: RM low before anything else."""

    def __init__(
        self, pins: SlicPins, *, shk_active_high: bool, fr_idle: str, pd_mode: str, pin_factory: object | None
    ) -> None:
        factory = pin_factory if pin_factory is not None else _lgpio()
        self._opened: list[Any] = []
        try:
            with _told("RM", pins.rm):
                self.rm = self._keep(DigitalOutputDevice(pins.rm, initial_value=False, pin_factory=factory))
            with _told("F/R", pins.fr):
                # Inactive is idle, active is the reversed line; without a frequency it is a plain output.
                self.fr = self._keep(
                    PWMOutputDevice(pins.fr, active_high=fr_idle == "low", frequency=None, pin_factory=factory)
                )
            self.pd = None
            if pins.pd is not None and pd_mode != "none":
                with _told("PD", pins.pd):
                    self.pd = self._keep(GPIODevice(pins.pd, pin_factory=factory))
            self._pd_mode = pd_mode
            self.power(on=True)
            with _told("SHK", pins.shk):
                # Pulled to "open": a hat that is not there reads as a handset on its hook.
                self.shk = self._keep(InputDevice(pins.shk, pull_up=not shk_active_high, pin_factory=factory))
        except BaseException:
            self.close()
            raise

    def _keep(self, device: Any) -> Any:
        self._opened.append(device)
        return device

    def power(self, *, on: bool) -> None:
        """Power the module. With PD "low" the wire is pulled low or let go, and never driven high."""
        if self.pd is None:
            return
        if self._pd_mode == "low" and on:
            self.pd.pin.input_with_pull("floating")
        else:
            # "low": low is down; "high": high is down.
            self.pd.pin.output_with_state(self._pd_mode == "high" and not on)

    def ring(self, frequency_hz: float) -> None:
        """F/R at `frequency_hz`, half and half, by the factory's own timing (lgpio: a thread in C)."""
        if self.fr.frequency is None:
            self.fr.frequency = frequency_hz
            self.fr.value = _HALF
        elif self.fr.frequency != frequency_hz:
            self.fr.frequency = frequency_hz

    def rest(self, *, reverse: bool) -> None:
        """F/R still: idle, or reversed."""
        if self.fr.frequency is not None:
            self.fr.frequency = None
        self.fr.value = float(reverse)

    def close(self) -> None:
        """Let go of the pins, RM last and pulled down. Idempotent."""
        opened, self._opened = self._opened, []
        for device in reversed(opened):
            if not device.closed and isinstance(device, DigitalOutputDevice):
                # A floating RM could raise the battery: the Pi's own pull-down holds it where the hat has none.
                device.off()
                with suppress(GPIOZeroError):
                    device.pin.input_with_pull("down")
            device.close()


class GpioSlicPort:
    """One line's signalling; implements `firmware.fxs.port.FxsPort`.

    Edges come as they happen, bounce included, with the kernel's own time (CLOCK_MONOTONIC); what
    they mean is `firmware.fxs.hook`'s business. A keeper thread waits where the hat wants a wait.
    """

    def __init__(
        self,
        pins: SlicPins,
        *,
        shk_active_high: bool = True,
        fr_idle: Literal["high", "low"] = "high",
        pd_mode: Literal["none", "low", "high"] = "none",
        pin_factory: object | None = None,
    ) -> None:
        self._pins = pins
        self._habits = {"shk_active_high": shk_active_high, "fr_idle": fr_idle, "pd_mode": pd_mode}
        self._shk_active_high = shk_active_high
        self._pin_factory = pin_factory
        self._deliver: Callable[[PortEvent], None] = _nobody
        self._hardware: _Hardware | None = None
        self._reversed = False
        self._ringing = False
        # The keeper: `_due` is when F/R must rest (a burst too long) or, after `stop_ring`, when RM must fall.
        self._lock = threading.Condition()
        self._due: float | None = None
        self._ending = False
        self._keeper: threading.Thread | None = None
        can_deny = pins.pd is not None and pd_mode != "none"
        self._capabilities = frozenset(
            {Capability.POLARITY_REVERSAL} | ({Capability.POWER_DENIAL} if can_deny else set())
        )

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Reversal always; power denial when PD is wired. On-hook audio needs a bias resistor (docs/hardware.md)."""
        return self._capabilities

    def start(self, deliver: Callable[[PortEvent], None]) -> None:
        """Take the pins and watch the loop. Raises OSError naming the pin. Starting twice is one start."""
        if self._hardware is not None:
            return
        self._refuse_shared_pins()
        hardware = _Hardware(self._pins, **self._habits, pin_factory=self._pin_factory)  # type: ignore[arg-type]
        self._deliver = deliver
        self._hardware = hardware
        self._reversed = self._ringing = self._ending = False
        self._due = None
        self._keeper = threading.Thread(target=self._keep, name="slic-keeper", daemon=True)
        self._keeper.start()
        # gpiozero holds the callback weakly: a bound method lives as long as this port.
        hardware.shk.pin.when_changed = self._edge
        atexit.register(self.stop)
        if self.loop_closed():
            deliver(LoopEdge(closed=True, at=time.monotonic()))

    def stop(self) -> None:
        """Ring off in the safe order, then let go of the pins. Idempotent."""
        hardware = self._hardware
        if hardware is None:
            return
        hardware.shk.pin.when_changed = None
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
                if self._due is None:
                    self._lock.wait()
                elif (left := self._due - time.monotonic()) > 0:
                    self._lock.wait(left)
                else:
                    self._act()

    def _act(self) -> None:
        hardware = self._hardware
        self._due = None
        if hardware is None:
            return
        with self._faults("the end of ringing"):
            if self._ringing:
                _log.error("a ring was not ended within %.0f s: taken off", LONGEST_BURST_SECONDS)
                self._rest_ringing(hardware)
                return
            hardware.rm.off()
            # Again: lgpio's thread may have written a last edge just as it was told to end.
            hardware.rest(reverse=self._reversed)

    def _rest_ringing(self, hardware: _Hardware) -> None:
        """The first half of the end of a ring; with the lock held."""
        self._ringing = False
        self._due = time.monotonic() + RING_END_SECONDS  # counted anew below: F/R must rest before the wait begins
        hardware.rest(reverse=False)
        self._due = time.monotonic() + RING_END_SECONDS

    # --- from the hardware ----------------------------------------------------------------

    def _edge(self, ticks: float, state: float) -> None:
        """An edge of SHK, on gpiozero's thread. `ticks`: seconds, CLOCK_MONOTONIC with lgpio."""
        if state not in {0, 1}:
            return  # lgpio's watchdog level: no edge
        now = time.monotonic()
        at = ticks if -_OTHER_CLOCK_SECONDS < now - ticks < _OTHER_CLOCK_SECONDS else now
        self._deliver(LoopEdge(closed=bool(state) is self._shk_active_high, at=min(at, now)))

    @contextmanager
    def _faults(self, what: str) -> Iterator[None]:
        """A pin that fails in use becomes a LineFault, never an exception in the control loop."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - gpiozero and lgpio share no base class
            detail = f"the hat's pins failed at {what}: {error}"
            _log.error("%s", detail)
            self._deliver(LineFault(detail, time.monotonic()))

    def _refuse_shared_pins(self) -> None:
        seen: dict[int, str] = {}
        for wire, number in self._pins.named().items():
            if number in seen:
                raise OSError(
                    f"GPIO{number} is set for both {seen[number]} and {wire}: "
                    "give each wire a pin of its own (allobox config set line.gpio...)"
                )
            seen[number] = wire


def _nobody(_event: PortEvent) -> None:
    """Before `start`, nobody listens."""


@functools.cache
def _lgpio() -> object:
    """The one lgpio factory of the process. Raises OSError in a person's words.

    Named rather than left to gpiozero's choice: its last resort has no PWM, hence no ring.
    """
    try:
        # Importing lgpio opens a pipe in the working directory and starts a thread: only where there is a hat.
        from gpiozero.pins.lgpio import LGPIOFactory  # noqa: PLC0415

        factory = LGPIOFactory()
    except Exception as error:
        raise OSError(
            f"the GPIO pins cannot be opened ({error}): is this a Raspberry Pi, is /dev/gpiochip0 there, and is "
            "its user in the group gpio? Without a hat: allobox config set line.driver simulated"
        ) from error
    Device.pin_factory = factory
    return factory


@contextmanager
def _told(wire: str, number: int) -> Iterator[None]:
    """What gpiozero says of one pin, as OSError with the wire, the pin and what to do."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        key = f"line.gpio.{wire.lower().replace('/', '')}"
        raise OSError(
            f"{wire} on GPIO{number}: {error}. Is the pin free (no other line, overlay or program uses it) and is "
            f"{number} right? `allobox config set {key} PIN` changes it"
        ) from error


def ring_off(pins: SlicPins, *, fr_idle: Literal["high", "low"] = "high", pin_factory: object | None = None) -> None:
    """Take the ringing battery off, whoever left it on: F/R to idle, the wait, RM low. Raises OSError."""
    factory = pin_factory if pin_factory is not None else _lgpio()
    with _told("F/R", pins.fr):
        fr = DigitalOutputDevice(pins.fr, initial_value=fr_idle == "high", pin_factory=factory)
    time.sleep(RING_END_SECONDS)
    with _told("RM", pins.rm):
        rm = DigitalOutputDevice(pins.rm, initial_value=False, pin_factory=factory)
        rm.pin.input_with_pull("down")
        rm.close()
    fr.close()


def _settings(path: Path) -> dict[str, Any]:
    """The `[line]` table of settings.toml, read loosely: this must work when nothing else does."""
    try:
        line = tomllib.loads(path.read_text()).get("line", {})
    except (OSError, ValueError):
        return {}
    return line if isinstance(line, dict) else {}


def main(arguments: list[str] | None = None) -> int:
    """`--ring-off`: 0 when RM is low or there is no hat to quieten, 1 with one line when it could not be."""
    parser = argparse.ArgumentParser(prog="python -m firmware.fxs.drivers.gpio_slic", description=__doc__)
    parser.add_argument("--ring-off", action="store_true", required=True, help="take the ringing battery off")
    parser.add_argument("--settings", type=Path, default=Path("/var/lib/allobox/settings.toml"))
    given = parser.parse_args(arguments)
    line = _settings(given.settings)
    if line.get("driver") != "gpio_slic":
        return 0
    gpio = line.get("gpio", {})
    pins = SlicPins(shk=gpio.get("shk", 27), rm=gpio.get("rm", 17), fr=gpio.get("fr", 12))
    try:
        ring_off(pins, fr_idle="low" if gpio.get("fr_idle") == "low" else "high")
    except OSError as error:
        sys.stderr.write(f"gpio_slic: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
