"""The simulated two-wire line: what crosses it between the box and the far telephone.

Two Unix sockets a line, as a real box has two devices: `lineN.signal` (contacts, ring voltage,
battery; the stand-in for GPIO) and `lineN.pcm` (samples; the stand-in for the sound card). Both
are SOCK_SEQPACKET, so that one message is one packet; the box listens, the telephone connects
and reconnects for ever. Nothing else crosses: the telephone knows only samples, ring voltage and
battery, the box only contacts and samples.

Signal, telephone to box: `Loop` (closed, at: monotonic seconds of the machine), sent at each
contact make or break, bounce included, and once on connecting. Box to telephone: `Ring`
(millihertz, 0 = off), `Battery` (NORMAL, REVERSED, OFF), `Audio` (1: the voice path is powered,
send and expect frames; 2: they are of 16 kHz; 0: it sleeps).

PCM, both ways: frames of FRAME_BYTES (WIDE_FRAME_BYTES) behind a 32-bit counter. The telephone's own clock paces
them: it sends one each 10 ms while the voice path is powered and plays one each 10 ms; a frame
that is not there in time is a slip, which it counts.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from firmware.fxs.pcm import FRAME_BYTES

_LOOP = struct.Struct("!cBd")
_RING = struct.Struct("!cI")
_BYTE = struct.Struct("!cB")
_PCM_HEADER = struct.Struct("!I")
MAX_PACKET = 512
LEAST_PACKET = FRAME_BYTES
"""A packet of samples is longer; anything else is the end of the connection, or no frame."""
_WIDE = 2


class Battery(IntEnum):
    """The feed on the two wires."""

    NORMAL = 0
    REVERSED = 1
    OFF = 2


@dataclass(frozen=True, slots=True)
class Loop:
    """The telephone's contact, telephone to box."""

    closed: bool
    at: float


@dataclass(frozen=True, slots=True)
class Ring:
    """Ring voltage, box to telephone; 0 Hz is none."""

    frequency_hz: float


@dataclass(frozen=True, slots=True)
class Feed:
    """The battery, box to telephone."""

    battery: Battery


@dataclass(frozen=True, slots=True)
class Audio:
    """Whether the voice path is powered, box to telephone."""

    powered: bool
    wide: bool = False


Signal = Loop | Ring | Feed | Audio


def signal_path(data: Path, line: int) -> Path:
    """Where the box listens for the contacts of `line` (1, 2 ...)."""
    return data / "run" / f"line{line}.signal"


def pcm_path(data: Path, line: int) -> Path:
    """Where the box listens for the samples of `line`."""
    return data / "run" / f"line{line}.pcm"


def encode_signal(signal: Signal) -> bytes:
    """One packet of the signal socket."""
    match signal:
        case Loop(closed, at):
            return _LOOP.pack(b"L", closed, at)
        case Ring(frequency_hz):
            return _RING.pack(b"R", round(frequency_hz * 1000))
        case Feed(battery):
            return _BYTE.pack(b"B", battery)
        case Audio(powered, wide):
            return _BYTE.pack(b"A", _WIDE if powered and wide else powered)


def decode_signal(packet: bytes) -> Signal:
    """The signal in `packet`. Raises ValueError if it is none."""
    try:
        match packet[:1]:
            case b"L":
                _, closed, at = _LOOP.unpack(packet)
                return Loop(bool(closed), at)
            case b"R":
                return Ring(_RING.unpack(packet)[1] / 1000)
            case b"B":
                return Feed(Battery(_BYTE.unpack(packet)[1]))
            case b"A":
                state = _BYTE.unpack(packet)[1]
                return Audio(bool(state), state == _WIDE)
    except struct.error as error:
        msg = f"line wire: a signal packet of {len(packet)} bytes is malformed: {error}"
        raise ValueError(msg) from error
    msg = f"line wire: unknown signal packet {packet[:8]!r}"
    raise ValueError(msg)


def encode_pcm(counter: int, frame: bytes) -> bytes:
    """One packet of the PCM socket: `counter` counts the sender's frames, modulo 2**32."""
    return _PCM_HEADER.pack(counter & 0xFFFFFFFF) + frame


def decode_pcm(packet: bytes) -> tuple[int, bytes]:
    """Counter and frame."""
    return _PCM_HEADER.unpack_from(packet)[0], packet[_PCM_HEADER.size :]


def listen(path: Path) -> socket.socket:
    """A listening wire end at `path` (made afresh, mode 0600)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    end = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    end.bind(str(path))
    path.chmod(0o600)
    end.listen(1)
    return end


def connect(path: Path) -> socket.socket:
    """The telephone's end. Raises OSError when no box listens at `path`."""
    end = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    try:
        end.connect(str(path))
    except OSError:
        end.close()
        raise
    return end
