"""How many wrong PINs a line may try, and how long it then waits: against a machine that dials them all. Pure."""

from __future__ import annotations

from dataclasses import dataclass

FREE_TRIES = 3
FIRST_WAIT_SECONDS = 60.0
LONGEST_WAIT_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class PinPatience:
    """Wrong PINs in a row, whichever calls they were for: hanging up in between gains nothing.

    Each `FREE_TRIES` of them the line takes none for a minute, then two, four, up to an hour.
    Times are monotonic seconds.
    """

    in_a_row: int = 0
    until: float = float("-inf")

    def takes(self, now: float) -> bool:
        """Whether a PIN may be tried."""
        return now >= self.until

    def wrong(self, now: float) -> PinPatience:
        """After one more wrong PIN."""
        count = self.in_a_row + 1
        if count % FREE_TRIES:
            return PinPatience(count, self.until)
        # No power of a number that a machine may drive up for ever.
        doubled = min(count // FREE_TRIES - 1, 10)
        return PinPatience(count, now + min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2**doubled))
