"""A telephone's contact as physics makes it: lifts, hang-ups, flashes and dials that bounce."""

from __future__ import annotations

import random
from collections.abc import Sequence

Edge = tuple[bool, float]


class BouncingContact:
    """Writes a time line of edges. Times in milliseconds from 0; `edges` gives seconds.

    `bounce_ms` is the longest chatter of the cradle, `dial_bounce_ms` that of the dial's contact.
    """

    def __init__(self, seed: int = 0, *, bounce_ms: float = 30, dial_bounce_ms: float = 3) -> None:
        self._random = random.Random(seed)  # noqa: S311 - chatter, not secrets
        self._bounce_ms = bounce_ms
        self._dial_bounce_ms = dial_bounce_ms
        self.now_ms = 100.0
        self.closed = False
        self.edges: list[Edge] = []

    def _set(self, closed: bool, at_ms: float) -> None:  # noqa: FBT001
        if closed != self.closed:
            self.closed = closed
            self.edges.append((closed, at_ms / 1000))

    def _move(self, closed: bool, longest_ms: float, step_ms: tuple[float, float]) -> None:  # noqa: FBT001
        """Make or break at `now_ms`, chattering for at most `longest_ms` after it."""
        at = self.now_ms
        end = at + self._random.uniform(0, longest_ms)
        self._set(closed, at)
        while True:
            there, back = (self._random.uniform(*step_ms) for _ in range(2))
            if at + there + back > end:
                break
            self._set(not closed, at + there)
            self._set(closed, at + there + back)
            at += there + back

    def wait(self, ms: float) -> None:
        self.now_ms += ms

    def lift(self) -> None:
        self._move(closed=True, longest_ms=self._bounce_ms, step_ms=(0.3, 8))

    def hang_up(self) -> None:
        self._move(closed=False, longest_ms=self._bounce_ms, step_ms=(0.3, 8))

    def flash(self, ms: float) -> None:
        """A key's clean contact, a little chatter at either end."""
        self._move(closed=False, longest_ms=self._dial_bounce_ms, step_ms=(0.2, 1.5))
        self.wait(ms)
        self._move(closed=True, longest_ms=self._dial_bounce_ms, step_ms=(0.2, 1.5))

    def dial(self, digit: str, *, pps: float = 10, break_share: float = 0.66, jitter: float = 0.0) -> None:
        """One turn of the dial."""
        for _ in range(int(digit) or 10):
            period = 1000 / pps * self._random.uniform(1 - jitter, 1 + jitter)
            self._move(closed=False, longest_ms=self._dial_bounce_ms, step_ms=(0.2, 1.5))
            self.wait(period * break_share)
            self._move(closed=True, longest_ms=self._dial_bounce_ms, step_ms=(0.2, 1.5))
            self.wait(period * (1 - break_share))

    def dial_all(self, digits: str, *, between_ms: float = 500, pps: float = 10, break_share: float = 0.66) -> None:
        for digit in digits:
            self.dial(digit, pps=pps, break_share=break_share)
            self.wait(between_ms)


def kinds(events: Sequence[object]) -> list[str]:
    """Class names, with the digit of a pulse digit."""
    return [type(event).__name__ + getattr(event, "digit", "") for event in events]
