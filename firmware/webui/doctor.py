"""The line doctor on the page: start it, follow it, read what it found, with two plots.

No script is needed: while a session is under way the page asks again every two seconds. What the
report says in words is `doctorwords`'; here are only the plots, drawn on the server.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from flask import Blueprint, flash, redirect, render_template, url_for
from werkzeug.wrappers import Response

from firmware import doctorwords
from firmware.service import BoxUnreachableError, ServiceError
from firmware.webui.context import page
from firmware.webui.language import language
from firmware.webui.refusals import other_refusal
from firmware.webui.say import _

_CONFLICT = 409
_BUSY = frozenset({"armed", "running", "examining"})
_STEPS = ("armed", "welcome", "noise", "echo", "dial", "flash", "thanks")

_WIDTH, _HEIGHT = 640.0, 220.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 74.0, 26.0, 12.0, 30.0
_TRACE_SECONDS = 2.0
_TRACE_MARGIN = 0.15
_MOST_EDGES = 500
_MOST_BANDS = 200
_MOST_HZ = 4000.0
_LEVELS = (-100.0, -20.0)

blueprint = Blueprint("doctor", __name__, url_prefix="/telephone/doctor")


@dataclass(frozen=True, slots=True)
class Plot:
    """A line in a frame, in the units of its own view box: everything is a number or a label of ours."""

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    points: str
    across: tuple[tuple[float, str], ...]
    up: tuple[tuple[float, str], ...]


@blueprint.get("/")
def show() -> str:
    """Where the session is, and the last report."""
    row = page().box.doctor()
    report = row["report"]
    spoken = language()
    ending = f"ending.{row['ending']}"
    said = doctorwords.words(spoken, ending) if doctorwords.known(spoken, ending) else ""
    if row["state"] == "failed":
        said = doctorwords.words(spoken, "failed")
    return render_template(
        "doctor.html",
        row=row,
        lines=[line["line"] for line in page().box.status()["lines"]],
        busy=row["state"] in _BUSY,
        steps=[(step, doctorwords.words(spoken, f"step.{step}"), _progress(step, row["step"])) for step in _STEPS],
        guidance=_guidance(row["state"], row["step"], spoken),
        said=said,
        summary=None if report is None else doctorwords.summary(report, spoken),
        findings=[] if report is None else doctorwords.findings(report, spoken),
        unmeasured=[] if report is None else doctorwords.unmeasured(report, spoken),
        keys=[] if report is None else report["keys"],
        hook=None if report is None else hook_plot(report["trace"], spoken),
        spectrum=None if report is None else spectrum_plot(report["spectrum"], spoken),
        figure=lambda value, decimals: doctorwords.figure(value, decimals, spoken),
    )


@blueprint.post("/start/<int:line>")
def start(line: int) -> Response:
    """Ask for a session; the page then follows it."""
    try:
        page().box.start_doctor(line)
    except BoxUnreachableError:
        raise
    except ServiceError as error:
        if error.status == _CONFLICT:
            why = _("the line is in use, or a check is under way. Hang up, and try again.")
        else:
            why = other_refusal(error).line()
        flash(_("The line cannot be checked now: %(why)s", why=why), "bad")
    return redirect(url_for("doctor.show"))


@blueprint.post("/stop")
def stop() -> Response:
    """End it."""
    page().box.stop_doctor()
    return redirect(url_for("doctor.show"))


def _progress(step: str, now: str) -> str:
    """Whether a step is done, the one now, or to come."""
    if now not in _STEPS:
        return "done"
    here, there = _STEPS.index(step), _STEPS.index(now)
    return "done" if here < there else "now" if here == there else "later"


def _guidance(state: str, step: str, spoken: str) -> str:
    key = "examining" if state == "examining" else f"step.{step}"
    return doctorwords.words(spoken, key) if doctorwords.known(spoken, key) else ""


# --- plots ----------------------------------------------------------------------------------


def hook_plot(trace: Sequence[Sequence[float]], spoken: str) -> Plot | None:
    """The contact over the liveliest two seconds: up is closed. None without an edge."""
    edges = [(float(at), bool(closed)) for at, closed in trace[-_MOST_EDGES:]]
    if not edges:
        return None
    times = [at for at, _closed in edges]
    # The window that holds most edges, begun at one of them.
    counts = [bisect_left(times, at + _TRACE_SECONDS) - first for first, at in enumerate(times)]
    first = counts.index(max(counts))
    begin = times[first] - _TRACE_MARGIN
    end = begin + _TRACE_SECONDS + 2 * _TRACE_MARGIN

    def across(at: float) -> float:
        return _LEFT + (at - begin) / (end - begin) * (_WIDTH - _LEFT - _RIGHT)

    high, low = _TOP + 12, _HEIGHT - _BOTTOM - 12
    level = not edges[first][1]
    corners = [(_LEFT, high if level else low)]
    for at, closed in edges[first:]:
        if at > end:
            break
        corners += [(across(at), high if level else low), (across(at), high if closed else low)]
        level = closed
    corners.append((_WIDTH - _RIGHT, high if level else low))
    ticks = [n / 2 for n in range(math.floor((end - begin) * 2) + 1)]
    return _plot(
        corners,
        tuple((across(begin + tick), f"{doctorwords.figure(tick, 1, spoken)} s") for tick in ticks),
        ((high, _("closed")), (low, _("open"))),
    )


def spectrum_plot(spectrum: Sequence[Sequence[float]], spoken: str) -> Plot | None:
    """The silent line's level over frequency, dBm0 in bands of 31 Hz. None where it was not measured."""
    bands = [(float(hz), float(level)) for hz, level in spectrum[:_MOST_BANDS]]
    if not bands:
        return None
    floor, ceiling = _LEVELS

    def across(hz: float) -> float:
        return _LEFT + min(max(hz / _MOST_HZ, 0.0), 1.0) * (_WIDTH - _LEFT - _RIGHT)

    def up(level: float) -> float:
        share = (min(max(level, floor), ceiling) - floor) / (ceiling - floor)
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)

    return _plot(
        [(across(hz), up(level)) for hz, level in bands],
        tuple((across(hz), f"{hz // 1000:.0f} kHz") for hz in (0.0, 1000.0, 2000.0, 3000.0, 4000.0)),
        tuple((up(level), doctorwords.figure(level, 0, spoken)) for level in (-100.0, -80.0, -60.0, -40.0, -20.0)),
    )


def _plot(
    corners: Sequence[tuple[float, float]],
    across: tuple[tuple[float, str], ...],
    up: tuple[tuple[float, str], ...],
) -> Plot:
    return Plot(
        width=_WIDTH,
        height=_HEIGHT,
        left=_LEFT,
        right=_WIDTH - _RIGHT,
        top=_TOP,
        bottom=_HEIGHT - _BOTTOM,
        points=" ".join(f"{x:.1f},{y:.1f}" for x, y in corners),
        across=across,
        up=up,
    )
