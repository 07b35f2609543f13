"""The FXS port: what every line driver offers, and the events it delivers.

Signalling only (loop, ring, polarity, power). Voice is `firmware.fxs.pcm`. Decoding of hook
flash and pulses is pure and lives in `firmware.fxs.hook`; cadence in `firmware.fxs.ringer`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol


@dataclass(frozen=True, slots=True)
class LoopEdge:
    """The loop closed (contact made: off-hook) or opened, as the contact did it: bounce included.

    `at` is in seconds of CLOCK_MONOTONIC, taken where the edge happened (kernel or hat), not
    where it was read.
    """

    closed: bool
    at: float


@dataclass(frozen=True, slots=True)
class DigitEvent:
    """A DTMF digit that the hat's own receiver heard (`Capability.DIGITS`); `at` as in LoopEdge."""

    digit: str
    at: float


@dataclass(frozen=True, slots=True)
class LineFault:
    """The port lost its hardware or its far end. `detail` is for a person."""

    detail: str
    at: float


@dataclass(frozen=True, slots=True)
class LineRestored:
    """The port has its hardware again; `closed` is the loop as read at that moment."""

    closed: bool
    at: float


PortEvent = LoopEdge | DigitEvent | LineFault | LineRestored


class Capability(Enum):
    """What a port can do beyond hook and ring."""

    POLARITY_REVERSAL = "polarity-reversal"
    POWER_DENIAL = "power-denial"
    ON_HOOK_AUDIO = "on-hook-audio"
    DIGITS = "digits"
    """It hears DTMF itself: its digits count, those of the software detector do not."""


class FxsPort(Protocol):
    """One analog line's signalling.

    `start` hands over `deliver`, which the driver may call from any thread of its own; the
    receiver only queues. Every other method is called from the control loop, returns at once,
    and is safe to repeat. `stop` leaves the line without ring voltage, whatever happened before.
    """

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What this hat can do."""
        ...

    def start(self, deliver: Callable[[PortEvent], None]) -> None:
        """Begin to deliver events. Raises OSError with a person's words if the hardware is not there."""
        ...

    def stop(self) -> None:
        """Ring off, then let go of the hardware. Idempotent."""
        ...

    def loop_closed(self) -> bool:
        """The loop's level, read now: repairs a lost edge."""
        ...

    def start_ring(self, frequency_hz: float) -> None:
        """Put ring voltage of `frequency_hz` on the line until `stop_ring`."""
        ...

    def stop_ring(self) -> None:
        """Take the ring voltage off, in the hat's safe order."""
        ...

    def set_polarity(self, *, reverse: bool) -> None:
        """Normal or reversed battery; ignored without `Capability.POLARITY_REVERSAL`."""
        ...

    def set_power(self, *, on: bool) -> None:
        """Feed the line or deny it current; ignored without `Capability.POWER_DENIAL`."""
        ...
