"""What other processes use and how they are scheduled, read from the kernel; and processes that keep cores busy."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.system.peer_process import PeerProcess

_POLICIES = {os.SCHED_OTHER: "SCHED_OTHER", os.SCHED_FIFO: "SCHED_FIFO", os.SCHED_RR: "SCHED_RR"}


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and all its threads so far, in nanosecond steps (its CPU clock, <linux/posix-timers.h>)."""
    return time.clock_gettime((~pid << 3) | 2)


def cpu_percents(pid: int, seconds: float, windows: int) -> list[float]:
    """Percent of one core that a process uses in each of `windows` stretches of `seconds`."""
    found = []
    for _ in range(windows):
        before, began = cpu_seconds(pid), time.monotonic()
        time.sleep(seconds)
        found.append(100 * (cpu_seconds(pid) - before) / (time.monotonic() - began))
    return found


def memory_mb(pid: int) -> dict[str, float]:
    """Resident memory (`rss`), and its share counting what others map too only in part (`pss`); MB of 10**6 bytes."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    kilobytes = {line.partition(":")[0]: int(line.split()[1]) for line in lines}
    return {"rss": kilobytes["Rss"] * 1.024e-3, "pss": kilobytes["Pss"] * 1.024e-3}


def scheduling(pid: int) -> tuple[int, int]:
    """Policy and priority of a process's most urgent thread."""
    threads = [int(entry.name) for entry in Path(f"/proc/{pid}/task").iterdir()]
    found = [(os.sched_getparam(thread).sched_priority, os.sched_getscheduler(thread)) for thread in threads]
    priority, policy = max(found)
    return policy, priority


def scheduling_name(policy: int, priority: int) -> str:
    """For people."""
    name = _POLICIES.get(policy, f"policy {policy}")
    return f"{name} {priority}" if priority else name


@contextmanager
def busy_cores(count: int) -> Iterator[None]:
    """`count` processes that compute for ever at ordinary priority."""
    with ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(PeerProcess("busy", [sys.executable, "-c", "while True: pass"]))
        yield
