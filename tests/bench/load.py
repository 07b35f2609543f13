"""What the core costs: CPU on-hook and in a call, and memory, beside baresip registered and in the same call."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.exchangecall import MILLIWATT, call, registered_box
from tests.bench.figure import Figure, Plan, median
from tests.bench.peer import hang_up
from tests.bench.processes import cpu_percents, memory_mb
from tests.system.peer_exchange import TestExchange

_SETTLE_SECONDS = 2.0
_CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Cost:
    """Percents of a core in stretches of time, and megabytes after the call."""

    idle: list[float]
    call: list[float]
    rss: float
    pss: float


def load(plan: Plan) -> list[Figure]:
    """CPU time of the whole process (all threads) a second, in stretches of 5 s; resident memory at the call's end.

    The core: on-hook and registered; then in a call to the milliwatt, A-law, echo canceller and digit
    detector on. baresip (`baresip_load`): registered with the test exchange, then the same call, its
    sound from and to a bridge of its own.
    """
    with TestExchange() as exchange:
        core = _core(exchange, plan)
    other = baresip_cost(plan.seconds(40, 9))
    return [
        _cpu("core's CPU on-hook", core.idle, 1, other["idle"]),
        _cpu("core's CPU in a call", core.call, 6, other["in_call"]),
        Figure(
            "core's resident memory",
            "MB",
            core.rss,
            goal=60,
            beside=f"baresip {other['in_call']['resident_mb']:.1f} MB",
            note=f"after a call; proportional share (pages shared with other processes divided) {core.pss:.1f} MB",
            raw={"baresip": other},
        ),
    ]


def _cpu(name: str, percents: list[float], goal: float, beside: dict[str, float]) -> Figure:
    return Figure(
        name,
        "%",
        median(percents),
        max(percents),
        goal=goal,
        beside=f"baresip {beside['cpu_percent_of_a_core']:.2f} %",
        note=f"of one core, {len(percents)} stretches; the worst stands under p99",
        raw={"percent": percents},
    )


def _measure(pid: int, plan: Plan) -> list[float]:
    time.sleep(_SETTLE_SECONDS)
    return cpu_percents(pid, plan.seconds(5, 3), plan.times(8, 3))


def _core(exchange: TestExchange, plan: Plan) -> Cost:
    with registered_box(exchange) as box:
        pid = box.pid("core")
        idle = _measure(pid, plan)
        call(box, MILLIWATT)
        talking = _measure(pid, plan)
        memory = memory_mb(pid)
        hang_up(box)
    return Cost(idle, talking, memory["rss"], memory["pss"])


def baresip_cost(seconds: float) -> dict[str, Any]:
    """`baresip_load` in a process of its own, with an exchange of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.baresip_load", "--seconds", str(seconds)],
        capture_output=True,
        text=True,
        cwd=_CHECKOUT,
        check=False,
        timeout=2 * seconds + 120,
    )
    if done.returncode:
        raise RuntimeError(f"baresip's load was not measured: {done.stderr[-500:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))
