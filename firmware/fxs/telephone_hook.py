"""The telephone's contacts: the hook switch and the rotary dial, which make and break and bounce.

Each edge is emitted when it happens and stamped with the moment it should have happened: springs do
not wait for a scheduler.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from random import Random

FLASH_MS = 270.0  # what French R keys send
INTERDIGIT_MS = 700.0
# A hand takes this long to put a handset down and take it up again. It is longer than the longest break that
# any exchange takes for a flash (1 s in the United States, 600 ms in Europe), so that hanging up is hanging up.
ON_HOOK_SECONDS = 1.1
_MOST_BOUNCES = 4


class HungUpError(Exception):
    """The handset went down while something was being done with it."""


class Contacts:
    """`emit(closed, at)` is called at each make and break, in order; one hand at a time moves them."""

    def __init__(self, emit: Callable[[bool, float], None], bounce_ms: float, random: Random) -> None:
        self._emit = emit
        self._bounce = bounce_ms / 1000
        self._random = random
        self._hand = threading.Lock()
        self._drop = threading.Event()
        self._next_digit = 0.0
        self._hung_up_at = float("-inf")
        self.off_hook = False
        self.closed = False
        self.changed_at = time.monotonic()
        self.settled_at: float | None = None

    def lift(self) -> bool:
        """Off-hook; False if it was already. Returns when the contact has stopped bouncing."""
        with self._hand:
            if self.off_hook:
                return False
            self._drop.clear()
            self.off_hook = True
            self.settled_at = self._move(time.monotonic(), self._bounce, closed=True)
            return True

    def hang_up(self) -> bool:
        """On-hook; False if it was already. Ends a flash or a digit under way."""
        self._drop.set()
        with self._hand:
            if not self.off_hook:
                return False
            self.off_hook = False
            self._hung_up_at = self._move(time.monotonic(), self._bounce, closed=False)
            return True

    def stay_down(self) -> None:
        """Return once the handset has been down for ON_HOOK_SECONDS; at once if it was not hung up lately, or is up."""
        while not self.off_hook and (left := self._hung_up_at + ON_HOOK_SECONDS - time.monotonic()) > 0:
            time.sleep(left)

    def flash(self, ms: float) -> None:
        """Break the loop for `ms`. Raises HungUpError."""
        with self._hand:
            self._holding()
            start = time.monotonic()
            self._move(start, min(self._bounce, ms / 4000), closed=False)
            self._rest(start + ms / 1000)
            self._move(start + ms / 1000, self._bounce, closed=True)

    def pulses(self, digits: str, pps: float, break_share: float, interdigit_ms: float) -> float:
        """Dial by breaks, 0 being ten; returns the last make's time. Raises HungUpError.

        `break_share` of each pulse is break (2/3 in France: 66/33 ms at 10 pps).
        """
        with self._hand:
            self._holding()
            period = 1 / pps
            # Spring sets of a dial are stiffer than a hook switch, and their make must be told from bounce.
            bounce = min(self._bounce, period * min(break_share, 1 - break_share) / 4)
            start = max(time.monotonic(), self._next_digit)
            last = start
            for digit in digits:
                for pulse in range(int(digit) or 10):
                    opened = start + pulse * period
                    self._rest(opened)
                    self._move(opened, bounce, closed=False)
                    last = opened + period * break_share
                    self._rest(last)
                    self._move(last, bounce, closed=True)
                start = last + interdigit_ms / 1000
            self._next_digit = start
            return last

    def _holding(self) -> None:
        if not self.off_hook:
            raise HungUpError("the handset is on-hook: lift it first")

    def _rest(self, until: float) -> None:
        """Sleep until the moment, or fall when the handset does."""
        if self._drop.wait(max(0.0, until - time.monotonic())):
            raise HungUpError("the handset was hung up meanwhile")

    def _move(self, at: float, bounce: float, *, closed: bool) -> float:
        """Make or break at `at`, then bounce for at most `bounce` seconds; returns when it has settled."""
        edges = sorted(self._random.uniform(0, bounce) for _ in range(2 * self._random.randint(0, _MOST_BOUNCES // 2)))
        for edge in [0.0, *(edges if bounce > 0 else ())]:
            moment = at + edge
            time.sleep(max(0.0, moment - time.monotonic()))
            self.closed = closed if edge == 0.0 else not self.closed
            self.changed_at = max(self.changed_at, moment)
            self._emit(self.closed, self.changed_at)
        return self.changed_at
