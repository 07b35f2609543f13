"""The line's samples: the frame format and the protocol that every PCM device offers.

8 kHz (a wide line has 16), 16 bit signed little-endian mono, 10 ms frames. `alsa_card.py` is the only
alsaaudio import; `simulated.py` is the far telephone's wire.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

SAMPLE_RATE_HZ = 8000
FRAME_MS = 10
FRAME_SAMPLES = SAMPLE_RATE_HZ * FRAME_MS // 1000
FRAME_BYTES = FRAME_SAMPLES * 2
SILENCE = bytes(FRAME_BYTES)
WIDE_RATE_HZ = 16_000
WIDE_FRAME_BYTES = 2 * FRAME_BYTES


def frame_bytes(rate_hz: int) -> int:
    """The bytes of a frame at that rate."""
    return 2 * rate_hz * FRAME_MS // 1000


@dataclass(slots=True)
class PcmStats:
    """Counters since `start`; plain integers, written by the voice thread only.

    `silent`: frames that a timer made because the device was away.
    """

    frames_read: int = 0
    frames_written: int = 0
    xruns: int = 0
    reopened: int = 0
    silent: int = 0


class LinePcm(Protocol):
    """A line's sound device, full duplex; a wide line's frames have WIDE_FRAME_BYTES. All of it is called from the
    voice thread, but `start` and `stop`, which may come from the control loop while that is in `read`.
    """

    stats: PcmStats

    @property
    def delay_frames(self) -> int:
        """How many frames later than written the telephone hears them: the echo canceller's alignment."""
        ...

    @property
    def fault(self) -> str | None:
        """What is wrong with the device now, in a person's words, or None."""
        ...

    def start(self) -> None:
        """Make frames flow. Raises OSError with a person's words if the device is not there."""
        ...

    def stop(self) -> None:
        """Frames stop; a `read` under way returns None soon. Idempotent; `start` may follow."""
        ...

    def read(self, timeout: float) -> bytes | None:
        """Wait for the next frame from the telephone: FRAME_BYTES bytes. This is the line's clock.

        None when no frame came within `timeout` seconds, or the device is stopped or gone.
        """
        ...

    def write(self, frame: bytes) -> None:
        """Hand one frame (FRAME_BYTES) to the telephone; never blocks longer than a frame."""
        ...
