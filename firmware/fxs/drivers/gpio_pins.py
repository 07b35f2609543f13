"""The pins of a ringing-SLIC hat and of an MT8870 beside it: the only gpiozero import.

What the pins do, and in which order they are opened and let go; when they do it is `gpio_slic`'s.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from gpiozero import Device, DigitalOutputDevice, GPIODevice, InputDevice, PWMOutputDevice
from gpiozero.exc import GPIOZeroError

from firmware.fxs.drivers.slic_hats import Level, SlicHat

# The modules ask for more than 10 ms between the last reversal and the end of ringing mode.
RING_END_SECONDS = 0.015
_HALF = 0.5
# MT8870 (Mitel's sheet, table 1): Q4..Q1 of each key, from 1 to C; D is 0.
_MT8870_WIRES = ("StD", "Q1", "Q2", "Q3", "Q4")
_MT8870_KEYS = "D1234567890*#ABC"


@dataclass(frozen=True, slots=True)
class SlicPins:
    """BCM numbers of the hat's wires; `pd` is None when the module's PD is not wired.

    `mt8870`: StD and Q1 to Q4 of a DTMF receiver beside the module, or nothing.
    """

    shk: int
    rm: int
    fr: int
    pd: int | None = None
    mt8870: tuple[int, ...] = ()

    def named(self) -> dict[str, int]:
        """Wire -> BCM number, of the wires that are there."""
        return dict(self.wires())

    def wires(self) -> list[tuple[str, int]]:
        """Wire and BCM number, of the wires that are there."""
        wires = [("SHK", self.shk), ("RM", self.rm), ("F/R", self.fr)]
        if self.pd is not None:
            wires.append(("PD", self.pd))
        return wires + self.receiver()

    def receiver(self) -> list[tuple[str, int]]:
        """The same of the DTMF receiver alone."""
        return list(zip(_MT8870_WIRES, self.mt8870, strict=True)) if self.mt8870 else []

    def refuse_shared(self) -> None:
        """Raises OSError naming two wires that are set to one pin."""
        seen: dict[int, str] = {}
        for wire, number in self.wires():
            if number in seen:
                raise OSError(
                    f"GPIO{number} is set for both {seen[number]} and {wire}: "
                    "give each wire a pin of its own (allobox config set line.gpio...)"
                )
            seen[number] = wire


class SlicHardware:
    """The module's pins, opened in the order that can never ring: RM low before anything else."""

    def __init__(self, pins: SlicPins, habits: SlicHat, pin_factory: object | None) -> None:
        factory = pin_factory if pin_factory is not None else lgpio_factory()
        self._opened: list[Any] = []
        self._pd_mode = habits.pd_mode
        self.std: Any = None
        try:
            with told("RM", pins.rm):
                self.rm = self._keep(DigitalOutputDevice(pins.rm, initial_value=False, pin_factory=factory))
            with told("F/R", pins.fr):
                # Inactive is idle, active is the reversed line; without a frequency it is a plain output.
                self.fr = self._keep(
                    PWMOutputDevice(pins.fr, active_high=habits.fr_idle == "low", frequency=None, pin_factory=factory)
                )
            self.pd = None
            if pins.pd is not None and habits.pd_mode != "none":
                with told("PD", pins.pd):
                    self.pd = self._keep(GPIODevice(pins.pd, pin_factory=factory))
            self.power(on=True)
            with told("SHK", pins.shk):
                # Pulled to "open": a hat that is not there reads as a handset on its hook.
                self.shk = self._keep(InputDevice(pins.shk, pull_up=not habits.shk_active_high, pin_factory=factory))
            self._keys = [self._input(wire, number, factory) for wire, number in pins.receiver()]
            if self._keys:
                self.std = self._keys.pop(0)
        except BaseException:
            self.close()
            raise

    def _keep(self, device: Any) -> Any:
        self._opened.append(device)
        return device

    def _input(self, wire: str, number: int, factory: object) -> Any:
        with told(wire, number):
            # Pulled down: a receiver that is not there hears nothing.
            return self._keep(InputDevice(number, pull_up=False, pin_factory=factory))

    def digit(self) -> str:
        """The key that the MT8870 shows now; it stays until the next one is valid."""
        return _MT8870_KEYS[sum(1 << bit for bit, q in enumerate(self._keys) if q.is_active)]

    def watch(self, shk: Callable[..., None] | None, std: Callable[..., None] | None) -> None:
        """Call these at each edge, with ticks and state; gpiozero holds them weakly."""
        self.shk.pin.when_changed = shk
        if self.std is not None:
            self.std.pin.when_changed = std

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


@functools.cache
def lgpio_factory() -> object:
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
def told(wire: str, number: int) -> Iterator[None]:
    """What gpiozero says of one pin, as OSError with the wire, the pin and what to do."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        key, value = f"line.gpio.{wire.lower().replace('/', '')}", "PIN"
        if wire in _MT8870_WIRES:
            key, value = "line.gpio.mt8870", "STD,Q1,Q2,Q3,Q4"
        raise OSError(
            f"{wire} on GPIO{number}: {error}. Is the pin free (no other line, overlay or program uses it) and is "
            f"{number} right? `allobox config set {key} {value}` changes it"
        ) from error


def ring_off(pins: SlicPins, *, fr_idle: Level = "high", pin_factory: object | None = None) -> None:
    """Take the ringing battery off, whoever left it on: F/R to idle, the wait, RM low. Raises OSError."""
    factory = pin_factory if pin_factory is not None else lgpio_factory()
    with told("F/R", pins.fr):
        fr = DigitalOutputDevice(pins.fr, initial_value=fr_idle == "high", pin_factory=factory)
    time.sleep(RING_END_SECONDS)
    with told("RM", pins.rm):
        rm = DigitalOutputDevice(pins.rm, initial_value=False, pin_factory=factory)
        rm.pin.input_with_pull("down")
        rm.close()
    fr.close()
