"""A contact's raw edges to a level that holds: debounce on the edges' own timestamps. Pure."""

from __future__ import annotations

_EPSILON = 1e-6


class Contact:
    """`level` changes once another has lasted; `raw` is what the last edge said, since `raw_since`.

    Times are monotonic seconds and never go back: the caller sees to that.
    """

    __slots__ = ("_first", "level", "raw", "raw_since")

    def __init__(self) -> None:
        self.level = False
        self.raw = False
        self.raw_since = 0.0
        self._first: float | None = None

    def edge(self, closed: bool, at: float) -> None:  # noqa: FBT001 - the level is the value
        """The contact made or broke at `at`; a level that it has already changes nothing."""
        if closed == self.raw:
            return
        self.raw, self.raw_since = closed, at
        if closed != self.level and self._first is None:
            self._first = at

    def due(self, stable: float) -> float | None:
        """When the raw level will have lasted `stable` seconds; None when nothing is under way."""
        return None if self._first is None else self.raw_since + stable

    def settle(self, at: float, stable: float) -> float | None:
        """The first edge of a change that is certain by `at`, or None."""
        if self._first is None or at + _EPSILON < self.raw_since + stable:
            return None
        first, self._first = self._first, None
        if self.raw == self.level:
            return None  # it bounced and fell back
        self.level = self.raw
        return first
