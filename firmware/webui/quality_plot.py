"""Drawings of a call's delay and loss over its length: numbers to places in an SVG. Pure but for the language."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from firmware.webui.doctor import Plot

_WIDTH: Final = 720
_HEIGHT: Final = 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 20, 14, 28
_STEPS_SECONDS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 28_800)
_DELAYS_MS: Final = (100, 200, 400, 1000, 2000, 4000, 10_000, 20_000, 40_000, 100_000)
_LOSSES_PERCENT: Final = (2, 5, 10, 20, 50, 100)
_MOST_TICKS: Final = 7
_MOST_POINTS: Final = 500


def stairs(
    values: Sequence[float], seconds: int, ceilings: Sequence[int], shown: Callable[[float], str]
) -> Plot | None:
    """Each value as a stair of `seconds` from 0 up to the first of `ceilings` that holds them all. None without any.

    `shown` writes the marks of the upright axis.
    """
    stairs = [max(0.0, float(value)) for value in values[:_MOST_POINTS]]
    if not stairs or seconds <= 0:
        return None
    top = next((ceiling for ceiling in ceilings if ceiling >= max(stairs)), ceilings[-1])
    length = len(stairs) * seconds

    def across(at: float) -> float:
        return round(_LEFT + at / length * (_WIDTH - _LEFT - _RIGHT), 1)

    def up(value: float) -> float:
        return round(_HEIGHT - _BOTTOM - min(value, top) / top * (_HEIGHT - _TOP - _BOTTOM), 1)

    corners = []
    for number, value in enumerate(stairs):
        corners += [(across(number * seconds), up(value)), (across((number + 1) * seconds), up(value))]
    step = next((step for step in _STEPS_SECONDS if length / step <= _MOST_TICKS), length)
    return Plot(
        width=_WIDTH,
        height=_HEIGHT,
        left=_LEFT,
        right=_WIDTH - _RIGHT,
        top=_TOP,
        bottom=_HEIGHT - _BOTTOM,
        points=" ".join(f"{x:.1f},{y:.1f}" for x, y in corners),
        across=tuple((across(at), clock(at)) for at in range(0, length + 1, step)),
        up=tuple((up(value), shown(value)) for value in (0, top / 2, top)),
    )


def delay_plot(values: Sequence[float], seconds: int, shown: Callable[[float], str]) -> Plot | None:
    """One-way delays in ms."""
    return stairs(values, seconds, _DELAYS_MS, shown)


def loss_plot(values: Sequence[float], seconds: int, shown: Callable[[float], str]) -> Plot | None:
    """Losses in per cent."""
    return stairs(values, seconds, _LOSSES_PERCENT, shown)


def clock(seconds: int) -> str:
    """A time within a call: 0:05, 12:30, 1:00:00."""
    hours, rest = divmod(seconds, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02d}:{left:02d}" if hours else f"{minutes}:{left:02d}"
