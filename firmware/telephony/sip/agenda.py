"""What the SIP thread has to do later: pure, time handed in."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable


class Agenda:
    """Things due at monotonic seconds, each under a key; a later entry with the same key replaces it."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, str]] = []
        self._entries: dict[str, tuple[int, Callable[[], None]]] = {}
        self._serial = itertools.count()

    def at(self, due: float, key: str, action: Callable[[], None]) -> None:
        """Do `action` at `due`."""
        serial = next(self._serial)
        self._entries[key] = (serial, action)
        heapq.heappush(self._heap, (due, serial, key))

    def cancel(self, key: str) -> None:
        """Forget it."""
        self._entries.pop(key, None)

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def due(self, now: float) -> list[Callable[[], None]]:
        """The actions whose time has come, taken off, in order."""
        ready: list[Callable[[], None]] = []
        while self._heap and self._heap[0][0] <= now:
            _, serial, key = heapq.heappop(self._heap)
            entry = self._entries.get(key)
            if entry is not None and entry[0] == serial:
                del self._entries[key]
                ready.append(entry[1])
        return ready

    def wait(self, now: float, longest: float) -> float:
        """Seconds until the next entry, at most `longest`."""
        while self._heap and self._entries.get(self._heap[0][2], (-1,))[0] != self._heap[0][1]:
            heapq.heappop(self._heap)
        return min(longest, max(0.0, self._heap[0][0] - now)) if self._heap else longest
