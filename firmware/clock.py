"""Time, handed in rather than reached for.

Durations and bills use the monotonic clock; wall time only stamps. Nothing here sleeps.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Where a component reads the time."""

    def monotonic(self) -> float:
        """Seconds of CLOCK_MONOTONIC: never jumps, shared by all processes of the machine."""
        ...

    def wall(self) -> datetime:
        """The present instant, timezone-aware, in UTC."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def monotonic(self) -> float:
        """Seconds of CLOCK_MONOTONIC."""
        return time.monotonic()

    def wall(self) -> datetime:
        """The present instant in UTC."""
        return datetime.now(UTC)


@dataclass
class ManualClock:
    """A clock that moves only when told: for tests and simulations in virtual time."""

    seconds: float = 0.0
    start: datetime = field(default_factory=lambda: datetime(2026, 1, 1, tzinfo=UTC))

    def monotonic(self) -> float:
        """Seconds since the clock was made."""
        return self.seconds

    def wall(self) -> datetime:
        """`start` plus what was advanced."""
        return self.start + timedelta(seconds=self.seconds)

    def advance(self, seconds: float) -> None:
        """Move time forward by `seconds` (never back)."""
        if seconds < 0:
            msg = f"a monotonic clock cannot go back ({seconds} s)"
            raise ValueError(msg)
        self.seconds += seconds
