"""The telephone's contacts: the hook switch and the rotary dial, which make and break and bounce.

Each edge is emitted when it happens and stamped with the moment it should have happened: springs do
not wait for a scheduler. What a dial does is computed apart from the clock (`Dial.turned`), so that the
same telephone turns in real and in virtual time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

FLASH_MS = 270.0  # what French R keys send
INTERDIGIT_MS = 700.0
# A hand takes this long to put a handset down and take it up again. It is longer than the longest break that
# any exchange takes for a flash (1 s in the United States, 600 ms in Europe), so that hanging up is hanging up.
ON_HOOK_SECONDS = 1.1
# The finger wheel must be wound up before it can run back: no pulse comes sooner after lifting.
WIND_UP_SECONDS = 0.15
_MOST_BOUNCES = 4
DIAL_RANGES = {
    "pps": (5.0, 25.0),
    "break_share": (0.2, 0.85),
    "bounce_ms": (0.0, 10.0),
    "jitter": (0.0, 0.3),
    "pause_ms": (200.0, 10_000.0),
}
"""What a `Dial` may be."""

Edge = tuple[bool, float]
"""The contact closed (True) or opened, and when, in seconds."""


class HungUpError(Exception):
    """The handset went down while something was being done with it."""


@dataclass(frozen=True, slots=True)
class Dial:
    """A rotary dial, new (as it stands) or worn. ValueError for one that no telephone has.

    `pps`: pulses a second. `break_share` of each pulse the loop is open: 2/3 in France, 66 ms of 100. A
    dial's contact bounces for up to `bounce_ms` at each break and make; None: as much as the
    telephone's hook switch, but no more than a new dial's stiff springs (a quarter of the shorter
    phase). `jitter`: each pulse takes up to that share longer or shorter than it should. `pause_ms`
    from a digit's last make to the next one's first break.
    """

    pps: float = 10.0
    break_share: float = 2 / 3
    bounce_ms: float | None = None
    jitter: float = 0.0
    pause_ms: float = INTERDIGIT_MS

    def __post_init__(self) -> None:
        for name, (low, high) in DIAL_RANGES.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                msg = f"a dial's {name} is {low:g} to {high:g}, not {value:g}"
                raise ValueError(msg)
        if self.bounce_ms is not None and self.bounce_ms / 1000 >= self._shortest:
            msg = f"bounce of {self.bounce_ms:g} ms leaves nothing of a contact of {self._shortest * 1000:.1f} ms"
            raise ValueError(msg)

    @property
    def _shortest(self) -> float:
        """The shorter of break and make, in seconds."""
        return min(self.break_share, 1 - self.break_share) * (1 - self.jitter) / self.pps

    def bounce(self, hook_bounce: float) -> float:
        """Longest chatter of the dial's contact on a telephone whose hook switch chatters so long; in seconds."""
        return min(hook_bounce, self._shortest / 4) if self.bounce_ms is None else self.bounce_ms / 1000

    def strokes(self, digits: str, start: float, random: Random) -> Iterator[Edge]:
        """Every break and make of `digits` (0 is ten pulses) without chatter, the first break at `start`."""
        for digit in digits:
            for _ in range(int(digit) or 10):
                period = random.uniform(1 - self.jitter, 1 + self.jitter) / self.pps
                yield False, start
                closes = start + period * self.break_share
                yield True, closes
                start += period
            start = closes + self.pause_ms / 1000

    def turned(self, digits: str, start: float, random: Random, hook_bounce: float = 0.0) -> Iterator[Edge]:
        """Every edge of `digits`, chatter included."""
        bounce = self.bounce(hook_bounce)
        for closed, at in self.strokes(digits, start, random):
            yield from bounced(at, bounce, random, closed=closed)


def bounced(at: float, bounce: float, random: Random, *, closed: bool) -> Iterator[Edge]:
    """A contact makes (`closed`) or breaks at `at`, and chatters for at most `bounce` seconds after it."""
    yield closed, at
    if bounce > 0:
        edges = sorted(random.uniform(0, bounce) for _ in range(2 * random.randint(0, _MOST_BOUNCES // 2)))
        for edge in edges:
            closed = not closed
            yield closed, at + edge


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
            self._next_digit = max(self._next_digit, self.settled_at + WIND_UP_SECONDS)
            return True

    def hang_up(self) -> bool:
        """On-hook; False if it was already. Ends a flash or a digit under way."""
        self._drop.set()
        with self._hand:
            if not self.off_hook:
                return False
            self._hung_up_at = time.monotonic()  # first: who sees it down (`stay_down`) must know since when
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

    def pulses(self, digits: str, dial: Dial) -> float:
        """Turn the dial; returns the last make's time. Raises HungUpError."""
        with self._hand:
            self._holding()
            bounce = dial.bounce(self._bounce)
            last = start = max(time.monotonic(), self._next_digit)
            for closed, at in dial.strokes(digits, start, self._random):
                for level, moment in bounced(at, bounce, self._random, closed=closed):
                    self._rest(moment)
                    self._put(moment, closed=level)
                last = at
            self._next_digit = last + dial.pause_ms / 1000
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
        for level, moment in bounced(at, bounce, self._random, closed=closed):
            time.sleep(max(0.0, moment - time.monotonic()))
            self._put(moment, closed=level)
        return self.changed_at

    def _put(self, at: float, *, closed: bool) -> None:
        self.closed = closed
        self.changed_at = max(self.changed_at, at)
        self._emit(closed, self.changed_at)
