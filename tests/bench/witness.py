"""Processes that do nothing but wake every 10 ms, at the core's own priority, and count when they woke late.

    python -m tests.bench.witness SECONDS POLICY PRIORITY

One on each processor, tied to it: a virtual machine may lose one of them and not the other, and a single witness would
be moved out of the way. What they suffer is the machine's doing. Prints one line of JSON of all together; `stalls` are
(monotonic seconds, ms late) of the wake-ups that were more than 2 ms late.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

_PERIOD_SECONDS = 0.01
LATE_SECONDS = 0.002
_MOST_STALLS = 2000
_CHECKOUT = Path(__file__).resolve().parents[2]


def watch(seconds: float) -> dict[str, Any]:
    """Wake at absolute deadlines for so long."""
    gc.disable()
    deadline = time.monotonic()
    end = deadline + seconds
    wakes = late = 0
    worst = 0.0
    stalls: list[tuple[float, float]] = []
    while deadline < end:
        deadline += _PERIOD_SECONDS
        time.sleep(max(0.0, deadline - time.monotonic()))
        now = time.monotonic()
        behind = now - deadline
        if behind > LATE_SECONDS and len(stalls) < _MOST_STALLS:
            stalls.append((round(now, 3), round(behind * 1000, 1)))
        wakes += 1
        worst = max(worst, behind)
        late += behind > LATE_SECONDS
    return {"wakes": wakes, "late": late, "worst_ms": round(worst * 1000, 2), "stalls": stalls}


def _watch_from(processor: int, seconds: float, policy: int, priority: int) -> dict[str, Any]:
    """Tied to a processor, with the priority if we may."""
    os.sched_setaffinity(0, {processor})
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, policy, os.sched_param(priority))
    found = watch(seconds)
    return {**found, "policy": os.sched_getscheduler(0), "priority": os.sched_getparam(0).sched_priority}


def together(seen: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Several witnesses' testimony as one."""
    return {
        "wakes": sum(one["wakes"] for one in seen),
        "late": sum(one["late"] for one in seen),
        "worst_ms": max(one["worst_ms"] for one in seen),
        "stalls": sorted(stall for one in seen for stall in one["stalls"]),
        "policy": seen[0]["policy"],
        "priority": seen[0]["priority"],
        "processors": len(seen),
    }


def begin(seconds: float, policy: int, priority: int) -> subprocess.Popen[str]:
    """This module as a process; `testimony` has what it saw."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.bench.witness", str(seconds), str(policy), str(priority)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=_CHECKOUT,
    )


def testimony(process: subprocess.Popen[str], seconds: float) -> dict[str, Any]:
    """Waits at most so many seconds for its end."""
    return dict(json.loads(process.communicate(timeout=seconds)[0]))


def main() -> int:
    """Watch from every processor that we may use."""
    seconds, policy, priority = float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    processors = sorted(os.sched_getaffinity(0))
    with ProcessPoolExecutor(len(processors)) as pool:
        watching = [pool.submit(_watch_from, each, seconds, policy, priority) for each in processors]
        print(json.dumps(together([one.result() for one in watching])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
