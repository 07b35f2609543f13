"""How long to wait before the next registration attempt: pure.

5 s doubling to 60 s with jitter, against the stack's own 300 s: the telephone is back soon after
the network is, and a provider's restart is not met by all its customers in the same second.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

FIRST_SECONDS = 5.0
LONGEST_SECONDS = 60.0
JITTER = 0.2


@dataclass(slots=True)
class BackOff:
    """One account's back-off. `uniform` gives a number in [0, 1)."""

    uniform: Callable[[], float]
    failures: int = 0

    def failed(self) -> float:
        """Count a failure; the seconds to wait now, within 20 % of 5, 10, 20, 40, 60, 60 ..."""
        base = min(FIRST_SECONDS * 2.0 ** min(self.failures, 8), LONGEST_SECONDS)
        self.failures += 1
        return base * (1.0 - JITTER + 2.0 * JITTER * self.uniform())

    def succeeded(self) -> None:
        """Start afresh."""
        self.failures = 0
