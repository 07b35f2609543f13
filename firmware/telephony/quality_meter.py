"""What a call's stream was like, from its first packet to its last: counters in, one sum and a small plot out. Pure.

The stack's counters begin anew with each renegotiation (hold, resume, another codec), so a call is a row of
streams: `Meter` adds them up. Times in ms unless the name says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

LOOK_SECONDS: Final = 5.0
MOST_POINTS: Final = 120
LINE_MS: Final = 20.0
"""The box's own share of the way: a frame of 10 ms on its way through the bridge and one in the line's device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamReading:
    """One look at a stream's counters since it began.

    `here` is what arrived (or did not), `there` what the far end said of ours in its RTCP (RFC 3550 6.4). Neither
    `received` nor `discarded` (too late, or too many, for the buffer) counts a packet's copy that follows it at once;
    one that comes later is another packet, too late. `concealed`: frames that the buffer had not when they were due.
    `buffer_ms`: the jitter buffer's delay. Round trips are None from a far end that sends no RTCP.
    """

    codec: str
    packet_ms: float
    sent: int = 0
    received: int = 0
    lost_here: int = 0
    lost_there: int = 0
    discarded: int = 0
    concealed: int = 0
    jitter_ms: float = 0.0
    jitter_max_ms: float = 0.0
    buffer_ms: float = 0.0
    buffer_max_ms: float = 0.0
    buffer_now_ms: float = 0.0
    round_trip_ms: float | None = None
    round_trip_now_ms: float | None = None

    @property
    def loss_here_percent(self) -> float:
        """Of what the far end sent: how much was not heard here, lost or too late."""
        return _percent(self.lost_here + self.discarded, self.received + self.lost_here)

    @property
    def loss_there_percent(self) -> float:
        """Of what was sent: how much the far end missed."""
        return _percent(self.lost_there, self.sent)

    @property
    def one_way_ms(self) -> float:
        """Mouth to ear, on average, as far as one end can know: without the far end's own buffer and sound card."""
        return _one_way(self.packet_ms, self.buffer_ms, self.round_trip_ms)

    @property
    def one_way_now_ms(self) -> float:
        """The same at this moment."""
        return _one_way(self.packet_ms, self.buffer_now_ms, self.round_trip_now_ms)

    def then(self, after: StreamReading) -> StreamReading:
        """This stream and the one that followed it, as one."""
        here, there = self.received, after.received
        return StreamReading(
            codec=after.codec,
            packet_ms=after.packet_ms,
            sent=self.sent + after.sent,
            received=here + there,
            lost_here=self.lost_here + after.lost_here,
            lost_there=self.lost_there + after.lost_there,
            discarded=self.discarded + after.discarded,
            concealed=self.concealed + after.concealed,
            jitter_ms=_mean(self.jitter_ms, here, after.jitter_ms, there),
            jitter_max_ms=max(self.jitter_max_ms, after.jitter_max_ms),
            buffer_ms=_mean(self.buffer_ms, here, after.buffer_ms, there),
            buffer_max_ms=max(self.buffer_max_ms, after.buffer_max_ms),
            buffer_now_ms=after.buffer_now_ms,
            round_trip_ms=_mean_known(self.round_trip_ms, here, after.round_trip_ms, there),
            round_trip_now_ms=after.round_trip_now_ms,
        )


@dataclass(frozen=True, slots=True)
class Point:
    """A moment of a call: one-way delay in ms, and the loss in per cent since the point before."""

    delay_ms: float
    loss_percent: float


@dataclass(frozen=True, slots=True)
class NetworkQuality:
    """What the network made of a call. `points` (at most MOST_POINTS) lie `point_seconds` apart,
    the last one nearer.
    """

    total: StreamReading
    point_seconds: float = LOOK_SECONDS
    points: tuple[Point, ...] = ()


@dataclass(slots=True)
class _Plot:
    """Points of equal length. A call too long for them gets points of twice the length."""

    every: int = 1
    points: list[Point] = field(default_factory=list)
    pending: list[Point] = field(default_factory=list)

    def add(self, point: Point) -> None:
        self.pending.append(point)
        if len(self.pending) < self.every:
            return
        if len(self.points) == MOST_POINTS:
            pairs = zip(self.points[::2], self.points[1::2], strict=True)
            self.points = [_middle([*pair]) for pair in pairs]
            self.every *= 2  # and what is pending is half of the next
            return
        self.points.append(_middle(self.pending))
        self.pending = []

    def drawn(self) -> tuple[Point, ...]:
        rest = [_middle(self.pending)] if self.pending and len(self.points) < MOST_POINTS else []
        return (*self.points, *rest)


class Meter:
    """One call's measure. `look` with each reading of the stream that runs, `seal` when that stream is over."""

    def __init__(self) -> None:
        self._past: StreamReading | None = None
        self._now: StreamReading | None = None
        self._plot = _Plot()

    def look(self, reading: StreamReading) -> None:
        """Take a reading, LOOK_SECONDS after the last or when the stream ends."""
        before, self._now = self._now, reading
        lost, arrived = reading.lost_here + reading.discarded, reading.received + reading.lost_here
        if before is not None:
            lost -= before.lost_here + before.discarded
            arrived -= before.received + before.lost_here
        # A late packet takes a loss back that an earlier look had counted.
        self._plot.add(Point(reading.one_way_now_ms, _percent(max(0, lost), max(0, arrived))))

    def seal(self) -> None:
        """The stream is over; the next reading is of another one."""
        self._past, self._now = self._sum(), None

    def quality(self) -> NetworkQuality | None:
        """Everything so far; None before the first reading."""
        total = self._sum()
        if total is None:
            return None
        return NetworkQuality(total, LOOK_SECONDS * self._plot.every, self._plot.drawn())

    def _sum(self) -> StreamReading | None:
        if self._past is None or self._now is None:
            return self._now or self._past
        return self._past.then(self._now)


def _one_way(packet_ms: float, buffer_ms: float, round_trip_ms: float | None) -> float:
    return packet_ms + buffer_ms + (round_trip_ms or 0.0) / 2 + LINE_MS


def _percent(part: int, whole: int) -> float:
    return min(100.0, 100.0 * part / whole) if whole > 0 else 0.0


def _mean(first: float, weight: int, second: float, other: int) -> float:
    return (first * weight + second * other) / (weight + other) if weight + other else max(first, second)


def _mean_known(first: float | None, weight: int, second: float | None, other: int) -> float | None:
    if first is None or second is None:
        return second if first is None else first
    return _mean(first, weight, second, other)


def _middle(points: list[Point]) -> Point:
    count = len(points)
    return Point(sum(p.delay_ms for p in points) / count, sum(p.loss_percent for p in points) / count)
