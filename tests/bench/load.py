"""What the core costs: CPU on-hook and in a call, and memory, beside baresip registered and in the same call."""

from __future__ import annotations

import time
from dataclasses import dataclass

from tests.bench.exchangecall import ECHO, call, registered_box
from tests.bench.figure import Figure, Plan, median
from tests.bench.peer import hang_up
from tests.bench.processes import cpu_percents, memory_mb
from tests.system.peer_exchange import TestExchange
from tests.system.peers import Baresip

_SETTLE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Cost:
    """Percents of a core in stretches of time, and megabytes after the call."""

    idle: list[float]
    call: list[float]
    rss: float
    pss: float


def load(plan: Plan) -> list[Figure]:
    """CPU time of the whole process (all threads) a second, in stretches of 5 s; resident memory at the call's end.

    The core: on-hook and registered; then in a call to the echo, A-law, echo canceller and digit
    detector on. baresip: registered with the same account, then the same call, its sound from and to
    its own bridge (no device, no canceller, no digit detector).
    """
    with TestExchange() as exchange:
        core = _core(exchange, plan)
        other = _baresip(exchange, plan)
    memory = f"baresip {other.rss:.1f} MB"
    return [
        _cpu("core's CPU on-hook", core.idle, 1, other.idle),
        _cpu("core's CPU in a call", core.call, 6, other.call),
        Figure(
            "core's resident memory",
            "MB",
            core.rss,
            goal=60,
            beside=memory,
            note=f"after a call; proportional share (pages shared with other processes divided) {core.pss:.1f} MB",
        ),
    ]


def _cpu(name: str, percents: list[float], goal: float, beside: list[float]) -> Figure:
    return Figure(
        name,
        "%",
        median(percents),
        max(percents),
        goal=goal,
        beside=f"baresip {median(beside):.2f} %, worst {max(beside):.2f} %",
        note=f"of one core, {len(percents)} stretches; the worst stands under p99",
        raw={"percent": percents, "baresip_percent": beside},
    )


def _measure(pid: int, plan: Plan, windows: int) -> list[float]:
    time.sleep(_SETTLE_SECONDS)
    return cpu_percents(pid, plan.seconds(5, 3), plan.times(windows, 3))


def _core(exchange: TestExchange, plan: Plan) -> Cost:
    with registered_box(exchange) as box:
        pid = box.pid("core")
        idle = _measure(pid, plan, 8)
        call(box)
        talking = _measure(pid, plan, 8)
        memory = memory_mb(pid)
        hang_up(box)
    return Cost(idle, talking, memory["rss"], memory["pss"])


def _baresip(exchange: TestExchange, plan: Plan) -> Cost:
    with Baresip(
        exchange.user, exchange.password, exchange.server, domain=exchange.realm, register_seconds=300, record=False
    ) as other:
        idle = _measure(other.pid, plan, 8)
        other.dial(ECHO)
        other.wait("CALL_ESTABLISHED")
        talking = _measure(other.pid, plan, 8)
        memory = memory_mb(other.pid)
        other.hangup()
        other.wait("CALL_CLOSED")
    return Cost(idle, talking, memory["rss"], memory["pss"])
