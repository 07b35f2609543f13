"""Frames that the telephone missed in a long call, beside a process that only wakes every 10 ms."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from tests.bench.exchangecall import HumbleBox, call, registered_box
from tests.bench.figure import Figure, Plan
from tests.bench.peer import hang_up
from tests.bench.processes import busy_cores, scheduling, scheduling_name
from tests.bench.witness import LATE_SECONDS, begin, testimony
from tests.system.box import RunningBox
from tests.system.peer_exchange import TestExchange

_COUNTERS = ("slipped_frames", "late_frames", "dropped_frames", "late_ticks")


def late_frames(plan: Plan) -> list[Figure]:
    """Ticks of the telephone's clock, in a call with the echo, at which the box's frame was not there.

    Once as the machine is, once with as many computing processes as it has cores, once more so with a core that has no
    real-time priority. A tick for which the telephone's own process came late is not the box's doing and is counted
    apart (`late_ticks`). The witness runs at the same time under the scheduling of the core's most urgent thread.
    """
    seconds = plan.seconds(600, 30)
    cores = os.cpu_count() or 1
    busy = f"{cores} cores busy"
    figures = []
    with TestExchange() as exchange:
        with registered_box(exchange) as box:
            for name, load in (("idle", nullcontext()), (busy, busy_cores(cores))):
                figures.append(_called(box, name, load, seconds))
        with registered_box(exchange, HumbleBox) as box:
            figures.append(_called(box, f"{busy}, no real-time priority", busy_cores(cores), seconds))
    return figures


def _called(box: RunningBox, name: str, load: AbstractContextManager[None], seconds: float) -> Figure:
    call(box)
    with load:
        figure = watched(box, name, seconds)
    hang_up(box)
    return figure


def watched(box: RunningBox, name: str, seconds: float) -> Figure:
    """Frames late at the telephone in the call that is up, beside the witness."""
    before = box.phone.state()
    policy, priority = scheduling(box.pid("core"))
    beside = witness(seconds, policy, priority)
    after = box.phone.state()
    if box.client.status()["lines"][0]["state"] != "talking":
        raise RuntimeError("the call ended while it was watched")
    counted = frames_counted(before, after)
    kept = beside["policy"] == policy and beside["priority"] == priority
    return Figure(
        f"frames late at the telephone in {seconds / 60:g} min, {name}",
        "",
        counted["slipped_frames"],
        beside=f"witness late by > {LATE_SECONDS * 1000:g} ms: {beside['late']}, worst {beside['worst_ms']:.1f} ms",
        note=(
            f"of {seconds * 100:.0f} frames, and wake-ups of each core's witness; {counted['late_frames']} frames came "
            f"after their tick, "
            f"{counted['late_ticks']} more ticks were the telephone's own delay, {counted['dropped_frames']} frames "
            f"dropped to win back delay; core {scheduling_name(policy, priority)}"
            + ("" if kept else ", which the witness was not given")
        ),
        raw={"seconds": seconds, "telephone": counted, "witness": beside},
    )


def witness(seconds: float, policy: int, priority: int) -> dict[str, Any]:
    """`tests.bench.witness`, a process on each processor: how often they woke late, and by how much at worst."""
    return testimony(begin(seconds, policy, priority), seconds + 60)


def frames_counted(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, int]:
    """What a telephone counted of frames that were late or missed, and given up, between two of its states."""
    return {key: int(after[key]) - int(before[key]) for key in _COUNTERS}
