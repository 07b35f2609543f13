"""Raw edges of the loop to figures: pulse speed, break share, spread, bounce, flash. Pure.

Theory of operation. The trace is cut into off-hook periods by the breaks that no flash is as long as.
In each, the edges next to lifting and hanging up are the cradle's bounce; in between, edges closer
than a dial's make or break can be are one transition with bounce. What is left are breaks: alone and
long enough, a flash; else pulses, which make a train while the loop stays closed no longer than an
inter-digit pause. Times count from first edge to first edge, as `hook` counts them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from firmware.fxs.doctor_report import HookFigures

MAX_EDGES = 2048

_CRADLE_GAP = 0.030
_CRADLE_SPAN = 0.060
_CONTACT_GAP = 0.0075
"""Edges closer than this are bounce: at 22 pulses a second and a break of 80 % the make still has 9 ms."""
_INTERDIGIT = 0.200
_FLASH_SETTLE = 0.015
_LEAST_FLASH = 0.120


@dataclass(frozen=True, slots=True)
class Edge:
    """The loop closed or opened at `at`, in seconds of any one clock."""

    closed: bool
    at: float


@dataclass(frozen=True, slots=True)
class _Break:
    """From the first edge that opened to the first that closed; bounce of either contact change, in seconds."""

    opened: float
    closed: float
    bounce: float

    @property
    def length(self) -> float:
        return self.closed - self.opened


@dataclass(slots=True)
class _Change:
    """Edges that belong together; `closed` is the level after them."""

    first: float
    last: float
    closed: bool


def measure(edges: Sequence[Edge], longest_flash_ms: float) -> HookFigures:
    """The figures of a trace (in order of time; repeated levels are passed over).

    `longest_flash_ms`: a longer break is hanging up.
    """
    clean = alternating(edges)
    breaks: list[_Break] = []
    cradle: list[float] = []
    for period in _periods(clean, longest_flash_ms / 1000):
        inner, bounces = _without_cradle(period)
        cradle += bounces
        breaks += _breaks(inner)
    return _figures(breaks, cradle)


def alternating(edges: Sequence[Edge]) -> list[Edge]:
    """At most MAX_EDGES of them, the last, without repeated levels and without steps back in time."""
    clean: list[Edge] = []
    for edge in edges[-MAX_EDGES:]:
        if clean and (edge.closed == clean[-1].closed or edge.at < clean[-1].at):
            continue
        clean.append(edge)
    return clean


def _periods(edges: list[Edge], hanging_up: float) -> list[list[Edge]]:
    """The off-hook periods: from the edge that lifted to the one that hung up (missing where the trace is cut)."""
    periods: list[list[Edge]] = []
    current: list[Edge] = []
    for position, edge in enumerate(edges):
        if not current and not edge.closed and position == 0:
            current = [edge]  # the trace began off-hook
            continue
        current.append(edge)
        last = position + 1 == len(edges)
        if not edge.closed and (last or edges[position + 1].at - edge.at > hanging_up):
            periods.append(current)
            current = []
    if current:
        periods.append(current)
    return periods


def _without_cradle(period: list[Edge]) -> tuple[list[Edge], list[float]]:
    """The edges between lifting and hanging up, and how long the cradle bounced at either (seconds)."""
    start, end = 0, len(period)
    bounces: list[float] = []
    if period[0].closed:
        start = _chain(period, 1)
        bounces.append(period[start - 1].at - period[0].at)
    if end - start > 0 and not period[-1].closed:
        mirrored = [Edge(edge.closed, -edge.at) for edge in reversed(period[start:])]
        taken = _chain(mirrored, 1)
        bounces.append(period[-1].at - period[end - taken].at)
        end -= taken
    return period[start:end], bounces


def _chain(edges: Sequence[Edge], count: int) -> int:
    """How many edges, from the first, follow each other within the cradle's bounce: an odd number."""
    while (
        count < len(edges)
        and edges[count].at - edges[count - 1].at <= _CRADLE_GAP
        and edges[count].at - edges[0].at <= _CRADLE_SPAN
    ):
        count += 1
    return count if count % 2 else count - 1


def _changes(edges: Sequence[Edge]) -> list[_Change]:
    """Contact changes; a cluster that falls back to the level before it is none."""
    clusters: list[_Change] = []
    for edge in edges:
        if clusters and edge.at - clusters[-1].last <= _CONTACT_GAP:
            clusters[-1].last, clusters[-1].closed = edge.at, edge.closed
        else:
            clusters.append(_Change(edge.at, edge.at, edge.closed))
    level = True
    real: list[_Change] = []
    for cluster in clusters:
        if cluster.closed != level:
            real.append(cluster)
            level = cluster.closed
    return real


def _breaks(edges: Sequence[Edge]) -> list[_Break]:
    """The breaks within an off-hook period; a chattering close right after a flash is that flash's bounce."""
    changes = _changes(edges)
    found: list[_Break] = []
    for opening, closing in zip(changes[::2], changes[1::2], strict=False):
        bounce = max(opening.last - opening.first, closing.last - closing.first)
        piece = _Break(opening.first, closing.first, bounce)
        before = found[-1] if found else None
        if before is not None and piece.length < _FLASH_SETTLE and piece.opened - before.closed < _CRADLE_GAP:
            found[-1] = _Break(before.opened, before.closed, max(before.bounce, closing.last - before.closed))
        else:
            found.append(piece)
    return found


def _trains(breaks: Sequence[_Break]) -> list[list[_Break]]:
    trains: list[list[_Break]] = []
    for piece in breaks:
        if trains and piece.opened - trains[-1][-1].closed <= _INTERDIGIT:
            trains[-1].append(piece)
        else:
            trains.append([piece])
    return trains


def _figures(breaks: Sequence[_Break], cradle: list[float]) -> HookFigures:
    pulses: list[list[_Break]] = []
    flashes: list[_Break] = []
    for train in _trains(breaks):
        if len(train) == 1 and train[0].length >= _LEAST_FLASH:
            flashes.append(train[0])
        else:
            pulses.append(train)
    cradle += [flash.bounce for flash in flashes]
    periods = [after.opened - piece.opened for train in pulses for piece, after in _pairs(train)]
    broken = [piece.length for train in pulses for piece, _ in _pairs(train)]
    bounces = [piece.bounce for train in pulses for piece in train]
    mean = sum(periods) / len(periods) if periods else 0.0
    spread = 100 * (sum((period - mean) ** 2 for period in periods) / len(periods)) ** 0.5 / mean if periods else None
    return HookFigures(
        digits=tuple(len(train) for train in pulses),
        pulse_speed=1 / mean if periods else None,
        break_share=100 * sum(broken) / sum(periods) if periods else None,
        spread=spread,
        dial_bounce_ms=1000 * max(bounces) if bounces else None,
        cradle_bounce_ms=1000 * max(cradle) if cradle else None,
        flashes_ms=tuple(1000 * flash.length for flash in flashes),
    )


def _pairs(train: Sequence[_Break]) -> list[tuple[_Break, _Break]]:
    return list(pairwise(train))
