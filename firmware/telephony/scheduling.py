"""What telephony needs of the control loop's clock: protocols that asyncio's loop and the tests' virtual time fill."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Cancellable(Protocol):
    """A timer that can be forgotten."""

    def cancel(self) -> None:
        """Forget it. Idempotent."""
        ...


class Scheduler(Protocol):
    """The part of an asyncio loop that calls need; its time is CLOCK_MONOTONIC."""

    def time(self) -> float:
        """Monotonic seconds."""
        ...

    def call_at(self, when: float, callback: Callable[..., object], *args: object) -> Cancellable:
        """Run `callback(*args)` at `when`."""
        ...
