"""One rotary digit: counts its breaks, and says what a lost edge left unsaid. Pure.

A dial turns at one speed, give or take a worn governor: from one pulse of a digit to the next
takes about as long each time. So an interval of twice its neighbours' has lost a pulse, which is
counted; where the neighbours cannot tell (two pulses, and no dial is that slow) the speed of the
digits before does. What cannot be known is no digit: a wrong number would be worse than none.
A pulse lost whole at the beginning or the end of a digit leaves no trace.
"""

from __future__ import annotations

from collections.abc import Sequence

MAX_PULSES = 10
SLOWEST_SECONDS = 0.17
"""Longer than a pulse of any dial: 7 a second, and a fifth more."""
_TWICE = 1.7
"""From so many times the usual interval on a pulse is missing; the most uneven dial stays below 1.4."""
_MOST_KEPT = 4 * MAX_PULSES


class PulseTrain:
    """The pulses of the digit under way; remembers the dial's speed from digit to digit. `copy.copy` is a twin."""

    __slots__ = ("_doubtful", "_guessed", "_opened", "_period", "_rough")

    def __init__(self) -> None:
        self._opened: tuple[float, ...] = ()
        self._guessed = 0
        self._doubtful = False
        self._rough = False
        self._period: float | None = None

    @property
    def begun(self) -> bool:
        """Whether a pulse was counted since the last digit."""
        return bool(self._opened)

    @property
    def last(self) -> float:
        """When the last counted break began; 0 for none."""
        return self._opened[-1] if self._opened else 0.0

    def add(self, opened: float, *, guessed: bool = False) -> None:
        """A pulse whose break began at `opened`; `guessed`: only its end was seen."""
        if len(self._opened) < _MOST_KEPT:
            self._opened = (*self._opened, opened)
        self._guessed += guessed

    def doubt(self) -> None:
        """Something went by unseen: nobody knows how many pulses it was."""
        self._doubtful = True

    def roughly(self) -> None:
        """The time of a break is a guess: no interval beside it tells of another one."""
        self._rough = True

    def clear(self) -> None:
        """No digit after all."""
        self._opened = ()
        self._guessed = 0
        self._doubtful = self._rough = False

    def end(self) -> str | None:
        """The digit (ten pulses are `0`), or None where it cannot be known; the next one begins."""
        pulses = None if self._doubtful or self._guessed == len(self._opened) else self._count()
        self.clear()
        return str(pulses % MAX_PULSES) if pulses is not None and pulses <= MAX_PULSES else None

    def _count(self) -> int | None:
        """The pulses that there were, lost ones among them."""
        intervals = [later - earlier for earlier, later in zip(self._opened, self._opened[1:], strict=False)]
        usual = self._usual(intervals)
        if usual is None:
            return None
        missing = sum(max(1, round(gap / usual)) - 1 for gap in intervals if gap >= _TWICE * usual)
        return None if missing and self._rough else 1 + len(intervals) + missing

    def _usual(self, intervals: Sequence[float]) -> float | None:
        """The dial's interval; None where it is unknown and needed."""
        if len(intervals) > 1:
            usual = sorted(intervals)[(len(intervals) - 1) // 2]
            if usual < SLOWEST_SECONDS:
                self._period = usual
                return usual
        elif not intervals or intervals[0] < SLOWEST_SECONDS:
            # Another telephone of the line may dial faster: only an impossible interval asks for the speed before.
            return SLOWEST_SECONDS
        return self._period
