"""What the core costs with one, two ... lines in calls at once, and what a further line's buffers do to its sound."""

from __future__ import annotations

import os
import time

from tests.bench.exchangecall import ECHO, account
from tests.bench.figure import Figure, Plan, median
from tests.bench.peer import settle
from tests.bench.processes import cpu_percents
from tests.system.box import RunningBox
from tests.system.peer_exchange import TestExchange

_FIRST_GOAL, _FURTHER_GOAL = 4, 3
_PPM = ("200", "-200", "100")  # the exchange and the stack hold three ordinary calls at once
_CONVERGED_SECONDS = 10.0


def lines(plan: Plan) -> list[Figure]:
    """CPU time of the core, all threads, with 1, 2 and 3 telephones in calls with the echo.

    Their clocks are up to 400 ppm apart; telephones and exchange are processes of their own. Then, on each
    line, the round trip and the frames that the telephone missed after ten seconds.
    """
    costs: list[list[float]] = []
    with TestExchange() as exchange:
        clocks = [("--ppm", ppm) for ppm in _PPM]
        with RunningBox(account(exchange), telephone=clocks[0], more_telephones=clocks[1:]) as box:
            box.wait_registered("exchange")
            settle(box)
            for line, phone in box.phones.items():
                phone.lift()
                phone.wait("dial-tone", 10)
                phone.dial(ECHO)
                box.state("talking", line=line)
                time.sleep(2)
                costs.append(cpu_percents(box.pid("core"), plan.seconds(5, 3), plan.times(8, 3)))
            time.sleep(plan.seconds(_CONVERGED_SECONDS, 2))
            before = {line: phone.state() for line, phone in box.phones.items()}
            trips = {line: phone.roundtrip(plan.times(20, 4)) for line, phone in box.phones.items()}
            missed = {
                line: int(phone.state()["slipped_frames"]) - int(before[line]["slipped_frames"])
                for line, phone in box.phones.items()
            }
    load = f"load average {os.getloadavg()[0]:.1f}"
    figures = [_cost(count, costs, load) for count in range(1, len(costs) + 1)]
    for line, heard in trips.items():
        back = [trip for trip in heard if trip is not None]
        figures.append(
            Figure(
                f"round trip on line {line}, {len(trips)} lines in calls",
                "ms",
                median(back) if back else None,
                max(back) if back else None,
                beside=f"frames missed at the telephone: {missed[line]}",
                note=f"{len(back)} of {len(heard)} chirps came back",
                raw={"ms": heard, "missed": missed[line]},
            )
        )
    return figures


def _cost(count: int, costs: list[list[float]], load: str) -> Figure:
    """All of it for one line, what it adds for a further one."""
    now = median(costs[count - 1])
    before = median(costs[count - 2]) if count > 1 else 0.0
    return Figure(
        f"core's CPU, line {count} of {len(costs)} in a call" if count > 1 else "core's CPU, one line in a call",
        "%",
        now - before,
        goal=_FURTHER_GOAL if count > 1 else _FIRST_GOAL,
        beside=f"all lines together {now:.2f} %" if count > 1 else "",
        note=f"of one core, {len(costs[count - 1])} stretches; {load}",
        raw={"percent": costs[count - 1]},
    )
