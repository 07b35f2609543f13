"""What a hat's session is told and what it orders: frozen values, and its patience. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from firmware.fxs.drivers.serial_protocol import Message
from firmware.fxs.port import PortEvent


@dataclass(frozen=True, slots=True)
class Timing:
    """How patient a session is; seconds, and edges a second."""

    ping_seconds: float = 0.25
    state_seconds: float = 1.0
    silence_seconds: float = 1.0
    order_seconds: float = 0.2
    hello_seconds: float = 0.2
    greeting_seconds: float = 1.5
    refused_seconds: float = 1.0
    retry_seconds: float = 0.1
    longest_retry_seconds: float = 0.5
    grace_seconds: float = 0.5
    edges_per_second: float = 500.0


@dataclass(frozen=True, slots=True)
class Wish:
    """What the box wants of a line. `ring_hz` 0: no ring voltage."""

    ring_hz: float = 0.0
    reverse: bool = False
    power: bool = True


# --- events ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Opened:
    """The device is open."""


@dataclass(frozen=True, slots=True)
class Gone:
    """The device could not be opened, or failed; `detail` is for a person."""

    detail: str


@dataclass(frozen=True, slots=True)
class Heard:
    """A message of the hat."""

    message: Message


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the box wants of a line now; None lets go of the line."""

    line: int
    wish: Wish | None


@dataclass(frozen=True, slots=True)
class Ticked:
    """Time has passed: `next_deadline` has come."""


SessionEvent = Opened | Gone | Heard | Wanted | Ticked


# --- commands -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OpenDevice:
    """Open the device; answer with Opened or Gone."""


@dataclass(frozen=True, slots=True)
class CloseDevice:
    """Close the device; no answer."""


@dataclass(frozen=True, slots=True)
class Send:
    """Write a line to the device."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Tell:
    """Deliver an event of a line."""

    line: int
    event: PortEvent


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence for the log."""

    text: str


SessionCommand = OpenDevice | CloseDevice | Send | Tell | Note


class Phase(Enum):
    """The session's states."""

    ABSENT = "absent"
    GREETING = "greeting"
    UP = "up"
    REFUSED = "refused"
