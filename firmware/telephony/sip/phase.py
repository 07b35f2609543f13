"""Where a stream's packets lie beside the bridge's ticks: pure. A stream is read at every second tick.

The library's jitter buffer, empty when it is read, cannot tell a lost packet from a late one. If packets always come
between two readings that does no harm: the gap is concealed, the next packet is in time. If they come now just
before, now just after the reading, every loss moves the voice by a packet. The line's clock is nobody's to shift, but
the reading is: by one tick, which puts the packets in the middle between two readings (`MasterPort.skip`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

LOOK_SECONDS: Final = 0.003
LOOKS: Final = 160
_TICK_MS: Final = 10.0
_ROUND_MS: Final = 2 * _TICK_MS
_NEAR_MS: Final = 4.0
"""A look every 3 ms, and the network's own jitter: nearer than that packets may come on either side."""
_ENOUGH: Final = 16
_SEEN: Final = 4
_MUCH: Final = 0.4


@dataclass(slots=True)
class Phase:
    """Fed with looks at the buffer: `ticks` of the bridge, ms since the last of them, frames of 10 ms held."""

    looks: int = 0
    came: list[tuple[int, float]] = field(default_factory=list)
    """Packets between two ticks: of the first of them whether it is odd, and the ms since."""
    stepped: list[tuple[int, int]] = field(default_factory=list)
    """Ticks between two looks: whether it is odd, and what the buffer held more after it."""
    _ticks: int = -1
    _held: int = 0
    _since_ms: float = 0.0

    @property
    def done(self) -> bool:
        """Whether there is nothing more to learn."""
        return self.looks >= LOOKS

    def look(self, ticks: int, since_ms: float, held: int) -> None:
        """One look. Those that missed a tick tell nothing."""
        self.looks += 1
        steps, more = ticks - self._ticks, held - self._held
        if self._ticks >= 0 and steps == 0 and more > 0:
            self.came.append((ticks % 2, (self._since_ms + since_ms) / 2))
        elif self._ticks >= 0 and steps == 1:
            self.stepped.append((ticks % 2, more))
        self._ticks, self._held, self._since_ms = ticks, held, since_ms

    def offsets(self) -> list[float]:
        """How long after a reading each packet came, in ms."""
        readings = [sum(more < 0 and odd == parity for odd, more in self.stepped) for parity in (0, 1)]
        reads = int(readings[1] > readings[0])
        found = [((odd != reads) * _TICK_MS + since) % _ROUND_MS for odd, since in self.came]
        for odd, more in self.stepped:
            # A reading that leaves as much as there was: a packet came beside it (or, seldom, was lost).
            if more > 0 or (more == 0 and odd == reads):
                found.append(0.0 if odd == reads else _TICK_MS)  # beside the tick, which took as much as came
        return found

    @property
    def awkward(self) -> bool:
        """Whether packets come beside the reading, and would not if that were a tick later."""
        offsets = self.offsets()
        if len(offsets) < _ENOUGH or len(self.came) + sum(more != 0 for _, more in self.stepped) < _SEEN:
            return False
        here = sum(_distance(offset) < _NEAR_MS for offset in offsets)
        there = sum(_distance(offset - _TICK_MS) < _NEAR_MS for offset in offsets)
        return here > _MUCH * len(offsets) and there * 2 < here


def _distance(offset: float) -> float:
    """To the nearest reading, in ms."""
    inside = offset % _ROUND_MS
    return min(inside, _ROUND_MS - inside)
