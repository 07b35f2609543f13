"""What a call was like, as its record keeps it: the network's part, the line's part, and a judgement. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from firmware.telephony import quality
from firmware.telephony.quality_meter import NetworkQuality, StreamReading

_MOST: Final = 2**31 - 1
_SILENT_PACKETS: Final = 100  # sent, and none came: nothing was heard
_ALL: Final = 100.0


@dataclass(frozen=True, slots=True)
class LineCounters:
    """A line's counters at a moment, since the core began. `ppm` as last known (`bridgeclock.LineEnd`), None: never."""

    ppm: float | None = None
    gaps: int = 0
    drops: int = 0
    xruns: int = 0

    def since(self, before: LineCounters) -> LineCounters:
        """What was counted from `before` to now; a counter that began anew in between counts from 0."""
        return LineCounters(
            self.ppm, _more(self.gaps, before.gaps), _more(self.drops, before.drops), _more(self.xruns, before.xruns)
        )


@dataclass(frozen=True, slots=True)
class CallQuality:
    """An answered call's measure."""

    network: NetworkQuality
    line: LineCounters = LineCounters()
    fax: bool = False

    @property
    def r_factor(self) -> float | None:
        """The E-model's R of the worse of the two directions; None for a codec that G.113 does not know."""
        total = self.network.total
        codec = quality.impairment(total.codec)
        if codec is None:
            return None
        return quality.r_factor(codec, total.one_way_ms, max(_unheard(total), total.loss_there_percent))

    def figures(self) -> dict[str, object]:
        """The `quality` object of `allobox calls --json`: under 1 kB of plain numbers (docs/cli.md)."""
        total, line, r = self.network.total, self.line, self.r_factor
        return {
            "word": None if r is None else quality.word(r),
            "mos": None if r is None else round(quality.mos(r), 2),
            "r_factor": None if r is None else round(r, 1),
            "codec": total.codec[:32],
            "packet_ms": _tenths(total.packet_ms),
            "sent": _whole(total.sent),
            "received": _whole(total.received),
            "lost_received": _whole(total.lost_here),
            "lost_sent": _whole(total.lost_there),
            "lost_received_percent": round(_unheard(total), 2),
            "lost_sent_percent": round(total.loss_there_percent, 2),
            "discarded": _whole(total.discarded),
            "concealed": _whole(total.concealed),
            "jitter_ms": _tenths(total.jitter_ms),
            "jitter_max_ms": _tenths(total.jitter_max_ms),
            "buffer_ms": _tenths(total.buffer_ms),
            "buffer_max_ms": _tenths(total.buffer_max_ms),
            "round_trip_ms": None if total.round_trip_ms is None else _tenths(total.round_trip_ms),
            "delay_ms": _tenths(total.one_way_ms),
            "drift_ppm": None if line.ppm is None else round(line.ppm, 1),
            "gaps": _whole(line.gaps),
            "drops": _whole(line.drops),
            "xruns": _whole(line.xruns),
            "fax": self.fax,
        }

    def plot(self) -> dict[str, object]:
        """The `plot` object: `seconds` between the points, and their delays and losses; under 1.5 kB as JSON."""
        points = self.network.points
        return {
            "seconds": round(self.network.point_seconds),
            "delay_ms": [min(round(point.delay_ms), 99_999) for point in points],
            "loss_percent": [round(point.loss_percent, 1) for point in points],
        }


@dataclass(slots=True)
class Gauge:
    """Gathers a call's measure while it is up. `network` comes from the SIP agent when the call ends; `fax`: it was
    one, so its judgement as speech means little.
    """

    network: NetworkQuality | None = None
    fax: bool = False
    _before: LineCounters | None = None
    _line: LineCounters = LineCounters()

    def begin(self, counters: LineCounters) -> None:
        """The call was answered, its line's counters being these."""
        self._before = counters

    def end(self, counters: LineCounters) -> None:
        """It is over."""
        if self._before is not None:
            self._line = counters.since(self._before)

    @property
    def quality(self) -> CallQuality | None:
        """What is known; None for a call never answered, or that the agent has not measured (yet)."""
        if self._before is None or self.network is None:
            return None
        return CallQuality(self.network, self._line, self.fax)


def _unheard(total: StreamReading) -> float:
    if total.received == 0 and total.sent >= _SILENT_PACKETS:
        return _ALL
    return total.loss_here_percent


def _more(now: int, before: int) -> int:
    return now - before if now >= before else now


def _whole(count: int) -> int:
    return min(max(0, count), _MOST)


def _tenths(milliseconds: float) -> float:
    return min(round(milliseconds, 1), 99_999.0)
