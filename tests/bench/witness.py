"""A process that does nothing but wake every 10 ms, at the core's own priority, and count when it woke late.

    python -m tests.bench.witness SECONDS POLICY PRIORITY

What it suffers is the machine's doing. Prints one line of JSON; `stalls` are (monotonic seconds, ms late) of those
wake-ups that a telephone would hear of.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import sys
import time
from typing import Any

_PERIOD_SECONDS = 0.01
LATE_SECONDS = 0.002
STALL_SECONDS = 0.01
_MOST_STALLS = 2000


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
        if behind > STALL_SECONDS and len(stalls) < _MOST_STALLS:
            stalls.append((round(now, 3), round(behind * 1000, 1)))
        wakes += 1
        worst = max(worst, behind)
        late += behind > LATE_SECONDS
    return {"wakes": wakes, "late": late, "worst_ms": round(worst * 1000, 2), "stalls": stalls}


def main() -> int:
    """Take the priority, if we may, and watch."""
    seconds, policy, priority = float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, policy, os.sched_param(priority))
    found = watch(seconds)
    print(json.dumps({**found, "policy": os.sched_getscheduler(0), "priority": os.sched_getparam(0).sched_priority}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
