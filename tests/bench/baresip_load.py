"""What baresip costs in the box's role: CPU and memory, registered and idle, then in an A-law call.

The figure beside which the core's own is read. Prints one line of JSON.

    python tests/bench/baresip_load.py [--seconds 30]

baresip is registered at the test exchange; in the call its sound goes through a device of its own
(aubridge: what it hears it says) while the exchange plays the milliwatt.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.system.peer_exchange import TestExchange
from tests.system.peers import Baresip


def cpu_seconds(pid: int) -> float:
    """CPU time of all threads of a process so far, to the nanosecond."""
    spent = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        spent += int((thread / "schedstat").read_text().split()[0])
    return spent / 1e9


def resident_mb(pid: int) -> float:
    """Resident memory in megabytes (10^6 bytes)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError("the process has ended")


def load(pid: int, seconds: float) -> dict[str, Any]:
    """CPU in per cent of a core over `seconds`, and resident memory at the end."""
    before, started = cpu_seconds(pid), time.monotonic()
    time.sleep(seconds)
    spent = (cpu_seconds(pid) - before) / (time.monotonic() - started)
    return {"cpu_percent_of_a_core": round(100 * spent, 2), "resident_mb": round(resident_mb(pid), 1)}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="CPU and memory of baresip, idle and in an A-law call.")
    parser.add_argument("--seconds", type=float, default=30, help="how long to watch each (30)")
    seconds = parser.parse_args().seconds
    with (
        TestExchange() as exchange,
        Baresip(exchange.user, exchange.password, exchange.server, audio="echo", record=False) as baresip,
    ):
        idle = load(baresip.pid, seconds)
        baresip.dial("0199000006")
        baresip.wait("CALL_ESTABLISHED")
        exchange_idle = cpu_seconds(exchange.pid)
        in_call = load(baresip.pid, seconds)
        exchange_load = round(100 * (cpu_seconds(exchange.pid) - exchange_idle) / seconds, 2)
        baresip.hangup()
    machine = platform.processor() or platform.machine()
    figure = {"figure": "baresip load", "machine": machine, "seconds": seconds, "idle": idle, "in_call": in_call}
    print(json.dumps({**figure, "exchange_cpu_percent_of_a_core": exchange_load}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
